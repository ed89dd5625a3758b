//! Turns what was found into an answer for this client.

use std::sync::Arc;

use bodega_semantics::{Outcome, Reason};

use crate::debug;
use crate::exchange::{Found, Journey};
use crate::inquiry::Inquiry;
use crate::respond::{self, For, Said};
use crate::resume::Resume;
use crate::step::Step;

/// Builds the answer.
pub(crate) fn run(journey: &mut Journey) -> Step {
    let Some(behavior) = &journey.pending.behavior else { return Step::Refuse };
    let edge = &journey.worker.edge;
    let request = &journey.request;
    let now = journey.worker.now();
    let client = For { edge, behavior, method: &request.method, request: &request.fields, now };
    let said = |outcome, reason| Said {
        outcome,
        reason,
        fwd_status: None,
        stored: false,
        collapsed: false,
        ttl_seconds: None,
    };
    let inquiry = || Inquiry {
        worker: Arc::clone(&journey.worker),
        behavior: Arc::clone(behavior),
        request: Arc::clone(request),
    };
    let reason = journey.pending.reason;
    journey.answer = Some(match std::mem::replace(&mut journey.found, Found::Nothing) {
        Found::Entry { entry, outcome, reason, fwd_status, stored, collapsed, withheld } => {
            let said = Said { fwd_status, stored, collapsed, ..said(outcome, reason) };
            let answer = respond::from_entry(&client, entry, said).with_disk(inquiry);
            match withheld {
                Some(head) => respond::with_own_fields(answer, &head),
                None => answer,
            }
        }
        Found::Live { mut reader, head, outcome } => {
            if let Some(resume) = Resume::new(inquiry(), &head) {
                reader.set_resume(resume);
            }
            let said = Said { collapsed: outcome == Outcome::Collapsed, ..said(outcome, reason) };
            let answer = respond::from_live(&client, reader, &head, said);
            if outcome == Outcome::Miss { respond::with_own_fields(answer, &head) } else { answer }
        }
        Found::Alone { answer, outcome } => {
            respond::from_origin(edge, behavior, &request.method, answer, said(outcome, reason))
        }
        Found::Nothing | Found::Failed(_) => {
            journey.pending.reason = Reason::Internal;
            return Step::Refuse;
        }
    });
    if let Some(answer) = &mut journey.answer {
        debug::add_key(answer, edge, &journey.pending.snapshot, request, journey.pending.content.as_ref());
    }
    Step::Finish
}
