//! The body of an answer, read off its connection as the machine asks for it.
//! It ends properly or with an error: a body that broke off never looks like one that ended.
//! The connection goes back to its pool as soon as the last byte is read, if the framing left it in step.

use std::io;
use std::task::{Context, Poll};

use bodega_edge::fetch::{BodyStream, FetchAnswer, FetchError, OnePiece};
use bodega_http1::{AnswerFraming, ChunkDecoder};
use bodega_semantics::{Fields, Reason, forwarding};
use bytes::{Bytes, BytesMut};
use tokio::time::Instant;

use crate::connection::Connection;
use crate::exchange::AnswerHead;
use crate::failure::{Failure, Stage, seconds};
use crate::gate::Turn;
use crate::pool::Lane;
use crate::upload::{SendError, Upload};

/// An answer on its way: what must be held until its body has ended.
pub(crate) struct Arrival {
    pub(crate) connection: Box<Connection>,
    pub(crate) lane: Lane,
    #[expect(dead_code, reason = "held, and given up with the rest")]
    pub(crate) turn: Turn,
    /// What is still to be sent of the request.
    pub(crate) upload: Option<Upload>,
    /// Whether bytes behind the length of a body only end the connection.
    pub(crate) ignores_more: bool,
}

/// The answer for the machine. A body that is there already needs no stream, and frees its connection at once.
pub(crate) fn answer(head: AnswerHead, mut arrival: Arrival) -> FetchAnswer {
    let AnswerHead { status, fields, content_length, framing, keep_alive, idle_timeout, announced } = head;
    arrival.connection.expect_close_after(idle_timeout);
    let framing = match framing {
        AnswerFraming::None => Framing::Nothing,
        AnswerFraming::Length(left) => Framing::Length { left, ignores_more: arrival.ignores_more },
        AnswerFraming::Chunked => Framing::Chunked(ChunkDecoder::keeping_trailers()),
        AnswerFraming::UntilClose => Framing::UntilClose,
    };
    // Without chunks there is no place for them.
    let announced = announced.filter(|_| matches!(framing, Framing::Chunked(_)));
    let mut body = AnswerBody { arrival: Some(arrival), framing, keep_alive, n_read: 0, progress: None, announced };
    let body: Box<dyn BodyStream> = match body.whole() {
        Some(piece) => Box::new(OnePiece(Some(piece))),
        None => Box::new(body),
    };
    FetchAnswer { status, fields, content_length, body }
}

struct AnswerBody {
    /// Gone once the body has ended.
    arrival: Option<Arrival>,
    framing: Framing,
    keep_alive: bool,
    n_read: u64,
    /// When the origin last sent something; unset while nobody waits for it.
    progress: Option<Instant>,
    announced: Option<Vec<u8>>,
}

enum Framing {
    /// The answer ended with its head.
    Nothing,
    /// Bytes still to come.
    Length {
        left: u64,
        ignores_more: bool,
    },
    Chunked(ChunkDecoder),
    UntilClose,
}

/// What the input holds.
enum Found {
    Piece(Bytes),
    /// Nothing to hand over; more must be read.
    Nothing,
    /// The body has ended, perhaps with a last piece (else empty).
    End(Bytes),
}

