//! What the machine and a model have to say to each other: a question of rows, and what is written of their answers.
//!
//! A row is looked up and kept like any other thing of an origin, under a key made of its bytes: `rows` does that. How a
//! body becomes rows, and rows an answer, is the models' business (`bodega-inference`), reached through `fetch::Fetch`;
//! what computes a row (`Predicts`) comes with it.

use std::sync::Arc;
use std::time::Duration;

use bodega_semantics::key::{self, KeySecret};
use bodega_semantics::{Field, Fields, Head, Key};
use bodega_snapshot::{Authorization, Behavior};
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::fetch::{FetchError, FetchRequest, RequestBody};

/// A request for a model.
pub struct Asked<'a> {
    /// The method.
    pub method: &'a str,
    /// The raw path.
    pub path: &'a str,
    /// The version of HTTP: `1.0`, `1.1` or `2`.
    pub version: &'a str,
    /// All field lines.
    pub fields: Lines<'a>,
    /// The body, of which one byte more than is taken may be here.
    pub body: &'a [u8],
}

/// The field lines of a request, wherever they lie.
#[derive(Clone, Copy)]
pub enum Lines<'a> {
    /// As a front has parsed them.
    Parsed(&'a [Field<'a>]),
    /// In one buffer.
    Copied(&'a Fields),
}

impl<'a> From<&'a Fields> for Lines<'a> {
    fn from(fields: &'a Fields) -> Self {
        Self::Copied(fields)
    }
}

impl Head for Lines<'_> {
    fn fields(&self) -> impl Iterator<Item = Field<'_>> {
        let (parsed, copied) = match self {
            Self::Parsed(lines) => (Some(lines.iter().copied()), None),
            Self::Copied(fields) => (None, Some(fields.fields())),
        };
        parsed.into_iter().flatten().chain(copied.into_iter().flatten())
    }
}

/// A request that no model answers.
pub struct Refused {
    /// The status code that says it.
    pub status: u16,
    /// What the client reads: what was wrong, where, and what to do.
    pub told: Rendered,
}

/// One input of a model.
#[derive(Clone)]
pub struct Row {
    /// What computes it.
    pub model: Arc<dyn Predicts>,
    /// What the model is asked.
    pub body: Arc<[u8]>,
    /// How much of the body, from its beginning, the answer depends on. Rows with these bytes equal are one.
    pub n_key_bytes: usize,
    /// Whether its answer may be kept, and given to others.
    pub is_kept: bool,
}

/// What computes rows.
pub trait Predicts: Send + Sync {
    /// What stands for a URL in invalidations: the model and its version.
    fn path(&self) -> &str;

    /// What is said of each of its answers, as an origin would: type, tags, how long it holds.
    fn fields(&self) -> &Fields;

    /// Computes a row, now or later. `whom` is told on whatever thread that is done; at once if it is not done at all.
    fn predict(&self, row: Arc<[u8]>, whom: Arc<dyn Waits>);
}

/// Whoever waits for a row. Dropped untold where nobody is left who could say anything.
pub trait Waits: Send + Sync {
    /// Whether it need be computed still.
    fn is_wanted(&self) -> bool;

    /// What became of the row. Called once.
    fn told(&self, predicted: Predicted);
}

/// What became of a row.
pub enum Predicted {
    /// The outputs, as they are stored.
    Outputs(Vec<u8>),
    /// What the model said instead.
    Failed(String),
    /// The model was not asked, or did not answer.
    Unanswered(FetchError),
}

/// Waits for a row alone.
pub struct Reply(Mutex<Option<oneshot::Sender<Predicted>>>);

impl Reply {
    /// One who is told, and where it comes out.
    #[must_use]
    pub fn channel() -> (Arc<Self>, oneshot::Receiver<Predicted>) {
        let (sender, receiver) = oneshot::channel();
        (Arc::new(Self(Mutex::new(Some(sender)))), receiver)
    }
}

impl Waits for Reply {
    fn is_wanted(&self) -> bool {
        self.0.lock().as_ref().is_some_and(|sender| !sender.is_closed())
    }

    fn told(&self, predicted: Predicted) {
        if let Some(sender) = self.0.lock().take() {
            // Who waited may have gone.
            drop(sender.send(predicted));
        }
    }
}

