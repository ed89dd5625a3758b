//! One worker: started, asked, watched, ended.

use std::ffi::OsStr;
use std::fs;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

use super::frame::{Frame, Incoming, Kind, NoFrame};
use super::hello::{self, Declared};
use super::lines::Lines;
use super::memory::SharedMemory;

/// A process that runs a model.
pub(super) struct Process {
    pid: Pid,
    pub(super) memory: SharedMemory,
    socket: UnixStream,
    /// What it takes and gives, once it is ready.
    declared: OnceLock<Declared>,
    since: Instant,
    ending: Mutex<Ending>,
    /// Told when it has been waited for.
    ended: Condvar,
}

#[derive(Default)]
struct Ending {
    /// Until it is waited for: its number is its own so long.
    child: Option<Child>,
    /// Why it was ended, if it did not end by itself.
    why: Option<String>,
    is_planned: bool,
}

/// What belongs to whoever watches a worker.
pub(super) struct Watched {
    /// Readable when the process has ended.
    end: OwnedFd,
    /// What it prints, until it closes that.
    output: Option<ChildStderr>,
    lines: Lines,
}

/// How a worker ended.
pub(super) struct Ended {
    pub(super) why: String,
    /// Whether it was wanted so: then it is started again at once.
    pub(super) is_planned: bool,
    pub(super) ran: Duration,
}

/// It has ended before it was ready, or is about to; `finish` says how.
pub(super) struct NotReady;

/// What a worker may take for a run.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    pub(super) timeout: Duration,
    pub(super) max_memory_bytes: Option<u64>,
}

/// What a worker is started with.
pub(super) struct Start<'a> {
    pub(super) python: &'a Path,
    /// `onnx` or `runner`.
    pub(super) what: &'a str,
    /// What it is to run, as JSON.
    pub(super) hello: String,
    pub(super) threads: usize,
}

impl Process {
    /// Starts it. It dies with the thread that calls this.
    pub(super) fn start(start: &Start<'_>) -> Result<(Self, Watched), String> {
        let failed = |error: std::io::Error| format!("no worker could be started: {error}");
        let memory = SharedMemory::new().map_err(failed)?;
        let (socket, theirs) = UnixStream::pair().map_err(failed)?;
        socket.set_read_timeout(Some(LOOK_EVERY)).map_err(failed)?;
        socket.set_write_timeout(Some(LOOK_EVERY)).map_err(failed)?;
        let mut command = Command::new(start.python);
        command.args(["-m", "bodega.serving.worker", start.what, &std::process::id().to_string()]);
        command.stdin(OwnedFd::from(theirs)).stdout(memory.try_clone().map_err(failed)?).stderr(Stdio::piped());
        // What is typed at the edge's terminal is not for it, and what it starts ends with it.
        command.process_group(0);
        for (name, _) in std::env::vars_os().filter(|(name, _)| is_secret(name)) {
            command.env_remove(name);
        }
        for name in ["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"] {
            command.env(name, start.threads.to_string());
        }
        command.env("PYTHONUNBUFFERED", "1").env("PYTHONIOENCODING", "utf-8:replace");
        let mut child = command.spawn().map_err(|error| format!("{}: {error}", start.python.display()))?;
        // The worker's ends of what it was given are its own from here on.
        drop(command);
        let pid = Pid::from_child(&child);
        let output = child.stderr.take();
        let ending = Mutex::new(Ending { child: Some(child), ..Ending::default() });
        let (declared, since) = (OnceLock::new(), Instant::now());
        let process = Self { pid, memory, socket, declared, since, ending, ended: Condvar::new() };
        let end = pidfd_open(pid, PidfdFlags::empty()).map_err(|error| {
            process.kill("it cannot be watched");
            if let Some(child) = &mut process.ending.lock().child {
                drop(child.wait());
            }
            failed(error.into())
        })?;
        // If it does not take that it has ended, which is seen soon.
        drop(process.send(&Frame::write(Kind::Hello, 0, start.hello.as_bytes())));
        Ok((process, Watched { end, output, lines: Lines::new(since) }))
    }

