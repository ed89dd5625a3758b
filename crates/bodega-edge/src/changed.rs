//! What an unsafe request makes this edge forget: RFC 9111 section 4.4.
//!
//! By stamps, like every invalidation: a fill that began before the answer came never brings back what it replaced.

use bodega_semantics::affected::{self, Asked};
use bodega_semantics::key;

use crate::edge::Edge;
use crate::exchange::OwnedRequest;
use crate::fetch::FetchAnswer;

impl Edge {
    /// Forgets the target and what the answer names, if the method may have changed something and did not fail.
    /// By host and path, since a request that passes has no key of its own.
    pub(crate) fn heed_change(&self, request: &OwnedRequest, answer: &FetchAnswer) {
        if !is_unsafe(&request.method) || !(200..400).contains(&answer.status) {
            return;
        }
        let host = key::normalize_host(&request.authority);
        let asked = Asked {
            scheme: self.settings.scheme(&request.fields, request.peer, request.https).name(),
            authority: &request.authority,
            path: &request.path,
        };
        let snapshot = self.snapshot.load();
        let mut targets = self.url_targets(&snapshot, &host, &request.path, None);
        targets.extend(self.groups_to_forget(&host, answer));
        for (path, query) in affected::named(&asked, &answer.fields) {
            targets.extend(self.url_targets(&snapshot, &host, &path, query.as_deref()));
        }
        self.forget(targets, self.now());
    }
}

/// RFC 9110 section 9.2.1: all that is not known to be safe. QUERY is (draft-ietf-httpbis-safe-method-w-body).
fn is_unsafe(method: &str) -> bool {
    !matches!(method, "GET" | "HEAD" | "OPTIONS" | "TRACE" | "QUERY")
}
