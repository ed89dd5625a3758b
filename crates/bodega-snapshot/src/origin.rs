//! Origins as `bodega-origin` reaches them.

use std::net::Ipv6Addr;
use std::time::Duration;

/// An origin.
#[derive(Clone, Debug, PartialEq)]
pub struct Origin {
    /// Its name in the configuration.
    pub name: String,
    /// What it speaks.
    pub kind: OriginKind,
    /// Times and counts.
    pub limits: OriginLimits,
    /// When it is taken as failing.
    pub health: HealthLimits,
    /// Certificates to trust beside the system's, as a PEM file.
    pub ca_file: Option<String>,
}

/// Origins that stand in for one another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginGroup {
    /// Its name in the configuration; no origin has the same.
    pub name: String,
    /// Names of origins: the first is asked first.
    pub members: Vec<String>,
    /// The statuses of an answer in whose place the next member is asked.
    pub failover: Vec<u16>,
}

/// When an origin is taken as failing, and what then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HealthLimits {
    /// So many failures in a row; 0 for never.
    pub max_failures: u32,
    /// How long until it is tried again, the first time.
    pub retry_after: Duration,
    /// Whether requests that nothing else can answer are refused meanwhile, too.
    pub fail_fast: bool,
}

/// What an origin speaks.
#[derive(Clone, Debug, PartialEq)]
pub enum OriginKind {
    /// HTTP/1.1, with or without TLS.
    Http {
        /// Where it is.
        endpoint: Endpoint,
        /// Put before every path; empty, or begins with `/` and does not end in one.
        base_path: String,
        /// What `Host` it sees.
        host_header: HostHeader,
    },
    /// A bucket of an S3-compatible store.
    S3 {
        /// Where the store is.
        endpoint: Endpoint,
        /// The bucket.
        bucket: String,
        /// Put before every key.
        prefix: String,
        /// For the signature.
        region: String,
        /// `endpoint/bucket/key` rather than `bucket.endpoint/key`.
        path_style: bool,
        /// Where the credentials come from.
        credentials: Credentials,
        /// A 403 for a missing key is shown as 404.
        missing_as_404: bool,
        /// Appended to keys that are empty or end in `/`.
        index_document: Option<String>,
    },
}

/// A place on the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Whether TLS is spoken.
    pub https: bool,
    /// A name, or an address without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// What `Host` says: host and port, the scheme's own port left out.
    pub authority: String,
}

/// What `Host` an HTTP origin sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostHeader {
    /// The origin's own authority.
    Own,
    /// The one the client asked for.
    Viewer,
    /// This one.
    Named(String),
}

/// Where credentials come from; they themselves are never in a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credentials {
    /// `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`.
    Environment,
    /// A profile in a shared-credentials file.
    File {
        /// The file.
        path: String,
        /// The profile.
        profile: String,
    },
    /// None: the bucket is public.
    Unsigned,
}

/// How long, how often and how many.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OriginLimits {
    /// Name, connection and handshake.
    pub connect_timeout: Duration,
    /// From the request sent to the head of the answer.
    pub first_byte_timeout: Duration,
    /// Between two pieces of a body.
    pub between_bytes_timeout: Duration,
    /// Attempts in all, for what may be tried again.
    pub attempts: u32,
    /// Requests under way at once.
    pub max_connections: usize,
    /// Requests that may wait for one of these.
    pub max_queue: usize,
    /// How long they may wait.
    pub queue_timeout: Duration,
}

impl Endpoint {
    /// Reads `http://host[:port][/path]`. Returns the path as well, without a slash at its end.
    ///
    /// # Errors
    /// In words, with what would be right.
    pub fn parse(url: &str) -> Result<(Self, String), String> {
        let (https, rest) = if let Some(rest) = url.strip_prefix("https://") {
            (true, rest)
        } else if let Some(rest) = url.strip_prefix("http://") {
            (false, rest)
        } else {
            return Err(format!("{url:?} has no scheme: write `http://` or `https://` before it"));
        };
        if !rest.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#')) {
            return Err(format!("{url:?} may have a host, a port and a path in visible ASCII, nothing else"));
        }
        let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        if authority.contains('@') {
            // Not repeated: errors are logged, and this one would carry the password.
            return Err("a URL of an origin may not hold a user or password".to_owned());
        }
        if authority.is_empty() {
            return Err(format!("{url:?} names no host"));
        }
        let (host, port) = split_port(authority).ok_or_else(|| {
            format!("{url:?}: the port is no number from 1 to 65535, or the address is not in brackets")
        })?;
        if !is_host(host) {
            return Err(format!("{url:?}: {host:?} is neither a name nor an address"));
        }
        let standard = if https { 443 } else { 80 };
        let port = port.unwrap_or(standard);
        let bracketed = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        let authority = if port == standard { bracketed } else { format!("{bracketed}:{port}") };
        Ok((Self { https, host: host.to_ascii_lowercase(), port, authority }, path.trim_end_matches('/').to_owned()))
    }
}

