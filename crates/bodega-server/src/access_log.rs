//! The access log: one line a request, JSON or `combined`, written by one thread.
//!
//! Serving threads put lines into a bounded queue and never wait: what does not fit is dropped and counted.

use std::fs::OpenOptions;
use std::io::{self, BufWriter, Write};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bodega_edge::{Answer, Finished, RequestView};
use bodega_semantics::{Head, Timestamp, date};
use crossbeam_channel::{Receiver, Sender, bounded};

/// How many lines may wait for the writer.
const QUEUE_LINES: usize = 8192;
/// The longest value of a request that is written: a log is no place to fill a disk from.
const MAX_VALUE_BYTES: usize = 2048;

/// How lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// One JSON object a line.
    Json,
    /// Apache's combined format, with outcome and reason behind it.
    Combined,
}

/// A handle to the writer; cheap to clone.
#[derive(Clone)]
pub(crate) struct AccessLog {
    queue: Sender<Entry>,
    format: Format,
    n_dropped: Arc<AtomicU64>,
}

/// What waits for the writer.
enum Entry {
    Line(Vec<u8>),
    /// Everything before this has been written once the sender hears back.
    Flush(Sender<()>),
}

/// A line under way.
pub(crate) struct Line {
    peer: IpAddr,
    method: String,
    host: String,
    target: String,
    version: &'static str,
    referer: String,
    user_agent: String,
    status: u16,
}

impl AccessLog {
    /// Starts the writer. `target` is `-` for standard output or a path that is appended to.
    ///
    /// # Errors
    /// When the file cannot be opened or the thread not started.
    pub(crate) fn start(target: &str, format: Format) -> io::Result<Self> {
        let sink: Box<dyn Write + Send> = if target == "-" {
            Box::new(io::stdout())
        } else {
            Box::new(OpenOptions::new().create(true).append(true).open(target)?)
        };
        let (queue, entries) = bounded(QUEUE_LINES);
        std::thread::Builder::new().name("bodega-log".to_owned()).spawn(move || write_all(&entries, sink))?;
        Ok(Self { queue, format, n_dropped: Arc::new(AtomicU64::new(0)) })
    }

    /// Lines that did not fit into the queue.
    pub(crate) fn n_dropped(&self) -> u64 {
        self.n_dropped.load(Ordering::Relaxed)
    }

    /// A line for a request that is still being answered.
    #[expect(clippy::unused_self, reason = "lines exist only where there is a log")]
    pub(crate) fn begin(&self, request: &RequestView<'_>) -> Line {
        let text = |name: &str| request.first(name).map(bounded_text).unwrap_or_default();
        let target = match request.query {
            Some(query) => format!("{}?{query}", request.path),
            None => request.path.to_owned(),
        };
        Line {
            peer: request.peer,
            method: bounded_text(request.method.as_bytes()),
            host: bounded_text(request.authority.as_bytes()),
            target: bounded_text(target.as_bytes()),
            version: request.version,
            referer: text("referer"),
            user_agent: text("user-agent"),
            status: 0,
        }
    }

    /// A line for a request and its answer.
    pub(crate) fn line(&self, request: &RequestView<'_>, answer: &Answer) -> Line {
        self.begin(request).answered(answer)
    }

    /// A line for a request whose head could not be read.
    #[expect(clippy::unused_self, reason = "lines exist only where there is a log")]
    pub(crate) fn unread(&self, peer: IpAddr, answer: &Answer) -> Line {
        let empty = String::new;
        Line {
            peer,
            method: "-".to_owned(),
            host: empty(),
            target: "-".to_owned(),
            version: "1.1",
            referer: empty(),
            user_agent: empty(),
            status: answer.status,
        }
    }

