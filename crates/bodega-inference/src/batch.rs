//! A model's own thread: what is queued while it runs is the next batch. No timer: a row that comes alone runs at once.
//!
//! The queue is bounded, and a row that nobody waits for any more, or whose time is over, is not computed.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

/// What computes rows.
pub(crate) trait Runner: Send + 'static {
    /// The outputs of each row in their order, or why there are none.
    fn run(&mut self, rows: &[&[u8]]) -> Vec<Result<Vec<u8>, String>>;
}

/// Why a row is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotTaken {
    /// As many wait as may.
    Full,
    /// The thread has ended.
    Stopped,
}

/// What becomes of a row: its outputs, or what the model said.
pub(crate) type Outputs = Result<Vec<u8>, String>;

/// A thread, and what waits for it. The thread ends when this is dropped.
pub(crate) struct Batcher(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    max_queue: usize,
    max_batch: usize,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    is_stopped: bool,
    n_runs: u64,
    n_rows: u64,
}

struct Job {
    row: Bytes,
    deadline: Instant,
    reply: oneshot::Sender<Outputs>,
}

impl Batcher {
    /// Starts the thread.
    pub(crate) fn start(name: &str, runner: impl Runner, max_batch: usize, max_queue: usize) -> std::io::Result<Self> {
        let state = Mutex::default();
        let shared = Arc::new(Shared { state, changed: Condvar::new(), max_queue, max_batch });
        let work = Arc::clone(&shared);
        // The system keeps 15 characters.
        std::thread::Builder::new().name(format!("model {name}")).spawn(move || work.work(runner))?;
        Ok(Self(shared))
    }

    /// Queues a row.
    pub(crate) fn push(&self, row: Bytes, timeout: Duration) -> Result<oneshot::Receiver<Outputs>, NotTaken> {
        let (reply, receiver) = oneshot::channel();
        {
            let mut state = self.0.state.lock();
            if state.is_stopped {
                return Err(NotTaken::Stopped);
            }
            if state.jobs.len() >= self.0.max_queue {
                return Err(NotTaken::Full);
            }
            state.jobs.push_back(Job { row, deadline: Instant::now() + timeout, reply });
        }
        self.0.changed.notify_one();
        Ok(receiver)
    }

    /// How often the model has run, and for how many rows.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let state = self.0.state.lock();
        (state.n_runs, state.n_rows)
    }
}

impl Drop for Batcher {
    fn drop(&mut self) {
        self.0.state.lock().is_stopped = true;
        self.0.changed.notify_one();
    }
}

impl Shared {
    fn work(self: Arc<Self>, mut runner: impl Runner) {
        // Whoever waits is told, however the thread ends.
        let _ending = Ending(Arc::clone(&self));
        while let Some(jobs) = self.next() {
            let rows: Vec<&[u8]> = jobs.iter().map(|job| &*job.row).collect();
            let results = runner.run(&rows);
            for (job, result) in jobs.into_iter().zip(results) {
                // Who waited may have gone.
                drop(job.reply.send(result));
            }
        }
    }

    /// What is queued, up to a batch; waits while nothing is. `None` at the end. Who has queued rows when the model is
    /// dropped still gets them.
    fn next(&self) -> Option<Vec<Job>> {
        let mut state = self.state.lock();
        loop {
            let now = Instant::now();
            let mut jobs = Vec::new();
            while jobs.len() < self.max_batch
                && let Some(job) = state.jobs.pop_front()
            {
                if job.deadline > now && !job.reply.is_closed() {
                    jobs.push(job);
                }
            }
            if !jobs.is_empty() {
                state.n_runs += 1;
                state.n_rows += jobs.len() as u64;
                return Some(jobs);
            }
            if state.is_stopped {
                return None;
            }
            self.changed.wait(&mut state);
        }
    }
}

struct Ending(Arc<Shared>);

impl Drop for Ending {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.is_stopped = true;
        state.jobs.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// Gives rows back, once it is let; tells how many came at once.
    struct Gated {
        go: mpsc::Receiver<()>,
        sizes: mpsc::Sender<usize>,
    }

    impl Runner for Gated {
        fn run(&mut self, rows: &[&[u8]]) -> Vec<Outputs> {
            self.sizes.send(rows.len()).unwrap();
            self.go.recv().unwrap();
            rows.iter().map(|row| Ok(row.to_vec())).collect()
        }
    }

