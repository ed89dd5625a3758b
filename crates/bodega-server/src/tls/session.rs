//! TLS around one socket: records in, records out, by shared reference.
//!
//! The lock is never contended for long: one task reads and writes, and the sweeper only ends sockets. What goes out is
//! encrypted from where it lies into records that leave in one call; what the socket does not take waits here, bounded.

use std::io::{self, IoSlice, Read, Write};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use parking_lot::{Mutex, MutexGuard};
use rustls::ServerConnection;

use crate::socket::Socket;

/// A TLS session.
pub(crate) struct Session {
    tls: Mutex<ServerConnection>,
    /// About how much has been encrypted and not sent. Changed under the lock only.
    unsent_bytes: AtomicUsize,
    /// Whether something has been decrypted and not been read: the socket says nothing of it any more.
    has_more: AtomicBool,
}

impl Session {
    pub(crate) fn new(mut connection: ServerConnection) -> Self {
        connection.set_buffer_limit(Some(MAX_UNSENT_BYTES));
        Self { tls: Mutex::new(connection), unsent_bytes: AtomicUsize::new(0), has_more: AtomicBool::new(false) }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, ServerConnection> {
        self.tls.lock()
    }

    /// Reads what is there, decrypted.
    pub(crate) fn try_read(&self, socket: &Socket, buffer: &mut [u8]) -> io::Result<usize> {
        let mut tls = self.tls.lock();
        loop {
            match tls.reader().read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.has_more.store(false, Ordering::Relaxed);
                }
                // The client left without a word: the end all the same.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(0),
                read => {
                    if !matches!(read, Ok(n_bytes) if n_bytes == buffer.len()) {
                        self.has_more.store(false, Ordering::Relaxed);
                    }
                    return read;
                }
            }
            self.receive_into(&mut tls, socket)?;
        }
    }

    /// Whether a read has something to give, whatever the socket has.
    pub(crate) fn has_more(&self) -> bool {
        self.has_more.load(Ordering::Relaxed)
    }

    /// Reads records once, and processes them. An alert in answer to what was wrong is sent if it can be.
    pub(crate) fn receive(&self, socket: &Socket) -> io::Result<usize> {
        self.receive_into(&mut self.tls.lock(), socket)
    }

    fn receive_into(&self, tls: &mut ServerConnection, socket: &Socket) -> io::Result<usize> {
        let n_bytes = tls.read_tls(&mut Wire(socket))?;
        let processed = tls.process_new_packets();
        if tls.wants_write() {
            // What does not fit goes out with the next write.
            let _ = send(tls, socket);
        }
        let state = processed.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        self.has_more.store(state.plaintext_bytes_to_read() > 0 || state.peer_has_closed(), Ordering::Relaxed);
        Ok(n_bytes)
    }

    /// Encrypts and writes what fits of several pieces.
    pub(crate) fn try_write_vectored(&self, socket: &Socket, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut tls = self.tls.lock();
        send(&mut tls, socket)?;
        let n_bytes = tls.writer().write_vectored(pieces)?;
        match send(&mut tls, socket) {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            _ => Ok(n_bytes),
        }
    }

    /// Encrypts all of several pieces; they leave with `try_flush`. Who calls this looks at `unsent_bytes` before.
    pub(crate) fn encrypt(&self, pieces: &[IoSlice<'_>]) -> io::Result<()> {
        let mut tls = self.tls.lock();
        tls.set_buffer_limit(None);
        let n_bytes = tls.writer().write_vectored(pieces)?;
        let unsent = self.unsent_bytes() + n_bytes + n_bytes.div_ceil(16 * 1024) * RECORD_OVERHEAD_BYTES;
        self.unsent_bytes.store(unsent, Ordering::Relaxed);
        Ok(())
    }

    /// How much `encrypt` has made that has not left.
    pub(crate) fn unsent_bytes(&self) -> usize {
        self.unsent_bytes.load(Ordering::Relaxed)
    }

    /// Sends what has been encrypted and has not left yet; `WouldBlock` if some of it is still there.
    pub(crate) fn try_flush(&self, socket: &Socket) -> io::Result<()> {
        let mut tls = self.tls.lock();
        let mut unsent = self.unsent_bytes();
        let flushed = loop {
            if !tls.wants_write() {
                unsent = 0;
                break Ok(());
            }
            match tls.write_tls(&mut Wire(socket)) {
                Ok(0) => break Err(io::ErrorKind::WriteZero.into()),
                Ok(n_bytes) => unsent = unsent.saturating_sub(n_bytes),
                Err(error) => break Err(error),
            }
        };
        self.unsent_bytes.store(unsent, Ordering::Relaxed);
        flushed
    }

    /// Says that nothing more will come.
    pub(crate) fn close(&self, socket: &Socket) {
        let mut tls = self.tls.lock();
        tls.send_close_notify();
        // A client that does not take it has gone, or will see the end of the connection.
        let _ = send(&mut tls, socket);
    }
}

/// Sends records until none is left, or the socket takes no more.
fn send(tls: &mut ServerConnection, socket: &Socket) -> io::Result<()> {
    while tls.wants_write() {
        if tls.write_tls(&mut Wire(socket))? == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
    }
    Ok(())
}

/// The socket, for rustls.
struct Wire<'a>(&'a Socket);

impl Read for Wire<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(buffer)
    }
}

impl Write for Wire<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(pieces)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Head, content type and tag of a record in TLS 1.3 (RFC 8446 section 5.2).
const RECORD_OVERHEAD_BYTES: usize = 22;
/// How much may be encrypted and not sent: eight full records, so that an answer of 100 KiB leaves in one call.
const MAX_UNSENT_BYTES: usize = 8 * 16 * 1024;
