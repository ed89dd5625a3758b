//! The models of one edge, and the machine's way to them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant, UNIX_EPOCH};

use arc_swap::ArcSwap;
use bodega_edge::fetch::{Fetch, FetchAnswer, FetchError, FetchFuture, FetchRequest, next_chunk};
use bodega_edge::predict::{Asked, Question, Refused};
use bodega_semantics::Reason;
use bodega_snapshot::{Model as Settings, ModelGroup};
use parking_lot::{Mutex, MutexGuard};

use crate::changes::{Changes, Gone, SetOver};
use crate::contents::{self, Contents};
use crate::counts::Counts;
use crate::error::ModelError;
use crate::group::Group;
use crate::grpc;
use crate::model::{Model, hex};
use crate::question;
use crate::runtime;
use crate::session::OnnxModel;
use crate::swap::{MAX_WAIT, SwapError};
use crate::table::{Slot, Table};
use crate::worker::{Report, WorkerRunner, WorkerWatch, Workers};

/// The models of one edge, shared by its threads.
pub struct Models {
    pub(crate) table: ArcSwap<Table>,
    /// Held while models are loaded or put in force: one change at a time.
    pub(crate) changes: Mutex<Changes>,
    /// What processes of models are started with; it knows where the library of ONNX Runtime is, too.
    workers: Workers,
    region: Arc<str>,
}

/// How a model does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelState {
    /// The origin's name in the configuration.
    pub origin: String,
    /// Its name.
    pub name: String,
    /// Its version; empty if nothing is loaded.
    pub version: String,
    /// Whether it answers where no version is named.
    pub is_default: bool,
    /// Whether it answers at all: it may have been unloaded.
    pub is_loaded: bool,
    /// Whether it was set over the configuration.
    pub is_set_over: bool,
    /// Its file.
    pub path: String,
    /// The SHA-256 of the file.
    pub digest: String,
    /// The length of the file.
    pub n_bytes: u64,
    /// When it was loaded, in seconds since 1970.
    pub loaded_at: u64,
    /// Whether rows share runs.
    pub is_batched: bool,
    /// Whether they could by the graph, and do not since they had other answers in a batch.
    pub is_mixing: bool,
    /// How often it has run.
    pub n_runs: u64,
    /// For how many rows.
    pub n_rows: u64,
    /// How often its process was started again, if it has one.
    pub n_restarts: u64,
    /// What that process has in memory.
    pub memory_bytes: Option<u64>,
    /// Of one without: the most memory of the process in which it was tried.
    pub trial_bytes: Option<u64>,
}

impl Models {
    /// None yet. `library` is where ONNX Runtime is, if it is installed; `region` is said in answers.
    #[must_use]
    pub fn new(library: Option<&str>, region: &str) -> Self {
        Self {
            table: ArcSwap::default(),
            changes: Mutex::default(),
            workers: Workers::new(None, library, Arc::new(|_, _| ())),
            region: region.into(),
        }
    }

    /// With an interpreter for models that run in processes of their own, and for trying those that do not. `report` is
    /// told what these print, and when one ends or runs again.
    #[must_use]
    pub fn with_workers(mut self, python: Option<&str>, report: Report) -> Self {
        self.workers = Workers::new(python, self.workers.library.as_deref(), report);
        self
    }

