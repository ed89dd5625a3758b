//! The bytes of the log of invalidations. `docs/concepts/invalidation.md` draws them.
//!
//! ```text
//! file    = head frame, state frame, frames of events
//! frame   = magic u32 | checksum u32, of all that follows | body bytes u32 | kind u8 | body
//! head    = version u32 | check of the secret u64
//! state   = reserved u64 | place | examined u64 | all, retired: newest | 5 tables | rules | times
//! place   = 0 u8, or 1 u8 | journal, 16 bytes | epoch, 8 bytes | position u64 | chain, 16 bytes
//! newest  = hard u64 | soft u64 | revalidate u64
//! table   = newest | sets u32 | used u32 | used × (set u32 | floor u64 | 8 places u64)
//! rules   = count u32 | count × (over u8 | force u8 | number u64 | bytes u16 | pattern)
//! times   = count u32 | count × (number u64 | time u64)
//! events  = reserved u64 | place | until the end: number u64 | time u64 | target u8 | force u8 | mark u64, or bytes u16 and pattern
//! ```
//! Numbers are little-endian. `reserved` is the highest number that may have been given: a start goes on above it.
//! A place is in the same frame as what was applied to reach it, so that both are there or neither; 0 is as before.

use std::sync::Arc;

use bodega_semantics::Timestamp;

use super::event::{Event, Force, Target};
use super::place::Place;

const MAGIC: u32 = u32::from_le_bytes(*b"bdgi");
pub(super) const VERSION: u32 = 3;
/// The one before it is read as well: what differs is that tags may have the marks of models, which it did not know.
pub(super) const VERSION_BEFORE: u32 = 2;
const FRAME_BYTES: usize = 4 + 4 + 4 + 1;

/// What a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Frame {
    Head = 0,
    State = 1,
    Events = 2,
}

/// Appends a frame whose body `write` makes.
pub(super) fn write_frame(out: &mut Vec<u8>, kind: Frame, write: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&MAGIC.to_le_bytes());
    out.extend_from_slice(&[0; 8]);
    out.push(kind as u8);
    write(out);
    let n_body = u32::try_from(out.len() - start - FRAME_BYTES).unwrap_or(u32::MAX);
    out[start + 8..start + 12].copy_from_slice(&n_body.to_le_bytes());
    let sum = checksum(&out[start + 8..]);
    out[start + 4..start + 8].copy_from_slice(&sum.to_le_bytes());
}

/// Frames from the beginning of a file.
pub(super) struct Frames<'f>(pub(super) &'f [u8]);

impl<'f> Iterator for Frames<'f> {
    type Item = (Frame, &'f [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (frame, body, rest) = read_frame(self.0)?;
        self.0 = rest;
        Some((frame, body))
    }
}

impl Frames<'_> {
    /// Whether a whole frame lies somewhere in what could not be read: then this is no torn end.
    pub(super) fn has_later(&self) -> bool {
        let starts = 1..self.0.len().saturating_sub(FRAME_BYTES);
        starts
            .into_iter()
            .any(|at| self.0[at..].starts_with(&MAGIC.to_le_bytes()) && read_frame(&self.0[at..]).is_some())
    }
}

fn read_frame(bytes: &[u8]) -> Option<(Frame, &[u8], &[u8])> {
    let mut take = Take(bytes);
    if take.u32()? != MAGIC {
        return None;
    }
    let sum = take.u32()?;
    let summed = take.0;
    let n_body = take.u32()? as usize;
    let frame = match take.u8()? {
        0 => Frame::Head,
        1 => Frame::State,
        2 => Frame::Events,
        _ => return None,
    };
    let body = take.bytes(n_body)?;
    (checksum(&summed[..5 + n_body]) == sum).then_some((frame, body, take.0))
}

#[expect(clippy::cast_possible_truncation, reason = "a checksum of 32 bits")]
fn checksum(bytes: &[u8]) -> u32 {
    crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, bytes) as u32
}

/// An event as it is logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Logged {
    pub(super) number: u64,
    pub(super) time: Timestamp,
    pub(super) event: Event,
}

