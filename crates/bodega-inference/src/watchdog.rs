//! Ends runs whose time is over, so that a model that would run for ever does not: one thread for all models.
//!
//! ONNX Runtime looks at the flag that this sets between two nodes of a graph, those within a loop too; one node that
//! takes long is waited for.

use std::sync::Arc;
use std::time::Instant;

use ort::session::RunOptions;
use parking_lot::{Condvar, Mutex};

/// The thread; it ends when this is dropped.
pub(crate) struct Watchdog(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// As many as there are models that run at this moment.
    runs: Vec<Watched>,
    n_begun: u64,
    /// When the thread wakes by itself. Kept when a run has ended before: that spares waking it for the next one.
    wakes: Option<Instant>,
    is_stopped: bool,
}

struct Watched {
    number: u64,
    deadline: Instant,
    options: Arc<RunOptions>,
}

/// A run that is watched, until this is dropped.
pub(crate) struct Watch<'w> {
    shared: &'w Shared,
    number: u64,
}

impl Watchdog {
    /// Starts the thread.
    pub(crate) fn start() -> Result<Arc<Self>, String> {
        let shared = Arc::new(Shared::default());
        let work = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("model-watchdog".to_owned()).spawn(move || work.work());
        thread.map_err(|error| format!("no thread that ends its runs: {error}"))?;
        Ok(Arc::new(Self(shared)))
    }

    /// Has the run with these options ended at its deadline.
    pub(crate) fn watch(&self, deadline: Instant, options: &Arc<RunOptions>) -> Watch<'_> {
        let mut state = self.0.state.lock();
        state.n_begun += 1;
        let number = state.n_begun;
        state.runs.push(Watched { number, deadline, options: Arc::clone(options) });
        let is_earlier = state.wakes.is_none_or(|wakes| deadline < wakes);
        drop(state);
        if is_earlier {
            self.0.changed.notify_one();
        }
        Watch { shared: &self.0, number }
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.0.state.lock().is_stopped = true;
        self.0.changed.notify_one();
    }
}

impl Watch<'_> {
    /// Whether it was ended, now that it has.
    pub(crate) fn was_ended(self) -> bool {
        !self.forget()
    }

    /// False if that was done already, by the thread.
    fn forget(&self) -> bool {
        let mut state = self.shared.state.lock();
        let at = state.runs.iter().position(|run| run.number == self.number);
        at.map(|at| state.runs.swap_remove(at)).is_some()
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        self.forget();
    }
}

impl Shared {
    fn work(&self) {
        let mut state = self.state.lock();
        while !state.is_stopped {
            let now = Instant::now();
            // Under the lock: whoever takes its run off the list knows whether it was ended.
            for run in state.runs.extract_if(.., |run| run.deadline <= now) {
                // It fails only where there is no library any more.
                let _ = run.options.terminate();
            }
            state.wakes = state.runs.iter().map(|run| run.deadline).min();
            match state.wakes {
                Some(wakes) => _ = self.changed.wait_until(&mut state, wakes),
                None => self.changed.wait(&mut state),
            }
        }
    }
}
