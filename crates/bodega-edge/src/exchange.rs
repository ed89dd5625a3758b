//! A request on its way through the machine: borrowed while nothing waits (`Exchange`), owned afterwards (`Journey`).

use std::net::IpAddr;
use std::sync::Arc;

use bodega_semantics::cache_control::{CacheControl, Qualified};
use bodega_semantics::forwarding::Scheme;
use bodega_semantics::key;
use bodega_semantics::path::Paths;
use bodega_semantics::{Field, Fields, Head, Key, Outcome, Reason, Timestamp, forwarding};
use bodega_snapshot::{Behavior, Distribution, Fault, Hsts, Snapshot};
use bodega_store::Entry;

use crate::answer::Answer;
use crate::content::Content;
use crate::debug;
use crate::edge::Worker;
use crate::fetch::{FetchAnswer, FetchError, RequestBody};
use crate::fill::LiveHead;
use crate::interim::{self, InterimReceiver, InterimSender};
use crate::keying::Keying;
use crate::partial::{Held, Plan};
use crate::predict::AskedRow;
use crate::reader::FillReader;
use crate::step::{Loaded, Step};
use crate::upstream;

/// A request as a front has parsed it. Everything is borrowed from the front's buffer.
#[derive(Clone, Copy)]
pub struct RequestView<'a> {
    /// The method as received.
    pub method: &'a str,
    /// Whether the connection is by TLS. Behind a proxy the client's may not be, or the other way round.
    pub https: bool,
    /// `Host`, `:authority` or the authority of an absolute target; empty if there was none.
    pub authority: &'a str,
    /// The raw path, beginning with `/`, or `*`.
    pub path: &'a str,
    /// The raw query without `?`; `None` if there was no `?`.
    pub query: Option<&'a str>,
    /// All field lines.
    pub fields: &'a [Field<'a>],
    /// The other end of the connection.
    pub peer: IpAddr,
    /// Whether a body follows.
    pub has_body: bool,
    /// The whole body, where the front has it already; empty where there is none.
    pub body: Option<&'a [u8]>,
    /// The protocol version for `Via`: `1.0`, `1.1`, `2`.
    pub version: &'static str,
    /// Whether a protocol upgrade was asked for.
    pub upgrade: bool,
}

/// A request that no longer borrows.
#[derive(Clone, Debug)]
pub struct OwnedRequest {
    /// The method as received.
    pub method: String,
    /// Whether the connection is by TLS.
    pub https: bool,
    /// The authority as received.
    pub authority: String,
    /// The raw path.
    pub path: String,
    /// The raw query.
    pub query: Option<String>,
    /// All field lines.
    pub fields: Fields,
    /// The other end of the connection.
    pub peer: IpAddr,
    /// Whether a body follows.
    pub has_body: bool,
    /// The protocol version for `Via`.
    pub version: &'static str,
}

impl OwnedRequest {
    /// Copies what `view` borrows.
    #[must_use]
    pub fn copy_of(view: &RequestView<'_>) -> Self {
        Self {
            method: view.method.to_owned(),
            https: view.https,
            authority: view.authority.to_owned(),
            path: view.path.to_owned(),
            query: view.query.map(ToOwned::to_owned),
            fields: Fields::copy_of(view.fields),
            peer: view.peer,
            has_body: view.has_body,
            version: view.version,
        }
    }

    /// The same, borrowed again; `fields` are its own.
    #[must_use]
    pub fn view<'a>(&'a self, fields: &'a [Field<'a>]) -> RequestView<'a> {
        RequestView {
            method: &self.method,
            https: self.https,
            authority: &self.authority,
            path: &self.path,
            query: self.query.as_deref(),
            fields,
            peer: self.peer,
            has_body: self.has_body,
            body: None,
            version: self.version,
            // What asks for an upgrade is never looked up.
            upgrade: false,
        }
    }

    /// Whether this is a HEAD.
    #[must_use]
    pub fn is_head(&self) -> bool {
        self.method == "HEAD"
    }
}

