use super::Origin;
use crate::ask::{Directory, ask};

fn site() -> (Directory, Origin) {
    let directory = Directory::new(&[
        ("index.html", b"<h1>home</h1>"),
        ("products/index.html", b"<h1>products</h1>"),
        ("assets/site.0123abcd.css", b"body{}"),
        ("robots.txt", b"0123456789"),
    ]);
    let origin = Origin::start(directory.path(), "127.0.0.1:0").unwrap();
    (directory, origin)
}

#[test]
fn files_are_served_with_validators_and_what_may_be_kept() {
    let (_directory, origin) = site();
    let home = ask(origin.address(), "GET", "/", &[]).unwrap();
    assert_eq!((home.status, home.body.as_slice()), (200, b"<h1>home</h1>".as_slice()));
    assert_eq!(home.field("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(home.field("cache-control"), Some("max-age=60, stale-if-error=600"));
    assert!(home.field("last-modified").is_some());

    let style = ask(origin.address(), "GET", "/assets/site.0123abcd.css?v=1", &[]).unwrap();
    assert_eq!(style.field("cache-control"), Some("public, max-age=31536000, immutable"));
    assert_eq!(ask(origin.address(), "GET", "/robots.txt", &[]).unwrap().field("cache-control"), None);

    let moved = ask(origin.address(), "GET", "/products", &[]).unwrap();
    assert_eq!((moved.status, moved.field("location")), (301, Some("/products/")));
    assert_eq!(ask(origin.address(), "GET", "/absent", &[]).unwrap().status, 404);
    assert_eq!(ask(origin.address(), "GET", "/../Cargo.toml", &[]).unwrap().status, 404);
    let put = ask(origin.address(), "PUT", "/robots.txt", &[]).unwrap();
    assert_eq!((put.status, put.field("allow")), (405, Some("GET, HEAD")));
}

#[test]
fn a_changed_file_has_another_tag_and_an_unchanged_one_is_a_304() {
    let (directory, origin) = site();
    let first = ask(origin.address(), "GET", "/", &[]).unwrap();
    let tag = first.field("etag").unwrap().to_owned();
    let second = ask(origin.address(), "GET", "/", &[("If-None-Match", &tag)]).unwrap();
    assert_eq!((second.status, second.body.len()), (304, 0));
    assert_eq!(second.field("etag"), Some(tag.as_str()));
    assert_eq!(second.field("cache-control"), Some("max-age=60, stale-if-error=600"));

    std::fs::write(directory.path().join("index.html"), b"<h1>new</h1>").unwrap();
    let third = ask(origin.address(), "GET", "/", &[("If-None-Match", &tag)]).unwrap();
    assert_eq!((third.status, third.body.as_slice()), (200, b"<h1>new</h1>".as_slice()));
    assert_ne!(third.field("etag"), Some(tag.as_str()));
}

#[test]
fn a_range_is_a_206_and_head_has_no_body() {
    let (_directory, origin) = site();
    let part = ask(origin.address(), "GET", "/robots.txt", &[("Range", "bytes=2-4")]).unwrap();
    assert_eq!((part.status, part.body.as_slice()), (206, b"234".as_slice()));
    assert_eq!((part.field("content-range"), part.field("content-length")), (Some("bytes 2-4/10"), Some("3")));
    let beyond = ask(origin.address(), "GET", "/robots.txt", &[("Range", "bytes=10-")]).unwrap();
    assert_eq!((beyond.status, beyond.field("content-range")), (416, Some("bytes */10")));
    let head = ask(origin.address(), "HEAD", "/robots.txt", &[]).unwrap();
    assert_eq!((head.status, head.field("content-length"), head.body.len()), (200, Some("10"), 0));
}

#[test]
fn the_account_is_private_to_who_asks_and_time_is_not_stored() {
    let (_directory, origin) = site();
    let ada = ask(origin.address(), "GET", "/account", &[("Cookie", "customer=ada")]).unwrap();
    assert!(String::from_utf8_lossy(&ada.body).contains("Hello, ada"));
    assert_eq!(ada.field("cache-control"), Some("private"));
    assert!(ada.field("set-cookie").unwrap().starts_with("customer=ada;"));
    let time = ask(origin.address(), "GET", "/api/time", &[]).unwrap();
    assert_eq!((time.status, time.field("cache-control")), (200, Some("no-store")));
}

#[test]
fn requests_and_body_bytes_are_counted() {
    let (_directory, origin) = site();
    for _ in 0..3 {
        ask(origin.address(), "GET", "/robots.txt", &[]).unwrap();
    }
    ask(origin.address(), "HEAD", "/robots.txt", &[]).unwrap();
    assert_eq!(origin.stats().to_json(), r#"{"bytes_sent":30,"requests":4}"#);
}

#[test]
fn an_origin_that_is_down_answers_nothing_until_it_is_up_again() {
    let (_directory, origin) = site();
    origin.set_down(true);
    assert!(ask(origin.address(), "GET", "/", &[]).is_err());
    origin.set_down(false);
    assert_eq!(ask(origin.address(), "GET", "/", &[]).unwrap().status, 200);
}

#[test]
fn stop_frees_the_address_and_may_be_called_twice() {
    let (directory, origin) = site();
    let address = origin.address();
    origin.stop();
    origin.stop();
    assert!(ask(address, "GET", "/", &[]).is_err());
    assert!(Origin::start(directory.path(), &address.to_string()).is_ok());
}

#[test]
fn a_root_that_is_not_there_is_an_error() {
    assert!(Origin::start(std::path::Path::new("/nonexistent/site"), "127.0.0.1:0").is_err());
}
