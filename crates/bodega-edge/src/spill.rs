//! A body that is too large for memory on its way to disk: each slice as soon as it is full, while clients read along.

use std::sync::Arc;
use std::time::Duration;

use bodega_store::disk::DiskBody;
use bodega_store::slice::SLICE_BYTES;
use bodega_store::{Entry, Slice};

use crate::fill::LiveHead;
use crate::flights::Landing;
use crate::lead::Lead;
use crate::sink::is_for_disk;

/// How long the disk has to make room before it is asked again.
const BUSY_WAIT: Duration = Duration::from_millis(10);
/// How often.
const MAX_WAITS: u32 = 200;

/// The body, its entry, and what of it is under way.
pub(crate) struct Spill {
    pub(crate) entry: Entry,
    body: Arc<DiskBody>,
    landing: Landing,
    /// Where in the whole body the fill begins, and where it ends.
    start: u64,
    end: u64,
}

impl Spill {
    /// Begins, where there is a disk that takes the body under `head`.
    pub(crate) fn begin(lead: &Lead, head: &LiveHead) -> Option<Self> {
        let edge = &lead.worker.edge;
        let disk = edge.disk()?;
        let total = head.part.map(|run| run.total).or(head.content_length)?;
        if head.status != 200
            || !is_for_disk(lead, &head.fields, Some(total))
            || lead.behavior.policy.max_object_bytes.is_some_and(|bound| total > bound)
            || !disk.admits(head.key, total)
        {
            return None;
        }
        let _storing = edge.invalidations.storing();
        let entry = lead.new_entry(head, None, total, |new| disk.begin(new, total))?;
        let body = entry.disk_body().cloned()?;
        let landing = edge.flights.follow(body.object(), &lead.fill);
        let start = head.part.map_or(0, |run| run.span.first);
        lead.store(entry.clone()).then_some(Self {
            entry,
            body,
            landing,
            start,
            end: start + head.content_length.unwrap_or_default(),
        })
    }

    /// How many bytes of the fill, from `position` on, go into one slice.
    pub(crate) fn left_in_slice(&self, position: u64) -> usize {
        SLICE_BYTES - usize::try_from((self.start + position) % SLICE_BYTES as u64).unwrap_or(0)
    }

    /// The fill begins another slice at `position`.
    pub(crate) fn begins(&mut self, position: u64) {
        if (self.start + position).is_multiple_of(SLICE_BYTES as u64) {
            let slice = self.number(position);
            self.landing.add(slice, self.start);
            // The next one too: who has read this one to its end does not ask for what is about to come.
            if (u64::from(slice) + 1) * (SLICE_BYTES as u64) < self.end {
                self.landing.add(slice + 1, self.start);
            }
        }
    }

    /// What began at `position` has come. False where the disk is too busy for it just now.
    pub(crate) fn offer(&self, position: u64, slice: &Arc<Slice>) -> bool {
        let first = self.start + position;
        let n_bytes = slice.filled().len() as u64;
        let is_complete = first.is_multiple_of(SLICE_BYTES as u64)
            && (n_bytes == SLICE_BYTES as u64 || first + n_bytes == self.body.n_bytes());
        // The edges of a run that is no multiple of a slice are nobody's slice.
        !is_complete || self.body.put(self.number(position), Arc::clone(slice))
    }

    /// The same, with patience as long as nobody has to wait for it.
    pub(crate) async fn take(&self, position: u64, slice: &Arc<Slice>, is_in_a_hurry: impl Fn() -> bool) {
        for _ in 0..MAX_WAITS {
            if self.offer(position, slice) || is_in_a_hurry() {
                return;
            }
            tokio::time::sleep(BUSY_WAIT).await;
        }
    }

    fn number(&self, position: u64) -> u32 {
        crate::refill::slice_at(self.start + position)
    }
}
