//! What is set for one machine and needs a restart to change: the `[edge]` table, as plain numbers.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use serde::Deserialize;

use crate::compile::checks;
use crate::error::SnapshotError;

/// The settings of an edge.
#[derive(Clone, Debug)]
pub struct EdgeOptions {
    /// The name in `Cache-Status` and `Via`.
    pub name: String,
    /// The region, for metrics.
    pub region: String,
    /// Addresses for clients.
    pub listen: Vec<String>,
    /// Addresses for clients that come by TLS.
    pub listen_tls: Vec<String>,
    /// How TLS is spoken there.
    pub tls: TlsOptions,
    /// Whether HTTP/2 is offered.
    pub http2: bool,
    /// Requests at once on one HTTP/2 connection.
    pub max_streams: u32,
    /// Connections at once that have not finished their handshake.
    pub max_handshakes: usize,
    /// For a PROXY header and the TLS handshake together.
    pub handshake_timeout: Duration,
    /// The networks whose connections begin with a PROXY header.
    pub proxy_protocol: Vec<IpNet>,
    /// Serving threads.
    pub threads: usize,
    /// The bound of the memory tier.
    pub memory_bytes: u64,
    /// Whom the memory tier lets go: `shelf`, `lru` or `s3fifo`.
    pub memory_policy: String,
    /// The disk tier, if there is one.
    pub disk: Option<DiskTier>,
    /// The admin listener.
    pub admin: Option<String>,
    /// What admin requests must carry; a secret.
    pub admin_token: Option<AdminToken>,
    /// A certificate chain for the admin listener.
    pub admin_tls_cert: Option<String>,
    /// Its key.
    pub admin_tls_key: Option<String>,
    /// Whose `X-Forwarded-*` are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Who may ask for the key of a request.
    pub debug_networks: Vec<IpNet>,
    /// Whose `PURGE` forgets a URL.
    pub purge_networks: Vec<IpNet>,
    /// `-` or a path.
    pub access_log: Option<String>,
    /// `json` or `combined`.
    pub access_log_format: String,
    /// Connections in all.
    pub max_connections: usize,
    /// Connections of one client address.
    pub max_connections_per_client: usize,
    /// The head of a request.
    pub max_header_bytes: usize,
    /// The body of a request.
    pub max_body_bytes: u64,
    /// From the first byte of a head to its last.
    pub header_timeout: Duration,
    /// Between requests.
    pub idle_timeout: Duration,
    /// Between pieces of a request's body.
    pub body_timeout: Duration,
    /// Between pieces that a client takes.
    pub write_timeout: Duration,
    /// How much of a body that is not kept may be in memory at once.
    pub fill_window_bytes: u64,
    /// How many questions a second an origin gets about what is stored and has to be confirmed.
    pub confirm_rate: u32,
    /// Whether clients wait in the system's queue until the edge is told to serve.
    pub hold: bool,
    /// Where the library of ONNX Runtime is, if it is installed.
    pub onnxruntime: Option<String>,
    /// The interpreter that runs models in processes of their own.
    pub python: Option<String>,
}

/// The disk tier.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiskTier {
    /// A directory that belongs to this edge alone.
    pub path: String,
    /// The bound of everything in it.
    pub size_bytes: u64,
    /// How much of the file system stays free; `None`: as much as is sensible.
    pub reserve_bytes: Option<u64>,
    /// What is written.
    pub admission: Admission,
    /// The name of the eviction policy.
    pub policy: String,
    /// Whether a store of another version is thrown away.
    pub rebuild: bool,
}

/// What is written to disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Admission {
    /// What is asked for a second time.
    Second,
    /// Everything.
    Always,
}

