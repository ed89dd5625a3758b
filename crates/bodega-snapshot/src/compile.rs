//! The document to the compiled configuration. Every error names the place in the document, what was wrong and
//! what would be right.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::hash::Hasher;
use std::sync::Arc;
use std::time::Duration;

use bodega_semantics::fields::is_token_byte;
use bodega_semantics::policy::{ForwardRules, KeyRules, QueryRule};
use bodega_semantics::{Fields, Policy, forwarding};
use ipnet::IpNet;
use siphasher::sip::SipHasher13;

use crate::behavior::{Action, Behavior};
use crate::edits::Edits;
use crate::glob::Glob;
use crate::location::Location;
use crate::networks::Networks;
use crate::origin::{Credentials, Endpoint, HostHeader, Origin, OriginKind, OriginLimits};
use crate::schema::{
    ActionText, BehaviorText, CredentialsText, DistributionText, Document, EditsText, OriginText, PolicyText,
    QueryKind, QueryText,
};
use crate::snapshot::{Distribution, Snapshot};

/// The version of the document this code reads.
const SCHEMA: u32 = 1;
const MAX_JSON_BYTES: usize = 16 << 20;
const MAX_DISTRIBUTIONS: usize = 10_000;
const MAX_BEHAVIORS: usize = 1_000;
/// Ten years: longer is a mistake in the unit.
const MAX_SECONDS: f64 = 315_360_000.0;

/// A configuration that is not valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotError {
    /// Where in the document: `distributions.shop.behaviors[2].policy`.
    pub place: String,
    /// What was wrong, and what would be right.
    pub message: String,
}

impl fmt::Display for SnapshotError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.place.is_empty() {
            return formatter.write_str(&self.message);
        }
        write!(formatter, "{}: {}", self.place, self.message)
    }
}

impl std::error::Error for SnapshotError {}

fn wrong<T>(place: &str, message: impl Into<String>) -> Result<T, SnapshotError> {
    Err(SnapshotError { place: place.to_owned(), message: message.into() })
}

pub(crate) fn compile(text: &str) -> Result<Snapshot, SnapshotError> {
    if text.len() > MAX_JSON_BYTES {
        return wrong("", format!("the document is larger than {MAX_JSON_BYTES} bytes"));
    }
    let document: Document = serde_json::from_str(text)
        .map_err(|error| SnapshotError { place: String::new(), message: format!("the document: {error}") })?;
    if document.schema != SCHEMA {
        return wrong("schema", format!("{} is not known here: this edge reads schema {SCHEMA}", document.schema));
    }
    if document.distributions.len() > MAX_DISTRIBUTIONS {
        return wrong("distributions", format!("more than {MAX_DISTRIBUTIONS}"));
    }
    let mut origins = BTreeMap::new();
    for (name, origin) in document.origins {
        let place = format!("origins.{name}");
        origins.insert(name.clone(), Arc::new(compile_origin(&place, name, origin)?));
    }
    let mut policies = BTreeMap::new();
    for (name, policy) in document.policies {
        let place = format!("policies.{name}");
        policies.insert(name.clone(), Arc::new(compile_policy(&place, name, policy)?));
    }
    let mut snapshot = Snapshot {
        revision: document.revision,
        origins: origins.values().cloned().collect(),
        exact: HashMap::new(),
        wildcards: Vec::new(),
        any: None,
    };
    for distribution in document.distributions {
        add_distribution(&mut snapshot, distribution, &origins, &policies)?;
    }
    snapshot.wildcards.sort_by_key(|(suffix, _)| std::cmp::Reverse(suffix.len()));
    Ok(snapshot)
}