/// The answer to a row.
pub struct Answered<'a> {
    /// What the model gave, as it is stored.
    pub body: &'a [u8],
    /// Whether it was stored already.
    pub is_cached: bool,
}

/// What the client reads.
pub struct Rendered {
    /// The status code that is sent in place of what it came to: in gRPC that stands in `grpc-status`.
    pub status: Option<u16>,
    /// What the body is.
    pub content_type: &'static str,
    /// What else is said of it.
    pub fields: Vec<(&'static str, String)>,
    /// The body.
    pub body: Bytes,
    /// What is said behind the body.
    pub trailers: Vec<(&'static str, String)>,
}

impl Rendered {
    /// A document of some type.
    #[must_use]
    pub fn new(content_type: &'static str, body: Bytes) -> Self {
        Self { status: None, content_type, fields: Vec::new(), body, trailers: Vec::new() }
    }

    /// A document of JSON.
    #[must_use]
    pub fn json(body: Bytes) -> Self {
        Self::new("application/json", body)
    }
}

/// Why no answer can be made of what all rows came to.
#[derive(Debug)]
pub struct NotRendered {
    /// The status code that says it.
    pub status: u16,
    /// What the client reads.
    pub what: String,
}

impl NotRendered {
    /// What a row came to is no record of the model's outputs.
    #[must_use]
    pub fn no_prediction() -> Self {
        Self { status: 500, what: "what is stored is no prediction of this model".to_owned() }
    }
}

/// A request that was understood.
pub trait Question: Send + Sync {
    /// Its rows, in the order asked.
    fn rows(&self) -> &[Row];

    /// How long the client waits, if it says so. Then 504 is what it came to.
    fn timeout(&self) -> Option<Duration> {
        None
    }

    /// The answer, from those of all rows in their order. Takes as long as they are large: of many it is done on another
    /// thread than what serves.
    ///
    /// # Errors
    /// If these make none.
    fn render(&self, answers: &[Answered<'_>]) -> Result<Rendered, NotRendered>;

    /// What is said where there is no answer. `row` is the place of the one that has none, if it is that one's own.
    fn render_failure(&self, status: u16, what: &str, row: Option<usize>) -> Rendered;
}

/// A row on its way through the machine.
pub(crate) struct AskedRow {
    pub(crate) behavior: Arc<Behavior>,
    pub(crate) body: Arc<[u8]>,
    pub(crate) n_key_bytes: usize,
    pub(crate) shared: Shared,
}

/// Among whom the answer to a row is shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shared {
    /// Everybody.
    WithAll,
    /// Those who present this credential, which is a keyed hash.
    WithinCredential(Key),
    /// Nobody: nothing is looked up and nothing is kept.
    WithNobody,
}

impl Shared {
    /// An answer is never given to another credential; whoever presents none shares.
    pub(crate) fn of<H: Head + ?Sized>(behavior: &Behavior, secret: &KeySecret, request: &H) -> Self {
        match (&behavior.authorization, key::credential(secret, request)) {
            // The edge has checked who asks.
            (Authorization::Edge(_), _) | (_, None) => Self::WithAll,
            (Authorization::Pass, Some(_)) => Self::WithNobody,
            (Authorization::Key, Some(credential)) => Self::WithinCredential(credential),
        }
    }

    /// What of it is in the key.
    pub(crate) fn credential(self) -> Option<Key> {
        match self {
            Self::WithAll | Self::WithNobody => None,
            Self::WithinCredential(credential) => Some(credential),
        }
    }
}

impl Row {
    /// What its key is made of.
    pub(crate) fn key_bytes(&self) -> &[u8] {
        &self.body[..self.n_key_bytes.min(self.body.len())]
    }
}

impl AskedRow {
    /// What its key is made of.
    pub(crate) fn key_bytes(&self) -> &[u8] {
        &self.body[..self.n_key_bytes.min(self.body.len())]
    }

    /// The row as the body of a request.
    pub(crate) fn request_body(&self) -> RequestBody {
        RequestBody::whole(Bytes::from_owner(Arc::clone(&self.body)))
    }

    /// Puts it into a request to the model.
    pub(crate) fn add_to(&self, fetch: &mut FetchRequest) {
        "POST".clone_into(&mut fetch.method);
        fetch.body = Some(self.request_body());
    }
}
