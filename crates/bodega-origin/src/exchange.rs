//! One request on one connection, up to the head of the final answer.
//! Writing and reading go on side by side, so that an answer given before the body was taken is heard (RFC 9112
//! section 9.5); what is left of the body then goes on under the answer's body.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll};
use std::time::Duration;

use bodega_edge::interim::InterimSender;
use bodega_http1::{
    AnswerFraming, Codings, EMPTY_FIELD, Field, HeadErrorKind, Limits, MAX_FIELDS, Parsed, RequestKind, parse_response,
};
use bodega_semantics::forwarding::{announced_trailers, end_to_end};
use bodega_semantics::{Fields, Head, Reason};
use bodega_snapshot::OriginLimits;
use bytes::Buf;
use tokio::time::Instant;

use crate::attempts::Outgoing;
use crate::connection::{Connection, HEAD_BYTES};
use crate::failure::{Failure, Stage, seconds};
use crate::upload::{SendError, Upload};

/// The head of a final answer, out of the connection's buffer.
#[derive(Debug)]
pub(crate) struct AnswerHead {
    pub(crate) status: u16,
    pub(crate) fields: Fields,
    pub(crate) content_length: Option<u64>,
    pub(crate) framing: AnswerFraming,
    /// Whether the connection can be used again, as far as the answer decides it.
    pub(crate) keep_alive: bool,
    /// How long the origin keeps an idle connection open, if it says so.
    pub(crate) idle_timeout: Option<Duration>,
    /// The names of trailer fields that are to come.
    pub(crate) announced: Option<Vec<u8>>,
}

/// Sends the head that lies in `connection.output` and the body of `outgoing`, and reads the head of the answer.
///
/// # Errors
/// When the origin did not take the request or give an answer; the connection must then be dropped.
pub(crate) async fn exchange(
    connection: &mut Connection,
    outgoing: &mut Outgoing,
    limits: &OriginLimits,
) -> Result<AnswerHead, Failure> {
    let peer = connection.peer;
    let started = Instant::now();
    let mut exchange = Exchange {
        connection,
        upload: &mut outgoing.upload,
        kind: outgoing.kind,
        codings: outgoing.codings,
        interim: outgoing.interim.as_ref(),
        limits,
        sent_at: None,
        started,
        refused: None,
        n_interim: 0,
        answered: false,
    };
    poll_fn(|context| exchange.poll(context)).await.map_err(|failure| failure.with_peer(peer))
}

struct Exchange<'a> {
    connection: &'a mut Connection,
    upload: &'a mut Option<Upload>,
    kind: RequestKind,
    codings: Codings,
    /// Where interim answers go.
    interim: Option<&'a InterimSender>,
    limits: &'a OriginLimits,
    started: Instant,
    sent_at: Option<Instant>,
    /// Why the origin takes no more of the request.
    refused: Option<io::Error>,
    n_interim: u32,
    /// Whether a byte of an answer has come.
    answered: bool,
}

