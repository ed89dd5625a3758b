//! One edge, running: threads, listeners, admin, and the handles by which it is reloaded, drained and stopped.

use std::fmt;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bodega_edge::fillers::Fillers;
use bodega_edge::follow::{FollowError, Followed, place_from_json, place_to_json};
use bodega_edge::invalidate::{Committed, Force, InvalidateError};
use bodega_edge::{Edge, EdgeSettings, Metrics, Worker};
use bodega_inference::{ModelError, Models, Routed, SwapError};
use bodega_origin::Origins;
use bodega_semantics::Reason;
use bodega_semantics::key::KeySecret;
use bodega_snapshot::Snapshot;
use bodega_snapshot::options::{CertificateFiles, EdgeOptions, is_in};
use bodega_store::Memory;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::access_log::{AccessLog, Format};
use crate::admin::Admin;
use crate::admission::Admission;
use crate::background::Background;
use crate::clock::SystemClock;
use crate::connection::{Connections, Timeouts};
use crate::counted_fetch::{CountedFetch, OriginCounts};
use crate::disk::{self, Keeper};
use crate::events::{Event, Events};
use crate::front_metrics::FrontMetrics;
use crate::in_process::{self, InProcessAnswer, InProcessRequest};
use crate::listener::{self, ListenError, Listening};
use crate::loader::{self, Loader, ModelChange};
use crate::lurker;
use crate::report::Reporter;
use crate::spare_boxes::SpareBoxes;
use crate::tls::certificates::{CertificateError, Certificates};
use crate::tls::config;
use crate::tls::unfinished::Handshakes;
use crate::tokens;
use crate::worker::{Acceptor, Running, Thread};

/// An edge that serves.
pub struct Server {
    edge: Arc<Edge>,
    origins: Arc<Origins>,
    models: Arc<Models>,
    loader: Arc<Loader>,
    reporter: Arc<Reporter>,
    threads: Mutex<Vec<Running>>,
    listening: Vec<Listening>,
    admin: Mutex<Option<Admin>>,
    certificates: Option<Arc<Certificates>>,
    events: Events,
    stopped: AtomicBool,
    next_thread: std::sync::atomic::AtomicUsize,
    keeper: Mutex<Option<Keeper>>,
    lurking: Mutex<Option<Background>>,
}

/// Listening sockets that another process has opened.
#[derive(Clone, Debug, Default)]
pub struct Inherited {
    /// For plain HTTP.
    pub plain: Vec<RawFd>,
    /// For TLS.
    pub tls: Vec<RawFd>,
}

impl Inherited {
    fn is_empty(&self) -> bool {
        self.plain.is_empty() && self.tls.is_empty()
    }
}

/// Why an edge could not start.
#[derive(Debug)]
pub enum StartError {
    /// An address cannot be listened on.
    Listen(ListenError),
    /// A setting is wrong.
    Setting(String),
    /// The system refused threads or files.
    System(std::io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listen(error) => error.fmt(formatter),
            Self::Setting(message) => formatter.write_str(message),
            Self::System(error) => error.fmt(formatter),
        }
    }
}

impl std::error::Error for StartError {}

impl From<ModelError> for StartError {
    fn from(error: ModelError) -> Self {
        Self::Setting(error.to_string())
    }
}

impl From<std::io::Error> for StartError {
    fn from(error: std::io::Error) -> Self {
        Self::System(error)
    }
}