fn add_distribution(
    snapshot: &mut Snapshot,
    text: DistributionText,
    origins: &BTreeMap<String, Arc<Origin>>,
    policies: &BTreeMap<String, Arc<Policy>>,
) -> Result<(), SnapshotError> {
    let place = format!("distributions.{}", text.name);
    if text.hosts.is_empty() {
        return wrong(&format!("{place}.hosts"), "at least one host, or \"*\" for all");
    }
    if text.behaviors.len() > MAX_BEHAVIORS {
        return wrong(&format!("{place}.behaviors"), format!("more than {MAX_BEHAVIORS}"));
    }
    let mut behaviors = Vec::with_capacity(text.behaviors.len());
    for (number, behavior) in text.behaviors.into_iter().enumerate() {
        let place = format!("{place}.behaviors[{number}]");
        behaviors.push(Arc::new(compile_behavior(&place, &text.name, number, behavior, origins, policies)?));
    }
    let distribution = Arc::new(Distribution { name: text.name, behaviors });
    for host in text.hosts {
        add_host(snapshot, &format!("{place}.hosts"), &host, &distribution)?;
    }
    Ok(())
}

fn add_host(
    snapshot: &mut Snapshot,
    place: &str,
    host: &str,
    distribution: &Arc<Distribution>,
) -> Result<(), SnapshotError> {
    let host = host.to_ascii_lowercase();
    let twice = |other: &Distribution| {
        wrong(place, format!("{host:?} is already a host of {:?}: a host belongs to one distribution", other.name))
    };
    if host == "*" {
        if let Some(other) = &snapshot.any {
            return twice(other);
        }
        snapshot.any = Some(Arc::clone(distribution));
        return Ok(());
    }
    let name = host.strip_prefix("*.").unwrap_or(&host);
    let is_address = name.starts_with('[') && name.ends_with(']');
    let is_name = !name.is_empty()
        && name.len() <= 253
        && name.split('.').all(|label| !label.is_empty() && label.len() <= 63)
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'));
    if !is_name && !is_address {
        return wrong(
            place,
            format!("{host:?} is no host: write `shop.example.com`, `*.example.com` or `*`, without scheme and port"),
        );
    }
    if let Some(suffix) = host.strip_prefix('*') {
        if let Some((_, other)) = snapshot.wildcards.iter().find(|(held, _)| held == suffix) {
            return twice(other);
        }
        snapshot.wildcards.push((suffix.to_owned(), Arc::clone(distribution)));
        return Ok(());
    }
    if let Some(other) = snapshot.exact.get(&host) {
        return twice(other);
    }
    snapshot.exact.insert(host, Arc::clone(distribution));
    Ok(())
}

fn compile_behavior(
    place: &str,
    distribution: &str,
    number: usize,
    text: BehaviorText,
    origins: &BTreeMap<String, Arc<Origin>>,
    policies: &BTreeMap<String, Arc<Policy>>,
) -> Result<Behavior, SnapshotError> {
    let Some(policy) = policies.get(&text.policy) else {
        return wrong(&format!("{place}.policy"), format!("there is no policy {:?}", text.policy));
    };
    for (field, prefix) in [("strip_prefix", &text.strip_prefix), ("add_prefix", &text.add_prefix)] {
        if !prefix.is_empty() && (!prefix.starts_with('/') || prefix.bytes().any(|byte| byte <= b' ' || byte >= 0x7f)) {
            return wrong(&format!("{place}.{field}"), format!("{prefix:?} must begin with `/` and be plain ASCII"));
        }
    }
    for path in &text.paths {
        if !path.starts_with('/') && !path.starts_with('*') {
            return wrong(&format!("{place}.paths"), format!("{path:?} must begin with `/` or `*`"));
        }
    }
    for method in &text.methods {
        if method.is_empty() || !method.bytes().all(|byte| is_token_byte(byte) && !byte.is_ascii_lowercase()) {
            return wrong(&format!("{place}.methods"), format!("{method:?} is no method: write `GET`, `POST`, ..."));
        }
    }
    let action = compile_action(place, text.action, origins)?;
    let networks = Networks {
        allow: parse_networks(&format!("{place}.allow"), &text.allow)?,
        deny: parse_networks(&format!("{place}.deny"), &text.deny)?,
    };
    let scope = fingerprint(distribution, &action, &text.strip_prefix, &text.add_prefix, policy);
    let shown = if text.paths.is_empty() { "*".to_owned() } else { text.paths.join(" ") };
    Ok(Behavior {
        name: format!("{distribution}/{number} {shown}"),
        paths: text.paths.iter().map(|pattern| Glob::new(pattern)).collect(),
        methods: text.methods,
        action,
        policy: Arc::clone(policy),
        strip_prefix: text.strip_prefix,
        add_prefix: text.add_prefix,
        networks,
        request_edits: compile_edits(&format!("{place}.request_headers"), text.request_headers)?,
        response_edits: compile_edits(&format!("{place}.response_headers"), text.response_headers)?,
        scope,
    })
}

