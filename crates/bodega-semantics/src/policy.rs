//! What a behavior's policy says to the decisions: TTL bounds, the key, what is forwarded.
//! `bodega-snapshot` builds it from the configuration; nothing here reads one.

use std::time::Duration;

use crate::tags::TagRule;

/// A compiled cache policy. Every default has been filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The policy's name, for messages.
    pub name: String,
    /// False: forward everything, store nothing (`policy = "none"`).
    pub store: bool,
    /// Whose word counts beside the origin's.
    pub mode: Mode,
    /// Lower bound of freshness for what may be stored.
    pub min_ttl: Duration,
    /// Freshness of answers that say nothing, if their status is heuristically cacheable; the most that a guess from
    /// `Last-Modified` comes to.
    pub default_ttl: Duration,
    /// No default: answers that say nothing are fresh for a tenth of the age since `Last-Modified`, or not at all.
    pub heuristic_only: bool,
    /// Upper bound of freshness.
    pub max_ttl: Duration,
    /// Freshness by status for answers that say nothing, sorted by status.
    pub negative_ttl: Vec<(u16, Duration)>,
    /// Stale window while revalidating, when the answer names none (RFC 5861 section 3).
    pub stale_while_revalidate: Duration,
    /// Stale window on errors, when the answer names none (RFC 5861 section 4).
    pub stale_if_error: Duration,
    /// How long an edge that may have missed invalidations goes on using what is stored unasked (`reuse::confirmed`);
    /// `None`: as long as it is fresh.
    pub strict: Option<Duration>,
    /// From which age on what is asked for is validated in the background (`reuse::is_refreshed_early`); `None`: only
    /// once it has expired.
    pub refresh_every: Option<Duration>,
    /// What is in the key.
    pub key: KeyRules,
    /// What is sent to the origin although it is not in the key.
    pub forward: ForwardRules,
    /// What contradicts the extension of its path is not kept (`deception`).
    pub check_content_type: bool,
    /// Tags that answers get beside those they name.
    pub tags: Vec<TagRule>,
    /// Clients do not get the fields that name tags.
    pub strip_tags: bool,
    /// Larger bodies are streamed and not kept; `None`: the store's own bound.
    pub max_object_bytes: Option<u64>,
}

/// Whose word counts beside the origin's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// The edge is the origin's agent: what clients say about caching is not heeded, and what one mistake of an origin
    /// would make dangerous or expensive is not stored.
    #[default]
    Safe,
    /// RFC 9111 by the letter: the directives of requests are obeyed, and all is stored that may be.
    Rfc,
}

impl Mode {
    /// Whether this is `Rfc`.
    #[inline]
    #[must_use]
    pub const fn is_rfc(self) -> bool {
        matches!(self, Self::Rfc)
    }
}

/// Which query parameters are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QueryRule {
    /// None of them.
    None,
    /// The whole query.
    All,
    /// Only these names.
    Allow(Vec<String>),
    /// All but these names.
    Deny(Vec<String>),
}

/// What is in the key beside method class and path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRules {
    /// Query parameters in the key (and sent to the origin).
    pub query: QueryRule,
    /// Parameters are sorted by name before they are keyed and sent.
    pub sort_query: bool,
    /// Header names, lower case.
    pub headers: Vec<String>,
    /// Cookie names.
    pub cookies: Vec<String>,
    /// Whether the host is in the key.
    pub host: bool,
}

/// What goes to the origin though it is not in the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForwardRules {
    /// Query parameters.
    pub query: QueryRule,
    /// Header names, lower case. May hold `cookie` and `authorization`.
    pub headers: Vec<String>,
    /// Every header but `Cookie`. The origin says in `Vary` on which of them its answers depend: they name no user, but
    /// for `Authorization`.
    pub all_headers: bool,
    /// Cookie names.
    pub cookies: Vec<String>,
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// As the preset `web`, without lifetimes for failures.
    pub(crate) fn policy() -> Policy {
        Policy {
            name: "test".into(),
            store: true,
            mode: Mode::Safe,
            min_ttl: Duration::ZERO,
            default_ttl: Duration::from_secs(86_400),
            heuristic_only: false,
            max_ttl: Duration::from_secs(31_536_000),
            negative_ttl: vec![],
            stale_while_revalidate: Duration::ZERO,
            stale_if_error: Duration::ZERO,
            strict: None,
            refresh_every: None,
            key: KeyRules { query: QueryRule::All, sort_query: false, headers: vec![], cookies: vec![], host: true },
            forward: ForwardRules { query: QueryRule::None, headers: vec![], all_headers: false, cookies: vec![] },
            check_content_type: true,
            tags: vec![],
            strip_tags: true,
            max_object_bytes: None,
        }
    }
}
