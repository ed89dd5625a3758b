//! A model's rows: gathered by the turn (`turn`), run where they are asked or by the model's own thread.
//!
//! What is queued for the thread while it runs is its next batch. No timer by default: a row that comes alone runs at
//! once. The queue is bounded, and a row that nobody waits for any more, or whose time is over, is not computed.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use bodega_edge::fetch::FetchError;
use bodega_edge::predict::{Predicted, Waits};
use bodega_semantics::Reason;
use parking_lot::{Condvar, Mutex, MutexGuard};
use tokio::sync::mpsc::UnboundedSender;

use crate::cost::Cost;
use crate::counts::Counts;
use crate::model::RowBytes;
use crate::turn;

/// What computes rows.
pub(crate) trait Runner: Send + 'static {
    /// The outputs of each row in their order, or why there are none.
    fn run(&mut self, rows: &[&[u8]]) -> Vec<Outputs>;

    /// The same, and ended at the deadline, if what runs it has no limit of its own.
    fn run_within(&mut self, rows: &[&[u8]], deadline: Instant) -> Vec<Outputs> {
        let _ = deadline;
        self.run(rows)
    }

    /// Whether rows could share runs by the graph, and do not since they had other answers.
    fn is_mixing(&self) -> bool {
        false
    }

    /// Ends once it has given its memory back; at once where that is not of this process.
    fn alive(&self) -> Weak<()> {
        Weak::new()
    }

    /// Whether it runs in this process, and so may also be run where it is asked.
    fn is_local(&self) -> bool {
        false
    }
}

/// Why a row has no outputs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failed {
    /// What the model said of this row.
    Said(String),
    /// Nothing that has to do with the row: whatever runs the model died, hangs, or is being started again.
    Gone(String),
    /// Its time was over, and the run was ended.
    Late,
}

/// What becomes of a row.
pub(crate) type Outputs = Result<Vec<u8>, Failed>;

/// What runs a model, and what waits for it. The thread ends when this is dropped, and the model with it.
pub(crate) struct Batcher(Arc<Shared>);

/// What the thread and those who ask share.
pub(crate) struct Shared {
    name: String,
    limits: Limits,
    /// Whoever runs it holds it. `None` once the thread has ended.
    runner: Mutex<Option<Box<dyn Runner>>>,
    is_local: bool,
    cost: Cost,
    counts: Counts,
    /// Rows that wait.
    n_waiting: AtomicUsize,
    state: Mutex<State>,
    changed: Condvar,
}

/// What bounds runs and the queue.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// The most rows of one run.
    pub(crate) max_batch: usize,
    /// The most rows that wait.
    pub(crate) max_queue: usize,
    /// How long a run waits for rows that may join it, from when its first one came. Zero: no timer.
    pub(crate) wait: Duration,
    /// How long a row may take in all.
    pub(crate) timeout: Duration,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    /// Turns that may still hand something over.
    n_turns: usize,
    is_stopped: bool,
    has_ended: bool,
}

/// A row for the model's thread.
pub(crate) struct Job {
    pub(crate) row: RowBytes,
    pub(crate) since: Instant,
    pub(crate) deadline: Instant,
    pub(crate) whom: Arc<dyn Waits>,
    /// Which of those of its turn it is.
    pub(crate) number: usize,
    pub(crate) home: UnboundedSender<Vec<(Job, Outputs)>>,
}

