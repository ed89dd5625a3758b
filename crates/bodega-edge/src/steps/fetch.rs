//! Asks the origin for this client alone.

use bodega_semantics::{Outcome, Reason, key};
use bodega_snapshot::Action;

use crate::exchange::{Found, Journey};
use crate::fetch::FetchError;
use crate::step::Step;
use crate::upstream::{self, Purpose};

/// Sends the request, with its body.
pub(crate) async fn run(journey: &mut Journey) -> Step {
    let Some(behavior) = journey.pending.behavior.clone() else { return Step::Refuse };
    let Action::Origin(origin) = &behavior.action else { return Step::Refuse };
    let edge = &journey.worker.edge;
    let purpose = if journey.passes { Purpose::Pass } else { Purpose::Alone };
    let mut fetch = upstream::request(edge, &behavior, &journey.request, purpose);
    fetch.body = journey.body.take();
    let outcome = if journey.passes { Outcome::Pass } else { Outcome::Miss };
    match journey.worker.fetch.fetch(origin, fetch).await {
        Ok(answer) => {
            if is_unsafe(&journey.request.method) && (200..400).contains(&answer.status) {
                // RFC 9111 section 4.4: what an unsafe request has changed must be asked for anew.
                // By host and path, since a request that passes has no key of its own.
                let host = key::normalize_host(&journey.request.authority);
                edge.invalidate_url(&host, &journey.request.path, None);
            }
            if answer.status == 101 {
                let error = FetchError::new(Reason::OriginMalformed, "the origin switched protocols unasked");
                journey.found = Found::Failed(error);
                return Step::Refuse;
            }
            journey.found = Found::Alone { answer, outcome };
            Step::Deliver
        }
        Err(error) => {
            journey.found = Found::Failed(error);
            Step::Refuse
        }
    }
}

fn is_unsafe(method: &str) -> bool {
    !matches!(method, "GET" | "HEAD" | "OPTIONS" | "TRACE")
}
