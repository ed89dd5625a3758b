//! What the command line says.

use std::time::Duration;

use crate::handshakes::Handshakes;
use crate::keys::Keys;
use crate::post::Template;
use crate::tls::Version;

pub(crate) const USAGE: &str = "usage: bodega-loadgen --port PORT (--folder FOLDER --body-bytes N | --post PATH --template FILE) --connections N \
    --keys same:KEY|random:COUNT|shuffled:COUNT|from:FIRST|mixed:COUNT:FIRST (--seconds S | --requests N) \
    [--paths-in-bodies] [--body FILE] [--awake] [--latencies] [--rate REQUESTS_A_SECOND] \
    [--tls CERTIFICATE [--http2 STREAMS | --handshakes full|resumed|full-1.2|resumed-1.2]] [--hold]";

/// One run.
pub(crate) struct Arguments {
    /// Port of 127.0.0.1.
    pub(crate) port: u16,
    /// First part of every path.
    pub(crate) folder: String,
    /// What each answer's body has.
    pub(crate) body_bytes: usize,
    /// How many requests are under way at once.
    pub(crate) connections: usize,
    /// What is posted, where nothing is fetched: neither folder nor length of the answers count then.
    pub(crate) post: Option<Template>,
    /// Which keys are asked for.
    pub(crate) keys: Keys,
    /// When to stop asking.
    pub(crate) until: Until,
    /// Whether each body begins with its path.
    pub(crate) paths_in_bodies: bool,
    /// Whether to look for answers without ever sleeping: then the server need not wake whoever asks, as it need not
    /// over a network.
    pub(crate) awake: bool,
    /// Whether to tell how long answers took.
    pub(crate) latencies: bool,
    /// How many requests are due in a second; without it each connection asks as soon as it was answered.
    pub(crate) rate: Option<f64>,
    /// What every body has to be: a file.
    pub(crate) body: Option<String>,
    /// The server's certificate, where TLS is spoken.
    pub(crate) tls: Option<String>,
    /// Requests at once on one connection, where HTTP/2 is spoken.
    pub(crate) streams: Option<usize>,
    /// Whether each request has a connection of its own.
    pub(crate) handshakes: Option<Handshakes>,
    /// Whether to ask once on each connection and keep them all until standard input ends.
    pub(crate) hold: bool,
}

/// When to stop asking; what is under way then is still awaited.
#[derive(Clone, Copy)]
pub(crate) enum Until {
    /// After a time.
    Elapsed(Duration),
    /// After a number of requests.
    Asked(u64),
}

impl Arguments {
    /// Reads the words after the program's name.
    pub(crate) fn read(words: impl Iterator<Item = String>) -> Result<Self, String> {
        let (mut port, mut folder, mut body_bytes, mut connections) = (None, None, None, None);
        let (mut keys, mut until, mut paths_in_bodies, mut awake) = (None, None, false, false);
        let (mut post, mut template, mut latencies, mut rate) = (None, None, false, None);
        let (mut body, mut tls, mut streams, mut handshakes, mut hold) = (None, None, None, None, false);
        let mut words = words;
        while let Some(name) = words.next() {
            match name.as_str() {
                "--paths-in-bodies" => {
                    paths_in_bodies = true;
                    continue;
                }
                "--awake" => {
                    awake = true;
                    continue;
                }
                "--latencies" => {
                    latencies = true;
                    continue;
                }
                "--hold" => {
                    hold = true;
                    continue;
                }
                _ => {}
            }
            let value = words.next().ok_or_else(|| format!("{name} needs a value"))?;
            match name.as_str() {
                "--port" => port = Some(number(&name, &value)?),
                "--folder" => folder = Some(value),
                "--body-bytes" => body_bytes = Some(number(&name, &value)?),
                "--post" => post = Some(value),
                "--template" => template = Some(value),
                "--rate" => rate = Some(rate_of(&name, &value)?),
                "--connections" => connections = Some(number(&name, &value)?),
                "--keys" => keys = Some(Keys::read(&value)?),
                "--seconds" => until = Some(Until::Elapsed(Duration::from_secs_f64(number(&name, &value)?))),
                "--requests" => until = Some(Until::Asked(number(&name, &value)?)),
                "--body" => body = Some(value),
                "--tls" => tls = Some(value),
                "--http2" => streams = Some(number(&name, &value)?),
                "--handshakes" => handshakes = Some(kind_of_handshakes(&value)?),
                _ => return Err(format!("{name} is not known")),
            }
        }
        let port = port.ok_or("--port is missing")?;
        let post = match (post, template) {
            (Some(path), Some(file)) => {
                let body = std::fs::read(&file).map_err(|error| format!("{file}: {error}"))?;
                (folder, body_bytes) = (Some(String::new()), Some(0));
                Some(Template::new(port, &path, &body)?)
            }
            (None, None) => None,
            _ => return Err("--post and --template belong together".to_owned()),
        };
        if post.is_some() && (tls.is_some() || hold) {
            return Err("--post goes by HTTP/1.1 in plain only".to_owned());
        }
        Ok(Self {
            port,
            folder: folder.ok_or("--folder is missing")?,
            body_bytes: body_bytes.ok_or("--body-bytes is missing")?,
            post,
            connections: connections.ok_or("--connections is missing")?,
            keys: keys.ok_or("--keys is missing")?,
            until: until.ok_or("--seconds or --requests is missing")?,
            paths_in_bodies,
            awake,
            latencies,
            rate,
            body,
            tls,
            streams,
            handshakes,
            hold,
        })
    }
}

