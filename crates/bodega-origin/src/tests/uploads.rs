use std::task::{Context, Poll};

use bodega_edge::fetch::{BodyStream, OnePiece};
use bodega_semantics::Reason;
use tokio::sync::mpsc;

use super::*;

/// A body that the test feeds.
struct Fed(mpsc::UnboundedReceiver<Result<Bytes, FetchError>>);

impl BodyStream for Fed {
    fn poll_chunk(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, FetchError>>> {
        self.0.poll_recv(context)
    }
}

fn fed(content_length: Option<u64>) -> (mpsc::UnboundedSender<Result<Bytes, FetchError>>, FetchRequest) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let body = RequestBody::streamed(content_length, Box::new(Fed(receiver)));
    (sender, FetchRequest { body: Some(body), ..request("POST", "/") })
}

/// Answers with all that it got, once that ends with `end`.
pub(super) async fn echoing(end: &'static [u8]) -> Server {
    Server::start(move |_, mut stream| async move {
        loop {
            let mut got = Vec::new();
            while !got.ends_with(end) {
                if stream.read_buf(&mut got).await.unwrap() == 0 {
                    return;
                }
            }
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", got.len());
            stream.write_all(head.as_bytes()).await.unwrap();
            stream.write_all(&got).await.unwrap();
        }
    })
    .await
}

#[tokio::test]
async fn a_body_of_known_length_goes_out_as_it_is() {
    let server = echoing(b"end").await;
    let worker = server.worker();
    for _ in 0..2 {
        let stream = Box::new(OnePiece(Some(Bytes::from_static(b"the end"))));
        let body = Some(RequestBody::streamed(Some(7), stream));
        let answer = worker.fetch("site", FetchRequest { body, ..request("PUT", "/") }).await.unwrap();
        let got = String::from_utf8(super::body(answer).await.unwrap()).unwrap();
        assert!(got.starts_with("PUT / HTTP/1.1\r\n") && got.ends_with("Content-Length: 7\r\n\r\nthe end"), "{got}");
    }
    assert_eq!(server.n_connections(), 1);
}

#[tokio::test]
async fn a_body_of_unknown_length_goes_out_in_chunks_as_it_comes() {
    let server = echoing(b"0\r\n\r\n").await;
    let worker = server.worker();
    let (sender, request) = fed(None);
    let sending = async move {
        sender.send(Ok(Bytes::from_static(b"hello"))).unwrap();
        tokio::task::yield_now().await;
        sender.send(Ok(Bytes::from(vec![b'x'; 16]))).unwrap();
    };
    let (answer, ()) = tokio::join!(worker.fetch("site", request), sending);
    let got = String::from_utf8(body(answer.unwrap()).await.unwrap()).unwrap();
    assert!(
        got.contains("Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n10\r\nxxxxxxxxxxxxxxxx\r\n0\r\n\r\n"),
        "{got}"
    );
    assert_eq!(worker.lane("site").unwrap().n_idle(), 1);
}

