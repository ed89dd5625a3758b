//! `OPTIONS` that goes no further: the edge answers for itself (RFC 9110 sections 7.6.2 and 9.3.7).

use bodega_semantics::{Fields, Outcome, Reason};
use bytes::Bytes;

use crate::exchange::Exchange;
use crate::respond;
use crate::step::Step;

/// Says which methods go anywhere from here.
pub(crate) fn run(exchange: &mut Exchange<'_>) -> Step {
    let (Some(distribution), Some(behavior)) = (exchange.distribution, exchange.behavior) else {
        return exchange.refuse(Reason::Internal);
    };
    let path = exchange.paths.matched();
    let takes = |method: &&str| distribution.behavior(method, path).is_some();
    let methods: Vec<&str> = METHODS.iter().copied().filter(takes).collect();
    let mut fields = Fields::new();
    fields.push("Allow", methods.join(", ").as_bytes());
    let method = exchange.request.method;
    let mut answer = respond::own(204, fields, Bytes::new(), method, Outcome::Answer, Reason::MaxForwards);
    respond::sign(&mut answer, &exchange.worker.edge, Some(behavior));
    exchange.answer = Some(answer);
    Step::Finish
}

/// The methods that `refuse` names as well.
pub(crate) const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
