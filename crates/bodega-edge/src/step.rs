//! The whole machine in one table: the steps of a request and which may follow which.
//!
//! Each step is one file in `steps/` with one public function that takes the exchange and names the next step; no
//! step calls another. `begin` runs the synchronous part, which is all there is to a memory hit; `complete` goes on
//! from where it stopped. Every request passes `Finish` with one `Outcome` and one `Reason`.

use std::sync::Arc;

use bodega_semantics::{Field, Head, Reason};
use bodega_snapshot::Snapshot;
use bodega_store::Entry;

use crate::answer::Answer;
use crate::content::Content;
use crate::edge::Worker;
use crate::exchange::{Exchange, Journey, Pending, RequestView};
use crate::fetch::RequestBody;
use crate::predict::AskedRow;
use crate::rows::Predicting;
use crate::steps;
use crate::steps::predict::Began;

/// A step of a request's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Is this a request a gateway takes?
    Receive,
    /// Host and path to distribution, behavior and policy.
    Classify,
    /// Read a body that is in the key, then look up.
    Content,
    /// Key, then memory.
    Lookup,
    /// Answer from the store.
    Hit,
    /// Wait for the disk, then look up anew.
    Load,
    /// Join a fill under way or begin one.
    Miss,
    /// Ask the origin whether what is stored still holds.
    Revalidate,
    /// Forward without the store.
    Pass,
    /// Ask a model: each row of the body by itself.
    Predict,
    /// Answer `OPTIONS` in the place of an origin.
    Options,
    /// Forget a URL for a client that may say so.
    Purge,
    /// Ask the origin for this client alone.
    Fetch,
    /// Turn what was found into an answer: conditions, ranges, edits.
    Deliver,
    /// A redirect or a fixed answer that the configuration names.
    Redirect,
    /// An answer of the edge's own: refusals and failures.
    Refuse,
    /// Count, log, forget.
    Finish,
}

/// Which step may follow which.
pub const NEXT: &[(Step, &[Step])] = &[
    (Step::Receive, &[Step::Classify, Step::Refuse]),
    (
        Step::Classify,
        &[
            Step::Lookup,
            Step::Content,
            Step::Pass,
            Step::Predict,
            Step::Options,
            Step::Purge,
            Step::Redirect,
            Step::Refuse,
        ],
    ),
    (Step::Content, &[Step::Finish, Step::Load, Step::Miss, Step::Revalidate, Step::Fetch, Step::Pass, Step::Refuse]),
    (Step::Lookup, &[Step::Hit, Step::Load, Step::Miss, Step::Revalidate, Step::Fetch, Step::Refuse]),
    (Step::Load, &[Step::Finish, Step::Load, Step::Miss, Step::Revalidate, Step::Fetch, Step::Pass, Step::Refuse]),
    (Step::Hit, &[Step::Finish]),
    (Step::Miss, &[Step::Deliver, Step::Fetch, Step::Refuse, Step::Miss]),
    (Step::Revalidate, &[Step::Deliver, Step::Fetch, Step::Refuse]),
    (Step::Pass, &[Step::Fetch]),
    (Step::Predict, &[Step::Finish, Step::Refuse]),
    (Step::Options, &[Step::Finish, Step::Refuse]),
    (Step::Purge, &[Step::Finish, Step::Refuse]),
    (Step::Fetch, &[Step::Deliver, Step::Refuse]),
    (Step::Deliver, &[Step::Finish]),
    (Step::Redirect, &[Step::Finish]),
    (Step::Refuse, &[Step::Finish]),
    (Step::Finish, &[]),
];

/// What the synchronous part came to.
pub enum Begun {
    /// An answer, without the origin.
    Ready(Answer),
    /// The rest takes time: give the request to `complete`.
    Pending(Pending),
    /// A model has been asked: this becomes the answer, and needs neither the request nor its body any more.
    Predicting(Predicting),
}

/// What was brought from disk for a request.
#[derive(Clone, Copy)]
pub(crate) struct Loaded<'a> {
    pub(crate) entries: &'a [Entry],
    /// Whether more may be.
    pub(crate) may_load: bool,
    /// The row of a model that is asked for, rather than the URL.
    pub(crate) row: Option<&'a Arc<AskedRow>>,
    /// What the request brings, where that is in the key.
    pub(crate) content: Option<&'a Arc<Content>>,
}

/// Runs a request as far as it goes without waiting.
#[must_use]
pub fn begin(worker: &Arc<Worker>, snapshot: &Arc<Snapshot>, request: &RequestView<'_>) -> Begun {
    look_up(worker, snapshot, request, Loaded { entries: &[], may_load: true, row: None, content: None })
}

