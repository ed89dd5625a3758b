//! A request as an HTTP origin gets it: base path, `Host` by the origin's setting, framing.

use bodega_edge::fetch::{FetchAnswer, FetchError, FetchRequest};
use bodega_http1::{Codings, write};
use bodega_semantics::Fields;
use bodega_snapshot::{HostHeader, OriginKind};

use crate::attempts::{self, Outgoing};
use crate::gate::Turn;
use crate::origins::Origin;
use crate::pool::Lane;

/// What of a request its head is made of.
struct Wanted {
    method: String,
    path_and_query: String,
    client_authority: String,
    fields: Fields,
    /// `None` without a body, `Some(None)` for a chunked one.
    length: Option<Option<u64>>,
}

/// Sends `request` over `lane` and returns with the head of the final answer.
///
/// # Errors
/// When no attempt brought an answer.
pub(crate) async fn fetch(lane: &Lane, turn: Turn, request: FetchRequest) -> Result<FetchAnswer, FetchError> {
    let FetchRequest { method, path_and_query, client_authority, fields, body, interim, .. } = request;
    let codings = if request.by_the_letter { Codings::UntilClose } else { Codings::Strict };
    let is_clean = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_clean(&method) || !is_clean(&path_and_query) || !is_clean(&client_authority) {
        return Err(FetchError::internal("a request line that cannot be sent"));
    }
    let length = body.as_ref().map(|body| body.content_length);
    let mut outgoing = Outgoing::new(&method, &fields, body);
    outgoing.codings = codings;
    outgoing.interim = interim;
    let wanted = Wanted { method, path_and_query, client_authority, fields, length };
    attempts::send(lane, turn, outgoing, |out| write_head(out, lane.origin(), &wanted)).await
}

fn write_head(out: &mut Vec<u8>, origin: &Origin, wanted: &Wanted) {
    let (base_path, host_header) = match &origin.settings.kind {
        OriginKind::Http { base_path, host_header, .. } => (base_path.as_str(), host_header),
        OriginKind::S3 { .. } => ("", &HostHeader::Own),
    };
    let host = match host_header {
        HostHeader::Viewer if !wanted.client_authority.is_empty() => &wanted.client_authority,
        HostHeader::Named(name) => name,
        HostHeader::Own | HostHeader::Viewer => &origin.endpoint.authority,
    };
    out.extend_from_slice(wanted.method.as_bytes());
    out.push(b' ');
    if wanted.path_and_query != "*" {
        out.extend_from_slice(base_path.as_bytes());
    }
    out.extend_from_slice(wanted.path_and_query.as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\n");
    write::write_field(out, "Host", host.as_bytes());
    out.extend_from_slice(wanted.fields.as_block());
    match wanted.length {
        Some(Some(length)) => write::write_length(out, length),
        Some(None) => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
        // RFC 9110 section 8.6: of these methods a server expects a body, so its absence is said.
        None if matches!(wanted.method.as_str(), "POST" | "PUT" | "PATCH") => write::write_length(out, 0),
        None => {}
    }
    out.extend_from_slice(b"\r\n");
}
