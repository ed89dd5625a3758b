//! The admin listener: metrics, stats, health, invalidation. Never on the public port.
//!
//! Plain HTTP on loopback or a Unix socket; any other address needs a token and TLS. One thread, few connections,
//! small requests, and none that a web page could have made a browser send.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use bodega_edge::invalidate::{Committed, Force, InvalidateError};
use bodega_http1::write::{write_length, write_status_line};
use bodega_http1::{BodyFraming, EMPTY_FIELD, MAX_FIELDS, Parsed, RequestHead, parse_request};
use bodega_inference::SwapError;
use bodega_semantics::Head;
use bodega_snapshot::options::{AdminToken, EdgeOptions};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{Notify, Semaphore};
use tokio_rustls::TlsAcceptor;

use crate::listener::{self, Address};
use crate::loader::{self, Loader, ModelChange};
use crate::report::Reporter;
use crate::server::StartError;

/// A running admin listener; dropping it ends it.
pub(crate) struct Admin {
    url: String,
    path: Option<PathBuf>,
    end: Arc<Notify>,
    join: Option<JoinHandle<()>>,
}

/// What every connection needs.
struct Shared {
    reporter: Arc<Reporter>,
    loader: Arc<Loader>,
    token: Option<AdminToken>,
    /// The authorities a request may name; none for Unix sockets.
    authorities: Option<Vec<String>>,
}

const MAX_CONNECTIONS: usize = 64;
const MAX_HEAD_BYTES: usize = 16 * 1024;
const MAX_BODY_BYTES: usize = 1024 * 1024;
const MAX_SELECTORS: usize = 1000;
const TIMEOUT: Duration = Duration::from_secs(10);

impl Admin {
    /// Opens `address` and serves.
    ///
    /// # Errors
    /// When it is neither loopback nor a Unix socket and token or TLS are missing, or cannot be listened on.
    pub(crate) fn start(
        address: &str,
        options: &EdgeOptions,
        reporter: Arc<Reporter>,
        loader: Arc<Loader>,
    ) -> Result<Self, StartError> {
        let parsed = Address::parse(address).map_err(StartError::Listen)?;
        let tls = tls_acceptor(options)?;
        if let Address::Tcp(wanted) = &parsed
            && !wanted.ip().is_loopback()
            && (tls.is_none() || options.admin_token.is_none())
        {
            return Err(StartError::Setting(format!(
                "admin {address}: beyond loopback the admin listener needs `admin_token`, `admin_tls_cert` and \
                 `admin_tls_key`; or use 127.0.0.1 or a Unix socket"
            )));
        }
        let mut listening = listener::open(address, 1).map_err(StartError::Listen)?;
        let url = if tls.is_some() { listening.url.replacen("http:", "https:", 1) } else { listening.url.clone() };
        let Some(socket) = listening.sockets.pop() else {
            return Err(StartError::Setting(format!("admin {address}: no socket")));
        };
        let shared = Arc::new(Shared {
            reporter,
            loader,
            token: options.admin_token.clone(),
            authorities: bound(&url).map(|bound| authorities(&bound)),
        });
        let end = Arc::new(Notify::new());
        let ended = Arc::clone(&end);
        let is_unix = listening.is_unix;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let join = std::thread::Builder::new().name("bodega-admin".to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = serve(socket, is_unix, tls, shared) => {}
                    () = ended.notified() => {}
                }
            });
            runtime.shutdown_timeout(Duration::from_millis(100));
        })?;
        Ok(Self { url, path: listening.path, end, join: Some(join) })
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Admin {
    fn drop(&mut self) {
        self.end.notify_one();
        if let Some(join) = self.join.take() {
            // A panic has been reported by the panic hook already.
            let _ = join.join();
        }
        if let Some(path) = &self.path {
            // Somebody may have removed it already.
            let _ = std::fs::remove_file(path);
        }
    }
}

fn bound(url: &str) -> Option<SocketAddr> {
    url.split_once("://").and_then(|(_, authority)| authority.parse().ok())
}

/// A name that a web page has made point here is not among these (DNS rebinding).
fn authorities(bound: &SocketAddr) -> Vec<String> {
    let port = bound.port();
    vec![bound.to_string(), format!("localhost:{port}"), format!("127.0.0.1:{port}"), format!("[::1]:{port}")]
}