#[tokio::test]
async fn large_bodies_go_both_ways() {
    let server = Server::start(|_, mut stream| async move {
        read_head(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 8000000\r\n\r\n").await.unwrap();
        let (mut reader, mut writer) = stream.split();
        // Back as it comes: neither side ever holds the whole.
        tokio::io::copy(&mut (&mut reader).take(8_000_000), &mut writer).await.unwrap();
    })
    .await;
    let worker = server.worker();
    let (sender, request) = fed(Some(8_000_000));
    for n in 0..80_u8 {
        sender.send(Ok(Bytes::from(vec![n; 100_000]))).unwrap();
    }
    let answer = worker.fetch("site", request).await.unwrap();
    let got = body(answer).await.unwrap();
    assert_eq!(got.len(), 8_000_000);
    assert!(got.chunks(100_000).enumerate().all(|(n, piece)| piece.iter().all(|&byte| usize::from(byte) == n)));
}

#[tokio::test]
async fn an_answer_before_the_end_of_the_body_is_heard_and_the_connection_not_used_again() {
    let server = Server::start(|_, mut stream| async move {
        read_head(&mut stream).await;
        stream.write_all(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig").await.unwrap();
        read_head(&mut stream).await;
    })
    .await;
    let worker = server.worker();
    let (sender, request) = fed(Some(1000));
    sender.send(Ok(Bytes::from_static(b"some"))).unwrap();
    let answer = worker.fetch("site", request).await.unwrap();
    assert_eq!(answer.status, 413);
    assert_eq!(body(answer).await.unwrap(), b"big");
    assert_eq!(worker.lane("site").unwrap().n_idle(), 0);
}

#[tokio::test]
async fn an_origin_that_answers_and_closes_while_the_body_comes_is_heard() {
    let server = Server::start(|_, mut stream| async move {
        read_head(&mut stream).await;
        stream.write_all(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno").await.unwrap();
        stream.shutdown().await.unwrap();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
    })
    .await;
    let worker = server.worker();
    let (sender, request) = fed(None);
    let sending = async move {
        for _ in 0..20 {
            let _ = sender.send(Ok(Bytes::from(vec![b'x'; 100_000])));
            tokio::task::yield_now().await;
        }
    };
    let (answer, ()) = tokio::join!(worker.fetch("site", request), sending);
    let answer = answer.unwrap();
    assert_eq!(answer.status, 401);
    assert_eq!(body(answer).await.unwrap(), b"no");
}

#[tokio::test]
async fn a_client_that_breaks_off_is_not_the_origins_fault() {
    let server = echoing(b"0\r\n\r\n").await;
    let (sender, request) = fed(None);
    sender.send(Ok(Bytes::from_static(b"some"))).unwrap();
    sender.send(Err(FetchError::new(Reason::ClientGone, "gone"))).unwrap();
    let error = server.worker().fetch("site", request).await.err().unwrap();
    assert_eq!((error.reason, error.message.as_str()), (Reason::ClientGone, "gone"));
}

#[tokio::test]
async fn a_body_that_changes_nothing_is_sent_again_where_a_pooled_connection_breaks() {
    // Each connection answers one request, takes another, and closes.
    let server = Server::start(|_, mut stream| async move {
        for answer in ["HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", ""] {
            let mut got = Vec::new();
            while !got.ends_with(b"the end") {
                if stream.read_buf(&mut got).await.unwrap() == 0 {
                    return;
                }
            }
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    })
    .await;
    let worker = server.worker();
    let ask = async |body| {
        let request = FetchRequest { body: Some(body), ..request("POST", "/") };
        super::body(worker.fetch("site", request).await?).await
    };
    let bytes = Bytes::from_static(b"the end");
    for n_connections in 1..4 {
        assert_eq!(ask(RequestBody::repeatable(bytes.clone())).await.unwrap(), b"ok");
        assert_eq!(server.n_connections(), n_connections);
    }
    assert_eq!(ask(RequestBody::whole(bytes)).await.unwrap_err().reason, Reason::OriginBroken);
    assert_eq!(server.n_connections(), 3);
}

#[tokio::test]
async fn a_body_that_is_not_as_long_as_was_said_is_never_sent_as_if_it_were() {
    for piece in ["short", "far too long"] {
        let server = echoing(b"\0").await;
        let stream = Box::new(OnePiece(Some(Bytes::from_static(piece.as_bytes()))));
        let body = Some(RequestBody::streamed(Some(7), stream));
        let error = server.worker().fetch("site", FetchRequest { body, ..request("PUT", "/") }).await.err().unwrap();
        assert_eq!(error.reason, Reason::Internal);
    }
}

#[tokio::test]
async fn a_client_that_is_slow_is_no_timeout_of_the_origin() {
    let server = echoing(b"0\r\n\r\n").await;
    let mut settings = server.settings();
    settings.limits.first_byte_timeout = Duration::from_millis(300);
    settings.limits.between_bytes_timeout = Duration::from_millis(300);
    let worker = worker(settings);
    let (sender, request) = fed(None);
    let sending = async move {
        tokio::time::sleep(Duration::from_millis(700)).await;
        sender.send(Ok(Bytes::from_static(b"late"))).unwrap();
    };
    let (answer, ()) = tokio::join!(worker.fetch("site", request), sending);
    assert!(body(answer.unwrap()).await.unwrap().ends_with(b"4\r\nlate\r\n0\r\n\r\n"));
}

#[tokio::test]
async fn an_origin_that_takes_nothing_runs_into_the_between_bytes_timeout() {
    let server = Server::start(|_, mut stream| async move {
        read_head(&mut stream).await;
        std::future::pending::<()>().await;
    })
    .await;
    let mut settings = server.settings();
    settings.limits.between_bytes_timeout = Duration::from_millis(100);
    settings.limits.attempts = 3;
    let (sender, request) = fed(None);
    for _ in 0..200 {
        sender.send(Ok(Bytes::from(vec![b'x'; 100_000]))).unwrap();
    }
    let error = worker(settings).fetch("site", request).await.err().unwrap();
    assert_eq!((error.reason, error.may_retry, server.n_connections()), (Reason::OriginTimeout, false, 1));
    assert!(error.message.contains("took nothing of the request for 0.1 s"), "{error}");
}
