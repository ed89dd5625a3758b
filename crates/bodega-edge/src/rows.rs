//! The way of a row of a model: looked up, joined where it is under way, else computed and kept.
//!
//! What is in memory and fresh answers at once, and what nobody has goes straight to what computes it. All else (on disk,
//! stale, of an earlier configuration) goes through the machine as a request of its own, so that the rules are those of
//! any other entry. A row under way is a fill like any other, so that either finds the other's.

mod answer;
mod imprint;
mod lead;

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::task::{Context, Poll};

use bodega_semantics::reuse::{self, Reuse};
use bodega_semantics::storable::RequestFacts;
use bodega_semantics::{Fields, Key, Outcome, Reason, Timestamp, key};
use bodega_snapshot::{Behavior, Snapshot};
use bodega_store::entry::Kind;
use bodega_store::{Entry, Note};
use tokio::sync::oneshot;

pub(crate) use self::answer::{RowAnswer, Told, take};
use self::answer::{RowBody, said};
use self::imprint::Imprint;
use self::lead::RowLead;
use crate::answer::Answer;
use crate::collapse::Entered;
use crate::edge::Worker;
use crate::exchange::{Journey, OwnedRequest, RequestView};
use crate::fetch::{FetchAnswer, FetchError, next_chunk};
use crate::fill::{Fill, Resolved};
use crate::predict::{AskedRow, Predicted, Reply, Row, Shared};
use crate::respond::Said;
use crate::step::{self, Begun, Loaded};
use crate::steps::refuse;

/// An answer that is on its way from a model. Dropped, what others wait for as well goes on.
pub struct Predicting(pub(crate) Pin<Box<dyn Future<Output = Answer> + Send>>);

impl Future for Predicting {
    type Output = Answer;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Answer> {
        self.0.as_mut().poll(context)
    }
}

/// What the rows of one request have in common.
#[derive(Clone, Copy)]
pub(crate) struct Common<'a> {
    pub(crate) worker: &'a Arc<Worker>,
    pub(crate) snapshot: &'a Arc<Snapshot>,
    pub(crate) behavior: &'a Arc<Behavior>,
    pub(crate) origin: &'a Arc<str>,
    /// The distribution's name, and the host as keys have it.
    pub(crate) distribution: &'a str,
    pub(crate) host: &'a str,
    pub(crate) request: &'a RequestView<'a>,
    /// Among whom the answers are shared.
    pub(crate) shared: Shared,
    pub(crate) now: Timestamp,
}

/// How far a row has come without waiting.
pub(crate) enum Part {
    /// Answered from memory.
    Here(RowAnswer),
    /// Computed, by who leads and for all who joined.
    Shared(SharedRow),
    /// Computed for this client alone.
    Alone { computed: oneshot::Receiver<Predicted>, reason: Reason },
    /// On its way through the machine.
    Machine(Machine),
    /// Nothing came.
    Failed(FetchError),
}

/// A row that is computed for all who ask for it.
pub(crate) struct SharedRow {
    fill: Arc<Fill>,
    leads: bool,
    reason: Reason,
}

/// What such a row came to.
pub(crate) enum Settled<'a> {
    Now(Result<RowAnswer, FetchError>),
    /// It takes more: the answer was for one alone.
    Later(Pin<Box<dyn Future<Output = Result<RowAnswer, FetchError>> + Send + 'a>>),
}

/// A request of a row's own. It ends with whoever waits for it.
pub(crate) struct Machine(tokio::task::JoinHandle<Answer>);

impl Drop for Machine {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What memory has for a row.
enum Looked {
    Fresh {
        entry: Entry,
        age_seconds: u64,
        ttl_seconds: u64,
    },
    Nowhere(Reason),
    /// It is for the machine to say.
    Unclear,
}

impl Common<'_> {
    /// Takes a row as far as it goes without waiting.
    pub(crate) fn begin(&self, row: &Row) -> Part {
        let shared = if row.is_kept { self.shared } else { Shared::WithNobody };
        if shared == Shared::WithNobody {
            return self.alone(row, Reason::UserRequest);
        }
        let edge = &self.worker.edge;
        let (secret, scope) = (&edge.settings.secret, self.behavior.scope);
        let key = key::row_key(secret, scope, self.host, row.key_bytes(), shared.credential());
        match self.look(key) {
            Looked::Fresh { entry, age_seconds, ttl_seconds } => Part::Here(RowAnswer {
                status: entry.status,
                told: Told::Hit { age_seconds, ttl_seconds },
                body: RowBody::of(entry),
                outcome: Outcome::Hit,
                reason: Reason::Fresh,
            }),
            Looked::Nowhere(reason) => self.enter(row, key, reason),
            Looked::Unclear => self.through_machine(row, shared),
        }
    }

