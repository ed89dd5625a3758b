//! What the machine hands to a front: a head, and a plan for the body that the front turns into writes or frames.

use std::sync::Arc;

use bodega_semantics::{Fields, Outcome, Reason};
use bodega_snapshot::Hsts;
use bodega_store::Entry;
use bytes::Bytes;

use crate::body_reader::BodyReader;
use crate::disk_reader::DiskReader;
use crate::fetch::BodyStream;
use crate::inquiry::Inquiry;
use crate::refill::Refill;

/// An answer, ready to be written.
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The field lines.
    pub head: AnswerHead,
    /// The body's length if it is known; otherwise HTTP/1.1 sends chunks.
    pub content_length: Option<u64>,
    /// The body.
    pub body: BodyPlan,
    /// What became of the request.
    pub outcome: Outcome,
    /// Why.
    pub reason: Reason,
}

impl Answer {
    /// With a reader in place of a body that is on disk: what is missing of it is asked for by what `inquiry` makes.
    pub(crate) fn with_disk(mut self, inquiry: impl FnOnce() -> Inquiry) -> Self {
        match &mut self.body {
            BodyPlan::Stored { entry, from, to } => {
                if let Some(body) = entry.disk_body().cloned() {
                    let refill = Refill::new(inquiry(), entry.clone(), body);
                    self.body = BodyPlan::Read(BodyReader::Disk(Box::new(DiskReader::new(refill, *from, *to))));
                }
            }
            BodyPlan::Read(BodyReader::Assembled(assembled)) => assembled.read_from_disk(inquiry),
            BodyPlan::Empty | BodyPlan::Bytes(_) | BodyPlan::Read(_) | BodyPlan::Stream(_) => {}
        }
        self
    }

    /// With what is said of HTTPS in place of what the origin said. A prebuilt head has it already.
    pub(crate) fn with_hsts(mut self, hsts: Option<&Hsts>) -> Self {
        if let (Some(hsts), AnswerHead::Built(fields)) = (hsts, &mut self.head) {
            fields.set(Hsts::FIELD, hsts.value().as_bytes());
        }
        self
    }
}

/// The field lines of an answer.
pub enum AnswerHead {
    /// The entry's prebuilt head goes out whole, with `Via`, `Age` and `Cache-Status: hit` after it.
    Stored {
        /// Age in seconds.
        age_seconds: u64,
        /// Seconds of freshness left.
        ttl_seconds: u64,
        /// What is said of HTTPS, as one more line.
        hsts: Option<Arc<Hsts>>,
    },
    /// These lines, without framing.
    Built(Fields),
}

/// Where the bytes of a body come from.
pub enum BodyPlan {
    /// No body: HEAD, 304, 204.
    Empty,
    /// A few bytes made by the edge.
    Bytes(Bytes),
    /// Part of a stored body, `from..to`.
    Stored {
        /// The entry that holds it.
        entry: Entry,
        /// First byte.
        from: u64,
        /// One after the last byte.
        to: u64,
    },
    /// Piece by piece, as it comes.
    Read(BodyReader),
    /// Straight from the origin.
    Stream(Box<dyn BodyStream>),
}
