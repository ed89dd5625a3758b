//! Asks the origin for this client alone.

use bodega_semantics::{Outcome, Reason};
use bodega_snapshot::Action;
use bodega_store::Note;

use crate::exchange::{Found, Journey};
use crate::fetch::FetchError;
use crate::posted;
use crate::step::Step;
use crate::upstream::{self, Purpose};

/// Sends the request, with its body.
pub(crate) async fn run(journey: &mut Journey) -> Step {
    let Some(behavior) = journey.pending.behavior.clone() else { return Step::Refuse };
    let Action::Origin(origin) = &behavior.action else { return Step::Refuse };
    let edge = &journey.worker.edge;
    let purpose = if journey.passes { Purpose::Pass } else { Purpose::Alone };
    let mut fetch = upstream::request(&edge.settings, &behavior, &journey.request, purpose);
    fetch.body = match &journey.pending.content {
        Some(content) => Some(content.body()),
        None => journey.body.take(),
    };
    fetch.interim.clone_from(&journey.interim);
    let outcome = if journey.passes { Outcome::Pass } else { Outcome::Miss };
    let may_be_kept = posted::may_be_kept(&behavior, &journey.request);
    let (request_time, stamp) = (journey.worker.now(), edge.invalidations.sequence());
    match journey.worker.fetch.fetch(origin, fetch).await {
        Ok(mut answer) => {
            // What was forgotten meanwhile by somebody else was not made after that.
            let may_be_kept = may_be_kept && edge.invalidations.allows_to_join(stamp, Note(&journey.pending.note));
            // The behavior has declared that these change nothing.
            if !behavior.keys_body_of(&journey.request.method) {
                edge.heed_change(&journey.request, &answer);
            }
            if may_be_kept {
                match posted::keep(journey, &behavior, origin, answer, request_time).await {
                    Some(alone) => answer = alone,
                    None => return Step::Deliver,
                }
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
