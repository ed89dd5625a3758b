//! Conditional and range requests for a file: RFC 9110 sections 13 and 14. Pure; one range at most.

use std::fs::Metadata;
use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hyper::header::{HeaderMap, HeaderName, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, RANGE};

/// What identifies the present state of a file.
#[derive(Debug)]
pub(super) struct Validators {
    pub(super) etag: String,
    pub(super) last_modified: SystemTime,
    pub(super) length: u64,
}

impl Validators {
    /// The strong tag is length and time of change in nanoseconds: a file changed in place gets another.
    pub(super) fn of(metadata: &Metadata) -> io::Result<Self> {
        let last_modified = metadata.modified()?;
        let nanoseconds = last_modified.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_nanos();
        Ok(Self { etag: format!("\"{:x}-{nanoseconds:x}\"", metadata.len()), last_modified, length: metadata.len() })
    }
}

/// How a request for a file is answered.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Whole,
    Part { first: u64, last: u64 },
    NotModified,
    Unsatisfiable,
}

pub(super) fn decide(headers: &HeaderMap, validators: &Validators) -> Answer {
    // RFC 9110 section 13.2.2: If-None-Match first; If-Modified-Since only in its absence.
    let unchanged = match text(headers, &IF_NONE_MATCH) {
        Some(tags) => matches_any(tags, &validators.etag),
        None => date(headers, &IF_MODIFIED_SINCE).is_some_and(|since| seconds(validators.last_modified) <= since),
    };
    if unchanged {
        return Answer::NotModified;
    }
    let may_be_part = match text(headers, &IF_RANGE) {
        None => true,
        Some(tag) if tag.starts_with('"') => tag == validators.etag,
        Some(_) => date(headers, &IF_RANGE).is_some_and(|since| seconds(validators.last_modified) == since),
    };
    match text(headers, &RANGE) {
        Some(range) if may_be_part => part(range, validators.length),
        _ => Answer::Whole,
    }
}

/// An unknown unit, a malformed range and several ranges are answered whole: RFC 9110 section 14.2 allows all three.
fn part(range: &str, length: u64) -> Answer {
    let Some((first, last)) = range.strip_prefix("bytes=").and_then(|set| set.split_once('-')) else {
        return Answer::Whole;
    };
    let bounds = match (first.trim().parse::<u64>(), last.trim().parse::<u64>()) {
        (Ok(first), Ok(last)) if first <= last => (first, last.min(length.saturating_sub(1))),
        (Ok(first), Err(_)) if last.trim().is_empty() => (first, length.saturating_sub(1)),
        (Err(_), Ok(0)) if first.is_empty() => return Answer::Unsatisfiable,
        (Err(_), Ok(suffix)) if first.is_empty() => (length.saturating_sub(suffix), length.saturating_sub(1)),
        _ => return Answer::Whole,
    };
    if bounds.0 >= length { Answer::Unsatisfiable } else { Answer::Part { first: bounds.0, last: bounds.1 } }
}

fn matches_any(tags: &str, etag: &str) -> bool {
    tags.split(',').map(str::trim).any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn date(headers: &HeaderMap, name: &HeaderName) -> Option<u64> {
    httpdate::parse_http_date(text(headers, name)?).ok().map(seconds)
}

/// HTTP dates have whole seconds, file systems have more.
fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;

    #[test]
    fn conditions_and_ranges_are_decided_in_order() {
        let time = UNIX_EPOCH + Duration::from_millis(784_111_777_500);
        let validators = Validators { etag: "\"a\"".to_owned(), last_modified: time, length: 10 };
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        let rows: &[(&[(&str, &str)], Answer)] = &[
            (&[], Answer::Whole),
            (&[("if-none-match", "\"a\"")], Answer::NotModified),
            (&[("if-none-match", "\"b\", W/\"a\"")], Answer::NotModified),
            (&[("if-none-match", "\"b\""), ("if-modified-since", date)], Answer::Whole),
            (&[("if-modified-since", date)], Answer::NotModified),
            (&[("range", "bytes=2-4")], Answer::Part { first: 2, last: 4 }),
            (&[("range", "bytes=2-")], Answer::Part { first: 2, last: 9 }),
            (&[("range", "bytes=-3")], Answer::Part { first: 7, last: 9 }),
            (&[("range", "bytes=2-400")], Answer::Part { first: 2, last: 9 }),
            (&[("range", "bytes=10-")], Answer::Unsatisfiable),
            (&[("range", "bytes=-0")], Answer::Unsatisfiable),
            (&[("range", "bytes=4-2")], Answer::Whole),
            (&[("range", "bytes=0-1,3-4")], Answer::Whole),
            (&[("range", "lines=1-2")], Answer::Whole),
            (&[("range", "bytes=2-4"), ("if-range", "\"a\"")], Answer::Part { first: 2, last: 4 }),
            (&[("range", "bytes=2-4"), ("if-range", "\"b\"")], Answer::Whole),
            (&[("range", "bytes=2-4"), ("if-range", date)], Answer::Part { first: 2, last: 4 }),
            (&[("range", "bytes=2-4"), ("if-none-match", "\"a\"")], Answer::NotModified),
        ];
        for (fields, expected) in rows {
            let mut headers = HeaderMap::new();
            for (name, value) in *fields {
                headers.insert(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_static(value));
            }
            assert_eq!(decide(&headers, &validators), *expected, "{fields:?}");
        }
    }
}