fn compile_action(
    place: &str,
    text: ActionText,
    origins: &BTreeMap<String, Arc<Origin>>,
) -> Result<Action, SnapshotError> {
    match text {
        ActionText::Origin { origin } => match origins.get(&origin) {
            Some(origin) => Ok(Action::Origin(Arc::clone(origin))),
            None => wrong(&format!("{place}.action"), format!("there is no origin {origin:?}")),
        },
        ActionText::Redirect { status, location } => {
            let place = format!("{place}.action");
            if !matches!(status, 301 | 302 | 303 | 307 | 308) {
                return wrong(&place, format!("{status} is no redirect: use 301, 302, 303, 307 or 308"));
            }
            check_value(&place, &location)?;
            let location =
                Location::new(&location).map_err(|message| SnapshotError { place: place.clone(), message })?;
            Ok(Action::Redirect { status, location })
        }
        ActionText::Answer { status, headers, body } => {
            let place = format!("{place}.action");
            if !(200..600).contains(&status) || status == 304 {
                return wrong(&place, format!("{status} is no status for an answer: 200 to 599, not 304"));
            }
            let mut fields = Fields::new();
            for (name, value) in &headers {
                check_name(&place, name)?;
                check_value(&place, value)?;
                fields.push(name, value.as_bytes());
            }
            Ok(Action::Answer { status, fields, body: body.into_bytes().into() })
        }
    }
}

fn compile_edits(place: &str, text: EditsText) -> Result<Edits, SnapshotError> {
    for (name, value) in &text.set {
        check_name(place, name)?;
        check_value(place, value)?;
    }
    for name in &text.remove {
        check_name(place, name)?;
    }
    Ok(Edits { set: text.set, remove: text.remove })
}

/// Framing and hop-by-hop fields are the edge's own: with them an edit could split one message into two.
fn check_name(place: &str, name: &str) -> Result<(), SnapshotError> {
    if name.is_empty() || !name.bytes().all(is_token_byte) {
        return wrong(place, format!("{name:?} is no header name"));
    }
    if forwarding::is_hop_by_hop(name) || name.eq_ignore_ascii_case("content-length") {
        return wrong(place, format!("{name:?} frames the message and cannot be edited"));
    }
    if name.eq_ignore_ascii_case("host") {
        return wrong(place, "`Host` is set by the origin's `host`");
    }
    Ok(())
}

fn check_value(place: &str, value: &str) -> Result<(), SnapshotError> {
    if value.bytes().any(|byte| byte < b' ' && byte != b'\t' || byte == 0x7f) {
        return wrong(place, format!("{value:?} holds control characters"));
    }
    Ok(())
}

fn parse_networks(place: &str, texts: &[String]) -> Result<Vec<IpNet>, SnapshotError> {
    texts.iter().map(|text| parse_network(place, text)).collect()
}

pub(crate) fn parse_network(place: &str, text: &str) -> Result<IpNet, SnapshotError> {
    let parsed = text.parse::<IpNet>().or_else(|_| text.parse::<std::net::IpAddr>().map(IpNet::from));
    parsed.map_err(|_| SnapshotError {
        place: place.to_owned(),
        message: format!("{text:?} is no network: write `10.0.0.0/8`, `2001:db8::/32` or an address"),
    })
}

