//! Checks that several nouns of the document share.

use std::net::IpAddr;
use std::time::Duration;

use bodega_semantics::fields::is_token_byte;
use bodega_semantics::forwarding;
use ipnet::{IpNet, Ipv4Net};

use crate::error::{SnapshotError, wrong};

/// The name of a distribution, an origin or a policy: it becomes part of log lines, metrics and places.
pub(super) fn name(place: &str, name: &str) -> Result<(), SnapshotError> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if !(1..=MAX_NAME_BYTES).contains(&name.len()) || !name.bytes().all(is_plain) {
        return wrong(place, format!("{name:?} is no name: use letters, digits, `-`, `_` and `.`"));
    }
    Ok(())
}

/// A text that ends up in a head, a path or a file name.
pub(super) fn plain_text(place: &str, text: &str) -> Result<(), SnapshotError> {
    if text.bytes().any(|byte| byte.is_ascii_control() && byte != b'\t') {
        return wrong(place, format!("{text:?} holds control characters"));
    }
    Ok(())
}

/// A file's path or the like, which cannot be empty.
pub(super) fn filled_text(place: &str, text: &str) -> Result<(), SnapshotError> {
    if text.is_empty() {
        return wrong(place, "is empty: name something, or null for none");
    }
    plain_text(place, text)
}

/// A field that is named, but not changed.
pub(super) fn header_name(place: &str, name: &str) -> Result<(), SnapshotError> {
    if name.is_empty() || !name.bytes().all(is_token_byte) {
        return wrong(place, format!("{name:?} is no header name: for instance `x-kind`"));
    }
    Ok(())
}

/// A field that is set or removed. Framing and hop-by-hop fields are the edge's own: with them an edit could split one
/// message into two.
pub(super) fn edited_name(place: &str, name: &str) -> Result<(), SnapshotError> {
    header_name(place, name)?;
    if forwarding::is_hop_by_hop(name) || name.eq_ignore_ascii_case("content-length") {
        return wrong(place, format!("{name:?} frames the message and cannot be edited"));
    }
    if name.eq_ignore_ascii_case("host") {
        return wrong(place, "`Host` is set by the origin's `host`");
    }
    Ok(())
}

/// The value of a field (RFC 9110 section 5.5).
pub(super) fn header_value(place: &str, value: &str) -> Result<(), SnapshotError> {
    if value.bytes().any(|byte| byte.is_ascii_control() && byte != b'\t') {
        return wrong(place, format!("{value:?} holds control characters: a header value is one line"));
    }
    Ok(())
}

/// A span of time.
pub(super) fn duration(place: &str, seconds: f64) -> Result<Duration, SnapshotError> {
    if !(0.0..=MAX_SECONDS).contains(&seconds) {
        return wrong(place, format!("{seconds} is not between 0 and {MAX_SECONDS} seconds"));
    }
    Ok(Duration::from_secs_f64(seconds))
}

/// A network or an address. An IPv4 network written as IPv6 becomes the IPv4 network, since that is how its clients
/// are compared.
pub(crate) fn network(place: &str, text: &str) -> Result<IpNet, SnapshotError> {
    let Ok(network) = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from)) else {
        return wrong(place, format!("{text:?} is no network: write `10.0.0.0/8`, `2001:db8::/32` or an address"));
    };
    if network != network.trunc() {
        return wrong(place, format!("{text:?} has bits set beyond its prefix: `{}` is that network", network.trunc()));
    }
    if let IpNet::V6(mapped) = network
        && let (Some(address), Some(prefix_len)) = (mapped.addr().to_ipv4_mapped(), mapped.prefix_len().checked_sub(96))
        && let Ok(network) = Ipv4Net::new(address, prefix_len)
    {
        return Ok(IpNet::V4(network));
    }
    Ok(network)
}

/// Ten years: longer is a mistake in the unit.
const MAX_SECONDS: f64 = 315_360_000.0;
const MAX_NAME_BYTES: usize = 128;