pub(super) fn write_event(out: &mut Vec<u8>, number: u64, time: Timestamp, event: &Event) {
    put(out, number);
    put(out, time.0);
    let (code, of) = match &event.target {
        Target::All => (0, Ok(0)),
        Target::Distribution(mark) => (1, Ok(*mark)),
        Target::Key(mark) => (2, Ok(*mark)),
        Target::Folder(mark) => (3, Ok(*mark)),
        Target::Tag(mark) => (4, Ok(*mark)),
        Target::Group(mark) => (5, Ok(*mark)),
        Target::Urls(pattern) => (6, Err(pattern)),
        Target::Tags(pattern) => (7, Err(pattern)),
    };
    out.extend_from_slice(&[code, force_code(event.force)]);
    match of {
        Ok(mark) => put(out, mark),
        Err(pattern) => put_text(out, pattern),
    }
}

pub(super) fn read_event(take: &mut Take<'_>) -> Option<Logged> {
    let (number, time) = (take.u64()?, Timestamp(take.u64()?));
    let (code, force) = (take.u8()?, force_of(take.u8()?)?);
    let target = match code {
        0 => take.u64().map(|_| Target::All)?,
        1 => Target::Distribution(take.u64()?),
        2 => Target::Key(take.u64()?),
        3 => Target::Folder(take.u64()?),
        4 => Target::Tag(take.u64()?),
        5 => Target::Group(take.u64()?),
        6 => Target::Urls(take.text()?),
        7 => Target::Tags(take.text()?),
        _ => return None,
    };
    Some(Logged { number, time, event: Event { target, force } })
}

pub(super) fn write_place(out: &mut Vec<u8>, place: Option<&Place>) {
    out.push(u8::from(place.is_some()));
    if let Some(place) = place {
        out.extend_from_slice(&place.journal);
        out.extend_from_slice(&place.epoch);
        put(out, place.position);
        out.extend_from_slice(&place.chain);
    }
}

pub(super) fn read_place(take: &mut Take<'_>) -> Option<Option<Place>> {
    match take.u8()? {
        0 => Some(None),
        1 => Some(Some(Place {
            journal: take.array()?,
            epoch: take.array()?,
            position: take.u64()?,
            chain: take.array()?,
        })),
        _ => None,
    }
}

pub(super) fn put(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(&number.to_le_bytes());
}

pub(super) fn put_count(out: &mut Vec<u8>, count: usize) {
    out.extend_from_slice(&u32::try_from(count).unwrap_or(u32::MAX).to_le_bytes());
}

pub(super) fn put_text(out: &mut Vec<u8>, text: &str) {
    let n_bytes = u16::try_from(text.len()).unwrap_or(u16::MAX);
    out.extend_from_slice(&n_bytes.to_le_bytes());
    out.extend_from_slice(&text.as_bytes()[..usize::from(n_bytes)]);
}

pub(super) const fn force_code(force: Force) -> u8 {
    match force {
        Force::Hard => 0,
        Force::Soft => 1,
        Force::Revalidate => 2,
    }
}

pub(super) const fn force_of(code: u8) -> Option<Force> {
    match code {
        0 => Some(Force::Hard),
        1 => Some(Force::Soft),
        2 => Some(Force::Revalidate),
        _ => None,
    }
}

/// Reads from the front; `None` where the bytes do not suffice.
pub(super) struct Take<'t>(pub(super) &'t [u8]);

impl<'t> Take<'t> {
    pub(super) fn bytes(&mut self, n_bytes: usize) -> Option<&'t [u8]> {
        let (taken, rest) = self.0.split_at_checked(n_bytes)?;
        self.0 = rest;
        Some(taken)
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.bytes(1)?.first().copied()
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.bytes(N)?.try_into().ok()
    }

    pub(super) fn text(&mut self) -> Option<Arc<str>> {
        let n_bytes = self.array().map(u16::from_le_bytes)?;
        std::str::from_utf8(self.bytes(usize::from(n_bytes))?).ok().map(Into::into)
    }
}
