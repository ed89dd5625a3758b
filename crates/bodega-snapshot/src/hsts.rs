//! `Strict-Transport-Security` (RFC 6797), made once for each configuration.

use std::fmt::Write as _;
use std::time::Duration;

/// The line of a distribution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hsts {
    line: String,
}

impl Hsts {
    /// The name of the field.
    pub const FIELD: &'static str = "Strict-Transport-Security";

    pub(crate) fn new(max_age: Duration, include_subdomains: bool, preload: bool) -> Self {
        let mut line = format!("{}: max-age={}", Self::FIELD, max_age.as_secs());
        for (is_said, directive) in [(include_subdomains, "includeSubDomains"), (preload, "preload")] {
            if is_said {
                let _ = write!(line, "; {directive}");
            }
        }
        line.push_str("\r\n");
        Self { line }
    }

    /// The line as HTTP/1.1 has it, with its end.
    #[inline]
    #[must_use]
    pub fn line(&self) -> &[u8] {
        self.line.as_bytes()
    }

    /// The value alone.
    #[must_use]
    pub fn value(&self) -> &str {
        self.line[Self::FIELD.len() + 2..].trim_end()
    }
}
