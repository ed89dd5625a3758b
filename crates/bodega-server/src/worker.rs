//! One serving thread: a single-threaded runtime, its listeners, its connections, its share of the machine.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use bodega_edge::Worker;
use bodega_snapshot::options::is_in;
use http::HeaderValue;
use ipnet::IpNet;
use parking_lot::Mutex;
use rustls::{ServerConfig, ServerConnection};
use socket2::{SockRef, Socket};
use tokio::net::{TcpListener, UnixListener};
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use crate::access_log::AccessLog;
use crate::admission::Admission;
use crate::connection::{Connection, Connections, TICK, Timeouts};
use crate::front;
use crate::front_metrics::FrontMetrics;
use crate::socket::Socket as ClientSocket;
use crate::spare_boxes::SpareBoxes;
use crate::stream::Stream;
use crate::tls::session::Session;
use crate::tls::unfinished::Handshakes;

/// What a thread's connections share.
pub(crate) struct Thread {
    pub(crate) worker: Arc<Worker>,
    pub(crate) connections: Connections,
    pub(crate) limits: bodega_http1::Limits,
    pub(crate) max_body_bytes: u64,
    pub(crate) log: Option<AccessLog>,
    /// Buffers of connections that have gone idle: to read into, and to write from.
    pub(crate) spare: Mutex<Vec<Vec<u8>>>,
    pub(crate) spare_output: Mutex<Vec<Vec<u8>>>,
    /// What requests that wait for the origin are in.
    pub(crate) spare_boxes: SpareBoxes,
    /// `Via: 1.1 NAME\r\nAge: `
    pub(crate) via_and_age: Vec<u8>,
    /// `\r\nCache-Status: NAME; hit; ttl=`
    pub(crate) cache_status_hit: Vec<u8>,
    /// `NAME; hit; ttl=`
    pub(crate) cache_status_hit_value: Vec<u8>,
    /// `1.1 NAME`
    pub(crate) via: HeaderValue,
    /// Whether clients may speak HTTP/2.
    pub(crate) speaks_http2: bool,
    /// Requests at once on one HTTP/2 connection.
    pub(crate) max_streams: u32,
    pub(crate) timeouts: Timeouts,
    pub(crate) admission: Arc<Admission>,
    pub(crate) front_metrics: FrontMetrics,
    pub(crate) handshakes: Handshakes,
    /// The networks whose connections begin with a PROXY header.
    pub(crate) proxy_networks: Vec<IpNet>,
    pub(crate) draining: AtomicBool,
    pub(crate) handed_over: AtomicBool,
    /// Whether nobody is accepted yet.
    pub(crate) holding: AtomicBool,
    /// Wakes the acceptors when they may begin, or need not any more.
    pub(crate) begin: Notify,
    /// Wakes the acceptors when draining begins, and the thread when it must end.
    pub(crate) stop_accepting: Notify,
    pub(crate) end: Notify,
}

impl Thread {
    /// Whether it accepts nobody yet.
    pub(crate) fn is_held(&self) -> bool {
        self.holding.load(Ordering::Acquire)
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Whether the accept queue is left to a successor that has taken the sockets over.
    pub(crate) fn keeps_queue(&self) -> bool {
        self.handed_over.load(Ordering::Relaxed)
    }

    /// Accepts, if that was held back. May be called again.
    pub(crate) fn serve(&self) {
        self.holding.store(false, Ordering::Release);
        self.begin.notify_waiters();
    }

    /// Waits while nobody is to be accepted: until then clients stay in the system's queue. False if the end comes
    /// first.
    async fn may_accept(&self) -> bool {
        loop {
            let begin = self.begin.notified();
            tokio::pin!(begin);
            // Before looking, so that no call in between is missed.
            begin.as_mut().enable();
            if !self.is_held() {
                return true;
            }
            if self.is_draining() {
                return false;
            }
            begin.await;
        }
    }

    /// No more connections; those that wait for a request end, the others after their answer.
    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
        self.begin.notify_waiters();
        self.stop_accepting.notify_waiters();
        self.connections.end_idle(self.keeps_queue());
    }
}

/// A running thread.
pub(crate) struct Running {
    pub(crate) thread: Arc<Thread>,
    pub(crate) handle: Handle,
    join: Option<JoinHandle<()>>,
}

/// A socket to accept from.
pub(crate) struct Acceptor {
    pub(crate) socket: Socket,
    pub(crate) is_unix: bool,
    /// Whether this process opened it. One that it was given may be held by its giver too, who goes on queueing.
    pub(crate) is_own: bool,
    /// How TLS is spoken here, if it is.
    pub(crate) tls: Option<Arc<ServerConfig>>,
}

impl Running {
    /// Starts a thread that accepts from `acceptors`.
    pub(crate) fn start(thread: Arc<Thread>, index: usize, acceptors: Vec<Acceptor>) -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let shared = Arc::clone(&thread);
        let join = std::thread::Builder::new().name(format!("bodega-{index}")).spawn(move || {
            runtime.block_on(run(shared, acceptors));
            // Tasks that outlive the drain are dropped with the runtime: their clients see a break.
            runtime.shutdown_timeout(Duration::from_millis(100));
        })?;
        Ok(Self { thread, handle, join: Some(join) })
    }

    /// Ends the thread and waits for it.
    pub(crate) fn join(&mut self) {
        self.thread.connections.end_all();
        self.thread.end.notify_one();
        if let Some(join) = self.join.take() {
            // A panic of the thread has been reported by the panic hook already.
            let _ = join.join();
        }
    }
}

