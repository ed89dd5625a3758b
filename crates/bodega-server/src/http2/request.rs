//! What a stream asks, as the machine reads it. The `h2` crate has refused uppercase names, connection-specific fields
//! and pseudo-fields out of place (RFC 9113 section 8.2); what two readers could still take in two ways is refused here.

use bodega_edge::RequestView;
use bodega_http1::{EMPTY_FIELD, MAX_FIELDS};
use bodega_semantics::Field;
use http::request::Parts;
use http::uri::PathAndQuery;

use crate::connection::Connection;

/// Why a request is refused: a status, and what was wrong.
pub(crate) struct Wrong {
    pub(crate) status: u16,
    pub(crate) what: &'static str,
}

/// Hands the request to `with`, read as the machine reads it. It is borrowed from `parts`: a hit copies nothing.
pub(crate) fn read<T>(
    parts: &Parts,
    connection: &Connection,
    has_body: bool,
    with: impl FnOnce(&RequestView<'_>) -> T,
) -> Result<T, Wrong> {
    let n_fields = parts.headers.len();
    if n_fields > MAX_FIELDS {
        return Err(Wrong { status: 431, what: "more fields than the limit" });
    }
    let authority = authority(parts)?;
    let (path, query) = target(parts)?;
    let https = connection.is_https();
    if parts.uri.scheme_str().is_some_and(|scheme| (scheme == "https") != https) {
        return Err(Wrong { status: 400, what: "a :scheme that is not the connection's" });
    }
    let mut few = [EMPTY_FIELD; USUAL_FIELDS];
    let mut many = Vec::new();
    let slots = if n_fields <= USUAL_FIELDS {
        &mut few[..]
    } else {
        many.resize(n_fields, EMPTY_FIELD);
        &mut many[..]
    };
    let mut cookie = Vec::new();
    let n_cookies = parts.headers.get_all(http::header::COOKIE).iter().count();
    if n_cookies > 1 {
        // RFC 9113 section 8.2.3: crumbs are one field everywhere else.
        let crumbs: Vec<&[u8]> = parts.headers.get_all(http::header::COOKIE).iter().map(AsRef::as_ref).collect();
        cookie = crumbs.join(&b"; "[..]);
    }
    let mut n_read = 0;
    for (name, value) in &parts.headers {
        let value = value.as_bytes();
        // RFC 9113 section 8.2.1.
        if let ([b' ' | b'\t', ..], _) | (_, [.., b' ' | b'\t']) = (value, value) {
            return Err(Wrong { status: 400, what: "a value that begins or ends with a space" });
        }
        if n_cookies > 1 && name == http::header::COOKIE {
            continue;
        }
        slots[n_read] = Field { name: name.as_str(), value };
        n_read += 1;
    }
    if n_cookies > 1 {
        slots[n_read] = Field { name: "cookie", value: &cookie };
        n_read += 1;
    }
    Ok(with(&RequestView {
        method: parts.method.as_str(),
        https,
        authority,
        path,
        query,
        fields: &slots[..n_read],
        peer: connection.client(),
        has_body,
        // What has come of it lies in frames.
        body: None,
        version: "2",
        upgrade: false,
    }))
}

/// RFC 9113 section 8.3.1: `:authority`, and a `Host` that says the same or is not there; or `Host` alone.
fn authority(parts: &Parts) -> Result<&str, Wrong> {
    const WRONG: Wrong = Wrong { status: 400, what: "a malformed :authority or Host" };
    let mut hosts = parts.headers.get_all(http::header::HOST).iter();
    let field = hosts.next().map(|host| bodega_http1::authority(host.as_bytes())).transpose().map_err(|_| WRONG)?;
    if hosts.next().is_some() {
        return Err(Wrong { status: 400, what: "more than one Host" });
    }
    let pseudo = match parts.uri.authority() {
        Some(authority) => Some(bodega_http1::authority(authority.as_str().as_bytes()).map_err(|_| WRONG)?),
        None => None,
    };
    match (pseudo, field) {
        (Some(pseudo), Some(field)) if !pseudo.eq_ignore_ascii_case(field) => {
            Err(Wrong { status: 400, what: "a Host that differs from :authority" })
        }
        (Some(authority), _) | (None, Some(authority)) => Ok(authority),
        (None, None) => Err(Wrong { status: 400, what: "neither :authority nor Host" }),
    }
}

/// Path and query, which the `h2` crate takes loosely.
fn target(parts: &Parts) -> Result<(&str, Option<&str>), Wrong> {
    let target = parts.uri.path_and_query().map_or("/", PathAndQuery::as_str);
    if !target.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Wrong { status: 400, what: "a :path with characters that no URI holds" });
    }
    if !(target.starts_with('/') || target == "*" && parts.method == http::Method::OPTIONS) {
        return Err(Wrong { status: 400, what: "a :path that does not begin with a slash" });
    }
    Ok(match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    })
}

/// Nearly all requests have as many fields at most.
const USUAL_FIELDS: usize = 24;
