//! Asks a model: takes the body apart into rows, has each answered (`rows`), and writes one answer.
//!
//! Where the front has the whole body already, rows that are in memory are answered without a task and without a copy of
//! the request; those that are not go on, and only they are waited for.

use std::pin::Pin;
use std::sync::Arc;

use bodega_semantics::{Field, Head, Reason, forwarding};
use bodega_snapshot::{Action, Behavior};
use bodega_store::Note;
use smallvec::SmallVec;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::answer::Answer;
use crate::edge::Worker;
use crate::exchange::{Exchange, Found, Journey};
use crate::fetch::FetchError;
use crate::held::{MAX_WRITTEN_BYTES, Room};
use crate::predict::{Asked, Lines, Question, Row, Shared};
use crate::predicted::{MAX_BYTES_HERE, Writing};
use crate::questioned::{self, Unread};
use crate::rows::{self, Common, Part, Predicting, RowAnswer, Settled, SharedRow};
use crate::step::Step;

/// How far a request came without waiting.
pub(crate) enum Began {
    /// It is answered.
    Done(Step),
    /// The model has been asked.
    Waits(Predicting),
    /// Its body has to come first.
    Later,
}

/// The same of a request whose body is there.
enum Came {
    Answer(Answer),
    Waits(Predicting),
}

/// Answers, or asks the model, if the body is there.
pub(crate) fn begin(exchange: &mut Exchange<'_>) -> Began {
    let request = exchange.request;
    let (Some(body), Some(behavior), Some(distribution)) = (request.body, exchange.behavior, exchange.distribution)
    else {
        return Began::Later;
    };
    let Action::Origin(origin) = &behavior.action else { return Began::Later };
    let common = Common {
        worker: exchange.worker,
        snapshot: exchange.snapshot,
        behavior,
        origin,
        distribution: &distribution.name,
        host: if behavior.policy.key.host { exchange.host.as_str() } else { &distribution.name },
        request,
        shared: Shared::of(behavior, &exchange.worker.edge.settings.secret, request),
        now: exchange.now,
    };
    match ask(&common, body) {
        Came::Answer(answer) => {
            exchange.answer = Some(answer);
            Began::Done(Step::Finish)
        }
        Came::Waits(predicting) => match exchange.hsts() {
            None => Began::Waits(predicting),
            hsts => Began::Waits(Predicting(Box::pin(async move { predicting.await.with_hsts(hsts.as_deref()) }))),
        },
    }
}

/// The same once the body has come. The type is written out, since a row may go through this machine again.
pub(crate) fn run(journey: &mut Journey) -> Pin<Box<dyn Future<Output = Step> + Send + '_>> {
    Box::pin(async move {
        match come(journey).await {
            Ok(Came::Answer(answer)) => {
                journey.answer = Some(answer);
                Step::Finish
            }
            Ok(Came::Waits(predicting)) => {
                journey.answer = Some(predicting.await);
                Step::Finish
            }
            Err(error) => {
                journey.found = Found::Failed(error);
                Step::Refuse
            }
        }
    })
}

async fn come(journey: &mut Journey) -> Result<Came, FetchError> {
    let behavior = journey.pending.behavior.clone().ok_or_else(|| FetchError::internal("no behavior"))?;
    let Action::Origin(origin) = &behavior.action else {
        return Err(FetchError::internal("a behavior of no model"));
    };
    let (worker, request) = (Arc::clone(&journey.worker), Arc::clone(&journey.request));
    let longest = worker.fetch.max_question_bytes(origin);
    let is_trusted = &worker.edge.settings.is_trusted_proxy;
    let client = forwarding::client_address(&request.fields, request.peer, is_trusted);
    // A proxy that does not say whom it asks for stands for many.
    let client = (!is_trusted(client)).then_some(client);
    let mut room = worker.edge.held_questions.room_for_question(longest, client);
    let refused = || {
        let (method, path, version) = (request.method.as_str(), request.path.as_str(), request.version);
        let asked = Asked { method, path, version, fields: Lines::Copied(&request.fields), body: &[] };
        worker.fetch.question(origin, &asked)?.err().filter(|refused| questioned::is_of_head(refused.status))
    };
    let body = match questioned::read(journey.body.take(), longest, &mut room, refused).await {
        Ok(body) => body,
        Err(unread) => {
            let writing = Writing { worker: &worker, behavior: &behavior, method: method(&request.method) };
            return Ok(Came::Answer(match unread {
                Unread::Refused(refused) => writing.refuse(refused),
                Unread::Failed(error) => writing.unread(&request.fields, &error),
            }));
        }
    };
    let fields: Vec<Field<'_>> = request.fields.fields().collect();
    let request = request.view(&fields);
    let note = Note(&journey.pending.note);
    let common = Common {
        worker: &worker,
        snapshot: &journey.pending.snapshot,
        behavior: &behavior,
        origin,
        distribution: note.distribution(),
        host: note.url_parts().0,
        request: &request,
        shared: Shared::of(&behavior, &worker.edge.settings.secret, &request),
        now: worker.now(),
    };
    Ok(ask(&common, &body))
}