fn compile_policy(place: &str, name: String, text: PolicyText) -> Result<Policy, SnapshotError> {
    let seconds = |field: &str, value: f64| duration(&format!("{place}.{field}"), value);
    let min_ttl = seconds("min_ttl_seconds", text.min_ttl_seconds)?;
    let max_ttl = seconds("max_ttl_seconds", text.max_ttl_seconds)?;
    if min_ttl > max_ttl {
        return wrong(&format!("{place}.min_ttl_seconds"), "is larger than max_ttl_seconds");
    }
    let mut negative_ttl = Vec::with_capacity(text.negative_ttl_seconds.len());
    for (status, value) in &text.negative_ttl_seconds {
        let place = format!("{place}.negative_ttl_seconds.{status}");
        let Ok(code) = status.parse::<u16>() else { return wrong(&place, "is no status code") };
        if !(300..600).contains(&code) || code == 304 {
            return wrong(&place, "must be a status from 300 to 599, and not 304");
        }
        negative_ttl.push((code, duration(&place, *value)?));
    }
    negative_ttl.sort_unstable();
    let sort_query = text.key.query.sorted;
    Ok(Policy {
        store: text.store,
        min_ttl,
        default_ttl: seconds("default_ttl_seconds", text.default_ttl_seconds)?,
        max_ttl,
        negative_ttl,
        stale_while_revalidate: seconds("stale_while_revalidate_seconds", text.stale_while_revalidate_seconds)?,
        stale_if_error: seconds("stale_if_error_seconds", text.stale_if_error_seconds)?,
        key: KeyRules {
            query: query(&format!("{place}.key.query"), text.key.query)?,
            sort_query,
            headers: header_names(&format!("{place}.key.headers"), &text.key.headers)?,
            cookies: text.key.cookies,
            host: text.key.host,
        },
        forward: ForwardRules {
            query: query(&format!("{place}.forward.query"), text.forward.query)?,
            headers: header_names(&format!("{place}.forward.headers"), &text.forward.headers)?,
            cookies: text.forward.cookies,
        },
        max_object_bytes: text.max_object_bytes,
        name,
    })
}

fn query(place: &str, text: QueryText) -> Result<QueryRule, SnapshotError> {
    match text.kind {
        QueryKind::None => Ok(QueryRule::None),
        QueryKind::All => Ok(QueryRule::All),
        QueryKind::Allow if text.names.is_empty() => wrong(place, "an empty allow list: use kind \"none\""),
        QueryKind::Allow => Ok(QueryRule::Allow(text.names)),
        QueryKind::Deny => Ok(QueryRule::Deny(text.names)),
    }
}

fn header_names(place: &str, names: &[String]) -> Result<Vec<String>, SnapshotError> {
    let mut lower = Vec::with_capacity(names.len());
    for name in names {
        if name.is_empty() || !name.bytes().all(is_token_byte) {
            return wrong(place, format!("{name:?} is no header name"));
        }
        lower.push(name.to_ascii_lowercase());
    }
    Ok(lower)
}

fn duration(place: &str, seconds: f64) -> Result<Duration, SnapshotError> {
    if !(0.0..=MAX_SECONDS).contains(&seconds) {
        return wrong(place, format!("{seconds} is not between 0 and {MAX_SECONDS} seconds"));
    }
    Ok(Duration::from_secs_f64(seconds))
}