impl Batcher {
    /// Starts the thread.
    pub(crate) fn start(name: &str, runner: impl Runner, limits: Limits) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            name: name.to_owned(),
            limits,
            is_local: runner.is_local(),
            runner: Mutex::new(Some(Box::new(runner))),
            cost: Cost::default(),
            counts: Counts::default(),
            n_waiting: AtomicUsize::new(0),
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        let work = Arc::clone(&shared);
        // The system keeps 15 characters.
        std::thread::Builder::new().name(format!("model {name}")).spawn(move || work.work())?;
        Ok(Self(shared))
    }

    /// Has a row computed. `whom` is told by the thread that asks, which runs a loop of tokio's; at once if too many wait.
    pub(crate) fn push(&self, row: RowBytes, whom: Arc<dyn Waits>) {
        let shared = &self.0;
        if shared.n_waiting.fetch_add(1, Ordering::Relaxed) >= shared.limits.max_queue {
            shared.is_not_waiting(1);
            shared.counts.full();
            return whom.told(Predicted::Unanswered(shared.full()));
        }
        turn::ask(shared, row, whom);
    }

    /// What is counted of it.
    pub(crate) fn counts(&self) -> &Counts {
        &self.0.counts
    }

    /// How many rows wait.
    pub(crate) fn n_waiting(&self) -> usize {
        self.0.n_waiting.load(Ordering::Relaxed)
    }
}

impl Drop for Batcher {
    fn drop(&mut self) {
        self.0.state.lock().is_stopped = true;
        self.0.changed.notify_one();
    }
}

