//! One request, as many connections as it may take: a pooled one, then new ones.
//!
//! What may be sent again: anything of which nothing was sent; of which no answer has begun, a safe request without a
//! body, or one with a body that is declared to change nothing. A pooled connection that its origin closed meanwhile is not counted as an attempt.

use std::time::Duration;

use bodega_edge::fetch::{FetchAnswer, FetchError, FetchRequest, RequestBody};
use bodega_edge::interim::InterimSender;
use bodega_http1::{Codings, RequestKind};
use bodega_semantics::Head;
use bytes::Bytes;

use crate::body::{Arrival, answer};
use crate::connect::connect;
use crate::connection::Connection;
use crate::exchange::{AnswerHead, exchange};
use crate::failure::{Failure, Stage};
use crate::gate::Turn;
use crate::pool::Lane;
use crate::upload::Upload;

/// What is sent besides the head.
pub(crate) struct Outgoing {
    pub(crate) kind: RequestKind,
    is_repeatable: bool,
    pub(crate) upload: Option<Upload>,
    /// The body once more.
    again: Option<Bytes>,
    pub(crate) codings: Codings,
    /// Where interim answers go.
    pub(crate) interim: Option<InterimSender>,
    has_range: bool,
    has_condition: bool,
}

impl Outgoing {
    pub(crate) fn new(method: &str, fields: &impl Head, body: Option<RequestBody>) -> Self {
        let again = body.as_ref().and_then(|body| body.again.clone());
        Self {
            kind: if method == "HEAD" { RequestKind::Head } else { RequestKind::Other },
            is_repeatable: if body.is_some() { again.is_some() } else { is_safe(method) },
            upload: body.map(Upload::new),
            again,
            codings: Codings::Strict,
            interim: None,
            has_range: fields.has("range"),
            has_condition: fields.has("if-none-match") || fields.has("if-modified-since"),
        }
    }

    /// Whether an answer of this status can be one to this request. Else it is perhaps one to another, and what else
    /// comes on its connection may be too.
    fn may_get(&self, status: u16) -> bool {
        match status {
            206 => self.has_range,
            304 => self.has_condition,
            _ => true,
        }
    }
}

/// Whether a request may be sent twice, be it to another origin.
pub(crate) fn may_repeat(request: &FetchRequest) -> bool {
    request.body.as_ref().map_or_else(|| is_safe(&request.method), |body| body.again.is_some())
}

/// RFC 9110 section 9.2.1. `PUT` and `DELETE` are idempotent too, but doing them twice is the client's decision.
fn is_safe(method: &str) -> bool {
    matches!(method, "GET" | "HEAD" | "OPTIONS")
}

/// Sends a request whose head `write_head` writes, anew for each connection.
///
/// # Errors
/// What the last attempt failed of.
pub(crate) async fn send(
    lane: &Lane,
    turn: Turn,
    mut outgoing: Outgoing,
    write_head: impl Fn(&mut Vec<u8>),
) -> Result<FetchAnswer, FetchError> {
    let settings = &lane.origin().settings;
    let attempts = settings.limits.attempts.max(1);
    let is_repeatable = outgoing.is_repeatable;
    let mut attempt = 1;
    let mut pooled = lane.take(is_repeatable);
    loop {
        let is_pooled = pooled.is_some();
        let failure = match once(lane, pooled.take(), &mut outgoing, &write_head).await {
            Ok((mut head, connection)) => {
                head.keep_alive &= outgoing.may_get(head.status);
                let upload = outgoing.upload.take_if(|upload| !upload.is_sent());
                let ignores_more = outgoing.codings == Codings::UntilClose;
                return Ok(answer(head, Arrival { connection, lane: lane.clone(), turn, upload, ignores_more }));
            }
            Err(failure) => failure,
        };
        let may_repeat = match failure.stage {
            Stage::Unsent => true,
            Stage::Unanswered => is_repeatable,
            Stage::Final => false,
        };
        if let Some(again) = &outgoing.again {
            outgoing.upload = Some(Upload::whole(again.clone()));
        }
        if is_pooled && may_repeat && failure.is_broken() {
            continue;
        }
        if !may_repeat || attempt == attempts {
            return Err(failure.into_error(&settings.name, Some((attempt, attempts)), is_repeatable));
        }
        tokio::time::sleep(BACK_OFF * attempt).await;
        attempt += 1;
    }
}

async fn once(
    lane: &Lane,
    pooled: Option<Box<Connection>>,
    outgoing: &mut Outgoing,
    write_head: &impl Fn(&mut Vec<u8>),
) -> Result<(AnswerHead, Box<Connection>), Failure> {
    let mut connection = match pooled {
        Some(connection) => connection,
        None => {
            let mut connection = connect(lane.origin()).await?;
            connection.prepare();
            connection
        }
    };
    write_head(&mut connection.output);
    let limits = &lane.origin().settings.limits;
    let head = exchange(&mut connection, outgoing, limits).await?;
    Ok((head, connection))
}

/// Between attempts, times their number: long enough for a listener that is being restarted, short for a person.
const BACK_OFF: Duration = Duration::from_millis(25);
