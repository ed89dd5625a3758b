//! An S3 server over a directory: one folder a bucket, one file an object. Signatures (SigV4) are checked; buckets named
//! public may be read without one. The protocol is `s3s`, most operations are `s3s-fs`; reading is our own (`objects`),
//! since `s3s-fs` ignores conditional requests and hashes a whole object for every read.

mod access;
mod objects;

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::CONTENT_TYPE;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use s3s::Body;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use tokio::net::{TcpListener, TcpStream};

use crate::running::Running;
use crate::traffic::{Counted, Stats, Traffic};
use access::PublicBuckets;
use objects::Objects;

/// The pair that requests are signed with.
#[derive(Clone)]
pub struct Keys {
    /// The public half, `AWS_ACCESS_KEY_ID`.
    pub access_key: String,
    /// The secret half, `AWS_SECRET_ACCESS_KEY`.
    pub secret_key: String,
}

/// Shows the access key only.
impl std::fmt::Debug for Keys {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Keys").field("access_key", &self.access_key).finish_non_exhaustive()
    }
}

/// An S3 server over a directory.
#[derive(Debug)]
pub struct S3Server {
    running: Running,
    traffic: Arc<Traffic>,
}

impl S3Server {
    /// Serves the buckets under `root` on `listen` (`127.0.0.1:0` for a free port), path-style.
    ///
    /// # Errors
    /// If `root` is no directory or the address cannot be bound.
    pub fn start(root: &Path, listen: &str, keys: Keys, public_buckets: Vec<String>) -> io::Result<Self> {
        let mut builder = S3ServiceBuilder::new(Objects::open(root)?);
        builder.set_auth(SimpleAuth::from_single(keys.access_key, keys.secret_key));
        builder.set_access(PublicBuckets::new(public_buckets));
        let service = builder.build();
        let traffic = Arc::new(Traffic::default());
        let counted = traffic.clone();
        let running = Running::start("demo-s3", listen, move |listener| accept(listener, service, counted))?;
        Ok(Self { running, traffic })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.running.address()
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

async fn accept(listener: TcpListener, service: S3Service, traffic: Arc<Traffic>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of file descriptors, most likely: wait for some to be closed instead of spinning.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        tokio::spawn(serve(stream, service.clone(), traffic.clone()));
    }
}

async fn serve(stream: TcpStream, service: S3Service, traffic: Arc<Traffic>) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request: Request<Incoming>| {
        let (service, traffic) = (service.clone(), traffic.clone());
        async move {
            traffic.count_request();
            let response = service.call(request.map(Body::from)).await?;
            Ok::<_, s3s::HttpError>(without_made_body(response).map(|body| Counted::new(body, traffic)))
        }
    });
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

/// `s3s` writes an XML document for every error, and to it "not modified" is one; a 304 has no content (RFC 9110
/// section 15.4.5).
fn without_made_body(mut response: Response<Body>) -> Response<Body> {
    if response.status() == StatusCode::NOT_MODIFIED {
        response.headers_mut().remove(CONTENT_TYPE);
        *response.body_mut() = Body::empty();
    }
    response
}

#[cfg(test)]
mod tests;