/// How an edge speaks TLS.
#[derive(Clone, Debug)]
pub struct TlsOptions {
    /// Where the certificates are; the first is for names that no other has.
    pub certificates: Vec<CertificateFiles>,
    /// Whether TLS 1.2 is spoken beside 1.3.
    pub allows_tls12: bool,
    /// Whether a name that no certificate has is refused.
    pub strict_names: bool,
    /// Authorities of client certificates: a PEM file.
    pub client_ca: Option<String>,
    /// Whether clients show certificates.
    pub client_auth: ClientAuth,
}

/// Two PEM files, or the same one twice.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateFiles {
    /// The chain, the server's own certificate first.
    pub certificate: String,
    /// Its private key.
    pub key: String,
}

/// Whether clients show certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClientAuth {
    /// They are not asked.
    Off,
    /// They are asked, and one that is shown must be valid.
    Optional,
    /// Without one there is no connection.
    Required,
}

/// A secret that no debug print shows.
#[derive(Clone, PartialEq, Eq)]
pub struct AdminToken(String);

impl AdminToken {
    /// What a request has to carry.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for AdminToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("hidden")
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Text {
    name: String,
    region: String,
    listen: Vec<String>,
    listen_tls: Vec<String>,
    tls_certificates: Vec<CertificateFiles>,
    tls_min_version: String,
    tls_strict_names: bool,
    tls_client_ca: Option<String>,
    tls_client_auth: ClientAuth,
    http2: bool,
    max_streams: u32,
    max_handshakes: usize,
    handshake_timeout_seconds: f64,
    proxy_protocol: Vec<String>,
    threads: usize,
    memory_bytes: u64,
    memory_policy: String,
    disk: Option<DiskTier>,
    admin: Option<String>,
    admin_token: Option<String>,
    admin_tls_cert: Option<String>,
    admin_tls_key: Option<String>,
    trusted_proxies: Vec<String>,
    debug_networks: Vec<String>,
    purge_networks: Vec<String>,
    access_log: Option<String>,
    access_log_format: String,
    max_connections: usize,
    max_connections_per_client: usize,
    max_header_bytes: usize,
    max_body_bytes: u64,
    header_timeout_seconds: f64,
    idle_timeout_seconds: f64,
    body_timeout_seconds: f64,
    write_timeout_seconds: f64,
    fill_window_bytes: u64,
    confirm_rate: u32,
    hold: bool,
    onnxruntime: Option<String>,
    python: Option<String>,
}

impl Default for Text {
    fn default() -> Self {
        Self {
            name: "bodega".to_owned(),
            region: "local".to_owned(),
            listen: vec!["127.0.0.1:0".to_owned()],
            listen_tls: Vec::new(),
            tls_certificates: Vec::new(),
            tls_min_version: "1.2".to_owned(),
            tls_strict_names: false,
            tls_client_ca: None,
            tls_client_auth: ClientAuth::Off,
            http2: true,
            max_streams: 128,
            max_handshakes: 1_024,
            handshake_timeout_seconds: 10.0,
            proxy_protocol: Vec::new(),
            threads: 1,
            memory_bytes: 256 << 20,
            memory_policy: MEMORY_POLICIES[0].to_owned(),
            disk: None,
            admin: None,
            admin_token: None,
            admin_tls_cert: None,
            admin_tls_key: None,
            trusted_proxies: Vec::new(),
            debug_networks: Vec::new(),
            purge_networks: vec!["127.0.0.0/8".to_owned(), "::1/128".to_owned()],
            access_log: None,
            access_log_format: "json".to_owned(),
            max_connections: 65_536,
            max_connections_per_client: 1_024,
            max_header_bytes: 64 << 10,
            max_body_bytes: 1 << 30,
            header_timeout_seconds: 10.0,
            idle_timeout_seconds: 60.0,
            body_timeout_seconds: 30.0,
            write_timeout_seconds: 30.0,
            fill_window_bytes: 16 << 20,
            confirm_rate: 50,
            hold: false,
            onnxruntime: None,
            python: None,
        }
    }
}

impl EdgeOptions {
    /// Reads the options from JSON; what is not there has its default.
    ///
    /// # Errors
    /// When a field is unknown, of the wrong type or out of range.
    pub fn from_json(text: &str) -> Result<Self, SnapshotError> {
        let text: Text = serde_json::from_str(text)
            .map_err(|error| SnapshotError { place: "edge".to_owned(), message: error.to_string() })?;
        let seconds = |place: &str, seconds: f64| {
            if (0.1..=86_400.0).contains(&seconds) {
                Ok(Duration::from_secs_f64(seconds))
            } else {
                Err(wrong(place, format!("{seconds} s is not between 0.1 s and a day")))
            }
        };
        if text.memory_bytes < MIN_MEMORY_BYTES {
            return Err(wrong(
                "memory",
                format!("{} bytes: at least {MIN_MEMORY_BYTES} are needed", text.memory_bytes),
            ));
        }
        if !MEMORY_POLICIES.contains(&text.memory_policy.as_str()) {
            return Err(wrong(
                "memory_policy",
                format!("{:?} is none of `{}`", text.memory_policy, MEMORY_POLICIES.join("`, `")),
            ));
        }
        if let Some(disk) = &text.disk {
            check_disk(disk)?;
        }
        if !(1..=1024).contains(&text.threads) {
            return Err(wrong("threads", format!("{} is not between 1 and 1024", text.threads)));
        }
        if !(1024..=1 << 20).contains(&text.max_header_bytes) {
            return Err(wrong("max_header", format!("{} bytes is not between 1 KiB and 1 MiB", text.max_header_bytes)));
        }
        check_counts(&text)?;
        if !matches!(text.access_log_format.as_str(), "json" | "combined") {
            return Err(wrong(
                "access_log_format",
                format!("{:?} is neither `json` nor `combined`", text.access_log_format),
            ));
        }
        if text.admin_tls_cert.is_some() != text.admin_tls_key.is_some() {
            return Err(wrong(
                "admin_tls_cert",
                "a certificate and its key go together: name both or neither".to_owned(),
            ));
        }
        check_fronts(&text)?;
        if text.name.is_empty() || !text.name.bytes().all(bodega_semantics::fields::is_token_byte) {
            return Err(wrong("name", format!("{:?} must be one word of letters, digits and `-._`", text.name)));
        }
        let networks = |name: &str, written: &[String]| {
            written.iter().map(|network| checks::network(&format!("edge.{name}"), network)).collect::<Result<_, _>>()
        };
        Ok(Self {
            trusted_proxies: networks("trusted_proxies", &text.trusted_proxies)?,
            debug_networks: networks("debug_networks", &text.debug_networks)?,
            purge_networks: networks("purge_networks", &text.purge_networks)?,
            header_timeout: seconds("header_timeout", text.header_timeout_seconds)?,
            idle_timeout: seconds("idle_timeout", text.idle_timeout_seconds)?,
            body_timeout: seconds("body_timeout", text.body_timeout_seconds)?,
            write_timeout: seconds("write_timeout", text.write_timeout_seconds)?,
            proxy_protocol: networks("proxy_protocol", &text.proxy_protocol)?,
            handshake_timeout: seconds("handshake_timeout", text.handshake_timeout_seconds)?,
            name: text.name,
            region: text.region,
            listen: text.listen,
            listen_tls: text.listen_tls,
            tls: TlsOptions {
                certificates: text.tls_certificates,
                allows_tls12: text.tls_min_version == "1.2",
                strict_names: text.tls_strict_names,
                client_ca: text.tls_client_ca,
                client_auth: text.tls_client_auth,
            },
            http2: text.http2,
            max_streams: text.max_streams,
            max_handshakes: text.max_handshakes,
            threads: text.threads,
            memory_bytes: text.memory_bytes,
            memory_policy: text.memory_policy,
            disk: text.disk,
            admin: text.admin,
            admin_token: text.admin_token.map(AdminToken),
            admin_tls_cert: text.admin_tls_cert,
            admin_tls_key: text.admin_tls_key,
            access_log: text.access_log,
            access_log_format: text.access_log_format,
            max_connections: text.max_connections,
            max_connections_per_client: text.max_connections_per_client,
            max_header_bytes: text.max_header_bytes,
            max_body_bytes: text.max_body_bytes,
            fill_window_bytes: text.fill_window_bytes,
            confirm_rate: text.confirm_rate,
            hold: text.hold,
            onnxruntime: text.onnxruntime,
            python: text.python,
        })
    }
}

fn wrong(place: &str, message: String) -> SnapshotError {
    SnapshotError { place: format!("edge.{place}"), message }
}

fn check_counts(text: &Text) -> Result<(), SnapshotError> {
    if !(1..=10_000).contains(&text.confirm_rate) {
        return Err(wrong("confirm_rate", format!("{} is not between 1 and 10000", text.confirm_rate)));
    }
    for (place, count) in [
        ("max_connections", text.max_connections),
        ("max_connections_per_client", text.max_connections_per_client),
        ("max_handshakes", text.max_handshakes),
    ] {
        if count == 0 {
            return Err(wrong(place, "0 would refuse every client: at least 1".to_owned()));
        }
    }
    Ok(())
}

fn check_disk(disk: &DiskTier) -> Result<(), SnapshotError> {
    if !disk.path.starts_with('/') {
        return Err(wrong("disk.path", format!("{:?} is no absolute path", disk.path)));
    }
    if disk.size_bytes < MIN_DISK_BYTES {
        return Err(wrong("disk.size", format!("{} bytes: at least {MIN_DISK_BYTES} are needed", disk.size_bytes)));
    }
    Ok(())
}

/// What TLS and HTTP/2 need together.
fn check_fronts(text: &Text) -> Result<(), SnapshotError> {
    if !(1..=1000).contains(&text.max_streams) {
        return Err(wrong("max_streams", format!("{} is not between 1 and 1000", text.max_streams)));
    }
    if !matches!(text.tls_min_version.as_str(), "1.2" | "1.3") {
        return Err(wrong("tls_min_version", format!("{:?} is neither `1.2` nor `1.3`", text.tls_min_version)));
    }
    if !text.listen_tls.is_empty() && text.tls_certificates.is_empty() {
        return Err(wrong("listen_tls", "TLS needs a certificate: name one in `tls`".to_owned()));
    }
    if text.tls_client_auth != ClientAuth::Off && text.tls_client_ca.is_none() {
        return Err(wrong(
            "tls_client_auth",
            "client certificates need authorities to be checked against: name a file in `tls_client_ca`".to_owned(),
        ));
    }
    Ok(())
}

/// Reads a list of certificates: `[{"certificate": path, "key": path}, ...]`, the default first.
///
/// # Errors
/// When it is no such list.
pub fn certificates_from_json(text: &str) -> Result<Vec<CertificateFiles>, SnapshotError> {
    serde_json::from_str(text)
        .map_err(|error| SnapshotError { place: "edge.tls".to_owned(), message: error.to_string() })
}

/// Less than this holds no page worth keeping beside the index.
const MIN_MEMORY_BYTES: u64 = 1 << 20;

/// The eviction policies of the memory tier, the default first: those that keep it within its bound and are meant to
/// serve, not to be compared with.
pub const MEMORY_POLICIES: [&str; 3] = ["shelf", "lru", "s3fifo"];

/// Less than this holds no large object.
const MIN_DISK_BYTES: u64 = 16 << 20;

/// Whether an address is in one of the networks. A listener for both families sees IPv4 clients in their IPv6 form.
#[must_use]
pub fn is_in(networks: &[IpNet], address: IpAddr) -> bool {
    let address = address.to_canonical();
    networks.iter().any(|network| network.contains(&address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_has_its_default() {
        let options = EdgeOptions::from_json(r#"{"region": "ap-northeast-1", "header_timeout_seconds": 2.5}"#).unwrap();
        assert_eq!(options.region, "ap-northeast-1");
        assert_eq!(options.header_timeout, Duration::from_millis(2500));
        assert_eq!(options.name, "bodega");
        assert!(options.admin.is_none() && options.trusted_proxies.is_empty());
    }

    #[test]
    fn a_debug_print_hides_the_admin_token() {
        let options = EdgeOptions::from_json(r#"{"name": "edge-7", "admin_token": "hunter2hunter2hunter2"}"#).unwrap();
        assert_eq!(options.admin_token.as_ref().map(AdminToken::as_bytes), Some(&b"hunter2hunter2hunter2"[..]));
        let shown = format!("{options:?} {options:#?}");
        assert!(shown.contains("edge-7") && shown.contains("admin_token: Some(hidden)"), "{shown}");
        assert!(!shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn trusted_proxies_are_networks_or_addresses() {
        let options = EdgeOptions::from_json(r#"{"trusted_proxies": ["10.0.0.0/8", "2001:db8::1"]}"#).unwrap();
        let written: Vec<String> = options.trusted_proxies.iter().map(ToString::to_string).collect();
        assert_eq!(written, ["10.0.0.0/8", "2001:db8::1/128"]);
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_its_place() {
        for (json, place, message) in [
            (r#"{"treads": 1}"#, "edge", "unknown field `treads`"),
            (r#"{"threads": 0}"#, "edge.threads", "1 and 1024"),
            (r#"{"memory_bytes": 1000}"#, "edge.memory", "at least 1048576"),
            (r#"{"memory_policy": "noop"}"#, "edge.memory_policy", "`shelf`, `lru`, `s3fifo`"),
            (r#"{"idle_timeout_seconds": 0}"#, "edge.idle_timeout", "0.1 s and a day"),
            (r#"{"max_header_bytes": 10}"#, "edge.max_header", "1 KiB"),
            (r#"{"confirm_rate": 0}"#, "edge.confirm_rate", "between 1 and 10000"),
            (r#"{"max_connections": 0}"#, "edge.max_connections", "at least 1"),
            (r#"{"max_connections_per_client": 0}"#, "edge.max_connections_per_client", "at least 1"),
            (r#"{"access_log_format": "xml"}"#, "edge.access_log_format", "`combined`"),
            (r#"{"admin_tls_cert": "a.pem"}"#, "edge.admin_tls_cert", "go together"),
            (r#"{"max_handshakes": 0}"#, "edge.max_handshakes", "at least 1"),
            (r#"{"max_streams": 0}"#, "edge.max_streams", "1 and 1000"),
            (r#"{"tls_min_version": "1.1"}"#, "edge.tls_min_version", "`1.3`"),
            (r#"{"listen_tls": [":8443"]}"#, "edge.listen_tls", "`tls`"),
            (r#"{"tls_client_auth": "required"}"#, "edge.tls_client_auth", "`tls_client_ca`"),
            (r#"{"handshake_timeout_seconds": 0}"#, "edge.handshake_timeout", "0.1 s and a day"),
            (
                r#"{"disk": {"path": "/x", "size_bytes": 1, "reserve_bytes": null, "admission": "second", "policy": "shelf", "rebuild": false}}"#,
                "edge.disk.size",
                "at least 16777216",
            ),
            (r#"{"name": "two words"}"#, "edge.name", "one word"),
            (r#"{"trusted_proxies": ["10.0.0.0/33"]}"#, "edge.trusted_proxies", "no network"),
        ] {
            let error = EdgeOptions::from_json(json).unwrap_err();
            assert_eq!(error.place, place, "{json}: {error}");
            assert!(error.message.contains(message), "{json}: {error}");
        }
    }
}
