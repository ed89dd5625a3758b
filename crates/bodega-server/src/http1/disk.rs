//! What of a large body lies on disk goes straight from its file into the socket.

use bodega_edge::disk_reader::DiskReader;
use bodega_semantics::Reason;

use crate::connection::Phase;
use crate::http1::write::{Output, TURN_BYTES};

impl Output<'_> {
    /// Sends one range of a file. False where the next bytes are in none.
    pub(super) async fn file(&mut self, reader: &mut DiskReader) -> Result<bool, Reason> {
        self.connection.enter(Phase::Work, self.thread.connections.tick());
        let Some(mut range) = reader.next_file().await else { return Ok(false) };
        // What is pending goes first.
        self.flush_ahead().await.map_err(|_| Reason::ClientGone)?;
        while range.n_bytes > 0 {
            match self.connection.stream.try_send_file(&range, TURN_BYTES) {
                None => return Err(Reason::Internal),
                // The file is shorter than it was, or the disk fails: what is left of it comes by way of memory, where
                // that is noticed and what is missing is fetched.
                Some(Ok(0)) => break,
                Some(Err(error)) if error.raw_os_error() == Some(libc::EIO) => break,
                Some(Ok(n_bytes)) => {
                    range.offset += n_bytes as u64;
                    range.n_bytes = range.n_bytes.saturating_sub(n_bytes as u64);
                    self.sent_bytes += n_bytes as u64;
                    reader.advance(n_bytes as u64);
                    if n_bytes >= TURN_BYTES {
                        tokio::task::yield_now().await;
                    }
                }
                Some(Err(error)) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    self.wait().await.map_err(|_| Reason::ClientGone)?;
                }
                Some(Err(_)) => return Err(Reason::ClientGone),
            }
        }
        Ok(range.n_bytes == 0)
    }
}