impl Shared {
    /// The model, if it is one for the thread that asks, and nobody runs it now.
    pub(crate) fn try_runner(&self) -> Option<MutexGuard<'_, Option<Box<dyn Runner>>>> {
        let is_for_here = self.is_local && self.limits.wait.is_zero() && self.cost.is_cheap();
        if is_for_here { self.runner.try_lock() } else { None }
    }

    /// How many rows the thread that asks may run in one go.
    pub(crate) fn n_rows_at_once(&self) -> usize {
        self.cost.n_rows_at_once().min(self.limits.max_batch)
    }

    /// How long a row may be that the thread that asks runs.
    pub(crate) fn max_row_bytes(&self) -> usize {
        self.cost.max_row_bytes()
    }

    /// Runs rows, until a deadline if there is one.
    pub(crate) fn run(&self, runner: &mut dyn Runner, rows: &[&[u8]], deadline: Option<Instant>) -> Vec<Outputs> {
        self.is_not_waiting(rows.len());
        let began = Instant::now();
        let mut outputs = match deadline {
            Some(deadline) => runner.run_within(rows, deadline),
            None => runner.run(rows),
        };
        let took = began.elapsed();
        outputs.resize_with(rows.len(), || Err(Failed::Said("nothing came".to_owned())));
        let row_bytes = rows.iter().map(|row| row.len()).max().unwrap_or_default();
        self.cost.ran(rows.len(), row_bytes, took);
        self.counts.ran(&outputs, took);
        outputs
    }

    pub(crate) fn is_not_waiting(&self, n_rows: usize) {
        self.n_waiting.fetch_sub(n_rows, Ordering::Relaxed);
    }

    /// What those who wait are told of outputs.
    pub(crate) fn predicted(&self, outputs: Outputs) -> Predicted {
        match outputs {
            Ok(record) => Predicted::Outputs(record),
            Err(Failed::Said(message)) => {
                let message: String = message.chars().take(MAX_MESSAGE_CHARS).collect();
                Predicted::Failed(format!("the model failed: {message}"))
            }
            Err(Failed::Gone(message)) => {
                // Like an origin that is given a rest: what is stored may stand in, and others are told when to ask again.
                let mut error = FetchError::new(Reason::OriginDown, format!("the model {}: {message}", self.name));
                error.retry_after_seconds = Some(1);
                Predicted::Unanswered(error)
            }
            Err(Failed::Late) => Predicted::Unanswered(self.late()),
        }
    }

    pub(crate) fn late(&self) -> FetchError {
        let seconds = self.limits.timeout.as_secs_f64();
        let message = format!("the model {} did not answer within {seconds} s", self.name);
        FetchError::new(Reason::OriginTimeout, message)
    }

    fn full(&self) -> FetchError {
        let mut error = FetchError::new(Reason::OriginBusy, format!("too much waits for the model {}", self.name));
        error.retry_after_seconds = Some(1);
        error
    }

    pub(crate) fn stopped(&self) -> FetchError {
        FetchError::new(Reason::OriginDown, format!("the model {} does not run any more", self.name))
    }

    pub(crate) fn timeout(&self) -> Duration {
        self.limits.timeout
    }

    pub(crate) fn turn_begins(&self) {
        self.state.lock().n_turns += 1;
    }

    pub(crate) fn turn_ends(&self) {
        let is_last = {
            let mut state = self.state.lock();
            state.n_turns -= 1;
            state.is_stopped && state.n_turns == 0
        };
        if is_last {
            self.changed.notify_one();
        }
    }

    /// Gives rows to the model's thread, all at once, so that it is woken once. If that has ended they are dropped.
    pub(crate) fn queue(&self, jobs: impl Iterator<Item = Job>) {
        let mut state = self.state.lock();
        let n_before = state.jobs.len();
        state.jobs.extend(jobs);
        if state.has_ended {
            self.is_not_waiting(state.jobs.len() - n_before);
            state.jobs.truncate(n_before);
        }
        drop(state);
        self.changed.notify_one();
    }

    fn work(self: Arc<Self>) {
        // Whoever waits is told, however the thread ends.
        let _ending = Ending(Arc::clone(&self));
        while let Some(jobs) = self.next() {
            let outputs = {
                let rows: Vec<&[u8]> = jobs.iter().map(|job| job.row.record()).collect();
                let mut runner = self.runner.lock();
                let Some(runner) = runner.as_mut() else { return };
                // Whoever waits for a row is told at its deadline; after the last of these nobody does.
                let deadline = jobs.iter().map(|job| job.deadline).max();
                self.run(&mut **runner, &rows, deadline)
            };
            let ended = Instant::now();
            jobs.iter().filter(|job| job.deadline <= ended).for_each(|_| self.counts.late());
            // Those of one turn are told together: each time wakes a thread. The rows go back with them, so that their
            // memory is given back where it was taken.
            let mut done = jobs.into_iter().zip(outputs).peekable();
            while let Some(first) = done.next() {
                let home = first.0.home.clone();
                let mut told = Vec::with_capacity(1 + done.len());
                told.push(first);
                while let Some(next) = done.next_if(|(job, _)| job.home.same_channel(&home)) {
                    told.push(next);
                }
                // Who waited may have gone.
                drop(home.send(told));
            }
        }
    }

    /// What is queued, up to a batch; waits while nothing is. `None` at the end. Who has queued rows when the model is
    /// dropped still gets them.
    fn next(&self) -> Option<Vec<Job>> {
        let mut state = self.state.lock();
        loop {
            let now = Instant::now();
            if let Some(until) = self.waits_until(&state, now) {
                self.changed.wait_until(&mut state, until);
                continue;
            }
            let mut jobs = Vec::new();
            while jobs.len() < self.limits.max_batch
                && let Some(job) = state.jobs.pop_front()
            {
                if job.deadline > now && !job.home.is_closed() && job.whom.is_wanted() {
                    jobs.push(job);
                    continue;
                }
                self.is_not_waiting(1);
                if job.deadline <= now {
                    self.counts.late();
                }
            }
            if !jobs.is_empty() {
                return Some(jobs);
            }
            if state.is_stopped && state.n_turns == 0 {
                return None;
            }
            self.changed.wait(&mut state);
        }
    }

    /// Until when a run waits for more rows, if it does.
    fn waits_until(&self, state: &State, now: Instant) -> Option<Instant> {
        let Limits { max_batch, wait, .. } = self.limits;
        if wait.is_zero() || state.is_stopped || state.jobs.len() >= max_batch {
            return None;
        }
        Some(state.jobs.front()?.since + wait).filter(|until| *until > now)
    }
}

struct Ending(Arc<Shared>);

impl Drop for Ending {
    fn drop(&mut self) {
        // A large model takes a while to go: here, and not on a thread that serves.
        drop(self.0.runner.lock().take());
        let mut state = self.0.state.lock();
        (state.is_stopped, state.has_ended) = (true, true);
        self.0.is_not_waiting(state.jobs.len());
        state.jobs.clear();
    }
}

/// The longest text of a model's that a client is told.
const MAX_MESSAGE_CHARS: usize = 400;

#[cfg(test)]
mod tests;