fn tls_acceptor(options: &EdgeOptions) -> Result<Option<TlsAcceptor>, StartError> {
    let (Some(cert), Some(key)) = (&options.admin_tls_cert, &options.admin_tls_key) else { return Ok(None) };
    let wrong =
        |what: &str, path: &str, error: &dyn std::fmt::Display| StartError::Setting(format!("{what} {path}: {error}"));
    let chain = CertificateDer::pem_file_iter(cert)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| wrong("admin_tls_cert", cert, &error))?;
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| wrong("admin_tls_key", key, &error))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| wrong("admin_tls_cert", cert, &error))?
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .map_err(|error| wrong("admin_tls_cert", cert, &error))?;
    Ok(Some(TlsAcceptor::from(Arc::new(config))))
}

async fn serve(socket: socket2::Socket, is_unix: bool, tls: Option<TlsAcceptor>, shared: Arc<Shared>) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    if is_unix {
        let Ok(listener) = UnixListener::from_std(socket.into()) else { return };
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            match listener.accept().await {
                Ok((stream, _)) => {
                    let shared = Arc::clone(&shared);
                    tokio::spawn(async move {
                        let _place = place;
                        connection(stream, &shared).await;
                    });
                }
                Err(_) => tokio::time::sleep(BACKOFF).await,
            }
        }
    }
    let Ok(listener) = TcpListener::from_std(socket.into()) else { return };
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let (shared, tls) = (Arc::clone(&shared), tls.clone());
                tokio::spawn(async move {
                    let _place = place;
                    match tls {
                        None => connection(stream, &shared).await,
                        Some(tls) => {
                            if let Ok(Ok(stream)) = tokio::time::timeout(TIMEOUT, tls.accept(stream)).await {
                                connection(stream, &shared).await;
                            }
                        }
                    }
                });
            }
            Err(_) => tokio::time::sleep(BACKOFF).await,
        }
    }
}

const BACKOFF: Duration = Duration::from_millis(50);

async fn connection<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, shared: &Shared) {
    let mut input = Vec::new();
    while let Some(keep) = exchange(&mut stream, &mut input, shared).await {
        if !keep {
            break;
        }
    }
    // The client may be gone already.
    let _ = stream.shutdown().await;
}

/// One request. `None`: the connection has ended. Else whether it may be used again.
async fn exchange<S>(stream: &mut S, input: &mut Vec<u8>, shared: &Shared) -> Option<bool>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let until = tokio::time::Instant::now() + TIMEOUT;
    let limits = bodega_http1::Limits { max_head_bytes: MAX_HEAD_BYTES, ..bodega_http1::Limits::default() };
    loop {
        let mut fields = [EMPTY_FIELD; MAX_FIELDS];
        match parse_request(input, &mut fields, &limits) {
            Ok(Parsed::Complete(head, n_head)) => {
                let n_body = match head.framing {
                    BodyFraming::None => 0,
                    BodyFraming::Length(n_bytes) => usize::try_from(n_bytes).unwrap_or(usize::MAX),
                    BodyFraming::Chunked => usize::MAX,
                };
                if n_body > MAX_BODY_BYTES {
                    return answer(
                        stream,
                        &head,
                        &Answered::text(413, "send a body of at most 1 MiB, with its length\n"),
                        false,
                    )
                    .await;
                }
                if head.expect_continue && input.len() == n_head {
                    stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await.ok()?;
                }
                if input.len() >= n_head + n_body {
                    let body = &input[n_head..n_head + n_body];
                    // Loading a model takes as long as it takes, within bounds.
                    let limit = if changes_models(head.path_and_query) { LOAD_TIMEOUT } else { TIMEOUT };
                    let answered = tokio::time::timeout(limit, route(&head, body, shared)).await.ok()?;
                    let keep = head.keep_alive;
                    let done = tokio::time::timeout(TIMEOUT, answer(stream, &head, &answered, keep)).await.ok()?;
                    input.drain(..n_head + n_body);
                    return done;
                }
            }
            Ok(Parsed::Partial) => {}
            Err(error) => {
                let mut out = Vec::new();
                write_status_line(&mut out, error.status());
                write_length(&mut out, 0);
                out.extend_from_slice(b"Connection: close\r\n\r\n");
                stream.write_all(&out).await.ok()?;
                return Some(false);
            }
        }
        if tokio::time::timeout_at(until, stream.read_buf(input)).await.ok()?.ok()? == 0 {
            return None;
        }
    }
}

struct Answered {
    status: u16,
    content_type: &'static str,
    body: String,
}

impl Answered {
    fn text(status: u16, body: impl Into<String>) -> Self {
        Self { status, content_type: "text/plain; charset=utf-8", body: body.into() }
    }

    fn json(status: u16, value: &serde_json::Value) -> Self {
        Self { status, content_type: "application/json", body: format!("{value}\n") }
    }
}

