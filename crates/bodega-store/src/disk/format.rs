//! The numbers of the byte format, and how they are read and written: little-endian, each piece with its CRC-32C.
//!
//! `docs/concepts/store-format.md` draws the pieces. Whatever is read may be any bytes: a piece that is not exactly
//! what was written is `None`.

use bodega_semantics::Key;

/// The version of all that is written here.
pub const VERSION: u32 = 1;

pub(super) const STORE_MAGIC: u64 = u64::from_le_bytes(*b"BODEGA\0S");
pub(super) const RECORD_MAGIC: u32 = u32::from_le_bytes(*b"BdRe");
pub(super) const SEGMENT_MAGIC: u32 = u32::from_le_bytes(*b"BdSg");
pub(super) const FOOTER_MAGIC: u32 = u32::from_le_bytes(*b"BdFt");
pub(super) const SLOT_MAGIC: u32 = u32::from_le_bytes(*b"BdSl");
pub(super) const HEAT_MAGIC: u32 = u32::from_le_bytes(*b"BdHt");

/// Records begin at multiples of this.
pub(super) const ALIGN: usize = 8;
pub(super) const SEGMENT_HEADER_BYTES: usize = 64;
pub(super) const FOOTER_ENTRY_BYTES: usize = 32;
pub(super) const TRAILER_BYTES: usize = 64;
pub(super) const SLOT_HEADER_BYTES: usize = 128;
/// Each has a checksum of its own.
pub(super) const BLOCK_BYTES: usize = 64 << 10;
pub(super) const BLOCKS: usize = 16;
/// A copy of the superblock; there are two.
pub(super) const SUPERBLOCK_BYTES: usize = 4096;

/// CRC-32C.
pub(super) fn checksum(bytes: &[u8]) -> u32 {
    #[expect(clippy::cast_possible_truncation, reason = "a CRC of 32 bits in the function's common type")]
    let sum = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, bytes) as u32;
    sum
}

/// Numbers appended to bytes.
pub(super) trait Put {
    fn put(&mut self, bytes: &[u8]);
    fn u8(&mut self, value: u8) {
        self.put(&[value]);
    }
    fn u16(&mut self, value: u16) {
        self.put(&value.to_le_bytes());
    }
    fn u32(&mut self, value: u32) {
        self.put(&value.to_le_bytes());
    }
    fn u64(&mut self, value: u64) {
        self.put(&value.to_le_bytes());
    }
    fn key(&mut self, key: Key) {
        self.put(&{ key.0 }.to_le_bytes());
    }
}

impl Put for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// Numbers taken from bytes, one after the other.
pub(super) struct Take<'a>(pub(super) &'a [u8]);

impl<'a> Take<'a> {
    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }

    pub(super) fn bytes(&mut self, n_bytes: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(n_bytes)?;
        self.0 = rest;
        Some(taken)
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    pub(super) fn key(&mut self) -> Option<Key> {
        self.array().map(|bytes| Key(u128::from_le_bytes(bytes)))
    }
}

/// Writes the checksum of what follows it: a piece begins with its magic number, and then the checksum.
pub(super) fn seal(piece: &mut [u8]) {
    let sum = checksum(&piece[8..]);
    piece[4..8].copy_from_slice(&sum.to_le_bytes());
}

/// What follows magic number and checksum, if both are right.
pub(super) fn unseal(piece: &[u8], magic: u32) -> Option<Take<'_>> {
    let mut take = Take(piece);
    (take.u32()? == magic && take.u32()? == checksum(take.0)).then_some(take)
}

/// The first thing in the directory that is read: which store this is, and how it is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Superblock {
    pub(super) instance: u64,
    pub(super) unit_bytes: u64,
    /// How often it was opened: numbers that are given out begin with this, so that none is given out twice.
    pub(super) n_starts: u32,
    pub(super) secret: [u8; 16],
}

/// Whether a superblock is one.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    Ours(Superblock),
    Other(u32),
    Damaged,
}

