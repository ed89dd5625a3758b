//! Requests without a socket: the same machine, for the process that the edge is a guest in.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bodega_edge::exchange::{Journey, OwnedRequest};
use bodega_edge::fetch::{RequestBody, next_chunk};
use bodega_edge::{Answer, AnswerHead, Begun, BodyPlan, Finished, RequestView, Worker, begin, complete, finish};
use bodega_semantics::{Field, Fields, Reason};
use bodega_snapshot::Hsts;
use bytes::Bytes;

/// A request as a program makes it.
pub struct InProcessRequest {
    /// The method, upper case.
    pub method: String,
    /// `Host`.
    pub authority: String,
    /// The path, beginning with `/`.
    pub path: String,
    /// The query, without `?`.
    pub query: Option<String>,
    /// Field lines.
    pub fields: Vec<(String, Vec<u8>)>,
    /// The body; empty for none.
    pub body: Vec<u8>,
    /// How long it may take.
    pub timeout: Duration,
    /// The largest answer that is held in memory.
    pub max_answer_bytes: u64,
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct InProcessAnswer {
    /// The status code.
    pub status: u16,
    /// Field lines.
    pub fields: Fields,
    /// The body.
    pub body: Vec<u8>,
}

/// Runs `request` through the machine.
///
/// # Errors
/// In words, when there was no answer in time, it broke off, or it is too large to hold.
pub(crate) async fn run(worker: &Arc<Worker>, request: InProcessRequest) -> Result<InProcessAnswer, String> {
    let timeout = request.timeout;
    match tokio::time::timeout(timeout, answer(worker, request)).await {
        Ok(answer) => answer,
        Err(_) => Err(format!("no answer within {} s", timeout.as_secs_f64())),
    }
}

async fn answer(worker: &Arc<Worker>, request: InProcessRequest) -> Result<InProcessAnswer, String> {
    let started = Instant::now();
    let fields: Vec<Field<'_>> =
        request.fields.iter().map(|(name, value)| Field { name: name.as_str(), value: value.as_slice() }).collect();
    let view = RequestView {
        method: &request.method,
        https: false,
        authority: &request.authority,
        path: &request.path,
        query: request.query.as_deref(),
        fields: &fields,
        peer: IpAddr::V4(Ipv4Addr::LOCALHOST),
        has_body: !request.body.is_empty(),
        body: Some(&request.body),
        version: "1.1",
        upgrade: false,
    };
    let snapshot = worker.edge.snapshot.load_full();
    let answer = match begin(worker, &snapshot, &view) {
        Begun::Ready(answer) => answer,
        Begun::Predicting(predicting) => predicting.await,
        Begun::Pending(pending) => {
            let journey = Journey::new(Arc::clone(worker), OwnedRequest::copy_of(&view), pending);
            let body = (!request.body.is_empty()).then(|| RequestBody::whole(Bytes::from(request.body.clone())));
            complete(journey, body).await
        }
    };
    let (outcome, mut reason) = (answer.outcome, answer.reason);
    let collected = collect(worker, answer, request.max_answer_bytes).await;
    if collected.is_err() {
        reason = Reason::OriginBroken;
    }
    let sent_bytes = collected.as_ref().map_or(0, |answer| answer.body.len() as u64);
    let received_bytes = request.body.len() as u64;
    finish(worker, &Finished { outcome, reason, sent_bytes, received_bytes, took: started.elapsed() });
    collected
}

async fn collect(worker: &Worker, answer: Answer, max_bytes: u64) -> Result<InProcessAnswer, String> {
    let fields = head_fields(worker, &answer);
    let mut body = Vec::new();
    let too_large = || format!("the answer is larger than {max_bytes} bytes");
    if answer.content_length.is_some_and(|n_bytes| n_bytes > max_bytes) && !matches!(answer.body, BodyPlan::Empty) {
        return Err(too_large());
    }
    match answer.body {
        BodyPlan::Empty => {}
        BodyPlan::Bytes(bytes) => body.extend_from_slice(&bytes),
        BodyPlan::Stored { entry, from, to } => {
            entry.body().pieces(from, to).for_each(|piece| body.extend_from_slice(piece))
        }
        BodyPlan::Read(mut reader) => {
            while let Some(piece) = reader.next().await.map_err(|error| error.message)? {
                body.extend_from_slice(piece.as_ref());
                if body.len() as u64 > max_bytes {
                    return Err(too_large());
                }
            }
        }
        BodyPlan::Stream(mut stream) => {
            while let Some(chunk) = next_chunk(&mut *stream).await {
                body.extend_from_slice(&chunk.map_err(|error| error.message)?);
                if body.len() as u64 > max_bytes {
                    return Err(too_large());
                }
            }
        }
    }
    Ok(InProcessAnswer { status: answer.status, fields, body })
}

fn head_fields(worker: &Worker, answer: &Answer) -> Fields {
    match (&answer.head, &answer.body) {
        (AnswerHead::Built(fields), _) => fields.clone(),
        (AnswerHead::Stored { age_seconds, ttl_seconds, hsts }, BodyPlan::Stored { entry, .. }) => {
            let mut fields = Fields::copy_of(entry);
            fields.push("Via", worker.edge.via().as_bytes());
            fields.set("Age", age_seconds.to_string().as_bytes());
            let mut status = Vec::new();
            bodega_semantics::cache_status::write_hit(&mut status, &worker.edge.settings.name, *ttl_seconds);
            fields.push("Cache-Status", &status);
            if let Some(hsts) = hsts {
                fields.push(Hsts::FIELD, hsts.value().as_bytes());
            }
            fields
        }
        (AnswerHead::Stored { .. }, _) => Fields::new(),
    }
}
