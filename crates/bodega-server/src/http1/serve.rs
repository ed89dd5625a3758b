//! A connection's loop: read a head, let the machine answer, write, again.
//!
//! For a memory hit nothing here waits but the read for the next request: parse, `begin`, one send.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use bodega_edge::exchange::{Journey, OwnedRequest};
use bodega_edge::fetch::RequestBody;
use bodega_edge::interim::{Came, InterimReceiver};
use bodega_edge::rows::Predicting;
use bodega_edge::{Answer, Begun, Finished, RequestView, begin, complete, finish, refusal};
use bodega_http1::{
    BodyFraming, EMPTY_FIELD, HeadError, HeadErrorKind, MAX_FIELDS, Parsed, RequestHead, Version, parse_request,
};
use bodega_semantics::{Reason, forwarding};

use crate::access_log::Line;
use crate::connection::{Connection, Phase};
use crate::http1::body::Incoming;
use crate::http1::input::Input;
use crate::http1::write::{Asked, Output, Written};
use crate::leave;
use crate::refused;
use crate::worker::Thread;

/// Serves `connection` until it ends, or turns out to be HTTP/2 (RFC 9113 section 3.3): then what has been read is given
/// back.
pub(crate) async fn run(thread: &Arc<Thread>, connection: &Arc<Connection>) -> Option<Vec<u8>> {
    let mut input = Input::default();
    let mut output = Output { thread, connection, pending: Vec::new(), sent_bytes: 0 };
    let mut may_be_http2 = thread.speaks_http2 && connection.stream.tls().is_none();
    loop {
        let head = match next_head(thread, connection, &mut input, &mut output).await {
            Ok(true) if may_be_http2 && input.filled().starts_with(HTTP2_PREFACE) => {
                return Some(input.filled().to_vec());
            }
            Ok(true) => Exchanged::of(thread, connection, &mut input, &mut output).await,
            Ok(false) | Err(_) => return None,
        };
        may_be_http2 = false;
        match head {
            Exchanged::Again => {}
            Exchanged::Over => {
                let _ = output.flush().await;
                Box::pin(leave::run(thread, connection)).await;
                return None;
            }
            Exchanged::Broken => {
                // What came before the break is the client's; that it is not whole shows by its framing.
                let _ = output.flush().await;
                return None;
            }
        }
    }
}

