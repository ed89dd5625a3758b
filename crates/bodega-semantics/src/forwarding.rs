//! What a gateway takes out of a request and an answer, and what it adds: hop-by-hop fields (RFC 9110 section 7.6.1),
//! `Via` (7.6.3), `Forwarded` (RFC 7239) with its older relatives, `CDN-Loop` (RFC 8586).

use std::net::IpAddr;

use crate::fields::{Fields, Head, list_members};

/// Fields that mean something for one connection only.
const HOP_BY_HOP: [&str; 9] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
/// Fields that `Connection` may not take away: a client could make a request mean something else to the origin.
const NOT_TO_BE_NAMED: [&str; 8] =
    ["host", "authorization", "cookie", "content-length", "content-type", "cdn-loop", "forwarded", "x-forwarded-for"];
/// Fields in which a request says who forwarded it.
const FORWARDED: [&str; 6] =
    ["forwarded", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-port", "x-real-ip"];

/// Whether a field is for one connection only.
#[must_use]
pub fn is_hop_by_hop(name: &str) -> bool {
    HOP_BY_HOP.iter().any(|other| name.eq_ignore_ascii_case(other))
}

/// The fields that go on.
pub fn end_to_end<H: Head + ?Sized>(head: &H) -> Fields {
    let named: Vec<&[u8]> = list_members(head.all("connection")).collect();
    let mut fields = Fields::with_capacity(512);
    for field in head.fields() {
        let is_named = named.iter().any(|name| field.name.as_bytes().eq_ignore_ascii_case(name))
            && !NOT_TO_BE_NAMED.iter().any(|other| field.name.eq_ignore_ascii_case(other));
        if !is_hop_by_hop(field.name) && !is_named {
            fields.push(field.name, field.value);
        }
    }
    fields
}

/// Sets who forwarded the request. What a trusted proxy said is kept and added to; anybody else's word is
/// overwritten.
pub fn add_forwarded<H: Head + ?Sized>(
    fields: &mut Fields,
    request: &H,
    peer: IpAddr,
    scheme: &str,
    authority: &str,
    trusted: bool,
) {
    for name in FORWARDED {
        fields.remove(name);
    }
    let peer_text = peer.to_string();
    let node = match peer {
        IpAddr::V4(address) => address.to_string(),
        // RFC 7239 section 6: IPv6 addresses are bracketed and quoted.
        IpAddr::V6(address) => format!("\"[{address}]\""),
    };
    let host = quoted_if_needed(authority);
    let own = if authority.is_empty() {
        format!("for={node};proto={scheme}")
    } else {
        format!("for={node};host={host};proto={scheme}")
    };
    let joined = |name: &str, own: &str| -> Vec<u8> {
        let mut value: Vec<u8> = Vec::new();
        if trusted {
            for line in request.all(name) {
                value.extend_from_slice(line);
                value.extend_from_slice(b", ");
            }
        }
        value.extend_from_slice(own.as_bytes());
        value
    };
    fields.push("Forwarded", &joined("forwarded", &own));
    fields.push("X-Forwarded-For", &joined("x-forwarded-for", &peer_text));
    let first_word = |name: &str, own: &str| -> Vec<u8> {
        request.first(name).filter(|_| trusted).map_or_else(|| own.as_bytes().to_vec(), <[u8]>::to_vec)
    };
    fields.push("X-Forwarded-Proto", &first_word("x-forwarded-proto", scheme));
    if !authority.is_empty() {
        fields.push("X-Forwarded-Host", &first_word("x-forwarded-host", authority));
    }
}

fn quoted_if_needed(text: &str) -> String {
    if text.bytes().all(crate::fields::is_token_byte) {
        text.to_owned()
    } else {
        format!("\"{}\"", text.replace(['"', '\\'], ""))
    }
}

/// The client behind the trusted proxies: from the nearest back, the first that is not one of them.
pub fn client_address<H: Head + ?Sized>(head: &H, peer: IpAddr, trusted: &dyn Fn(IpAddr) -> bool) -> IpAddr {
    let mut client = peer;
    let members: Vec<&[u8]> = list_members(head.all("x-forwarded-for")).collect();
    for member in members.iter().rev() {
        if !trusted(client) {
            break;
        }
        let text = String::from_utf8_lossy(member);
        let Ok(address) = text.trim_matches(['[', ']']).parse::<IpAddr>() else { break };
        client = address.to_canonical();
    }
    client
}

/// Adds this gateway to `Via`: the version the message came by, and our name.
pub fn append_via<H: Head + ?Sized>(fields: &mut Fields, request: &H, version: &str, name: &str) {
    fields.remove("via");
    let mut value: Vec<u8> = Vec::new();
    for line in request.all("via") {
        value.extend_from_slice(line);
        value.extend_from_slice(b", ");
    }
    value.extend_from_slice(format!("{version} {name}").as_bytes());
    fields.push("Via", &value);
}

/// Adds this edge to `CDN-Loop`.
pub fn append_cdn_loop<H: Head + ?Sized>(fields: &mut Fields, request: &H, name: &str, instance: &str) {
    fields.remove("cdn-loop");
    let mut value: Vec<u8> = Vec::new();
    for line in request.all("cdn-loop") {
        value.extend_from_slice(line);
        value.extend_from_slice(b", ");
    }
    value.extend_from_slice(format!("{name}; id={instance}").as_bytes());
    fields.push("CDN-Loop", &value);
}

/// Whether the request has been through this very edge.
pub fn cdn_loop_contains<H: Head + ?Sized>(head: &H, name: &str, instance: &str) -> bool {
    list_members(head.all("cdn-loop")).any(|member| {
        let mut parts = member.split(|&byte| byte == b';').map(<[u8]>::trim_ascii);
        let is_name = parts.next().is_some_and(|id| id.eq_ignore_ascii_case(name.as_bytes()));
        is_name && parts.any(|part| part.strip_prefix(b"id=") == Some(instance.as_bytes()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(lines: &[(&str, &str)]) -> Fields {
        let mut fields = Fields::new();
        for (name, value) in lines {
            fields.push(name, value.as_bytes());
        }
        fields
    }

    fn text(value: Option<&[u8]>) -> String {
        String::from_utf8_lossy(value.unwrap_or_default()).into_owned()
    }

    #[test]
    fn connection_takes_away_what_it_names_but_nothing_that_others_rely_on() {
        let request = fields(&[
            ("Connection", "close, X-Hop, Cookie"),
            ("X-Hop", "1"),
            ("Cookie", "a=1"),
            ("TE", "trailers"),
            ("X-Stays", "1"),
        ]);
        let left: Vec<String> = end_to_end(&request).fields().map(|field| field.name.to_owned()).collect();
        assert_eq!(left, ["Cookie", "X-Stays"]);
    }

    #[test]
    fn only_a_trusted_proxy_is_believed() {
        let request = fields(&[("X-Forwarded-For", "10.0.0.1"), ("X-Forwarded-Proto", "https")]);
        let peer: IpAddr = "192.0.2.1".parse().unwrap();
        for (trusted, chain, scheme) in [(true, "10.0.0.1, 192.0.2.1", "https"), (false, "192.0.2.1", "http")] {
            let mut sent = request.clone();
            add_forwarded(&mut sent, &request, peer, "http", "shop.example:80", trusted);
            assert_eq!(text(sent.first("x-forwarded-for")), chain);
            assert_eq!(text(sent.first("x-forwarded-proto")), scheme);
            assert!(text(sent.first("forwarded")).ends_with("for=192.0.2.1;host=\"shop.example:80\";proto=http"));
        }
    }

    #[test]
    fn the_client_is_the_first_from_the_right_that_is_no_proxy_of_ours() {
        let trusted = |address: IpAddr| address.to_string().starts_with("10.");
        let request = fields(&[("X-Forwarded-For", "203.0.113.7, 198.51.100.1, 10.0.0.2")]);
        let from = |peer: &str| client_address(&request, peer.parse().unwrap(), &trusted).to_string();
        assert_eq!(from("10.0.0.1"), "198.51.100.1");
        assert_eq!(from("192.0.2.1"), "192.0.2.1");
    }

    #[test]
    fn a_loop_is_this_instance_not_this_name() {
        let mut sent = Fields::new();
        append_cdn_loop(&mut sent, &fields(&[("CDN-Loop", "other")]), "bodega", "ab12");
        assert_eq!(text(sent.first("cdn-loop")), "other, bodega; id=ab12");
        assert!(cdn_loop_contains(&sent, "bodega", "ab12"));
        assert!(!cdn_loop_contains(&sent, "bodega", "cd34"));
    }
}
