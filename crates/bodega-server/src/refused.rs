//! Answers to requests that a front could not read.

use bodega_edge::{Answer, AnswerHead, BodyPlan, refusal};
use bodega_http1::write::reason_phrase;
use bodega_semantics::{Head, Reason};

use crate::worker::Thread;

/// Says in place of the general words for the reason which status it is, and what was wrong.
pub(crate) fn answer(thread: &Thread, status: u16, what: &str) -> Answer {
    let reason = if matches!(status, 414 | 431) { Reason::Limit } else { Reason::Malformed };
    let mut answer = refusal(&thread.worker.edge, "GET", reason, None, None);
    let AnswerHead::Built(fields) = &answer.head else { return answer };
    let id = String::from_utf8_lossy(fields.first("x-request-id").unwrap_or_default());
    let text = format!("{status} {}: {what}\nrequest {id}\n", reason_phrase(status));
    answer.status = status;
    answer.content_length = Some(text.len() as u64);
    answer.body = BodyPlan::Bytes(text.into());
    answer
}
