//! The body of a request on its way out, piece by piece, framed by its length or by chunks.
//! It asks its stream for more only when the socket has taken what came before: that is the back-pressure.

use std::task::{Context, Poll};

use bodega_edge::fetch::{BodyStream, FetchError, RequestBody};
use bodega_http1::chunked::{CHUNK_END, LAST_CHUNK, write_chunk_header};
use bytes::Bytes;
use tokio::time::Instant;

use crate::connection::Connection;

pub(crate) struct Upload {
    stream: Box<dyn BodyStream>,
    /// Bytes still to come; `None` for a chunked body.
    left: Option<u64>,
    has_ended: bool,
    is_sent: bool,
    /// When the origin last took something.
    pub(crate) progress: Instant,
    /// Whether the next piece is awaited from the client, which is not the origin's fault.
    pub(crate) awaits_client: bool,
}

/// Why sending stopped.
pub(crate) enum SendError {
    /// The origin takes no more. It may have answered all the same.
    Origin(std::io::Error),
    /// The body broke off on the client's side.
    Client(FetchError),
}

impl Upload {
    pub(crate) fn new(body: RequestBody) -> Self {
        let has_ended = body.content_length == Some(0);
        Self {
            stream: body.stream,
            left: body.content_length,
            has_ended,
            is_sent: false,
            progress: Instant::now(),
            awaits_client: false,
        }
    }

    /// Bytes that are here.
    pub(crate) fn whole(bytes: Bytes) -> Self {
        Self::new(RequestBody::whole(bytes))
    }

    /// Whether all of the body was given to the connection and written.
    pub(crate) fn is_sent(&self) -> bool {
        self.is_sent
    }

    /// Sends on; ready when the whole body is written.
    pub(crate) fn poll_send(
        &mut self,
        context: &mut Context<'_>,
        connection: &mut Connection,
    ) -> Poll<Result<(), SendError>> {
        loop {
            if !self.has_ended && !connection.holds_piece() {
                match self.stream.poll_chunk(context) {
                    Poll::Ready(Some(Ok(piece))) => self.give(piece, connection).map_err(SendError::Client)?,
                    Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(SendError::Client(error))),
                    Poll::Ready(None) => self.end(connection).map_err(SendError::Client)?,
                    Poll::Pending => {
                        self.awaits_client = connection.is_flushed();
                        if self.awaits_client {
                            return Poll::Pending;
                        }
                    }
                }
            }
            match connection.poll_write(context) {
                Poll::Ready(Ok(())) => {
                    self.progress = Instant::now();
                    if self.has_ended {
                        self.is_sent = true;
                        return Poll::Ready(Ok(()));
                    }
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(SendError::Origin(error))),
                Poll::Pending => {
                    self.awaits_client = false;
                    return Poll::Pending;
                }
            }
        }
    }

    fn give(&mut self, piece: Bytes, connection: &mut Connection) -> Result<(), FetchError> {
        let n_bytes = piece.len();
        let Some(left) = self.left else {
            connection.give(|output| write_chunk_header(output, n_bytes), piece, CHUNK_END);
            return Ok(());
        };
        // RFC 9110 section 8.6: a body that is not as long as was said would leave the connection out of step.
        let left = left
            .checked_sub(n_bytes as u64)
            .ok_or_else(|| FetchError::internal("the request's body is longer than its Content-Length"))?;
        self.left = Some(left);
        self.has_ended = left == 0;
        connection.give(|_| {}, piece, b"");
        Ok(())
    }

    fn end(&mut self, connection: &mut Connection) -> Result<(), FetchError> {
        if self.left.is_some() {
            return Err(FetchError::internal("the request's body is shorter than its Content-Length"));
        }
        self.has_ended = true;
        connection.give(|_| {}, Bytes::new(), LAST_CHUNK);
        Ok(())
    }
}