async fn run(thread: Arc<Thread>, acceptors: Vec<Acceptor>) {
    for acceptor in acceptors {
        let accepting = thread.admission.accepting();
        let thread = Arc::clone(&thread);
        tokio::spawn(async move {
            let _accepting = accepting;
            accept_all(thread, acceptor).await;
        });
    }
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut n_ticks = 0_u32;
    loop {
        tokio::select! {
            _ = ticks.tick() => {
                thread.connections.sweep(&thread.timeouts);
                n_ticks = n_ticks.wrapping_add(1);
                if n_ticks.is_multiple_of(TICKS_BETWEEN_CLOSING) {
                    thread.worker.fetch.close_idle();
                }
                if thread.is_draining() {
                    thread.connections.end_idle(thread.keeps_queue());
                }
            }
            () = thread.end.notified() => return,
        }
    }
}

enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    fn new(acceptor: Acceptor) -> std::io::Result<Self> {
        acceptor.socket.set_nonblocking(true)?;
        if acceptor.is_unix {
            UnixListener::from_std(acceptor.socket.into()).map(Self::Unix)
        } else {
            TcpListener::from_std(acceptor.socket.into()).map(Self::Tcp)
        }
    }

    async fn accept(&self) -> std::io::Result<ClientSocket> {
        match self {
            Self::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                // Answers are written whole: waiting for more to send only delays them.
                stream.set_nodelay(true)?;
                Ok(ClientSocket::Tcp(stream))
            }
            Self::Unix(listener) => listener.accept().await.map(|(stream, _)| ClientSocket::Unix(stream)),
        }
    }

    /// Refuses whoever comes from now on, rather than leaving them in a queue that nobody will look at.
    /// Closing would not do: other copies of the descriptor are still there.
    fn refuse(&self) {
        let socket = match self {
            Self::Tcp(listener) => SockRef::from(listener),
            Self::Unix(listener) => SockRef::from(listener),
        };
        // An error means that it does not listen any more, which is what was wanted.
        let _ = socket.shutdown(std::net::Shutdown::Both);
    }
}

async fn accept_all(thread: Arc<Thread>, acceptor: Acceptor) {
    let (is_own, tls) = (acceptor.is_own, acceptor.tls.clone());
    let Ok(listener) = Listener::new(acceptor) else { return };
    if !thread.may_accept().await {
        // Nobody was promised an answer yet, and what there is may not be what should be answered.
        if is_own {
            listener.refuse();
        }
        return;
    }
    loop {
        let stopping = thread.stop_accepting.notified();
        tokio::pin!(stopping);
        stopping.as_mut().enable();
        if thread.is_draining() {
            break;
        }
        tokio::select! {
            accepted = listener.accept() => take(&thread, accepted, tls.as_ref()).await,
            () = stopping => break,
        }
    }
    if thread.keeps_queue() {
        return;
    }
    // Clients whose connection the system has accepted already were promised an answer: drain the queue. For a
    // bounded time, or a steady stream of new ones would keep this going.
    let deadline = Instant::now() + QUEUE_DRAIN;
    while let Ok(accepted) = timeout_at(deadline.min(Instant::now() + QUEUE_WAIT), listener.accept()).await {
        take(&thread, accepted, tls.as_ref()).await;
    }
    if is_own {
        listener.refuse();
    }
}

async fn take(thread: &Arc<Thread>, accepted: std::io::Result<ClientSocket>, tls: Option<&Arc<ServerConfig>>) {
    match accepted {
        Ok(socket) => serve(thread, socket, tls),
        // Out of descriptors or memory, or the client has gone: try again, but not in a busy loop.
        Err(_) => tokio::time::sleep(ACCEPT_BACKOFF).await,
    }
}

fn serve(thread: &Arc<Thread>, socket: ClientSocket, tls: Option<&Arc<ServerConfig>>) {
    let client = match &socket {
        ClientSocket::Tcp(_) => Some(socket.peer()),
        ClientSocket::Unix(_) => None,
    };
    let is_proxy = client.is_some_and(|address| is_in(&thread.proxy_networks, address));
    // A proxy's connections count for the clients it names.
    let Some(mut admitted) = thread.admission.admit(client.filter(|_| !is_proxy)) else { return };
    let stream = match tls {
        None => Stream::plain(socket),
        Some(config) => match ServerConnection::new(Arc::clone(config)) {
            Ok(session) => Stream::with_tls(socket, Session::new(session)),
            // No randomness, or a configuration that cannot be: it was checked when the edge started.
            Err(_) => return,
        },
    };
    let connection = Arc::new(Connection::new(stream, thread.connections.tick()));
    let slot = Slot { thread: Arc::clone(thread), slot: thread.connections.add(Arc::clone(&connection)) };
    let thread = Arc::clone(thread);
    tokio::spawn(async move {
        let _slot = slot;
        if is_proxy && !front::read_proxy_header(&thread, &connection, &mut admitted).await {
            return;
        }
        front::run(&thread, &connection).await;
    });
}

/// A place among the thread's connections, given back when the task ends, however it ends.
struct Slot {
    thread: Arc<Thread>,
    slot: usize,
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.thread.connections.remove(self.slot);
    }
}

/// How long the queue of accepted connections must stay empty before it counts as drained.
const QUEUE_WAIT: Duration = Duration::from_millis(20);
/// How long draining the queue may take in all.
const QUEUE_DRAIN: Duration = Duration::from_millis(500);
const ACCEPT_BACKOFF: Duration = Duration::from_millis(20);
/// Idle connections to origins are looked at every five seconds.
const TICKS_BETWEEN_CLOSING: u32 = 20;
