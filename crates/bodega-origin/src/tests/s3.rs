use bodega_semantics::{Head, Reason};
use bodega_snapshot::Credentials;

use super::*;

struct Bucket {
    prefix: &'static str,
    credentials: Credentials,
    missing_as_404: bool,
    index_document: Option<String>,
}

fn bucket() -> Bucket {
    Bucket {
        prefix: "v1/",
        credentials: Credentials::Unsigned,
        missing_as_404: true,
        index_document: Some("index.html".into()),
    }
}

fn s3_worker(server: &Server, bucket: Bucket) -> WorkerOrigins {
    let kind = OriginKind::S3 {
        endpoint: endpoint(server.address),
        bucket: "shop".into(),
        prefix: bucket.prefix.into(),
        region: "eu-west-1".into(),
        path_style: true,
        credentials: bucket.credentials,
        missing_as_404: bucket.missing_as_404,
        index_document: bucket.index_document,
    };
    worker(Settings { kind, ..server.settings() })
}

/// Answers with the request's head.
async fn echoing() -> Server {
    Server::start(|_, mut stream| async move {
        loop {
            let head = read_head(&mut stream).await;
            if head.is_empty() {
                return;
            }
            let answer =
                format!("HTTP/1.1 200 OK\r\nX-Amz-Request-Id: 1\r\nContent-Length: {}\r\n\r\n{head}", head.len());
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    })
    .await
}

fn document(status: &str, code: &str) -> String {
    let xml = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Key>secret</Key></Error>");
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/xml\r\nx-amz-id-2: 1\r\nContent-Length: {}\r\n\r\n{xml}",
        xml.len()
    )
}

#[tokio::test]
async fn an_object_is_asked_for_by_its_key_without_the_clients_query_and_fields() {
    let server = echoing().await;
    let worker = s3_worker(&server, bucket());
    let mut request = request("GET", "/images/?list-type=2&acl");
    request.fields.push("Range", b"bytes=0-9");
    request.fields.push("X-Amz-Acl", b"public-read");
    request.fields.push("Authorization", b"Basic x");
    let answer = worker.fetch("site", request).await.unwrap();
    assert!(!answer.fields.has("x-amz-request-id"));
    let head = String::from_utf8(body(answer).await.unwrap()).unwrap();
    let expected =
        format!("GET /shop/v1/images/index.html HTTP/1.1\r\nHost: {}\r\nRange: bytes=0-9\r\n\r\n", server.address);
    assert_eq!(head, expected);
}

#[tokio::test]
async fn requests_are_signed_with_the_keys_of_the_file() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, "[p]\naws_access_key_id=KEY\naws_secret_access_key=SECRET\naws_session_token=TOKEN\n")
        .unwrap();
    let server = echoing().await;
    let credentials = Credentials::File { path: file.path().to_str().unwrap().into(), profile: "p".into() };
    let worker = s3_worker(&server, Bucket { credentials, ..bucket() });
    let head = body(worker.fetch("site", request("GET", "/a")).await.unwrap()).await.unwrap();
    let head = String::from_utf8(head).unwrap();
    for part in [
        "x-amz-content-sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\r\n",
        "x-amz-security-token: TOKEN\r\n",
        "Authorization: AWS4-HMAC-SHA256 Credential=KEY/",
        "/eu-west-1/s3/aws4_request, SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-amz-security-token, Signature=",
    ] {
        assert!(head.contains(part), "{part} in {head}");
    }
    assert!(!head.contains("SECRET"));
}

#[tokio::test]
async fn absent_credentials_are_an_error_that_names_them() {
    let server = echoing().await;
    let credentials = Credentials::File { path: "/nowhere/credentials".into(), profile: "p".into() };
    let worker = s3_worker(&server, Bucket { credentials, ..bucket() });
    let error = worker.fetch("site", request("GET", "/a")).await.err().unwrap();
    assert_eq!(error.reason, Reason::OriginConnect);
    assert!(error.message.starts_with("origin \"site\" has no usable credentials: /nowhere/credentials"), "{error}");
}

#[tokio::test]
async fn errors_of_the_bucket_become_short_plain_texts_and_the_connection_is_kept() {
    let cases = [
        ("403 Forbidden", "AccessDenied", true, 404),
        ("403 Forbidden", "AccessDenied", false, 403),
        ("403 Forbidden", "SignatureDoesNotMatch", true, 403),
        ("404 Not Found", "NoSuchKey", false, 404),
        ("416 Range Not Satisfiable", "InvalidRange", true, 416),
        ("503 Slow Down", "SlowDown", true, 503),
    ];
    for (status, code, missing_as_404, expected) in cases {
        let server = Server::answering(document(status, code)).await;
        let worker = s3_worker(&server, Bucket { missing_as_404, ..bucket() });
        for _ in 0..2 {
            let answer = worker.fetch("site", request("GET", "/a")).await.unwrap();
            assert_eq!(answer.status, expected, "{status} {code}");
            assert_eq!(answer.fields.as_block(), b"Content-Type: text/plain; charset=utf-8\r\n");
            let length = answer.content_length;
            let text = body(answer).await.unwrap();
            assert_eq!(length, Some(text.len() as u64));
            assert!(text.starts_with(expected.to_string().as_bytes()) && !text.contains(&b'<'));
        }
        assert_eq!(server.n_connections(), 1);
    }
}

#[tokio::test]
async fn a_missing_object_is_404_to_head_too() {
    let server = Server::answering("HTTP/1.1 403 Forbidden\r\nContent-Length: 300\r\n\r\n").await;
    let worker = s3_worker(&server, bucket());
    let answer = worker.fetch("site", request("HEAD", "/a")).await.unwrap();
    assert_eq!(answer.status, 404);
    assert_eq!(body(answer).await.unwrap(), b"");
}

#[tokio::test]
async fn only_reading_is_allowed_and_only_of_objects() {
    let server = echoing().await;
    let worker = s3_worker(&server, Bucket { prefix: "", index_document: None, ..bucket() });
    for method in ["PUT", "POST", "DELETE", "OPTIONS"] {
        let answer = worker.fetch("site", request(method, "/a")).await.unwrap();
        assert_eq!((answer.status, answer.fields.first("allow")), (405, Some(&b"GET, HEAD"[..])));
    }
    // The bucket's own path is its listing.
    for path in ["/", "/?list-type=2", "/../other/secret"] {
        assert_eq!(worker.fetch("site", request("GET", path)).await.unwrap().status, 404);
    }
    assert_eq!(server.n_connections(), 0);
}

#[tokio::test]
async fn a_bucket_that_is_elsewhere_is_an_error_that_says_where() {
    let answer = "HTTP/1.1 301 Moved Permanently\r\nx-amz-bucket-region: us-west-2\r\nContent-Length: 0\r\n\r\n";
    let server = Server::answering(answer).await;
    let error = s3_worker(&server, bucket()).fetch("site", request("GET", "/a")).await.err().unwrap();
    assert_eq!(error.message, "origin \"site\" answered 301: the bucket is in us-west-2");
}
