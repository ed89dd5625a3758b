//! Why a model cannot be used.

use std::fmt;

/// A model that could not be loaded, with its file and the cause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelError {
    /// The origin's name in the configuration; empty where it is not one model that is wrong.
    pub origin: String,
    /// The file.
    pub path: String,
    /// What is wrong, and what to do.
    pub message: String,
}

impl fmt::Display for ModelError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.origin.is_empty() {
            return formatter.write_str(&self.message);
        }
        write!(formatter, "origins.{}: {}: {}", self.origin, self.path, self.message)
    }
}

impl std::error::Error for ModelError {}
