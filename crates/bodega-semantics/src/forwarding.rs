//! What a gateway takes out of a request and an answer, and what it adds: hop-by-hop fields (RFC 9110 section 7.6.1),
//! `Max-Forwards` (7.6.2), `Via` (7.6.3), `Forwarded` (RFC 7239) with its older relatives, `CDN-Loop` (RFC 8586).

use std::net::{IpAddr, SocketAddr};

use crate::fields::{Fields, Head, is_token_byte, list_members};

/// Fields that mean something for one connection only, or for one proxy (RFC 9111 section 3.1).
const HOP_BY_HOP: [&str; 10] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authenticate",
    "proxy-authentication-info",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
/// Fields that `Connection` may not take away, since they are for everybody on the way (RFC 9110 section 7.6.1):
/// without them a request means something else to the origin, or a private answer seems fit for all.
const NOT_TO_BE_NAMED: [&str; 37] = [
    "age",
    "authorization",
    "bodega-cache-control",
    "cache-control",
    "cache-group-invalidation",
    "cache-groups",
    "cdn-cache-control",
    "cdn-loop",
    "content-encoding",
    "content-length",
    "content-location",
    "content-range",
    "content-type",
    "cookie",
    "date",
    "etag",
    "expires",
    "forwarded",
    "host",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "last-modified",
    "location",
    "max-forwards",
    "pragma",
    "range",
    "set-cookie",
    "vary",
    "via",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-real-ip",
];
/// Fields of a head alone, beside those above: routing, modifiers, authentication, controls, the form of the content.
const HEAD_ONLY: [&str; 26] = [
    "accept-ranges",
    "access-control-allow-credentials",
    "access-control-allow-headers",
    "access-control-allow-methods",
    "access-control-allow-origin",
    "access-control-expose-headers",
    "alt-svc",
    "authentication-info",
    "cache-status",
    "clear-site-data",
    "content-disposition",
    "content-language",
    "content-security-policy",
    "content-security-policy-report-only",
    "expect",
    "link",
    "permissions-policy",
    "proxy-status",
    "referrer-policy",
    "refresh",
    "retry-after",
    "strict-transport-security",
    "surrogate-control",
    "warning",
    "www-authenticate",
    "x-frame-options",
];
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

/// Takes out what `Connection` names and `Connection` itself, but what is in the cache key.
///
/// Done before anything is made of a request that goes on, so that the fields its answer is stored under are the ones
/// the origin saw. Else a client could name a field that answers vary by, and have others get an answer made without it.
pub fn remove_named(fields: &mut Fields, in_key: &[String]) {
    if !fields.has("connection") {
        return;
    }
    let named: Vec<Vec<u8>> = list_members(fields.all("connection")).map(<[u8]>::to_vec).collect();
    fields.retain(|field| {
        let is = |name: &str| field.name.eq_ignore_ascii_case(name);
        let is_named = named.iter().any(|name| field.name.as_bytes().eq_ignore_ascii_case(name));
        let stays = NOT_TO_BE_NAMED.iter().any(|name| is(name)) || in_key.iter().any(|name| is(name));
        !is("connection") && (stays || !is_named)
    });
}

/// The trailer fields of an answer that may go on: none that means something where it should have been in the head (RFC
/// 9110 section 6.5.1), since nobody has looked at it there, and none for one connection.
pub fn trailers<H: Head + ?Sized>(section: &H) -> Fields {
    let mut fields = Fields::new();
    for field in section.fields() {
        if is_fit_for_trailers(field.name) {
            fields.push(field.name, field.value);
        }
    }
    fields
}

/// Of the names in `Trailer`, those that may go on, as a list; `None` if there are none.
pub fn announced_trailers<H: Head + ?Sized>(head: &H) -> Option<Vec<u8>> {
    let names: Vec<&[u8]> = list_members(head.all("trailer"))
        .filter(|name| name.iter().copied().all(is_token_byte))
        .filter(|name| std::str::from_utf8(name).is_ok_and(is_fit_for_trailers))
        .collect();
    (!names.is_empty()).then(|| names.join(&b", "[..]))
}

fn is_fit_for_trailers(name: &str) -> bool {
    let is = |listed: &&str| name.eq_ignore_ascii_case(listed);
    !is_hop_by_hop(name) && !NOT_TO_BE_NAMED.iter().any(is) && !HEAD_ONLY.iter().any(is)
}

