//! An origin that answers by a script and remembers what it was asked.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bodega_edge::fetch::{BodyStream, Fetch, FetchAnswer, FetchError, FetchFuture, FetchRequest, next_chunk};
use bodega_edge::interim::{Interim, InterimSender};
use bodega_semantics::{Fields, Head, Reason};
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

use crate::clock::FakeClock;

/// What the origin was asked.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Which origin.
    pub origin: String,
    /// The method.
    pub method: String,
    /// Path and query.
    pub path_and_query: String,
    /// The fields.
    pub fields: Fields,
    /// The body.
    pub body: Vec<u8>,
}

/// What the origin answers.
#[derive(Clone, Debug)]
pub struct Scripted {
    /// What comes before the answer.
    pub interim: Vec<Interim>,
    /// The status code.
    pub status: u16,
    /// The fields.
    pub fields: Fields,
    /// The body.
    pub body: Bytes,
    /// Whether the length is named.
    pub names_length: bool,
    /// After how many bytes the body breaks off.
    pub breaks_after: Option<usize>,
    /// What comes after the body.
    pub trailers: Fields,
    /// No answer at all, but this failure.
    pub fails: Option<Reason>,
    /// The clock moves on so far between the question and the answer.
    pub takes: Duration,
}

/// An answer that a test gives by hand, piece by piece.
pub struct ByHand {
    interim: mpsc::UnboundedSender<Interim>,
    head: Option<oneshot::Sender<HeadByHand>>,
    pieces: Option<mpsc::UnboundedSender<Result<Bytes, FetchError>>>,
}

type HeadByHand = Result<(u16, Fields, Option<u64>), FetchError>;

enum Plan {
    Scripted(Scripted),
    ByHand(
        mpsc::UnboundedReceiver<Interim>,
        oneshot::Receiver<HeadByHand>,
        mpsc::UnboundedReceiver<Result<Bytes, FetchError>>,
    ),
}

/// The origin.
#[derive(Clone)]
pub struct ScriptedOrigin {
    state: Arc<Mutex<State>>,
    clock: Arc<FakeClock>,
}

#[derive(Default)]
struct State {
    plans: VecDeque<Plan>,
    asked: Vec<Asked>,
}

impl ScriptedOrigin {
    /// An origin that has no answer yet, and takes its time by `clock`.
    #[must_use]
    pub fn new(clock: Arc<FakeClock>) -> Self {
        Self { state: Arc::default(), clock }
    }

    /// Answers the next request that has no answer yet.
    pub fn will_answer(&self, answer: Scripted) {
        self.state.lock().plans.push_back(Plan::Scripted(answer));
    }

    /// The next request is answered by hand.
    #[must_use]
    pub fn will_answer_by_hand(&self) -> ByHand {
        let (head, head_receiver) = oneshot::channel();
        let (pieces, piece_receiver) = mpsc::unbounded_channel();
        let (interim, interim_receiver) = mpsc::unbounded_channel();
        self.state.lock().plans.push_back(Plan::ByHand(interim_receiver, head_receiver, piece_receiver));
        ByHand { interim, head: Some(head), pieces: Some(pieces) }
    }

    /// How many answers nobody has asked for yet.
    #[must_use]
    pub fn n_unused(&self) -> usize {
        self.state.lock().plans.len()
    }

    /// What it was asked so far.
    #[must_use]
    pub fn asked(&self) -> Vec<Asked> {
        self.state.lock().asked.clone()
    }
}

impl ByHand {
    /// Sends an interim head.
    pub fn interim(&self, status: u16, fields: &[(&str, &str)]) {
        // Whoever asked may be gone.
        let _ = self.interim.send(Interim { status, fields: lines(fields) });
    }

    /// Sends the head.
    pub fn head(&mut self, status: u16, fields: &[(&str, &str)], content_length: Option<u64>) {
        if let Some(head) = self.head.take() {
            // Whoever asked may be gone.
            let _ = head.send(Ok((status, lines(fields), content_length)));
        }
    }

    /// Fails before a head.
    pub fn fail(&mut self, reason: Reason) {
        if let Some(head) = self.head.take() {
            let _ = head.send(Err(FetchError::new(reason, "scripted failure")));
        }
    }

    /// Sends a piece of the body. False if nobody reads any more.
    pub fn piece(&self, bytes: &[u8]) -> bool {
        self.pieces.as_ref().is_some_and(|pieces| pieces.send(Ok(Bytes::copy_from_slice(bytes))).is_ok())
    }

    /// Ends the body.
    pub fn end(&mut self) {
        self.pieces = None;
    }

    /// Breaks the body off.
    pub fn break_off(&mut self) {
        if let Some(pieces) = self.pieces.take() {
            let _ = pieces.send(Err(FetchError::new(Reason::OriginBroken, "scripted break")));
        }
    }

