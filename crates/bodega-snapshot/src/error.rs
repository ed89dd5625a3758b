//! What is wrong with a document, and where.

use std::fmt;

/// A configuration that is not valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotError {
    /// Where in the document: `distributions.shop.behaviors[2].policy`. Empty if it is about all of it.
    pub place: String,
    /// What was wrong, and what would be right.
    pub message: String,
}

impl fmt::Display for SnapshotError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.place.is_empty() {
            return formatter.write_str(&self.message);
        }
        write!(formatter, "{}: {}", self.place, self.message)
    }
}

impl std::error::Error for SnapshotError {}

/// An error at `place`.
pub(crate) fn wrong<T>(place: &str, message: impl Into<String>) -> Result<T, SnapshotError> {
    Err(SnapshotError { place: place.to_owned(), message: message.into() })
}
