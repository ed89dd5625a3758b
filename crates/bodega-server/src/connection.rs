//! The part of a connection that its thread's sweeper watches: what it waits for, and since when.
//!
//! Timeouts cost nothing on the way of a hit: a connection stores the thread's tick when it begins to wait, and a
//! sweep twice a second shuts down the direction that has waited too long, which wakes the task with an end of file.

use std::net::{IpAddr, Shutdown};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::Waker;
use std::time::Duration;

use parking_lot::Mutex;

use crate::stream::Stream;

/// How long one tick of a thread lasts.
pub(crate) const TICK: Duration = Duration::from_millis(250);

/// How long a drain waits for a request of a connection that was just accepted; and, when a successor has taken over,
/// of one that was just in use: its next request may be on its way.
const REQUEST_WAIT: Duration = Duration::from_secs(1);

/// How long a client may take to see that its connection has ended.
const LEAVE_WAIT: Duration = Duration::from_secs(5);

/// What a connection is waiting for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Phase {
    /// A PROXY header, the rest of a TLS handshake.
    Handshake,
    /// The first request: a drain gives it a moment to arrive, since the client was promised an answer.
    First,
    /// The next request.
    Idle,
    /// The rest of a head.
    Head,
    /// The rest of a request's body.
    Body,
    /// The client to take bytes.
    Write,
    /// The machine: origins have timeouts of their own.
    Work,
    /// HTTP/2 with streams under way: each has a timeout of its own.
    Streams,
    /// HTTP/2 without any. Its task ends it with a word to the client.
    NoStreams,
    /// The same, and the client has had the word.
    Leaving,
}

/// A connection as its sweeper sees it.
pub(crate) struct Connection {
    pub(crate) stream: Stream,
    peer: IpAddr,
    /// What a proxy in front says of the client.
    proxied: OnceLock<Proxied>,
    phase: AtomicU8,
    since: AtomicU32,
    expired: AtomicBool,
    /// The task of an HTTP/2 connection, to tell it that something is due.
    task: Mutex<Option<Waker>>,
}

/// A client behind a proxy that speaks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Proxied {
    pub(crate) client: IpAddr,
    /// Whether the client came to the proxy by TLS.
    pub(crate) https: bool,
}

/// How long each phase may last.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timeouts {
    pub(crate) handshake: Duration,
    pub(crate) idle: Duration,
    pub(crate) head: Duration,
    pub(crate) body: Duration,
    pub(crate) write: Duration,
}

impl Connection {
    pub(crate) fn new(stream: Stream, tick: u32) -> Self {
        let peer = stream.peer();
        Self {
            stream,
            peer,
            proxied: OnceLock::new(),
            phase: AtomicU8::new(Phase::First as u8),
            since: AtomicU32::new(tick),
            expired: AtomicBool::new(false),
            task: Mutex::new(None),
        }
    }

    /// The client: the other end, or whom a trusted proxy names.
    pub(crate) fn client(&self) -> IpAddr {
        self.proxied.get().map_or(self.peer, |proxied| proxied.client)
    }

    /// Whether the client came by TLS, to this edge or to the proxy in front.
    pub(crate) fn is_https(&self) -> bool {
        self.stream.tls().is_some() || self.proxied.get().is_some_and(|proxied| proxied.https)
    }

    /// Believes a proxy; once.
    pub(crate) fn set_proxied(&self, proxied: Proxied) {
        // Only the first header of a connection is read.
        let _ = self.proxied.set(proxied);
    }

    /// Begins to wait.
    pub(crate) fn enter(&self, phase: Phase, tick: u32) {
        self.since.store(tick, Ordering::Relaxed);
        self.phase.store(phase as u8, Ordering::Relaxed);
    }

    /// Begins to wait, unless it waits for that already.
    pub(crate) fn enter_anew(&self, phase: Phase, tick: u32) {
        if self.phase.load(Ordering::Relaxed) != phase as u8 {
            self.enter(phase, tick);
        }
    }

    /// Whom to wake when something is due.
    pub(crate) fn wake_with(&self, waker: &Waker) {
        let mut task = self.task.lock();
        if !task.as_ref().is_some_and(|known| known.will_wake(waker)) {
            *task = Some(waker.clone());
        }
    }