fn compile_origin(place: &str, name: String, text: OriginText) -> Result<Origin, SnapshotError> {
    let at = |field: &str| format!("{place}.{field}");
    let endpoint =
        |field: &str, url: &str| Endpoint::parse(url).map_err(|message| SnapshotError { place: at(field), message });
    match text {
        OriginText::Http {
            url,
            host,
            connect_timeout_seconds,
            first_byte_timeout_seconds,
            between_bytes_timeout_seconds,
            attempts,
            max_connections,
            max_queue,
            queue_timeout_seconds,
            ca_file,
        } => {
            let (endpoint, base_path) = endpoint("url", &url)?;
            let host_header = match host {
                None => HostHeader::Own,
                Some(host) if host == "viewer" => HostHeader::Viewer,
                Some(host) => {
                    check_value(&at("host"), &host)?;
                    HostHeader::Named(host)
                }
            };
            let limits = OriginLimits {
                connect_timeout: duration(&at("connect_timeout_seconds"), connect_timeout_seconds)?,
                first_byte_timeout: duration(&at("first_byte_timeout_seconds"), first_byte_timeout_seconds)?,
                between_bytes_timeout: duration(&at("between_bytes_timeout_seconds"), between_bytes_timeout_seconds)?,
                attempts,
                max_connections,
                max_queue,
                queue_timeout: duration(&at("queue_timeout_seconds"), queue_timeout_seconds)?,
            };
            check_limits(place, &limits)?;
            Ok(Origin { name, kind: OriginKind::Http { endpoint, base_path, host_header }, limits, ca_file })
        }
        OriginText::S3 {
            endpoint: url,
            bucket,
            prefix,
            region,
            path_style,
            credentials,
            missing_as_404,
            index_document,
            connect_timeout_seconds,
            first_byte_timeout_seconds,
            between_bytes_timeout_seconds,
            attempts,
            max_connections,
            max_queue,
            queue_timeout_seconds,
            ca_file,
        } => {
            let (endpoint, path) = endpoint("endpoint", &url)?;
            if !path.is_empty() {
                return wrong(&at("endpoint"), "an S3 endpoint has no path: put it into `prefix`");
            }
            if bucket.is_empty() || bucket.contains(['/', '?', '#', ' ']) {
                return wrong(&at("bucket"), format!("{bucket:?} is no bucket"));
            }
            let credentials = match credentials {
                CredentialsText::Environment {} => Credentials::Environment,
                CredentialsText::File { path, profile } => Credentials::File { path, profile },
                CredentialsText::Unsigned {} => Credentials::Unsigned,
            };
            let limits = OriginLimits {
                connect_timeout: duration(&at("connect_timeout_seconds"), connect_timeout_seconds)?,
                first_byte_timeout: duration(&at("first_byte_timeout_seconds"), first_byte_timeout_seconds)?,
                between_bytes_timeout: duration(&at("between_bytes_timeout_seconds"), between_bytes_timeout_seconds)?,
                attempts,
                max_connections,
                max_queue,
                queue_timeout: duration(&at("queue_timeout_seconds"), queue_timeout_seconds)?,
            };
            check_limits(place, &limits)?;
            let kind = OriginKind::S3 {
                endpoint,
                bucket,
                prefix,
                region,
                path_style,
                credentials,
                missing_as_404,
                index_document,
            };
            Ok(Origin { name, kind, limits, ca_file })
        }
    }
}

fn check_limits(place: &str, limits: &OriginLimits) -> Result<(), SnapshotError> {
    if limits.attempts == 0 || limits.attempts > 10 {
        return wrong(&format!("{place}.attempts"), "must be from 1 to 10");
    }
    if limits.max_connections == 0 {
        return wrong(&format!("{place}.max_connections"), "must be at least 1");
    }
    if limits.connect_timeout.is_zero() || limits.first_byte_timeout.is_zero() || limits.between_bytes_timeout.is_zero()
    {
        return wrong(place, "a timeout of 0 would fail every request");
    }
    Ok(())
}

/// The same on every edge and after every restart: a fixed key, and everything by its written form.
fn fingerprint(distribution: &str, action: &Action, strip: &str, add: &str, policy: &Policy) -> u64 {
    let mut hasher = SipHasher13::new_with_keys(0x626f_6465_6761, 1);
    let origin = match action {
        Action::Origin(origin) => format!("{:?}", origin.kind),
        Action::Redirect { .. } | Action::Answer { .. } => String::new(),
    };
    for part in [distribution, &origin, strip, add, &format!("{:?} {:?}", policy.key, policy.forward)] {
        hasher.write_usize(part.len());
        hasher.write(part.as_bytes());
    }
    hasher.finish()
}
