//! What must hold of what is read from disk, whatever bytes are there. `tests/disk_bytes.rs` asks it of generated
//! input in every test run, and `fuzz/` of whatever libFuzzer finds.
//! Checksums keep nearly all input out: each check asks once for the bytes as they are, and once with checksums that
//! are right, as if the disk had been written by somebody else.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a check fails by panicking")]

use bodega_semantics::Head;
use bodega_store::Entry;
use bodega_store::disk::{What, decode_record, read_segment};

fn seal(piece: &mut [u8]) {
    let sum = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, &piece[8..]) as u32;
    piece[4..8].copy_from_slice(&sum.to_le_bytes());
}

/// A record: what it says lies within it, and can become an entry.
pub(crate) fn record(bytes: &[u8]) {
    one_record(bytes);
    if bytes.len() >= 48 {
        let mut sealed = bytes.to_vec();
        sealed[..4].copy_from_slice(b"BdRe");
        let length = u32::try_from(bytes.len()).unwrap();
        sealed[8..12].copy_from_slice(&length.to_le_bytes());
        sealed[12] = sealed[12] % 3 + 1;
        sealed[13] %= 4;
        seal(&mut sealed);
        one_record(&sealed);
        if bytes.len() >= HEADER_BYTES {
            // With lengths that add up.
            let mut left = bytes.len() - HEADER_BYTES;
            let mut part = |most: usize, at: usize| {
                let n_bytes = usize::from(bytes[at]).min(most).min(left);
                left -= n_bytes;
                n_bytes
            };
            let (status_line, block, note) = (part(255, 89), part(usize::MAX, 92), part(usize::MAX, 96));
            sealed[89] = u8::try_from(status_line).unwrap();
            for (at, n_bytes) in [(92, block), (96, note), (100, left)] {
                sealed[at..at + 4].copy_from_slice(&u32::try_from(n_bytes).unwrap().to_le_bytes());
            }
            sealed[12] = 1;
            sealed[104..112].fill(0);
            seal(&mut sealed);
            assert!(decode_record(&sealed).is_some());
            one_record(&sealed);
        }
    }
}

/// What precedes the bytes of an answer.
const HEADER_BYTES: usize = 120;

fn one_record(bytes: &[u8]) {
    let Some(record) = decode_record(bytes) else { return };
    assert!(record.length <= bytes.len());
    assert_eq!(record.answer.is_none(), record.what == What::Removal);
    let again = decode_record(&bytes[..record.length]).expect("what follows it does not matter");
    assert_eq!((again.key, again.turn, again.written), (record.key, record.turn, record.written));
    assert!(decode_record(&bytes[..record.length - 1]).is_none(), "a record lacks its end");
    let Some(answer) = record.answer else { return };
    let new = &answer.new;
    assert!(new.status_line.len() + new.block.len() + new.note.len() + answer.body.len() < record.length);
    assert_eq!(answer.object.0 != 0, record.what == What::Head);
    let entry = Entry::inline(new, answer.body);
    assert_eq!(entry.wire_head().len(), new.status_line.len() + new.block.len());
    assert_eq!(entry.note().0, new.note);
    assert_eq!(entry.body().len(), answer.body.len() as u64);
    // Field lines that are not are none.
    let _ = entry.fields().count();
}

/// A segment, with the turn that its first eight bytes say: what is found lies within it.
pub(crate) fn segment(bytes: &[u8]) {
    let Some((turn, rest)) = bytes.split_first_chunk() else { return };
    let turn = u64::from_le_bytes(*turn);
    one_segment(rest, turn);
    if rest.len() >= 128 {
        let mut sealed = rest.to_vec();
        let at = rest.len() - 64;
        sealed[at..at + 4].copy_from_slice(b"BdFt");
        sealed[at + 8..at + 16].copy_from_slice(&turn.to_le_bytes());
        // Its entries, as many as the bytes say and there is room for.
        let n_entries = usize::from(sealed[at + 20]).min((at - 64) / 32);
        let start = at - n_entries * 32;
        sealed[at + 16..at + 20].copy_from_slice(&u32::try_from(start).unwrap().to_le_bytes());
        sealed[at + 20..at + 24].copy_from_slice(&u32::try_from(n_entries).unwrap().to_le_bytes());
        for entry in sealed[start..at].chunks_exact_mut(32) {
            entry[31] = entry[31] % 3 + 1;
        }
        let sum = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, &sealed[start..at]) as u32;
        sealed[at + 24..at + 28].copy_from_slice(&sum.to_le_bytes());
        seal(&mut sealed[at..]);
        one_segment(&sealed, turn);
    }
}

fn one_segment(bytes: &[u8], turn: u64) {
    for entry in read_segment(bytes, turn).entries {
        let end = u64::from(entry.offset) + u64::from(entry.length);
        assert!(entry.offset >= 64 && end <= bytes.len() as u64);
    }
}