impl Server {
    /// Binds and serves. `inherited` has listening sockets of a predecessor or of the service manager; with them
    /// nothing else is bound.
    ///
    /// # Errors
    /// When an address is taken or wrong, or the system refuses threads or files.
    pub fn start(options: &EdgeOptions, snapshot: Snapshot, inherited: &Inherited) -> Result<Self, StartError> {
        let n_threads = options.threads.max(1);
        let tls = config::configure(options)?;
        let listening = open_listeners(options, inherited, n_threads)?;
        if tls.is_none() && listening.iter().any(|one| one.is_tls) {
            return Err(StartError::Setting("a listener for TLS without a certificate: name one in `tls`".to_owned()));
        }
        let events = Events::default();
        let origins = Origins::new(&snapshot, report_to(&events));
        let counts = Arc::new(OriginCounts::default());
        let models = Models::new(options.onnxruntime.as_deref(), &options.region)
            .with_workers(options.python.as_deref(), report_to(&events));
        let models = Arc::new(models);
        models.load(&snapshot.models, &snapshot.model_groups)?.apply();
        tokens::learn(&snapshot).map_err(StartError::Setting)?;
        let is_new = options.disk.as_ref().is_some_and(disk::is_new);
        let disk::Found { disk, unwell } =
            options.disk.as_ref().map(|tier| disk::open(tier, &events)).transpose()?.unwrap_or_default();
        let mut settings = settings(options, https_port(&listening), &events)?;
        if let Some(disk) = &disk {
            settings.secret = KeySecret(disk.secret());
        }
        let invalidations = disk::invalidations(disk.as_deref(), settings.secret, is_new, &events)?;
        let memory = memory(options)?;
        let edge = Arc::new(Edge::new(settings, memory, disk, invalidations, snapshot, Arc::new(SystemClock)));
        let log = match &options.access_log {
            Some(target) => Some(AccessLog::start(target, format(&options.access_log_format)?)?),
            None => None,
        };
        let admission = Arc::new(Admission::new(options.max_connections, options.max_connections_per_client));
        let mut threads = Vec::with_capacity(n_threads);
        for index in 0..n_threads {
            let worker = Arc::new(Worker {
                edge: Arc::clone(&edge),
                fetch: Arc::new(CountedFetch::new(
                    Routed::new(Arc::clone(&models), origins.worker()),
                    Arc::clone(&counts),
                )),
                metrics: Metrics::default(),
                fillers: Fillers::default(),
            });
            let thread = Arc::new(thread(options, worker, log.clone(), Arc::clone(&admission))?);
            let mut acceptors = Vec::with_capacity(listening.len());
            for one in &listening {
                acceptors.push(Acceptor {
                    socket: one.sockets[index].try_clone()?,
                    is_unix: one.is_unix,
                    is_own: inherited.is_empty(),
                    tls: tls.as_ref().filter(|_| one.is_tls).map(|tls| Arc::clone(&tls.config)),
                });
            }
            threads.push(Running::start(thread, index, acceptors)?);
        }
        let reporter = Reporter::new(
            options,
            Arc::clone(&edge),
            Arc::clone(&origins),
            counts,
            threads.iter().map(|running| Arc::clone(&running.thread)).collect(),
            Arc::clone(&admission),
            log,
        );
        let reporter = Arc::new(reporter.with_unwell_disk(unwell).with_models(Arc::clone(&models)));
        let loader = Arc::new(Loader::start(Arc::clone(&models), Arc::clone(&edge), events.clone())?);
        loader.tell();
        let admin = match &options.admin {
            Some(address) => Some(Admin::start(address, options, Arc::clone(&reporter), Arc::clone(&loader))?),
            None => None,
        };
        let keeper = Keeper::start(&edge)?;
        let lurking = lurker::start(&edge)?;
        Ok(Self {
            edge,
            origins,
            models,
            loader,
            reporter,
            threads: Mutex::new(threads),
            listening,
            admin: Mutex::new(admin),
            certificates: tls.map(|tls| tls.certificates),
            events,
            stopped: AtomicBool::new(false),
            next_thread: std::sync::atomic::AtomicUsize::new(0),
            keeper: Mutex::new(keeper),
            lurking: Mutex::new(Some(lurking)),
        })
    }

    /// What clients connect to, each address once.
    #[must_use]
    pub fn addresses(&self) -> Vec<String> {
        let mut addresses: Vec<String> = Vec::new();
        for one in &self.listening {
            if !addresses.contains(&one.url) {
                addresses.push(one.url.clone());
            }
        }
        addresses
    }

    /// Where the admin listener is.
    #[must_use]
    pub fn admin_address(&self) -> Option<String> {
        self.admin.lock().as_ref().map(|admin| admin.url().to_owned())
    }

    /// The listening sockets, for a successor process. They stay open here.
    #[must_use]
    pub fn listeners(&self) -> Inherited {
        Inherited { plain: listener::raw_fds(&self.listening, false), tls: listener::raw_fds(&self.listening, true) }
    }

    /// Puts other certificates in force for handshakes that begin from now on.
    ///
    /// # Errors
    /// When one cannot be read, or a key does not belong to its certificate; then nothing changes.
    pub fn reload_certificates(&self, files: &[CertificateFiles]) -> Result<(), CertificateError> {
        match &self.certificates {
            Some(certificates) => certificates.reload(files),
            None => Ok(()),
        }
    }