impl BodyStream for AnswerBody {
    fn poll_chunk(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, FetchError>>> {
        let polled = self.poll(context);
        if let Poll::Ready(Some(Err(_))) = &polled {
            self.arrival = None;
        }
        polled
    }

    fn trailers(&mut self) -> Option<Fields> {
        let Framing::Chunked(decoder) = &mut self.framing else { return None };
        let fields = forwarding::trailers(&decoder.take_trailers()?);
        (!fields.is_empty()).then_some(fields)
    }

    fn announced_trailers(&self) -> Option<&[u8]> {
        self.announced.as_deref()
    }
}

impl AnswerBody {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, FetchError>>> {
        if let Err(error) = self.send_on(context) {
            return Poll::Ready(Some(Err(error)));
        }
        loop {
            let Some(arrival) = &mut self.arrival else { return Poll::Ready(None) };
            match find(&mut self.framing, &mut arrival.connection.input) {
                Ok(Found::Nothing) => {}
                Ok(Found::Piece(piece)) => return Poll::Ready(Some(Ok(self.hand_over(piece)))),
                Ok(Found::End(piece)) => {
                    self.finish();
                    return Poll::Ready((!piece.is_empty()).then(|| Ok(self.hand_over(piece))));
                }
                Err(what) => return self.fail(Reason::OriginMalformed, &format!("sent a malformed body: {what}")),
            }
            match arrival.connection.poll_read(context, self.framing.room()) {
                Poll::Ready(Ok(0)) if matches!(self.framing, Framing::UntilClose) => {
                    self.arrival = None;
                    return Poll::Ready(None);
                }
                Poll::Ready(Ok(0)) => return self.broken(&io::ErrorKind::UnexpectedEof.into()),
                Poll::Ready(Ok(_)) => self.progress = None,
                Poll::Ready(Err(error)) => return self.broken(&error),
                Poll::Pending => return self.wait(context),
            }
        }
    }

    /// The whole body, if it is in the input and the request is sent.
    fn whole(&mut self) -> Option<Bytes> {
        let arrival = self.arrival.as_mut()?;
        let n_there = arrival.connection.input.len() as u64;
        let is_there = match self.framing {
            Framing::Nothing => true,
            Framing::Length { left, ignores_more } => left == n_there || (ignores_more && left < n_there),
            Framing::Chunked(_) | Framing::UntilClose => false,
        };
        if !is_there || arrival.upload.is_some() {
            return None;
        }
        let Ok(Found::End(piece)) = find(&mut self.framing, &mut arrival.connection.input) else { return None };
        self.finish();
        Some(piece)
    }

    /// Goes on sending the request's body, if the answer came before its end. An origin that takes no more of it
    /// may still finish its answer.
    fn send_on(&mut self, context: &mut Context<'_>) -> Result<(), FetchError> {
        let Some(Arrival { connection, upload: Some(upload), .. }) = &mut self.arrival else { return Ok(()) };
        match upload.poll_send(context, connection) {
            Poll::Pending => return Ok(()),
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(SendError::Origin(_))) => self.keep_alive = false,
            Poll::Ready(Err(SendError::Client(error))) => return Err(error),
        }
        if let Some(arrival) = &mut self.arrival {
            arrival.upload = None;
        }
        Ok(())
    }

