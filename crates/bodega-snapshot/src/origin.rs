//! Origins as `bodega-origin` reaches them.

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
    /// Certificates to trust beside the system's, as a PEM file.
    pub ca_file: Option<String>,
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
        if rest.contains(['?', '#']) || rest.bytes().any(|byte| byte <= b' ' || byte == 0x7f) {
            return Err(format!("{url:?} may have a host, a port and a path, nothing else"));
        }
        let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        if authority.contains('@') {
            return Err("a URL of an origin may not hold a user or password".to_owned());
        }
        let (host, port) =
            split_port(authority).ok_or_else(|| format!("{url:?}: the port is no number from 1 to 65535"))?;
        if host.is_empty() {
            return Err(format!("{url:?} names no host"));
        }
        let standard = if https { 443 } else { 80 };
        let port = port.unwrap_or(standard);
        let bracketed = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        let authority = if port == standard { bracketed } else { format!("{bracketed}:{port}") };
        Ok((Self { https, host: host.to_ascii_lowercase(), port, authority }, path.trim_end_matches('/').to_owned()))
    }
}

fn split_port(authority: &str) -> Option<(&str, Option<u16>)> {
    if let Some(rest) = authority.strip_prefix('[') {
        let (host, after) = rest.split_once(']')?;
        return match after.strip_prefix(':') {
            None if after.is_empty() => Some((host, None)),
            None => None,
            Some(port) => Some((host, Some(port.parse().ok().filter(|port| *port != 0)?))),
        };
    }
    match authority.split_once(':') {
        None => Some((authority, None)),
        Some((host, port)) => Some((host, Some(port.parse().ok().filter(|port| *port != 0)?))),
    }
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
            "http://a:0",
            "http://a:99999",
            "http://u:p@a",
            "http://a?b",
            "http://a b",
        ] {
            assert!(Endpoint::parse(url).is_err(), "{url}");
        }
    }
}
