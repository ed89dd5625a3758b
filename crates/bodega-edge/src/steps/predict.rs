//! Asks a model: takes the body apart into rows, asks for each as for anything of an origin, and writes one answer.
//!
//! A row's request is a GET of the machine's own whose key is made of the row, so that memory, disk, collapsing, freshness
//! and invalidation are those of any other entry. What is found at once is not waited for; the others go on together.

use std::pin::Pin;
use std::sync::Arc;

use bodega_semantics::{Fields, Head, Outcome, Reason, cache_status};
use bodega_snapshot::{Action, Snapshot};
use bytes::Bytes;
use tokio::task::JoinSet;

use crate::answer::{Answer, AnswerHead, BodyPlan};
use crate::edge::Worker;
use crate::exchange::{Found, Journey, OwnedRequest};
use crate::fetch::{FetchError, RequestBody, next_chunk};
use crate::predict::{Answered, Asked, AskedRow, Question, Refused, Row};
use crate::respond;
use crate::step::{self, Begun, Loaded, Step};

/// What a row's answer came to.
struct RowAnswer {
    status: u16,
    /// Of the answer's fields those that are said again.
    fields: Fields,
    body: Bytes,
    outcome: Outcome,
    reason: Reason,
}

/// Fields of a row's answer that the client gets. A batch says those of its first row that was not stored.
const SAID_AGAIN: [&str; 6] = ["cache-status", "age", "retry-after", "proxy-status", "x-request-id", "cache-control"];
/// The longest record that is taken for a row's answer.
const MAX_RECORD_BYTES: usize = 16 << 20;

/// Answers with what the model says. The type is written out, since a row goes through this machine again.
pub(crate) fn run(journey: &mut Journey) -> Pin<Box<dyn Future<Output = Step> + Send + '_>> {
    Box::pin(async move {
        match ask(journey).await {
            Ok(answer) => {
                journey.answer = Some(answer);
                Step::Finish
            }
            Err(error) => {
                journey.found = Found::Failed(error);
                Step::Refuse
            }
        }
    })
}

async fn ask(journey: &mut Journey) -> Result<Answer, FetchError> {
    let behavior = journey.pending.behavior.clone().ok_or_else(|| FetchError::internal("no behavior"))?;
    let Action::Origin(origin) = &behavior.action else {
        return Err(FetchError::internal("a behavior of no model"));
    };
    let fetch = Arc::clone(&journey.worker.fetch);
    let body = read(journey.body.take(), fetch.max_question_bytes(origin)).await?;
    let request = Arc::clone(&journey.request);
    let asked = Asked { method: &request.method, path: &request.path, fields: &request.fields, body: &body };
    let question = match fetch.question(origin, &asked) {
        Some(Ok(question)) => question,
        Some(Err(refused)) => return Ok(refuse(journey, refused)),
        None => return Err(FetchError::new(Reason::OriginDown, format!("the model {origin} is not loaded"))),
    };
    // An answer is never given to another credential; whoever names none shares.
    let is_private = request.fields.has("authorization") || request.fields.has("cookie");
    let row = |row: &Row| AskedRow {
        behavior: Arc::clone(&behavior),
        body: row.body.clone(),
        is_private: is_private || !row.is_kept,
    };
    let rows = question.rows().iter().map(|each| (each.path.clone(), Arc::new(row(each)))).collect();
    let asking =
        Asking { worker: Arc::clone(&journey.worker), snapshot: Arc::clone(&journey.pending.snapshot), request };
    let answers = asking.all(rows).await?;
    Ok(write(journey, &*question, answers))
}

/// Reads a body, or as much as shows that it is too long.
async fn read(body: Option<RequestBody>, max_bytes: u64) -> Result<Vec<u8>, FetchError> {
    let mut whole = Vec::new();
    let Some(mut body) = body else { return Ok(whole) };
    while let Some(chunk) = next_chunk(&mut *body.stream).await {
        let chunk = chunk?;
        let room = usize::try_from(max_bytes + 1).unwrap_or(usize::MAX) - whole.len();
        whole.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if whole.len() as u64 > max_bytes {
            break;
        }
    }
    Ok(whole)
}

/// What the requests for rows have in common.
struct Asking {
    worker: Arc<Worker>,
    snapshot: Arc<Snapshot>,
    request: Arc<OwnedRequest>,
}

impl Asking {
    /// Asks for all rows; the answers stand in their order.
    async fn all(&self, rows: Vec<(String, Arc<AskedRow>)>) -> Result<Vec<RowAnswer>, FetchError> {
        let mut answers: Vec<Option<RowAnswer>> = Vec::with_capacity(rows.len());
        let mut waiting = Vec::new();
        for (path, row) in rows {
            let request = OwnedRequest {
                method: "GET".to_owned(),
                path,
                query: None,
                fields: Fields::new(),
                has_body: false,
                authority: self.request.authority.clone(),
                https: self.request.https,
                peer: self.request.peer,
                version: self.request.version,
            };
            let loaded = Loaded { entries: &[], may_load: true, row: Some(&row) };
            match step::look_up(&self.worker, &self.snapshot, &request.view(&[]), loaded) {
                Begun::Ready(answer) => answers.push(Some(self.take(answer).await?)),
                Begun::Pending(pending) => {
                    let asked = Journey::new(Arc::clone(&self.worker), request, pending);
                    waiting.push((answers.len(), step::complete(asked, Some(row.request_body()))));
                    answers.push(None);
                }
            }
        }
        if let [_] = waiting.as_slice() {
            // The usual case needs no task.
            for (at, answering) in waiting {
                answers[at] = Some(self.take(answering.await).await?);
            }
        } else {
            let mut tasks = JoinSet::new();
            for (at, answering) in waiting {
                tasks.spawn(async move { (at, answering.await) });
            }
            while let Some(joined) = tasks.join_next().await {
                let (at, answer) = joined.map_err(|error| FetchError::internal(error.to_string()))?;
                answers[at] = Some(self.take(answer).await?);
            }
        }
        answers.into_iter().collect::<Option<Vec<_>>>().ok_or_else(|| FetchError::internal("a row without an answer"))
    }