    fn gated(max_batch: usize, max_queue: usize) -> (Batcher, mpsc::Sender<()>, mpsc::Receiver<usize>) {
        let ((let_go, go), (sizes, size)) = (mpsc::channel(), mpsc::channel());
        (Batcher::start("test", Gated { go, sizes }, max_batch, max_queue).unwrap(), let_go, size)
    }

    const LONG: Duration = Duration::from_secs(3600);

    fn row(number: u8) -> Bytes {
        Bytes::copy_from_slice(&[number])
    }

    #[test]
    fn what_is_queued_while_a_run_lasts_is_the_next_batch() {
        let (batcher, let_go, sizes) = gated(3, 100);
        let first = batcher.push(row(0), LONG).unwrap();
        assert_eq!(sizes.recv().unwrap(), 1, "a row that comes alone runs at once");
        let others: Vec<_> = (1..=5).map(|number| batcher.push(row(number), LONG).unwrap()).collect();
        for _ in 0..3 {
            let_go.send(()).unwrap();
        }
        assert_eq!((sizes.recv().unwrap(), sizes.recv().unwrap()), (3, 2));
        assert_eq!(first.blocking_recv().unwrap(), Ok(vec![0]));
        for (number, other) in (1..=5).zip(others) {
            assert_eq!(other.blocking_recv().unwrap(), Ok(vec![number]));
        }
        assert_eq!(batcher.counts(), (3, 6));
    }

    #[test]
    fn the_queue_is_bounded() {
        let (batcher, let_go, sizes) = gated(8, 2);
        let running = batcher.push(row(0), LONG).unwrap();
        sizes.recv().unwrap();
        let waiting = [batcher.push(row(1), LONG).unwrap(), batcher.push(row(2), LONG).unwrap()];
        assert_eq!(batcher.push(row(3), LONG).unwrap_err(), NotTaken::Full);
        let_go.send(()).unwrap();
        let_go.send(()).unwrap();
        running.blocking_recv().unwrap().unwrap();
        for each in waiting {
            each.blocking_recv().unwrap().unwrap();
        }
    }

    #[test]
    fn what_is_late_or_left_is_not_computed() {
        let (batcher, let_go, sizes) = gated(8, 100);
        let running = batcher.push(row(0), LONG).unwrap();
        sizes.recv().unwrap();
        let late = batcher.push(row(1), Duration::ZERO).unwrap();
        drop(batcher.push(row(2), LONG).unwrap());
        let kept = batcher.push(row(3), LONG).unwrap();
        let_go.send(()).unwrap();
        let_go.send(()).unwrap();
        assert_eq!(sizes.recv().unwrap(), 1);
        assert_eq!(kept.blocking_recv().unwrap(), Ok(vec![3]));
        assert!(late.blocking_recv().is_err());
        running.blocking_recv().unwrap().unwrap();
    }

    #[test]
    fn whoever_waits_for_a_thread_that_died_is_told() {
        struct Dying;
        impl Runner for Dying {
            fn run(&mut self, _: &[&[u8]]) -> Vec<Outputs> {
                std::panic::resume_unwind(Box::new("died"));
            }
        }
        let batcher = Batcher::start("test", Dying, 8, 100).unwrap();
        let row_of_dying = batcher.push(row(0), LONG).unwrap();
        assert!(row_of_dying.blocking_recv().is_err());
        // The thread may still be about to say that it has ended; what it is given meanwhile is not kept either.
        while let Ok(receiver) = batcher.push(row(1), LONG) {
            assert!(receiver.blocking_recv().is_err());
        }
    }

    #[test]
    fn a_model_that_is_dropped_answers_what_it_has_taken() {
        let (batcher, let_go, sizes) = gated(8, 100);
        let running = batcher.push(row(0), LONG).unwrap();
        sizes.recv().unwrap();
        let queued = batcher.push(row(1), LONG).unwrap();
        drop(batcher);
        let_go.send(()).unwrap();
        let_go.send(()).unwrap();
        assert_eq!(running.blocking_recv().unwrap(), Ok(vec![0]));
        assert_eq!(queued.blocking_recv().unwrap(), Ok(vec![1]));
    }
}
