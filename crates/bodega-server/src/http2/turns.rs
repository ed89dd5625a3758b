//! Whose bytes go first on a connection (RFC 9218): a bounded amount is queued, and when there is room the stream with
//! the best rank adds to it. A stream that waits for its own window, or for an origin, is not in the way of others.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use bodega_semantics::priority::Priority;
use parking_lot::Mutex;

/// How much one stream hands over at a turn.
pub(crate) const PORTION_BYTES: usize = 64 * 1024;
/// How much may be queued while streams wait for their turn.
const QUEUED_BYTES: usize = 256 * 1024;

/// The streams of one connection that have something to send.
#[derive(Default)]
pub(crate) struct Turns {
    queued_bytes: AtomicUsize,
    n_rounds: AtomicU32,
    waiting: Mutex<Vec<Waiting>>,
}

/// A stream's place: by urgency, then in order of asking; incremental ones go to the back after each portion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rank {
    urgency: u8,
    round: u32,
    stream: u32,
}

struct Waiting {
    rank: Rank,
    waker: Waker,
}

impl Rank {
    pub(crate) fn new(priority: Priority, stream: u32) -> Self {
        Self { urgency: priority.urgency, round: 0, stream }
    }
}

impl Turns {
    /// Whether nobody waits, so that `n_bytes` may be queued at once.
    pub(crate) fn is_free(&self, n_bytes: usize) -> bool {
        self.queued_bytes.load(Ordering::Relaxed) + n_bytes <= QUEUED_BYTES && self.waiting.lock().is_empty()
    }

    /// Waits until the stream with this rank may hand over a portion.
    pub(crate) fn poll_turn(&self, rank: Rank, context: &Context<'_>) -> Poll<()> {
        let mut waiting = self.waiting.lock();
        let has_room = self.queued_bytes.load(Ordering::Relaxed) < QUEUED_BYTES;
        if has_room && waiting.iter().all(|other| other.rank >= rank) {
            waiting.retain(|other| other.rank.stream != rank.stream);
            return Poll::Ready(());
        }
        match waiting.iter_mut().find(|other| other.rank.stream == rank.stream) {
            Some(own) => own.waker.clone_from(context.waker()),
            None => waiting.push(Waiting { rank, waker: context.waker().clone() }),
        }
        Poll::Pending
    }

    /// What comes after a turn: the place for the next one, and the turn of the next stream.
    pub(crate) fn after(&self, rank: Rank, priority: Priority) -> Rank {
        self.wake_best();
        if !priority.incremental {
            return rank;
        }
        Rank { round: self.n_rounds.fetch_add(1, Ordering::Relaxed) + 1, ..rank }
    }

    /// A stream that waits no more.
    pub(crate) fn leave(&self, stream: u32) {
        self.waiting.lock().retain(|other| other.rank.stream != stream);
        self.wake_best();
    }

    pub(crate) fn queue(&self, n_bytes: usize) {
        self.queued_bytes.fetch_add(n_bytes, Ordering::Relaxed);
    }

    pub(crate) fn sent(&self, n_bytes: usize) {
        let before = self.queued_bytes.fetch_sub(n_bytes, Ordering::Relaxed);
        if before >= QUEUED_BYTES && before - n_bytes < QUEUED_BYTES {
            self.wake_best();
        }
    }

    fn wake_best(&self) {
        let waiting = self.waiting.lock();
        if self.queued_bytes.load(Ordering::Relaxed) < QUEUED_BYTES
            && let Some(best) = waiting.iter().min_by_key(|one| one.rank)
        {
            best.waker.wake_by_ref();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rank(urgency: u8, stream: u32) -> Rank {
        Rank::new(Priority { urgency, incremental: false }, stream)
    }

    fn polls(turns: &Turns, rank: Rank) -> bool {
        turns.poll_turn(rank, &Context::from_waker(Waker::noop())).is_ready()
    }

    #[test]
    fn the_most_urgent_goes_first_and_equals_in_their_order() {
        let turns = Turns::default();
        turns.queue(QUEUED_BYTES);
        for (urgency, stream) in [(5, 1), (3, 5), (3, 3), (0, 7)] {
            assert!(!polls(&turns, rank(urgency, stream)));
        }
        turns.sent(1);
        assert!(!polls(&turns, rank(3, 3)) && polls(&turns, rank(0, 7)));
        assert!(!polls(&turns, rank(3, 5)) && polls(&turns, rank(3, 3)));
        turns.leave(5);
        assert!(polls(&turns, rank(5, 1)));
    }

    #[test]
    fn incremental_streams_take_turns() {
        let turns = Turns::default();
        let priority = Priority { urgency: 3, incremental: true };
        let (one, other) = (Rank::new(priority, 1), Rank::new(priority, 3));
        let one_later = turns.after(one, priority);
        assert!(other < one_later);
        assert!(one_later < turns.after(other, priority));
        let whole = Priority { incremental: false, ..priority };
        assert_eq!(turns.after(one, whole), one);
    }

    #[test]
    fn nothing_is_queued_past_those_who_wait() {
        let turns = Turns::default();
        assert!(turns.is_free(QUEUED_BYTES) && !turns.is_free(QUEUED_BYTES + 1));
        turns.queue(QUEUED_BYTES);
        assert!(!polls(&turns, rank(3, 1)));
        turns.sent(QUEUED_BYTES);
        assert!(!turns.is_free(1));
        assert!(polls(&turns, rank(3, 1)) && turns.is_free(1));
    }
}
