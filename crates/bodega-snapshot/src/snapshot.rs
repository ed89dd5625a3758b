//! The whole configuration, and how a host finds its distribution.

use std::collections::HashMap;
use std::sync::Arc;

use crate::behavior::Behavior;
use crate::compile::{self, SnapshotError};
use crate::origin::Origin;

/// The compiled configuration.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// A number that only grows.
    pub revision: u64,
    /// All origins.
    pub origins: Vec<Arc<Origin>>,
    pub(crate) exact: HashMap<String, Arc<Distribution>>,
    /// `.suffix`, the longest first.
    pub(crate) wildcards: Vec<(String, Arc<Distribution>)>,
    pub(crate) any: Option<Arc<Distribution>>,
}

/// Some hosts and their behaviors.
#[derive(Clone, Debug)]
pub struct Distribution {
    /// Its name.
    pub name: String,
    /// In order; the first that matches counts.
    pub behaviors: Vec<Arc<Behavior>>,
}

impl Snapshot {
    /// Compiles the JSON document.
    ///
    /// # Errors
    /// When anything in it is not valid; nothing is guessed.
    pub fn from_json(text: &str) -> Result<Self, SnapshotError> {
        compile::compile(text)
    }

    /// The distribution of `host` (lower case, without port): an exact name, the longest wildcard, then `*`.
    #[inline]
    #[must_use]
    pub fn distribution(&self, host: &str) -> Option<&Arc<Distribution>> {
        if self.exact.is_empty() && self.wildcards.is_empty() {
            return self.any.as_ref();
        }
        self.exact
            .get(host)
            .or_else(|| {
                self.wildcards
                    .iter()
                    .find(|(suffix, _)| host.len() > suffix.len() && host.ends_with(suffix.as_str()))
                    .map(|(_, distribution)| distribution)
            })
            .or(self.any.as_ref())
    }
}

impl Distribution {
    /// The first behavior that matches.
    #[inline]
    #[must_use]
    pub fn behavior(&self, method: &str, path: &str) -> Option<&Arc<Behavior>> {
        self.behaviors.iter().find(|behavior| behavior.matches(method, path))
    }
}
