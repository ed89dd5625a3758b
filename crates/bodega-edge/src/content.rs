//! The content of a request that is part of its key: read whole, within bounds, and sent on exactly as it came.
//!
//! Only for behaviors that declare it (`body_key`): what such a request asks for depends on its method, its URL and what
//! it brings, and on nothing else that the origin is sent. `docs/concepts/request-bodies.md` states the rules.

use bodega_semantics::json::{self, NotCanonical};
use bodega_semantics::key::{self, ContentParts, KeySecret};
use bodega_semantics::{Head, Key, Reason};
use bodega_snapshot::{BodyForm, BodyKey};
use bytes::Bytes;

use crate::fetch::RequestBody;
use crate::held::Room;

/// The content of one request.
pub(crate) struct Content {
    method: String,
    bytes: Bytes,
    digest: Key,
    _room: Room,
}

impl Content {
    pub(crate) fn new(method: &str, bytes: Bytes, digest: Key, room: Room) -> Self {
        Self { method: method.to_owned(), bytes, digest, _room: room }
    }

    /// The key of what is asked for with it.
    pub(crate) fn key(&self, secret: &KeySecret, url: Key) -> Key {
        key::content_key(secret, url, self.digest)
    }

    /// What came.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The content as the body of a request: byte by byte as it came.
    pub(crate) fn body(&self) -> RequestBody {
        RequestBody::repeatable(self.bytes.clone())
    }

    /// Whether an origin may be asked if what is stored still holds. A condition of a POST is one on what the POST would
    /// change (RFC 9110 section 13.1.2), so that its answer would be 412; QUERY is safe, and has them as GET has.
    pub(crate) fn takes_conditions(&self) -> bool {
        self.method == "QUERY"
    }
}

/// Whether a request is for its origin alone whatever it brings: a POST with conditions.
pub(crate) fn is_for_origin<H: Head + ?Sized>(method: &str, request: &H) -> bool {
    let is_condition = |name: &[u8]| name.len() > 3 && name[..3].eq_ignore_ascii_case(b"if-");
    method == "POST" && request.fields().any(|field| is_condition(field.name.as_bytes()))
}

/// What of a body counts, if it is one that a key can be made of.
///
/// # Errors
/// Why not.
pub(crate) fn counted<H: Head + ?Sized>(rules: &BodyKey, request: &H, body: &[u8]) -> Result<Vec<u8>, Reason> {
    match &rules.form {
        BodyForm::Raw => Ok(body.to_vec()),
        BodyForm::Json { left_out } => {
            check_type(rules, request)?;
            json::canonical(body, left_out).map_err(|why| match why {
                NotCanonical::NotJson => Reason::BodyNotJson,
                NotCanonical::DuplicateName => Reason::BodyDuplicateName,
                NotCanonical::Number => Reason::BodyNumber,
                NotCanonical::Nesting => Reason::BodyNesting,
            })
        }
    }
}

/// Whether content of this type can be in the key, before any of it is read.
///
/// # Errors
/// Why not.
pub(crate) fn check_type<H: Head + ?Sized>(rules: &BodyKey, request: &H) -> Result<(), Reason> {
    if request.all("content-type").nth(1).is_some() {
        // Which of them the origin believes is not known here.
        return Err(Reason::BodyType);
    }
    match rules.form {
        BodyForm::Raw => Ok(()),
        // Under a content coding it is no JSON yet, and an origin that reads it otherwise than as UTF-8 takes other
        // values from the same bytes.
        BodyForm::Json { .. } if request.has("content-encoding") || !is_json(request) => Err(Reason::BodyType),
        BodyForm::Json { .. } => Ok(()),
    }
}

fn is_json<H: Head + ?Sized>(request: &H) -> bool {
    let Some(Ok(value)) = request.first("content-type").map(std::str::from_utf8) else { return false };
    let mut parts = value.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default().to_ascii_lowercase();
    let is_utf8 = |part: &str| match part.split_once('=') {
        Some((name, value)) if name.trim().eq_ignore_ascii_case("charset") => {
            value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
        }
        _ => true,
    };
    (essence == "application/json" || (essence.contains('/') && essence.ends_with("+json"))) && parts.all(is_utf8)
}

/// The digest of what a request brings.
pub(crate) fn digest<H: Head + ?Sized>(secret: &KeySecret, method: &str, request: &H, counted: &[u8]) -> Key {
    let content_type = request.first("content-type").map(normal_type);
    let coding: Vec<Vec<u8>> = request.all("content-encoding").map(<[u8]>::to_ascii_lowercase).collect();
    let parts = ContentParts { method, content_type: content_type.as_deref(), codings: &coding, body: counted };
    key::content_digest(secret, &parts)
}

/// A media type in one spelling: RFC 9110 section 8.3.1. All its parameters stay, since the origin is sent them.
fn normal_type(value: &[u8]) -> Vec<u8> {
    if value.contains(&b'"') {
        // What stands in quotes may hold anything.
        return value.to_vec();
    }
    let mut normal = Vec::with_capacity(value.len());
    for (number, part) in value.split(|&byte| byte == b';').map(<[u8]>::trim_ascii).enumerate() {
        let (name, value) = match part.iter().position(|&byte| byte == b'=') {
            Some(at) if number > 0 => part.split_at(at),
            _ => (part, &b""[..]),
        };
        if number > 0 {
            normal.push(b';');
        }
        let name = name.to_ascii_lowercase();
        let is_charset = name == b"charset";
        normal.extend_from_slice(&name);
        normal.extend_from_slice(&if is_charset { value.to_ascii_lowercase() } else { value.to_vec() });
    }
    normal
}

#[cfg(test)]
mod tests {
    use super::*;
    use bodega_semantics::Fields;

    fn with_type(content_type: &str) -> Fields {
        let mut fields = Fields::new();
        fields.push("Content-Type", content_type.as_bytes());
        fields
    }

    #[test]
    fn what_is_json() {
        for (content_type, is) in [
            ("application/json", true),
            ("Application/JSON ; charset=UTF-8", true),
            ("application/json;charset=\"utf-8\"", true),
            ("application/vnd.search+json; profile=\"a;b\"", true),
            ("application/json; charset=iso-8859-1", false),
            ("application/json; charset=utf-16", false),
            ("text/plain", false),
            ("application/jsonx", false),
            ("+json", false),
            ("", false),
        ] {
            assert_eq!(is_json(&with_type(content_type)), is, "{content_type}");
        }
        assert!(!is_json(&Fields::new()));
    }

    #[test]
    fn types_in_several_spellings() {
        for (one, other, are_one) in [
            ("application/json", "Application/Json", true),
            ("a/b;charset=utf-8", "a/b ; Charset=UTF-8", true),
            ("a/b;charset=utf-8", "a/b", false),
            ("a/b;x=1", "a/b;x=2", false),
            ("a/b;x=A", "a/b;x=a", false),
            ("a/b;x=\"1; 2\"", "a/b;x=\"1;2\"", false),
        ] {
            assert_eq!(normal_type(one.as_bytes()) == normal_type(other.as_bytes()), are_one, "{one} {other}");
        }
    }
}