/// The same, with what has come from disk since.
pub(crate) fn look_up(
    worker: &Arc<Worker>,
    snapshot: &Arc<Snapshot>,
    request: &RequestView<'_>,
    loaded: Loaded<'_>,
) -> Begun {
    let mut exchange = Exchange::new(worker, snapshot, request, loaded);
    let mut step = Step::Receive;
    loop {
        let next = match step {
            Step::Receive => steps::receive::run(&mut exchange),
            Step::Classify => steps::classify::run(&mut exchange),
            Step::Lookup => steps::lookup::run(&mut exchange),
            Step::Hit => steps::hit::run(&mut exchange),
            Step::Options => steps::options::run(&mut exchange),
            Step::Redirect => steps::redirect::run(&mut exchange),
            Step::Refuse => steps::refuse::run(&mut exchange),
            Step::Finish => match exchange.take_answer() {
                Some(answer) => return Begun::Ready(answer.with_hsts(exchange.hsts().as_deref())),
                None => Step::Refuse,
            },
            Step::Predict => match steps::predict::begin(&mut exchange) {
                Began::Done(next) => next,
                Began::Waits(predicting) => return Begun::Predicting(predicting),
                Began::Later => return Begun::Pending(exchange.into_pending(step)),
            },
            Step::Content
            | Step::Load
            | Step::Miss
            | Step::Revalidate
            | Step::Pass
            | Step::Purge
            | Step::Fetch
            | Step::Deliver => {
                return Begun::Pending(exchange.into_pending(step));
            }
        };
        debug_assert!(may_follow(step, next) || step == Step::Finish, "{step:?} to {next:?} is not in the table");
        step = next;
    }
}

/// The same for one that has waited: the step to go on with.
pub(crate) fn look_up_anew(journey: &mut Journey) -> Step {
    let request = Arc::clone(&journey.request);
    let fields: Vec<Field<'_>> = request.fields.fields().collect();
    let (row, content) = (journey.pending.row.clone(), journey.pending.content.clone());
    let loaded = Loaded {
        entries: &journey.loaded,
        may_load: journey.n_loads < MAX_LOADS,
        row: row.as_ref(),
        content: content.as_ref(),
    };
    match look_up(&journey.worker, &journey.pending.snapshot, &request.view(&fields), loaded) {
        Begun::Ready(answer) => {
            journey.answer = Some(answer);
            Step::Finish
        }
        Begun::Pending(pending) => {
            journey.pending = pending;
            journey.pending.step
        }
        // Only of a request whose body is there, and which asks for no row.
        Begun::Predicting(_) => {
            journey.pending.reason = Reason::Internal;
            Step::Refuse
        }
    }
}

/// How many entries one request may bring from disk: the names a URL varies by, a variant, a part, and then some.
const MAX_LOADS: usize = 8;

/// Runs the rest of a request. Dropping the future leaves fills that others read along alone.
pub async fn complete(mut journey: Journey, body: Option<RequestBody>) -> Answer {
    journey.body = body;
    let mut step = journey.pending.step;
    loop {
        let next = match step {
            Step::Content => Box::pin(steps::content::run(&mut journey)).await,
            Step::Load => Box::pin(steps::load::run(&mut journey)).await,
            Step::Miss => steps::miss::run(&mut journey).await,
            Step::Revalidate => steps::revalidate::run(&mut journey).await,
            Step::Pass => steps::pass::run(&mut journey),
            Step::Predict => steps::predict::run(&mut journey).await,
            Step::Purge => steps::purge::run(&mut journey).await,
            Step::Fetch => steps::fetch::run(&mut journey).await,
            Step::Deliver => steps::deliver::run(&mut journey),
            Step::Finish => match journey.answer.take() {
                Some(answer) => return answer.with_hsts(journey.pending.hsts.as_deref()),
                None => Step::Refuse,
            },
            Step::Refuse
            | Step::Receive
            | Step::Classify
            | Step::Lookup
            | Step::Hit
            | Step::Options
            | Step::Redirect => steps::refuse::run_late(&mut journey),
        };
        debug_assert!(may_follow(step, next) || step == Step::Finish, "{step:?} to {next:?} is not in the table");
        step = next;
    }
}

fn may_follow(step: Step, next: Step) -> bool {
    NEXT.iter().any(|(from, to)| *from == step && to.contains(&next))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_is_in_the_table_once_and_all_lead_to_finish() {
        for (step, next) in NEXT {
            assert_eq!(NEXT.iter().filter(|(other, _)| other == step).count(), 1, "{step:?}");
            for to in *next {
                assert!(NEXT.iter().any(|(other, _)| other == to), "{to:?} is missing");
            }
        }
        let mut ends: Vec<Step> = vec![Step::Finish];
        while let Some((step, _)) =
            NEXT.iter().find(|(step, next)| !ends.contains(step) && next.iter().any(|to| ends.contains(to)))
        {
            ends.push(*step);
        }
        assert_eq!(ends.len(), NEXT.len(), "a step from which Finish cannot be reached");
    }
}
