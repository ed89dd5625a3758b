//! What an edge and a worker say to each other, and the places of tensors in the memory they share.
//!
//! ```text
//! u32  bytes of what follows, little-endian
//! u8   kind          'H' hello, 'R' run, 'A' answer, 'E' error, 'Q' close
//! u64  number        of the run, said again in its answer
//! ...  payload       JSON (hello), a text (error), or:
//!      u32  rows
//!      u16  tensors, each: u8 element, u8 axes, u32 length of each axis of a row, u64 offset, u64 bytes
//! ```

use std::io::{self, Read};

use crate::element::Element;
use crate::record::Axes;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Hello,
    Run,
    Answer,
    Error,
    Close,
}

impl Kind {
    const fn byte(self) -> u8 {
        match self {
            Self::Hello => b'H',
            Self::Run => b'R',
            Self::Answer => b'A',
            Self::Error => b'E',
            Self::Close => b'Q',
        }
    }

    const fn of(byte: u8) -> Option<Self> {
        Some(match byte {
            b'H' => Self::Hello,
            b'R' => Self::Run,
            b'A' => Self::Answer,
            b'E' => Self::Error,
            b'Q' => Self::Close,
            _ => return None,
        })
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) kind: Kind,
    pub(super) number: u64,
    pub(super) payload: Vec<u8>,
}

impl Frame {
    pub(super) fn write(kind: Kind, number: u64, payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(LENGTH_BYTES + HEAD_BYTES + payload.len());
        let n_bytes = u32::try_from(HEAD_BYTES + payload.len()).unwrap_or(u32::MAX);
        out.extend_from_slice(&n_bytes.to_le_bytes());
        out.push(kind.byte());
        out.extend_from_slice(&number.to_le_bytes());
        out.extend_from_slice(payload);
        out
    }
}

/// Bytes that have come and are no whole frame yet.
#[derive(Default)]
pub(super) struct Incoming(Vec<u8>);

/// Why there is no frame.
#[derive(Debug)]
pub(super) enum NoFrame {
    /// Not all of it has come.
    Yet,
    /// The other side has ended.
    Ended,
    /// What came is none.
    Garbage,
}

impl Incoming {
    /// Reads once, and returns the frame if that completes it.
    pub(super) fn read(&mut self, socket: &mut impl Read) -> Result<Frame, NoFrame> {
        let mut buffer = [0; 16 << 10];
        match socket.read(&mut buffer) {
            Ok(0) => Err(NoFrame::Ended),
            Ok(n_bytes) => {
                self.0.extend_from_slice(&buffer[..n_bytes]);
                self.frame()
            }
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted => Err(NoFrame::Yet),
                _ => Err(NoFrame::Ended),
            },
        }
    }

    /// One at a time: who says more than was asked for says nothing that is believed.
    fn frame(&mut self) -> Result<Frame, NoFrame> {
        let Some((length, rest)) = self.0.split_first_chunk::<LENGTH_BYTES>() else { return Err(NoFrame::Yet) };
        let n_bytes = usize::try_from(u32::from_le_bytes(*length)).map_err(|_| NoFrame::Garbage)?;
        if !(HEAD_BYTES..=MAX_FRAME_BYTES).contains(&n_bytes) || rest.len() > n_bytes {
            return Err(NoFrame::Garbage);
        }
        if rest.len() < n_bytes {
            return Err(NoFrame::Yet);
        }
        let (head, payload) = rest.split_first_chunk::<HEAD_BYTES>().ok_or(NoFrame::Garbage)?;
        let [kind, number @ ..] = *head;
        let kind = Kind::of(kind).ok_or(NoFrame::Garbage)?;
        let frame = Frame { kind, number: u64::from_le_bytes(number), payload: payload.to_vec() };
        self.0.clear();
        Ok(frame)
    }
}