/// Waits until the input holds a whole head (or one that is wrong). False: the client ended the connection.
async fn next_head(
    thread: &Arc<Thread>,
    connection: &Connection,
    input: &mut Input,
    output: &mut Output<'_>,
) -> io::Result<bool> {
    // A head that begins in what has been read already may be whole: only parsing tells, and `Exchanged::of` parses.
    let mut fresh = !input.is_empty();
    if fresh {
        // What came behind the request before it: its time begins now, and is not begun again by each byte.
        connection.enter(Phase::Head, thread.connections.tick());
    }
    loop {
        if fresh && is_whole(thread, input) {
            return Ok(true);
        }
        if !output.pending.is_empty() {
            output.flush().await?;
            if !input.is_empty() {
                // A flush that had to wait has left another phase behind.
                connection.enter(Phase::Head, thread.connections.tick());
            }
        }
        if input.is_empty() {
            // While draining too: a request may be here already, on a connection that was just taken from the queue.
            // One that has nothing to say is ended by the sweeper, which looks for idle ones at each tick of a drain.
            input.release(&mut thread.spare.lock());
            output.release();
            if !connection.awaits_first_request() {
                connection.enter(Phase::Idle, thread.connections.tick());
            }
            connection.stream.readable().await?;
            input.take_memory(&mut thread.spare.lock());
            output.take_memory();
        } else {
            if !fresh {
                connection.stream.readable().await?;
            }
        }
        let was_empty = input.is_empty();
        match input.read(&connection.stream, thread.limits.max_head_bytes) {
            Ok(0) => {
                if connection.has_expired() && !was_empty {
                    // RFC 9110 section 15.5.9: the client began a request and did not finish it.
                    output.pending.extend_from_slice(REQUEST_TIMEOUT);
                    output.flush().await?;
                }
                return Ok(false);
            }
            Ok(_) => {
                if was_empty {
                    connection.enter(Phase::Head, thread.connections.tick());
                }
                fresh = true;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => fresh = false,
            Err(error) => return Err(error),
        }
    }
}

/// What no request of HTTP/1 begins with (RFC 9113 section 3.4).
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n";

const REQUEST_TIMEOUT: &[u8] = b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// Whether the input is worth parsing: it holds the end of a head, or more than a head may have.
fn is_whole(thread: &Thread, input: &Input) -> bool {
    let bytes = input.filled();
    bytes.len() >= thread.limits.max_head_bytes
        || bytes.ends_with(b"\r\n\r\n")
        || matches!(
            parse_request(bytes, &mut [EMPTY_FIELD; MAX_FIELDS], &thread.limits),
            Ok(Parsed::Complete(..)) | Err(_)
        )
}

const USUAL_FIELDS: usize = 24;

/// What came of one request.
enum Exchanged {
    /// The next one may follow.
    Again,
    /// Answered; the connection ends.
    Over,
    /// Not answered whole: the client must see a break.
    Broken,
}

impl Exchanged {
    async fn of(
        thread: &Arc<Thread>,
        connection: &Arc<Connection>,
        input: &mut Input,
        output: &mut Output<'_>,
    ) -> Self {
        let started = Instant::now();
        let sent_before = output.sent_bytes + output.pending.len() as u64;
        match take(thread, connection, input) {
            Taken::Unreadable { status, what } => {
                Box::pin(refuse_head(thread, connection, output, (status, what), started)).await
            }
            Taken::Ready { answer, asked, size, line } => {
                let (outcome, reason) = (answer.outcome, answer.reason);
                let more = input.filled().len() > size.n_bytes();
                input.consume(size.n_bytes());
                let written = output.answer(answer, asked, more).await;
                let received_bytes = size.body as u64;
                let done = Done { started, sent_before, received_bytes, outcome, reason, line };
                done.conclude(thread, output, &written)
            }
            Taken::Predicting(Asking { predicting, asked, size, line }) => {
                input.consume(size.n_bytes());
                let Some(answer) = predict(thread, connection, input, output, predicting).await else {
                    return Self::Broken;
                };
                let asked = Asked { keep_alive: asked.keep_alive && !thread.is_draining(), ..asked };
                let line = line.map(|line| line.answered(&answer));
                let (outcome, reason) = (answer.outcome, answer.reason);
                let written = output.answer(answer, asked, false).await;
                let received_bytes = size.body as u64;
                let done = Done { started, sent_before, received_bytes, outcome, reason, line };
                done.conclude(thread, output, &written)
            }
            // In a box: an idle connection takes no memory for it.
            Taken::Waits(waiting) => {
                let waits = wait(thread, connection, input, output, waiting, (started, sent_before));
                thread.spare_boxes.run(waits).await
            }
        }
    }
}

/// What the synchronous part of a request came to. It borrows nothing, so that the slots of a head lie on the stack
/// and not in every connection's task: with many connections those would push each other out of the cache.
#[expect(clippy::large_enum_variant, reason = "lives for a moment on the stack; a box would be an allocation a miss")]
enum Taken {
    Unreadable { status: u16, what: &'static str },
    Ready { answer: Answer, asked: Asked, size: Size, line: Option<Line> },
    Predicting(Asking),
    Waits(Waiting),
}

/// How much of the input a request is.
#[derive(Clone, Copy)]
struct Size {
    head: usize,
    /// Of its body, if that is all there.
    body: usize,
}

impl Size {
    const fn n_bytes(self) -> usize {
        self.head + self.body
    }
}

/// A request that has been read whole and that a model answers.
struct Asking {
    predicting: Predicting,
    asked: Asked,
    size: Size,
    line: Option<Line>,
}

/// A request that goes on to the origin.
struct Waiting {
    journey: Journey,
    framing: BodyFraming,
    asked: Asked,
    n_bytes: usize,
    expects_continue: bool,
    line: Option<Line>,
}

fn take(thread: &Arc<Thread>, connection: &Connection, input: &Input) -> Taken {
    // Nearly all heads have few fields: the many slots that the limit allows are made only for the others.
    let mut fields = [EMPTY_FIELD; USUAL_FIELDS];
    let filled = input.filled();
    match parse_request(filled, &mut fields, &thread.limits) {
        Err(error) if error.kind() == HeadErrorKind::TooLarge => {
            let mut fields = [EMPTY_FIELD; MAX_FIELDS];
            take_parsed(thread, connection, filled, parse_request(filled, &mut fields, &thread.limits))
        }
        parsed => take_parsed(thread, connection, filled, parsed),
    }
}

fn take_parsed(
    thread: &Arc<Thread>,
    connection: &Connection,
    filled: &[u8],
    parsed: Result<Parsed<RequestHead<'_, '_>>, HeadError>,
) -> Taken {
    let (head, n_bytes) = match parsed {
        Ok(Parsed::Complete(head, n_bytes)) => (head, n_bytes),
        Ok(Parsed::Partial) => return Taken::Unreadable { status: 400, what: "a head that is not whole" },
        Err(error) => return Taken::Unreadable { status: error.status(), what: error.message() },
    };
    let body = body_at_hand(&head, &filled[n_bytes..]);
    let view = RequestView { body, ..view(&head, connection) };
    let asked = Asked {
        is_http10: head.version == Version::Http10,
        keep_alive: head.keep_alive && !thread.is_draining(),
        takes_trailers: false,
    };
    let framing = head.framing;
    let snapshot = thread.worker.edge.snapshot.load();
    let begun = if over_limit(framing, thread.max_body_bytes) {
        Begun::Ready(refusal(&thread.worker.edge, view.method, Reason::Limit, None, None))
    } else {
        begin(&thread.worker, &snapshot, &view)
    };
    match begun {
        Begun::Ready(answer) => {
            // A body that nobody will read ends the connection, rather than being taken for the next request; so does
            // what a client sends through a tunnel, or in another protocol, before it hears that there is none.
            let has_more = body.is_none() || head.upgrade || head.method == "CONNECT";
            let asked = Asked { keep_alive: asked.keep_alive && !has_more, ..asked };
            let line = thread.log.as_ref().map(|log| log.line(&view, &answer));
            Taken::Ready { answer, asked, size: Size { head: n_bytes, body: body.map_or(0, <[u8]>::len) }, line }
        }
        Begun::Predicting(predicting) => Taken::Predicting(Asking {
            predicting,
            asked,
            size: Size { head: n_bytes, body: body.map_or(0, <[u8]>::len) },
            line: thread.log.as_ref().map(|log| log.begin(&view)),
        }),
        Begun::Pending(pending) => Taken::Waits(Waiting {
            journey: Journey::new(Arc::clone(&thread.worker), OwnedRequest::copy_of(&view), pending),
            framing,
            // Only what comes straight from an origin has any.
            asked: Asked { takes_trailers: forwarding::takes_trailers(head.fields), ..asked },
            n_bytes,
            expects_continue: head.expect_continue,
            line: thread.log.as_ref().map(|log| log.begin(&view)),
        }),
    }
}

/// The body, if it lies whole behind the head, and the client does not wait to be told that it may send it.
fn body_at_hand<'a>(head: &RequestHead<'_, '_>, behind: &'a [u8]) -> Option<&'a [u8]> {
    match head.framing {
        BodyFraming::None => Some(&[]),
        BodyFraming::Length(n_bytes) if n_bytes == 0 || !head.expect_continue => {
            usize::try_from(n_bytes).ok().and_then(|n_bytes| behind.get(..n_bytes))
        }
        BodyFraming::Length(_) | BodyFraming::Chunked => None,
    }
}

