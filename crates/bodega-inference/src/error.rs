//! Why a model cannot be used.

use std::fmt;

/// A model that could not be loaded, with its file and the cause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelError {
    /// The origin's name in the configuration.
    pub origin: String,
    /// The file.
    pub path: String,
    /// What is wrong, and what to do.
    pub message: String,
}

impl fmt::Display for ModelError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "origins.{}: {}: {}", self.origin, self.path, self.message)
    }
}

impl std::error::Error for ModelError {}
