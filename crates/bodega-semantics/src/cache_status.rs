//! `Cache-Status`: how an answer came about. RFC 9211.

use crate::fields::is_token_byte;
use crate::outcome::Reason;

/// What is said of an answer that was not a plain hit.
#[derive(Clone, Copy, Debug)]
pub struct Forwarded<'a> {
    /// The cache's name.
    pub name: &'a str,
    /// Why the request went on: a token of RFC 9211 section 2.2.
    pub fwd: &'static str,
    /// The status the origin answered with, where it differs from the answer's.
    pub fwd_status: Option<u16>,
    /// Whether the answer is being stored.
    pub stored: bool,
    /// Whether the request joined another's fill.
    pub collapsed: bool,
    /// Seconds of freshness left; negative when stale.
    pub ttl: Option<i64>,
    /// A reason in our own words.
    pub detail: Option<&'a str>,
}

/// `NAME; hit; ttl=N`
pub fn write_hit(out: &mut Vec<u8>, name: &str, ttl_seconds: u64) {
    write_name(out, name);
    out.extend_from_slice(b"; hit; ttl=");
    write_number(out, ttl_seconds);
}

/// `NAME; hit; ttl=-N; detail=REASON`: answered although it has been stale for N seconds (RFC 9211 section 2.4).
pub fn write_stale_hit(out: &mut Vec<u8>, name: &str, stale_seconds: u64, detail: &str) {
    write_name(out, name);
    out.extend_from_slice(b"; hit; ttl=-");
    write_number(out, stale_seconds);
    write_said_detail(out, Some(detail));
}

/// `NAME; fwd=REASON; ...`
pub fn write_forwarded(out: &mut Vec<u8>, said: &Forwarded<'_>) {
    write_name(out, said.name);
    out.extend_from_slice(b"; fwd=");
    out.extend_from_slice(said.fwd.as_bytes());
    if let Some(status) = said.fwd_status {
        out.extend_from_slice(b"; fwd-status=");
        write_number(out, u64::from(status));
    }
    if said.stored {
        out.extend_from_slice(b"; stored");
    }
    if said.collapsed {
        out.extend_from_slice(b"; collapsed");
    }
    if let Some(ttl) = said.ttl {
        out.extend_from_slice(b"; ttl=");
        if ttl < 0 {
            out.push(b'-');
        }
        write_number(out, ttl.unsigned_abs());
    }
    write_said_detail(out, said.detail);
}

/// `NAME; detail=REASON`, for what neither hit nor went on.
pub fn write_detail(out: &mut Vec<u8>, name: &str, detail: &str) {
    write_name(out, name);
    write_said_detail(out, Some(detail));
}

/// `; key="KEY"` behind a member (RFC 9211 section 2.7).
pub fn write_key(out: &mut Vec<u8>, key: &str) {
    out.extend_from_slice(b"; key=");
    write_string(out, key);
}

/// The token of RFC 9211 section 2.2 for a reason.
#[must_use]
pub const fn fwd_token(reason: Reason) -> &'static str {
    match reason {
        Reason::UriMiss | Reason::Invalidated => "uri-miss",
        Reason::VaryMiss => "vary-miss",
        Reason::Expired | Reason::MustRevalidate | Reason::NotLevel | Reason::WhileRevalidate | Reason::IfError => {
            "stale"
        }
        Reason::RequestDirective => "request",
        Reason::Method => "method",
        Reason::Range => "partial",
        Reason::PolicyNone
        | Reason::UserRequest
        | Reason::Uncacheable
        | Reason::BodyLimit
        | Reason::BodyType
        | Reason::BodyNotJson
        | Reason::BodyDuplicateName
        | Reason::BodyNumber
        | Reason::BodyNesting => "bypass",
        _ => "miss",
    }
}

fn write_said_detail(out: &mut Vec<u8>, detail: Option<&str>) {
    if let Some(detail) = detail {
        out.extend_from_slice(b"; detail=");
        write_name(out, detail);
    }
}

/// A token if it can be one, else a string (RFC 9651 sections 3.3.3 and 3.3.4).
fn write_name(out: &mut Vec<u8>, name: &str) {
    let is_token = name.as_bytes().first().is_some_and(|byte| byte.is_ascii_alphabetic() || *byte == b'*')
        && name.bytes().all(|byte| is_token_byte(byte) || matches!(byte, b':' | b'/'));
    if is_token {
        out.extend_from_slice(name.as_bytes());
        return;
    }
    write_string(out, name);
}