/// The synchronous part of a request.
pub struct Exchange<'a> {
    pub(crate) worker: &'a Arc<Worker>,
    pub(crate) snapshot: &'a Arc<Snapshot>,
    pub(crate) request: &'a RequestView<'a>,
    pub(crate) now: Timestamp,
    /// By which scheme the client came, who may be behind a proxy.
    pub(crate) scheme: Scheme,
    pub(crate) distribution: Option<&'a Arc<Distribution>>,
    pub(crate) behavior: Option<&'a Arc<Behavior>>,
    pub(crate) host: Host,
    /// The path as the key and the behaviors have it.
    pub(crate) paths: Paths<'a>,
    /// The key before variation.
    pub(crate) primary: Key,
    /// The key of this request's variant.
    pub(crate) key: Key,
    pub(crate) user_fields: bool,
    /// What the client says about caching, where it is heeded.
    pub(crate) directives: Option<CacheControl>,
    pub(crate) entry: Option<Entry>,
    /// A part of what was not found whole.
    pub(crate) part: Option<Held>,
    pub(crate) hit: Option<HitFacts>,
    pub(crate) reason: Reason,
    /// What is wrong with the token that the request brings, where its client is told.
    pub(crate) token_fault: Option<Fault>,
    pub(crate) answer: Option<Answer>,
    /// What was brought from disk for this request.
    pub(crate) loaded: &'a [Entry],
    /// The row of a model that is asked for.
    pub(crate) row: Option<&'a Arc<AskedRow>>,
    /// What the request brings, where that is in the key.
    pub(crate) content: Option<&'a Arc<Content>>,
    pub(crate) may_load: bool,
    /// Whether anything was found there.
    pub(crate) from_disk: bool,
    /// What is to be brought.
    pub(crate) load: Option<Key>,
}

/// The normalised host, and its port where that is not the scheme's own: lower case, in a buffer of its own so that the
/// way of a hit allocates nothing.
#[derive(Clone)]
pub(crate) struct Host {
    bytes: [u8; MAX_HOST_BYTES + MAX_PORT_BYTES],
    /// The host alone.
    n_bytes: u8,
    /// The colon and the port.
    n_port: u8,
}

/// A DNS name has at most 253 characters (RFC 1035 section 2.3.4).
const MAX_HOST_BYTES: usize = 254;
/// `:65535`
const MAX_PORT_BYTES: usize = 6;

impl Host {
    pub(crate) const EMPTY: Self = Self { bytes: [0; MAX_HOST_BYTES + MAX_PORT_BYTES], n_bytes: 0, n_port: 0 };

    /// The host of `authority`; `None` if it is too long to be one.
    pub(crate) fn of(authority: &str, https: bool) -> Option<Self> {
        let (host, port) = key::split_authority(authority);
        let port = match port {
            "" | ":" => "",
            ":443" if https => "",
            ":80" if !https => "",
            port => port,
        };
        if host.len() > MAX_HOST_BYTES || port.len() > MAX_PORT_BYTES {
            return None;
        }
        let mut bytes = [0; MAX_HOST_BYTES + MAX_PORT_BYTES];
        bytes[..host.len()].copy_from_slice(host.as_bytes());
        bytes[..host.len()].make_ascii_lowercase();
        bytes[host.len()..host.len() + port.len()].copy_from_slice(port.as_bytes());
        Some(Self { bytes, n_bytes: u8::try_from(host.len()).ok()?, n_port: u8::try_from(port.len()).ok()? })
    }

    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..usize::from(self.n_bytes)]).unwrap_or_default()
    }

    /// Whether this is an address and no name.
    pub(crate) fn is_address(&self) -> bool {
        let host = self.as_str();
        host.starts_with('[') || host.parse::<std::net::Ipv4Addr>().is_ok()
    }

    /// Whether a port is named that is not the scheme's own.
    pub(crate) fn has_port(&self) -> bool {
        self.n_port > 0
    }

    /// With its port: the origin is told it, and may build links with it that nobody else should get.
    pub(crate) fn with_port(&self) -> &str {
        let n_bytes = usize::from(self.n_bytes) + usize::from(self.n_port);
        std::str::from_utf8(&self.bytes[..n_bytes]).unwrap_or_default()
    }
}