/// Where a tensor of all rows is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) element: Element,
    /// Of a row.
    pub(super) axes: Axes,
    pub(super) offset: u64,
    pub(super) n_bytes: u64,
}

/// `None` if something is too large to be written so.
pub(super) fn write_columns(n_rows: usize, columns: &[Column]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(64 * (columns.len() + 1));
    out.extend_from_slice(&u32::try_from(n_rows).ok()?.to_le_bytes());
    out.extend_from_slice(&u16::try_from(columns.len()).ok()?.to_le_bytes());
    for column in columns {
        out.push(column.element.code());
        out.push(u8::try_from(column.axes.len()).ok()?);
        for axis in &column.axes {
            out.extend_from_slice(&u32::try_from(*axis).ok()?.to_le_bytes());
        }
        out.extend_from_slice(&column.offset.to_le_bytes());
        out.extend_from_slice(&column.n_bytes.to_le_bytes());
    }
    Some(out)
}

/// How many rows there are, and their tensors; `None` if that is not what stands there.
pub(super) fn read_columns(mut bytes: &[u8]) -> Option<(usize, Vec<Column>)> {
    let n_rows = usize::try_from(u32::from_le_bytes(take(&mut bytes)?)).ok()?;
    let n_columns = usize::from(u16::from_le_bytes(take(&mut bytes)?));
    let mut columns = Vec::new();
    for _ in 0..n_columns {
        let [code, n_axes] = take(&mut bytes)?;
        let element = Element::from_code(code)?;
        let mut axes = Axes::with_capacity(usize::from(n_axes));
        for _ in 0..n_axes {
            axes.push(usize::try_from(u32::from_le_bytes(take(&mut bytes)?)).ok()?);
        }
        let offset = u64::from_le_bytes(take(&mut bytes)?);
        let n_bytes = u64::from_le_bytes(take(&mut bytes)?);
        columns.push(Column { element, axes, offset, n_bytes });
    }
    bytes.is_empty().then_some((n_rows, columns))
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*taken)
}

const LENGTH_BYTES: usize = 4;
const HEAD_BYTES: usize = 9;
/// Tensors are not in frames: names, shapes and what went wrong are.
const MAX_FRAME_BYTES: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_frame_is_read_however_it_comes() {
        let written = Frame::write(Kind::Answer, 7, b"payload");
        for n_first in 1..written.len() {
            let mut incoming = Incoming::default();
            let (first, rest) = written.split_at(n_first);
            assert!(matches!(incoming.read(&mut &*first), Err(NoFrame::Yet)));
            let frame = incoming.read(&mut &*rest).unwrap();
            assert_eq!(frame, Frame { kind: Kind::Answer, number: 7, payload: b"payload".to_vec() });
        }
    }

    #[test]
    fn what_is_no_frame_or_more_than_one_is_garbage() {
        let mut two = Frame::write(Kind::Answer, 1, b"");
        two.extend(Frame::write(Kind::Answer, 2, b""));
        for bytes in [&b"\xff\xff\xff\xff"[..], b"\0\0\0\0", b"\x09\0\0\0?\0\0\0\0\0\0\0\0", &two] {
            assert!(matches!(Incoming::default().read(&mut &*bytes), Err(NoFrame::Garbage)), "{bytes:?}");
        }
    }

    #[test]
    fn columns_are_read_as_they_were_written() {
        let columns = [
            Column { element: Element::Float32, axes: Axes::from_slice(&[2, 3]), offset: 64, n_bytes: 48 },
            Column { element: Element::String, axes: Axes::new(), offset: 128, n_bytes: 5 },
        ];
        let written = write_columns(2, &columns).unwrap();
        assert_eq!(read_columns(&written), Some((2, columns.to_vec())));
        for n_bytes in 0..written.len() {
            assert_eq!(read_columns(&written[..n_bytes]), None);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            drop(read_columns(&bytes));
            drop(Incoming::default().read(&mut &*bytes));
        }
    }
}
