//! What is changed of models while the edge runs: what was set over the configuration, and which files were tried.

use std::collections::HashMap;
use std::sync::Arc;

use bodega_snapshot::Model as Settings;

use crate::contents::{self, Digest};
use crate::model::Model;
use crate::watchdog::Watchdog;
use crate::worker::{Workers, trial};

/// A version that does not answer any more: its predictions can be forgotten.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gone {
    /// The model's name.
    pub name: String,
    /// The version.
    pub version: String,
}

/// What changes have left behind.
#[derive(Default)]
pub(crate) struct Changes {
    /// By origin.
    pub(crate) set_over: HashMap<String, SetOver>,
    /// What was loaded and run in a process of its own first, and how; and the most memory that it had there.
    tried: HashMap<Digest, Option<u64>>,
    /// Once an ONNX model was loaded.
    watchdog: Option<Arc<Watchdog>>,
    /// What whoever runs the edge should know of models that were loaded.
    pub(crate) notes: Vec<String>,
}

/// What counts in place of a model's configuration, while that is as it was.
pub(crate) struct SetOver {
    pub(crate) configured: Arc<Settings>,
    /// `None`: nothing is loaded.
    pub(crate) settings: Option<Arc<Settings>>,
}

impl Changes {
    /// What was set over a configuration, if it was.
    pub(crate) fn over(&self, configured: &Arc<Settings>) -> Option<Option<Arc<Settings>>> {
        let over = self.set_over.get(&configured.origin)?;
        (over.configured == *configured).then(|| over.settings.clone())
    }

    /// What ends runs whose time is over.
    pub(crate) fn watchdog(&mut self) -> Result<Arc<Watchdog>, String> {
        if self.watchdog.is_none() {
            self.watchdog = Some(Watchdog::start()?);
        }
        self.watchdog.clone().ok_or_else(String::new)
    }

    /// Takes a model that was loaded, and notes what is to be said of it.
    pub(crate) fn noted(&mut self, model: Model) -> Arc<Model> {
        if model.is_mixing {
            let name = model.name();
            self.notes.push(format!(
                "model {name}: rows are not batched: in a batch they did not come out as alone, or that could not be tried"
            ));
        }
        let left_out = &model.signature.left_out;
        if !left_out.is_empty() {
            let (name, left_out) = (model.name(), left_out.join(", "));
            // What skl2onnx makes of classifiers by default.
            let hint =
                if left_out.contains("Map<") { "; skl2onnx makes one with options={'zipmap': False}" } else { "" };
            self.notes.push(format!("model {name}: no tensor, and so left out of its answers: {left_out}{hint}"));
        }
        Arc::new(model)
    }

    /// Has a file that this process has not loaded yet, or not so, loaded in a process of its own, where it may do no harm.
    /// Returns the most memory that it had there, if that is known.
    pub(crate) fn try_first(
        &mut self,
        workers: &Workers,
        settings: &Settings,
        digest: Digest,
    ) -> Result<Option<u64>, String> {
        let Settings { golden, threads, provider, ignored, .. } = settings;
        // What a run does is a matter of these, too: of other examples nobody knows yet.
        let how = format!("{threads} {provider:?} {ignored:?} {golden:?}");
        let tried_as = contents::joined(&digest, how.as_bytes());
        if workers.python.is_none() {
            return Ok(None);
        }
        if let Some(taken) = self.tried.get(&tried_as) {
            return within(*taken, settings.max_memory_bytes);
        }
        let tried = trial(workers, settings)?;
        let (seconds, mebibytes) = (tried.took.as_secs_f64(), tried.peak_memory_bytes.unwrap_or_default() >> 20);
        let name = &settings.name;
        (workers.report)(true, &format!("model {name}: its trial took {seconds:.2} s and {mebibytes} MiB"));
        if self.tried.len() >= MAX_TRIED {
            self.tried.clear();
        }
        self.tried.insert(tried_as, tried.peak_memory_bytes);
        within(tried.peak_memory_bytes, settings.max_memory_bytes)
    }
}

fn within(taken: Option<u64>, most: Option<u64>) -> Result<Option<u64>, String> {
    match (taken, most) {
        (Some(taken), Some(most)) if taken > most => {
            Err(format!("on trial: it took {taken} bytes of memory, of {most} that it may (`max_memory`)"))
        }
        _ => Ok(taken),
    }
}

const MAX_TRIED: usize = 4_096;
