//! The head of an answer as the `h2` crate takes it.

use bodega_edge::{Answer, AnswerHead, BodyPlan};
use bodega_semantics::{Fields, Head, date};
use bytes::{BufMut, Bytes, BytesMut};
use http::header::{AGE, CONTENT_LENGTH, DATE, STRICT_TRANSPORT_SECURITY, TRAILER, VIA};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};

use crate::worker::Thread;

/// The head of `answer`.
pub(crate) fn of(thread: &Thread, answer: &Answer) -> Response<()> {
    let fields = match (&answer.head, &answer.body) {
        (AnswerHead::Stored { age_seconds, ttl_seconds, hsts }, BodyPlan::Stored { entry, .. }) => {
            let mut map = HeaderMap::with_capacity(USUAL_FIELDS);
            add(&mut map, entry, Bytes::copy_from_slice(entry.block().0));
            map.append(VIA, thread.via.clone());
            map.insert(AGE, HeaderValue::from(*age_seconds));
            let mut status = BytesMut::with_capacity(thread.cache_status_hit_value.len() + 20);
            status.put_slice(&thread.cache_status_hit_value);
            let mut digits = Vec::new();
            bodega_http1::write::write_decimal(&mut digits, *ttl_seconds);
            status.put_slice(&digits);
            if let Ok(value) = HeaderValue::from_maybe_shared(status.freeze()) {
                map.append(CACHE_STATUS, value);
            }
            if let Some(value) = hsts.as_deref().and_then(|hsts| HeaderValue::from_str(hsts.value()).ok()) {
                map.insert(STRICT_TRANSPORT_SECURITY, value);
            }
            map
        }
        (AnswerHead::Stored { .. }, _) => HeaderMap::new(),
        (AnswerHead::Built(fields), _) => {
            let mut map = of_fields(fields);
            if !map.contains_key(DATE) {
                let now = date::format(thread.worker.edge.now());
                if let Ok(value) = HeaderValue::from_bytes(now.as_ref()) {
                    map.insert(DATE, value);
                }
            }
            if let Some(length) = answer.content_length {
                map.insert(CONTENT_LENGTH, HeaderValue::from(length));
            }
            if let BodyPlan::Stream(stream) = &answer.body
                && let Some(names) = stream.announced_trailers()
                && let Ok(names) = HeaderValue::from_bytes(names)
            {
                map.insert(TRAILER, names);
            }
            map
        }
    };
    with_status(answer.status, fields)
}

/// A head of these fields alone.
pub(crate) fn with_status(status: u16, fields: HeaderMap) -> Response<()> {
    let mut head = Response::new(());
    *head.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    *head.headers_mut() = fields;
    head
}

/// These fields, without those that only HTTP/1.1 has.
pub(crate) fn of_fields(fields: &Fields) -> HeaderMap {
    let mut map = HeaderMap::with_capacity(USUAL_FIELDS);
    add(&mut map, fields, Bytes::copy_from_slice(fields.as_block()));
    map
}

/// Adds the fields of `head`, which lie in `block`: the values share it.
fn add<H: Head + ?Sized>(map: &mut HeaderMap, head: &H, block: Bytes) {
    let mut at = 0;
    for field in head.fields() {
        // The fields come in the order of the block, each as `name: value\r\n`.
        let from = at + field.name.len() + 2;
        at = from + field.value.len() + 2;
        if is_of_connection(field.name) {
            continue;
        }
        let value = match block.get(from..from + field.value.len()) {
            Some(found) if found == field.value => HeaderValue::from_maybe_shared(block.slice(from..at - 2)),
            _ => HeaderValue::from_maybe_shared(Bytes::copy_from_slice(field.value)),
        };
        // What an origin sent has been checked; a value that cannot be said is left out rather than the answer.
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(field.name.as_bytes()), value) {
            map.append(name, value);
        }
    }
}

/// RFC 9113 section 8.2.2.
fn is_of_connection(name: &str) -> bool {
    ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"]
        .iter()
        .any(|listed| name.eq_ignore_ascii_case(listed))
}

const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");
const USUAL_FIELDS: usize = 16;
