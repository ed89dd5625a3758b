//! An answer on its way out: a prebuilt or built head, then the body by its plan.
//!
//! Small bodies are copied behind their head and go out in one send, together with those of pipelined requests;
//! larger ones go out from where they lie, as few large pieces.

use std::io::{self, IoSlice};

use bodega_edge::fetch::next_chunk;
use bodega_edge::interim::Interim;
use bodega_edge::reader::Next;
use bodega_edge::{Answer, AnswerHead, BodyPlan, BodyReader};
use bodega_http1::chunked::write_chunk_header;
use bodega_http1::write::{write_decimal, write_field, write_length, write_status_line};
use bodega_semantics::{Head, Reason, date};
use bodega_store::Entry;

use crate::connection::{Connection, Phase};
use crate::stream::Stream;
use crate::worker::Thread;

/// Bodies up to this size are copied behind their head.
const COPY_BYTES: usize = 16 * 1024;
/// Answers wait for each other up to this size while more requests are there already.
const GATHER_BYTES: usize = 64 * 1024;
/// How many buffers a thread keeps for the next connection, and how large one of them may be: nothing counts them. Fewer,
/// and those of the misses under way would be taken and given back between entries of the store (decision 0004).
const MAX_SPARE: usize = 64;
const MAX_SPARE_BYTES: usize = 16 * 1024;
/// After so much of one answer others have a turn: a client that reads as fast as it is written would keep them waiting
/// for all of a large body.
pub(super) const TURN_BYTES: usize = 256 * 1024;
/// How much room a buffer begins with: a usual head, and a short body.
const FIRST_BYTES: usize = 2048;
/// The most pieces in one send.
const MAX_PIECES: usize = 16;

/// The connection's outgoing side.
pub(crate) struct Output<'a> {
    pub(crate) thread: &'a Thread,
    pub(crate) connection: &'a Connection,
    pub(crate) pending: Vec<u8>,
    /// Bytes the system has taken.
    pub(crate) sent_bytes: u64,
}

/// What the request said that matters for framing.
#[derive(Clone, Copy)]
pub(crate) struct Asked {
    pub(crate) is_http10: bool,
    pub(crate) keep_alive: bool,
    /// Whether trailer fields may follow the body.
    pub(crate) takes_trailers: bool,
}

/// How an answer went out.
pub(crate) enum Written {
    /// Whole, and the connection may be used again.
    Keep,
    /// Whole; the connection must be closed.
    Close,
    /// Not whole: the origin or the client broke off.
    Broken(Reason),
}

