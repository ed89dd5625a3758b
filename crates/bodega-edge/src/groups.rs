//! Cache groups (RFC 9875): forgetting what carries a group, and not using what has been forgotten so.
//!
//! Stored answers keep their groups in their head; they are read only for answers that have any, and only if a group
//! has been invalidated since.

use bodega_semantics::groups::{self, GROUPS, INVALIDATION};
use bodega_store::Entry;

use crate::edge::Edge;
use crate::exchange::Exchange;
use crate::fetch::FetchAnswer;

impl Edge {
    /// Forgets the groups that an answer of `host` names. As with URLs, entries go by the distribution's name where the
    /// host is not in the key.
    pub(crate) fn invalidate_groups(&self, host: &str, answer: &FetchAnswer) {
        let snapshot = self.snapshot.load();
        let distribution = snapshot.distribution(host).map(|distribution| distribution.name.as_str());
        for scope in [Some(host), distribution].into_iter().flatten() {
            for mark in groups::marks(&self.settings.secret, scope, &answer.fields, INVALIDATION) {
                self.invalidations.invalidate_group(mark);
            }
        }
    }

    /// Whether an entry may be used where it is not known whose it is: not if any group has been invalidated since it
    /// was asked for. That is too seldom, and never too often.
    pub(crate) fn allows_groups(&self, entry: &Entry) -> bool {
        !entry.has_groups || self.invalidations.allows_every_group(entry.stamp)
    }
}

impl Exchange<'_> {
    /// Whether what was found under this request's key has been forgotten by none of its groups.
    pub(crate) fn allows_groups(&self, entry: &Entry) -> bool {
        let edge = &self.worker.edge;
        edge.allows_groups(entry) || {
            let in_key = self.behavior.is_none_or(|behavior| behavior.policy.key.host);
            let name = self.distribution.filter(|_| !in_key).map(|distribution| distribution.name.as_str());
            groups::marks(&edge.settings.secret, name.unwrap_or(self.host.as_str()), entry, GROUPS)
                .into_iter()
                .all(|mark| edge.invalidations.allows_group(entry.stamp, mark))
        }
    }
}
