//! The PROXY protocol, versions 1 and 2: what a load balancer says of a connection before the connection's own bytes.
//!
//! A pure function from bytes to a header. The crate `ppp` reads addresses and lists; this module decides where a header
//! ends, how long one may be, and which of the protocol's loose ends are refused. Whose headers are believed at all is
//! decided by who calls it: anybody can write one. The protocol's text is HAProxy's `doc/proxy-protocol.txt`, cited
//! below by section.
//!
//! ```text
//! v1  "PROXY TCP4 192.0.2.7 198.51.100.1 51234 443\r\n"
//! v2  0d 0a 0d 0a 00 0d 0a 51 55 49 54 0a | 21 | 11 | 00 0c | addresses and ports | TLVs
//!     signature                            command family length
//! ```

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use ppp::{v1, v2};

/// The longest header of version 1, with its line end (section 2.1).
pub const MAX_V1_BYTES: usize = 107;

/// The longest header of version 2 that is read: 16 bytes, addresses of Unix sockets (216), and TLVs of a usual size.
/// The protocol allows 64 KiB, which nobody sends and every connection could make the edge wait for.
pub const MAX_V2_BYTES: usize = 16 + 2048;

/// What the bytes at the beginning of a connection are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// The beginning of a header.
    Incomplete,
    /// A whole header; what follows it belongs to the connection.
    Header(Header),
}

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// How long it is.
    pub n_bytes: usize,
    /// The client, with an IPv4 address wherever it is one. `None` where the header names none (`LOCAL`, `UNKNOWN`, Unix
    /// sockets): then the client is who has connected.
    pub client: Option<SocketAddr>,
    /// Whether the client came to the sender by TLS. Only version 2 can say so.
    pub https: bool,
}

/// Why bytes are no header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderError {
    message: String,
}

impl fmt::Display for HeaderError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "PROXY header: {}", self.message)
    }
}

impl std::error::Error for HeaderError {}

/// Reads the header at the beginning of `bytes`.
///
/// # Errors
/// When `bytes` cannot become a header, whatever follows them.
pub fn parse(bytes: &[u8]) -> Result<Parsed, HeaderError> {
    if begins(bytes, v2::PROTOCOL_PREFIX) {
        return binary(bytes);
    }
    if begins(bytes, V1_PREFIX) {
        return text(bytes);
    }
    Err(refused("the connection does not begin with one"))
}

/// Whether `bytes` begin with `prefix`, or might when more of them come.
fn begins(bytes: &[u8], prefix: &[u8]) -> bool {
    let n_bytes = bytes.len().min(prefix.len());
    bytes[..n_bytes] == prefix[..n_bytes]
}

fn text(bytes: &[u8]) -> Result<Parsed, HeaderError> {
    // Section 2.1: the line ends with CRLF within its first 107 bytes. `ppp` takes a lone CR for a space.
    let within = &bytes[..bytes.len().min(MAX_V1_BYTES)];
    let Some(end) = within.iter().position(|byte| *byte == b'\r' || *byte == b'\n') else {
        return if bytes.len() < MAX_V1_BYTES { Ok(Parsed::Incomplete) } else { Err(refused("the line is too long")) };
    };
    let line = match within.get(end..end + 2) {
        Some(b"\r\n") => &within[..end + 2],
        None if within[end] == b'\r' && bytes.len() < MAX_V1_BYTES => return Ok(Parsed::Incomplete),
        _ => return Err(refused("the line does not end with CRLF")),
    };
    let n_bytes = line.len();
    // "the receiver must ignore anything presented before the CRLF"
    if line == b"PROXY UNKNOWN\r\n" || line.starts_with(b"PROXY UNKNOWN ") {
        return Ok(Parsed::Header(Header { n_bytes, client: None, https: false }));
    }
    // Rust's integers may have a sign, the protocol's ports must not.
    if line.contains(&b'+') {
        return Err(refused("a sign in an address or a port"));
    }
    let header = v1::Header::try_from(line).map_err(|error| refused(error.to_string()))?;
    let client = match header.addresses {
        v1::Addresses::Unknown => None,
        v1::Addresses::Tcp4(ends) => Some(client(ends.source_address.into(), ends.source_port)),
        v1::Addresses::Tcp6(ends) => Some(client(ends.source_address.into(), ends.source_port)),
    };
    Ok(Parsed::Header(Header { n_bytes, client, https: false }))
}

