//! A record: an answer, or the head of one whose body is in slots, or word that a key holds nothing any more.
//!
//! ```text
//!  0  magic | checksum of all that follows | length | what, kind, status
//! 16  turn of the segment | key | when written             (a removal ends here)
//! 48  stamp, terms, revision, flags, lengths | object, its length
//! 120 status line | field lines | note | body
//! ```

use std::sync::Arc;
use std::time::Duration;

use bodega_semantics::storable::Terms;
use bodega_semantics::{Key, Timestamp};

use super::body::DiskBody;
use super::format::{self, ALIGN, Put, RECORD_MAGIC, Take, What};
use crate::entry::{Body, Entry, Kind, NewEntry};

/// What precedes the bytes of an answer.
pub(super) const HEADER_BYTES: usize = 120;
/// A removal, or the common beginning.
pub(super) const PREFIX_BYTES: usize = 48;
/// What comes before its checksum covers anything.
const LENGTH_AT: usize = 8;
const TURN_AT: usize = 16;
const WRITTEN_AT: usize = 40;
const EXPIRES_AT: usize = 64;

/// A record as it was read; its checksum was right.
pub struct Record<'a> {
    /// What it is.
    pub what: What,
    /// In which use of a segment it was written.
    pub turn: u64,
    /// Its key.
    pub key: Key,
    /// When it was written, in milliseconds.
    pub written: u64,
    /// How long it is.
    pub length: usize,
    /// The answer, unless it is a removal.
    pub answer: Option<Answer<'a>>,
}

/// An answer in a record.
pub struct Answer<'a> {
    /// All but its body.
    pub new: NewEntry<'a>,
    /// Its body, unless that is in slots.
    pub body: &'a [u8],
    /// The number of the body in slots, and its length.
    pub object: (u64, u64),
}

/// One life of the store, from a start to its end. Revisions of the configuration are counted from 1 in each: those of
/// another life must not be taken for ours, so that entries are judged anew under the configuration that is in force.
#[derive(Clone, Copy)]
pub(super) struct Life(pub(super) u32);

impl Life {
    /// The revision as it is written, and (by the same) as it was.
    pub(super) fn mark(self, revision: u64) -> u64 {
        revision ^ u64::from(self.0) << 32
    }
}

/// Appends the record of `entry`, for the segment's `turn`. `false`, and nothing appended: it cannot be one.
pub(super) fn encode(into: &mut Vec<u8>, entry: &Entry, life: Life, turn: u64, written: u64) -> bool {
    let start = into.len();
    let (what, object, body_bytes) = match entry.body() {
        Body::Disk(body) => (What::Head, (body.object(), body.n_bytes()), 0),
        body => (What::Whole, (0, 0), body.len()),
    };
    let (wire_head, block, note) = (entry.wire_head(), entry.block().0, entry.note().0);
    let status_line = &wire_head[..wire_head.len() - block.len()];
    let n_bytes = record_bytes(entry);
    let (Ok(length), Ok(status_line_bytes)) = (u32::try_from(n_bytes), u8::try_from(status_line.len())) else {
        return false;
    };
    let length_of = |n_bytes: usize| u32::try_from(n_bytes).unwrap_or(u32::MAX);
    prefix(into, what, kind_code(entry.kind), entry.status, length, turn, entry.key, written);
    into.u64(entry.stamp);
    let terms = &entry.terms;
    into.u64(terms.born.0);
    into.u64(terms.expires.0);
    for window in [terms.stale_while_revalidate, terms.stale_if_error] {
        into.u32(u32::try_from(window.length().as_secs()).unwrap_or(u32::MAX));
    }
    into.u64(life.mark(entry.revision));
    let flags = [entry.for_user, terms.must_revalidate, terms.always_validate, terms.shared_explicit];
    into.u8(flags.iter().enumerate().fold(0, |all, (bit, flag)| all | u8::from(*flag) << bit));
    into.u8(status_line_bytes);
    into.u16(0);
    into.u32(length_of(block.len()));
    into.u32(length_of(note.len()));
    into.u32(u32::try_from(body_bytes).unwrap_or(u32::MAX));
    into.u64(object.0);
    into.u64(object.1);
    into.put(wire_head);
    into.put(note);
    match entry.body() {
        Body::Disk(_) => {}
        body => body.pieces(0, u64::MAX).for_each(|piece| into.put(piece)),
    }
    finish(into, start);
    true
}

/// The length of the record of `entry`, which need not be small enough to be one.
pub(super) fn record_bytes(entry: &Entry) -> u64 {
    let body = match entry.body() {
        Body::Disk(_) => 0,
        body => body.len(),
    };
    (HEADER_BYTES + entry.wire_head().len() + entry.note().0.len()) as u64 + body
}

/// Appends word that `key` holds nothing any more.
pub(super) fn encode_removal(into: &mut Vec<u8>, key: Key, turn: u64, written: u64) {
    let start = into.len();
    prefix(into, What::Removal, 0, 0, PREFIX_BYTES as u32, turn, key, written);
    finish(into, start);
}

