//! The thread on which models are changed while the edge serves, and what is said of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;

use bodega_edge::Edge;
use bodega_inference::{Gone, ModelState, Models, SwapError, Swapped};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::events::{Event, Events};
use crate::server::StartError;

/// What is to become of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModelChange {
    /// Another version, from this file or from the one that it has.
    Load {
        /// The model's name.
        name: String,
        /// The file; `None`: the same as before.
        path: Option<String>,
        /// What the version is called; `None`: as its contents.
        version: Option<String>,
    },
    /// None.
    Unload {
        /// The model's name.
        name: String,
        /// Which one; `None`: the default one.
        version: Option<String>,
    },
}

type Answer = oneshot::Sender<Result<Swapped, SwapError>>;

/// The thread. Dropping it waits for the end of what it does, within bounds.
pub(crate) struct Loader {
    models: Arc<Models>,
    events: Events,
    jobs: Mutex<Option<Sender<(ModelChange, Answer)>>>,
    n_waiting: Arc<AtomicUsize>,
    /// Closed when the thread has ended.
    ended: Mutex<Option<Receiver<()>>>,
}

impl Loader {
    pub(crate) fn start(models: Arc<Models>, edge: Arc<Edge>, events: Events) -> Result<Self, StartError> {
        let (sender, jobs) = mpsc::channel::<(ModelChange, Answer)>();
        let n_waiting = Arc::new(AtomicUsize::new(0));
        let (loaded, counted, told) = (Arc::clone(&models), Arc::clone(&n_waiting), events.clone());
        let (ending, ended) = mpsc::channel();
        std::thread::Builder::new().name("bodega-loader".to_owned()).spawn(move || {
            // Dropped last, and however it ends.
            let _ending: Sender<()> = ending;
            for (change, answer) in jobs {
                let swapped = apply(&loaded, &edge, &change);
                if let Ok(swapped) = &swapped {
                    told.push(good(said_of(swapped)));
                }
                tell(&loaded, &told);
                counted.fetch_sub(1, Ordering::Relaxed);
                // Who asked may have gone away.
                let _ = answer.send(swapped);
            }
        })?;
        let (jobs, ended) = (Mutex::new(Some(sender)), Mutex::new(Some(ended)));
        Ok(Self { models, events, jobs, n_waiting, ended })
    }

    /// Has a model changed. The answer comes once that is in force, or refused.
    pub(crate) fn change(&self, change: ModelChange) -> oneshot::Receiver<Result<Swapped, SwapError>> {
        let (answer, receiver) = oneshot::channel();
        if self.n_waiting.fetch_add(1, Ordering::Relaxed) >= MAX_WAITING {
            self.n_waiting.fetch_sub(1, Ordering::Relaxed);
            // The receiver is here.
            let _ = answer.send(Err(SwapError::Busy));
            return receiver;
        }
        if let Some(jobs) = &*self.jobs.lock() {
            // Without the thread the answer is dropped, which is one.
            let _ = jobs.send((change, answer));
        }
        receiver
    }

    /// Says what is to be known of models that were loaded otherwise.
    pub(crate) fn tell(&self) {
        tell(&self.models, &self.events);
    }

    /// All models, as JSON.
    pub(crate) fn list(&self) -> Value {
        self.models.states().iter().map(state).collect()
    }

    /// Ends the thread, once it has done what it is about. What takes too long is left behind: it ends with the process.
    pub(crate) fn stop(&self) {
        drop(self.jobs.lock().take());
        if let Some(ended) = self.ended.lock().take() {
            // Nothing is ever sent: it is closed, or the time is over.
            let _ = ended.recv_timeout(MAX_END);
        }
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        self.stop();
    }
}

fn apply(models: &Models, edge: &Edge, change: &ModelChange) -> Result<Swapped, SwapError> {
    let forget = |gone: &Gone| edge.forget_version(&gone.name, &gone.version);
    match change {
        ModelChange::Load { name, path, version } => models.update(name, path.as_deref(), version.as_deref(), forget),
        ModelChange::Unload { name, version } => models.unload(name, version.as_deref(), forget),
    }
}

fn tell(models: &Models, events: &Events) {
    models.take_notes().into_iter().for_each(|note| events.push(good(note)));
}

fn good(message: String) -> Event {
    Event { id: String::new(), reason: None, message }
}

fn said_of(swapped: &Swapped) -> String {
    let Swapped { name, version, before, is_drained } = swapped;
    let late = if *is_drained { "" } else { ", which had not answered all in its time" };
    match (version, before) {
        (Some(version), Some(before)) => format!("model {name}: {version} in place of {before}{late}"),
        (Some(version), None) => format!("model {name}: {version}"),
        (None, Some(before)) => format!("model {name}: {before} was unloaded{late}"),
        (None, None) => format!("model {name}: nothing was loaded"),
    }
}

/// What became of a change, as JSON.
pub(crate) fn swapped(swapped: &Swapped) -> Value {
    json!({
        "model": swapped.name,
        "version": swapped.version,
        "before": swapped.before,
        "drained": swapped.is_drained,
    })
}

fn state(state: &ModelState) -> Value {
    json!({
        "origin": state.origin,
        "name": state.name,
        "version": state.version,
        "default": state.is_default,
        "state": if state.is_loaded { "ready" } else { "unloaded" },
        "set_over": state.is_set_over,
        "path": state.path,
        "digest": state.digest,
        "bytes": state.n_bytes,
        "loaded_at": state.loaded_at,
        "batched": state.is_batched,
        "mixing": state.is_mixing,
        "runs": state.n_runs,
        "rows": state.n_rows,
        "restarts": state.n_restarts,
        "process_bytes": state.memory_bytes,
        "trial_bytes": state.trial_bytes,
    })
}

/// Changes that may wait for others.
const MAX_WAITING: usize = 8;
/// How long the end waits for a model that is being loaded.
const MAX_END: Duration = Duration::from_secs(5);