fn binary(bytes: &[u8]) -> Result<Parsed, HeaderError> {
    let Some(fixed) = bytes.get(..V2_FIXED_BYTES) else { return Ok(Parsed::Incomplete) };
    let n_bytes = V2_FIXED_BYTES + usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
    if n_bytes > MAX_V2_BYTES {
        return Err(refused(format!("{n_bytes} bytes, and {MAX_V2_BYTES} are read at most")));
    }
    let is_local = fixed[12] == VERSION_2 | LOCAL;
    let has_known_family = matches!(fixed[13], 0x00 | 0x11 | 0x12 | 0x21 | 0x22 | 0x31 | 0x32);
    // Section 2.2: other values "must be rejected as invalid by receivers".
    if !is_local && (fixed[12] != VERSION_2 | PROXY || !has_known_family) {
        return Err(refused(format!("unknown version, command or family {:#04x} {:#04x}", fixed[12], fixed[13])));
    }
    let Some(whole) = bytes.get(..n_bytes) else { return Ok(Parsed::Incomplete) };
    if is_local {
        // "must discard the protocol block including the family which is ignored"
        return Ok(Parsed::Header(Header { n_bytes, client: None, https: false }));
    }
    let header = v2::Header::try_from(whole).map_err(|error| refused(error.to_string()))?;
    let client = match header.addresses {
        v2::Addresses::IPv4(ends) => Some(client(ends.source_address.into(), ends.source_port)),
        v2::Addresses::IPv6(ends) => Some(client(ends.source_address.into(), ends.source_port)),
        v2::Addresses::Unspecified | v2::Addresses::Unix(_) => None,
    };
    let mut https = false;
    for tlv in header.tlvs() {
        let tlv = tlv.map_err(|error| refused(error.to_string()))?;
        if tlv.kind == v2::Type::SSL as u8 {
            // Section 2.2.6: a byte of flags and four of a verification result, at least.
            let flags = tlv.value.first().filter(|_| tlv.value.len() >= 5);
            let flags = flags.ok_or_else(|| refused("a TLV about TLS that is too short"))?;
            https |= flags & CLIENT_BY_TLS != 0;
        }
    }
    Ok(Parsed::Header(Header { n_bytes, client, https }))
}

/// An IPv4 address in IPv6's clothes is compared with networks as what it is.
fn client(address: IpAddr, port: u16) -> SocketAddr {
    SocketAddr::new(address.to_canonical(), port)
}

fn refused(message: impl Into<String>) -> HeaderError {
    HeaderError { message: message.into() }
}

const V1_PREFIX: &[u8] = b"PROXY ";
const V2_FIXED_BYTES: usize = 16;
const VERSION_2: u8 = 0x20;
const LOCAL: u8 = 0x00;
const PROXY: u8 = 0x01;
/// `PP2_CLIENT_SSL`
const CLIENT_BY_TLS: u8 = 0x01;

#[cfg(test)]
mod tests {
    use super::*;

    fn v2(command: u8, family: u8, payload: &[&[u8]]) -> Vec<u8> {
        let payload = payload.concat();
        let length = u16::try_from(payload.len()).unwrap().to_be_bytes();
        [v2::PROTOCOL_PREFIX, &[command, family], &length, &payload].concat()
    }

    const INET: &[u8] = &[192, 0, 2, 7, 198, 51, 100, 1, 0xc8, 0x22, 0x01, 0xbb];
    const TLS: &[u8] = &[0x20, 0, 5, 1, 0, 0, 0, 0];
    const NOT_TLS: &[u8] = &[0x20, 0, 5, 2, 0, 0, 0, 0];
    /// With a version of TLS inside.
    const TLS_1_3: &[u8] = &[0x20, 0, 15, 1, 0, 0, 0, 0, 0x21, 0, 7, b'T', b'L', b'S', b'v', b'1', b'.', b'3'];
    const ALPN: &[u8] = &[0x01, 0, 2, b'h', b'2'];

    fn inet6() -> Vec<u8> {
        let mut bytes = vec![0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7];
        bytes.extend([0; 16]);
        bytes.extend([0xc8, 0x22, 0x01, 0xbb]);
        bytes
    }