    fn wake(&self) {
        if let Some(waker) = &*self.task.lock() {
            waker.wake_by_ref();
        }
    }

    /// Whether no byte of a request has come yet.
    pub(crate) fn awaits_first_request(&self) -> bool {
        self.phase.load(Ordering::Relaxed) == Phase::First as u8
    }

    /// Whether the sweeper has ended what this connection waited for.
    pub(crate) fn has_expired(&self) -> bool {
        self.expired.load(Ordering::Relaxed)
    }

    fn sweep(&self, tick: u32, timeouts: &Timeouts) {
        let phase = self.phase.load(Ordering::Relaxed);
        let waited = TICK * tick.wrapping_sub(self.since.load(Ordering::Relaxed));
        let (limit, how) = match phase {
            phase if phase == Phase::Handshake as u8 => (timeouts.handshake, Shutdown::Both),
            phase if phase == Phase::First as u8 || phase == Phase::Idle as u8 => (timeouts.idle, Shutdown::Read),
            phase if phase == Phase::Head as u8 => (timeouts.head, Shutdown::Read),
            phase if phase == Phase::Body as u8 => (timeouts.body, Shutdown::Read),
            phase if phase == Phase::Write as u8 => (timeouts.write, Shutdown::Both),
            phase if phase == Phase::Leaving as u8 => (LEAVE_WAIT, Shutdown::Both),
            phase if phase == Phase::NoStreams as u8 => {
                if waited > timeouts.idle {
                    self.expired.store(true, Ordering::Relaxed);
                    self.wake();
                }
                return;
            }
            _ => return,
        };
        if waited > limit {
            self.expired.store(true, Ordering::Relaxed);
            self.stream.shutdown(how);
        }
    }

    fn end_if_idle(&self, tick: u32, waits_for_next: bool) {
        let phase = self.phase.load(Ordering::Relaxed);
        let waited = TICK * tick.wrapping_sub(self.since.load(Ordering::Relaxed));
        let is_over = match phase {
            phase if phase == Phase::First as u8 => waited >= REQUEST_WAIT,
            phase if phase == Phase::Idle as u8 => !waits_for_next || waited >= REQUEST_WAIT,
            phase if phase == Phase::Streams as u8 || phase == Phase::NoStreams as u8 => {
                self.wake();
                false
            }
            _ => false,
        };
        if is_over {
            self.stream.shutdown(Shutdown::Read);
        }
    }
}

/// The connections of one thread.
#[derive(Default)]
pub(crate) struct Connections {
    tick: AtomicU32,
    slots: Mutex<Slots>,
}

#[derive(Default)]
struct Slots {
    live: Vec<Option<Arc<Connection>>>,
    free: Vec<usize>,
}

impl Connections {
    pub(crate) fn tick(&self) -> u32 {
        self.tick.load(Ordering::Relaxed)
    }

    pub(crate) fn add(&self, connection: Arc<Connection>) -> usize {
        let mut slots = self.slots.lock();
        if let Some(slot) = slots.free.pop() {
            slots.live[slot] = Some(connection);
            return slot;
        }
        slots.live.push(Some(connection));
        slots.live.len() - 1
    }

    pub(crate) fn remove(&self, slot: usize) {
        let mut slots = self.slots.lock();
        slots.live[slot] = None;
        slots.free.push(slot);
    }

    /// Moves the tick on and ends what has waited too long.
    pub(crate) fn sweep(&self, timeouts: &Timeouts) {
        let tick = self.tick.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        for connection in self.slots.lock().live.iter().flatten() {
            connection.sweep(tick, timeouts);
        }
    }

    /// Ends the connections that wait for a request, for a drain. With `waits_for_next` those that were just in use
    /// have a moment for one more.
    pub(crate) fn end_idle(&self, waits_for_next: bool) {
        let tick = self.tick();
        for connection in self.slots.lock().live.iter().flatten() {
            connection.end_if_idle(tick, waits_for_next);
        }
    }

    /// Ends all connections.
    pub(crate) fn end_all(&self) {
        for connection in self.slots.lock().live.iter().flatten() {
            connection.stream.shutdown(Shutdown::Both);
        }
    }
}