impl Superblock {
    /// Both copies.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut copy = Vec::with_capacity(SUPERBLOCK_BYTES);
        copy.u64(STORE_MAGIC);
        copy.u32(VERSION);
        let at = copy.len();
        copy.u32(0);
        copy.u64(self.instance);
        copy.u64(self.unit_bytes);
        copy.u32(self.n_starts);
        copy.put(&self.secret);
        let sum = checksum(&copy[at + 4..]);
        copy[at..at + 4].copy_from_slice(&sum.to_le_bytes());
        copy.resize(SUPERBLOCK_BYTES, 0);
        copy.repeat(2)
    }

    /// From either copy. The version comes before everything else, for those that come after us.
    pub(super) fn decode(bytes: &[u8]) -> Found {
        let copies = || bytes.chunks(SUPERBLOCK_BYTES).take(2);
        if let Some(ours) = copies().find_map(Self::decode_copy) {
            return Found::Ours(ours);
        }
        let version = |copy| {
            let mut take = Take(copy);
            (take.u64()? == STORE_MAGIC).then(|| take.u32())?
        };
        let mut versions = copies().filter_map(version);
        match (versions.next(), versions.next()) {
            (Some(one), Some(other)) if one == other && one != VERSION => Found::Other(one),
            _ => Found::Damaged,
        }
    }

    fn decode_copy(copy: &[u8]) -> Option<Self> {
        let mut take = Take(copy);
        if take.u64()? != STORE_MAGIC || take.u32()? != VERSION {
            return None;
        }
        let sum = take.u32()?;
        let summed = take.0.get(..36)?;
        let block =
            Self { instance: take.u64()?, unit_bytes: take.u64()?, n_starts: take.u32()?, secret: take.array()? };
        let is_sane =
            block.unit_bytes.is_power_of_two() && (MIN_UNIT_BYTES..=MAX_UNIT_BYTES).contains(&block.unit_bytes);
        (sum == checksum(summed) && is_sane).then_some(block)
    }
}

pub(super) const MIN_UNIT_BYTES: u64 = 1 << 20;
pub(super) const MAX_UNIT_BYTES: u64 = 64 << 20;

/// The head of a slot, in the table of slots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SlotHeader {
    pub(super) slot: u32,
    pub(super) object: u64,
    pub(super) key: Key,
    /// The length of the whole body.
    pub(super) body_bytes: u64,
    pub(super) slice: u32,
    pub(super) length: u32,
    pub(super) sums: [u32; BLOCKS],
}

impl SlotHeader {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(SLOT_HEADER_BYTES);
        bytes.u32(SLOT_MAGIC);
        bytes.u32(0);
        bytes.u64(self.object);
        bytes.key(self.key);
        bytes.u64(self.body_bytes);
        bytes.u32(self.slice);
        bytes.u32(self.length);
        self.sums.iter().for_each(|sum| bytes.u32(*sum));
        bytes.u32(self.slot);
        bytes.resize(SLOT_HEADER_BYTES, 0);
        seal(&mut bytes);
        bytes
    }

    pub(super) fn decode(bytes: &[u8], slot: u32) -> Option<Self> {
        let mut take = unseal(bytes.get(..SLOT_HEADER_BYTES)?, SLOT_MAGIC)?;
        let header = Self {
            object: take.u64()?,
            key: take.key()?,
            body_bytes: take.u64()?,
            slice: take.u32()?,
            length: take.u32()?,
            sums: {
                let mut sums = [0; BLOCKS];
                for sum in &mut sums {
                    *sum = take.u32()?;
                }
                sums
            },
            slot: take.u32()?,
        };
        let is_right = header.slot == slot
            && header.object != 0
            && header.length > 0
            && super::objects::slice_bytes(header.body_bytes, header.slice) == Some(header.length);
        is_right.then_some(header)
    }
}

/// The beginning of a segment. `turn` numbers the uses of segments: later ones are higher.
pub(super) fn segment_header(turn: u64, instance: u64) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(SEGMENT_HEADER_BYTES);
    bytes.u32(SEGMENT_MAGIC);
    bytes.u32(0);
    bytes.u64(turn);
    bytes.u64(instance);
    bytes.resize(SEGMENT_HEADER_BYTES, 0);
    seal(&mut bytes);
    bytes
}

/// The turn of a segment.
pub(super) fn decode_segment_header(bytes: &[u8], instance: u64) -> Option<u64> {
    let mut take = unseal(bytes.get(..SEGMENT_HEADER_BYTES)?, SEGMENT_MAGIC)?;
    let turn = take.u64()?;
    (take.u64()? == instance && turn != 0).then_some(turn)
}

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// An answer in one piece.
    Whole,
    /// The head of a body in slots.
    Head,
    /// Says that what the key held is gone.
    Removal,
}

