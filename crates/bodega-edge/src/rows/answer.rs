//! What a row's answer came to, wherever it came from.

use bodega_semantics::{Fields, Outcome, Reason};
use bodega_store::Entry;
use bodega_store::entry::Body;
use bytes::Bytes;

use crate::answer::{Answer, AnswerHead, BodyPlan};
use crate::fetch::{FetchError, next_chunk};
use crate::respond::Said;

/// The longest record that is taken for a row's answer.
const MAX_RECORD_BYTES: usize = 16 << 20;

/// What a row's answer came to.
pub(crate) struct RowAnswer {
    pub(crate) status: u16,
    pub(crate) told: Told,
    pub(crate) body: RowBody,
    pub(crate) outcome: Outcome,
    pub(crate) reason: Reason,
}

/// What is said of a row, if it is the one that the answer's head speaks of.
pub(crate) enum Told {
    /// A hit.
    Hit { age_seconds: u64, ttl_seconds: u64 },
    /// Another way by which it came about.
    Made { age_seconds: Option<u64>, said: Said },
    /// The model failed, which is nothing to keep.
    Failed(Said),
    /// These lines.
    Fields(Fields),
}

/// A row's outputs, wherever they are.
pub(crate) enum RowBody {
    Stored(Entry),
    Bytes(Bytes),
}

impl RowBody {
    pub(crate) fn of(entry: Entry) -> Self {
        if matches!(entry.body(), Body::Inline(_)) {
            return Self::Stored(entry);
        }
        let n_bytes = entry.body().len();
        let pieces: Vec<&[u8]> = entry.body().pieces(0, n_bytes).collect();
        Self::Bytes(pieces.concat().into())
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Stored(entry) => match entry.body() {
                Body::Inline(bytes) => bytes,
                Body::Slices(_) | Body::Disk(_) => &[],
            },
        }
    }
}

impl RowAnswer {
    pub(crate) fn is_cached(&self) -> bool {
        matches!(self.outcome, Outcome::Hit | Outcome::Stale)
    }

    pub(super) fn computed(outcome: Outcome, reason: Reason, body: Vec<u8>) -> Self {
        let told = Told::Made { age_seconds: None, said: said(outcome, reason) };
        Self { status: 200, told, body: RowBody::Bytes(body.into()), outcome, reason }
    }

    /// Of a row that the model failed for.
    pub(super) fn failed(outcome: Outcome, reason: Reason, what: Bytes) -> Self {
        let told = Told::Failed(said(outcome, reason));
        Self { status: 500, told, body: RowBody::Bytes(what), outcome, reason }
    }
}

pub(super) fn said(outcome: Outcome, reason: Reason) -> Said {
    Said { outcome, reason, fwd_status: None, stored: false, collapsed: false, ttl_seconds: None }
}

/// Fields of a row's answer that the client gets.
const SAID_AGAIN: [&str; 6] = ["cache-status", "age", "retry-after", "proxy-status", "x-request-id", "cache-control"];

/// Takes an answer of the machine's, its body whole.
pub(crate) async fn take(answer: Answer) -> Result<RowAnswer, FetchError> {
    let Answer { status, head, body, outcome, reason, .. } = answer;
    let told = match head {
        AnswerHead::Stored { age_seconds, ttl_seconds, .. } => Told::Hit { age_seconds, ttl_seconds },
        AnswerHead::Built(mut built) => {
            built.retain(|field| SAID_AGAIN.iter().any(|name| field.name.eq_ignore_ascii_case(name)));
            Told::Fields(built)
        }
    };
    let mut whole = Vec::new();
    let body = match body {
        BodyPlan::Empty => RowBody::Bytes(Bytes::new()),
        BodyPlan::Bytes(bytes) => RowBody::Bytes(bytes),
        BodyPlan::Stored { entry, .. } => RowBody::of(entry),
        BodyPlan::Read(mut reader) => {
            while let Some(piece) = reader.next().await? {
                whole.extend_from_slice(piece.as_ref());
                reader.consumed();
                check_length(&whole)?;
            }
            RowBody::Bytes(whole.into())
        }
        BodyPlan::Stream(mut stream) => {
            while let Some(chunk) = next_chunk(&mut *stream).await {
                whole.extend_from_slice(&chunk?);
                check_length(&whole)?;
            }
            RowBody::Bytes(whole.into())
        }
    };
    Ok(RowAnswer { status, told, body, outcome, reason })
}

fn check_length(whole: &[u8]) -> Result<(), FetchError> {
    if whole.len() > MAX_RECORD_BYTES {
        return Err(FetchError::new(Reason::OriginMalformed, "a prediction is larger than 16 MiB"));
    }
    Ok(())
}