    /// Puts `snapshot` in force for requests that begin from now on.
    ///
    /// # Errors
    /// If one of its models cannot be loaded, or a file of tokens not be read; nothing changes then.
    pub fn reload(&self, snapshot: Snapshot) -> Result<u64, StartError> {
        let revision = snapshot.revision;
        tokens::learn(&snapshot).map_err(StartError::Setting)?;
        let models = self.models.load(&snapshot.models, &snapshot.model_groups)?;
        self.origins.apply(&snapshot);
        let gone = models.apply();
        self.edge.snapshot.store(Arc::new(snapshot));
        for version in &gone {
            self.edge.forget_version(&version.name, &version.version);
        }
        self.loader.tell();
        Ok(revision)
    }

    /// The models that are loaded, as JSON.
    #[must_use]
    pub fn models(&self) -> String {
        self.loader.list().to_string()
    }

    /// Puts another version of a model in force, or none, and waits until the old one is gone and its predictions are
    /// forgotten. Returns what became of it, as JSON.
    ///
    /// # Errors
    /// If it cannot be; nothing changes then.
    pub fn change_model(&self, change: ModelChange) -> Result<String, SwapError> {
        let swapped = self.loader.change(change).blocking_recv();
        let swapped = swapped.map_err(|_| SwapError::Refused("the edge has been stopped".to_owned()))??;
        Ok(loader::swapped(&swapped).to_string())
    }

    /// What the edge says of itself, as JSON.
    #[must_use]
    pub fn stats(&self) -> String {
        self.reporter.stats()
    }

    /// All metrics, in Prometheus' text format.
    #[must_use]
    pub fn metrics(&self) -> String {
        self.reporter.metrics()
    }

    /// Failures of origins since the last call.
    #[must_use]
    pub fn take_events(&self) -> Vec<Event> {
        self.events.take().0
    }

    /// A page of what is stored, as JSON; `query` says which: `prefix`, `tag`, `min_bytes`, `limit`, `cursor`.
    ///
    /// # Errors
    /// In words, if it says something else.
    pub fn cache_entries(&self, query: &str) -> Result<String, String> {
        self.reporter.inspector().entries(query).map(|value| value.to_string())
    }

    /// What is stored for a URL, as JSON.
    ///
    /// # Errors
    /// In words, if it is none that is served here.
    pub fn cache_show(&self, url: &str) -> Result<String, String> {
        self.reporter.inspector().show(url).map(|value| value.to_string())
    }

    /// Begins to check everything on disk.
    ///
    /// # Errors
    /// In words, where there is no disk.
    pub fn begin_cache_check(&self) -> Result<(), String> {
        self.reporter.inspector().begin_check()
    }

    /// How far that is, as JSON.
    #[must_use]
    pub fn cache_check(&self) -> String {
        self.reporter.inspector().check().to_string()
    }

    /// Forgets what `selectors` name, and waits until that is on the disk, if there is one.
    ///
    /// # Errors
    /// When one cannot be read, when there is no room for more pattern rules, or when a control process is followed;
    /// then nothing is forgotten.
    pub fn invalidate(&self, selectors: &[String], force: Force) -> Result<Committed, InvalidateError> {
        self.edge.invalidate_written(selectors, force)
    }

    /// Applies a batch of a journal's events, as the control process sends it, and waits until that is on the disk, if
    /// there is one. `configured` is the revision of the journal's configuration that is in force.
    ///
    /// # Errors
    /// If it is none, or does not continue the edge's place; nothing is applied then.
    pub fn follow(&self, batch: &[u8], configured: Option<u64>) -> Result<Followed, FollowError> {
        self.edge.follow(batch, configured)
    }

    /// Goes on from a place of a journal, as JSON; unless it is `trusted`, what is stored has to be confirmed first.
    /// Returns whether that holds after a restart.
    ///
    /// # Errors
    /// If that is no place.
    pub fn join(&self, place_json: &str, trusted: bool) -> Result<bool, FollowError> {
        Ok(self.edge.join(place_from_json(place_json)?, trusted))
    }

    /// Follows the control process at this URL, or nobody. Who follows forgets by the journal alone.
    pub fn set_following(&self, control: Option<&str>) {
        self.edge.set_following(control);
    }

    /// All that the control process had acknowledged `age` ago has been applied.
    pub fn level(&self, age: Duration) {
        self.edge.level_as_of(self.edge.steady().saturating_sub(age));
    }

    /// All that the control process had acknowledged at `as_of` has been applied, by the clock that goes on since the
    /// machine was started (`CLOCK_BOOTTIME`).
    ///
    /// # Errors
    /// In words, if that is still to come: it is another clock's.
    pub fn level_as_of(&self, as_of: Duration) -> Result<(), String> {
        if self.edge.level_as_of(as_of) {
            return Ok(());
        }
        let now = self.edge.steady().as_secs_f64();
        Err(format!("{} is still to come, at {now} s since this machine was started", as_of.as_secs_f64()))
    }

