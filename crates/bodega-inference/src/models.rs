//! The models of one edge, and the machine's way to them.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::sync::Arc;

use arc_swap::ArcSwap;
use aws_lc_rs::digest::{Context, SHA256};
use bodega_edge::fetch::{Fetch, FetchAnswer, FetchError, FetchFuture, FetchRequest, OnePiece, next_chunk};
use bodega_edge::predict::{Asked, Question, Refused, Row};
use bodega_semantics::{Fields, Reason};
use bodega_snapshot::Model as Settings;
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::time::timeout;

use crate::batch::{Batcher, NotTaken};
use crate::error::ModelError;
use crate::problem::Problem;
use crate::question;
use crate::runtime;
use crate::session::OnnxModel;
use crate::signature::Signature;

/// The models of one edge, shared by its threads.
pub struct Models {
    table: ArcSwap<HashMap<String, Arc<Model>>>,
    /// Held while models are loaded.
    loading: Mutex<()>,
    /// Where the library of ONNX Runtime is.
    library: Option<String>,
    region: Arc<str>,
}

/// How a model does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelState {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// How often it has run.
    pub n_runs: u64,
    /// For how many rows.
    pub n_rows: u64,
}

/// A model that is loaded.
pub(crate) struct Model {
    pub(crate) settings: Arc<Settings>,
    pub(crate) version: String,
    pub(crate) signature: Signature,
    /// Of the file and the version: two that differ share no row.
    identity: [u8; N_IDENTITY_BYTES],
    digest: Digest,
    batcher: Batcher,
}

type Digest = [u8; 32];

const N_IDENTITY_BYTES: usize = 16;

impl Models {
    /// None yet. `library` is where ONNX Runtime is, if it is installed; `region` is said in answers.
    #[must_use]
    pub fn new(library: Option<&str>, region: &str) -> Self {
        Self {
            table: ArcSwap::default(),
            loading: Mutex::new(()),
            library: library.map(ToOwned::to_owned),
            region: region.into(),
        }
    }

    /// Loads what is new and drops what is not there any more, all or nothing. Blocks: not for a serving thread.
    ///
    /// # Errors
    /// If one cannot be loaded; nothing changes then.
    pub fn load(&self, wanted: &[Arc<Settings>]) -> Result<Loaded<'_>, ModelError> {
        let loading = self.loading.lock();
        let before = self.table.load();
        let mut table = HashMap::with_capacity(wanted.len());
        for settings in wanted {
            let wrong =
                |message: String| ModelError { origin: settings.origin.clone(), path: settings.path.clone(), message };
            let digest = digest(&settings.path).map_err(wrong)?;
            let kept =
                before.get(&settings.origin).filter(|model| model.settings == *settings && model.digest == digest);
            let model = match kept {
                Some(model) => Arc::clone(model),
                None => Arc::new(Model::load(self.library.as_deref(), settings, digest).map_err(wrong)?),
            };
            table.insert(settings.origin.clone(), model);
        }
        Ok(Loaded { models: self, table: Arc::new(table), _loading: loading })
    }

    /// How each model does, by name.
    #[must_use]
    pub fn states(&self) -> Vec<ModelState> {
        let state = |model: &Arc<Model>| {
            let (n_runs, n_rows) = model.batcher.counts();
            let (name, version) = (model.settings.name.clone(), model.version.clone());
            ModelState { name, version, n_runs, n_rows }
        };
        let mut states: Vec<ModelState> = self.table.load().values().map(state).collect();
        states.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        states
    }

    fn get(&self, origin: &str) -> Option<Arc<Model>> {
        self.table.load().get(origin).map(Arc::clone)
    }
}

/// Models that are ready, and not in force yet.
#[must_use]
pub struct Loaded<'m> {
    models: &'m Models,
    table: Arc<HashMap<String, Arc<Model>>>,
    _loading: parking_lot::MutexGuard<'m, ()>,
}

impl Loaded<'_> {
    /// Puts them in force. What the old ones have taken they still answer.
    pub fn apply(self) {
        // The last one to let go of a large model takes a while: not a thread that serves.
        drop(self.models.table.swap(self.table));
    }
}

impl Model {
    fn load(library: Option<&str>, settings: &Arc<Settings>, digest: Digest) -> Result<Self, String> {
        let loaded = OnnxModel::load(runtime::environment(library)?, &settings.path)?;
        let version = settings.version.clone().unwrap_or_else(|| hex(&digest[..N_VERSION_BYTES]));
        let mut context = Context::new(&SHA256);
        context.update(&digest);
        context.update(version.as_bytes());
        let mut identity = [0; N_IDENTITY_BYTES];
        identity.copy_from_slice(&context.finish().as_ref()[..N_IDENTITY_BYTES]);
        let signature = loaded.signature().clone();
        let batcher = Batcher::start(&settings.name, loaded, settings.max_batch, settings.max_queue)
            .map_err(|error| format!("no thread for it: {error}"))?;
        Ok(Self { settings: Arc::clone(settings), version, signature, identity, digest, batcher })
    }

    /// Whether a body may be as long as this one.
    pub(crate) fn check_length(&self, body: &[u8]) -> Result<(), Problem> {
        let most = self.settings.max_body_bytes;
        if body.len() as u64 > most {
            return Err(Problem::new(413, "", format!("the body is over the limit of {most} bytes")));
        }
        Ok(())
    }