/// Whether the request says that its client takes trailer fields (RFC 9110 section 10.1.4).
pub fn takes_trailers<H: Head + ?Sized>(head: &H) -> bool {
    list_members(head.all("te")).any(|member| {
        let coding = member.split(|&byte| byte == b';').next().unwrap_or_default();
        coding.trim_ascii().eq_ignore_ascii_case(b"trailers")
    })
}

/// How much further an `OPTIONS` request may go (RFC 9110 section 7.6.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hops {
    /// As far as it likes.
    Any,
    /// No further: who has it answers it.
    None,
    /// To the next, who is told this.
    Left(u32),
}

/// Reads `Max-Forwards`. What cannot be read was meant as a bound all the same: then the request goes no further.
pub fn hops<H: Head + ?Sized>(head: &H) -> Hops {
    if !head.has("max-forwards") {
        return Hops::Any;
    }
    let Some(value) = head.only("max-forwards") else { return Hops::None };
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Hops::None;
    }
    let most = std::str::from_utf8(value).ok().and_then(|digits| digits.parse().ok()).unwrap_or(u32::MAX);
    most.checked_sub(1).map_or(Hops::None, Hops::Left)
}

/// The scheme by which a client came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scheme {
    /// Whether it was `https`: what a trusted proxy says of its client, else the connection's own.
    pub is_https: bool,
    /// Equal for two requests if origins are told the same of their schemes, in whichever field they look for it.
    pub told: u8,
}

impl Scheme {
    /// As it is written.
    #[must_use]
    pub const fn name(self) -> &'static str {
        if self.is_https { "https" } else { "http" }
    }
}

/// Whether the client came by `https`. The one place that decides it.
///
/// Proxies in a row name the client's scheme first. Where one of them adds to what a client invented, the client has
/// fooled itself alone: the key holds what the origin is told.
pub fn scheme<H: Head + ?Sized>(request: &H, connection_is_https: bool, trusted: bool) -> Scheme {
    let of = |is_https, first_is_https| Scheme {
        is_https,
        told: u8::from(is_https) | u8::from(connection_is_https) << 1 | u8::from(first_is_https) << 2,
    };
    if !trusted {
        return of(connection_is_https, connection_is_https);
    }
    let forwarded = list_members(request.all("forwarded")).find_map(proto).and_then(is_https);
    let said = list_members(request.all("x-forwarded-proto")).next().and_then(is_https);
    of(said.or(forwarded).unwrap_or(connection_is_https), forwarded.unwrap_or(connection_is_https))
}

fn is_https(scheme: &[u8]) -> Option<bool> {
    let is = |name: &[u8]| scheme.eq_ignore_ascii_case(name);
    if is(b"https") { Some(true) } else { is(b"http").then_some(false) }
}

/// The `proto` of an element of `Forwarded` (RFC 7239 section 5.4).
fn proto(element: &[u8]) -> Option<&[u8]> {
    let mut quoted = false;
    let mut escaped = false;
    let pairs = element.split(|&byte| {
        let (in_quotes, is_escaped) = (quoted, escaped);
        escaped = in_quotes && !is_escaped && byte == b'\\';
        quoted ^= byte == b'"' && !is_escaped;
        byte == b';' && !in_quotes
    });
    pairs.map(<[u8]>::trim_ascii).find_map(|pair| {
        let at = pair.iter().position(|&byte| byte == b'=')?;
        let value = &pair[at + 1..];
        let bare = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value);
        pair[..at].eq_ignore_ascii_case(b"proto").then_some(bare)
    })
}

