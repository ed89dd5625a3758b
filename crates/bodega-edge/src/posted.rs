//! The answer to a POST that later GETs may get. RFC 9110 section 9.3.3.
//!
//! Only if the origin says two things: how long it is fresh, and by `Content-Location` that it is what a GET of the same
//! URL would get. A POST goes to the origin with all that it carries, so that its answer is one for a user if it names
//! one.

use std::sync::Arc;

use bodega_semantics::affected::{self, Asked};
use bodega_semantics::storable::RequestFacts;
use bodega_semantics::{Fields, Head, Timestamp, cache_control};
use bodega_snapshot::Behavior;

use crate::exchange::{Found, Journey, OwnedRequest};
use crate::fetch::FetchAnswer;
use crate::fill::Fill;
use crate::joining;
use crate::lead::{EndGuard, Lead};
use crate::upstream;

/// Whether a request may bring an answer for others.
pub(crate) fn may_be_kept(behavior: &Behavior, request: &OwnedRequest) -> bool {
    // Conditions and ranges of a POST are the origin's business; its answer is not weighed by them a second time.
    let is_plain = !request.fields.fields().any(|field| {
        let name = field.name.as_bytes();
        (name.len() > 3 && name[..3].eq_ignore_ascii_case(b"if-")) || name.eq_ignore_ascii_case(b"range")
    });
    // Where the body is in the key, what one brings is not what a GET gets.
    let is_plain = is_plain && !behavior.keys_body_of(&request.method);
    behavior.policy.mode.is_rfc() && behavior.policy.store && request.method == "POST" && is_plain
}

/// Whether the origin says that a GET would get this.
fn is_for_gets(journey: &Journey, answer: &FetchAnswer) -> bool {
    let request = &journey.request;
    let mut location = Fields::new();
    if let Some(said) = answer.fields.only("content-location") {
        location.push("Content-Location", said);
    }
    let scheme = journey.worker.edge.settings.scheme(&request.fields, request.peer, request.https).name();
    let asked = Asked { scheme, authority: &request.authority, path: &request.path };
    let names_target = affected::named(&asked, &location)
        .into_iter()
        .any(|(path, query)| path == request.path && query.as_deref() == request.query.as_deref());
    let (control, targeted) = cache_control::for_response(&answer.fields);
    let says_how_long =
        control.max_age.is_some() || control.s_maxage.is_some() || (!targeted && answer.fields.has("expires"));
    (200..300).contains(&answer.status) && names_target && says_how_long
}

/// Keeps the answer for GETs while the client reads along. Gives it back where it is for this client alone.
pub(crate) async fn keep(
    journey: &mut Journey,
    behavior: &Arc<Behavior>,
    origin: &Arc<str>,
    answer: FetchAnswer,
    request_time: Timestamp,
) -> Option<FetchAnswer> {
    if !is_for_gets(journey, &answer) {
        return Some(answer);
    }
    let worker = Arc::clone(&journey.worker);
    let pending = &journey.pending;
    // After the invalidation that this very request has caused.
    let stamp = worker.edge.invalidations.sequence();
    let fill = Arc::new(Fill::new(pending.key, Arc::clone(&pending.note), stamp, worker.edge.steady()));
    let lead = Lead {
        worker: Arc::clone(&worker),
        fill: Arc::clone(&fill),
        snapshot: Arc::clone(&pending.snapshot),
        behavior: Arc::clone(behavior),
        origin: Arc::clone(origin),
        request: Arc::clone(&journey.request),
        primary: pending.primary,
        // It went on with all that the client sent, not just with what a GET sends.
        facts: RequestFacts::get(
            pending.user_fields || upstream::passes_user_fields(&behavior.policy, &journey.request),
        ),
        previous: None,
        is_early: false,
        is_paced: false,
        offered: Vec::new(),
        asks_whether: false,
        content: None,
        plan: None,
        run: None,
    };
    let guard = EndGuard::of(&lead);
    tokio::spawn(async move {
        let _guard = guard;
        let response_time = lead.worker.now();
        lead.receive(answer, request_time, response_time).await;
    });
    joining::follow(journey, &fill, true).await;
    match std::mem::replace(&mut journey.found, Found::Nothing) {
        Found::Alone { answer, .. } => Some(answer),
        found => {
            journey.found = found;
            None
        }
    }
}