/// The method as far as it makes a difference to an answer.
fn method(method: &str) -> &'static str {
    if method == "HEAD" { "HEAD" } else { "POST" }
}

/// Reads the question, and takes each of its rows as far as it goes.
fn ask(common: &Common<'_>, body: &[u8]) -> Came {
    let request = common.request;
    let writing = Writing { worker: common.worker, behavior: common.behavior, method: method(request.method) };
    let asked = Asked {
        method: request.method,
        path: request.path,
        version: request.version,
        fields: Lines::Parsed(request.fields),
        body,
    };
    let question = match common.worker.fetch.question(common.origin, &asked) {
        Some(Ok(question)) => question,
        Some(Err(refused)) => return Came::Answer(writing.refuse(refused)),
        None => {
            let error = FetchError::new(Reason::OriginDown, format!("the model {} is not loaded", common.origin));
            return Came::Answer(rows::refused(common.worker, request.method, &error));
        }
    };
    let mut parts: SmallVec<[Part; 1]> = SmallVec::with_capacity(question.rows().len());
    let (mut are_here, mut n_bytes) = (true, 0);
    for row in question.rows() {
        let part = common.begin(row);
        match &part {
            Part::Here(answer) => n_bytes += answer.body.as_bytes().len(),
            _ => are_here = false,
        }
        if n_bytes > MAX_ANSWER_BYTES {
            return Came::Answer(writing.too_large(&*question, MAX_ANSWER_BYTES));
        }
        parts.push(part);
    }
    if are_here && n_bytes <= MAX_BYTES_HERE {
        let here = |part| if let Part::Here(answer) = part { Some(answer) } else { None };
        let answers: SmallVec<[RowAnswer; 1]> = parts.into_iter().filter_map(here).collect();
        return Came::Answer(writing.answer(&*question, &answers, None));
    }
    let asking = Asking {
        worker: Arc::clone(common.worker),
        behavior: Arc::clone(common.behavior),
        origin: Arc::clone(common.origin),
        method: writing.method,
        question,
    };
    let is_usual = parts.len() == 1 && asking.question.timeout().is_none();
    Came::Waits(Predicting(match parts.pop() {
        Some(Part::Shared(shared)) if is_usual => Box::pin(asking.one(shared)),
        last => {
            parts.extend(last);
            Box::pin(asking.all(parts))
        }
    }))
}

/// A question that is being answered.
struct Asking {
    worker: Arc<Worker>,
    behavior: Arc<Behavior>,
    origin: Arc<str>,
    method: &'static str,
    question: Box<dyn Question>,
}