    fn wait(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, FetchError>>> {
        let Some(arrival) = &mut self.arrival else { return Poll::Ready(None) };
        if arrival.upload.as_ref().is_some_and(|upload| upload.awaits_client) {
            // The origin may well be waiting for what the client has not sent.
            self.progress = None;
            return Poll::Pending;
        }
        let patience = arrival.lane.origin().settings.limits.between_bytes_timeout;
        let since = *self.progress.get_or_insert_with(Instant::now);
        if arrival.connection.timer.has_passed(context, since + patience) {
            return self.fail(Reason::OriginTimeout, &format!("sent nothing for {}", seconds(patience)));
        }
        Poll::Pending
    }

    fn hand_over(&mut self, piece: Bytes) -> Bytes {
        self.n_read += piece.len() as u64;
        piece
    }

    /// The body has ended. RFC 9112 section 9.3: the connection may be used again only if both messages are over and
    /// nothing else has come.
    fn finish(&mut self) {
        let Some(arrival) = self.arrival.take() else { return };
        if self.keep_alive && arrival.upload.is_none() && arrival.connection.input.is_empty() {
            arrival.lane.give_back(arrival.connection);
        }
    }

    fn broken(&mut self, error: &io::Error) -> Poll<Option<Result<Bytes, FetchError>>> {
        let what = match error.kind() {
            io::ErrorKind::UnexpectedEof => "closed the connection".to_owned(),
            _ => format!("broke the connection: {error}"),
        };
        self.fail(Reason::OriginBroken, &what)
    }

    fn fail(&mut self, reason: Reason, what: &str) -> Poll<Option<Result<Bytes, FetchError>>> {
        let Some(arrival) = self.arrival.take() else { return Poll::Ready(None) };
        let what = format!("{what} after {} bytes of its body", self.n_read);
        let failure = Failure::new(reason, Stage::Final, what).with_peer(arrival.connection.peer);
        Poll::Ready(Some(Err(failure.into_error(&arrival.lane.origin().settings.name, None, false))))
    }
}

impl Framing {
    /// How much room to read into: enough for the whole body, within bounds.
    fn room(&self) -> usize {
        match self {
            Self::Length { left, .. } => usize::try_from(*left).unwrap_or(LARGE).clamp(SMALL, LARGE),
            Self::Nothing | Self::Chunked(_) | Self::UntilClose => MEDIUM,
        }
    }
}

/// Takes from `input` what belongs to the body.
///
/// More than that is an error where it is seen (RFC 9112 section 6.3): either the length is wrong and the body cut
/// short, or the origin has answered something else as well. After an answer without a body it is only the connection
/// that cannot be trusted: bodies that follow the head all the same are a common mistake, and nothing is missing.
fn find(framing: &mut Framing, input: &mut BytesMut) -> Result<Found, &'static str> {
    match framing {
        Framing::Nothing => Ok(Found::End(Bytes::new())),
        Framing::Length { left, ignores_more: false } if *left < input.len() as u64 => Err(MORE),
        Framing::Length { left, .. } => {
            let n = usize::try_from(*left).map_or(input.len(), |left| left.min(input.len()));
            *left -= n as u64;
            Ok(match (*left, n) {
                (0, _) => Found::End(take(input, n)),
                (_, 0) => Found::Nothing,
                _ => Found::Piece(take(input, n)),
            })
        }
        Framing::Chunked(decoder) => find_chunks(decoder, input),
        Framing::UntilClose if input.is_empty() => Ok(Found::Nothing),
        Framing::UntilClose => Ok(Found::Piece(take(input, input.len()))),
    }
}

/// A large chunk is handed over where it lies; small ones are joined, or each would travel alone.
fn find_chunks(decoder: &mut ChunkDecoder, input: &mut BytesMut) -> Result<Found, &'static str> {
    let mut joined = BytesMut::new();
    loop {
        let step = decoder.decode(input).map_err(|error| error.message())?;
        let is_last = step.done || step.consumed == input.len();
        let data = if step.data.len() > SMALL && joined.is_empty() {
            let mut taken = input.split_to(step.consumed);
            taken.split_to(step.data.end).split_off(step.data.start)
        } else {
            joined.extend_from_slice(&input[step.data]);
            let _ = input.split_to(step.consumed);
            if !is_last && joined.len() <= MEDIUM {
                continue;
            }
            std::mem::take(&mut joined)
        };
        let data = data.freeze();
        return Ok(match (step.done, data.is_empty()) {
            (true, _) if !input.is_empty() => return Err(MORE),
            (true, _) => Found::End(data),
            (false, true) => Found::Nothing,
            (false, false) => Found::Piece(data),
        });
    }
}

/// Small pieces are copied, so that they do not keep a large buffer from being used again.
fn take(input: &mut BytesMut, n: usize) -> Bytes {
    if n > SMALL || n * 2 > input.capacity() {
        return input.split_to(n).freeze();
    }
    let piece = Bytes::copy_from_slice(&input[..n]);
    bytes::Buf::advance(input, n);
    piece
}

const MORE: &str = "bytes follow its end";

/// Up to here copying costs less than holding on to a buffer.
const SMALL: usize = 8 * 1024;
const MEDIUM: usize = 64 * 1024;
const LARGE: usize = 256 * 1024;
