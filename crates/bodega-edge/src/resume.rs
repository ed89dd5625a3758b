//! A reader that the window of a fill has left behind goes on alone: it asks the origin for the rest of the same bytes.

use std::sync::Arc;

use bodega_semantics::Reason;
use bodega_semantics::multipart::Span;
use bodega_semantics::partial::{self, Run};

use crate::disk_reader::DiskReader;
use crate::fetch::{BodyStream, FetchError};
use crate::fill::LiveHead;
use crate::inquiry::{Inquiry, Reply};
use crate::refill::Refill;

/// What it takes to go on.
pub(crate) struct Resume {
    inquiry: Inquiry,
    head: Arc<LiveHead>,
}

/// Where the rest comes from.
pub(crate) enum Rest {
    Stream(Box<dyn BodyStream>),
    Disk(Box<DiskReader>),
}

impl Resume {
    /// `None` where there is no need, since everything is kept, or no way, without a strong validator and a length.
    pub(crate) fn new(inquiry: Inquiry, head: &Arc<LiveHead>) -> Option<Self> {
        if head.stored || head.status != 200 || head.content_length.is_none() {
            return None;
        }
        partial::strong_validator(&head.fields)?;
        Some(Self { inquiry, head: Arc::clone(head) })
    }

    /// The rest from disk, where the body has gone as it came.
    fn rest_on_disk(&self, position: u64, end: Option<u64>) -> Option<DiskReader> {
        let entry = self.head.on_disk.clone()?;
        let body = Arc::clone(entry.disk_body()?);
        let start = self.head.part.map_or(0, |run| run.span.first);
        let end = start + end.or(self.head.content_length)?;
        Some(DiskReader::new(Refill::new(self.inquiry.clone(), entry, body), start + position, end))
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
        let run = Run { span: Span { first, last }, total: whole.total };
        match self.inquiry.ask(&head.fields, run).await? {
            Some(Reply::Range(rest)) => Ok(Rest::Stream(rest)),
            _ => {
                let message =
                    "the reader was too slow for the window of a body that is not kept, and its rest has changed";
                Err(FetchError::new(Reason::Limit, message))
            }
        }
    }
}