    fn mapped() -> Vec<u8> {
        let mut bytes = vec![0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 7];
        bytes.extend([0; 16]);
        bytes.extend([0xc8, 0x22, 0x01, 0xbb]);
        bytes
    }

    #[test]
    fn what_a_header_says() {
        let cases: Vec<(Vec<u8>, Option<&str>, bool)> = vec![
            (b"PROXY TCP4 192.0.2.7 198.51.100.1 51234 443\r\n".to_vec(), Some("192.0.2.7:51234"), false),
            (b"PROXY TCP4 255.255.255.255 255.255.255.255 0 65535\r\n".to_vec(), Some("255.255.255.255:0"), false),
            (b"PROXY TCP6 2001:db8::7 2001:db8::1 51234 443\r\n".to_vec(), Some("[2001:db8::7]:51234"), false),
            (b"PROXY TCP6 ::ffff:192.0.2.7 ::1 51234 443\r\n".to_vec(), Some("192.0.2.7:51234"), false),
            (b"PROXY UNKNOWN\r\n".to_vec(), None, false),
            (b"PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n".to_vec(), None, false),
            (b"PROXY UNKNOWN a b c d e f g h +1\r\n".to_vec(), None, false),
            (v2(0x21, 0x11, &[INET]), Some("192.0.2.7:51234"), false),
            (v2(0x21, 0x12, &[INET]), Some("192.0.2.7:51234"), false),
            (v2(0x21, 0x11, &[INET, TLS]), Some("192.0.2.7:51234"), true),
            (v2(0x21, 0x11, &[INET, ALPN, TLS_1_3, ALPN]), Some("192.0.2.7:51234"), true),
            (v2(0x21, 0x11, &[INET, NOT_TLS]), Some("192.0.2.7:51234"), false),
            (v2(0x21, 0x11, &[INET, &[0xee, 0, 0]]), Some("192.0.2.7:51234"), false),
            (v2(0x21, 0x21, &[&inet6(), TLS]), Some("[2001:db8::7]:51234"), true),
            (v2(0x21, 0x21, &[&mapped()]), Some("192.0.2.7:51234"), false),
            (v2(0x21, 0x31, &[&[b'/'; 216], TLS]), None, true),
            (v2(0x21, 0x00, &[]), None, false),
            (v2(0x21, 0x00, &[b"whatever"]), None, false),
            (v2(0x20, 0x00, &[]), None, false),
            (v2(0x20, 0x11, &[INET, TLS]), None, false),
            (v2(0x20, 0xff, &[b"ignored, family and all"]), None, false),
            (v2(0x21, 0x11, &[INET, &[0x04, 0x07, 0xf1], &[0; 0x7f1]]), Some("192.0.2.7:51234"), false),
        ];
        for (bytes, client, https) in cases {
            let shown = String::from_utf8_lossy(&bytes).into_owned();
            let client = client.map(|client| client.parse().unwrap());
            let expected = Parsed::Header(Header { n_bytes: bytes.len(), client, https });
            assert_eq!(parse(&bytes), Ok(expected), "{shown:?}");
            assert_eq!(parse(&[&bytes, b"GET / HTTP/1.1\r\n".as_slice()].concat()), Ok(expected), "{shown:?}");
            for end in 0..bytes.len() {
                assert_eq!(parse(&bytes[..end]), Ok(Parsed::Incomplete), "{end} bytes of {shown:?}");
            }
        }
    }

    #[test]
    fn the_longest_line_is_taken_and_a_longer_one_is_not() {
        let longest = [b"PROXY UNKNOWN ".as_slice(), &[b'x'; 91], b"\r\n"].concat();
        assert_eq!(longest.len(), MAX_V1_BYTES);
        assert!(matches!(parse(&longest), Ok(Parsed::Header(_))));
        let longer = [b"PROXY UNKNOWN ".as_slice(), &[b'x'; 92], b"\r\n"].concat();
        assert_eq!(parse(&longer[..MAX_V1_BYTES - 1]), Ok(Parsed::Incomplete));
        assert!(parse(&longer[..MAX_V1_BYTES]).is_err());
        assert!(parse(&longer).is_err());
    }