    /// Loads what is new and drops what is not there any more, all or nothing. Blocks: not for a serving thread. What was
    /// set over a model's configuration holds while that is as it was.
    ///
    /// # Errors
    /// If one cannot be loaded, or others are being loaded for long; nothing changes then.
    pub fn load(&self, wanted: &[Arc<Settings>], groups: &[Arc<ModelGroup>]) -> Result<Loaded<'_>, ModelError> {
        let mut changes = self.changing(MAX_WAIT)?;
        let before = self.table.load_full();
        let mut slots = BTreeMap::new();
        let mut set_over = HashMap::new();
        for configured in wanted {
            let origin = configured.origin.clone();
            let over = changes.over(configured);
            let is_over = over.is_some();
            if let Some(over) = &over {
                set_over.insert(origin.clone(), SetOver { configured: Arc::clone(configured), settings: over.clone() });
            }
            let model = match over.unwrap_or_else(|| Some(Arc::clone(configured))) {
                Some(settings) => {
                    let kept = before.slots.get(&origin).and_then(|slot| slot.model.as_ref());
                    // What was set while the edge runs came from a file that may be gone by now.
                    let same = kept.filter(|model| is_over && model.settings == settings);
                    let model = match same {
                        Some(model) => Ok(Arc::clone(model)),
                        None => self.load_one(&settings, kept, &mut changes),
                    };
                    let wrong = |message| ModelError { origin: origin.clone(), path: settings.path.clone(), message };
                    Some(model.map_err(wrong)?)
                }
                None => None,
            };
            slots.insert(origin, Slot { configured: Arc::clone(configured), model });
        }
        let table = Table::new(slots, groups.to_vec(), &before);
        check_versions(&table)?;
        Ok(Loaded { models: self, table: Arc::new(table), set_over, changes })
    }

    /// Has others wait while models are changed.
    fn changing(&self, most: Duration) -> Result<MutexGuard<'_, Changes>, ModelError> {
        let message = || SwapError::Busy.to_string();
        let busy = || ModelError { origin: String::new(), path: String::new(), message: message() };
        self.changes.try_lock_for(most).ok_or_else(busy)
    }

    /// Loads a model, or takes what is loaded if that is the same.
    pub(crate) fn load_one(
        &self,
        settings: &Arc<Settings>,
        kept: Option<&Arc<Model>>,
        changes: &mut Changes,
    ) -> Result<Arc<Model>, String> {
        let contents = contents::read(settings)?;
        if let Some(model) = kept.filter(|model| model.settings == *settings && model.digest == contents.digest) {
            return Ok(Arc::clone(model));
        }
        let began = Instant::now();
        let mut model = self.load_new(settings, &contents, changes)?;
        contents.check_still()?;
        model.load_time = began.elapsed();
        Ok(changes.noted(model))
    }

    fn load_new(&self, settings: &Arc<Settings>, contents: &Contents, changes: &mut Changes) -> Result<Model, String> {
        let library = self.workers.library.as_deref();
        if settings.runner.is_some() || settings.isolated {
            if settings.runner.is_none() {
                runtime::check(library)?;
            }
            let worker = WorkerRunner::start(&self.workers, settings)?;
            let (signature, watch) = (worker.signature().clone(), worker.watch());
            let code = worker.code().map(ToOwned::to_owned);
            return Model::start(settings, &self.region, contents, signature, worker, (code, Some(watch)));
        }
        let environment = runtime::environment(library)?;
        let trial_bytes = changes.try_first(&self.workers, settings, contents.digest)?;
        let mut loaded = OnnxModel::load(environment, changes.watchdog()?, &(&**settings).into())?;
        loaded.is_for_all_threads = !contents.has_loops;
        let signature = loaded.signature().clone();
        let mut model = Model::start(settings, &self.region, contents, signature, loaded, (None, None))?;
        model.trial_bytes = trial_bytes;
        Ok(model)
    }

    /// What is to be said of models that were loaded since the last call.
    #[must_use]
    pub fn take_notes(&self) -> Vec<String> {
        // Whoever changes models takes them afterwards.
        self.changes.try_lock().map(|mut changes| std::mem::take(&mut changes.notes)).unwrap_or_default()
    }

    /// Lets go of all models: nobody asks any more. Their threads and processes end by themselves.
    pub fn close(&self) {
        drop(self.table.swap(Arc::default()));
    }

    /// How each model does, by name.
    #[must_use]
    pub fn states(&self) -> Vec<ModelState> {
        let table = self.table.load();
        let mut states: Vec<ModelState> =
            table.slots.iter().map(|(origin, slot)| state(&table, origin, slot)).collect();
        states.sort_by(|one, other| (&one.name, !one.is_default).cmp(&(&other.name, !other.is_default)));
        states
    }

    /// The models that an origin means.
    pub(crate) fn group(&self, origin: &str) -> Option<Arc<Group>> {
        self.table.load().group(origin).map(Arc::clone)
    }

    async fn answer(self: Arc<Self>, mut request: FetchRequest) -> Result<FetchAnswer, FetchError> {
        let mut whole = Vec::new();
        if let Some(body) = &mut request.body {
            while let Some(chunk) = next_chunk(&mut *body.stream).await {
                whole.extend_from_slice(&chunk?);
            }
        }
        // By whose row it is, not by what the origin means by now: while a swap is under way both versions answer.
        let model = whole.first_chunk().and_then(|identity| self.table.load().of_identity(identity));
        let Some(model) = model else {
            let mut error = FetchError::new(Reason::OriginBusy, "the model was replaced while it was asked");
            error.retry_after_seconds = Some(1);
            return Err(error);
        };
        model.answer(Arc::from(whole)).await
    }
}

