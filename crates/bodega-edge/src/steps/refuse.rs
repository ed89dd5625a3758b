//! An answer of the edge's own: what it refuses, and what an origin did not give.
//!
//! Short, never cached, with the request's id; failures of an origin carry `Proxy-Status` (RFC 9209).

use bodega_semantics::{Fields, Outcome, Reason};

use crate::answer::{Answer, AnswerHead};
use crate::bearer;
use crate::edge::Edge;
use crate::exchange::{Exchange, Found, Journey};
use crate::respond;
use crate::step::Step;
use crate::steps::options::METHODS;

/// Refuses before anything was asked.
pub(crate) fn run(exchange: &mut Exchange<'_>) -> Step {
    let request = exchange.request;
    let edge = &exchange.worker.edge;
    let mut answer = refusal(edge, request.method, exchange.reason, None, None);
    let challenge = bearer::challenge(&edge.settings.name, exchange.reason, exchange.token_fault);
    if let (Some(challenge), AnswerHead::Built(fields)) = (challenge, &mut answer.head) {
        fields.push("WWW-Authenticate", challenge.as_bytes());
    }
    exchange.answer = Some(answer);
    Step::Finish
}

/// Refuses after an origin was asked, or could not be.
pub(crate) fn run_late(journey: &mut Journey) -> Step {
    let edge = &journey.worker.edge;
    let (reason, message, retry_after) = match std::mem::replace(&mut journey.found, Found::Nothing) {
        Found::Failed(error) => (error.reason, Some(error.message), error.retry_after_seconds),
        _ => (Reason::Internal, None, None),
    };
    let mut answer = refusal(edge, &journey.request.method, reason, message.as_deref(), retry_after);
    if answer.status >= 500 {
        answer.outcome = Outcome::Error;
    }
    journey.answer = Some(answer);
    Step::Finish
}

/// The answer for a request that was refused by a front before the machine saw it.
#[must_use]
pub fn refusal(edge: &Edge, method: &str, reason: Reason, detail: Option<&str>, retry_after: Option<u32>) -> Answer {
    let (status, what) = explanation(reason);
    let id = edge.next_request_id();
    let mut fields = Fields::new();
    fields.push("Cache-Control", b"no-store");
    fields.push("X-Request-Id", id.as_bytes());
    if let Some(error) = proxy_status(reason) {
        // RFC 9209 section 2.3. The detail stays in the log: it names origins that are nobody's business.
        let name = &edge.settings.name;
        fields.push("Proxy-Status", format!("{}; error={error}", token_or_string(name)).as_bytes());
    }
    if let Some(seconds) = retry_after {
        fields.push("Retry-After", seconds.to_string().as_bytes());
    }
    if reason == Reason::MethodRefused {
        fields.push("Allow", METHODS.join(", ").as_bytes());
    }
    let body = respond::explain(status, what, &id);
    // A 5xx for what the client asked for is a refusal: nothing has failed.
    let is_refusal = status < 500 || matches!(reason, Reason::Loop | Reason::Upgrade | Reason::OnlyIfCached);
    let outcome = if is_refusal { Outcome::Refused } else { Outcome::Error };
    let mut answer = respond::own(status, fields, body, method, outcome, reason);
    respond::sign(&mut answer, edge, None);
    if let Some(detail) = detail {
        edge.report_failure(&id, reason, detail);
    }
    answer
}

fn explanation(reason: Reason) -> (u16, &'static str) {
    match reason {
        Reason::UnknownHost => (421, "this edge does not serve that host"),
        Reason::NoBehavior => (404, "nothing is configured for this path and method"),
        Reason::TokenMissing => (401, "this is for those who present a token"),
        Reason::TokenUnknown => (401, "the token is none that is known here"),
        Reason::Network => (403, "not from this network"),
        Reason::ViewerProtocol => (403, "with HTTPS only"),
        Reason::MethodRefused => (405, "this method is not forwarded"),
        Reason::Upgrade => (501, "protocol upgrades are not forwarded"),
        Reason::UnsafePath => (400, "the path has segments of dots or escapes that are none"),
        Reason::Malformed => (400, "the request is malformed"),
        Reason::Limit => (413, "the request is over a limit"),
        Reason::Loop => (508, "the request has come round to this edge again"),
        Reason::OnlyIfCached => (504, "not stored, and only-if-cached was asked for"),
        Reason::OriginConnect => (502, "the origin cannot be reached"),
        Reason::OriginName => (502, "the origin's name cannot be resolved"),
        Reason::OriginTls => (502, "no secure connection to the origin"),
        Reason::OriginTimeout => (504, "the origin did not answer in time"),
        Reason::OriginMalformed => (502, "the origin's answer was malformed"),
        Reason::OriginBroken => (502, "the origin broke off"),
        Reason::OriginBusy => (503, "the origin has too many requests under way"),
        Reason::OriginPaced => (503, "what is stored has to be confirmed first, and others wait for that already"),
        Reason::OriginDown => (503, "the origin does not answer and is given a rest"),
        Reason::ClientGone => (400, "the request was not sent whole"),
        _ => (500, "the edge failed"),
    }
}

/// RFC 9209 section 2.3: proxy error types.
fn proxy_status(reason: Reason) -> Option<&'static str> {
    Some(match reason {
        Reason::OriginConnect => "connection_refused",
        Reason::OriginName => "dns_error",
        Reason::OriginTls => "tls_protocol_error",
        Reason::OriginTimeout => "http_response_timeout",
        Reason::OriginMalformed => "http_protocol_error",
        Reason::OriginBroken => "http_response_incomplete",
        Reason::OriginBusy | Reason::OriginPaced => "connection_limit_reached",
        Reason::OriginDown => "destination_unavailable",
        Reason::Loop => "proxy_loop_detected",
        Reason::Internal => "proxy_internal_error",
        Reason::UnknownHost => "destination_not_found",
        _ => return None,
    })
}

fn token_or_string(name: &str) -> String {
    let is_token = name.as_bytes().first().is_some_and(u8::is_ascii_alphabetic)
        && name.bytes().all(bodega_semantics::fields::is_token_byte);
    if is_token { name.to_owned() } else { format!("\"{}\"", name.replace(['\\', '"'], "")) }
}