    /// Waits until it is ready. If it does not get so it has ended, or is about to.
    pub(super) fn wait_until_ready(
        &self,
        watched: &mut Watched,
        limit: Duration,
        say: &mut impl FnMut(&str),
    ) -> Result<(), NotReady> {
        let deadline = self.since + limit;
        let mut incoming = Incoming::default();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                self.kill(&format!("it was not ready within {} s", limit.as_secs_f64()));
                return Err(NotReady);
            }
            let seen = watched.wait(Some(&self.socket), Some(left), say);
            if !seen.is_socket {
                if seen.is_end {
                    return Err(NotReady);
                }
                continue;
            }
            match incoming.read(&mut &self.socket) {
                Ok(Frame { kind: Kind::Hello, payload, .. }) => match hello::read(&payload) {
                    Ok(declared) => {
                        self.declared.get_or_init(|| declared);
                        return Ok(());
                    }
                    Err(message) => self.kill(&message),
                },
                Ok(Frame { kind: Kind::Error, payload, .. }) => self.kill(&text(&payload)),
                Ok(_) | Err(NoFrame::Garbage) => self.kill(NO_FRAME),
                Err(NoFrame::Yet) => continue,
                // If it ended, that is there in a moment.
                Err(NoFrame::Ended) if watched.wait_for_end(Some(MOMENT), say) => return Err(NotReady),
                Err(NoFrame::Ended) => self.kill(CLOSED),
            };
            return Err(NotReady);
        }
    }

    #[cfg(test)]
    pub(super) fn pid(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    pub(super) fn declared(&self) -> Option<&Declared> {
        self.declared.get()
    }

    /// Asks it something, and waits for the answer, which is not looked at. `Err`: it does not run any more, and why.
    pub(super) fn ask(&self, number: u64, payload: &[u8], limits: Limits) -> Result<Frame, String> {
        if let Some((why, _)) = self.ending() {
            return Err(why);
        }
        let deadline = Instant::now() + limits.timeout;
        if self.send(&Frame::write(Kind::Run, number, payload)).is_err() {
            return Err(self.told_why());
        }
        let mut incoming = Incoming::default();
        loop {
            match incoming.read(&mut &self.socket) {
                Ok(frame) if frame.number == number => return Ok(frame),
                // What it says of another run it says of something else.
                Ok(_) | Err(NoFrame::Garbage) => return Err(self.kill(NO_FRAME)),
                Err(NoFrame::Ended) => return Err(self.told_why()),
                Err(NoFrame::Yet) => {
                    if Instant::now() >= deadline {
                        let seconds = limits.timeout.as_secs_f64();
                        return Err(self.kill(&format!("it did not answer within {seconds} s")));
                    }
                    if let Some(why) = self.is_too_large(limits, true) {
                        return Err(self.kill(&why));
                    }
                }
            }
        }
    }

    /// Why it takes more memory than it may, if so: after a run than is set, within one by a quarter more, so that what
    /// it has begun is answered.
    pub(super) fn is_too_large(&self, limits: Limits, is_running: bool) -> Option<String> {
        let most = limits.max_memory_bytes?;
        let most = if is_running { most.saturating_add(most / 4) } else { most };
        let taken = self.status("VmRSS:")?;
        (taken > most).then(|| format!("it took {taken} bytes of memory, of {most} that it may"))
    }

    /// What it has in memory, as the system counts.
    pub(super) fn memory_bytes(&self) -> Option<u64> {
        self.status("VmRSS:")
    }

    /// The most it has had in memory.
    pub(super) fn peak_memory_bytes(&self) -> Option<u64> {
        self.status("VmHWM:")
    }

    fn status(&self, name: &str) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid.as_raw_nonzero())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        let kibibytes: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
        kibibytes.checked_mul(1024)
    }

    /// Asks it to end, when nothing runs.
    pub(super) fn close(&self) {
        // Whoever does not heed it is killed.
        drop(self.send(&Frame::write(Kind::Close, 0, &[])));
    }

    /// Ends it and what it has started; returns why it was ended first.
    pub(super) fn kill(&self, why: &str) -> String {
        self.end(why, false)
    }

    /// The same, so that it is started again at once.
    pub(super) fn replace(&self, why: &str) {
        self.end(why, true);
    }

    fn end(&self, why: &str, is_planned: bool) -> String {
        let mut ending = self.ending.lock();
        if ending.child.is_some() {
            // It may have ended already; what it has started has not.
            let _ = kill_process_group(self.pid, Signal::KILL);
        }
        if ending.why.is_none() {
            ending.is_planned = is_planned;
        }
        ending.why.get_or_insert_with(|| why.to_owned()).clone()
    }

    /// Why it was ended, or has ended, and whether it is replaced.
    pub(super) fn ending(&self) -> Option<(String, bool)> {
        let ending = self.ending.lock();
        Some((ending.why.clone()?, ending.is_planned))
    }

    /// The same, for whoever has seen it end before its keeper has.
    fn told_why(&self) -> String {
        {
            let mut ending = self.ending.lock();
            if ending.why.is_none() {
                self.ended.wait_for(&mut ending, MOMENT);
            }
        }
        self.kill(CLOSED)
    }

    /// Waits for its end, and says how it was.
    pub(super) fn finish(&self, watched: &mut Watched, say: &mut impl FnMut(&str)) -> Ended {
        watched.wait_for_end(None, say);
        let mut ending = self.ending.lock();
        if ending.child.is_some() {
            // What it has started is not to stay behind; its number is its own until it is waited for.
            let _ = kill_process_group(self.pid, Signal::KILL);
        }
        let status = ending.child.take().and_then(|mut child| child.wait().ok());
        let why = ending.why.get_or_insert_with(|| status.map_or_else(|| "it ended".to_owned(), how)).clone();
        let is_planned = ending.is_planned;
        drop(ending);
        self.ended.notify_all();
        watched.drain(say);
        Ended { why, is_planned, ran: self.since.elapsed() }
    }

    fn send(&self, frame: &[u8]) -> std::io::Result<()> {
        (&self.socket).write_all(frame)
    }
}