fn state(table: &Table, origin: &str, slot: &Slot) -> ModelState {
    let settings = slot.model.as_ref().map_or(&slot.configured, |model| &model.settings);
    let counts = slot.model.as_ref().map(|model| model.batcher.counts());
    let worker = slot.model.as_ref().and_then(|model| model.worker.as_ref());
    let loaded_at = slot.model.as_ref().and_then(|model| model.loaded_at.duration_since(UNIX_EPOCH).ok());
    ModelState {
        origin: origin.to_owned(),
        name: settings.name.clone(),
        version: slot.model.as_ref().map(|model| model.version.clone()).unwrap_or_default(),
        is_default: table.default_slot(&settings.name) == Some(origin),
        is_loaded: slot.model.is_some(),
        is_set_over: slot.model.as_ref().is_none_or(|model| model.settings != slot.configured),
        path: settings.path.clone(),
        digest: slot.model.as_ref().map(|model| hex(&model.digest)).unwrap_or_default(),
        n_bytes: slot.model.as_ref().map_or(0, |model| model.n_bytes),
        loaded_at: loaded_at.map_or(0, |since| since.as_secs()),
        is_batched: slot.model.as_ref().is_some_and(|model| model.signature.is_batched),
        is_mixing: slot.model.as_ref().is_some_and(|model| model.is_mixing),
        n_runs: counts.map_or(0, Counts::n_runs),
        n_rows: counts.map_or(0, Counts::n_rows),
        n_restarts: worker.map_or(0, WorkerWatch::n_restarts),
        memory_bytes: worker.and_then(WorkerWatch::memory_bytes),
        trial_bytes: slot.model.as_ref().and_then(|model| model.trial_bytes),
    }
}

/// Two that are one version of one model could not be told apart.
pub(crate) fn check_versions(table: &Table) -> Result<(), ModelError> {
    let mut seen: HashMap<(&str, &str), &str> = HashMap::new();
    for (origin, slot) in &table.slots {
        let Some(model) = &slot.model else { continue };
        if let Some(other) = seen.insert((model.name(), model.version()), origin) {
            let message = format!("origins.{other} is this version of {} already: {}", model.name(), model.version());
            return Err(ModelError { origin: origin.clone(), path: model.settings.path.clone(), message });
        }
    }
    Ok(())
}

/// Models that are ready, and not in force yet.
#[must_use]
pub struct Loaded<'m> {
    models: &'m Models,
    table: Arc<Table>,
    set_over: HashMap<String, SetOver>,
    changes: MutexGuard<'m, Changes>,
}