    /// Whether nobody reads any more.
    #[must_use]
    pub fn is_abandoned(&self) -> bool {
        self.pieces.as_ref().is_some_and(mpsc::UnboundedSender::is_closed)
    }
}

impl Fetch for ScriptedOrigin {
    fn fetch(&self, origin: &str, mut request: FetchRequest) -> FetchFuture {
        let (shared, origin) = (self.clone(), origin.to_owned());
        Box::pin(async move {
            let mut body = Vec::new();
            if let Some(mut sent) = request.body.take() {
                while let Some(piece) = next_chunk(&mut *sent.stream).await {
                    body.extend_from_slice(&piece?);
                }
            }
            let plan = {
                let mut state = shared.state.lock();
                state.asked.push(Asked {
                    origin,
                    method: request.method.clone(),
                    path_and_query: request.path_and_query.clone(),
                    fields: request.fields.clone(),
                    body,
                });
                state.plans.pop_front()
            };
            match plan {
                None => Err(FetchError::internal(format!(
                    "the script has no answer for {} {}",
                    request.method, request.path_and_query
                ))),
                Some(Plan::Scripted(answer)) => {
                    shared.clock.advance(answer.takes);
                    answer.interim.iter().for_each(|interim| pass(request.interim.as_ref(), interim.clone()));
                    scripted(&request.method, answer)
                }
                Some(Plan::ByHand(mut interim, mut head, pieces)) => {
                    let head = loop {
                        tokio::select! {
                            biased;
                            Some(interim) = interim.recv() => pass(request.interim.as_ref(), interim),
                            head = &mut head => break head,
                        }
                    };
                    match head {
                        Ok(Ok((status, fields, content_length))) => {
                            Ok(FetchAnswer { status, fields, content_length, body: Box::new(Pieces(pieces)) })
                        }
                        Ok(Err(error)) => Err(error),
                        Err(_) => Err(FetchError::internal("the test dropped its answer")),
                    }
                }
            }
        })
    }
}

fn lines(fields: &[(&str, &str)]) -> Fields {
    let mut lines = Fields::new();
    for (name, value) in fields {
        lines.push(name, value.as_bytes());
    }
    lines
}

fn pass(to: Option<&InterimSender>, interim: Interim) {
    if let Some(to) = to {
        to.send(interim.status, interim.fields);
    }
}

fn scripted(method: &str, answer: Scripted) -> Result<FetchAnswer, FetchError> {
    if let Some(reason) = answer.fails {
        return Err(FetchError::new(reason, format!("scripted {}", reason.name())));
    }
    let n_bytes = answer.body.len() as u64;
    let whole = answer.breaks_after.map_or_else(|| answer.body.clone(), |n_bytes| answer.body.slice(..n_bytes));
    let no_body = method == "HEAD" || matches!(answer.status, 204 | 304);
    let body: Box<dyn BodyStream> = Box::new(Scroll {
        pieces: if no_body { Vec::new() } else { pieces(&whole) },
        breaks: answer.breaks_after.is_some(),
        trailers: Some(answer.trailers).filter(|trailers| !trailers.is_empty()),
    });
    let mut fields = Fields::new();
    for field in answer.fields.fields() {
        fields.push(field.name, field.value);
    }
    let content_length = (answer.names_length && answer.status != 304 && answer.status != 204).then_some(n_bytes);
    Ok(FetchAnswer { status: answer.status, fields, content_length, body })
}

/// Pieces as a socket would give them, last first.
fn pieces(whole: &Bytes) -> Vec<Bytes> {
    let mut pieces: Vec<Bytes> = Vec::new();
    let mut at = 0;
    while at < whole.len() {
        let end = whole.len().min(at + 60_000);
        pieces.push(whole.slice(at..end));
        at = end;
    }
    pieces.reverse();
    pieces
}

struct Scroll {
    pieces: Vec<Bytes>,
    breaks: bool,
    trailers: Option<Fields>,
}

impl BodyStream for Scroll {
    fn poll_chunk(&mut self, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, FetchError>>> {
        match self.pieces.pop() {
            Some(piece) => Poll::Ready(Some(Ok(piece))),
            None if self.breaks => {
                self.breaks = false;
                Poll::Ready(Some(Err(FetchError::new(Reason::OriginBroken, "scripted break"))))
            }
            None => Poll::Ready(None),
        }
    }

    fn trailers(&mut self) -> Option<Fields> {
        self.trailers.take()
    }
}

struct Pieces(mpsc::UnboundedReceiver<Result<Bytes, FetchError>>);

impl BodyStream for Pieces {
    fn poll_chunk(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, FetchError>>> {
        self.0.poll_recv(context)
    }
}
