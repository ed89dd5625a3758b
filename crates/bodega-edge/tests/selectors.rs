//! The check of `checks/mod.rs` over generated text, put together from pieces of URLs.

mod checks;

use proptest::prelude::*;

const PIECES: &[&str] = &[
    "all",
    "prefix:",
    "glob:",
    "tag:",
    "model:",
    "distribution:",
    "*",
    ",",
    "http://",
    "https://",
    "HTTP://",
    "ftp://",
    "://",
    "shop.example",
    "SHOP",
    ".",
    ":80",
    ":",
    "[::1]",
    "@",
    "/",
    "/a",
    "?",
    "b=1",
    "#",
    "%2F",
    "%",
    "é",
    " ",
    "\u{0}",
    "",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    #[test]
    fn a_selector_names_a_host_and_a_path_or_everything(
        pieces in proptest::collection::vec(proptest::sample::select(PIECES), 0..8), noise in any::<String>(),
    ) {
        checks::selector(pieces.concat().as_bytes());
        checks::selector(noise.as_bytes());
    }
}

#[test]
fn a_port_or_a_dot_alone_is_no_host() {
    for text in ["https://:80/a", "https://./a", "https://", "https:///a", "https://?a=1"] {
        let error = bodega_edge::invalidate::Selector::parse(text).expect_err(text);
        assert!(error.to_string().ends_with("names no host"), "{error}");
    }
}
