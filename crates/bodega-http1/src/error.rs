//! Why a head was refused, and the status that says so to a client.

use std::fmt;

/// What was wrong with a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadErrorKind {
    /// It is not HTTP/1, or could be read in more than one way.
    Malformed,
    /// The request line is longer than the limit.
    TargetTooLong,
    /// The head is longer, or has more fields, than the limits.
    TooLarge,
    /// It is another major version of HTTP.
    Version,
}

/// A head that was refused. After one the connection must be closed: where the next message begins is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadError {
    kind: HeadErrorKind,
    message: &'static str,
}

impl HeadError {
    pub(crate) const fn new(kind: HeadErrorKind, message: &'static str) -> Self {
        Self { kind, message }
    }

    pub(crate) const fn malformed(message: &'static str) -> Self {
        Self::new(HeadErrorKind::Malformed, message)
    }

    /// What was wrong.
    #[must_use]
    pub const fn kind(&self) -> HeadErrorKind {
        self.kind
    }

    /// The status a server answers with.
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self.kind {
            HeadErrorKind::Malformed => 400,
            HeadErrorKind::TargetTooLong => 414,
            HeadErrorKind::TooLarge => 431,
            HeadErrorKind::Version => 505,
        }
    }

    /// What was wrong, in words; holds nothing of the message itself.
    #[must_use]
    pub const fn message(&self) -> &'static str {
        self.message
    }
}

impl fmt::Display for HeadError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.message)
    }
}

impl std::error::Error for HeadError {}