impl Exchange<'_> {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<AnswerHead, Failure>> {
        if self.sent_at.is_none() && self.refused.is_none() {
            match self.poll_send(context) {
                Poll::Ready(Ok(())) => self.sent_at = Some(Instant::now()),
                // The origin may have answered before it closed; what can be read decides.
                Poll::Ready(Err(SendError::Origin(error))) => self.refused = Some(error),
                Poll::Ready(Err(SendError::Client(error))) => return Poll::Ready(Err(Failure::from_client(error))),
                Poll::Pending => {}
            }
        }
        loop {
            match self.connection.poll_read(context, HEAD_BYTES) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(self.broken(None))),
                Poll::Ready(Ok(_)) => self.answered = true,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(self.broken(Some(&error)))),
                Poll::Pending => break,
            }
            if let Some(head) = self.parse()? {
                return Poll::Ready(Ok(head));
            }
        }
        if let Some(deadline) = self.deadline()
            && self.connection.timer.has_passed(context, deadline)
        {
            return Poll::Ready(Err(self.too_slow()));
        }
        Poll::Pending
    }

    fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        match self.upload {
            Some(upload) => upload.poll_send(context, self.connection),
            None => self.connection.poll_write(context).map_err(SendError::Origin),
        }
    }

    /// Reads heads off the input until the final one; `None` if more bytes are needed.
    fn parse(&mut self) -> Result<Option<AnswerHead>, Failure> {
        loop {
            let mut fields = [EMPTY_FIELD; MAX_FIELDS];
            let parsed =
                parse_response(&self.connection.input, self.kind, self.codings, &mut fields, &Limits::default());
            let (head, n_bytes) = match parsed {
                Ok(Parsed::Partial) => return Ok(None),
                Ok(Parsed::Complete(head, n_bytes)) => (head, n_bytes),
                Err(error) => {
                    let what = match error.kind() {
                        HeadErrorKind::TooLarge => format!("answered with {}", error.message()),
                        _ => format!("gave a malformed answer: {}", error.message()),
                    };
                    return Err(Failure::new(Reason::OriginMalformed, Stage::Final, what));
                }
            };
            if head.status >= 200 {
                let head = AnswerHead {
                    status: head.status,
                    fields: end_to_end(&WithoutLength(head.fields)),
                    content_length: head.content_length,
                    framing: head.framing,
                    keep_alive: head.keep_alive,
                    idle_timeout: idle_timeout(head.fields),
                    announced: announced_trailers(head.fields),
                };
                self.connection.input.advance(n_bytes);
                return Ok(Some(head));
            }
            // RFC 9110 section 15.2: interim answers may come in any number; nobody asked to switch protocols.
            self.n_interim += 1;
            if head.status == 101 || self.n_interim > MAX_INTERIM {
                let what = format!("gave an answer that was not asked for (status {})", head.status);
                return Err(Failure::new(Reason::OriginMalformed, Stage::Final, what));
            }
            if let Some(interim) = self.interim {
                interim.send(head.status, end_to_end(&WithoutLength(head.fields)));
            }
            self.connection.input.advance(n_bytes);
            if self.connection.input.is_empty() {
                return Ok(None);
            }
        }
    }

    /// Until when the origin must move. Nothing is its fault while the client's body is awaited.
    fn deadline(&self) -> Option<Instant> {
        match (self.sent_at, &self.upload) {
            (Some(sent_at), _) => Some(sent_at + self.limits.first_byte_timeout),
            (None, Some(upload)) if self.refused.is_none() => {
                (!upload.awaits_client).then(|| upload.progress + self.limits.between_bytes_timeout)
            }
            (None, _) => Some(self.started + self.limits.first_byte_timeout),
        }
    }

    fn too_slow(&self) -> Failure {
        let what = if self.sent_at.is_none() && self.refused.is_none() {
            format!("took nothing of the request for {}", seconds(self.limits.between_bytes_timeout))
        } else {
            format!("did not answer within {}", seconds(self.limits.first_byte_timeout))
        };
        Failure::new(Reason::OriginTimeout, self.stage(), what)
    }

    fn broken(&self, error: Option<&io::Error>) -> Failure {
        let error = error.or(self.refused.as_ref());
        let what = match (self.answered, error) {
            (false, None) => "closed the connection without an answer".to_owned(),
            (false, Some(error)) => format!("broke the connection without an answer: {error}"),
            (true, None) => "closed the connection within the head of its answer".to_owned(),
            (true, Some(error)) => format!("broke the connection within the head of its answer: {error}"),
        };
        Failure::new(Reason::OriginBroken, self.stage(), what)
    }

    fn stage(&self) -> Stage {
        if self.answered { Stage::Final } else { Stage::Unanswered }
    }
}

/// `Keep-Alive: timeout=SECONDS`, RFC 2068 section 19.7.1.1 and RFC 9112 appendix C.2.2: of several the shortest.
fn idle_timeout(fields: &[Field<'_>]) -> Option<Duration> {
    let seconds = fields.all("keep-alive").filter_map(|value| std::str::from_utf8(value).ok()).flat_map(|value| {
        value.split(',').filter_map(|member| {
            let (name, seconds) = member.split_once('=')?;
            let seconds = seconds.trim().trim_matches('"');
            let is_timeout = name.trim().eq_ignore_ascii_case("timeout");
            let is_number = !seconds.is_empty() && seconds.bytes().all(|byte| byte.is_ascii_digit());
            // A number too long to read is a very long time.
            (is_timeout && is_number).then(|| seconds.parse().unwrap_or(u32::MAX))
        })
    });
    seconds.min().map(|seconds| Duration::from_secs(seconds.into()))
}

/// The fields without the length, which travels beside them.
struct WithoutLength<'a>(&'a [Field<'a>]);

impl Head for WithoutLength<'_> {
    fn fields(&self) -> impl Iterator<Item = Field<'_>> {
        self.0.iter().copied().filter(|field| !field.name.eq_ignore_ascii_case("content-length"))
    }
}

const MAX_INTERIM: u32 = 16;
