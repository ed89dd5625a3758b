//! One model that is loaded: what is said of it, and how it is asked.

use std::cell::RefCell;
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime};

use aws_lc_rs::digest::{Context, SHA256};
use bodega_edge::fetch::{FetchAnswer, FetchError, OnePiece};
use bodega_edge::predict::{Predicted, Predicts, Reply, Row, Waits};
use bodega_semantics::{Fields, Reason};
use bodega_snapshot::Model as Settings;
use bytes::Bytes;

use crate::batch::{Batcher, Limits, Runner};
use crate::changes::Gone;
use crate::contents::{self, Contents, Digest};
use crate::golden;
use crate::problem::Problem;
use crate::record;
use crate::render;
use crate::signature::Signature;
use crate::tally::{Counted, Tally};
use crate::worker::WorkerWatch;

/// A model that is loaded.
pub(crate) struct Model {
    pub(crate) settings: Arc<Settings>,
    pub(crate) version: String,
    pub(crate) signature: Signature,
    /// What stands for its URL in invalidations.
    path: String,
    /// What is said of each prediction.
    fields: Fields,
    /// Of the file and the version: two that differ share no row.
    pub(crate) identity: Identity,
    pub(crate) digest: Digest,
    /// Rows could share runs by the graph, and had other answers in a batch.
    pub(crate) is_mixing: bool,
    pub(crate) n_bytes: u64,
    pub(crate) loaded_at: SystemTime,
    /// How long that took.
    pub(crate) load_time: Duration,
    /// Ends when its memory has been given back, which its own thread does.
    pub(crate) alive: Weak<()>,
    pub(crate) batcher: Batcher,
    pub(crate) tally: Tally,
    /// What ends each of its answers as JSON: the region, its name and its version.
    pub(crate) ending: Box<[u8]>,
    /// Its process, if it has one.
    pub(crate) worker: Option<WorkerWatch>,
    /// Else the most memory of the process in which it was tried.
    pub(crate) trial_bytes: Option<u64>,
}

/// What stands before a row: whose it is.
pub(crate) type Identity = [u8; N_IDENTITY_BYTES];

const N_IDENTITY_BYTES: usize = 16;
/// A version that is made of the contents has twice as many characters.
const N_VERSION_BYTES: usize = 6;