/// What reuse found out about a stored answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HitFacts {
    pub(crate) age_seconds: u64,
    pub(crate) ttl_seconds: u64,
    pub(crate) outcome: Outcome,
    pub(crate) reason: Reason,
}

/// Where the synchronous part stopped.
pub struct Pending {
    pub(crate) step: Step,
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) behavior: Option<Arc<Behavior>>,
    pub(crate) primary: Key,
    pub(crate) key: Key,
    /// Distribution and URL, as an entry's note has them.
    pub(crate) note: Arc<[u8]>,
    pub(crate) user_fields: bool,
    /// Only an answer that is made after the request came will do.
    pub(crate) insists: bool,
    pub(crate) entry: Option<Entry>,
    pub(crate) part: Option<Held>,
    /// What is to be brought from disk.
    pub(crate) load: Option<Key>,
    pub(crate) reason: Reason,
    /// The row of a model that is asked for.
    pub(crate) row: Option<Arc<AskedRow>>,
    /// What the request brings, where that is in the key.
    pub(crate) content: Option<Arc<Content>>,
    /// What the answer says of HTTPS.
    pub(crate) hsts: Option<Arc<Hsts>>,
}

/// The asynchronous part of a request.
pub struct Journey {
    pub(crate) worker: Arc<Worker>,
    pub(crate) request: Arc<OwnedRequest>,
    pub(crate) body: Option<RequestBody>,
    pub(crate) pending: Pending,
    pub(crate) found: Found,
    pub(crate) answer: Option<Answer>,
    pub(crate) rounds: u8,
    /// What was brought from disk.
    pub(crate) loaded: Vec<Entry>,
    pub(crate) n_loads: usize,
    /// Everything goes on as it came.
    pub(crate) passes: bool,
    /// What is asked for instead of the whole.
    pub(crate) plan: Option<Plan>,
    /// Where interim answers go, if the client can take any.
    pub(crate) interim: Option<InterimSender>,
}

impl Journey {
    /// Takes up where `begin` stopped.
    #[must_use]
    pub fn new(worker: Arc<Worker>, mut request: OwnedRequest, pending: Pending) -> Self {
        let in_key = pending.behavior.as_ref().map_or(&[][..], |behavior| &behavior.policy.key.headers);
        forwarding::remove_named(&mut request.fields, in_key);
        Self {
            worker,
            request: Arc::new(request),
            body: None,
            pending,
            found: Found::Nothing,
            answer: None,
            rounds: 0,
            loaded: Vec::new(),
            n_loads: 0,
            passes: false,
            plan: None,
            interim: None,
        }
    }

    /// Where interim answers come out, for a client that can take them (RFC 9110 section 15.2: no HTTP/1.0 client).
    #[must_use]
    pub fn interim(&mut self) -> InterimReceiver {
        let (sender, receiver) = interim::channel(self.pending.behavior.clone());
        self.interim = Some(sender);
        receiver
    }
}

/// What a step has found for `deliver` or `refuse`.
pub(crate) enum Found {
    Nothing,
    Entry {
        entry: Entry,
        outcome: Outcome,
        reason: Reason,
        fwd_status: Option<u16>,
        stored: bool,
        collapsed: bool,
        /// Fields for this client alone, which the entry does not hold.
        withheld: Option<Arc<LiveHead>>,
    },
    Live {
        reader: FillReader,
        head: Arc<LiveHead>,
        outcome: Outcome,
    },
    Alone {
        answer: FetchAnswer,
        outcome: Outcome,
    },
    Failed(FetchError),
}

impl<'a> Exchange<'a> {
    pub(crate) fn new(
        worker: &'a Arc<Worker>,
        snapshot: &'a Arc<Snapshot>,
        request: &'a RequestView<'a>,
        loaded: Loaded<'a>,
    ) -> Self {
        Self {
            worker,
            snapshot,
            request,
            now: worker.now(),
            scheme: worker.edge.settings.scheme(request, request.peer, request.https),
            distribution: None,
            behavior: None,
            host: Host::EMPTY,
            paths: Paths::NONE,
            primary: Key(0),
            key: Key(0),
            user_fields: false,
            directives: None,
            entry: None,
            part: None,
            hit: None,
            reason: Reason::Internal,
            token_fault: None,
            answer: None,
            loaded: loaded.entries,
            row: loaded.row,
            content: loaded.content,
            may_load: loaded.may_load,
            from_disk: false,
            load: None,
        }
    }

