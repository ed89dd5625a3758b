//! A body on its way in: one writer, any number of readers on any thread, each reading along from the first byte.
//!
//! Those who join wait for the head only. A body that is kept grows until it is whole; one that is not streams
//! through a window that moves with its slowest reader, and a reader that does not keep up is left behind.
//! `lead` runs the writer's side, `reader` is the readers'.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bodega_semantics::partial::Run;
use bodega_semantics::{Fields, Key, Outcome, Reason, Timestamp};
use bodega_store::{Entry, Slice};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::fetch::{FetchAnswer, FetchError};

/// A fill under way, or just ended.
pub struct Fill {
    pub(crate) key: Key,
    /// Distribution and URL, as an entry's note has them.
    pub(crate) note: Arc<[u8]>,
    /// The sequence number when the request to the origin began.
    pub(crate) stamp: u64,
    /// When that was, by the steady clock.
    pub(crate) began: Duration,
    /// The key of the variant that the answer turned out to be, where it is not `key`.
    pub(crate) variant: OnceLock<Key>,
    state: Mutex<State>,
    /// Wakes readers: a head, bytes, the end.
    pub(crate) changed: Notify,
    /// Wakes the writer of a body that is not kept: a reader has moved or left.
    room: Notify,
    n_joined: AtomicU64,
}

/// The head of an answer that is being read along.
#[derive(Debug)]
pub struct LiveHead {
    /// The status code.
    pub status: u16,
    /// End-to-end fields, with `Date`.
    pub fields: Fields,
    /// Fields that are for the one who leads alone: `private` or `no-cache` names them.
    pub withheld: Fields,
    /// The length of the body, if the origin named it.
    pub content_length: Option<u64>,
    /// Under which key it is stored; differs from the fill's key when the answer varies.
    pub key: Key,
    /// The request fields it varies by.
    pub vary_names: Vec<String>,
    /// The names by which it can be forgotten.
    pub tags: Vec<String>,
    /// How long it is fresh.
    pub terms: bodega_semantics::storable::Terms,
    /// Whether it is being kept.
    pub stored: bool,
    /// What it is on disk, where it goes there as it comes.
    pub on_disk: Option<Entry>,
    /// Which part of the whole the body is; `None`: all of it.
    pub part: Option<Run>,
    /// The whole answer, if it came at once; then the fields above are in it.
    pub entry: Option<Entry>,
}

/// What became of the head.
#[derive(Clone)]
pub(crate) enum Resolved {
    /// The body streams.
    Live(Arc<LiveHead>),
    /// What is stored answers: refreshed by a 304, or stale because the origin failed.
    Entry {
        entry: Entry,
        outcome: Outcome,
        reason: Reason,
        fwd_status: Option<u16>,
        /// False where a 304 has made it the leader's own.
        is_for_all: bool,
        /// Whether it is new and was kept.
        stored: bool,
    },
    /// Not for sharing: whoever leads takes the answer, all others ask for themselves.
    Private,
    /// No answer.
    Failed(FetchError),
}

struct State {
    resolved: Option<Resolved>,
    private: Option<FetchAnswer>,
    slices: VecDeque<(u64, Arc<Slice>)>,
    /// The first byte that is still in memory.
    base: u64,
    ended: Option<Result<(), FetchError>>,
    readers: Vec<Arc<ReaderMark>>,
}

/// Where a reader is.
pub(crate) struct ReaderMark {
    pub(crate) position: AtomicU64,
}

/// What a reader finds at its position.
pub(crate) enum Look {
    Bytes(u64, Arc<Slice>),
    Wait,
    End,
    Broken(FetchError),
    /// The window has moved past it.
    LeftBehind,
}

impl Fill {
    pub(crate) fn new(key: Key, note: Arc<[u8]>, stamp: u64, began: Duration) -> Self {
        Self {
            key,
            note,
            stamp,
            began,
            variant: OnceLock::new(),
            state: Mutex::new(State {
                resolved: None,
                private: None,
                slices: VecDeque::new(),
                base: 0,
                ended: None,
                readers: Vec::new(),
            }),
            changed: Notify::new(),
            room: Notify::new(),
            n_joined: AtomicU64::new(0),
        }
    }

    /// Counts one more who waits for the head.
    pub(crate) fn count_joined(&self) {
        self.n_joined.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether anybody has joined the one who leads.
    pub(crate) fn was_joined(&self) -> bool {
        self.n_joined.load(Ordering::Relaxed) > 0
    }

    /// Whether one who comes now can still read from the first byte.
    pub(crate) fn is_joinable(&self, now: Timestamp) -> bool {
        let state = self.state.lock();
        let may_answer = match &state.resolved {
            None | Some(Resolved::Entry { .. }) => true,
            // RFC 9111 section 4: what is being received may answer those only whom it might answer once stored.
            // Those who came before its head did are answered: it was made after they asked.
            Some(Resolved::Live(head)) => head.terms.expires > now && !head.terms.always_validate,
            Some(Resolved::Private | Resolved::Failed(_)) => false,
        };
        may_answer && state.base == 0 && !matches!(state.ended, Some(Err(_)))
    }

    /// Whether it has broken off.
    pub(crate) fn has_failed(&self) -> bool {
        matches!(self.state.lock().ended, Some(Err(_)))
    }

    /// Whether the origin has answered.
    pub(crate) fn has_head(&self) -> bool {
        self.state.lock().resolved.is_some()
    }

    /// Whether the bytes from `first` are there or near: a range that begins there may wait for the fill.
    pub(crate) fn is_near(&self, first: u64, reach: u64) -> bool {
        let state = self.state.lock();
        let filled = state.slices.back().map_or(0, |(start, slice)| start + slice.filled().len() as u64);
        state.base == 0 && first <= filled.saturating_add(reach)
    }

    /// Waits for what became of the head.
    pub(crate) async fn resolved(&self) -> Resolved {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if let Some(resolved) = &self.state.lock().resolved {
                return resolved.clone();
            }
            changed.await;
        }
    }

