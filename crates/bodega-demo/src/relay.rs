//! A TCP relay that adds distance: everything that goes through arrives one delay later, in both directions.
//!
//! A new connection also costs what a handshake over that distance costs. The relay accepts at once, since the kernel
//! does that, so it holds the client's first bytes until a handshake would have ended: they reach the target after
//! three delays (SYN, SYN-ACK, data), and the answer comes back after a fourth.
//!
//! Each direction is a delay line: pieces wait until they are due while newer ones come in behind them, so distance
//! does not cost throughput. What waits in a line is bounded; a full line stops reading, and TCP slows the sender.
//! Loss and slow start are not imitated.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Instant, sleep_until};

use crate::running::Running;
use crate::traffic::{Stats, Traffic};

/// A relay to one target.
#[derive(Debug)]
pub struct Relay {
    running: Running,
    traffic: Arc<Traffic>,
}

impl Relay {
    /// Relays connections to `listen` to `target`, `delay` later each way.
    ///
    /// # Errors
    /// If the address cannot be bound.
    pub fn start(target: SocketAddr, delay: Duration, listen: &str) -> io::Result<Self> {
        let traffic = Arc::new(Traffic::default());
        let counted = traffic.clone();
        let running = Running::start("demo-relay", listen, move |listener| accept(listener, target, delay, counted))?;
        Ok(Self { running, traffic })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.running.address()
    }

    /// Connections accepted, and bytes that went from the target to clients.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.traffic.stats()
    }

    /// Stops listening and closes every connection; a second call does nothing.
    pub fn stop(&self) {
        self.running.stop();
    }
}

async fn accept(listener: TcpListener, target: SocketAddr, delay: Duration, traffic: Arc<Traffic>) {
    loop {
        let Ok((client, _)) = listener.accept().await else {
            // Out of file descriptors, most likely: wait for some to be closed instead of spinning.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        traffic.count_request();
        tokio::spawn(relay(client, target, delay, traffic.clone()));
    }
}

/// A broken direction ends both: the other side of a reset connection must not wait for ever.
async fn relay(client: TcpStream, target: SocketAddr, delay: Duration, traffic: Arc<Traffic>) -> io::Result<()> {
    let accepted = Instant::now();
    client.set_nodelay(true)?;
    sleep_until(accepted + delay).await;
    let Ok(server) = TcpStream::connect(target).await else {
        // The refusal travels back: the client sees its connection closed one round trip after it asked.
        sleep_until(accepted + 2 * delay).await;
        return Ok(());
    };
    server.set_nodelay(true)?;
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::try_join!(
        line(from_client, to_server, accepted + 2 * delay, delay, None),
        line(from_server, to_client, accepted, delay, Some(traffic)),
    )?;
    Ok(())
}

/// A piece under way; an empty one is the end of the stream.
struct Piece {
    due: Instant,
    bytes: Bytes,
    /// Given back when the piece has been written: this is what bounds the line.
    _room: Option<OwnedSemaphorePermit>,
}

/// Carries everything from `from` to `to`, `delay` later; what was sent before `open` counts as sent then.
async fn line(
    from: OwnedReadHalf,
    to: OwnedWriteHalf,
    open: Instant,
    delay: Duration,
    traffic: Option<Arc<Traffic>>,
) -> io::Result<()> {
    let (sender, receiver) = mpsc::unbounded_channel();
    tokio::try_join!(receive(from, sender, open, delay), deliver(to, receiver, traffic))?;
    Ok(())
}

async fn receive(
    mut from: OwnedReadHalf,
    sender: mpsc::UnboundedSender<Piece>,
    open: Instant,
    delay: Duration,
) -> io::Result<()> {
    let room = Arc::new(Semaphore::new(LINE_BYTES));
    loop {
        let mut piece = BytesMut::with_capacity(PIECE_BYTES);
        let n_read = from.read_buf(&mut piece).await?;
        let due = Instant::now().max(open) + delay;
        // Full pieces cost what they hold; small ones cost their whole buffer.
        let n_held = u32::try_from(piece.capacity()).unwrap_or(u32::MAX);
        let permit = room.clone().acquire_many_owned(n_held.min(LINE_BYTES as u32)).await.map_err(io::Error::other)?;
        let sent = sender.send(Piece { due, bytes: piece.freeze(), _room: Some(permit) });
        if n_read == 0 || sent.is_err() {
            return Ok(());
        }
    }
}

async fn deliver(
    mut to: OwnedWriteHalf,
    mut receiver: mpsc::UnboundedReceiver<Piece>,
    traffic: Option<Arc<Traffic>>,
) -> io::Result<()> {
    while let Some(piece) = receiver.recv().await {
        sleep_until(piece.due).await;
        if piece.bytes.is_empty() {
            return to.shutdown().await;
        }
        to.write_all(&piece.bytes).await?;
        if let Some(traffic) = &traffic {
            traffic.count_bytes(piece.bytes.len());
        }
    }
    Ok(())
}

/// What may wait in one direction of one connection: 32 MiB at 75 ms carry 430 MB/s.
const LINE_BYTES: usize = 32 * 1024 * 1024;
const PIECE_BYTES: usize = 64 * 1024;

#[cfg(test)]
mod tests;