    /// How it is between the edge and the control process: whether nothing is heard of it, how many events are known
    /// of and not applied, what is wrong, which revision of the journal's configuration is in force.
    pub fn set_link(&self, is_cut: bool, behind: Option<u64>, problem: &str, revision: Option<u64>) {
        self.edge.set_link(is_cut, behind, problem, revision);
    }

    /// Where in a journal the edge is, as JSON.
    #[must_use]
    pub fn place(&self) -> Option<String> {
        self.edge.place().map(place_to_json)
    }

    /// Sends a request through the machine without a socket, and waits.
    ///
    /// # Errors
    /// In words, when there is no whole answer.
    pub fn request(&self, request: InProcessRequest) -> Result<InProcessAnswer, String> {
        let (sender, receiver) = std::sync::mpsc::sync_channel(1);
        {
            let threads = self.threads.lock();
            if threads.is_empty() || self.stopped.load(Ordering::Relaxed) {
                return Err("the edge has been stopped".to_owned());
            }
            let index = self.next_thread.fetch_add(1, Ordering::Relaxed) % threads.len();
            let worker = Arc::clone(&threads[index].thread.worker);
            threads[index].handle.spawn(async move {
                // The receiver is gone when the caller has given up: nobody is left to tell.
                let _ = sender.send(in_process::run(&worker, request).await);
            });
        }
        receiver.recv().unwrap_or_else(|_| Err("the edge was stopped meanwhile".to_owned()))
    }

    /// Accepts clients, where `hold` has kept them in the system's queue. May be called again.
    pub fn serve(&self) {
        for running in self.threads.lock().iter() {
            running.thread.serve();
        }
    }

    /// Stops accepting, finishes what is under way. With `keep_listeners` the queue of connections that wait to be
    /// accepted is left to a successor that holds the same sockets. True if everything finished in `timeout`.
    pub fn drain(&self, timeout: Duration, keep_listeners: bool) -> bool {
        self.reporter.set_draining();
        for running in self.threads.lock().iter() {
            running.thread.handed_over.store(keep_listeners, Ordering::Relaxed);
            running.thread.drain();
        }
        self.reporter.wait_until_empty(timeout)
    }

