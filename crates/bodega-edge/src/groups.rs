//! Cache groups (RFC 9875): forgetting what carries a group.
//!
//! Stored answers keep their groups in their head; they are read only for answers that have any, and only if a group
//! has been invalidated since.

use bodega_semantics::groups::{self, INVALIDATION};
use bodega_store::invalidate::event::Target;

use crate::edge::Edge;
use crate::fetch::FetchAnswer;

impl Edge {
    /// The groups that an answer of `host` wants forgotten. As with URLs, entries go by the distribution's name where the
    /// host is not in the key.
    pub(crate) fn groups_to_forget(&self, host: &str, answer: &FetchAnswer) -> Vec<Target> {
        let snapshot = self.snapshot.load();
        let distribution = snapshot.distribution(host).map(|distribution| distribution.name.as_str());
        let marks = |scope| groups::marks(&self.settings.secret, scope, &answer.fields, INVALIDATION);
        [Some(host), distribution].into_iter().flatten().flat_map(marks).map(Target::Group).collect()
    }
}