    /// The answer that is for the one who leads alone.
    pub(crate) fn take_private(&self) -> Option<FetchAnswer> {
        self.state.lock().private.take()
    }

    pub(crate) fn resolve(&self, resolved: Resolved) {
        self.state.lock().resolved = Some(resolved);
        self.changed.notify_waiters();
    }

    /// The same of a body that needs no readers: there is nothing more to come.
    pub(crate) fn resolve_at_end(&self, resolved: Resolved) {
        {
            let mut state = self.state.lock();
            let ended = if let Resolved::Failed(error) = &resolved { Err(error.clone()) } else { Ok(()) };
            state.ended.get_or_insert(ended);
            state.resolved = Some(resolved);
        }
        self.changed.notify_waiters();
    }

    pub(crate) fn resolve_private(&self, answer: FetchAnswer) {
        {
            let mut state = self.state.lock();
            state.private = Some(answer);
            state.resolved = Some(Resolved::Private);
        }
        self.changed.notify_waiters();
    }

    pub(crate) fn push_slice(&self, start: u64, slice: Arc<Slice>) {
        self.state.lock().slices.push_back((start, slice));
    }

    /// Ends the body: whole, or broken off.
    pub(crate) fn end(&self, how: Result<(), FetchError>) {
        {
            let mut state = self.state.lock();
            if state.resolved.is_none() {
                // Nobody may wait for a head that will never come.
                let error = how.clone().err().unwrap_or_else(|| FetchError::internal("a fill ended without a head"));
                state.resolved = Some(Resolved::Failed(error));
            }
            if state.ended.is_none() {
                state.ended = Some(how);
            }
        }
        self.changed.notify_waiters();
    }

    pub(crate) fn slices(&self) -> Vec<Arc<Slice>> {
        self.state.lock().slices.iter().map(|(_, slice)| Arc::clone(slice)).collect()
    }

    /// What is there for a reader at `position`.
    pub(crate) fn look(&self, position: u64) -> Look {
        let state = self.state.lock();
        if position < state.base {
            return Look::LeftBehind;
        }
        let after = state.slices.partition_point(|(start, _)| *start <= position);
        if let Some((start, slice)) = after.checked_sub(1).and_then(|at| state.slices.get(at))
            && start + (slice.filled().len() as u64) > position
        {
            return Look::Bytes(*start, Arc::clone(slice));
        }
        match &state.ended {
            None => Look::Wait,
            Some(Ok(())) => Look::End,
            Some(Err(error)) => Look::Broken(error.clone()),
        }
    }

    pub(crate) fn add_reader(&self, position: u64) -> Arc<ReaderMark> {
        let mark = Arc::new(ReaderMark { position: AtomicU64::new(position) });
        self.state.lock().readers.push(Arc::clone(&mark));
        mark
    }

    pub(crate) fn remove_reader(&self, mark: &Arc<ReaderMark>) {
        {
            let mut state = self.state.lock();
            if let Some(at) = state.readers.iter().position(|other| Arc::ptr_eq(other, mark)) {
                state.readers.swap_remove(at);
            }
        }
        self.reader_moved();
    }

    /// Tells the writer, who may be waiting for room in the window.
    pub(crate) fn reader_moved(&self) {
        self.room.notify_one();
    }

    /// Waits until a reader has moved or left.
    pub(crate) async fn wait_for_room(&self) {
        self.room.notified().await;
    }

    /// Where the slowest reader is, and how many read; `None` if nobody does. Those whom the window has left behind
    /// do not count: they find out once they look.
    pub(crate) fn slowest(&self) -> Option<(u64, usize)> {
        let state = self.state.lock();
        let positions = || {
            state
                .readers
                .iter()
                .map(|mark| mark.position.load(Ordering::Relaxed))
                .filter(|position| *position >= state.base)
        };
        positions().min().map(|slowest| (slowest, positions().count()))
    }

    /// Whether anybody reads, be it from elsewhere by now.
    pub(crate) fn has_readers(&self) -> bool {
        !self.state.lock().readers.is_empty()
    }

    /// Forgets the slices that lie wholly before `position`.
    pub(crate) fn drop_before(&self, position: u64) {
        let mut state = self.state.lock();
        while let Some((start, slice)) = state.slices.front()
            && state.slices.len() > 1
            && start + slice.capacity() as u64 <= position
        {
            let end = start + slice.capacity() as u64;
            state.slices.pop_front();
            state.base = end;
        }
    }

    pub(crate) fn base(&self) -> u64 {
        self.state.lock().base
    }
}