async fn answer<S: AsyncWrite + Unpin>(
    stream: &mut S,
    head: &RequestHead<'_, '_>,
    answered: &Answered,
    keep: bool,
) -> Option<bool> {
    let mut out = Vec::with_capacity(256 + answered.body.len());
    write_status_line(&mut out, answered.status);
    out.extend_from_slice(
        format!(
            "Content-Type: {}\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n",
            answered.content_type
        )
        .as_bytes(),
    );
    write_length(&mut out, answered.body.len() as u64);
    if answered.status == 401 {
        out.extend_from_slice(b"WWW-Authenticate: Bearer\r\n");
    }
    if !keep {
        out.extend_from_slice(b"Connection: close\r\n");
    }
    out.extend_from_slice(b"\r\n");
    if head.method != "HEAD" {
        out.extend_from_slice(answered.body.as_bytes());
    }
    stream.write_all(&out).await.ok()?;
    stream.flush().await.ok()?;
    Some(keep)
}

async fn route(head: &RequestHead<'_, '_>, body: &[u8], shared: &Shared) -> Answered {
    if let Some(refused) = refuse(head, shared) {
        return refused;
    }
    let (path, query) = head.path_and_query.split_once('?').unwrap_or((head.path_and_query, ""));
    let inspector = shared.reporter.inspector();
    let reads = matches!(head.method, "GET" | "HEAD");
    match path {
        "/metrics" if reads => Answered {
            status: 200,
            content_type: "text/plain; version=0.0.4; charset=utf-8",
            body: shared.reporter.metrics(),
        },
        "/stats" if reads => Answered { status: 200, content_type: "application/json", body: shared.reporter.stats() },
        "/health" if reads => Answered::text(200, "ok\n"),
        "/ready" if reads && shared.reporter.is_draining() => Answered::text(503, "draining\n"),
        "/ready" if reads && shared.reporter.is_held() => Answered::text(503, "catching up\n"),
        "/ready" if reads => Answered::text(200, "ready\n"),
        "/invalidate" if head.method == "POST" => invalidate(body, shared).await,
        "/cache/entries" if reads => json_or_400(inspector.entries(query)),
        "/cache/show" if reads => match form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "url") {
            Some((_, url)) => json_or_400(inspector.show(&url)),
            None => Answered::text(400, "send ?url=https://host/path\n"),
        },
        "/cache/verify" if reads => Answered::json(200, &inspector.check()),
        "/cache/verify" if head.method == "POST" => json_or_400(inspector.begin_check().map(|()| inspector.check())),
        "/models" if reads => Answered::json(200, &shared.loader.list()),
        "/admin/update_model" if head.method == "POST" => update_model(body, shared).await,
        "/admin/unload_model" if head.method == "POST" => unload_model(body, shared).await,
        "/models" | "/admin/update_model" | "/admin/unload_model" => Answered::text(405, "wrong method\n"),
        path if path.starts_with(REPOSITORY) => repository(head.method, path, shared).await,
        "/metrics" | "/stats" | "/health" | "/ready" | "/invalidate" | "/cache/entries" | "/cache/show"
        | "/cache/verify" => Answered::text(405, "wrong method\n"),
        _ => Answered::text(
            404,
            "here are /metrics, /stats, /health, /ready, /models, /cache/entries, /cache/show, /cache/verify, POST \
             /invalidate, /admin/update_model and /admin/unload_model\n",
        ),
    }
}

fn refuse(head: &RequestHead<'_, '_>, shared: &Shared) -> Option<Answered> {
    // What a browser sends for a page carries one of these; a command or Prometheus sends none.
    let from_page = head.has("origin")
        || head.first("sec-fetch-site").is_some_and(|site| site != b"none" && site != b"same-origin");
    if from_page {
        return Some(Answered::text(403, "not for requests that a web page makes\n"));
    }
    if let (Some(authorities), None) = (&shared.authorities, &shared.token) {
        let named = head.host.unwrap_or_default();
        if !authorities.iter().any(|authority| authority.eq_ignore_ascii_case(named)) {
            return Some(Answered::text(421, "the request names another host than this listener\n"));
        }
    }
    let token = shared.token.as_ref()?;
    let given = head.first("authorization").and_then(|value| value.strip_prefix(b"Bearer ")).unwrap_or_default();
    if verify_slices_are_equal(given, token.as_bytes()).is_err() {
        return Some(Answered::text(401, "send the admin token as `Authorization: Bearer TOKEN`\n"));
    }
    None
}