/// Appends a copy of an answer, made for another turn; one that counts as expired from now on if that is wanted.
pub(super) fn copy(into: &mut Vec<u8>, record: &[u8], turn: u64, written: u64, is_expired: bool) {
    let start = into.len();
    into.put(record);
    let mut put = |at: usize, value: u64| into[start + at..start + at + 8].copy_from_slice(&value.to_le_bytes());
    put(TURN_AT, turn);
    put(WRITTEN_AT, written);
    if is_expired {
        put(EXPIRES_AT, 0);
    }
    finish(into, start);
}

/// The record at the beginning of `bytes`, if there is one.
#[must_use]
pub fn decode(bytes: &[u8]) -> Option<Record<'_>> {
    let length = peek(bytes)?;
    let mut take = format::unseal(bytes.get(..length)?, RECORD_MAGIC)?;
    take.u32()?;
    let what = What::of(take.u8()?)?;
    let kind = take.u8()?;
    let status = take.u16()?;
    let (turn, key, written) = (take.u64()?, take.key()?, take.u64()?);
    let answer = if what == What::Removal { None } else { Some(decode_answer(take, what, kind, status, key)?) };
    Some(Record { what, turn, key, written, length, answer })
}

/// The length that the record at the beginning of `bytes` would have, if it is one: not yet checked.
pub(super) fn peek(bytes: &[u8]) -> Option<usize> {
    let mut take = Take(bytes);
    if take.u32()? != RECORD_MAGIC {
        return None;
    }
    take.u32()?;
    let length = take.u32()? as usize;
    (PREFIX_BYTES..=MAX_BYTES).contains(&length).then_some(length)
}

fn decode_answer<'a>(mut take: Take<'a>, what: What, kind: u8, status: u16, key: Key) -> Option<Answer<'a>> {
    let stamp = take.u64()?;
    let (born, expires) = (Timestamp(take.u64()?), Timestamp(take.u64()?));
    let mut window = || Some(Duration::from_secs(u64::from(take.u32()?)).into());
    let (stale_while_revalidate, stale_if_error) = (window()?, window()?);
    let revision = take.u64()?;
    let flags = take.u8()?;
    let flag = |bit: u8| flags & 1 << bit != 0;
    let status_line_bytes = usize::from(take.u8()?);
    take.u16()?;
    let (block_bytes, note_bytes, body_bytes) = (take.u32()? as usize, take.u32()? as usize, take.u32()? as usize);
    let object = (take.u64()?, take.u64()?);
    let status_line = take.bytes(status_line_bytes)?;
    let block = take.bytes(block_bytes)?;
    let note = take.bytes(note_bytes)?;
    let body = take.bytes(body_bytes)?;
    let is_right =
        take.0.is_empty() && (what == What::Head) == (object.0 != 0) && (what == What::Whole || body.is_empty());
    let terms = Terms {
        born,
        expires,
        stale_while_revalidate,
        stale_if_error,
        must_revalidate: flag(1),
        always_validate: flag(2),
        shared_explicit: flag(3),
    };
    let kind = kind_of(kind)?;
    let new = NewEntry { key, stamp, terms, revision, kind, status, for_user: flag(0), status_line, block, note };
    is_right.then_some(Answer { new, body, object })
}

impl Answer<'_> {
    /// The entry. `body` is the one in slots, if there is one.
    pub(super) fn entry(&self, body: Option<Arc<DiskBody>>) -> Entry {
        match body {
            Some(body) => Entry::on_disk(&self.new, body),
            None => Entry::whole(&self.new, self.body),
        }
    }
}

#[expect(clippy::too_many_arguments, reason = "the fields of the common beginning, in their order")]
fn prefix(into: &mut Vec<u8>, what: What, kind: u8, status: u16, length: u32, turn: u64, key: Key, written: u64) {
    into.u32(RECORD_MAGIC);
    into.u32(0);
    into.u32(length);
    into.u8(what.code());
    into.u8(kind);
    into.u16(status);
    into.u64(turn);
    into.key(key);
    into.u64(written);
}

fn finish(into: &mut Vec<u8>, start: usize) {
    debug_assert_eq!(into[start + LENGTH_AT..start + LENGTH_AT + 4], (into.len() as u32 - start as u32).to_le_bytes());
    format::seal(&mut into[start..]);
    into.resize(into.len().next_multiple_of(ALIGN), 0);
}

fn kind_code(kind: Kind) -> u8 {
    KINDS.iter().position(|other| *other == kind).map_or(0, |code| code as u8)
}

fn kind_of(code: u8) -> Option<Kind> {
    KINDS.get(usize::from(code)).copied()
}

/// Their places are their codes.
const KINDS: [Kind; 4] = [Kind::Answer, Kind::VaryNames, Kind::Part, Kind::Uncacheable];

/// Longer than any record that is written, and small enough to be read at once.
pub(super) const MAX_BYTES: usize = HEADER_BYTES + super::MAX_RECORD_BYTES as usize;