    fn look(&self, key: Key) -> Looked {
        let (edge, policy) = (&self.worker.edge, &self.behavior.policy);
        let Some(found) = edge.memory.get(key) else {
            let is_on_disk = edge.disk().is_some_and(|disk| disk.holds(key));
            return if is_on_disk { Looked::Unclear } else { Looked::Nowhere(Reason::UriMiss) };
        };
        let Some(entry) = edge.usable(found) else { return Looked::Nowhere(Reason::Invalidated) };
        let is_plain = entry.kind == Kind::Answer
            && entry.status == 200
            && !entry.is_on_disk()
            && entry.revision == self.snapshot.revision
            && edge.may_use_unasked(policy)
            && !reuse::is_refreshed_early(&entry.terms, policy.refresh_every, self.now);
        if !is_plain {
            return Looked::Unclear;
        }
        match reuse::decide(&entry.terms, &RequestFacts::get(false), None, self.now) {
            Reuse::Fresh { age_seconds, ttl_seconds } => Looked::Fresh { entry, age_seconds, ttl_seconds },
            // A model confirms nothing: what may not be used stale is as if it were not there.
            Reuse::Revalidate(Reason::Expired) if !entry.terms.may_be_stale() => Looked::Nowhere(Reason::Expired),
            _ => Looked::Unclear,
        }
    }

    /// Joins the row that is under way, or has it computed.
    fn enter(&self, row: &Row, key: Key, reason: Reason) -> Part {
        let edge = &self.worker.edge;
        let (stamp, began) = (edge.invalidations.sequence(), edge.steady());
        // Who asks after a purge never joins what began before it.
        let may_join = |fill: &Fill| {
            edge.invalidations.allows_to_join(fill.stamp, Note(&fill.note))
                && fill.is_joinable(self.now)
                && edge.may_join_unasked(&self.behavior.policy, fill.began)
        };
        let imprint = Imprint::of(self, &row.model);
        match edge.collapse.enter(key, may_join, || Fill::new(key, Arc::clone(&imprint.note), stamp, began)) {
            Entered::Join(fill) => {
                fill.count_joined();
                Part::Shared(SharedRow { fill, leads: false, reason })
            }
            Entered::Lead(fill) => {
                let lead = RowLead {
                    worker: Arc::clone(self.worker),
                    fill: Arc::clone(&fill),
                    behavior: Arc::clone(self.behavior),
                    origin: Arc::clone(self.origin),
                    model: Arc::clone(&row.model),
                    imprint,
                    revision: self.snapshot.revision,
                    began: self.now,
                    is_told: AtomicBool::new(false),
                };
                // Another may have ended between this one's look into the store and its entering here.
                if let Looked::Fresh { entry, .. } = self.look(key) {
                    lead.resolve(Resolved::Entry {
                        entry,
                        outcome: Outcome::Collapsed,
                        reason,
                        fwd_status: None,
                        is_for_all: true,
                        stored: false,
                    });
                    return Part::Shared(SharedRow { fill, leads: false, reason });
                }
                row.model.predict(Arc::clone(&row.body), Arc::new(lead));
                Part::Shared(SharedRow { fill, leads: true, reason })
            }
        }
    }

    fn alone(&self, row: &Row, reason: Reason) -> Part {
        let (reply, computed) = Reply::channel();
        row.model.predict(Arc::clone(&row.body), reply);
        Part::Alone { computed, reason }
    }

    fn through_machine(&self, row: &Row, shared: Shared) -> Part {
        let (behavior, body) = (Arc::clone(self.behavior), Arc::clone(&row.body));
        let asked = AskedRow { behavior, body, n_key_bytes: row.n_key_bytes, shared };
        let request = OwnedRequest {
            method: "GET".to_owned(),
            path: row.model.path().to_owned(),
            query: None,
            fields: Fields::new(),
            has_body: false,
            authority: self.request.authority.to_owned(),
            https: self.request.https,
            peer: self.request.peer,
            version: self.request.version,
        };
        let (worker, snapshot) = (Arc::clone(self.worker), Arc::clone(self.snapshot));
        Part::Machine(Machine(tokio::spawn(through_machine(worker, snapshot, request, Arc::new(asked)))))
    }
}

async fn through_machine(
    worker: Arc<Worker>,
    snapshot: Arc<Snapshot>,
    request: OwnedRequest,
    row: Arc<AskedRow>,
) -> Answer {
    let begun = {
        let loaded = Loaded { entries: &[], may_load: true, row: Some(&row), content: None };
        step::look_up(&worker, &snapshot, &request.view(&[]), loaded)
    };
    match begun {
        Begun::Ready(answer) => answer,
        Begun::Pending(pending) => {
            let body = row.request_body();
            Box::pin(step::complete(Journey::new(worker, request, pending), Some(body))).await
        }
        Begun::Predicting(predicting) => predicting.await,
    }
}

