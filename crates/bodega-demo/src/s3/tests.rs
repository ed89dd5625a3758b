use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::{digest, hmac};

use super::{Keys, S3Server};
use crate::ask::{Answer, Directory, ask};

fn bucket() -> (Directory, S3Server) {
    let directory = Directory::new(&[("images/pears/red.webp", b"0123456789"), ("models/m.safetensors", b"secret")]);
    let keys = Keys { access_key: "demo".to_owned(), secret_key: "corner-store".to_owned() };
    let server = S3Server::start(directory.path(), "127.0.0.1:0", keys, vec!["images".to_owned()]).unwrap();
    (directory, server)
}

#[test]
fn a_public_bucket_may_be_read_without_a_signature() {
    let (_directory, server) = bucket();
    let pear = ask(server.address(), "GET", "/images/pears/red.webp", &[]).unwrap();
    assert_eq!((pear.status, pear.body.as_slice()), (200, b"0123456789".as_slice()), "{}", pear.head);
    assert_eq!(pear.field("content-type"), Some("image/webp"));
    assert_eq!(pear.field("etag"), Some("\"781e5e245d69b566979b86e28d23f2c7\""));
    assert_eq!(pear.field("content-length"), Some("10"));
    let head = ask(server.address(), "HEAD", "/images/pears/red.webp", &[]).unwrap();
    assert_eq!((head.status, head.field("content-length"), head.body.len()), (200, Some("10"), 0));
    let part = ask(server.address(), "GET", "/images/pears/red.webp", &[("Range", "bytes=-3")]).unwrap();
    assert_eq!((part.status, part.body.as_slice()), (206, b"789".as_slice()));
    assert_eq!(part.field("content-range"), Some("bytes 7-9/10"));
    assert_eq!(ask(server.address(), "GET", "/images/absent", &[]).unwrap().status, 404);
    assert_eq!(server.stats().requests, 4);
    assert!(server.stats().bytes_sent >= 13);
}

#[test]
fn an_unchanged_object_is_a_304_without_content() {
    let (directory, server) = bucket();
    let path = "/images/pears/red.webp";
    let first = ask(server.address(), "GET", path, &[]).unwrap();
    let (tag, date) = (first.field("etag").unwrap(), first.field("last-modified").unwrap());
    for condition in [("If-None-Match", tag), ("If-None-Match", "*"), ("If-Modified-Since", date)] {
        let again = ask(server.address(), "GET", path, &[condition]).unwrap();
        assert_eq!((again.status, again.body.len()), (304, 0), "{condition:?}");
        assert_eq!((again.field("etag"), again.field("last-modified")), (Some(tag), Some(date)));
    }
    let other = ask(server.address(), "GET", path, &[("If-None-Match", "\"other\"")]).unwrap();
    assert_eq!(other.status, 200);
    let failed = ask(server.address(), "GET", path, &[("If-Match", "\"other\"")]).unwrap();
    assert_eq!(failed.status, 412);

    std::fs::write(directory.path().join("images/pears/red.webp"), b"changed").unwrap();
    let changed = ask(server.address(), "GET", path, &[("If-None-Match", tag)]).unwrap();
    assert_eq!((changed.status, changed.body.as_slice()), (200, b"changed".as_slice()));
}

#[test]
fn a_private_bucket_asks_for_the_right_signature() {
    let (_directory, server) = bucket();
    let path = "/models/m.safetensors";
    assert_eq!(ask(server.address(), "GET", path, &[]).unwrap().status, 403);
    assert_eq!(signed(&server, path, "wrong").status, 403);
    let right = signed(&server, path, "corner-store");
    assert_eq!((right.status, right.body.as_slice()), (200, b"secret".as_slice()), "{}", right.head);
    assert_eq!(ask(server.address(), "GET", "/images?list-type=2", &[]).unwrap().status, 403);
}

#[test]
fn a_key_cannot_leave_its_bucket() {
    let (_directory, server) = bucket();
    for path in ["/images/../models/m.safetensors", "/images/%2e%2e/models/m.safetensors"] {
        let answer = ask(server.address(), "GET", path, &[]).unwrap();
        assert!(matches!(answer.status, 400 | 403 | 404), "{path}: {}", answer.status);
        assert!(!answer.body.windows(6).any(|window| window == b"secret"));
    }
}

/// A GET signed with AWS Signature Version 4.
fn signed(server: &S3Server, path: &str, secret: &str) -> Answer {
    const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let time = timestamp(SystemTime::now());
    let host = server.address().to_string();
    let names = "host;x-amz-content-sha256;x-amz-date";
    let canonical =
        format!("GET\n{path}\n\nhost:{host}\nx-amz-content-sha256:{EMPTY}\nx-amz-date:{time}\n\n{names}\n{EMPTY}");
    let scope = format!("{}/us-east-1/s3/aws4_request", &time[..8]);
    let hashed = hex(digest::digest(&digest::SHA256, canonical.as_bytes()).as_ref());
    let mut key = format!("AWS4{secret}").into_bytes();
    for part in scope.split('/') {
        key = mac(&key, part);
    }
    let signature = hex(&mac(&key, &format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{hashed}")));
    let authorization =
        format!("AWS4-HMAC-SHA256 Credential=demo/{scope}, SignedHeaders={names}, Signature={signature}");
    let fields = [("x-amz-date", time.as_str()), ("x-amz-content-sha256", EMPTY), ("authorization", &authorization)];
    ask(server.address(), "GET", path, &fields).unwrap()
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes()).as_ref().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `20261231T235959Z`, from the HTTP date.
fn timestamp(now: SystemTime) -> String {
    let whole = UNIX_EPOCH + Duration::from_secs(now.duration_since(UNIX_EPOCH).unwrap().as_secs());
    let date = httpdate::fmt_http_date(whole);
    let parts: Vec<&str> = date.split_whitespace().collect();
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let month = 1 + months.iter().position(|name| *name == parts[2]).unwrap();
    format!("{}{month:02}{}T{}Z", parts[3], parts[1], parts[4].replace(':', ""))
}
