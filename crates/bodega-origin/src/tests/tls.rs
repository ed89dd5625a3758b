use bodega_semantics::Reason;
use rustls::ServerConfig;
use rustls::pki_types::PrivatePkcs8KeyDer;
use tempfile::NamedTempFile;
use tokio_rustls::TlsAcceptor;

use super::*;

/// A server with a certificate of its own making for `name`, and the file that makes it trusted.
async fn tls_server(name: &str, answer: &'static str) -> (Server, NamedTempFile) {
    let made = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()).into();
    let mut config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let server = Server::start(move |_, stream| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(mut stream) = acceptor.accept(stream).await else { return };
            assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
            while !read_head(&mut stream).await.is_empty() {
                stream.write_all(answer.as_bytes()).await.unwrap();
                stream.flush().await.unwrap();
                if answer.contains("CUT") {
                    // The socket ends without TLS having said so.
                    return;
                }
            }
        }
    })
    .await;
    let ca_file = NamedTempFile::new().unwrap();
    std::fs::write(&ca_file, made.cert.pem()).unwrap();
    (server, ca_file)
}

fn tls_settings(server: &Server, host: &str, ca_file: Option<&std::path::Path>) -> Settings {
    let ca_file = ca_file.map(|path| path.to_str().unwrap().to_owned());
    Settings { ca_file, ..at_host(server.settings(), server.address, true, host) }
}

#[tokio::test]
async fn a_trusted_origin_is_spoken_to_over_tls_on_a_kept_connection() {
    let (server, ca_file) = tls_server("localhost", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    let worker = worker(tls_settings(&server, "localhost", Some(ca_file.path())));
    for _ in 0..3 {
        assert_eq!(get_body(&worker).await.unwrap(), b"ok");
    }
    assert_eq!(server.n_connections(), 1);
}

#[tokio::test]
async fn a_certificate_that_does_not_verify_is_an_error_that_is_not_tried_again() {
    let (server, ca_file) = tls_server("localhost", "").await;
    for (what, host, ca_file) in
        [("unknown issuer", "localhost", None), ("other name", "127.0.0.1", Some(ca_file.path()))]
    {
        let n_before = server.n_connections();
        let mut settings = tls_settings(&server, host, ca_file);
        settings.limits.attempts = 3;
        let error = get(&worker(settings)).await.err().unwrap();
        assert_eq!((error.reason, server.n_connections() - n_before), (Reason::OriginTls, 1), "{what}: {error}");
    }
}

#[tokio::test]
async fn an_origin_that_speaks_no_tls_is_told_from_one_that_does_not_verify() {
    let server = Server::start(|_, mut stream| async move {
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        read_head(&mut stream).await;
    })
    .await;
    let error = get(&worker(tls_settings(&server, "localhost", None))).await.err().unwrap();
    assert_eq!(error.reason, Reason::OriginTls);
}

#[tokio::test]
async fn a_handshake_that_hangs_runs_into_the_connect_timeout() {
    let server = Server::start(|_, mut stream| async move {
        let mut byte = [0];
        while stream.read(&mut byte).await.is_ok_and(|n| n > 0) {}
    })
    .await;
    let mut settings = tls_settings(&server, "localhost", None);
    settings.limits.connect_timeout = Duration::from_millis(100);
    let error = get(&worker(settings)).await.err().unwrap();
    assert_eq!(error.reason, Reason::OriginTimeout);
    assert!(error.message.contains("did not finish the TLS handshake within 0.1 s"), "{error}");
}

#[tokio::test]
async fn a_tls_body_cut_without_notice_is_broken_even_where_the_close_ends_it() {
    let (server, ca_file) = tls_server("localhost", "HTTP/1.1 200 OK\r\n\r\nCUT").await;
    let error = get_body(&worker(tls_settings(&server, "localhost", Some(ca_file.path())))).await.unwrap_err();
    assert_eq!(error.reason, Reason::OriginBroken);
}

#[tokio::test]
async fn a_ca_file_that_cannot_be_read_is_named() {
    let server = Server::answering("").await;
    let settings = tls_settings(&server, "localhost", Some(std::path::Path::new("/nowhere/ca.pem")));
    let error = get(&worker(settings)).await.err().unwrap();
    assert_eq!(error.reason, Reason::OriginTls);
    assert!(error.message.contains("ca_file /nowhere/ca.pem"), "{error}");
}