    /// Ends everything at once. May be called again.
    pub fn stop(&self) {
        if self.stopped.swap(true, Ordering::Relaxed) {
            return;
        }
        drop(self.admin.lock().take());
        let handed_over = self.threads.lock().first().is_some_and(|running| running.thread.keeps_queue());
        for mut running in self.threads.lock().drain(..) {
            running.thread.drain();
            running.join();
        }
        self.loader.stop();
        self.reporter.inspector().stop();
        drop(self.lurking.lock().take());
        drop(self.keeper.lock().take());
        self.models.close();
        self.reporter.flush_log();
        if !handed_over {
            for path in self.listening.iter().filter_map(|one| one.path.as_ref()) {
                // Somebody may have removed it already.
                let _ = std::fs::remove_file(path);
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// What the connections of one thread share.
pub(crate) fn thread(
    options: &EdgeOptions,
    worker: Arc<Worker>,
    log: Option<AccessLog>,
    admission: Arc<Admission>,
) -> Result<Thread, StartError> {
    Ok(Thread {
        worker,
        connections: Connections::default(),
        limits: bodega_http1::Limits {
            max_head_bytes: options.max_header_bytes,
            max_request_line_bytes: (options.max_header_bytes / 2).max(1024),
            max_fields: bodega_http1::MAX_FIELDS,
        },
        max_body_bytes: options.max_body_bytes,
        log,
        spare: Mutex::new(Vec::new()),
        spare_output: Mutex::new(Vec::new()),
        spare_boxes: SpareBoxes::default(),
        via_and_age: format!("Via: 1.1 {}\r\nAge: ", options.name).into_bytes(),
        cache_status_hit: [b"\r\nCache-Status: ", &cache_status_hit(&options.name)[..]].concat(),
        cache_status_hit_value: cache_status_hit(&options.name),
        via: http::HeaderValue::from_str(&format!("1.1 {}", options.name))
            .map_err(|error| StartError::Setting(format!("name: {error}")))?,
        speaks_http2: options.http2,
        max_streams: options.max_streams,
        timeouts: Timeouts {
            handshake: options.handshake_timeout,
            idle: options.idle_timeout,
            head: options.header_timeout,
            body: options.body_timeout,
            write: options.write_timeout,
        },
        admission,
        front_metrics: FrontMetrics::default(),
        handshakes: Handshakes::new((options.max_handshakes / options.threads.max(1)).max(1)),
        proxy_networks: options.proxy_protocol.clone(),
        draining: AtomicBool::new(false),
        handed_over: AtomicBool::new(false),
        holding: AtomicBool::new(options.hold),
        begin: Notify::new(),
        stop_accepting: Notify::new(),
        end: Notify::new(),
    })
}

fn open_listeners(options: &EdgeOptions, given: &Inherited, n_threads: usize) -> Result<Vec<Listening>, StartError> {
    let open = |address: &String| listener::open(address, n_threads).map_err(StartError::Listen);
    let inherit = |fd: &RawFd| listener::inherit(*fd, n_threads).map_err(StartError::System);
    let (plain, tls): (Vec<_>, Vec<_>) = if given.is_empty() {
        (options.listen.iter().map(open).collect(), options.listen_tls.iter().map(open).collect())
    } else {
        (given.plain.iter().map(inherit).collect(), given.tls.iter().map(inherit).collect())
    };
    let tls = tls.into_iter().map(|one| one.map(Listening::with_tls));
    plain.into_iter().chain(tls).collect()
}

/// Where redirects to HTTPS lead.
fn https_port(listening: &[Listening]) -> Option<u16> {
    listening.iter().filter(|one| one.is_tls).find_map(|one| one.url.rsplit_once(':')?.1.parse().ok())
}

fn settings(options: &EdgeOptions, https_port: Option<u16>, events: &Events) -> Result<EdgeSettings, StartError> {
    let mut secret = [0; 16];
    let mut instance = [0; 6];
    for bytes in [&mut secret[..], &mut instance[..]] {
        aws_lc_rs::rand::fill(bytes).map_err(|_| StartError::Setting("the system gave no random bytes".to_owned()))?;
    }
    let (proxies, debuggers) = (options.trusted_proxies.clone(), options.debug_networks.clone());
    let purgers = options.purge_networks.clone();
    let events = events.clone();
    Ok(EdgeSettings {
        name: options.name.clone(),
        instance: instance.iter().map(|byte| format!("{byte:02x}")).collect(),
        is_trusted_proxy: Box::new(move |address| is_in(&proxies, address)),
        https_port,
        may_debug: Box::new(move |address| is_in(&debuggers, address)),
        may_purge: Box::new(move |address| is_in(&purgers, address)),
        fill_window_bytes: options.fill_window_bytes,
        confirm_rate: options.confirm_rate,
        secret: KeySecret(secret),
        report: Box::new(move |id, reason, message| {
            events.push(Event { id: id.to_owned(), reason: Some(reason), message: message.to_owned() });
        }),
    })
}

/// The memory tier, which lets go by the policy of this name.
fn memory(options: &EdgeOptions) -> Result<Memory, StartError> {
    let policy = bodega_eviction::by_name(&options.memory_policy, options.memory_bytes, MEMORY_WEIGHT)
        .map_err(|error| StartError::Setting(format!("memory_policy: {error}")))?;
    Ok(Memory::new(options.memory_bytes, policy))
}

/// In memory a miss costs by request, nearly: what is kept there is there for the time to the first byte.
const MEMORY_WEIGHT: f64 = 0.95;

/// Tells when an origin begins to fail and when it answers again.
fn report_to(events: &Events) -> bodega_origin::Report {
    let events = events.clone();
    Arc::new(move |is_up, message| {
        let reason = (!is_up).then_some(Reason::OriginDown);
        events.push(Event { id: String::new(), reason, message: message.to_owned() });
    })
}

fn format(name: &str) -> Result<Format, StartError> {
    match name {
        "json" => Ok(Format::Json),
        "combined" => Ok(Format::Combined),
        other => Err(StartError::Setting(format!("access_log_format {other:?}: must be \"json\" or \"combined\""))),
    }
}

fn cache_status_hit(name: &str) -> Vec<u8> {
    let mut whole = Vec::new();
    bodega_semantics::cache_status::write_hit(&mut whole, name, 0);
    // Everything up to the number, which is written for each answer.
    whole.pop();
    whole
}

#[cfg(test)]
mod tests {
    use bodega_snapshot::options::MEMORY_POLICIES;

    use super::*;

    #[test]
    fn every_policy_that_may_be_set_makes_a_memory_tier() {
        for policy in MEMORY_POLICIES {
            let options = EdgeOptions::from_json(&format!(r#"{{"memory_policy": "{policy}"}}"#)).unwrap();
            assert_eq!(memory(&options).unwrap().usage().capacity_bytes, options.memory_bytes, "{policy}");
        }
    }
}