fn kind_of_handshakes(text: &str) -> Result<Handshakes, String> {
    match text {
        "full" => Ok(Handshakes::Full(Version::Tls13)),
        "full-1.2" => Ok(Handshakes::Full(Version::Tls12)),
        "resumed" => Ok(Handshakes::Resumed(Version::Tls13)),
        "resumed-1.2" => Ok(Handshakes::Resumed(Version::Tls12)),
        _ => Err(format!("--handshakes {text}: no such kind")),
    }
}

fn rate_of(name: &str, value: &str) -> Result<f64, String> {
    match number(name, value)? {
        rate if rate > 0.0 && f64::is_finite(rate) => Ok(rate),
        _ => Err(format!("{name} {value}: not a rate")),
    }
}

fn number<T: std::str::FromStr>(name: &str, value: &str) -> Result<T, String> {
    value.parse().map_err(|_| format!("{name} {value}: not a number that fits"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Arguments, String> {
        Arguments::read(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn a_whole_line_is_read() {
        let line = "--port 80 --folder 1k --body-bytes 1024 --connections 2 --keys random:5 --seconds 0.5";
        let arguments = read(line).unwrap();
        assert_eq!((arguments.port, arguments.connections, arguments.body_bytes), (80, 2, 1024));
        assert!(matches!(arguments.until, Until::Elapsed(time) if time == Duration::from_millis(500)));
    }

    #[test]
    fn what_is_spoken_is_read() {
        let line = "--port 80 --folder 1k --body-bytes 1024 --connections 2 --keys same:0 --requests 5 --tls a.pem";
        let plain = read(line).unwrap();
        assert_eq!((plain.tls.as_deref(), plain.streams, plain.handshakes), (Some("a.pem"), None, None));
        assert_eq!(read(&format!("{line} --http2 32")).unwrap().streams, Some(32));
        let resumed = read(&format!("{line} --handshakes resumed-1.2")).unwrap();
        assert_eq!(resumed.handshakes, Some(Handshakes::Resumed(Version::Tls12)));
        assert!(read(&format!("{line} --handshakes half")).is_err());
    }

    #[test]
    fn a_rate_is_read_and_a_post_needs_its_template() {
        let line = "--port 80 --folder 1k --body-bytes 1024 --connections 2 --keys same:0 --requests 5";
        assert_eq!(read(&format!("{line} --rate 500")).unwrap().rate, Some(500.0));
        assert!(read(&format!("{line} --rate 0")).is_err());
        assert!(read(&format!("{line} --rate inf")).is_err());
        assert!(read(&format!("{line} --post /predict")).is_err());
    }

    #[test]
    fn what_is_missing_or_unknown_is_named() {
        assert_eq!(read("--port 80").err().unwrap(), "--folder is missing");
        assert_eq!(read("--port x").err().unwrap(), "--port x: not a number that fits");
        assert_eq!(read("--threads 2").err().unwrap(), "--threads is not known");
    }
}
