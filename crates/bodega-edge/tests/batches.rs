//! The check of `checks/batch.rs` over generated text, put together from pieces of batches.

#[path = "checks/batch.rs"]
mod checks;

use proptest::prelude::*;

const PIECES: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "null",
    "true",
    "0",
    "-1",
    "1.5",
    "18446744073709551615",
    "1e400",
    "\"position\": 1",
    "\"type\"",
    "\"invalidation.requested\"",
    "\"configuration.published\"",
    "\"edge.joined\"",
    "\"version\": 1",
    "\"version\": 2",
    "\"unless_known\"",
    "\"ignore\"",
    "\"stop\"",
    "\"purge\"",
    "\"data\"",
    "\"selectors\": [\"all\"]",
    "\"selectors\": [\"tag:t\", \"model:m\"]",
    "\"selectors\": [7]",
    "\"force\": \"soft\"",
    "\"revision\": 8",
    "\"chain\": \"00000000000000000000000000000000\"",
    "tag:t",
    "model:",
    "glob:h/*",
    "prefix:https://h/",
    "https://h/a",
    "all",
    "*",
    "\\u0000",
    "\u{0}",
    "é",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_batch_is_applied_or_changes_nothing(
        pieces in proptest::collection::vec(proptest::sample::select(PIECES), 0..24), noise in any::<String>(),
        bytes in proptest::collection::vec(any::<u8>(), 0..64),
    ) {
        checks::batch(pieces.concat().as_bytes());
        checks::batch(format!("{{{}}}", pieces.join(", ")).as_bytes());
        checks::batch(noise.as_bytes());
        checks::batch(&bytes);
    }
}

#[test]
fn selectors_of_every_kind_and_those_that_are_none_are_followed_exactly_or_too_widely() {
    for selector in [
        "all",
        "https://h/a?b",
        "prefix:https://h/a/",
        "prefix:https://h/a",
        "glob:h/*.webp",
        "tag:t",
        "tag:user:*",
        "model:m",
        "model:m@v1",
        "model:m*",
        "distribution:d",
        "",
        "ALL",
        "tag:",
        "tag:a b",
        "glob:h/%",
        "prefix:/a",
        "http://",
        "\u{0}",
    ] {
        checks::batch(selector.as_bytes());
    }
}