    pub(crate) fn refuse(&mut self, reason: Reason) -> Step {
        self.reason = reason;
        Step::Refuse
    }

    pub(crate) fn take_answer(&mut self) -> Option<Answer> {
        self.answer.take()
    }

    /// The client behind trusted proxies, or the other end of the connection.
    pub(crate) fn client_address(&self) -> IpAddr {
        let trusted = &self.worker.edge.settings.is_trusted_proxy;
        if trusted(self.request.peer) {
            forwarding::client_address(self.request, self.request.peer, trusted)
        } else {
            self.request.peer
        }
    }

    /// Whether the request has conditions, a range or a wish to see its key, which a prebuilt head cannot answer.
    pub(crate) fn asks_for_part_or_condition(&self) -> bool {
        self.request.fields.iter().any(|field| {
            let name = field.name.as_bytes();
            (name.len() > 3 && name[..3].eq_ignore_ascii_case(b"if-"))
                || name.eq_ignore_ascii_case(b"range")
                || name.eq_ignore_ascii_case(debug::FIELD.as_bytes())
        })
    }

    /// Finds the request's key, and whether it may get an answer made for its user.
    pub(crate) fn identify(&mut self) {
        let (Some(behavior), Some(distribution)) = (self.behavior, self.distribution) else { return };
        let keying = Keying::of(distribution, behavior, self.scheme, &self.host, &self.paths, self.request.query);
        let secret = &self.worker.edge.settings.secret;
        self.primary = match self.row {
            Some(row) => key::row_key(secret, behavior.scope, keying.host, row.key_bytes(), row.shared.credential()),
            None => keying.key(secret, self.request),
        };
        if let Some(content) = self.content {
            self.primary = content.key(secret, self.primary);
        }
        self.key = self.primary;
        self.user_fields = upstream::has_user_fields(behavior, self.request, self.request.query);
    }

    /// What the URL is in words, for invalidation. Nothing on the way of a hit needs them: entries carry their own.
    fn note(&self) -> Arc<[u8]> {
        let (Some(behavior), Some(distribution)) = (self.behavior, self.distribution) else { return Arc::default() };
        let keying = Keying::of(distribution, behavior, self.scheme, &self.host, &self.paths, self.request.query);
        keying.note(distribution)
    }

    /// What the asynchronous part starts from, for a request that goes on by itself beside this one.
    pub(crate) fn pending_for(&self, step: Step, entry: Option<Entry>) -> Pending {
        Pending {
            step,
            snapshot: Arc::clone(self.snapshot),
            behavior: self.behavior.map(Arc::clone),
            primary: self.primary,
            key: self.key,
            note: self.note(),
            user_fields: self.user_fields,
            insists: self.insists(),
            entry,
            part: None,
            load: self.load,
            reason: self.reason,
            row: self.row.map(Arc::clone),
            content: self.content.map(Arc::clone),
            hsts: self.hsts(),
        }
    }

    /// What the answer says of HTTPS: on no other connection, and of no address (RFC 6797 sections 7.2 and 8.1.1).
    pub(crate) fn hsts(&self) -> Option<Arc<Hsts>> {
        let hsts = self.distribution?.hsts.as_ref()?;
        (self.scheme.is_https && !self.host.is_address()).then(|| Arc::clone(hsts))
    }

    /// RFC 9111 section 5.2.1.4, and 5.2.1.1 with an age of nothing.
    fn insists(&self) -> bool {
        self.directives.as_ref().is_some_and(|said| {
            said.no_cache != Qualified::Absent || said.max_age.is_some_and(|max_age| max_age.is_zero())
        })
    }

    pub(crate) fn into_pending(mut self, step: Step) -> Pending {
        let entry = self.entry.take();
        let part = self.part.take();
        Pending { part, ..self.pending_for(step, entry) }
    }
}

impl Head for RequestView<'_> {
    fn fields(&self) -> impl Iterator<Item = Field<'_>> {
        self.fields.iter().copied()
    }
}
