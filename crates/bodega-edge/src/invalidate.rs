//! Forgetting by selector: everything, or a URL.

use std::fmt;

use bodega_semantics::key;
use bodega_semantics::path::Paths;

use crate::edge::Edge;

/// What is to be forgotten.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selector {
    /// Everything.
    All,
    /// One URL: with a query exactly that one, without a query the path with every query.
    Url {
        /// The host, lower case, without port.
        host: String,
        /// The path.
        path: String,
        /// The query, if the URL has one.
        query: Option<String>,
    },
}

/// A selector that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelectorError(String);

impl fmt::Display for SelectorError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for SelectorError {}

impl Selector {
    /// Reads `all` or a URL.
    ///
    /// # Errors
    /// When it is neither; the message says what would be right.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        if text == "all" {
            return Ok(Self::All);
        }
        let Some((_, rest)) = text.split_once("://").filter(|(scheme, _)| matches!(*scheme, "http" | "https")) else {
            return Err(SelectorError(format!(
                "selector {text:?} is neither `all` nor a URL such as `https://shop.example.com/images/a.webp`"
            )));
        };
        let rest = rest.split('#').next().unwrap_or_default();
        let (authority, target) = rest.find(['/', '?']).map_or((rest, "/"), |at| rest.split_at(at));
        let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
        let host = key::normalize_host(authority).into_owned();
        // A port or a dot alone is no host either: nothing would be forgotten, and nobody told.
        if host.is_empty() {
            return Err(SelectorError(format!("selector {text:?} names no host")));
        }
        Ok(Self::Url {
            host,
            path: if path.is_empty() { "/".to_owned() } else { path.to_owned() },
            query: query.map(ToOwned::to_owned),
        })
    }
}

impl Edge {
    /// Forgets what `selectors` name, in order. Returns the number of the last event.
    pub fn invalidate(&self, selectors: &[Selector]) -> u64 {
        let mut sequence = self.invalidations.sequence();
        for selector in selectors {
            sequence = match selector {
                Selector::All => self.invalidations.invalidate_all(),
                Selector::Url { host, path, query } => self.invalidate_url(host, path, query.as_deref()),
            };
        }
        sequence
    }

    pub(crate) fn invalidate_url(&self, host: &str, path: &str, query: Option<&str>) -> u64 {
        // A path that is refused has no entries under any form of it.
        let paths = Paths::of(path).unwrap_or(Paths::NONE);
        let path = &*paths.normal;
        let snapshot = self.snapshot.load();
        let distribution = snapshot.distribution(host);
        // Where the host is not in the key, entries go by the distribution's name.
        let scopes = [Some(host), distribution.map(|distribution| distribution.name.as_str())];
        let behavior = distribution.and_then(|distribution| distribution.behavior("GET", paths.matched()));
        let mut sequence = self.invalidations.sequence();
        for scope in scopes.into_iter().flatten() {
            let mark = match query {
                None => key::url_marks(&self.settings.secret, scope, path, "").path,
                Some(query) => {
                    // What the behavior leaves out of the key is left out of the identity, too.
                    let kept = behavior.map_or(query.into(), |behavior| key::keyed_query(&behavior.policy.key, query));
                    key::url_marks(&self.settings.secret, scope, path, &kept).url
                }
            };
            sequence = self.invalidations.invalidate_mark(mark);
        }
        sequence
    }
}
