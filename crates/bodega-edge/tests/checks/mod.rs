//! What must hold of a selector for any text at all. `tests/selectors.rs` asks it of generated text in every test run,
//! and `fuzz/` of whatever libFuzzer finds.
#![allow(dead_code, clippy::panic, reason = "a check fails by panicking")]

use bodega_edge::invalidate::Selector;

/// A selector is everything, or a URL of a host with a path: what forgets must never forget something else.
pub(crate) fn selector(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match Selector::parse(text) {
        Ok(Selector::All) => assert_eq!(text, "all"),
        Ok(Selector::Url { host, path, query }) => {
            assert!(text.starts_with("http://") || text.starts_with("https://"));
            assert!(!host.is_empty() && !host.contains(['/', '?', '#']), "{host:?}");
            assert!(!host.bytes().any(|byte| byte.is_ascii_uppercase()));
            assert!(path.starts_with('/') && !path.contains(['?', '#']), "{path:?}");
            assert!(query.is_none_or(|query| !query.contains('#')));
        }
        Err(error) => assert!(error.to_string().starts_with("selector ")),
    }
}
