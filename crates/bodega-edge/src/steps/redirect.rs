//! A redirect or a fixed answer that the configuration names, and the redirect to HTTPS.

use std::fmt::Write as _;

use bodega_semantics::{Fields, Outcome, Reason};
use bodega_snapshot::Action;
use bytes::Bytes;

use crate::exchange::Exchange;
use crate::respond;
use crate::step::Step;

/// Answers as configured.
pub(crate) fn run(exchange: &mut Exchange<'_>) -> Step {
    let request = exchange.request;
    if exchange.reason == Reason::ViewerProtocol {
        return to_https(exchange);
    }
    let Some(behavior) = exchange.behavior else { return exchange.refuse(Reason::Internal) };
    let mut answer = match &behavior.action {
        Action::Redirect { status, location } => {
            let mut fields = Fields::new();
            let host = if request.authority.is_empty() { exchange.host.as_str() } else { request.authority };
            let target = location.render(host, request.path, request.query);
            fields.push("Location", target.as_bytes());
            respond::own(*status, fields, Bytes::new(), request.method, Outcome::Redirect, Reason::Configured)
        }
        Action::Answer { status, fields, body } => {
            let body = Bytes::copy_from_slice(body);
            respond::own(*status, fields.clone(), body, request.method, Outcome::Answer, Reason::Configured)
        }
        Action::Origin(_) => return exchange.refuse(Reason::Internal),
    };
    respond::sign(&mut answer, &exchange.worker.edge, Some(behavior));
    exchange.answer = Some(answer);
    Step::Finish
}

/// The same URL with HTTPS. A GET may be remembered as moved; all else is sent again as it is, each time anew.
fn to_https(exchange: &mut Exchange<'_>) -> Step {
    let request = exchange.request;
    let settings = &exchange.worker.edge.settings;
    let status = if matches!(request.method, "GET" | "HEAD") { 301 } else { 307 };
    // Who names no port has come to port 80, though this edge may listen behind it elsewhere: then its TLS is behind
    // 443 alike. A proxy's ports are not this edge's.
    let is_direct = exchange.host.has_port() && !(settings.is_trusted_proxy)(request.peer);
    let mut location = format!("https://{}", exchange.host.as_str());
    if let Some(port) = settings.https_port.filter(|port| is_direct && *port != 443) {
        let _ = write!(location, ":{port}");
    }
    // `*` is the server as a whole (RFC 9112 section 3.2.4).
    location.push_str(if request.path == "*" { "/" } else { request.path });
    if let Some(query) = request.query {
        location.push('?');
        location.push_str(query);
    }
    let mut fields = Fields::new();
    fields.push("Location", location.as_bytes());
    let mut answer =
        respond::own(status, fields, Bytes::new(), request.method, Outcome::Redirect, Reason::ViewerProtocol);
    respond::sign(&mut answer, &exchange.worker.edge, None);
    exchange.answer = Some(answer);
    Step::Finish
}
