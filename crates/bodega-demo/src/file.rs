//! A body read from a file, from an offset and for a length, in pieces: large files never lie in memory whole.

use std::io::{self, SeekFrom};
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use tokio::fs::File;
use tokio::io::{AsyncRead, AsyncSeekExt, ReadBuf};

/// `length` bytes of a file from where it was opened.
#[derive(Debug)]
pub(crate) struct FileBody {
    file: File,
    remaining: u64,
}

impl FileBody {
    /// Opens `path` and stands at `start`.
    pub(crate) async fn open(path: &Path, start: u64, length: u64) -> io::Result<Self> {
        let mut file = File::open(path).await?;
        if start > 0 {
            file.seek(SeekFrom::Start(start)).await?;
        }
        Ok(Self { file, remaining: length })
    }
}

impl Body for FileBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.remaining == 0 {
            return Poll::Ready(None);
        }
        let n_wanted = usize::try_from(self.remaining).unwrap_or(PIECE_BYTES).min(PIECE_BYTES);
        let mut piece = BytesMut::zeroed(n_wanted);
        let mut unread = ReadBuf::new(&mut piece);
        ready!(Pin::new(&mut self.file).poll_read(cx, &mut unread))?;
        let n_read = unread.filled().len();
        if n_read == 0 {
            // The file was cut while it was being sent; a short body must not look complete.
            return Poll::Ready(Some(Err(io::ErrorKind::UnexpectedEof.into())));
        }
        piece.truncate(n_read);
        self.remaining -= n_read as u64;
        Poll::Ready(Some(Ok(Frame::data(piece.freeze()))))
    }

    fn is_end_stream(&self) -> bool {
        self.remaining == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.remaining)
    }
}

const PIECE_BYTES: usize = 256 * 1024;
