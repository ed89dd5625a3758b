//! A redirect or a fixed answer that the configuration names.

use bodega_semantics::{Fields, Outcome, Reason};
use bodega_snapshot::Action;
use bytes::Bytes;

use crate::exchange::Exchange;
use crate::respond;
use crate::step::Step;

/// Answers as configured.
pub(crate) fn run(exchange: &mut Exchange<'_>) -> Step {
    let request = exchange.request;
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
