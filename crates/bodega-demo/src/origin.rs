//! A small web origin: the files of a directory over HTTP/1.1, and a few pages that are different each time.
//! It says about each file what a careful web site would (`site`), answers conditional and range requests
//! (`validate`), counts what it sends, and can be told to be down. Files may change while it runs.

mod dynamic;
mod site;
mod validate;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::header::{
    ACCEPT_RANGES, ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, LAST_MODIFIED, LOCATION,
};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::content_type::content_type;
use crate::file::FileBody;
use crate::running::Running;
use crate::traffic::{Counted, Stats, Traffic};
use site::Found;
use validate::{Answer, Validators};

/// A web server over a directory.
#[derive(Debug)]
pub struct Origin {
    running: Running,
    down: watch::Sender<bool>,
    traffic: Arc<Traffic>,
}

impl Origin {
    /// Serves the files under `root` on `listen` (`127.0.0.1:0` for a free port).
    ///
    /// # Errors
    /// If `root` is no directory or the address cannot be bound.
    pub fn start(root: &Path, listen: &str) -> io::Result<Self> {
        let root: Arc<Path> = root.canonicalize()?.into();
        if !root.is_dir() {
            return Err(io::Error::new(io::ErrorKind::NotADirectory, format!("{} is not a directory", root.display())));
        }
        let traffic = Arc::new(Traffic::default());
        let (down, is_down) = watch::channel(false);
        let counted = traffic.clone();
        let running = Running::start("demo-origin", listen, move |listener| accept(listener, root, counted, is_down))?;
        Ok(Self { running, down, traffic })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.running.address()
    }

    /// Down: open connections break, and new ones are closed before they are answered.
    pub fn set_down(&self, down: bool) {
        self.down.send_replace(down);
    }

    /// What it has answered and sent so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.traffic.stats()
    }

    /// Stops listening and closes every connection; a second call does nothing.
    pub fn stop(&self) {
        self.running.stop();
    }
}

async fn accept(listener: TcpListener, root: Arc<Path>, traffic: Arc<Traffic>, is_down: watch::Receiver<bool>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of file descriptors, most likely: wait for some to be closed instead of spinning.
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            continue;
        };
        if !*is_down.borrow() {
            tokio::spawn(serve(stream, root.clone(), traffic.clone(), is_down.clone()));
        }
    }
}

async fn serve(stream: TcpStream, root: Arc<Path>, traffic: Arc<Traffic>, mut is_down: watch::Receiver<bool>) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request: Request<Incoming>| {
        let (root, traffic) = (root.clone(), traffic.clone());
        async move {
            traffic.count_request();
            let response = answer(&root, &request).await.unwrap_or_else(|_| plain(StatusCode::INTERNAL_SERVER_ERROR));
            Ok::<_, Infallible>(response.map(|body| Counted::new(body, traffic)))
        }
    });
    let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        _ = connection => {}
        _ = is_down.wait_for(|down| *down) => {}
    }
}

type Body = Either<Full<Bytes>, FileBody>;

async fn answer(root: &Path, request: &Request<Incoming>) -> io::Result<Response<Body>> {
    let path = request.uri().path();
    if let Some(response) = dynamic::answer(root, request).await {
        return Ok(response.map(|body| Either::Left(Full::new(body))));
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut response = plain(StatusCode::METHOD_NOT_ALLOWED);
        response.headers_mut().insert(ALLOW, hyper::header::HeaderValue::from_static("GET, HEAD"));
        return Ok(response);
    }
    match site::find(root, path).await {
        Found::File(file) => static_file(&file, path, request).await,
        Found::Directory => Response::builder()
            .status(StatusCode::MOVED_PERMANENTLY)
            .header(LOCATION, format!("{path}/"))
            .body(Either::Left(Full::default()))
            .map_err(io::Error::other),
        Found::Nothing => not_found(root).await,
    }
}

async fn static_file(file: &PathBuf, path: &str, request: &Request<Incoming>) -> io::Result<Response<Body>> {
    let metadata = tokio::fs::metadata(file).await?;
    let validators = Validators::of(&metadata)?;
    let mut response = Response::builder()
        .header(ETAG, &validators.etag)
        .header(LAST_MODIFIED, httpdate::fmt_http_date(validators.last_modified));
    if let Some(said) = site::cache_control(path) {
        response = response.header(CACHE_CONTROL, said);
    }
    let empty = || Either::Left(Full::default());
    let (status, start, length) = match validate::decide(request.headers(), &validators) {
        Answer::NotModified => return finish(response.status(StatusCode::NOT_MODIFIED), empty()),
        Answer::Unsatisfiable => {
            let unsatisfiable = response
                .status(StatusCode::RANGE_NOT_SATISFIABLE)
                .header(CONTENT_RANGE, format!("bytes */{}", validators.length));
            return finish(unsatisfiable, empty());
        }
        Answer::Part { first, last } => {
            response = response.header(CONTENT_RANGE, format!("bytes {first}-{last}/{}", validators.length));
            (StatusCode::PARTIAL_CONTENT, first, last - first + 1)
        }
        Answer::Whole => (StatusCode::OK, 0, validators.length),
    };
    let response = response
        .status(status)
        .header(CONTENT_TYPE, content_type(&file.to_string_lossy()))
        .header(CONTENT_LENGTH, length)
        .header(ACCEPT_RANGES, "bytes");
    let body = if *request.method() == Method::HEAD {
        empty()
    } else {
        Either::Right(FileBody::open(file, start, length).await?)
    };
    finish(response, body)
}

async fn not_found(root: &Path) -> io::Result<Response<Body>> {
    let page = tokio::fs::read(root.join("404.html")).await.unwrap_or_else(|_| b"Not found\n".to_vec());
    let response = Response::builder().status(StatusCode::NOT_FOUND).header(CONTENT_TYPE, "text/html; charset=utf-8");
    finish(response, Either::Left(Full::new(page.into())))
}

fn finish(response: hyper::http::response::Builder, body: Body) -> io::Result<Response<Body>> {
    response.body(body).map_err(io::Error::other)
}

fn plain(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Either::Left(Full::new(Bytes::from_static(b"\n"))));
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests;
