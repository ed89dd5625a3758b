//! The sections of RFCs that scenarios may say they test: `tests/scenarios/sections.toml`, with titles for the table.

use std::collections::BTreeMap;
use std::sync::LazyLock;

/// Whether a section is listed there, written as `9111 4.2.3`.
#[must_use]
pub fn is_known(section: &str) -> bool {
    TITLES.contains_key(section)
}

static TITLES: LazyLock<BTreeMap<String, String>> =
    LazyLock::new(|| toml::from_str(include_str!("../../../tests/scenarios/sections.toml")).unwrap_or_default());

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_are_the_number_of_an_rfc_and_of_a_section() {
        assert!(is_known("9111 4.2.3"));
        assert!(!is_known("9111 4.2.9"));
        for (section, title) in TITLES.iter() {
            let parts: Vec<&str> = section.split(' ').collect();
            let [rfc, number] = parts[..] else { panic!("{section}") };
            assert!(rfc.len() == 4 && rfc.bytes().all(|byte| byte.is_ascii_digit()), "{section}");
            assert!(number.split('.').all(|part| part.parse::<u8>().is_ok()), "{section}");
            assert!(!title.is_empty(), "{section}");
        }
    }
}
