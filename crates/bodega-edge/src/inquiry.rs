//! Asks an origin for more of a body that somebody is reading already: a range of it, under its strong validator.

use std::sync::Arc;

use bodega_semantics::Head;
use bodega_semantics::partial::{self, Run};
use bodega_semantics::range::Requested;
use bodega_snapshot::{Action, Behavior};

use crate::edge::Worker;
use crate::exchange::OwnedRequest;
use crate::fetch::{BodyStream, FetchError};
use crate::partial::{Joined, set_range};
use crate::upstream::{self, Purpose};

/// What it takes to ask: on whose behalf, and by which rules.
#[derive(Clone)]
pub(crate) struct Inquiry {
    pub(crate) worker: Arc<Worker>,
    pub(crate) behavior: Arc<Behavior>,
    pub(crate) request: Arc<OwnedRequest>,
}

/// What the origin answered.
pub(crate) enum Reply {
    /// The range that was asked for, of the very same body.
    Range(Box<dyn BodyStream>),
    /// The very same body from its beginning: the origin knows no ranges.
    Whole(Box<dyn BodyStream>),
    /// Something else, with this status.
    Other(u16),
}

impl Inquiry {
    /// Asks for `run` of the body that has the head `held`. `None`: nothing in it says which body it is.
    pub(crate) async fn ask<H: Head + ?Sized>(&self, held: &H, run: Run) -> Result<Option<Reply>, FetchError> {
        let Some(validator) = partial::strong_validator(held) else { return Ok(None) };
        if self.behavior.keys_body_of(&self.request.method) {
            // Ranges are for GET (RFC 9110 section 14.2), and what a GET gets is something else.
            return Ok(None);
        }
        let Action::Origin(origin) = &self.behavior.action else {
            return Err(FetchError::internal("what is stored belongs to a behavior without an origin"));
        };
        let Run { span, total } = run;
        let mut fetch = upstream::request(&self.worker.edge.settings, &self.behavior, &self.request, Purpose::Store);
        let last = (span.last + 1 < total).then_some(span.last);
        set_range(&mut fetch, Requested::From { first: span.first, last });
        fetch.fields.set("If-Range", validator);
        let answer = self.worker.fetch.fetch(origin, fetch).await?;
        let is_of_it = partial::are_of_one_whole(held, &answer.fields);
        Ok(Some(match answer.status {
            206 if is_of_it && Run::of(&answer.fields, answer.content_length) == Some(run) => {
                Reply::Range(Box::new(Joined::alone(span.n_bytes(), answer.body)))
            }
            200 if is_of_it && answer.content_length == Some(total) => Reply::Whole(answer.body),
            status => Reply::Other(status),
        }))
    }
}