impl Loaded<'_> {
    /// Puts them in force. What the old ones have taken they still answer. Returns the names and versions that are gone.
    pub fn apply(mut self) -> Vec<Gone> {
        self.changes.set_over = self.set_over;
        let before = self.models.table.swap(Arc::clone(&self.table));
        let still = |model: &Arc<Model>| {
            self.table
                .slots
                .values()
                .filter_map(|slot| slot.model.as_ref())
                .any(|other| (other.name(), other.version()) == (model.name(), model.version()))
        };
        before.beyond(&self.table).iter().filter(|model| !still(model)).map(|model| model.gone_by()).collect()
    }
}

/// Models where a name means one, and another way to origins for the rest.
pub struct Routed<F> {
    models: Arc<Models>,
    origins: F,
}

impl<F> Routed<F> {
    /// Asks `models` first.
    pub fn new(models: Arc<Models>, origins: F) -> Self {
        Self { models, origins }
    }
}

impl<F: Fetch> Fetch for Routed<F> {
    fn fetch(&self, origin: &str, request: FetchRequest) -> FetchFuture {
        match self.models.group(origin) {
            Some(_) => Box::pin(Arc::clone(&self.models).answer(request)),
            None => self.origins.fetch(origin, request),
        }
    }

    fn question(&self, origin: &str, asked: &Asked<'_>) -> Option<Result<Box<dyn Question>, Refused>> {
        let group = self.models.group(origin)?;
        Some(question::read(&group, asked))
    }

    fn max_question_bytes(&self, origin: &str) -> u64 {
        // A message by gRPC may be as long as any body, and its head stands before it.
        self.models.group(origin).map_or(0, |group| group.max_body_bytes().saturating_add(grpc::HEAD_BYTES))
    }

    fn close_idle(&self) {
        self.origins.close_idle();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(path: &str) -> Arc<Settings> {
        Arc::new(Settings {
            origin: "scores".to_owned(),
            path: path.to_owned(),
            name: "fraud".to_owned(),
            version: None,
            timeout: Duration::from_secs(1),
            max_batch: 8,
            max_queue: 8,
            max_body_bytes: 1_000,
            ttl: None,
            batch_wait: Duration::ZERO,
            provider: bodega_snapshot::Provider::Cpu,
            threads: 1,
            isolated: false,
            runner: None,
            ignored: Vec::new(),
            golden: Vec::new(),
            max_memory_bytes: None,
            region_only: false,
        })
    }

    #[test]
    fn what_cannot_be_loaded_is_said_with_the_file_and_what_to_do() {
        let file = tempfile::NamedTempFile::new().unwrap();
        // An empty graph.
        std::fs::write(file.path(), b"\x3a\0").unwrap();
        let path = file.path().to_str().unwrap();
        for (library, path, words) in [
            (None, "/nowhere/fraud.onnx", &["origins.scores", "/nowhere/fraud.onnx", "no such file"][..]),
            (None, path, &["not installed", "bodega[models]"]),
            (Some("/nowhere/libonnxruntime.so"), path, &["no library", "/nowhere/libonnxruntime.so"]),
        ] {
            let models = Models::new(library, "local");
            let error = models.load(&[settings(path)], &[]).err().unwrap().to_string();
            for word in words {
                assert!(error.contains(word), "{error}");
            }
            assert_eq!(models.states(), []);
        }
    }

    #[test]
    fn who_changes_models_while_others_do_is_told() {
        let models = Models::new(None, "local");
        let held = models.changing(Duration::ZERO).unwrap();
        let error = models.changing(Duration::ZERO).err().unwrap();
        assert_eq!(error.to_string(), "another model is being loaded: try again");
        assert_eq!(models.take_notes(), [""; 0], "nor are notes waited for");
        drop(held);
        models.load(&[], &[]).unwrap().apply();
    }

    #[test]
    fn without_models_no_library_is_needed() {
        Models::new(None, "local").load(&[], &[]).unwrap().apply();
    }
}