/// Sets who forwarded the request. What a trusted proxy said is kept and added to; anybody else's word is
/// overwritten.
pub fn add_forwarded<H: Head + ?Sized>(
    fields: &mut Fields,
    request: &H,
    peer: IpAddr,
    connection_is_https: bool,
    authority: &str,
    trusted: bool,
) {
    let own_scheme = if connection_is_https { "https" } else { "http" };
    for name in FORWARDED {
        fields.remove(name);
    }
    let peer = peer.to_canonical();
    let peer_text = peer.to_string();
    let node = match peer {
        IpAddr::V4(address) => address.to_string(),
        // RFC 7239 section 6: IPv6 addresses are bracketed and quoted.
        IpAddr::V6(address) => format!("\"[{address}]\""),
    };
    let host = quoted_if_needed(authority);
    let own = if authority.is_empty() {
        format!("for={node};proto={own_scheme}")
    } else {
        format!("for={node};host={host};proto={own_scheme}")
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
    // One of two words: whatever else a proxy passed on is not in the key.
    fields.push("X-Forwarded-Proto", scheme(request, connection_is_https, trusted).name().as_bytes());
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

/// The client behind the trusted proxies: from the nearest back, the first that is not one of them. Where the chain
/// names no address, it is the last proxy that could be told.
pub fn client_address<H: Head + ?Sized>(head: &H, peer: IpAddr, trusted: &dyn Fn(IpAddr) -> bool) -> IpAddr {
    // A listener for both families sees IPv4 peers in their IPv6 form.
    let mut client = peer.to_canonical();
    let members: Vec<&[u8]> = list_members(head.all("x-forwarded-for")).collect();
    for member in members.iter().rev() {
        if !trusted(client) {
            break;
        }
        let Some(address) = address(member) else { break };
        client = address.to_canonical();
    }
    client
}

/// An address, perhaps with brackets and the port that some proxies add.
fn address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?;
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    bare.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()))
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

    fn text(value: Option<&[u8]>) -> String {
        String::from_utf8_lossy(value.unwrap_or_default()).into_owned()
    }

    #[test]
    fn connection_takes_away_what_it_names_but_nothing_that_others_rely_on() {
        let request = Fields::of(&[
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
        let request = Fields::of(&[("X-Forwarded-For", "10.0.0.1"), ("X-Forwarded-Proto", "https")]);
        let peer: IpAddr = "192.0.2.1".parse().unwrap();
        for (trusted, chain, scheme) in [(true, "10.0.0.1, 192.0.2.1", "https"), (false, "192.0.2.1", "http")] {
            let mut sent = request.clone();
            add_forwarded(&mut sent, &request, peer, false, "shop.example:80", trusted);
            assert_eq!(text(sent.first("x-forwarded-for")), chain);
            assert_eq!(text(sent.first("x-forwarded-proto")), scheme);
            assert!(text(sent.first("forwarded")).ends_with("for=192.0.2.1;host=\"shop.example:80\";proto=http"));
        }
    }

    #[test]
    fn the_client_is_the_first_from_the_right_that_is_no_proxy_of_ours() {
        let trusted = |address: IpAddr| address.to_string().starts_with("10.");
        let request = Fields::of(&[("X-Forwarded-For", "203.0.113.7, 198.51.100.1, 10.0.0.2")]);
        let from = |peer: &str| client_address(&request, peer.parse().unwrap(), &trusted).to_string();
        assert_eq!(from("10.0.0.1"), "198.51.100.1");
        assert_eq!(from("192.0.2.1"), "192.0.2.1");
    }

    #[test]
    fn a_loop_is_this_instance_not_this_name() {
        let mut sent = Fields::new();
        append_cdn_loop(&mut sent, &Fields::of(&[("CDN-Loop", "other")]), "bodega", "ab12");
        assert_eq!(text(sent.first("cdn-loop")), "other, bodega; id=ab12");
        assert!(cdn_loop_contains(&sent, "bodega", "ab12"));
        assert!(!cdn_loop_contains(&sent, "bodega", "cd34"));
    }
    #[test]
    fn what_connection_names_goes_first_but_not_what_is_in_the_key() {
        for (connection, in_key, left) in [
            ("X-A", &[][..], "Cookie: 1\r\nTE: x\r\n"),
            ("x-a, close, cookie, connection", &[][..], "Cookie: 1\r\nTE: x\r\n"),
            ("X-A", &["x-a".to_owned()][..], "X-A: 1\r\nCookie: 1\r\nTE: x\r\n"),
            ("te", &[][..], "X-A: 1\r\nCookie: 1\r\n"),
            ("", &[][..], "X-A: 1\r\nCookie: 1\r\nTE: x\r\n"),
        ] {
            let mut request = Fields::of(&[("X-A", "1"), ("Connection", connection), ("Cookie", "1"), ("TE", "x")]);
            remove_named(&mut request, in_key);
            assert_eq!(text(Some(request.as_block())), left, "{connection}");
        }
    }

    #[test]
    fn a_limit_of_hops_is_read_as_rfc_9110_section_7_6_2_says() {
        for (lines, expected) in [
            (&[][..], Hops::Any),
            (&["0"][..], Hops::None),
            (&["000"][..], Hops::None),
            (&["1"][..], Hops::Left(0)),
            (&["010"][..], Hops::Left(9)),
            (&["4294967295"][..], Hops::Left(u32::MAX - 1)),
            (&["99999999999999999999999999"][..], Hops::Left(u32::MAX - 1)),
            (&[""][..], Hops::None),
            (&["-1"][..], Hops::None),
            (&["+1"][..], Hops::None),
            (&["1, 2"][..], Hops::None),
            (&["many"][..], Hops::None),
            (&["3", "3"][..], Hops::None),
        ] {
            let lines: Vec<(&str, &str)> = lines.iter().map(|value| ("Max-Forwards", *value)).collect();
            assert_eq!(hops(&Fields::of(&lines)), expected, "{lines:?}");
        }
    }

    #[test]
    fn connection_cannot_make_a_private_answer_public() {
        let answer = Fields::of(&[
            ("Connection", "Cache-Control, Set-Cookie, vary, X-Hop, ETag"),
            ("Cache-Control", "no-store"),
            ("Set-Cookie", "a=1"),
            ("Vary", "*"),
            ("X-Hop", "1"),
            ("ETag", "\"a\""),
            ("Proxy-Authentication-Info", "x"),
        ]);
        let left: Vec<String> = end_to_end(&answer).fields().map(|field| field.name.to_owned()).collect();
        assert_eq!(left, ["Cache-Control", "Set-Cookie", "Vary", "ETag"]);
    }

    #[test]
    fn trailers_hold_nothing_that_belongs_into_a_head() {
        let section = Fields::of(&[
            ("X-Checksum", "1"),
            ("Content-Length", "3"),
            ("TRANSFER-ENCODING", "gzip"),
            ("Host", "evil"),
            ("Set-Cookie", "a=1"),
            ("Authorization", "x"),
            ("WWW-Authenticate", "Basic"),
            ("Cache-Control", "no-store"),
            ("Strict-Transport-Security", "max-age=0"),
            ("Connection", "X-Checksum"),
            ("Trailer", "x"),
            ("Server-Timing", "a"),
            ("grpc-status", "0"),
        ]);
        assert_eq!(trailers(&section).as_block(), b"X-Checksum: 1\r\nServer-Timing: a\r\ngrpc-status: 0\r\n");
        for (lines, expected) in [
            (&["x-checksum, Content-Length", "grpc-status,, a b"][..], Some("x-checksum, grpc-status")),
            (&["content-length"], None),
            (&[], None),
        ] {
            let lines: Vec<(&str, &str)> = lines.iter().map(|value| ("Trailer", *value)).collect();
            assert_eq!(announced_trailers(&Fields::of(&lines)).as_deref(), expected.map(str::as_bytes));
        }
        for (te, expected) in [
            ("trailers", true),
            ("gzip, Trailers", true),
            ("trailers;q=0.5, deflate", true),
            ("trailer", false),
            ("x-trailers", false),
            ("", false),
        ] {
            assert_eq!(takes_trailers(&Fields::of(&[("TE", te)])), expected, "{te}");
        }
    }

    #[test]
    fn every_hop_by_hop_field_goes_in_any_case() {
        for name in HOP_BY_HOP {
            let upper = name.to_ascii_uppercase();
            assert!(is_hop_by_hop(&upper), "{name}");
            assert!(end_to_end(&Fields::of(&[(&upper, "x")])).is_empty(), "{name}");
            assert!(!NOT_TO_BE_NAMED.contains(&name), "{name}");
        }
        assert!(!is_hop_by_hop("host"));
        let tricky =
            Fields::of(&[("Connection", "X-A"), ("connection", " , x-b,,"), ("X-A", "1"), ("X-B", "2"), ("X-C", "3")]);
        assert_eq!(end_to_end(&tricky).as_block(), b"X-C: 3\r\n");
    }

    #[test]
    fn forwarded_is_written_as_rfc_7239_section_6_says() {
        for (peer, authority, forwarded, address) in [
            ("192.0.2.1", "h", "for=192.0.2.1;host=h;proto=https", "192.0.2.1"),
            ("2001:db8::1", "h:1", "for=\"[2001:db8::1]\";host=\"h:1\";proto=https", "2001:db8::1"),
            ("::ffff:192.0.2.1", "", "for=192.0.2.1;proto=https", "192.0.2.1"),
        ] {
            let mut sent = Fields::new();
            add_forwarded(&mut sent, &Fields::new(), peer.parse().unwrap(), true, authority, false);
            assert_eq!(text(sent.first("forwarded")), forwarded);
            assert_eq!(text(sent.first("x-forwarded-for")), address);
            assert_eq!(text(sent.first("x-forwarded-host")), authority);
        }
    }

    #[test]
    fn the_scheme_is_what_a_trusted_proxy_says_of_its_client() {
        for (https, trusted, proto, forwarded, expected, told) in [
            (false, false, None, None, "http", 0),
            (true, false, None, None, "https", 7),
            (false, false, Some("https"), Some("proto=https"), "http", 0),
            (true, false, Some("http"), Some("proto=http"), "https", 7),
            (false, true, None, None, "http", 0),
            (false, true, Some("https"), None, "https", 1),
            (false, true, Some("HTTPS"), None, "https", 1),
            (true, true, Some("http"), None, "http", 6),
            (true, true, Some("https"), None, "https", 7),
            (false, true, None, Some("for=1.2.3.4;proto=https"), "https", 5),
            (false, true, None, Some("for=1.2.3.4;Proto=\"https\";by=x"), "https", 5),
            (false, true, Some("https"), Some("for=1.2.3.4;proto=https"), "https", 5),
            // Where both say something, each is told: none stands in for the other.
            (false, true, Some("http"), Some("proto=https"), "http", 4),
            (false, true, Some("https"), Some("proto=http"), "https", 1),
            (true, true, Some("https"), Some("proto=http"), "https", 3),
            // The client's is the first.
            (false, true, Some("https, http"), None, "https", 1),
            (false, true, None, Some("for=a;proto=https, for=b;proto=http"), "https", 5),
            (false, true, None, Some("for=a, for=b;proto=https"), "https", 5),
            // What is no scheme says nothing.
            (false, true, Some("wss"), None, "http", 0),
            (true, true, Some(""), Some("proto=ftp"), "https", 7),
            // What is in quotes is no parameter.
            (false, true, None, Some("host=\"a;proto=https\""), "http", 0),
            (false, true, None, Some("host=\"a\\\";proto=https\";for=b"), "http", 0),
        ] {
            let lines = [("X-Forwarded-Proto", proto), ("Forwarded", forwarded)];
            let lines: Vec<(&str, &str)> = lines.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
            let found = scheme(&Fields::of(&lines), https, trusted);
            assert_eq!((found.name(), found.told), (expected, told), "{https} {trusted} {lines:?}");
        }
    }

    #[test]
    fn addresses_are_read_as_proxies_write_them() {
        for (written, expected) in [
            ("192.0.2.7", "192.0.2.7"),
            ("192.0.2.7:4711", "192.0.2.7"),
            ("2001:db8::7", "2001:db8::7"),
            ("[2001:db8::7]", "2001:db8::7"),
            ("[2001:db8::7]:4711", "2001:db8::7"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            // What is no address ends the walk at the proxy that wrote it.
            ("unknown", "10.0.0.1"),
            ("\"192.0.2.7\"", "10.0.0.1"),
            ("192.0.2.7:x", "10.0.0.1"),
            ("", "10.0.0.1"),
        ] {
            let request = Fields::of(&[("X-Forwarded-For", written)]);
            let trusted = |address: IpAddr| address.to_string() == "10.0.0.1";
            let client = client_address(&request, "::ffff:10.0.0.1".parse().unwrap(), &trusted);
            assert_eq!(client.to_string(), expected, "{written}");
        }
        let all_trusted = Fields::of(&[("X-Forwarded-For", "10.0.0.3, 10.0.0.2")]);
        let client = client_address(&all_trusted, "10.0.0.1".parse().unwrap(), &|_| true);
        assert_eq!(client.to_string(), "10.0.0.3", "nobody but proxies: the farthest");
    }

    #[test]
    fn via_goes_behind_those_before() {
        let mut sent = Fields::of(&[("via", "1.0 fred")]);
        let request = Fields::of(&[("via", "1.0 fred"), ("Via", "1.1 p.example")]);
        append_via(&mut sent, &request, "1.1", "bodega");
        assert_eq!(text(sent.first("via")), "1.0 fred, 1.1 p.example, 1.1 bodega");
        assert_eq!(sent.len(), 1);
    }

    #[test]
    fn a_loop_is_told_by_name_and_parameter() {
        for (value, expected) in [
            ("bodega; id=ab", true),
            ("Bodega;id=ab", true),
            ("other, bodega; x=1; id=ab", true),
            ("bodega", false),
            ("bodega; id=abc", false),
            ("other; id=ab", false),
            ("other; x=\"bodega; id=ab\"", false),
            ("", false),
        ] {
            assert_eq!(cdn_loop_contains(&Fields::of(&[("CDN-Loop", value)]), "bodega", "ab"), expected, "{value}");
        }
    }
}
