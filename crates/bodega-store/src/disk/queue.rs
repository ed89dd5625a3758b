//! What waits to be written, bounded in bytes, and what waits to be read, bounded in number. Whoever puts something in
//! never waits.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bodega_semantics::Key;
use parking_lot::{Condvar, Mutex};

use super::objects::Object;
use crate::entry::Entry;
use crate::slice::Slice;

/// Something for the writing thread.
pub(super) enum Job {
    /// An answer, or the head of a body.
    Record { entry: Entry, ticket: u32 },
    /// What the key held is gone.
    Removal { key: Key, ticket: u32 },
    /// A slice of a body.
    Slice { object: Arc<Object>, slice: u32, bytes: Arc<Slice> },
    /// The slots of a body that is gone.
    Free(Arc<Object>),
    /// A slice that turned out bad: its slot is free.
    Bad { slot: u32, object: u64, slice: u32 },
    /// A unit is to be given back to the file system.
    Shrink,
    /// Everything that was put in before is written.
    Mark(u64),
}

impl Job {
    fn n_bytes(&self) -> u64 {
        match self {
            Self::Record { entry, .. } => entry.size_bytes(),
            Self::Slice { bytes, .. } => bytes.capacity() as u64,
            _ => 0,
        }
    }
}

/// What waits to be written.
pub(super) struct WriteQueue {
    state: Mutex<Waiting>,
    wake: Condvar,
    bound_bytes: u64,
    n_bytes: AtomicU64,
    /// Answers that are in here, or with the writing thread, and cannot be found yet.
    n_unsettled: AtomicU64,
    /// The last mark that was passed.
    passed: Mutex<u64>,
    passing: Condvar,
}

struct Waiting {
    jobs: VecDeque<Job>,
    next_ticket: u32,
    next_mark: u64,
    is_asleep: bool,
    is_closed: bool,
}

impl WriteQueue {
    pub(super) fn new(bound_bytes: u64) -> Self {
        Self {
            state: Mutex::new(Waiting {
                jobs: VecDeque::new(),
                next_ticket: 0,
                next_mark: 0,
                is_asleep: false,
                is_closed: false,
            }),
            wake: Condvar::new(),
            bound_bytes,
            n_bytes: AtomicU64::new(0),
            n_unsettled: AtomicU64::new(0),
            passed: Mutex::new(0),
            passing: Condvar::new(),
        }
    }

    /// Puts in what `job` makes of a number that orders it among all others. False: too much waits.
    pub(super) fn push(&self, job: impl FnOnce(u32) -> Job) -> bool {
        self.push_if(job, true)
    }

    /// The same for what takes next to no room and has to be known: it is only refused when there is absurdly much.
    pub(super) fn push_small(&self, job: impl FnOnce(u32) -> Job) -> bool {
        self.push_if(job, false)
    }

    fn push_if(&self, job: impl FnOnce(u32) -> Job, is_bounded: bool) -> bool {
        let mut state = self.state.lock();
        let ticket = state.next_ticket;
        let job = job(ticket);
        let n_bytes = job.n_bytes();
        let is_full = is_bounded && self.n_bytes.load(Ordering::Relaxed) + n_bytes > self.bound_bytes;
        if state.is_closed || is_full || state.jobs.len() >= MAX_JOBS {
            return false;
        }
        state.next_ticket = ticket.wrapping_add(1);
        if matches!(job, Job::Record { .. }) {
            self.n_unsettled.fetch_add(1, Ordering::SeqCst);
        }
        state.jobs.push_back(job);
        self.n_bytes.fetch_add(n_bytes, Ordering::Relaxed);
        let is_asleep = std::mem::take(&mut state.is_asleep);
        drop(state);
        if is_asleep {
            self.wake.notify_one();
        }
        true
    }

    /// A number later than all that were given out, for what is in the index before it is in the queue.
    pub(super) fn ticket(&self) -> u32 {
        let mut state = self.state.lock();
        let ticket = state.next_ticket;
        state.next_ticket = ticket.wrapping_add(1);
        ticket
    }

    /// The next, after at most `wait`. `None`: nothing came, or (the second is true) nothing ever will.
    pub(super) fn pop(&self, wait: Duration) -> (Option<Job>, bool) {
        let mut state = self.state.lock();
        if state.jobs.is_empty() && !state.is_closed && !wait.is_zero() {
            state.is_asleep = true;
            self.wake.wait_for(&mut state, wait);
            state.is_asleep = false;
        }
        let job = state.jobs.pop_front();
        let is_over = job.is_none() && state.is_closed;
        (job, is_over)
    }

    /// What was taken out is written or dropped: its room is free.
    pub(super) fn done(&self, job: &Job) {
        self.n_bytes.fetch_sub(job.n_bytes(), Ordering::Relaxed);
    }

    /// Nothing comes in any more.
    pub(super) fn close(&self) {
        self.state.lock().is_closed = true;
        self.wake.notify_all();
        self.passing.notify_all();
    }

    pub(super) fn n_bytes(&self) -> u64 {
        self.n_bytes.load(Ordering::Relaxed)
    }

    /// Whether every answer that was put in can be found, or was dropped.
    pub(super) fn is_settled(&self) -> bool {
        self.n_unsettled.load(Ordering::SeqCst) == 0
    }

    /// An answer can be found now, or was dropped.
    pub(super) fn settle(&self) {
        self.n_unsettled.fetch_sub(1, Ordering::SeqCst);
    }

    /// Waits until all that is in now is written. False: it took longer.
    pub(super) fn wait_written(&self, wait: Duration) -> bool {
        let until = Instant::now() + wait;
        let mark = {
            let mut state = self.state.lock();
            if state.is_closed {
                return false;
            }
            state.next_mark += 1;
            let mark = state.next_mark;
            state.jobs.push_back(Job::Mark(mark));
            state.is_asleep = false;
            mark
        };
        self.wake.notify_one();
        let mut passed = self.passed.lock();
        while *passed < mark {
            if self.passing.wait_until(&mut passed, until).timed_out() {
                return *passed >= mark;
            }
        }
        true
    }

    pub(super) fn pass(&self, mark: u64) {
        *self.passed.lock() = mark;
        self.passing.notify_all();
    }
}

/// However small they are.
const MAX_JOBS: usize = 1 << 20;

/// Something for a reading thread.
pub(super) type Task = Box<dyn FnOnce() + Send>;

/// What waits to be read.
#[derive(Default)]
pub(super) struct ReadQueue {
    state: Mutex<Tasks>,
    wake: Condvar,
}

#[derive(Default)]
struct Tasks {
    tasks: VecDeque<Task>,
    is_closed: bool,
}

/// So many may wait for a reading thread; a disk that is behind by more is not one to wait for.
const MAX_TASKS: usize = 4096;

impl ReadQueue {
    /// Puts a task in, or gives it back.
    pub(super) fn push(&self, task: Task) -> Result<(), Task> {
        let mut state = self.state.lock();
        if state.is_closed || state.tasks.len() >= MAX_TASKS {
            return Err(task);
        }
        state.tasks.push_back(task);
        drop(state);
        self.wake.notify_one();
        Ok(())
    }

    /// The next, whenever it comes. `None`: none ever will.
    pub(super) fn pop(&self) -> Option<Task> {
        let mut state = self.state.lock();
        loop {
            if let Some(task) = state.tasks.pop_front() {
                return Some(task);
            }
            if state.is_closed {
                return None;
            }
            self.wake.wait(&mut state);
        }
    }

    /// What waits is still done, nothing comes in any more.
    pub(super) fn close(&self) {
        self.state.lock().is_closed = true;
        self.wake.notify_all();
    }
}
