//! Keeps a worker running: a thread that starts it, says what it prints, and starts it again when it has ended.
//!
//! Workers die with the thread that has started them, so it lives as long as they are wanted.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::back_off::BackOff;
use super::hello::Declared;
use super::process::{Process, Start, Watched};
use super::{Report, START_TIMEOUT};

/// A worker that is wanted. It ends when this is dropped.
pub(super) struct Kept {
    shared: Arc<Shared>,
    keeper: Option<JoinHandle<()>>,
    pub(super) declared: Declared,
}

/// What a worker is, each time that it is started.
pub(super) struct Wanted {
    pub(super) name: String,
    pub(super) python: std::path::PathBuf,
    pub(super) what: &'static str,
    pub(super) hello: String,
    pub(super) threads: usize,
    pub(super) report: Report,
}

/// What the keeper, the model's thread and whoever watches share.
pub(super) struct Shared {
    wanted: Wanted,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// The one that runs, ready or not.
    process: Option<Arc<Process>>,
    is_ready: bool,
    /// Why the last one ended.
    why: String,
    /// Whether it was to end, and the next one is about to be ready.
    is_planned: bool,
    is_stopped: bool,
    n_restarts: u64,
}

impl Kept {
    /// Starts a worker and waits until it is ready.
    pub(super) fn start(wanted: Wanted) -> Result<Self, String> {
        let shared = Arc::new(Shared { wanted, state: Mutex::default(), changed: Condvar::new() });
        let (ready, first): (_, Receiver<Result<Declared, String>>) = sync_channel(1);
        let keeping = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name(format!("keep {}", shared.wanted.name));
        let keeper =
            thread.spawn(move || keeping.keep(&ready)).map_err(|error| format!("no thread for it: {error}"))?;
        match first.recv() {
            Ok(Ok(declared)) => Ok(Self { shared, keeper: Some(keeper), declared }),
            failed => {
                drop(keeper.join());
                Err(failed.ok().and_then(Result::err).unwrap_or_else(|| "its keeper ended".to_owned()))
            }
        }
    }

    /// The worker, if it is ready; why not otherwise. One that is being replaced is waited for.
    pub(super) fn ready(&self, limit: Duration) -> Result<Arc<Process>, String> {
        let deadline = Instant::now() + limit;
        let mut state = self.shared.state.lock();
        loop {
            let process = state.process.as_ref().filter(|_| state.is_ready);
            let is_planned = match process.map(|process| (process, process.ending())) {
                Some((process, None)) => return Ok(Arc::clone(process)),
                // Its keeper has not seen it yet.
                Some((_, Some((why, is_planned)))) if !is_planned => return Err(why),
                Some(_) => true,
                None => state.is_planned,
            };
            if !is_planned || self.shared.changed.wait_until(&mut state, deadline).timed_out() {
                return Err(state.why.clone());
            }
        }
    }

    pub(super) fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        {
            let mut state = self.shared.state.lock();
            state.is_stopped = true;
            self.shared.changed.notify_all();
            if let Some(process) = state.process.clone() {
                if state.is_ready {
                    process.close();
                    let deadline = Instant::now() + CLOSE_TIMEOUT;
                    while state.process.is_some() && !self.shared.changed.wait_until(&mut state, deadline).timed_out() {
                    }
                }
                process.kill("it is not wanted any more");
            }
        }
        if let Some(keeper) = self.keeper.take() {
            drop(keeper.join());
        }
    }
}

impl Shared {
    /// How often it was started again.
    pub(super) fn n_restarts(&self) -> u64 {
        self.state.lock().n_restarts
    }

    /// The process that runs, ready or not.
    pub(super) fn process(&self) -> Option<Arc<Process>> {
        self.state.lock().process.clone()
    }

    fn keep(&self, first: &SyncSender<Result<Declared, String>>) {
        let mut back_off = BackOff::default();
        let mut declared = None;
        let mut say = |line: &str| self.say(true, line);
        loop {
            let (why, is_planned, ran) = match self.start() {
                Ok(None) => return,
                Ok(Some((process, mut watched))) => {
                    let is_ready = process.wait_until_ready(&mut watched, START_TIMEOUT, &mut say).is_ok();
                    if is_ready {
                        self.take(&process, &mut declared, first);
                    }
                    let ended = process.finish(&mut watched, &mut say);
                    (ended.why, ended.is_planned, ended.ran)
                }
                Err(why) => (why, false, Duration::ZERO),
            };
            if declared.is_none() {
                self.state.lock().process = None;
                // Whoever wanted it is there to be told.
                drop(first.send(Err(why)));
                return;
            }
            let delay = if is_planned { Duration::ZERO } else { back_off.after(ran) };
            if !self.wait(&why, is_planned, delay) {
                return;
            }
        }
    }

    /// `None`: it is not wanted any more.
    fn start(&self) -> Result<Option<(Arc<Process>, Watched)>, String> {
        let Wanted { python, what, hello, threads, .. } = &self.wanted;
        if self.state.lock().is_stopped {
            return Ok(None);
        }
        let start = Start { python, what, hello: hello.clone(), threads: *threads };
        let (process, watched) = Process::start(&start)?;
        let process = Arc::new(process);
        let mut state = self.state.lock();
        state.process = Some(Arc::clone(&process));
        if state.is_stopped {
            process.kill("it is not wanted any more");
        }
        drop(state);
        Ok(Some((process, watched)))
    }

    /// Puts one that is ready in force, if it takes and gives what the first one did.
    fn take(
        &self,
        process: &Arc<Process>,
        declared: &mut Option<Declared>,
        first: &SyncSender<Result<Declared, String>>,
    ) {
        let now = process.declared().cloned();
        match (&*declared, now) {
            (None, Some(now)) => {
                self.set_ready();
                drop(first.send(Ok(now.clone())));
                *declared = Some(now);
            }
            (Some(before), Some(now)) if before.is_as(&now) => {
                self.set_ready();
                self.say(true, "it runs again");
            }
            _ => {
                process.kill("it takes or gives something else than before: load it as another version");
            }
        }
    }

    fn set_ready(&self) {
        let mut state = self.state.lock();
        state.is_ready = true;
        state.is_planned = false;
        self.changed.notify_all();
    }

    /// Waits until the next one may be started; false: it is not wanted any more.
    fn wait(&self, why: &str, is_planned: bool, delay: Duration) -> bool {
        let mut state = self.state.lock();
        state.process = None;
        state.is_ready = false;
        state.is_planned = is_planned;
        why.clone_into(&mut state.why);
        self.changed.notify_all();
        if state.is_stopped {
            return false;
        }
        state.n_restarts += 1;
        let n_restarts = state.n_restarts;
        drop(state);
        let seconds = delay.as_secs_f64();
        self.say(false, &format!("{why}; started again in {seconds:.1} s (restart {n_restarts})"));
        let deadline = Instant::now() + delay;
        let mut state = self.state.lock();
        while !state.is_stopped && !self.changed.wait_until(&mut state, deadline).timed_out() {}
        !state.is_stopped
    }

    fn say(&self, is_good: bool, what: &str) {
        (self.wanted.report)(is_good, &format!("model {}: {what}", self.wanted.name));
    }
}

/// How long a worker may take to end by itself.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