    /// Takes an answer's body whole.
    async fn take(&self, answer: Answer) -> Result<RowAnswer, FetchError> {
        let Answer { status, head, body, outcome, reason, .. } = answer;
        let mut fields = Fields::new();
        match head {
            AnswerHead::Stored { age_seconds, ttl_seconds, .. } => {
                let mut value = Vec::with_capacity(48);
                cache_status::write_hit(&mut value, &self.worker.edge.settings.name, ttl_seconds);
                fields.push("Age", age_seconds.to_string().as_bytes());
                fields.push("Cache-Status", &value);
            }
            AnswerHead::Built(built) => {
                for field in
                    built.fields().filter(|field| SAID_AGAIN.iter().any(|name| field.name.eq_ignore_ascii_case(name)))
                {
                    fields.push(field.name, field.value);
                }
            }
        }
        let mut whole = Vec::new();
        match body {
            BodyPlan::Empty => {}
            BodyPlan::Bytes(bytes) => return Ok(RowAnswer { status, fields, body: bytes, outcome, reason }),
            BodyPlan::Stored { entry, from, to } => {
                entry.body().pieces(from, to).for_each(|piece| whole.extend_from_slice(piece));
            }
            BodyPlan::Read(mut reader) => {
                while let Some(piece) = reader.next().await? {
                    whole.extend_from_slice(piece.as_ref());
                    reader.consumed();
                    check_length(&whole)?;
                }
            }
            BodyPlan::Stream(mut stream) => {
                while let Some(chunk) = next_chunk(&mut *stream).await {
                    whole.extend_from_slice(&chunk?);
                    check_length(&whole)?;
                }
            }
        }
        Ok(RowAnswer { status, fields, body: whole.into(), outcome, reason })
    }
}

fn check_length(whole: &[u8]) -> Result<(), FetchError> {
    if whole.len() > MAX_RECORD_BYTES {
        return Err(FetchError::new(Reason::OriginMalformed, "a prediction is larger than 16 MiB"));
    }
    Ok(())
}

/// One answer for all rows, under what is said of the first that was not stored, or that has none.
fn write(journey: &Journey, question: &dyn Question, rows: Vec<RowAnswer>) -> Answer {
    let failed = rows.iter().position(|row| row.status != 200);
    let is_cached = |row: &RowAnswer| matches!(row.outcome, Outcome::Hit | Outcome::Stale);
    let told = failed.or_else(|| rows.iter().position(|row| !is_cached(row))).unwrap_or(0);
    let (status, outcome, reason, fields) = match rows.get(told) {
        Some(row) => (row.status, row.outcome, row.reason, row.fields.clone()),
        // Nothing was asked.
        None => (200, Outcome::Pass, Reason::Method, Fields::new()),
    };
    let rendered = match failed.and_then(|at| rows.get(at)) {
        Some(row) => {
            let text = String::from_utf8_lossy(&row.body);
            (status, question.render_failure(status, text.lines().next().unwrap_or_default()))
        }
        None => {
            let answers: Vec<Answered> =
                rows.iter().map(|row| Answered { body: row.body.clone(), is_cached: is_cached(row) }).collect();
            match question.render(&answers) {
                Some(rendered) => (status, rendered),
                None => (500, question.render_failure(500, "what is stored is no prediction of this model")),
            }
        }
    };
    let (status, rendered) = rendered;
    let mut fields = fields;
    for (name, value) in &rendered.fields {
        fields.push(name, value.as_bytes());
    }
    finish(journey, status, fields, (rendered.content_type, rendered.body), (outcome, reason))
}

fn refuse(journey: &Journey, refused: Refused) -> Answer {
    let mut fields = Fields::new();
    fields.push("Cache-Control", b"no-store");
    if refused.status == 405 {
        fields.push("Allow", b"POST");
    }
    let reason = if refused.status == 413 { Reason::Limit } else { Reason::Malformed };
    let mut value = Vec::with_capacity(48);
    cache_status::write_detail(&mut value, &journey.worker.edge.settings.name, reason.name());
    fields.push("Cache-Status", &value);
    finish(journey, refused.status, fields, (refused.content_type, refused.body), (Outcome::Refused, reason))
}

fn finish(
    journey: &Journey,
    status: u16,
    mut fields: Fields,
    (content_type, body): (&str, Bytes),
    (outcome, reason): (Outcome, Reason),
) -> Answer {
    fields.push("Content-Type", content_type.as_bytes());
    fields.push("Via", journey.worker.edge.via().as_bytes());
    if let Some(behavior) = &journey.pending.behavior {
        behavior.response_edits.apply(&mut fields);
    }
    respond::own(status, fields, body, &journey.request.method, outcome, reason)
}