impl Watched {
    /// Waits until something happens. What is printed is said.
    fn wait(&mut self, socket: Option<&UnixStream>, limit: Option<Duration>, say: &mut impl FnMut(&str)) -> Seen {
        let (is_end, is_output, is_socket) = {
            let mut polled = vec![PollFd::new(&self.end, PollFlags::IN)];
            polled.extend(self.output.as_ref().map(|output| PollFd::new(output, PollFlags::IN)));
            polled.extend(socket.map(|socket| PollFd::new(socket, PollFlags::IN)));
            let moment = self.lines.has_dropped().then_some(MOMENT);
            let limit = [limit, moment].into_iter().flatten().min();
            match poll(&mut polled, limit.and_then(|limit| Timespec::try_from(limit).ok()).as_ref()) {
                // A signal came.
                Err(_) => return Seen::default(),
                Ok(0) => self.lines.tell_dropped(say),
                Ok(_) => {}
            }
            let mut seen = polled.iter().map(|one| !one.revents().is_empty());
            let is_end = seen.next() == Some(true);
            let is_output = self.output.is_some() && seen.next() == Some(true);
            (is_end, is_output, seen.next() == Some(true))
        };
        if is_output {
            self.read_output(say);
        }
        Seen { is_end, is_socket }
    }

    /// Whether it has ended within `limit`.
    fn wait_for_end(&mut self, limit: Option<Duration>, say: &mut impl FnMut(&str)) -> bool {
        let deadline = limit.map(|limit| Instant::now() + limit);
        loop {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if self.wait(None, left, say).is_end {
                return true;
            }
            if left.is_some_and(|left| left.is_zero()) {
                return false;
            }
        }
    }