impl Output<'_> {
    /// Writes `answer`. With `more` (another request is there already) small answers wait to go out together.
    pub(crate) async fn answer(&mut self, answer: Answer, asked: Asked, more: bool) -> Written {
        let chunked = !asked.is_http10 && answer.content_length.is_none() && has_body(&answer);
        let until_close = asked.is_http10 && answer.content_length.is_none() && has_body(&answer);
        let keep_alive = asked.keep_alive && !until_close;
        self.head(&answer, asked, keep_alive, chunked);
        let before_body = self.n_bytes();
        let ended = match answer.body {
            BodyPlan::Empty => Ok(()),
            BodyPlan::Bytes(bytes) if bytes.len() <= COPY_BYTES => {
                self.pending.extend_from_slice(&bytes);
                Ok(())
            }
            BodyPlan::Stored { entry, from, to } => self.stored(&entry, from, to).await.map_err(|_| Reason::ClientGone),
            // In a box: what waits for an origin, or a client, takes memory while it does, not in every idle connection.
            body => Box::pin(self.flowing(body, chunked, asked, answer.content_length)).await,
        };
        if let Err(reason) = ended {
            let body_bytes = self.n_bytes() - before_body;
            if answer.content_length.is_some_and(|n_bytes| !chunked && body_bytes >= n_bytes) {
                // All that was promised, and yet wrong (more came than was promised): it must not arrive as whole.
                self.pending.clear();
                self.connection.stream.reset_when_closed();
            }
            if until_close {
                // Without a length or chunks an orderly end of the connection would say that the body is whole
                // (RFC 9112 section 8).
                self.connection.stream.reset_when_closed();
            }
            return Written::Broken(reason);
        }
        if (!more || self.pending.len() >= GATHER_BYTES) && self.flush().await.is_err() {
            return Written::Broken(Reason::ClientGone);
        }
        if keep_alive { Written::Keep } else { Written::Close }
    }

    /// How much has been sent or is about to be.
    fn n_bytes(&self) -> u64 {
        self.sent_bytes + self.pending.len() as u64
    }

    async fn flowing(
        &mut self,
        body: BodyPlan,
        chunked: bool,
        asked: Asked,
        content_length: Option<u64>,
    ) -> Result<(), Reason> {
        match body {
            BodyPlan::Read(reader) => self.read(reader, chunked).await,
            BodyPlan::Stream(mut stream) => self.stream(&mut *stream, chunked, asked, content_length).await,
            // Held until the client has taken it: its length is counted as long.
            BodyPlan::Bytes(bytes) => self.send(&[&bytes]).await.map_err(|_| Reason::ClientGone),
            BodyPlan::Empty | BodyPlan::Stored { .. } => Ok(()),
        }
    }

    /// Sends an interim head. A client that does not take it will not take the answer either: that is seen then.
    pub(crate) async fn interim(&mut self, interim: &Interim) {
        write_status_line(&mut self.pending, interim.status);
        self.pending.extend_from_slice(interim.fields.as_block());
        self.pending.extend_from_slice(b"\r\n");
        let _ = self.flush().await;
    }

    fn head(&mut self, answer: &Answer, asked: Asked, keep_alive: bool, chunked: bool) {
        let out = &mut self.pending;
        match &answer.head {
            AnswerHead::Stored { age_seconds, ttl_seconds, hsts } => {
                if let BodyPlan::Stored { entry, .. } = &answer.body {
                    out.extend_from_slice(entry.wire_head());
                }
                out.extend_from_slice(&self.thread.via_and_age);
                write_decimal(out, *age_seconds);
                out.extend_from_slice(&self.thread.cache_status_hit);
                write_decimal(out, *ttl_seconds);
                out.extend_from_slice(b"\r\n");
                if let Some(hsts) = hsts {
                    out.extend_from_slice(hsts.line());
                }
            }
            AnswerHead::Built(fields) => {
                write_status_line(out, answer.status);
                out.extend_from_slice(fields.as_block());
                if !fields.has("date") {
                    out.extend_from_slice(b"Date: ");
                    out.extend_from_slice(&date::format(self.thread.worker.edge.now()));
                    out.extend_from_slice(b"\r\n");
                }
                if let Some(length) = answer.content_length {
                    write_length(out, length);
                } else if chunked {
                    out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
                    if asked.takes_trailers
                        && let BodyPlan::Stream(stream) = &answer.body
                        && let Some(names) = stream.announced_trailers()
                    {
                        write_field(out, "Trailer", names);
                    }
                }
            }
        }
        if !keep_alive {
            out.extend_from_slice(b"Connection: close\r\n");
        } else if asked.is_http10 {
            out.extend_from_slice(b"Connection: keep-alive\r\n");
        }
        out.extend_from_slice(b"\r\n");
    }

    async fn stored(&mut self, entry: &Entry, from: u64, to: u64) -> io::Result<()> {
        let mut gathered: [&[u8]; MAX_PIECES] = [&[]; MAX_PIECES];
        let mut n_pieces = 0;
        for piece in entry.body().pieces(from, to) {
            if to - from <= COPY_BYTES as u64 {
                self.pending.extend_from_slice(piece);
                continue;
            }
            gathered[n_pieces] = piece;
            n_pieces += 1;
            if n_pieces == MAX_PIECES {
                self.send(&gathered).await?;
                n_pieces = 0;
            }
        }
        if n_pieces == 0 { Ok(()) } else { self.send(&gathered[..n_pieces]).await }
    }

    /// Sends what `reader` reads; what lies in a file straight from there, where that can be.
    async fn read(&mut self, mut reader: BodyReader, chunked: bool) -> Result<(), Reason> {
        let takes_files = !chunked && self.connection.stream.tls().is_none();
        loop {
            if takes_files
                && let BodyReader::Disk(reader) = &mut reader
                && self.file(reader).await?
            {
                continue;
            }
            let piece = match reader.try_next() {
                Next::Piece(piece) => piece,
                Next::End => break,
                Next::Broken(error) => return Err(error.reason),
                Next::Wait => {
                    // Nobody waits for the end: what is there goes out, then the next piece is waited for.
                    self.flush().await.map_err(|_| Reason::ClientGone)?;
                    self.connection.enter(Phase::Work, self.thread.connections.tick());
                    match reader.next().await {
                        Ok(Some(piece)) => piece,
                        Ok(None) => break,
                        Err(error) => return Err(error.reason),
                    }
                }
            };
            self.piece(piece.as_ref(), chunked).await.map_err(|_| Reason::ClientGone)?;
            reader.consumed();
        }
        self.end_of_chunks(chunked);
        Ok(())
    }

    async fn stream(
        &mut self,
        stream: &mut dyn bodega_edge::fetch::BodyStream,
        chunked: bool,
        asked: Asked,
        content_length: Option<u64>,
    ) -> Result<(), Reason> {
        let small = content_length.is_some_and(|n_bytes| n_bytes <= COPY_BYTES as u64);
        if !small {
            // The head goes out as soon as it is there: the body may take its time (events, long polls).
            self.flush().await.map_err(|_| Reason::ClientGone)?;
        }
        self.connection.enter(Phase::Work, self.thread.connections.tick());
        while let Some(chunk) = next_chunk(stream).await {
            let chunk = chunk.map_err(|error| error.reason)?;
            self.piece(&chunk, chunked).await.map_err(|_| Reason::ClientGone)?;
            if !small {
                self.flush().await.map_err(|_| Reason::ClientGone)?;
            }
            self.connection.enter(Phase::Work, self.thread.connections.tick());
        }
        match stream.trailers().filter(|_| chunked && asked.takes_trailers) {
            Some(trailers) => {
                self.pending.extend_from_slice(b"0\r\n");
                self.pending.extend_from_slice(trailers.as_block());
                self.pending.extend_from_slice(b"\r\n");
            }
            None => self.end_of_chunks(chunked),
        }
        Ok(())
    }

    async fn piece(&mut self, bytes: &[u8], chunked: bool) -> io::Result<()> {
        if chunked {
            write_chunk_header(&mut self.pending, bytes.len());
        }
        if bytes.len() <= COPY_BYTES {
            self.pending.extend_from_slice(bytes);
        } else {
            self.send(&[bytes]).await?;
        }
        if chunked {
            self.pending.extend_from_slice(b"\r\n");
        }
        if self.pending.len() >= GATHER_BYTES { self.flush().await } else { Ok(()) }
    }

    fn end_of_chunks(&mut self, chunked: bool) {
        if chunked {
            self.pending.extend_from_slice(b"0\r\n\r\n");
        }
    }

    /// Sends what is pending and then `pieces`, without copying them.
    async fn send(&mut self, pieces: &[&[u8]]) -> io::Result<()> {
        let pending = std::mem::take(&mut self.pending);
        let total = pending.len() + pieces.iter().map(|piece| piece.len()).sum::<usize>();
        let mut done = 0;
        while done < total {
            let mut slices = [IoSlice::new(&[]); MAX_PIECES + 1];
            let mut n_slices = 0;
            let mut skip = done;
            let mut left = TURN_BYTES;
            for piece in std::iter::once(&pending[..]).chain(pieces.iter().copied()) {
                if skip >= piece.len() {
                    skip -= piece.len();
                    continue;
                }
                let n_bytes = left.min(piece.len() - skip);
                slices[n_slices] = IoSlice::new(&piece[skip..skip + n_bytes]);
                n_slices += 1;
                skip = 0;
                left -= n_bytes;
                if left == 0 {
                    break;
                }
            }
            match self.connection.stream.try_write_vectored(&slices[..n_slices]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n_bytes) => {
                    done += n_bytes;
                    self.sent_bytes += n_bytes as u64;
                    if n_bytes >= TURN_BYTES {
                        tokio::task::yield_now().await;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.wait().await?,
                Err(error) => return Err(error),
            }
        }
        self.pending = pending;
        self.pending.clear();
        Ok(())
    }

    /// Gives memory back that an idle connection does not need.
    pub(crate) fn release(&mut self) {
        if self.pending.is_empty() && self.pending.capacity() > 0 {
            let pending = std::mem::take(&mut self.pending);
            let mut spare = self.thread.spare_output.lock();
            if pending.capacity() <= MAX_SPARE_BYTES && spare.len() < MAX_SPARE {
                spare.push(pending);
            }
        }
    }

    /// Takes memory for what will be written.
    pub(crate) fn take_memory(&mut self) {
        if self.pending.capacity() == 0 {
            let spare = self.thread.spare_output.lock().pop();
            self.pending = spare.unwrap_or_else(|| Vec::with_capacity(FIRST_BYTES));
        }
    }

    /// Sends what is pending.
    pub(crate) async fn flush(&mut self) -> io::Result<()> {
        self.flush_by(Stream::try_write).await
    }

    /// Sends what is pending where a file follows at once.
    pub(super) async fn flush_ahead(&mut self) -> io::Result<()> {
        self.flush_by(Stream::try_write_ahead).await
    }

    async fn flush_by(&mut self, write: fn(&Stream, &[u8]) -> io::Result<usize>) -> io::Result<()> {
        let mut done = 0;
        while done < self.pending.len() {
            match write(&self.connection.stream, &self.pending[done..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n_bytes) => {
                    done += n_bytes;
                    self.sent_bytes += n_bytes as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.wait().await?,
                Err(error) => return Err(error),
            }
        }
        self.pending.clear();
        // What TLS has taken goes out too: nobody comes back for it.
        loop {
            match self.connection.stream.try_flush() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.wait().await?,
                flushed => return flushed,
            }
        }
    }

    pub(super) async fn wait(&self) -> io::Result<()> {
        self.connection.enter(Phase::Write, self.thread.connections.tick());
        self.connection.stream.writable().await?;
        self.connection.enter(Phase::Work, self.thread.connections.tick());
        Ok(())
    }
}

fn has_body(answer: &Answer) -> bool {
    // RFC 9112 section 6.1: a 204 has no Transfer-Encoding, whatever its body would be read from.
    answer.status != 204 && !matches!(answer.body, BodyPlan::Empty)
}