impl Part {
    /// Waits for the row. What is rare is in a box, so that what most rows wait for is small.
    pub(crate) async fn answer(self, worker: &Arc<Worker>, origin: &str, row: &Row) -> Result<RowAnswer, FetchError> {
        match self {
            Self::Here(answer) => Ok(answer),
            Self::Alone { computed, reason } => Box::pin(alone(worker, origin, computed, reason)).await,
            Self::Machine(machine) => Box::pin(machine.answer()).await,
            Self::Failed(error) => Err(error),
            Self::Shared(shared) => {
                let resolved = shared.resolved().await;
                match shared.settle(resolved, worker, origin, row) {
                    Settled::Now(answered) => answered,
                    Settled::Later(later) => later.await,
                }
            }
        }
    }
}

impl SharedRow {
    pub(crate) async fn resolved(&self) -> Resolved {
        self.fill.resolved().await
    }

    /// What that means for this client.
    pub(crate) fn settle<'a>(self, resolved: Resolved, worker: &'a Worker, origin: &'a str, row: &Row) -> Settled<'a> {
        let Self { fill, leads, reason } = self;
        let outcome = |others| if leads { Outcome::Miss } else { others };
        Settled::Now(match resolved {
            Resolved::Entry { entry, outcome: others, is_for_all, stored, .. } if leads || is_for_all => {
                Ok(shared(worker, entry, outcome(others), reason, (leads, stored)))
            }
            Resolved::Failed(error) => Err(error),
            Resolved::Live(head) if head.entry.as_ref().is_some_and(|entry| entry.status == 200) => {
                match head.entry.clone() {
                    Some(entry) => Ok(shared(worker, entry, outcome(Outcome::Collapsed), reason, (leads, false))),
                    None => Err(FetchError::internal("no entry")),
                }
            }
            Resolved::Private if leads => match fill.take_private() {
                Some(answer) => return Settled::Later(Box::pin(failed(answer, reason))),
                None => Err(FetchError::internal("a row without an answer")),
            },
            // Not for sharing.
            Resolved::Entry { .. } | Resolved::Live(_) | Resolved::Private => {
                let (reply, computed) = Reply::channel();
                row.model.predict(Arc::clone(&row.body), reply);
                return Settled::Later(Box::pin(alone(worker, origin, computed, Reason::Uncacheable)));
            }
        })
    }
}

impl Machine {
    async fn answer(mut self) -> Result<RowAnswer, FetchError> {
        match (&mut self.0).await {
            Ok(answer) => take(answer).await,
            Err(error) => Err(FetchError::internal(error.to_string())),
        }
    }
}

fn shared(worker: &Worker, entry: Entry, outcome: Outcome, reason: Reason, (leads, stored): (bool, bool)) -> RowAnswer {
    let age_seconds = Some(worker.now().since(entry.terms.born).as_secs());
    let said = Said { stored: leads && stored, collapsed: !leads, ..said(outcome, reason) };
    let told = Told::Made { age_seconds, said };
    RowAnswer { status: entry.status, told, body: RowBody::of(entry), outcome, reason }
}

async fn failed(answer: FetchAnswer, reason: Reason) -> Result<RowAnswer, FetchError> {
    let mut body = answer.body;
    let what = next_chunk(&mut *body).await.transpose()?.unwrap_or_default();
    Ok(RowAnswer::failed(Outcome::Miss, reason, what))
}

async fn alone(
    worker: &Worker,
    origin: &str,
    computed: oneshot::Receiver<Predicted>,
    reason: Reason,
) -> Result<RowAnswer, FetchError> {
    let computed = computed.await.unwrap_or_else(|_| Predicted::Unanswered(gone()));
    let outcome = if reason == Reason::Uncacheable { Outcome::Miss } else { Outcome::Pass };
    match computed {
        Predicted::Outputs(record) => {
            worker.fetch.predicted(origin, Some(record.len() as u64));
            Ok(RowAnswer::computed(outcome, reason, record))
        }
        Predicted::Failed(what) => {
            worker.fetch.predicted(origin, Some(what.len() as u64));
            Ok(RowAnswer::failed(outcome, reason, what.into()))
        }
        Predicted::Unanswered(error) => {
            worker.fetch.predicted(origin, None);
            Err(error)
        }
    }
}

fn gone() -> FetchError {
    FetchError::new(Reason::OriginDown, "the model does not run any more")
}

/// Of a row that nothing answered: the edge's own words.
pub(crate) fn refused(worker: &Worker, method: &str, error: &FetchError) -> Answer {
    let edge = &worker.edge;
    let mut answer =
        refuse::refusal(edge, method, error.reason, Some(error.message.as_str()), error.retry_after_seconds);
    if answer.status >= 500 {
        answer.outcome = Outcome::Error;
    }
    answer
}
