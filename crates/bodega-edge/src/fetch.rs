//! How the machine reaches an origin: one trait, implemented by `bodega-origin` (HTTP, S3) and by the test kit.
//! The machine never opens a socket, and an implementation never decides anything about caching.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bodega_semantics::{Fields, Reason};
use bytes::Bytes;

use crate::interim::InterimSender;
use crate::predict::{Asked, Question, Refused};

/// One request to an origin, ready to be sent: end-to-end fields only, already edited and filtered.
/// The implementation adds `Host` (by the origin's own setting), framing and, for S3, the signature.
pub struct FetchRequest {
    /// The method, upper case as received.
    pub method: String,
    /// Path and query as they go to the origin, beginning with `/` (or `*` for `OPTIONS *`).
    pub path_and_query: String,
    /// The authority the client asked for, for origins whose `host` is `viewer`.
    pub client_authority: String,
    /// End-to-end fields, without `Host`, `Content-Length`, `Transfer-Encoding`, `Connection`.
    pub fields: Fields,
    /// The body, if there is one.
    pub body: Option<RequestBody>,
    /// Whether something stored may stand in for the answer: then an origin that is known to fail is not waited for.
    pub has_fallback: bool,
    /// Whether two things that are refused otherwise are taken as RFC 9112 section 6.3 says: a body under a transfer
    /// coding that nobody knows ends with the connection, and bytes behind the length of a body end no more than that.
    pub by_the_letter: bool,
    /// Where the origin's interim answers go (1xx but 100 and 101), without hop-by-hop fields. `None`: nowhere.
    pub interim: Option<InterimSender>,
}

/// The body of a request on its way to an origin.
pub struct RequestBody {
    /// The length if it is known; otherwise the body goes out chunked.
    pub content_length: Option<u64>,
    /// The bytes.
    pub stream: Box<dyn BodyStream>,
    /// The same bytes once more, where the request may be sent twice: it is declared that it changes nothing.
    pub again: Option<Bytes>,
}

impl RequestBody {
    /// A body that comes as it comes; `content_length`: if it is known.
    #[must_use]
    pub fn streamed(content_length: Option<u64>, stream: Box<dyn BodyStream>) -> Self {
        Self { content_length, stream, again: None }
    }

    /// A body that is here already, to be sent once.
    #[must_use]
    pub fn whole(bytes: Bytes) -> Self {
        Self::streamed(Some(bytes.len() as u64), Box::new(OnePiece(Some(bytes))))
    }

    /// One of a request that may be sent twice.
    #[must_use]
    pub fn repeatable(bytes: Bytes) -> Self {
        Self { again: Some(bytes.clone()), ..Self::whole(bytes) }
    }
}

/// An answer whose head has arrived and whose body is arriving.
pub struct FetchAnswer {
    /// The status code of the final (not 1xx) answer.
    pub status: u16,
    /// The fields as received, without hop-by-hop fields, `Content-Length` and `Transfer-Encoding`.
    pub fields: Fields,
    /// The length of the body if the origin named it.
    pub content_length: Option<u64>,
    /// The bytes.
    pub body: Box<dyn BodyStream>,
}

/// A body that is read piece by piece. Back-pressure is not polling.
pub trait BodyStream: Send {
    /// The next non-empty piece; `None` at the proper end; an error if the body broke off.
    /// After `None` or an error it must not be polled again.
    fn poll_chunk(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, FetchError>>>;

    /// The trailer fields, once the proper end has come: those that may go on. What is stored has none.
    fn trailers(&mut self) -> Option<Fields> {
        None
    }

    /// The names of trailer fields that the head has announced, those that may go on.
    fn announced_trailers(&self) -> Option<&[u8]> {
        None
    }
}

/// The future a fetch returns. It borrows nothing, so that whoever awaits it may keep its memory for a while.
pub type FetchFuture = Pin<Box<dyn Future<Output = Result<FetchAnswer, FetchError>> + Send>>;

/// Reaches origins by the name they have in the snapshot. One instance a worker thread.
pub trait Fetch: Send + Sync {
    /// Sends `request` to `origin` and returns once the head of the final answer is there.
    fn fetch(&self, origin: &str, request: FetchRequest) -> FetchFuture;

    /// Takes a request for a model apart; `None` if `origin` is none.
    fn question(&self, _origin: &str, _asked: &Asked<'_>) -> Option<Result<Box<dyn Question>, Refused>> {
        None
    }

    /// The longest body of such a request.
    fn max_question_bytes(&self, _origin: &str) -> u64 {
        0
    }

    /// A model has answered with so many bytes, or has not, without `fetch`: for whoever counts.
    fn predicted(&self, _origin: &str, _n_bytes: Option<u64>) {}

    /// Called every now and then by the thread that owns it: time to close what has been idle for too long.
    fn close_idle(&self) {}
}

/// Why an origin could not be asked or did not finish. Always from upstream, unless the reason says otherwise.
#[derive(Clone, Debug)]
pub struct FetchError {
    /// What happened, in the shared vocabulary: one of the `Origin*` reasons, `ClientGone`, `Limit` or `Internal`.
    pub reason: Reason,
    /// Whether the same request may be tried again on another connection.
    pub may_retry: bool,
    /// For the log and `Proxy-Status` details: what, where, after how long. Holds no secrets and no request fields.
    pub message: String,
    /// When the edge itself was too busy to ask: how long a client should wait.
    pub retry_after_seconds: Option<u32>,
}

impl FetchError {
    /// An error with this reason; nothing is tried again.
    #[must_use]
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, may_retry: false, message: message.into(), retry_after_seconds: None }
    }

    /// A defect or limit of the edge's own.
    #[must_use]
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(Reason::Internal, message)
    }
}

impl fmt::Display for FetchError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for FetchError {}

/// Reads the next piece of `body`.
///
/// # Errors
/// What the stream reports.
pub async fn next_chunk(body: &mut dyn BodyStream) -> Option<Result<Bytes, FetchError>> {
    std::future::poll_fn(|context| body.poll_chunk(context)).await
}

/// Gives others a turn after a large chunk: an origin that is fast has always another one ready, and who asks for what
/// is in memory would wait for all of them. Not within `next_chunk`, which may be called off where a chunk would be lost.
pub(crate) async fn let_others(chunk: &[u8]) {
    if chunk.len() >= TURN_BYTES {
        tokio::task::yield_now().await;
    }
}

/// Chunks of this size are large.
const TURN_BYTES: usize = 64 * 1024;

/// A body that is there already.
pub struct OnePiece(pub Option<Bytes>);

impl BodyStream for OnePiece {
    fn poll_chunk(&mut self, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, FetchError>>> {
        Poll::Ready(self.0.take().filter(|piece| !piece.is_empty()).map(Ok))
    }
}
