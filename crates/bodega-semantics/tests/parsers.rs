//! The checks of `checks/mod.rs` over generated input: lines put together from pieces that get far into the parsers,
//! and plain noise. Short enough for every test run; `fuzz/` goes on where this stops.

mod checks;

use proptest::prelude::*;

const PIECES: &[&str] = &[
    "\n",
    "\n",
    "\n",
    "max-age",
    "s-maxage",
    "no-store",
    "no-cache",
    "private",
    "must-revalidate",
    "=",
    "=60",
    "=\"60\"",
    "=\"x",
    "=99999999999999999999",
    "=-1",
    ",",
    ", ",
    ";",
    "; ",
    "\"",
    "\\",
    "*",
    "W/",
    "\"a\"",
    "W/\"a\"",
    "bytes=",
    "bytes ",
    "bytes 0-4/9",
    "0-",
    "-5",
    "3-4",
    "0-4/9",
    "/*",
    "18446744073709551615",
    "18446744073709551616",
    " ",
    "\t",
    "gzip",
    "q=0.5",
    "en-GB;q=0",
    "Sun, 06 Nov 1994 08:49:37 GMT",
    "Sunday, 06-Nov-94 08:49:37 GMT",
    "Sun Nov  6 08:49:37 1994",
    "Fri, 31 Dec 9999 23:59:59 GMT",
    "192.0.2.1",
    "[::1]:80",
    "for=",
    "for=\"[2001:db8::1]\"",
    "unknown",
    "X-A",
    "close",
    "id=x",
    "bodega",
    "/",
    "//",
    "/a",
    ".",
    "..",
    "%2e",
    "%2F",
    "%61",
    "%",
    "%0",
    "%00",
    "%C3%A4",
    "é",
    ";",
    "?",
    "&",
    "a=1",
    "#",
    "http://",
    "shop.example",
    ":80",
    "@",
    "(",
    ")",
    "x",
    "0",
];

fn input() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        6 => proptest::collection::vec(proptest::sample::select(PIECES), 0..12)
            .prop_map(|pieces| pieces.concat().into_bytes()),
        1 => proptest::collection::vec(any::<u8>(), 0..60),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    #[test]
    fn every_parser_keeps_its_promises(bytes in input(), total in prop_oneof![0_u64..5000, any::<u64>()]) {
        checks::cache_control(&bytes);
        checks::vary(&bytes);
        checks::json(&bytes);
        checks::dates(&bytes);
        checks::ranges(&[&total.to_le_bytes()[..], &bytes].concat());
        checks::conditions(&bytes);
        checks::forwarded(&bytes);
        checks::paths(&bytes);
        checks::keys(&bytes);
        checks::content_ranges(&bytes);
        checks::multiparts(&bytes);
        checks::group_lists(&bytes);
    }
}