/// Whether `text` can be what `Host` says: a name or an address in brackets, and perhaps a port. The origin judges
/// whether it knows it; here it only must not be able to end the line or to name a path.
pub(crate) fn is_authority(text: &str) -> bool {
    let (is_address_or_name, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, after)) => (is_made_of(address, b":.", |byte| byte.is_ascii_hexdigit()), after),
        None => {
            let (name, after) = text.split_at(text.find(':').unwrap_or(text.len()));
            (is_host(name), after)
        }
    };
    let is_port = |port: &str| is_made_of(port, b"", |byte| byte.is_ascii_digit());
    is_address_or_name && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port))
}

/// A name, or an address without brackets. Only IPv6 addresses hold colons.
fn is_host(host: &str) -> bool {
    host.parse::<Ipv6Addr>().is_ok() || is_made_of(host, b"-._", |byte| byte.is_ascii_alphanumeric())
}

fn is_made_of(text: &str, marks: &[u8], belongs: impl Fn(u8) -> bool) -> bool {
    !text.is_empty() && text.bytes().all(|byte| belongs(byte) || marks.contains(&byte))
}

fn split_port(authority: &str) -> Option<(&str, Option<u16>)> {
    if let Some(rest) = authority.strip_prefix('[') {
        let (address, after) = rest.split_once(']')?;
        let address = Some(address).filter(|address| address.contains(':'))?;
        return match after.strip_prefix(':') {
            None if after.is_empty() => Some((address, None)),
            None => None,
            Some(port) => Some((address, Some(parse_port(port)?))),
        };
    }
    match authority.split_once(':') {
        None => Some((authority, None)),
        Some((host, port)) => Some((host, Some(parse_port(port)?))),
    }
}

fn parse_port(text: &str) -> Option<u16> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|port| is_number && *port != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_origins() {
        for (url, https, host, port, authority, path) in [
            ("http://a.example", false, "a.example", 80, "a.example", ""),
            ("https://a.example/", true, "a.example", 443, "a.example", ""),
            ("http://127.0.0.1:9000/base/", false, "127.0.0.1", 9000, "127.0.0.1:9000", "/base"),
            ("https://[::1]:8443/x", true, "::1", 8443, "[::1]:8443", "/x"),
        ] {
            let endpoint = Endpoint { https, host: host.into(), port, authority: authority.into() };
            assert_eq!(Endpoint::parse(url), Ok((endpoint, path.to_owned())), "{url}");
        }
        for url in [
            "a.example",
            "ftp://a",
            "http://",
            "http:///x",
            "http://a:0",
            "http://a:+80",
            "http://a:",
            "http://a:99999",
            "http://a?b",
            "http://a b",
            "http://a\r\nb",
            "http://::1",
            "http://[a]",
            "http://[::g]",
            "http://[::1]x",
            "http://a\\b",
            "http://bücher.example",
            "http://a/ü",
        ] {
            assert!(Endpoint::parse(url).is_err(), "{url}");
        }
    }

    #[test]
    fn an_error_does_not_repeat_a_password() {
        let message = Endpoint::parse("http://user:secret@a.example").unwrap_err();
        assert!(!message.contains("secret"), "{message}");
    }

    #[test]
    fn what_host_may_say() {
        for (text, is) in [
            ("www.example.com", true),
            ("www.example.com.", true),
            ("a_b.example:8080", true),
            ("[2001:db8::1]:443", true),
            ("192.0.2.1", true),
            ("", false),
            ("a b", false),
            ("a\r\nx: y", false),
            ("a/b", false),
            ("2001:db8::1", false),
            ("a:b", false),
            ("a:", false),
            ("[::1]x", false),
            ("[::1]:", false),
            ("[a b]", false),
        ] {
            assert_eq!(is_authority(text), is, "{text:?}");
        }
    }
}
