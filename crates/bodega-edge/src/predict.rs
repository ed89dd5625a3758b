//! What the machine and a model have to say to each other: a question of rows, and what is written of their answers.
//!
//! A row is asked for like any other thing of an origin, under a key made of its bytes; `steps/predict` does that.
//! How a body becomes rows, and rows an answer, is the models' business (`bodega-inference`), reached through
//! `fetch::Fetch`.

use std::sync::Arc;

use bodega_semantics::Fields;
use bodega_snapshot::Behavior;
use bytes::Bytes;

use crate::fetch::{FetchRequest, OnePiece, RequestBody};

/// A request for a model.
pub struct Asked<'a> {
    /// The method.
    pub method: &'a str,
    /// The raw path.
    pub path: &'a str,
    /// All field lines.
    pub fields: &'a Fields,
    /// The body, of which one byte more than is taken may be here.
    pub body: &'a [u8],
}

/// A request that no model answers: what the client reads.
pub struct Refused {
    /// The status code.
    pub status: u16,
    /// What the body is.
    pub content_type: &'static str,
    /// What was wrong, where, and what to do.
    pub body: Bytes,
}

/// One input of a model.
pub struct Row {
    /// What stands for a URL in invalidations: the model and its version.
    pub path: String,
    /// All that its answer depends on. Equal bytes are one row.
    pub body: Bytes,
    /// Whether its answer may be kept, and given to others.
    pub is_kept: bool,
}

/// The answer to a row.
pub struct Answered {
    /// What the model gave, as it is stored.
    pub body: Bytes,
    /// Whether it was stored already.
    pub is_cached: bool,
}

/// What the client reads.
pub struct Rendered {
    /// What the body is.
    pub content_type: &'static str,
    /// What else is said of it.
    pub fields: Vec<(&'static str, String)>,
    /// The body.
    pub body: Bytes,
}

impl Rendered {
    /// A document of JSON.
    #[must_use]
    pub fn json(body: Bytes) -> Self {
        Self { content_type: "application/json", fields: Vec::new(), body }
    }
}

/// A request that was understood.
pub trait Question: Send {
    /// Its rows, in the order asked.
    fn rows(&self) -> &[Row];

    /// The answer, from those of all rows in their order; `None` if these are none of the model's.
    fn render(&self, answers: &[Answered]) -> Option<Rendered>;

    /// What is said where a row has no answer.
    fn render_failure(&self, status: u16, what: &str) -> Rendered;
}

/// A row on its way through the machine.
pub(crate) struct AskedRow {
    pub(crate) behavior: Arc<Behavior>,
    pub(crate) body: Bytes,
    /// Asked for by somebody who says who they are: nothing is looked up and nothing is kept.
    pub(crate) is_private: bool,
}

impl AskedRow {
    /// The row as the body of a request.
    pub(crate) fn request_body(&self) -> RequestBody {
        RequestBody {
            content_length: Some(self.body.len() as u64),
            stream: Box::new(OnePiece(Some(self.body.clone()))),
        }
    }

    /// Puts it into a request to the model.
    pub(crate) fn add_to(&self, fetch: &mut FetchRequest) {
        "POST".clone_into(&mut fetch.method);
        fetch.body = Some(self.request_body());
    }
}