/// Waits for a model, for a request that nothing is needed of any more. `None`: the client has gone.
async fn predict(
    thread: &Thread,
    connection: &Connection,
    input: &mut Input,
    output: &mut Output<'_>,
    predicting: Predicting,
) -> Option<Answer> {
    // What waits for the model lets those before it go out.
    output.flush().await.ok()?;
    connection.enter(Phase::Work, thread.connections.tick());
    // Others that come meanwhile use the same memory, which is near.
    input.release(&mut thread.spare.lock());
    output.release();
    let answer = predicting.await;
    output.take_memory();
    Some(answer)
}

async fn wait(
    thread: &Arc<Thread>,
    connection: &Arc<Connection>,
    input: &mut Input,
    output: &mut Output<'_>,
    waiting: Waiting,
    (started, sent_before): (Instant, u64),
) -> Exchanged {
    let Waiting { mut journey, framing, asked, n_bytes, expects_continue, line } = waiting;
    input.consume(n_bytes);
    // What waits for the origin lets those before it go out.
    if output.flush().await.is_err() {
        return Exchanged::Broken;
    }
    connection.enter(Phase::Work, thread.connections.tick());
    let interim = if asked.is_http10 { InterimReceiver::default() } else { journey.interim() };
    let incoming = (framing != BodyFraming::None).then(|| {
        Incoming::new(
            Arc::clone(thread),
            Arc::clone(connection),
            std::mem::take(input),
            framing,
            expects_continue,
            thread.max_body_bytes,
        )
    });
    let content_length = match framing {
        BodyFraming::Length(n_bytes) => Some(n_bytes),
        BodyFraming::Chunked | BodyFraming::None => None,
    };
    let body = incoming.as_ref().map(|incoming| RequestBody::streamed(content_length, incoming.stream()));
    let answer = {
        let mut answering = std::pin::pin!(complete(journey, body));
        loop {
            match interim.next_before(answering.as_mut()).await {
                Came::Interim(interim) => output.interim(&interim).await,
                Came::Final(answer) => break answer,
            }
        }
    };
    while let Some(interim) = interim.take() {
        output.interim(&interim).await;
    }
    // A drain may have begun meanwhile, or the body be beyond reading: the client is told not to send another request
    // here.
    let in_step = incoming.as_ref().is_none_or(Incoming::is_in_step);
    let asked = Asked { keep_alive: asked.keep_alive && in_step && !thread.is_draining(), ..asked };
    let line = line.map(|line| line.answered(&answer));
    let (outcome, reason) = (answer.outcome, answer.reason);
    let mut written = output.answer(answer, asked, false).await;
    let mut received_bytes = 0;
    if let Some(incoming) = incoming {
        received_bytes = incoming.received_bytes();
        match (&written, incoming.finish().await) {
            (Written::Keep, Some(rest)) => *input = rest,
            (Written::Keep, None) => written = Written::Close,
            _ => {}
        }
    }
    let done = Done { started, sent_before, received_bytes, outcome, reason, line };
    done.conclude(thread, output, &written)
}

