//! The whole configuration, and how a host finds its distribution.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::behavior::{Authorization, Behavior};
use crate::compile::{self, MAX_HOST_BYTES};
use crate::error::SnapshotError;
use crate::hsts::Hsts;
use crate::jwt::Jwt;
use crate::model::{Model, ModelGroup};
use crate::origin::{Origin, OriginGroup};
use crate::tokens::Tokens;

/// The compiled configuration.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// A number that only grows.
    pub revision: u64,
    /// All origins.
    pub origins: Vec<Arc<Origin>>,
    /// All groups of them.
    pub groups: Vec<Arc<OriginGroup>>,
    /// All models that stand where origins do.
    pub models: Vec<Arc<Model>>,
    /// All groups of them.
    pub model_groups: Vec<Arc<ModelGroup>>,
    pub(crate) exact: HashMap<String, Arc<Distribution>>,
    /// By `.suffix`.
    pub(crate) wildcards: HashMap<String, Arc<Distribution>>,
    pub(crate) any: Option<Arc<Distribution>>,
}

/// Some hosts and their behaviors.
#[derive(Clone, Debug)]
pub struct Distribution {
    /// Its name.
    pub name: String,
    /// What clients without HTTPS get.
    pub viewer_protocol: ViewerProtocol,
    /// What clients with HTTPS are told about doing so again.
    pub hsts: Option<Arc<Hsts>>,
    /// In order; the first that matches counts.
    pub behaviors: Vec<Arc<Behavior>>,
}

/// What a client gets that came without HTTPS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ViewerProtocol {
    /// The same as others.
    AllowAll,
    /// A redirect to the same URL with HTTPS.
    RedirectToHttps,
    /// 403.
    HttpsOnly,
}

impl Snapshot {
    /// The files of tokens that behaviors name, and who wants to know what they hold.
    #[must_use]
    pub fn token_files(&self) -> BTreeMap<&str, Vec<&Tokens>> {
        by_file(self.tokens().filter_map(|tokens| Some((tokens.file.as_deref()?, tokens))))
    }

    /// The files of the keys by which tokens are signed, and who wants to know what they hold.
    #[must_use]
    pub fn key_files(&self) -> BTreeMap<&str, Vec<&Jwt>> {
        by_file(self.tokens().filter_map(|tokens| tokens.jwt.as_ref()).map(|jwt| (jwt.keys.as_str(), jwt)))
    }

    fn tokens(&self) -> impl Iterator<Item = &Tokens> {
        let distributions = self.exact.values().chain(self.wildcards.values()).chain(&self.any);
        distributions.flat_map(|distribution| &distribution.behaviors).filter_map(|behavior| {
            match &behavior.authorization {
                Authorization::Edge(tokens) => Some(&**tokens),
                Authorization::Pass | Authorization::Key => None,
            }
        })
    }

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
        self.exact.get(host).or_else(|| self.wildcard(host)).or(self.any.as_ref())
    }

    /// From the longest suffix to the shortest: one look a label, however many distributions there are. What is longer
    /// than a name can be is not looked at, since it could hold very many labels.
    fn wildcard(&self, host: &str) -> Option<&Arc<Distribution>> {
        if self.wildcards.is_empty() || host.len() > MAX_HOST_BYTES {
            return None;
        }
        host.match_indices('.').filter(|(at, _)| *at > 0).find_map(|(at, _)| self.wildcards.get(&host[at..]))
    }
}

impl Distribution {
    /// The first behavior that matches a path as `bodega_semantics::path::Paths::matched` has it.
    #[inline]
    #[must_use]
    pub fn behavior(&self, method: &str, path: &str) -> Option<&Arc<Behavior>> {
        self.behaviors.iter().find(|behavior| behavior.matches(method, path))
    }
}

fn by_file<'a, T>(named: impl Iterator<Item = (&'a str, &'a T)>) -> BTreeMap<&'a str, Vec<&'a T>> {
    let mut files: BTreeMap<&str, Vec<&T>> = BTreeMap::new();
    for (file, who) in named {
        files.entry(file).or_default().push(who);
    }
    files
}