    /// Says what it has printed before it ended.
    fn drain(&mut self, say: &mut impl FnMut(&str)) {
        for _ in 0..MAX_DRAINED_READS {
            let Some(output) = &self.output else { break };
            // Somebody else may hold the other end open.
            let mut polled = [PollFd::new(output, PollFlags::IN)];
            if !matches!(poll(&mut polled, Some(&Timespec::default())), Ok(1)) {
                break;
            }
            self.read_output(say);
        }
        self.lines.finish(Instant::now(), say);
    }

    fn read_output(&mut self, say: &mut impl FnMut(&str)) {
        let Some(output) = &mut self.output else { return };
        let mut buffer = [0; 4096];
        match output.read(&mut buffer) {
            Ok(n_bytes) if n_bytes > 0 => self.lines.push(&buffer[..n_bytes], Instant::now(), say),
            _ => self.output = None,
        }
    }
}

/// What has happened.
#[derive(Default)]
struct Seen {
    is_end: bool,
    is_socket: bool,
}

/// `killed by SIGSEGV`.
fn how(status: ExitStatus) -> String {
    match (status.signal(), status.code()) {
        (Some(signal), _) => {
            let name = NAMES.iter().find(|(number, _)| *number == signal);
            name.map_or_else(|| format!("killed by signal {signal}"), |(_, name)| format!("killed by {name}"))
        }
        (None, Some(code)) => format!("ended by itself with status {code}"),
        (None, None) => "ended".to_owned(),
    }
}

/// A text that a worker wrote, within bounds.
pub(super) fn text(payload: &[u8]) -> String {
    let text: String = String::from_utf8_lossy(payload).chars().take(MAX_TEXT_CHARS).collect();
    text.replace(|character: char| character.is_control(), " ")
}

/// Whether a variable of the environment is kept from workers: the edge's own, the service manager's, and what is called
/// a secret. What a model needs lies in a file beside it.
fn is_secret(name: &OsStr) -> bool {
    let name = name.to_string_lossy().to_ascii_uppercase();
    name.starts_with("BODEGA_")
        || name.starts_with("LISTEN_")
        || name == "NOTIFY_SOCKET"
        || name.ends_with("_KEY")
        || ["TOKEN", "SECRET", "PASSWORD", "PASSWD", "CREDENTIAL"].iter().any(|word| name.contains(word))
}

const NO_FRAME: &str = "it says what no worker says";
const CLOSED: &str = "it closed its connection";
const NAMES: [(i32, &str); 9] = [
    (4, "SIGILL"),
    (6, "SIGABRT"),
    (7, "SIGBUS"),
    (8, "SIGFPE"),
    (9, "SIGKILL"),
    (11, "SIGSEGV"),
    (13, "SIGPIPE"),
    (15, "SIGTERM"),
    (31, "SIGSYS"),
];
/// How often whoever waits for a worker looks at the time, and at its memory.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// What happens together is seen within this.
const MOMENT: Duration = Duration::from_secs(2);
const MAX_DRAINED_READS: usize = 64;
const MAX_TEXT_CHARS: usize = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_workers_do_not_inherit() {
        for (name, is_kept_back) in [
            ("BODEGA_TOKEN", true),
            ("BODEGA_REGION", true),
            ("AWS_SECRET_ACCESS_KEY", true),
            ("AWS_SESSION_TOKEN", true),
            ("OPENAI_API_KEY", true),
            ("PGPASSWORD", true),
            ("NOTIFY_SOCKET", true),
            ("LISTEN_FDS", true),
            ("PATH", false),
            ("HOME", false),
            ("HF_HOME", false),
            ("CUDA_VISIBLE_DEVICES", false),
            ("PYTHONPATH", false),
        ] {
            assert_eq!(is_secret(OsStr::new(name)), is_kept_back, "{name}");
        }
    }
}