/// What is left to say of a request.
struct Done {
    started: Instant,
    sent_before: u64,
    received_bytes: u64,
    outcome: bodega_semantics::Outcome,
    reason: Reason,
    line: Option<Line>,
}

impl Done {
    fn conclude(self, thread: &Thread, output: &Output<'_>, written: &Written) -> Exchanged {
        let reason = match written {
            Written::Broken(reason) => *reason,
            Written::Keep | Written::Close => self.reason,
        };
        let finished = Finished {
            outcome: self.outcome,
            reason,
            sent_bytes: output.sent_bytes + output.pending.len() as u64 - self.sent_before,
            received_bytes: self.received_bytes,
            took: self.started.elapsed(),
        };
        finish(&thread.worker, &finished);
        if let (Some(log), Some(line)) = (&thread.log, self.line) {
            log.write(line, &finished);
        }
        match written {
            Written::Keep => Exchanged::Again,
            Written::Close => Exchanged::Over,
            Written::Broken(_) => Exchanged::Broken,
        }
    }
}

fn view<'a>(head: &'a RequestHead<'a, 'a>, connection: &Connection) -> RequestView<'a> {
    let (path, query) = match head.path_and_query.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (head.path_and_query, None),
    };
    RequestView {
        method: head.method,
        https: connection.is_https(),
        authority: head.host.unwrap_or_default(),
        path,
        query,
        fields: head.fields,
        peer: connection.client(),
        has_body: !matches!(head.framing, BodyFraming::None | BodyFraming::Length(0)),
        body: None,
        version: if head.version == Version::Http10 { "1.0" } else { "1.1" },
        upgrade: head.upgrade,
    }
}

fn over_limit(framing: BodyFraming, max_bytes: u64) -> bool {
    matches!(framing, BodyFraming::Length(n_bytes) if n_bytes > max_bytes)
}

/// Refuses a head that could not be read: where the next request begins is not known, so the connection ends.
async fn refuse_head(
    thread: &Arc<Thread>,
    connection: &Connection,
    output: &mut Output<'_>,
    (status, what): (u16, &str),
    started: Instant,
) -> Exchanged {
    let answer = refused::answer(thread, status, what);
    let sent_before = output.sent_bytes + output.pending.len() as u64;
    let line = thread.log.as_ref().map(|log| log.unread(connection.client(), &answer));
    let (outcome, reason) = (answer.outcome, answer.reason);
    let written =
        output.answer(answer, Asked { is_http10: false, keep_alive: false, takes_trailers: false }, false).await;
    Done { started, sent_before, received_bytes: 0, outcome, reason, line }.conclude(thread, output, &written)
}
