//! A large body that is on disk: straight from its file into the socket where that can be, else by way of memory.

use bodega_edge::disk_reader::DiskReader;
use bodega_edge::reader::Next;
use bodega_semantics::Reason;

use crate::connection::Phase;
use crate::http1::write::Output;

impl Output<'_> {
    /// Sends what the reader reads, whose length has been said.
    pub(super) async fn disk(&mut self, mut reader: DiskReader) -> Result<(), Reason> {
        let takes_files = self.connection.stream.tls().is_none();
        loop {
            if takes_files && self.files(&mut reader).await? {
                continue;
            }
            let piece = match reader.try_next() {
                Next::Piece(piece) => piece,
                Next::End => return Ok(()),
                Next::Broken(error) => return Err(error.reason),
                Next::Wait => {
                    self.flush().await.map_err(|_| Reason::ClientGone)?;
                    self.connection.enter(Phase::Work, self.thread.connections.tick());
                    match reader.next().await {
                        Ok(Some(piece)) => piece,
                        Ok(None) => return Ok(()),
                        Err(error) => return Err(error.reason),
                    }
                }
            };
            self.piece(piece.as_ref(), false).await.map_err(|_| Reason::ClientGone)?;
            reader.consumed();
        }
    }

    /// Sends one range of a file. False where the next bytes are in none.
    async fn files(&mut self, reader: &mut DiskReader) -> Result<bool, Reason> {
        self.connection.enter(Phase::Work, self.thread.connections.tick());
        let Some(mut range) = reader.next_file().await else { return Ok(false) };
        // What is pending goes first.
        self.flush().await.map_err(|_| Reason::ClientGone)?;
        let mut sent_bytes = 0;
        while range.n_bytes > 0 {
            match self.connection.stream.try_send_file(&range) {
                None => return Err(Reason::Internal),
                // The file is shorter than it was, or the disk fails: what is left of it comes by way of memory, where
                // that is noticed and what is missing is fetched.
                Some(Ok(0)) => break,
                Some(Err(error)) if error.raw_os_error() == Some(libc::EIO) => break,
                Some(Ok(n_bytes)) => {
                    range.offset += n_bytes as u64;
                    range.n_bytes = range.n_bytes.saturating_sub(n_bytes as u64);
                    sent_bytes += n_bytes as u64;
                }
                Some(Err(error)) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    self.wait().await.map_err(|_| Reason::ClientGone)?;
                }
                Some(Err(_)) => return Err(Reason::ClientGone),
            }
        }
        self.sent_bytes += sent_bytes;
        reader.advance(sent_bytes);
        Ok(range.n_bytes == 0)
    }
}
