//! What must hold of a selector for any text at all. `tests/selectors.rs` asks it of generated text in every test run,
//! and `fuzz/` of whatever libFuzzer finds.
#![allow(dead_code, clippy::panic, reason = "a check fails by panicking")]

use bodega_edge::invalidate::Selector;

/// Each kind of selector holds what it names and no more: what forgets must never forget something else.
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
        Ok(Selector::Prefix { host, path }) => {
            assert!(text.starts_with("prefix:http"));
            assert!(!host.is_empty() && !host.contains(['/', '?', '#']), "{host:?}");
            assert!(path.starts_with('/') && !path.contains(['?', '#']), "{path:?}");
        }
        Ok(Selector::Glob(pattern)) => {
            assert!(text.starts_with("glob:") && !pattern.is_empty() && !pattern.starts_with('/'), "{pattern:?}");
            assert!(pattern.bytes().all(|byte| byte.is_ascii_graphic()), "{pattern:?}");
        }
        Ok(Selector::Tag(name)) => assert_eq!(text, format!("tag:{name}")),
        Ok(Selector::Model(name)) => assert_eq!(text, format!("model:{name}")),
        Ok(Selector::Distribution(name)) => assert_eq!(text, format!("distribution:{name}")),
        Err(error) => assert!(error.to_string().starts_with("selector ")),
    }
}
