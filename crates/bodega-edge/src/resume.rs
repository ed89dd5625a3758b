//! A reader that the window of a fill has left behind goes on alone: it asks the origin for the rest of the same bytes.

use std::sync::Arc;

use bodega_semantics::Reason;
use bodega_semantics::multipart::Span;
use bodega_semantics::partial::{self, Run};
use bodega_semantics::range::Requested;
use bodega_snapshot::Behavior;

use crate::disk_reader::DiskReader;
use crate::edge::Worker;
use crate::exchange::OwnedRequest;
use crate::fetch::{BodyStream, FetchError};
use crate::fill::LiveHead;
use crate::partial::Joined;
use crate::refill::Refill;
use crate::upstream::{self, Purpose};

/// What it takes to ask the origin for the rest of what a reader reads.
pub(crate) struct Resume {
    worker: Arc<Worker>,
    behavior: Arc<Behavior>,
    origin: Arc<str>,
    request: Arc<OwnedRequest>,
    head: Arc<LiveHead>,
}

/// Where the rest comes from.
pub(crate) enum Rest {
    Stream(Box<dyn BodyStream>),
    Disk(Box<DiskReader>),
}

impl Resume {
    /// `None` where there is no need, since everything is kept, or no way, without a strong validator and a length.
    pub(crate) fn new(
        worker: &Arc<Worker>,
        behavior: &Arc<Behavior>,
        origin: &Arc<str>,
        request: &Arc<OwnedRequest>,
        head: &Arc<LiveHead>,
    ) -> Option<Self> {
        if head.stored || head.status != 200 || head.content_length.is_none() {
            return None;
        }
        partial::strong_validator(&head.fields)?;
        Some(Self {
            worker: Arc::clone(worker),
            behavior: Arc::clone(behavior),
            origin: Arc::clone(origin),
            request: Arc::clone(request),
            head: Arc::clone(head),
        })
    }

    /// The rest from disk, where the body has gone as it came.
    fn rest_on_disk(&self, position: u64, end: Option<u64>) -> Option<DiskReader> {
        let entry = self.head.on_disk.clone()?;
        let start = self.head.part.map_or(0, |run| run.span.first);
        let end = start + end.or(self.head.content_length)?;
        let refill = Refill::new(&self.worker, &self.behavior, &self.origin, Arc::clone(&self.request), entry)?;
        Some(DiskReader::new(refill, start + position, end))
    }

    /// The bytes from `position` of the fill's body to `end`, or to its end.
    pub(crate) async fn go_on(&self, position: u64, end: Option<u64>) -> Result<Rest, FetchError> {
        let head = &self.head;
        if let Some(reader) = self.rest_on_disk(position, end) {
            return Ok(Rest::Disk(Box::new(reader)));
        }
        let n_bytes = head.content_length.unwrap_or_default();
        let whole = head.part.unwrap_or(Run { span: Span { first: 0, last: n_bytes.max(1) - 1 }, total: n_bytes });
        let first = whole.span.first + position;
        let last = whole.span.first + end.unwrap_or(n_bytes).max(1) - 1;
        let mut fetch = upstream::request(&self.worker.edge.settings, &self.behavior, &self.request, Purpose::Store);
        crate::partial::set_range(
            &mut fetch,
            Requested::From { first, last: (last + 1 < whole.total).then_some(last) },
        );
        if let Some(validator) = partial::strong_validator(&head.fields) {
            fetch.fields.set("If-Range", validator);
        }
        let answer = self.worker.fetch.fetch(&self.origin, fetch).await?;
        let asked = Run { span: Span { first, last }, total: whole.total };
        let is_rest = answer.status == 206
            && Run::of(&answer.fields, answer.content_length) == Some(asked)
            && partial::are_of_one_whole(&head.fields, &answer.fields);
        if !is_rest {
            let message = "the reader was too slow for the window of a body that is not kept, and its rest has changed";
            return Err(FetchError::new(Reason::Limit, message));
        }
        Ok(Rest::Stream(Box::new(Joined::alone(asked.span.n_bytes(), answer.body))))
    }
}