    /// Hands the line to the writer, or drops it.
    pub(crate) fn write(&self, line: Line, finished: &Finished) {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX));
        let bytes = match self.format {
            Format::Json => line.json(finished, now),
            Format::Combined => line.combined(finished, now),
        };
        if self.queue.try_send(Entry::Line(bytes)).is_err() {
            self.n_dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits until what has been handed over so far is written, for a bounded time: a process may end after this.
    pub(crate) fn flush(&self) {
        let deadline = Instant::now() + FLUSH_WAIT;
        let (written, done) = bounded(1);
        if self.queue.send_deadline(Entry::Flush(written), deadline).is_ok() {
            // A disk that hangs must not keep a process from ending.
            let _ = done.recv_deadline(deadline);
        }
    }
}

impl Line {
    pub(crate) fn answered(mut self, answer: &Answer) -> Self {
        self.status = answer.status;
        self
    }

    fn json(&self, finished: &Finished, now: Timestamp) -> Vec<u8> {
        let value = serde_json::json!({
            "time_ms": now.0,
            "client": self.peer.to_string(),
            "method": self.method,
            "host": self.host,
            "target": self.target,
            "version": self.version,
            "status": self.status,
            "outcome": finished.outcome.name(),
            "reason": finished.reason.name(),
            "sent_bytes": finished.sent_bytes,
            "received_bytes": finished.received_bytes,
            "took_seconds": finished.took.as_secs_f64(),
            "referer": self.referer,
            "user_agent": self.user_agent,
        });
        let mut bytes = value.to_string().into_bytes();
        bytes.push(b'\n');
        bytes
    }

    fn combined(&self, finished: &Finished, now: Timestamp) -> Vec<u8> {
        let imf = date::format(now);
        let imf = String::from_utf8_lossy(&imf);
        // `Sun, 06 Nov 1994 08:49:37 GMT` holds what `[06/Nov/1994:08:49:37 +0000]` says.
        let mut parts = imf.split([' ', ',']).filter(|part| !part.is_empty()).skip(1);
        let mut part = || parts.next().unwrap_or("-");
        let (day, month, year, time) = (part(), part(), part(), part());
        format!(
            "{} - - [{day}/{month}/{year}:{time} +0000] \"{} {} HTTP/{}\" {} {} \"{}\" \"{}\" {} {}\n",
            self.peer,
            self.method,
            escaped(&self.target),
            self.version,
            self.status,
            finished.sent_bytes,
            escaped(&self.referer),
            escaped(&self.user_agent),
            finished.outcome.name(),
            finished.reason.name(),
        )
        .into_bytes()
    }
}

fn bounded_text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(MAX_VALUE_BYTES)]).into_owned()
}

/// Nothing that a client sends may look like another line or end a quoted value.
fn escaped(text: &str) -> String {
    text.chars()
        .flat_map(|character| match character {
            '"' | '\\' => vec!['\\', character],
            character if character.is_control() => "\u{fffd}".chars().collect(),
            character => vec![character],
        })
        .collect()
}

fn write_all(queue: &Receiver<Entry>, sink: Box<dyn Write + Send>) {
    let mut sink = BufWriter::with_capacity(64 * 1024, sink);
    loop {
        match queue.recv_timeout(FLUSH_EVERY) {
            Ok(Entry::Flush(written)) => {
                let _ = sink.flush();
                // Whoever asked may have given up waiting.
                let _ = written.send(());
            }
            Ok(Entry::Line(line)) => {
                // A full disk must not end serving: the line is lost, the next may fit.
                let _ = sink.write_all(&line);
                if queue.is_empty() {
                    let _ = sink.flush();
                }
            }
            Err(crossbeam_channel::RecvTimeoutError::Timeout) => {
                let _ = sink.flush();
            }
            Err(crossbeam_channel::RecvTimeoutError::Disconnected) => {
                let _ = sink.flush();
                return;
            }
        }
    }
}

const FLUSH_EVERY: Duration = Duration::from_millis(500);
/// How long the end of an edge waits for its log.
const FLUSH_WAIT: Duration = Duration::from_secs(2);
