//! The key of a request, in one place for those who look it up, invalidate it and explain it.

use std::borrow::Cow;
use std::sync::Arc;

use bodega_semantics::forwarding::Scheme;
use bodega_semantics::key::{self, KeyParts, KeySecret};
use bodega_semantics::path::Paths;
use bodega_semantics::{Head, Key};
use bodega_snapshot::{Behavior, Distribution};
use bodega_store::Note;

use crate::exchange::Host;

/// What a key is made of, beside the fields of the request.
pub(crate) struct Keying<'a> {
    pub(crate) behavior: &'a Behavior,
    /// Where the origin is told it. Invalidations know no schemes.
    pub(crate) scheme: Option<Scheme>,
    /// The host, or the distribution's name where the host is not in the key.
    pub(crate) host: &'a str,
    /// The same with a port that is not the scheme's own. Invalidations know no ports.
    pub(crate) authority: &'a str,
    pub(crate) path: &'a str,
    pub(crate) query: Cow<'a, str>,
}

impl<'a> Keying<'a> {
    pub(crate) fn of(
        distribution: &'a Distribution,
        behavior: &'a Behavior,
        scheme: Scheme,
        host: &'a Host,
        paths: &'a Paths<'_>,
        query: Option<&'a str>,
    ) -> Self {
        let rules = &behavior.policy.key;
        Self {
            behavior,
            scheme: behavior.tells_scheme.then_some(scheme),
            host: if rules.host { host.as_str() } else { &distribution.name },
            authority: if rules.host { host.with_port() } else { &distribution.name },
            path: &paths.normal,
            query: key::keyed_query(rules, query.unwrap_or_default()),
        }
    }

    pub(crate) fn key<H: Head + ?Sized>(&self, secret: &KeySecret, request: &H) -> Key {
        let parts = KeyParts {
            scope: self.behavior.scope,
            scheme: self.scheme.map_or(key::SCHEME_UNTOLD, |scheme| scheme.told),
            host: self.authority,
            path: self.path,
            query: &self.query,
        };
        key::key(secret, &parts, &self.behavior.policy.key, request)
    }

    /// What it is in words: the distribution, and the URL as the key has it.
    pub(crate) fn note(&self, distribution: &Distribution) -> Arc<[u8]> {
        let query = if self.query.is_empty() { "" } else { "?" };
        Note::write(&distribution.name, &[self.host, self.path, query, &self.query].concat(), []).into()
    }
}