/// RFC 9651 section 3.3.3; what cannot stand in a string is left out.
fn write_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    for byte in text.bytes().filter(|byte| matches!(byte, 0x20..=0x7e)) {
        if matches!(byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(byte);
    }
    out.push(b'"');
}

fn write_number(out: &mut Vec<u8>, mut value: u64) {
    let mut digits = [0_u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + u8::try_from(value % 10).unwrap_or(0);
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_written_as_rfc_9211_shows_them() {
        let hit = |name: &str| {
            let mut out = Vec::new();
            write_hit(&mut out, name, 376);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(hit("ExampleCache"), "ExampleCache; hit; ttl=376");
        assert_eq!(hit("my \"edge\""), "\"my \\\"edge\\\"\"; hit; ttl=376");
        let mut out = Vec::new();
        write_forwarded(
            &mut out,
            &Forwarded {
                name: "bodega",
                fwd: "stale",
                fwd_status: Some(304),
                stored: true,
                collapsed: true,
                ttl: Some(-5),
                detail: Some("expired"),
            },
        );
        assert_eq!(out, b"bodega; fwd=stale; fwd-status=304; stored; collapsed; ttl=-5; detail=expired");
    }
    const PLAIN: Forwarded<'_> = Forwarded {
        name: "bodega",
        fwd: "uri-miss",
        fwd_status: None,
        stored: false,
        collapsed: false,
        ttl: None,
        detail: None,
    };

    #[test]
    fn only_what_is_so_is_said() {
        let written = |said: &Forwarded<'_>| {
            let mut out = Vec::new();
            write_forwarded(&mut out, said);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(written(&PLAIN), "bodega; fwd=uri-miss");
        assert_eq!(written(&Forwarded { stored: true, ..PLAIN }), "bodega; fwd=uri-miss; stored");
        assert_eq!(written(&Forwarded { collapsed: true, ..PLAIN }), "bodega; fwd=uri-miss; collapsed");
        assert_eq!(written(&Forwarded { ttl: Some(0), ..PLAIN }), "bodega; fwd=uri-miss; ttl=0");
        assert_eq!(
            written(&Forwarded { ttl: Some(i64::MIN), ..PLAIN }),
            "bodega; fwd=uri-miss; ttl=-9223372036854775808"
        );
        assert_eq!(
            written(&Forwarded { detail: Some("two words"), ..PLAIN }),
            "bodega; fwd=uri-miss; detail=\"two words\""
        );
    }

    #[test]
    fn stale_answers_and_refusals_say_why() {
        let mut out = Vec::new();
        write_stale_hit(&mut out, "bodega", 5, "while-revalidate");
        assert_eq!(out, b"bodega; hit; ttl=-5; detail=while-revalidate");
        out.clear();
        write_detail(&mut out, "bodega", "limit");
        assert_eq!(out, b"bodega; detail=limit");
        out.clear();
        write_hit(&mut out, "bodega", u64::MAX);
        assert_eq!(out, b"bodega; hit; ttl=18446744073709551615");
    }

    #[test]
    fn every_reason_has_a_token_that_rfc_9211_knows() {
        // Section 2.2.
        const KNOWN: [&str; 8] = ["bypass", "method", "uri-miss", "vary-miss", "miss", "request", "stale", "partial"];
        for reason in Reason::ALL {
            assert!(KNOWN.contains(&fwd_token(*reason)), "{}", reason.name());
        }
        for (reason, token) in [
            (Reason::UriMiss, "uri-miss"),
            (Reason::VaryMiss, "vary-miss"),
            (Reason::Expired, "stale"),
            (Reason::MustRevalidate, "stale"),
            (Reason::RequestDirective, "request"),
            (Reason::Method, "method"),
            (Reason::PolicyNone, "bypass"),
            (Reason::Range, "partial"),
        ] {
            assert_eq!(fwd_token(reason), token);
        }
    }

    #[test]
    fn a_name_is_a_token_if_it_can_be_one() {
        for (name, expected) in [
            ("a/b:c", "a/b:c"),
            ("*x", "*x"),
            ("edge-1.example", "edge-1.example"),
            ("1edge", "\"1edge\""),
            ("", "\"\""),
            ("a b", "\"a b\""),
            ("a\\b", "\"a\\\\b\""),
            ("a\r\nb: c", "\"ab: c\""),
            ("\u{e9}", "\"\""),
        ] {
            let mut out = Vec::new();
            write_name(&mut out, name);
            assert_eq!(String::from_utf8(out).unwrap(), expected, "{name:?}");
        }
    }
}
