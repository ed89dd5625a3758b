//! Reads a large body on disk: what is there from there, what is on its way along with whoever fetches it, what is
//! missing from the origin.

use std::sync::Arc;

use bodega_semantics::Reason;
use bodega_store::disk::{FileNow, FileRange, Read};
use bodega_store::slice::SLICE_BYTES;
use bytes::Bytes;
use tokio::sync::oneshot;

use crate::disk_wait::in_time;
use crate::fetch::{BodyStream, FetchError, next_chunk};
use crate::fill::Fill;
use crate::reader::{FillReader, Next, Piece};
use crate::refill::{Missing, Refill};

/// How often in a row what was brought may turn out not to be there.
const MAX_ROUNDS: u8 = 3;

/// A cursor over a body on disk. Like `FillReader`, and read in the same way.
pub struct DiskReader {
    refill: Arc<Refill>,
    position: u64,
    end: u64,
    source: Source,
    /// What was waited for.
    ready: Option<Piece>,
    /// Rounds without a byte.
    n_rounds: u8,
    /// Whether the disk has kept it waiting for too long: what is next comes from the origin.
    is_late: bool,
}

enum Source {
    Disk,
    Along(Along),
    Alone(Box<dyn BodyStream>),
}

struct Along {
    reader: FillReader,
    fill: Arc<Fill>,
    /// Where in the body the fill begins.
    start: u64,
    /// Where it ends.
    until: u64,
    /// Whether what comes after it is on its way, too.
    looked_ahead: bool,
}

impl DiskReader {
    pub(crate) fn new(refill: Refill, from: u64, to: u64) -> Self {
        Self {
            refill: Arc::new(refill),
            position: from,
            end: to,
            source: Source::Disk,
            ready: None,
            n_rounds: 0,
            is_late: false,
        }
    }

    /// Turns to other bytes of the same body.
    pub(crate) fn narrow(&mut self, from: u64, to: u64) {
        (self.position, self.end) = (from, to);
        (self.source, self.ready) = (Source::Disk, None);
    }

    /// The next piece, without waiting.
    pub fn try_next(&mut self) -> Next {
        if let Some(piece) = self.ready.take() {
            return self.hand_out(piece);
        }
        if self.position >= self.end {
            return Next::End;
        }
        if let Source::Along(along) = &mut self.source {
            if along.fill.base() <= self.position - along.start {
                match along.reader.try_next() {
                    Next::Piece(piece) => return self.hand_out(piece),
                    Next::Wait => return Next::Wait,
                    // Where it broke off, or its window has moved on, what is missing is asked for anew.
                    Next::End | Next::Broken(_) => {}
                }
            }
            self.source = Source::Disk;
        }
        if matches!(self.source, Source::Alone(_)) {
            return Next::Wait;
        }
        match self.refill.body.try_read(self.position, self.end) {
            Read::Bytes(bytes) => self.hand_out(bytes.into()),
            Read::Wait | Read::Missing => Next::Wait,
        }
    }

    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// When what is missing could not be had, or is of another body by now.
    pub async fn next(&mut self) -> Result<Option<Piece>, FetchError> {
        loop {
            match self.try_next() {
                Next::Piece(piece) => return Ok(Some(piece)),
                Next::End => return Ok(None),
                Next::Broken(error) => return Err(error),
                Next::Wait => self.wait().await?,
            }
        }
    }

    /// Where the next bytes are in a file, checked and at hand. `None`: take them by `next`.
    pub async fn next_file(&mut self) -> Option<FileRange> {
        loop {
            if self.ready.is_some() || !matches!(self.source, Source::Disk) || self.position >= self.end {
                return None;
            }
            match self.refill.body.try_file(self.position, self.end) {
                FileNow::Ready(range) => return Some(range),
                FileNow::Missing | FileNow::Unsupported => return None,
                FileNow::Wait => {
                    let (sender, receiver) = oneshot::channel();
                    self.refill.body.prepare(
                        self.position,
                        self.end,
                        Box::new(move |is_there| {
                            // Who no longer waits needs no answer.
                            let _ = sender.send(is_there);
                        }),
                    );
                    match in_time(receiver, || self.refill.body.gave_up()).await {
                        Some(true) => {}
                        Some(false) => return None,
                        None => {
                            self.is_late = true;
                            return None;
                        }
                    }
                    self.n_rounds += 1;
                    if self.n_rounds >= MAX_ROUNDS {
                        // Out of the page cache again before it could be sent: by way of memory, then.
                        return None;
                    }
                }
            }
        }
    }

    /// Says that so many bytes were sent from a file.
    pub fn advance(&mut self, n_bytes: u64) {
        self.position += n_bytes;
        (self.n_rounds, self.is_late) = (0, false);
    }

    /// Says that everything handed out so far has been written.
    pub fn consumed(&self) {
        if let Source::Along(along) = &self.source {
            along.reader.consumed();
        }
    }

    fn hand_out(&mut self, piece: Piece) -> Next {
        self.advance(piece.as_ref().len() as u64);
        if let Source::Along(along) = &mut self.source
            && !along.looked_ahead
            && along.until < self.end
            && self.position + SLICE_BYTES as u64 >= along.until
        {
            along.looked_ahead = true;
            if !self.refill.body.has(crate::refill::slice_at(along.until)) {
                // Only its beginning matters here.
                let _ = self.refill.begin(along.until, self.end);
            }
        }
        Next::Piece(piece)
    }

    /// Waits until `try_next` has something.
    async fn wait(&mut self) -> Result<(), FetchError> {
        match &mut self.source {
            Source::Disk if std::mem::take(&mut self.is_late) => self.source = self.bring().await?,
            Source::Disk => match self.read().await {
                Some(bytes) => self.ready = Some(bytes.into()),
                None => self.source = self.bring().await?,
            },
            Source::Along(along) => match along.reader.next().await {
                Ok(Some(piece)) => self.ready = Some(piece),
                Ok(None) | Err(_) => self.source = Source::Disk,
            },
            Source::Alone(stream) => match next_chunk(&mut **stream).await {
                Some(chunk) => self.ready = Some(chunk?.into()),
                None => return Err(short()),
            },
        }
        Ok(())
    }

    /// Borrows nothing: what is read from an origin cannot be looked at from two threads.
    fn read(&self) -> impl Future<Output = Option<Bytes>> + use<> {
        let (sender, receiver) = oneshot::channel();
        self.refill.body.read(self.position, self.end, Box::new(move |read| drop(sender.send(read))));
        let body = Arc::clone(&self.refill.body);
        async move {
            match in_time(receiver, || body.gave_up()).await {
                Some(Read::Bytes(bytes)) => Some(bytes),
                _ => None,
            }
        }
    }

    async fn bring(&mut self) -> Result<Source, FetchError> {
        self.n_rounds += 1;
        if self.n_rounds > MAX_ROUNDS {
            return Err(short());
        }
        Ok(match self.refill.bring(self.position, self.end).await? {
            Missing::Alone(stream) => Source::Alone(stream),
            Missing::Along { flight, until } => {
                let mut reader = FillReader::new(&flight.fill);
                reader.narrow(self.position - flight.start, until.min(self.end) - flight.start);
                let looked_ahead = false;
                Source::Along(Along { reader, fill: flight.fill, start: flight.start, until, looked_ahead })
            }
        })
    }
}

fn short() -> FetchError {
    FetchError::new(Reason::OriginBroken, "a missing part of a stored body did not come")
}
