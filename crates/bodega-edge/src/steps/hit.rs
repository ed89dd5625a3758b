//! Answers from the store. Nothing is allocated for a plain GET: the entry's prebuilt head goes out as it is.

use std::sync::Arc;

use bodega_semantics::{Head, Outcome, Reason};
use bodega_snapshot::Hsts;
use bodega_store::Entry;

use crate::answer::{Answer, AnswerHead, BodyPlan};
use crate::exchange::{Exchange, Journey, OwnedRequest};
use crate::inquiry::Inquiry;
use crate::respond::{self, For, Said};
use crate::step::Step;
use crate::{debug, joining};

/// Answers with the entry that `lookup` found.
pub(crate) fn run(exchange: &mut Exchange<'_>) -> Step {
    let (Some(entry), Some(hit), Some(behavior)) = (exchange.entry.take(), exchange.hit, exchange.behavior) else {
        return exchange.refuse(Reason::Internal);
    };
    if matches!(hit.reason, Reason::WhileRevalidate | Reason::EarlyRefresh) {
        exchange.reason = hit.reason;
        refresh_in_background(exchange, &entry);
    }
    let hsts = exchange.hsts();
    let plain = (exchange.request.method == "GET" || exchange.content.is_some())
        && hit.outcome == Outcome::Hit
        && behavior.response_edits.is_empty()
        // The distribution's word replaces the origin's, which a prebuilt head holds.
        && (hsts.is_none() || !entry.has(Hsts::FIELD))
        && !entry.is_on_disk()
        && !exchange.asks_for_part_or_condition();
    exchange.answer = Some(if plain {
        let n_bytes = entry.body().len();
        Answer {
            status: entry.status,
            head: AnswerHead::Stored { age_seconds: hit.age_seconds, ttl_seconds: hit.ttl_seconds, hsts },
            content_length: (entry.status != 204).then_some(n_bytes),
            body: BodyPlan::Stored { entry, from: 0, to: n_bytes },
            outcome: hit.outcome,
            reason: hit.reason,
        }
    } else {
        let said = Said {
            outcome: hit.outcome,
            reason: hit.reason,
            fwd_status: None,
            stored: false,
            collapsed: false,
            ttl_seconds: None,
        };
        let client = For {
            edge: &exchange.worker.edge,
            behavior,
            method: exchange.request.method,
            request: exchange.request,
            now: exchange.now,
        };
        let mut answer = respond::from_entry(&client, entry, said).with_disk(|| Inquiry {
            worker: Arc::clone(exchange.worker),
            behavior: Arc::clone(behavior),
            request: Arc::new(OwnedRequest::copy_of(exchange.request)),
        });
        if debug::may_know(&exchange.worker.edge, exchange.request, exchange.request.peer) {
            let request = OwnedRequest::copy_of(exchange.request);
            debug::add_key(&mut answer, &exchange.worker.edge, exchange.snapshot, &request, exchange.content);
        }
        answer
    });
    Step::Finish
}

/// Validates while the client is answered with what is stored (RFC 5861 section 3, and `refresh_every`); one question
/// for all.
fn refresh_in_background(exchange: &Exchange<'_>, entry: &Entry) {
    if exchange.worker.edge.collapse.under_way(exchange.key).is_some() {
        return;
    }
    let pending = exchange.pending_for(Step::Revalidate, Some(entry.clone()));
    let request = OwnedRequest::copy_of(exchange.request);
    drop(joining::enter(&mut Journey::new(Arc::clone(exchange.worker), request, pending)));
}
