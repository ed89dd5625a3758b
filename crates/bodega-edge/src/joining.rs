//! Joining a fill, or beginning it: what a miss, a revalidation and a background refresh have in common.

use std::sync::Arc;

use bodega_semantics::storable::RequestFacts;
use bodega_semantics::{Key, Outcome, Reason, deception, reuse, tags, vary};
use bodega_snapshot::Action;
use bodega_store::entry::Kind;
use bodega_store::{Entry, Note};

use crate::collapse::Entered;
use crate::exchange::{Found, Journey};
use crate::fetch::FetchAnswer;
use crate::fill::{Fill, Resolved};
use crate::lead::Lead;
use crate::partial::Plan;
use crate::reader::FillReader;
use crate::upstream::{self, Purpose};
use crate::{lead, variants};

/// What came of waiting for the head.
pub(crate) enum Joined {
    /// `journey.found` holds what to deliver.
    Found,
    /// The answer is not for this request: it must ask for itself.
    Alone,
    /// The answer is of another variant; `journey.pending.key` is now this request's own.
    OtherVariant,
    /// `journey.found` holds the failure.
    Failed,
}

/// Joins the fill under the request's key or starts it; says whether this request leads.
/// `None` for a behavior without an origin.
pub(crate) fn enter(journey: &mut Journey) -> Option<(Arc<Fill>, bool)> {
    let plan = journey.plan.take();
    let journey = &*journey;
    let Journey { worker, request, pending, .. } = journey;
    let behavior = pending.behavior.as_ref()?;
    let Action::Origin(origin) = &behavior.action else { return None };
    let edge = &worker.edge;
    let (stamp, began) = (edge.invalidations.sequence(), edge.steady());
    // A request that begins after a purge never joins a fill that began before it.
    let now = worker.now();
    let may_join = |fill: &Fill| {
        edge.invalidations.allows_to_join(fill.stamp, Note(&fill.note))
            && fill.is_joinable(now)
            && edge.may_join_unasked(&behavior.policy, fill.began)
            && !(pending.insists && fill.has_head())
    };
    let key = plan.as_ref().map_or(pending.key, |plan| plan.key);
    match edge.collapse.enter(key, may_join, || Fill::new(key, Arc::clone(&pending.note), stamp, began)) {
        Entered::Join(fill) => {
            fill.count_joined();
            Some((fill, false))
        }
        Entered::Lead(fill) => {
            if let Some(entry) = stored_meanwhile(journey) {
                edge.collapse.leave(&fill);
                let reason = pending.reason;
                let outcome = Outcome::Collapsed;
                let (fwd_status, is_for_all, stored) = (None, true, false);
                fill.resolve(Resolved::Entry { entry, outcome, reason, fwd_status, is_for_all, stored });
                fill.end(Ok(()));
                return Some((fill, false));
            }
            let mut fetch = upstream::request(&edge.settings, behavior, request, Purpose::Store);
            // Those who join get the final answer only: when they come, a hint may be as old as the answer.
            fetch.interim.clone_from(&journey.interim);
            if let Some(row) = &pending.row {
                row.add_to(&mut fetch);
            }
            fetch.body = pending.content.as_ref().map(|content| content.body()).or(fetch.body);
            let takes_conditions = pending.content.as_ref().is_none_or(|content| content.takes_conditions());
            if let Some(plan) = &plan {
                plan.add_to(&mut fetch, &request.fields);
            }
            // What has been forgotten since it was found would come back under this fill's stamp.
            let previous = pending.entry.clone().or_else(|| plan.as_ref()?.previous());
            let previous = previous.filter(|entry| edge.may_use(entry));
            if let Some(previous) = &previous {
                if takes_conditions {
                    upstream::add_validators(&mut fetch, previous);
                }
                fetch.has_fallback =
                    reuse::may_serve_on_error(&previous.terms, now) && edge.may_use_unasked(&behavior.policy);
            }
            let offered = match pending.reason {
                Reason::VaryMiss
                    if takes_conditions && previous.is_none() && plan.is_none() && !pending.user_fields =>
                {
                    variants::offered(edge, pending.primary, pending.snapshot.revision)
                }
                _ => Vec::new(),
            };
            variants::offer(&mut fetch.fields, &offered);
            let lead = Lead {
                worker: Arc::clone(worker),
                fill: Arc::clone(&fill),
                snapshot: Arc::clone(&pending.snapshot),
                behavior: Arc::clone(behavior),
                origin: Arc::clone(origin),
                request: Arc::clone(request),
                primary: pending.primary,
                facts: RequestFacts::get(pending.user_fields),
                asks_whether: takes_conditions
                    && (!offered.is_empty() || previous.as_ref().is_some_and(lead::has_validator)),
                content: pending.content.clone(),
                is_paced: is_paced(previous.iter().chain(&offered).chain(plan.as_ref().and_then(Plan::held))),
                is_early: pending.reason == Reason::EarlyRefresh && previous.is_some(),
                previous,
                offered,
                plan,
                run: None,
            };
            worker.fillers.run(lead, fetch);
            Some((fill, true))
        }
    }
}