thread_local! {
    /// Where a row is put together.
    static WHOLE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// A row as the machine has it: the record stands behind whose it is.
#[derive(Clone)]
pub(crate) struct RowBytes(Arc<[u8]>);

impl RowBytes {
    /// A record of no model's.
    #[cfg(test)]
    pub(crate) fn of(record: &[u8]) -> Self {
        Self([&[0; N_IDENTITY_BYTES], record].concat().into())
    }

    /// What the model is given.
    pub(crate) fn record(&self) -> &[u8] {
        self.0.get(N_IDENTITY_BYTES..).unwrap_or_default()
    }
}

impl Model {
    /// Runs its examples, and has it run from then on. `region` is said in answers.
    pub(crate) fn start(
        settings: &Arc<Settings>,
        region: &str,
        contents: &Contents,
        mut signature: Signature,
        mut runner: impl Runner,
        (code, worker): (Option<String>, Option<WorkerWatch>),
    ) -> Result<Self, String> {
        let do_agree = golden::check(&mut runner, &signature, &settings.golden, settings.timeout)?;
        let is_mixing = runner.is_mixing() || (signature.is_batched && !do_agree);
        signature.is_batched &= do_agree;
        let Contents { digest, n_bytes, .. } = *contents;
        // Of a runner the code is as much of it as the file.
        let made_of = code.map_or(digest, |code| contents::joined(&digest, code.as_bytes()));
        let version = settings.version.clone().unwrap_or_else(|| hex(&made_of[..N_VERSION_BYTES]));
        let mut context = Context::new(&SHA256);
        context.update(&made_of);
        context.update(version.as_bytes());
        context.update(b"\0");
        context.update(settings.name.as_bytes());
        // Which of its inputs a key is made of.
        for name in &settings.ignored {
            context.update(b"\0");
            context.update(name.as_bytes());
        }
        let mut identity = [0; N_IDENTITY_BYTES];
        identity.copy_from_slice(&context.finish().as_ref()[..N_IDENTITY_BYTES]);
        let alive = runner.alive();
        let limits = Limits {
            max_batch: if signature.is_batched { settings.max_batch } else { 1 },
            max_queue: settings.max_queue,
            wait: settings.batch_wait,
            timeout: settings.timeout,
        };
        let batcher =
            Batcher::start(&settings.name, runner, limits).map_err(|error| format!("no thread for it: {error}"))?;
        Ok(Self {
            settings: Arc::clone(settings),
            path: format!("/models/{}/versions/{version}/predict", settings.name),
            fields: fields(settings, &version),
            ending: ending(region, &settings.name, &version),
            version,
            signature,
            identity,
            digest,
            is_mixing,
            n_bytes,
            loaded_at: SystemTime::now(),
            load_time: Duration::ZERO,
            alive,
            batcher,
            tally: Tally::default(),
            worker,
            trial_bytes: None,
        })
    }

    pub(crate) fn name(&self) -> &str {
        &self.settings.name
    }

    pub(crate) fn version(&self) -> &str {
        &self.version
    }

    /// How often it has run and how long that took, and for how many rows.
    pub(crate) fn computed(&self) -> (Counted, u64) {
        let counts = self.batcher.counts();
        (Counted { count: counts.n_runs(), nanoseconds: counts.run_nanoseconds() }, counts.n_rows())
    }

    /// What to call it once it is gone.
    pub(crate) fn gone_by(&self) -> Gone {
        Gone { name: self.settings.name.clone(), version: self.version.clone() }
    }

    /// Whether so many rows may be asked for at once: as many as may wait, so that all are taken when nothing else waits.
    pub(crate) fn check_rows(&self, n_rows: usize) -> Result<(), Problem> {
        let most = self.settings.max_queue;
        if n_rows > most {
            let message = format!("{n_rows} rows in one request: of this model at most {most} may wait (`max_queue`)");
            return Err(Problem::new(413, "", message));
        }
        Ok(())
    }

    /// What is asked of the machine for a record: whose it is stands before it.
    pub(crate) fn row(self: &Arc<Self>, record: &[u8]) -> Row {
        let n_keyed = record::n_bytes_of_first(record, self.signature.n_keyed()).unwrap_or(record.len());
        let body = WHOLE.with_borrow_mut(|whole| {
            whole.clear();
            whole.extend_from_slice(&self.identity);
            whole.extend_from_slice(record);
            let body = Arc::from(&whole[..]);
            whole.shrink_to(record::MAX_KEPT_BYTES);
            body
        });
        let model = Arc::clone(self) as Arc<dyn Predicts>;
        Row { model, body, n_key_bytes: N_IDENTITY_BYTES + n_keyed, is_kept: true }
    }

    /// The answer to a row that comes through the machine.
    pub(crate) async fn answer(self: Arc<Self>, whole: Arc<[u8]>) -> Result<FetchAnswer, FetchError> {
        let (reply, predicted) = Reply::channel();
        self.predict(whole, reply);
        match predicted.await {
            Ok(Predicted::Outputs(record)) => Ok(answer(200, self.fields.clone(), record)),
            Ok(Predicted::Failed(what)) => Ok(failure(what)),
            Ok(Predicted::Unanswered(error)) => Err(error),
            Err(_) => Err(FetchError::new(Reason::OriginDown, "the model does not run any more")),
        }
    }
}

impl Predicts for Model {
    fn path(&self) -> &str {
        &self.path
    }

    fn fields(&self) -> &Fields {
        &self.fields
    }

    fn predict(&self, row: Arc<[u8]>, whom: Arc<dyn Waits>) {
        self.batcher.push(RowBytes(row), whom);
    }
}

/// What is said of each prediction.
fn fields(settings: &Settings, version: &str) -> Fields {
    let name = &settings.name;
    let mut fields = Fields::new();
    fields.push("Content-Type", b"application/vnd.bodega.record");
    fields.push("Cache-Tag", format!("model:{name},model:{name}@{version}").as_bytes());
    if let Some(ttl) = settings.ttl {
        // As any origin says it, so that what the policy bounds stays bounded.
        fields.push("Cache-Control", format!("max-age={}", ttl.as_secs()).as_bytes());
    }
    fields
}

/// What ends each answer to a `/predict`.
fn ending(region: &str, name: &str, version: &str) -> Box<[u8]> {
    let mut out = Vec::new();
    for (member, text) in [("edge_region", region), ("model", name), ("version", version)] {
        out.extend_from_slice(format!(r#","{member}":"#).as_bytes());
        render::text(&mut out, text);
    }
    out.extend_from_slice(b"}\n");
    out.into()
}

/// What the model said instead: for the one who asked, and for nobody's log.
fn failure(what: String) -> FetchAnswer {
    let mut fields = Fields::new();
    fields.push("Content-Type", b"text/plain; charset=utf-8");
    fields.push("Cache-Control", b"no-store");
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

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