impl Asking {
    fn writing(&self) -> Writing<'_> {
        Writing { worker: &self.worker, behavior: &self.behavior, method: self.method }
    }

    /// The answer to one row that is computed. What waits for it is as small as it can be: most of what is asked for is
    /// this, and each takes memory while the model runs.
    async fn one(self, shared: SharedRow) -> Answer {
        let resolved = shared.resolved().await;
        let answered = match self.question.rows() {
            [row] => match shared.settle(resolved, &self.worker, &self.origin, row) {
                Settled::Now(answered) => answered,
                Settled::Later(later) => later.await,
            },
            _ => Err(FetchError::internal("not one row")),
        };
        match answered {
            Ok(answer) if answer.body.as_bytes().len() <= MAX_BYTES_HERE => {
                self.writing().answer(&*self.question, &[answer], None)
            }
            answered => Box::pin(self.special(answered)).await,
        }
    }

    /// The answer to one row that has none, or a large one.
    async fn special(self, answered: Result<RowAnswer, FetchError>) -> Answer {
        let mut part: SmallVec<[Part; 1]> = SmallVec::new();
        part.push(match answered {
            Ok(answer) => Part::Here(answer),
            Err(error) => Part::Failed(error),
        });
        self.all(part).await
    }

    /// The answer to several, or to one that is special.
    async fn all(self, mut parts: SmallVec<[Part; 1]>) -> Answer {
        let waiting = collect(&mut parts, self.question.rows(), &self.worker, &self.origin, self.method);
        let collected = match self.question.timeout() {
            None => waiting.await,
            Some(limit) => match timeout(limit, waiting).await {
                Ok(collected) => collected,
                // What is under way goes on for others, and is kept.
                Err(_) => return self.writing().late(&*self.question),
            },
        };
        match collected {
            Ok(Collected { answers, room: None, .. }) => self.writing().answer(&*self.question, &answers, None),
            Ok(Collected { answers, room, .. }) => self.write_elsewhere(answers, room).await,
            Err(NotCollected::TooLarge) => self.writing().too_large(&*self.question, MAX_ANSWER_BYTES),
            Err(NotCollected::NoRoom) => self.writing().no_room(&*self.question),
            Err(NotCollected::Failed(error)) => rows::refused(&self.worker, self.method, &error),
        }
    }

    /// Writes a large answer on a thread that serves nobody: of megabytes it takes as long as thousands of hits.
    async fn write_elsewhere(self, answers: SmallVec<[RowAnswer; 1]>, room: Option<Room>) -> Answer {
        // Is never closed. Whoever leaves meanwhile leaves the permit with the thread.
        let permit = WRITING_ELSEWHERE.acquire().await.ok();
        let (worker, method) = (Arc::clone(&self.worker), self.method);
        let write = move || {
            let answer = self.writing().answer(&*self.question, &answers, room);
            drop(permit);
            answer
        };
        spawn_blocking(write).await.unwrap_or_else(|_| {
            let error = FetchError::internal("the thread that wrote the answer broke");
            rows::refused(&worker, method, &error)
        })
    }
}

/// The answers of all rows, and how much the records are that they hold.
struct Collected {
    answers: SmallVec<[RowAnswer; 1]>,
    n_bytes: usize,
    /// Room for what will be written of them, if that is large.
    room: Option<Room>,
}

impl Collected {
    /// Counts records that are held from now on.
    fn count(&mut self, n_bytes: usize, worker: &Worker) -> Result<(), NotCollected> {
        self.n_bytes += n_bytes;
        if self.n_bytes > MAX_ANSWER_BYTES {
            return Err(NotCollected::TooLarge);
        }
        if self.n_bytes <= MAX_BYTES_HERE {
            return Ok(());
        }
        let room = self.room.get_or_insert_with(|| worker.edge.held_answers.room(MAX_WRITTEN_BYTES));
        if room.set(WRITTEN_A_BYTE * self.n_bytes as u64) { Ok(()) } else { Err(NotCollected::NoRoom) }
    }
}

/// Why there are not all.
enum NotCollected {
    Failed(FetchError),
    TooLarge,
    NoRoom,
}

impl From<FetchError> for NotCollected {
    fn from(error: FetchError) -> Self {
        Self::Failed(error)
    }
}

/// Waits for all rows, in their order.
async fn collect(
    parts: &mut SmallVec<[Part; 1]>,
    rows: &[Row],
    worker: &Arc<Worker>,
    origin: &str,
    method: &str,
) -> Result<Collected, NotCollected> {
    let mut collected = Collected { answers: SmallVec::with_capacity(rows.len()), n_bytes: 0, room: None };
    // What is there already is held while the others are waited for.
    let n_bytes_here = |part: &Part| if let Part::Here(answer) = part { answer.body.as_bytes().len() } else { 0 };
    collected.count(parts.iter().map(n_bytes_here).sum(), worker)?;
    for (part, row) in parts.drain(..).zip(rows) {
        let is_counted = matches!(part, Part::Here(_));
        let answer = match part.answer(worker, origin, row).await {
            Ok(answer) => answer,
            Err(error) => Box::pin(rows::take(rows::refused(worker, method, &error))).await?,
        };
        if !is_counted {
            collected.count(answer.body.as_bytes().len(), worker)?;
        }
        collected.answers.push(answer);
    }
    Ok(collected)
}

/// The most that one answer holds of predictions, as they are stored: as JSON it may be some times as much.
const MAX_ANSWER_BYTES: usize = 16 << 20;
/// How much room is taken for what will be written of a byte of a record: numbers of 32 and 64 bits are at most so much in
/// JSON. What comes out longer (flags, numbers of 8 bits) takes the rest once it is there; that is done of as few answers
/// at once as are written.
const WRITTEN_A_BYTE: u64 = 4;
/// Large answers that are written at once. More would leave hits less of the machine, and make none of them earlier.
static WRITING_ELSEWHERE: Semaphore = Semaphore::const_new(2);
