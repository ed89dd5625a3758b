//! The key of a request in `Cache-Status`, for those who may know it (RFC 9211 section 2.7).
//!
//! `Bodega-Debug: key` asks for it. Nobody gets it but the networks of `debug_networks`: a key shows which parts of
//! other people's requests are looked at.

use std::net::IpAddr;
use std::sync::Arc;

use bodega_semantics::{Fields, Head, cache_status, forwarding};
use bodega_snapshot::Snapshot;

use crate::answer::{Answer, AnswerHead};
use crate::content::Content;
use crate::edge::Edge;
use crate::exchange::OwnedRequest;
use crate::explain;

/// The field that asks, lower case. It goes to no origin.
pub(crate) const FIELD: &str = "bodega-debug";
/// Longer keys are cut; the fingerprint stands before the rest.
const MAX_KEY_BYTES: usize = 1024;

/// Adds the key, where it is asked for by somebody who may.
pub(crate) fn add_key(
    answer: &mut Answer,
    edge: &Edge,
    snapshot: &Snapshot,
    request: &OwnedRequest,
    content: Option<&Arc<Content>>,
) {
    let AnswerHead::Built(fields) = &mut answer.head else { return };
    if !may_know(edge, &request.fields, request.peer) {
        return;
    }
    let body = content.map_or(&[][..], |content| content.bytes());
    let Some(key) = explain::explain(snapshot, &edge.settings, request, body).key else { return };
    let query = if key.query.is_empty() { String::new() } else { format!("?{}", key.query) };
    let scheme = key.scheme.map_or(String::new(), |scheme| format!("{scheme}://"));
    let mut text = format!("{:032x} {scheme}{}{}{query}", key.fingerprint, key.host, key.path);
    // Names alone: a page's script can read this field, and a cookie that is in the key may be a secret from it.
    for (name, _) in key.headers.iter().chain(&key.cookies) {
        text.push(' ');
        text.push_str(name);
    }
    text.retain(|character| character.is_ascii());
    text.truncate(MAX_KEY_BYTES);
    append(fields, &text);
}

/// Puts the parameter behind the last member, which is this edge's.
fn append(fields: &mut Fields, key: &str) {
    let mut lines: Vec<Vec<u8>> = fields.all("cache-status").map(<[u8]>::to_vec).collect();
    let Some(own) = lines.last_mut() else { return };
    cache_status::write_key(own, key);
    fields.remove("cache-status");
    for line in lines {
        fields.push("Cache-Status", &line);
    }
}

/// Whether the request asks for its key, and its client may know it.
pub(crate) fn may_know<H: Head + ?Sized>(edge: &Edge, head: &H, peer: IpAddr) -> bool {
    let settings = &edge.settings;
    head.first(FIELD).is_some_and(|value| value.eq_ignore_ascii_case(b"key"))
        && (settings.may_debug)(forwarding::client_address(head, peer, &settings.is_trusted_proxy))
}
