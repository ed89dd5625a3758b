//! A client of HTTP/2, by the `h2` crate.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use bodega_edge::interim::Interim;
use bodega_semantics::Fields;
use bodega_testkit::bench::TestRequest;
use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version};

use crate::scenarios::{Answered, Io};

/// Why a request has no place in HTTP/2.
pub(super) fn cannot_say(request: &TestRequest) -> Option<&'static str> {
    const OF_CONNECTIONS: [&str; 5] = ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"];
    if request.method == "CONNECT" {
        return Some("the target of CONNECT is no path");
    }
    for (name, value) in &request.headers {
        let is = |listed: &str| name.eq_ignore_ascii_case(listed);
        if OF_CONNECTIONS.iter().any(|listed| is(listed)) || (is("te") && value != "trailers") {
            return Some("HTTP/2 has no fields for one connection (RFC 9113 section 8.2.2)");
        }
        if value.trim() != value {
            return Some("in HTTP/2 no value begins or ends with a space (RFC 9113 section 8.2.1)");
        }
    }
    if uri(request).is_none() {
        return Some("the client takes it for no URI");
    }
    None
}

fn uri(request: &TestRequest) -> Option<Uri> {
    let host = if request.host.is_empty() { "example.com" } else { &request.host };
    let scheme = if request.https { "https" } else { "http" };
    let uri = Uri::builder().scheme(scheme).authority(host).path_and_query(request.target.as_str()).build().ok()?;
    // What it makes better is another request.
    (uri.path_and_query()?.as_str() == request.target).then_some(uri)
}

pub(super) struct Client {
    requests: SendRequest<Bytes>,
}

impl Client {
    pub(super) async fn new(io: Box<dyn Io>) -> Self {
        let mut builder = h2::client::Builder::new();
        builder.initial_window_size(1 << 20).initial_connection_window_size(1 << 20).enable_push(false);
        let (requests, connection) = builder.handshake(io).await.unwrap();
        tokio::spawn(connection);
        Self { requests }
    }

    pub(super) async fn send(&mut self, request: &TestRequest) -> Answered {
        let mut answered = Answered {
            status: 0,
            fields: Fields::new(),
            interim: Vec::new(),
            body: Vec::new(),
            trailers: Fields::new(),
            broken: true,
            keeps: false,
        };
        let Ok(mut requests) = self.requests.clone().ready().await else { return answered };
        let (mut response, mut body) = requests.send_request(head(request), request.body.is_empty()).unwrap();
        if !request.body.is_empty() {
            body.send_data(Bytes::from(request.body.clone()), true).unwrap();
        }
        let Ok(response) = final_answer(&mut response, &mut answered.interim).await else { return answered };
        let (parts, mut body) = response.into_parts();
        answered.status = parts.status.as_u16();
        answered.fields = fields(&parts.headers);
        answered.broken = loop {
            match body.data().await {
                None => break false,
                Some(Err(_)) => break true,
                Some(Ok(piece)) => {
                    let _ = body.flow_control().release_capacity(piece.len());
                    answered.body.extend_from_slice(&piece);
                }
            }
        };
        if let Ok(Some(trailers)) = body.trailers().await {
            answered.trailers = fields(&trailers);
        }
        // A stream that breaks takes nothing along.
        answered.keeps = true;
        answered
    }
}

async fn final_answer(
    response: &mut ResponseFuture,
    interim: &mut Vec<Interim>,
) -> Result<http::Response<h2::RecvStream>, h2::Error> {
    poll_fn(|context| {
        while let Poll::Ready(Some(Ok(head))) = response.poll_informational(context) {
            interim.push(Interim { status: head.status().as_u16(), fields: fields(head.headers()) });
        }
        Pin::new(&mut *response).poll(context)
    })
    .await
}

fn head(request: &TestRequest) -> Request<()> {
    let method = if request.method.is_empty() { "GET" } else { &request.method };
    let mut head = Request::new(());
    *head.method_mut() = Method::from_bytes(method.as_bytes()).unwrap();
    *head.uri_mut() = uri(request).unwrap();
    *head.version_mut() = Version::HTTP_2;
    for (name, value) in &request.headers {
        let name = HeaderName::from_bytes(name.to_ascii_lowercase().as_bytes()).unwrap();
        head.headers_mut().append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    if !request.body.is_empty() {
        head.headers_mut().insert("content-length", HeaderValue::from(request.body.len()));
    }
    head
}

fn fields(map: &HeaderMap) -> Fields {
    let mut fields = Fields::new();
    for (name, value) in map {
        fields.push(name.as_str(), value.as_bytes());
    }
    fields
}