impl What {
    pub(super) fn code(self) -> u8 {
        match self {
            Self::Whole => 1,
            Self::Head => 2,
            Self::Removal => 3,
        }
    }

    pub(super) fn of(code: u8) -> Option<Self> {
        [Self::Whole, Self::Head, Self::Removal].into_iter().find(|what| what.code() == code)
    }
}

/// What a segment's footer says of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FooterEntry {
    /// Its key.
    pub key: Key,
    /// Where in the segment it begins.
    pub offset: u32,
    /// How long it is.
    pub length: u32,
    /// What it is.
    pub what: What,
    /// Of the head of a body: which one, as far as 56 bits tell.
    pub object: u64,
}

/// The end of a segment that is full.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Footer {
    /// In the order in which they were written.
    pub entries: Vec<FooterEntry>,
    /// The highest stamp of any of them.
    pub newest_stamp: u64,
    /// When the last one was written.
    pub written: u64,
}

/// Where in a segment its footer lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Trailer {
    pub(super) turn: u64,
    pub(super) offset: u32,
    n_entries: u32,
    sum: u32,
    newest_stamp: u64,
    written: u64,
}

impl Footer {
    /// Entries and trailer: the last ends with the segment, the first begin at `offset`.
    pub(super) fn encode(&self, turn: u64, offset: u32) -> (Vec<u8>, Vec<u8>) {
        let mut entries = Vec::with_capacity(self.entries.len() * FOOTER_ENTRY_BYTES);
        for entry in &self.entries {
            entries.key(entry.key);
            entries.u32(entry.offset);
            entries.u32(entry.length);
            entries.u64(u64::from(entry.what.code()) << 56 | entry.object & OBJECT_MASK);
        }
        let mut trailer = Vec::with_capacity(TRAILER_BYTES);
        trailer.u32(FOOTER_MAGIC);
        trailer.u32(0);
        trailer.u64(turn);
        trailer.u32(offset);
        trailer.u32(u32::try_from(self.entries.len()).unwrap_or(u32::MAX));
        trailer.u32(checksum(&entries));
        trailer.u64(self.newest_stamp);
        trailer.u64(self.written);
        trailer.resize(TRAILER_BYTES, 0);
        seal(&mut trailer);
        (entries, trailer)
    }

    /// The entries that a trailer speaks of. Those that could not be are left out.
    pub(super) fn decode(trailer: &Trailer, bytes: &[u8]) -> Option<Self> {
        if checksum(bytes) != trailer.sum {
            return None;
        }
        let mut entries = Vec::with_capacity(bytes.len() / FOOTER_ENTRY_BYTES);
        for entry in bytes.chunks_exact(FOOTER_ENTRY_BYTES) {
            let mut take = Take(entry);
            let (key, offset, length, last) = (take.key()?, take.u32()?, take.u32()?, take.u64()?);
            let what = What::of(last.to_le_bytes()[7])?;
            let is_inside = offset as usize >= SEGMENT_HEADER_BYTES
                && (offset as usize).is_multiple_of(ALIGN)
                && u64::from(offset) + u64::from(length) <= u64::from(trailer.offset);
            if is_inside {
                entries.push(FooterEntry { key, offset, length, what, object: last & OBJECT_MASK });
            }
        }
        Some(Self { entries, newest_stamp: trailer.newest_stamp, written: trailer.written })
    }
}

impl Trailer {
    /// From the last `TRAILER_BYTES` of a segment of `unit_bytes` in its `turn`.
    pub(super) fn decode(bytes: &[u8], turn: u64, unit_bytes: u64) -> Option<Self> {
        let mut take = unseal(bytes.get(..TRAILER_BYTES)?, FOOTER_MAGIC)?;
        let trailer = Self {
            turn: take.u64()?,
            offset: take.u32()?,
            n_entries: take.u32()?,
            sum: take.u32()?,
            newest_stamp: take.u64()?,
            written: take.u64()?,
        };
        let end = u64::from(trailer.offset) + trailer.entries_bytes() + TRAILER_BYTES as u64;
        (trailer.turn == turn && trailer.offset as usize >= SEGMENT_HEADER_BYTES && end <= unit_bytes)
            .then_some(trailer)
    }

    pub(super) fn entries_bytes(&self) -> u64 {
        u64::from(self.n_entries) * FOOTER_ENTRY_BYTES as u64
    }
}

/// What of an object's number a footer keeps.
pub(super) const OBJECT_MASK: u64 = (1 << 56) - 1;