    /// Whether a path means this model, and this version of it; returns what is behind that.
    pub(crate) fn check_name<'p>(&self, name: &str, rest: &'p [&'p str]) -> Result<&'p [&'p str], Problem> {
        if name != self.settings.name {
            let message = format!("there is no model {name:?} here: there is {}", self.settings.name);
            return Err(Problem::new(404, "", message));
        }
        let Some((&"versions", [version, rest @ ..])) = rest.split_first() else { return Ok(rest) };
        if *version != self.version {
            let message = format!("there is no version {version:?} of {name}: there is {}", self.version);
            return Err(Problem::new(404, "", message));
        }
        Ok(rest)
    }

    /// What is asked of the machine for a record: whose it is stands before it.
    pub(crate) fn row(&self, record: &[u8]) -> Row {
        let path = format!("/models/{}/versions/{}/predict", self.settings.name, self.version);
        Row { path, body: [&self.identity[..], record].concat().into(), is_kept: true }
    }

    async fn answer(self: Arc<Self>, mut request: FetchRequest) -> Result<FetchAnswer, FetchError> {
        let mut whole = Vec::new();
        if let Some(body) = &mut request.body {
            while let Some(chunk) = next_chunk(&mut *body.stream).await {
                whole.extend_from_slice(&chunk?);
            }
        }
        let whole = Bytes::from(whole);
        if !whole.starts_with(&self.identity) {
            let mut error = FetchError::new(Reason::OriginBusy, "the model was replaced while it was asked");
            error.retry_after_seconds = Some(1);
            return Err(error);
        }
        let limit = self.settings.timeout;
        let queued = self.batcher.push(whole.slice(N_IDENTITY_BYTES..), limit).map_err(|why| self.not_taken(why))?;
        let late = || {
            let seconds = limit.as_secs_f64();
            let name = &self.settings.name;
            FetchError::new(Reason::OriginTimeout, format!("the model {name} did not answer within {seconds} s"))
        };
        match timeout(limit, queued).await {
            Ok(Ok(Ok(record))) => Ok(self.outputs(record)),
            Ok(Ok(Err(message))) => Ok(failure(&message)),
            // Not computed because its time was over, or the thread died.
            Ok(Err(_)) | Err(_) => Err(late()),
        }
    }

    fn not_taken(&self, why: NotTaken) -> FetchError {
        let name = &self.settings.name;
        match why {
            NotTaken::Full => {
                let mut error = FetchError::new(Reason::OriginBusy, format!("too much waits for the model {name}"));
                error.retry_after_seconds = Some(1);
                error
            }
            NotTaken::Stopped => FetchError::new(Reason::OriginDown, format!("the model {name} does not run any more")),
        }
    }

    fn outputs(&self, record: Vec<u8>) -> FetchAnswer {
        let Settings { name, .. } = &*self.settings;
        let mut fields = Fields::new();
        fields.push("Content-Type", b"application/vnd.bodega.record");
        fields.push("Cache-Tag", format!("model:{name},model:{name}@{}", self.version).as_bytes());
        answer(200, fields, record)
    }
}

/// What the model said instead: for the one who asked, and for nobody's log.
fn failure(message: &str) -> FetchAnswer {
    let mut fields = Fields::new();
    fields.push("Content-Type", b"text/plain; charset=utf-8");
    fields.push("Cache-Control", b"no-store");
    let what = format!("the model failed: {}", message.chars().take(MAX_MESSAGE_CHARS).collect::<String>());
    answer(500, fields, what.into_bytes())
}

fn answer(status: u16, fields: Fields, body: Vec<u8>) -> FetchAnswer {
    FetchAnswer {
        status,
        fields,
        content_length: Some(body.len() as u64),
        body: Box::new(OnePiece(Some(Bytes::from(body)))),
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
        match self.models.get(origin) {
            Some(model) => Box::pin(model.answer(request)),
            None => self.origins.fetch(origin, request),
        }
    }

    fn question(&self, origin: &str, asked: &Asked<'_>) -> Option<Result<Box<dyn Question>, Refused>> {
        let model = self.models.get(origin)?;
        Some(question::read(&model, &self.models.region, asked))
    }

    fn max_question_bytes(&self, origin: &str) -> u64 {
        self.models.get(origin).map_or(0, |model| model.settings.max_body_bytes)
    }

    fn close_idle(&self) {
        self.origins.close_idle();
    }
}

/// The digest of a file.
fn digest(path: &str) -> Result<Digest, String> {
    let unreadable = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such file".to_owned(),
        _ => error.to_string(),
    };
    let mut file = File::open(path).map_err(unreadable)?;
    let mut context = Context::new(&SHA256);
    let mut buffer = vec![0; READ_BYTES];
    loop {
        match file.read(&mut buffer).map_err(unreadable)? {
            0 => break,
            n_bytes => context.update(&buffer[..n_bytes]),
        }
    }
    let mut digest = [0; 32];
    digest.copy_from_slice(context.finish().as_ref());
    Ok(digest)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A version that is made of the contents has twice as many characters.
const N_VERSION_BYTES: usize = 6;
const READ_BYTES: usize = 256 * 1024;
const MAX_MESSAGE_CHARS: usize = 400;

#[cfg(test)]
mod tests {
    use std::time::Duration;

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
        })
    }

    #[test]
    fn what_cannot_be_loaded_is_said_with_the_file_and_what_to_do() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().to_str().unwrap();
        for (library, path, words) in [
            (None, "/nowhere/fraud.onnx", &["origins.scores", "/nowhere/fraud.onnx", "no such file"][..]),
            (None, path, &["not installed", "bodega[models]"]),
            (Some("/nowhere/libonnxruntime.so"), path, &["no library", "/nowhere/libonnxruntime.so"]),
        ] {
            let models = Models::new(library, "local");
            let error = models.load(&[settings(path)]).err().unwrap().to_string();
            for word in words {
                assert!(error.contains(word), "{error}");
            }
            assert_eq!(models.states(), []);
        }
    }

    #[test]
    fn without_models_no_library_is_needed() {
        Models::new(None, "local").load(&[]).unwrap().apply();
    }
}