    #[test]
    fn what_is_no_header_is_refused() {
        let too_long = [v2::PROTOCOL_PREFIX, &[0x21, 0x11], &2049_u16.to_be_bytes()].concat();
        let cases: Vec<(Vec<u8>, &str)> = vec![
            (b"GET / HTTP/1.1\r\n".to_vec(), "does not begin"),
            (b"G".to_vec(), "does not begin"),
            (b"\x16\x03\x01\x02\x00\x01".to_vec(), "does not begin"),
            (b"proxy TCP4 ".to_vec(), "does not begin"),
            (b"PROXYTCP4".to_vec(), "does not begin"),
            (b"\r\n\r\n\0\r\nQUIX".to_vec(), "does not begin"),
            (b"PROXY TCP4 192.0.2.7 198.51.100.1 51234 443\n".to_vec(), "CRLF"),
            (b"PROXY TCP4 192.0.2.7 198.51.100.1 51234 443\r\r\n".to_vec(), "CRLF"),
            (b"PROXY TCP4\r192.0.2.7 198.51.100.1 51234 443\r\n".to_vec(), "CRLF"),
            (b"PROXY TCP4 192.0.2.7 198.51.100.1 51234 443 \r\n".to_vec(), ""),
            (b"PROXY TCP4 192.0.2.7 198.51.100.1 51234\r\n".to_vec(), ""),
            (b"PROXY TCP4 192.0.2.7  198.51.100.1 51234 443\r\n".to_vec(), ""),
            (b"PROXY  TCP4 192.0.2.7 198.51.100.1 51234 443\r\n".to_vec(), ""),
            (b"PROXY TCP4 192.0.2.07 198.51.100.1 51234 443\r\n".to_vec(), "IP address"),
            (b"PROXY TCP4 2001:db8::7 2001:db8::1 51234 443\r\n".to_vec(), "IP address"),
            (b"PROXY TCP6 192.0.2.7 198.51.100.1 51234 443\r\n".to_vec(), "IP address"),
            (b"PROXY TCP4 192.0.2.7 198.51.100.1 65536 443\r\n".to_vec(), "port"),
            (b"PROXY TCP4 192.0.2.7 198.51.100.1 051 443\r\n".to_vec(), "port"),
            (b"PROXY TCP4 192.0.2.7 198.51.100.1 +51 443\r\n".to_vec(), "sign"),
            (b"PROXY TCP4 192.0.2.7 198.51.100.1 -51 443\r\n".to_vec(), "port"),
            (b"PROXY UDP4 192.0.2.7 198.51.100.1 51 443\r\n".to_vec(), "protocol"),
            (b"PROXY UNKNOWNS\r\n".to_vec(), "protocol"),
            (b"PROXY \r\n".to_vec(), ""),
            (b"PROXY \xff\xfe\r\n".to_vec(), ""),
            (too_long, "2065 bytes"),
            (v2(0x11, 0x11, &[INET]), "unknown version"),
            (v2(0x22, 0x11, &[INET]), "unknown version"),
            (v2(0x21, 0x10, &[INET]), "unknown version"),
            (v2(0x21, 0x41, &[INET]), "unknown version"),
            (v2(0x21, 0x13, &[INET]), "unknown version"),
            (v2(0x21, 0x11, &[&INET[..11]]), ""),
            (v2(0x21, 0x21, &[INET]), ""),
            (v2(0x21, 0x31, &[&[0; 215]]), ""),
            (v2(0x21, 0x11, &[INET, &[0x20]]), ""),
            (v2(0x21, 0x11, &[INET, &[0x20, 0, 6, 1, 0, 0, 0, 0]]), ""),
            (v2(0x21, 0x11, &[INET, &[0x20, 0, 4, 1, 0, 0, 0]]), "too short"),
            (v2(0x21, 0x11, &[INET, &[0x20, 0, 0]]), "too short"),
        ];
        for (bytes, says) in cases {
            let shown = String::from_utf8_lossy(&bytes).into_owned();
            let error = parse(&bytes).expect_err(&shown).to_string();
            assert!(error.contains(says) && error.starts_with("PROXY header: "), "{shown:?}: {error}");
            assert!(parse(&[&bytes, b"PROXY UNKNOWN\r\n".as_slice()].concat()).is_err(), "{shown:?} and more");
        }
    }
}