fn json_or_400(value: Result<serde_json::Value, String>) -> Answered {
    match value {
        Ok(value) => Answered::json(200, &value),
        Err(message) => Answered::text(400, format!("{message}\n")),
    }
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct UpdateModel {
    model: String,
    path: Option<String>,
    version: Option<String>,
}

async fn update_model(body: &[u8], shared: &Shared) -> Answered {
    match serde_json::from_slice::<UpdateModel>(body) {
        Ok(UpdateModel { model: name, path, version }) => {
            change(ModelChange::Load { name, path, version }, shared).await
        }
        Err(error) => refused(400, &format!("send {{\"model\": \"NAME\", \"path\": \"FILE\"}}: {error}")),
    }
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct UnloadModel {
    model: String,
    version: Option<String>,
}

async fn unload_model(body: &[u8], shared: &Shared) -> Answered {
    match serde_json::from_slice::<UnloadModel>(body) {
        Ok(UnloadModel { model: name, version }) => change(ModelChange::Unload { name, version }, shared).await,
        Err(error) => refused(400, &format!("send {{\"model\": \"NAME\"}}: {error}")),
    }
}

/// KServe's extension for model repositories: the index, and loading again from the file that a model has.
/// <https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_model_repository.md>
async fn repository(method: &str, path: &str, shared: &Shared) -> Answered {
    if method != "POST" {
        return refused(405, &format!("{method} is not for {path}: POST"));
    }
    let segments: Vec<&str> = path.strip_prefix(REPOSITORY).unwrap_or_default().split('/').collect();
    let name = |name: &&str| (*name).to_owned();
    match segments.as_slice() {
        ["index"] => Answered::json(200, &index(&shared.loader.list())),
        ["models", model, "load"] => {
            change(ModelChange::Load { name: name(model), path: None, version: None }, shared).await
        }
        ["models", model, "unload"] => change(ModelChange::Unload { name: name(model), version: None }, shared).await,
        _ => refused(404, &format!("there is no {path} here")),
    }
}

fn index(models: &serde_json::Value) -> serde_json::Value {
    let told = |model: &serde_json::Value| {
        let is_ready = model["state"] == "ready";
        let (state, reason) = if is_ready { ("READY", "") } else { ("UNAVAILABLE", "unloaded") };
        serde_json::json!({ "name": model["name"], "version": model["version"], "state": state, "reason": reason })
    };
    models.as_array().into_iter().flatten().map(told).collect()
}

fn changes_models(path: &str) -> bool {
    path.starts_with("/admin/") || path.starts_with(REPOSITORY)
}

async fn change(change: ModelChange, shared: &Shared) -> Answered {
    match shared.loader.change(change).await {
        Ok(Ok(swapped)) => Answered::json(200, &loader::swapped(&swapped)),
        Ok(Err(error @ SwapError::Unknown(_))) => refused(404, &error.to_string()),
        Ok(Err(error @ SwapError::Busy)) => refused(409, &error.to_string()),
        Ok(Err(error @ SwapError::Refused(_))) => refused(422, &error.to_string()),
        Err(_) => refused(503, "the edge is being stopped"),
    }
}

fn refused(status: u16, error: &str) -> Answered {
    Answered::json(status, &serde_json::json!({ "error": error }))
}

const REPOSITORY: &str = "/v2/repository/";
/// A model that is large, the process that tries it first, and its examples.
const LOAD_TIMEOUT: Duration = Duration::from_mins(15);

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Invalidate {
    selectors: Vec<String>,
    #[serde(default)]
    soft: bool,
}

async fn invalidate(body: &[u8], shared: &Shared) -> Answered {
    let asked: Invalidate = match serde_json::from_slice(body) {
        Ok(asked) => asked,
        Err(error) => {
            return Answered::text(400, format!("send {{\"selectors\": [\"all\"]}}: {error}\n"));
        }
    };
    if asked.selectors.is_empty() || asked.selectors.len() > MAX_SELECTORS {
        return Answered::text(400, format!("send 1 to {MAX_SELECTORS} selectors\n"));
    }
    let force = if asked.soft { Force::Soft } else { Force::Hard };
    match shared.reporter.invalidate(&asked.selectors, force).await {
        Ok(Committed { number, is_durable }) => {
            Answered::json(200, &serde_json::json!({ "sequence": number, "durable": is_durable }))
        }
        Err(error @ InvalidateError::Selector(_)) => Answered::text(400, format!("{error}\n")),
        Err(error @ InvalidateError::TooManyRules(_)) => Answered::text(429, format!("{error}\n")),
        Err(InvalidateError::Follows(control)) => {
            let error = InvalidateError::Follows(control.clone()).to_string();
            Answered::json(409, &serde_json::json!({ "error": error, "control": control }))
        }
    }
}