/// Another fill may have ended between this request's look into the store and its entering here.
fn stored_meanwhile(journey: &Journey) -> Option<Entry> {
    let Journey { worker, pending, .. } = journey;
    if pending.entry.is_some() || pending.user_fields || pending.insists {
        return None;
    }
    if !worker.edge.may_use_unasked(&pending.behavior.as_ref()?.policy) {
        return None;
    }
    let entry = worker.edge.usable(worker.edge.memory.peek(pending.key)?)?;
    let answers = entry.kind == Kind::Answer
        && entry.revision == pending.snapshot.revision
        && entry.terms.expires > worker.now()
        && !entry.terms.always_validate;
    answers.then_some(entry)
}

/// Whether any of what the origin is asked about was stored before the edge parted from its journal.
fn is_paced<'e>(mut asked_about: impl Iterator<Item = &'e Entry>) -> bool {
    asked_about.any(|entry| entry.note().is_unconfirmed())
}

fn may_use_unasked(journey: &Journey) -> bool {
    let behavior = journey.pending.behavior.as_ref();
    behavior.is_none_or(|behavior| journey.worker.edge.may_use_unasked(&behavior.policy))
}

/// The key of this request's own variant, if a 304 has made of the entry that of another.
fn other_variant(journey: &Journey, entry: &Entry) -> Option<Key> {
    let Journey { worker, request, pending, .. } = journey;
    if entry.kind != Kind::Answer || entry.key == pending.key {
        return None;
    }
    let behavior = pending.behavior.as_ref()?;
    let (own_key, _) = variants::place(&worker.edge, behavior, pending.primary, entry, &request.fields)?;
    (own_key != entry.key).then_some(own_key)
}

/// What made an answer one for the client who leads alone, where that is for the origin's side to mend.
fn why_not_kept(journey: &Journey, answer: &FetchAnswer) -> Option<Reason> {
    let policy = &journey.pending.behavior.as_ref()?.policy;
    if policy.check_content_type && deception::contradicts(&journey.request.path, answer.status, &answer.fields) {
        return Some(Reason::Deception);
    }
    let (host, path, _) = Note(&journey.pending.note).url_parts();
    tags::of(&answer.fields, &policy.tags, host, path).is_err().then_some(Reason::Tags)
}

/// Waits for the head and takes what is for this request.
pub(crate) async fn follow(journey: &mut Journey, fill: &Arc<Fill>, leads: bool) -> Joined {
    // Registered before the wait, so that the writer of a body that is not kept knows of this reader.
    let reader = FillReader::new(fill);
    match fill.resolved().await {
        Resolved::Live(head) => {
            if !leads {
                let secret = &journey.worker.edge.settings.secret;
                let own_key = match head.vary_names.as_slice() {
                    [] => head.key,
                    names => vary::variant(secret, journey.pending.primary, names, &journey.request.fields),
                };
                if own_key != head.key {
                    journey.pending.key = own_key;
                    journey.pending.reason = Reason::VaryMiss;
                    return Joined::OtherVariant;
                }
                if journey.pending.user_fields && !head.terms.shared_explicit {
                    journey.pending.reason = Reason::UserRequest;
                    return Joined::Alone;
                }
            }
            let outcome = if leads { Outcome::Miss } else { Outcome::Collapsed };
            journey.found = match &head.entry {
                Some(entry) => Found::Entry {
                    entry: entry.clone(),
                    outcome,
                    reason: journey.pending.reason,
                    fwd_status: None,
                    stored: leads && head.stored,
                    collapsed: !leads,
                    withheld: (leads && !head.withheld.is_empty()).then(|| Arc::clone(&head)),
                },
                None => Found::Live { reader, head, outcome },
            };
            Joined::Found
        }
        Resolved::Entry { entry, outcome, reason, fwd_status, is_for_all, .. } => {
            if !leads {
                if !is_for_all {
                    journey.pending.reason = Reason::Uncacheable;
                    return Joined::Alone;
                }
                if journey.pending.user_fields && !entry.terms.shared_explicit {
                    journey.pending.reason = Reason::UserRequest;
                    return Joined::Alone;
                }
                // What another behavior or an earlier configuration lets stand in this one may not.
                if outcome != Outcome::Revalidated && !may_use_unasked(journey) {
                    return Joined::Alone;
                }
                if let Some(own_key) = other_variant(journey, &entry) {
                    journey.pending.key = own_key;
                    journey.pending.reason = Reason::VaryMiss;
                    return Joined::OtherVariant;
                }
            }
            // What was stored need not have expired: this client would not have it unasked.
            let asked_for = matches!(journey.pending.reason, Reason::RequestDirective | Reason::NotLevel);
            let reason = if outcome == Outcome::Revalidated && asked_for { journey.pending.reason } else { reason };
            journey.found =
                Found::Entry { entry, outcome, reason, fwd_status, stored: false, collapsed: !leads, withheld: None };
            Joined::Found
        }
        Resolved::Private => match leads.then(|| fill.take_private()).flatten() {
            Some(answer) => {
                if let Some(reason) = why_not_kept(journey, &answer) {
                    journey.pending.reason = reason;
                }
                journey.found = Found::Alone { answer, outcome: Outcome::Miss };
                Joined::Found
            }
            None => {
                journey.pending.reason = Reason::Uncacheable;
                Joined::Alone
            }
        },
        Resolved::Failed(error) => {
            journey.found = Found::Failed(error);
            Joined::Failed
        }
    }
}
