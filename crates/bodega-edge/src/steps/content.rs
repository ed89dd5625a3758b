//! Reads a body that is part of the key, and looks the request up under it. What no key can be made of passes.

use std::sync::Arc;
use std::task::{Context, Poll};

use bodega_semantics::{Fields, Reason};
use bytes::{Bytes, BytesMut};

use crate::content::{self, Content};
use crate::exchange::{Found, Journey};
use crate::fetch::{BodyStream, FetchError, RequestBody, next_chunk};
use crate::held::{MAX_CONTENT_BYTES, Room};
use crate::step::{self, Step};

/// Why there is no key.
enum Without {
    /// The request goes on as it came.
    Pass(Reason),
    /// It did not come whole.
    Failed(FetchError),
}

/// Reads, and looks up.
pub(crate) async fn run(journey: &mut Journey) -> Step {
    match read(journey).await {
        Ok(content) => {
            journey.pending.content = Some(Arc::new(content));
            step::look_up_anew(journey)
        }
        Err(Without::Pass(reason)) => {
            journey.pending.reason = reason;
            Step::Pass
        }
        Err(Without::Failed(error)) => {
            journey.found = Found::Failed(error);
            Step::Refuse
        }
    }
}

async fn read(journey: &mut Journey) -> Result<Content, Without> {
    let behavior = journey.pending.behavior.clone();
    let Some(rules) = behavior.as_ref().and_then(|behavior| behavior.body_key.as_ref()) else {
        return Err(Without::Failed(FetchError::internal("a behavior that keys no body")));
    };
    let edge = &journey.worker.edge;
    let request = Arc::clone(&journey.request);
    content::check_type(rules, &request.fields).map_err(Without::Pass)?;
    let named = journey.body.as_ref().map_or(Some(0), |body| body.content_length);
    if named.is_some_and(|n_bytes| n_bytes > rules.max_bytes) {
        return Err(Without::Pass(Reason::BodyLimit));
    }
    let mut room = edge.held_content.room(MAX_CONTENT_BYTES);
    let bytes = match journey.body.take() {
        Some(body) => match take(body, rules.max_bytes, &mut room).await.map_err(Without::Failed)? {
            Taken::Whole(bytes) => bytes,
            Taken::TooLong(body) => {
                journey.body = Some(body);
                return Err(Without::Pass(Reason::BodyLimit));
            }
        },
        None => Bytes::new(),
    };
    match content::counted(rules, &request.fields, &bytes) {
        Ok(counted) => {
            let digest = content::digest(&edge.settings.secret, &request.method, &request.fields, &counted);
            Ok(Content::new(&request.method, bytes, digest, room))
        }
        Err(reason) => {
            journey.body = request.has_body.then(|| RequestBody::repeatable(bytes));
            Err(Without::Pass(reason))
        }
    }
}

enum Taken {
    Whole(Bytes),
    /// What was read, and the rest: it is too long, or there is no room for it.
    TooLong(RequestBody),
}

async fn take(mut body: RequestBody, max_bytes: u64, room: &mut Room) -> Result<Taken, FetchError> {
    let mut first: Option<Bytes> = None;
    let mut whole = BytesMut::new();
    while let Some(chunk) = next_chunk(&mut *body.stream).await {
        let chunk = chunk?;
        let n_bytes = first.as_ref().map_or(whole.len(), Bytes::len) + chunk.len();
        if n_bytes as u64 > max_bytes || !room.grow(chunk.len() as u64) {
            let read = first.unwrap_or_else(|| whole.freeze());
            let stream = Box::new(Rejoined { ahead: vec![chunk, read], rest: body.stream });
            return Ok(Taken::TooLong(RequestBody::streamed(body.content_length, stream)));
        }
        // Most come in one piece.
        match first.take() {
            None if whole.is_empty() => first = Some(chunk),
            None => whole.extend_from_slice(&chunk),
            Some(piece) => {
                whole.extend_from_slice(&piece);
                whole.extend_from_slice(&chunk);
            }
        }
    }
    Ok(Taken::Whole(first.unwrap_or_else(|| whole.freeze())))
}

/// A body of which the beginning has been read.
struct Rejoined {
    /// The last of it goes first.
    ahead: Vec<Bytes>,
    rest: Box<dyn BodyStream>,
}

impl BodyStream for Rejoined {
    fn poll_chunk(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, FetchError>>> {
        while let Some(chunk) = self.ahead.pop() {
            if !chunk.is_empty() {
                return Poll::Ready(Some(Ok(chunk)));
            }
        }
        self.rest.poll_chunk(context)
    }

    fn trailers(&mut self) -> Option<Fields> {
        self.rest.trailers()
    }

    fn announced_trailers(&self) -> Option<&[u8]> {
        self.rest.announced_trailers()
    }
}
