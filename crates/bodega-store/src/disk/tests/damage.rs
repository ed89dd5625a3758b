//! Whatever happens to the files, no wrong byte comes out of them.

use std::fs;

use super::*;

const N_SMALL: u64 = 12;
const LARGE: u64 = 100;
const LARGE_BYTES: u64 = MIB + 70_000;

/// A store with a few small answers and a large one.
fn store(path: &Path) {
    let disk = open(path, 20 * MIB);
    for number in 0..N_SMALL {
        disk.offer(&small(number, 40 + number), true);
    }
    put_large(&disk, LARGE, LARGE_BYTES);
    flush(&disk);
    assert!(load(&disk, key(0)).is_some());
    flush(&disk);
}

/// Everything that comes out is right; how much that is. (A slice that is missing is one.)
fn look(path: &Path) -> u64 {
    let disk = open(path, 20 * MIB);
    look_in(&disk)
}

fn look_in(disk: &Disk) -> u64 {
    let mut n_found = 0;
    for number in 0..N_SMALL {
        if let Some(found) = load(disk, key(number)) {
            assert_eq!(body_of(&found), content(number, 40 + number));
            assert_eq!(found.wire_head(), small(number, 40 + number).wire_head());
            assert_eq!(found.terms, small(number, 0).terms);
            n_found += 1;
        }
    }
    if let Some(found) = load(disk, key(LARGE)) {
        let body = disk_body(&found);
        assert_eq!(body.n_bytes(), LARGE_BYTES);
        let expected = content(LARGE, LARGE_BYTES);
        for (from, to) in [(0, MIB), (MIB, LARGE_BYTES)] {
            let bytes = read(&body, from, to);
            assert!(bytes == expected[from as usize..from as usize + bytes.len()]);
            n_found += u64::from(bytes.len() as u64 == to - from);
        }
    }
    n_found
}

const ALL: u64 = N_SMALL + 2;

#[test]
fn what_was_cut_off_is_missing_and_nothing_else() {
    for (name, cut) in [
        ("segments", 0),
        ("segments", 500),
        ("slots", 0),
        ("slots", 100_000),
        ("slots.table", 0),
        ("slots.table", 200),
        ("heat", 10),
    ] {
        let directory = tempfile::tempdir().unwrap();
        store(directory.path());
        let file = fs::OpenOptions::new().write(true).open(directory.path().join(name)).unwrap();
        file.set_len(cut).unwrap();
        drop(file);
        let n_found = look(directory.path());
        assert!(n_found < ALL || name == "heat", "{name} {cut}");
        assert!(n_found > 0 || name == "segments", "{name} {cut}");
        // It is whole again, and takes what comes.
        let disk = open(directory.path(), 20 * MIB);
        for number in 0..N_SMALL {
            disk.offer(&small(number, 40 + number), true);
        }
        put_large(&disk, LARGE, LARGE_BYTES);
        flush(&disk);
        assert_eq!(look_in(&disk), ALL, "{name} {cut}");
        drop(disk);
        assert_eq!(look(directory.path()), ALL, "{name} {cut}");
    }
}

/// Flips one bit of a file after the other, and back again.
fn each_bit(directory: &Path, name: &str, bytes: std::ops::Range<usize>, step: usize, mut see: impl FnMut(usize)) {
    use std::os::unix::fs::FileExt;
    for bit in (bytes.start * 8..bytes.end * 8).step_by(step) {
        let file = fs::OpenOptions::new().read(true).write(true).open(directory.join(name)).unwrap();
        let mut byte = [0];
        file.read_exact_at(&mut byte, bit as u64 / 8).unwrap();
        let flipped = [byte[0] ^ 1 << (bit % 8)];
        file.write_all_at(&flipped, bit as u64 / 8).unwrap();
        see(bit);
        // What the tier has written meanwhile stays.
        let mut now = [0];
        file.read_exact_at(&mut now, bit as u64 / 8).unwrap();
        if now == flipped {
            file.write_all_at(&byte, bit as u64 / 8).unwrap();
        }
    }
}

#[test]
fn a_bit_that_flips_in_a_segment_costs_one_answer() {
    let directory = tempfile::tempdir().unwrap();
    store(directory.path());
    let disk = open(directory.path(), 20 * MIB);
    let end =
        (0..N_SMALL).filter_map(|number| disk.describe(key(number))).map(|found| found.offset + found.record_bytes);
    let end = end.max().unwrap() as usize;
    drop(disk);
    each_bit(directory.path(), "segments", 0..end, 61, |bit| {
        let n_found = look(directory.path());
        // The head of a body stands for its slices; the header of the segment for nothing that is not said elsewhere.
        let least = if bit < format::SEGMENT_HEADER_BYTES * 8 { ALL } else { ALL - 2 };
        assert!((least..=ALL).contains(&n_found), "bit {bit}: {n_found}");
    });
    each_bit(directory.path(), "segments", 0..format::SEGMENT_HEADER_BYTES, 1, |bit| {
        assert_eq!(look(directory.path()), ALL, "bit {bit}");
    });
}

#[test]
fn a_bit_that_flips_in_the_table_costs_one_slice() {
    let directory = tempfile::tempdir().unwrap();
    store(directory.path());
    each_bit(directory.path(), "slots.table", 0..2 * format::SLOT_HEADER_BYTES, 13, |bit| {
        let n_found = look(directory.path());
        assert!((ALL - 2..=ALL).contains(&n_found), "bit {bit}: {n_found}");
        if n_found < ALL {
            store(directory.path());
        }
    });
}

#[test]
fn a_bit_that_flips_in_the_heat_or_the_superblock_costs_nothing() {
    let directory = tempfile::tempdir().unwrap();
    store(directory.path());
    for name in ["heat", "store"] {
        let n_bytes = fs::metadata(directory.path().join(name)).unwrap().len() as usize;
        let step = if name == "heat" { 7 } else { 997 };
        each_bit(directory.path(), name, 0..n_bytes, step, |bit| {
            assert_eq!(look(directory.path()), ALL, "{name} bit {bit}");
        });
    }
    each_bit(directory.path(), "store", 0..64, 1, |bit| assert_eq!(look(directory.path()), ALL, "bit {bit}"));
}

#[test]
fn a_bit_that_flips_in_a_slice_costs_the_slice_and_is_told() {
    let directory = tempfile::tempdir().unwrap();
    store(directory.path());
    // Of the first block, of one in the middle, of the last, shorter slice's last.
    for byte in [0, 5 * format::BLOCK_BYTES + 7, MIB as usize - 1, MIB as usize + 69_999] {
        each_bit(directory.path(), "slots", byte..byte + 1, 8, |_| {
            let disk = open(directory.path(), 20 * MIB);
            assert_eq!(look_in(&disk), ALL - 1, "byte {byte}");
            assert_eq!(disk.usage().n_checksum_failures, 1);
            let body = disk_body(&load(&disk, key(LARGE)).unwrap());
            let bad = (byte / SLICE_BYTES) as u32;
            assert!(!body.has(bad) && body.has(1 - bad));
            // It is fetched anew.
            let bytes = content(LARGE, LARGE_BYTES);
            let bytes = bytes.chunks(SLICE_BYTES).nth(bad as usize).unwrap();
            assert!(body.put(bad, slice_of(bytes)));
            flush(&disk);
            assert_eq!(look_in(&disk), ALL);
        });
    }
}

#[test]
fn verify_finds_what_is_bad_and_forgets_it() {
    let directory = tempfile::tempdir().unwrap();
    store(directory.path());
    let disk = open(directory.path(), 20 * MIB);
    let report = disk.verify(&mut |_| true);
    assert!(report.is_complete && report.n_bad == 0, "{report:?}");
    assert_eq!((report.n_records, report.n_slices), (N_SMALL + 1, 2));
    let place = disk.describe(key(3)).unwrap();
    use std::os::unix::fs::FileExt;
    let file = fs::OpenOptions::new().write(true).open(directory.path().join("segments")).unwrap();
    file.write_all_at(b"?", place.offset + 150).unwrap();
    let file = fs::OpenOptions::new().write(true).open(directory.path().join("slots")).unwrap();
    file.write_all_at(b"\0\0\0\0\0\0\0\0", 500_000).unwrap();
    let report = disk.verify(&mut |_| true);
    assert_eq!(report.n_bad, 2, "{report:?}");
    assert!(!disk.holds(key(3)));
    assert_eq!(look_in(&disk), ALL - 2);
}

#[test]
fn whatever_the_files_hold_the_store_opens_or_says_why_not() {
    // Random bytes, and pieces of real files in wrong places.
    let directory = tempfile::tempdir().unwrap();
    store(directory.path());
    let names = ["segments", "slots.table", "heat", "slots"];
    let whole: Vec<_> = names.iter().map(|name| fs::read(directory.path().join(name)).unwrap()).collect();
    for seed in 0..40 {
        let random = content(seed, 64 * 1024);
        for (name, whole) in names.iter().zip(&whole) {
            let mut bytes = whole.clone();
            for round in 0..4 {
                let at = usize::from_le_bytes(random[round * 8..][..8].try_into().unwrap()) % bytes.len();
                let from = usize::from_le_bytes(random[100 + round * 8..][..8].try_into().unwrap()) % bytes.len();
                let n_bytes = (bytes.len() - at.max(from)).min(1 + usize::from(random[200 + round]) * 9);
                if round % 2 == 0 {
                    bytes.copy_within(from..from + n_bytes, at);
                } else {
                    bytes[at..at + n_bytes].copy_from_slice(&random[..n_bytes]);
                }
            }
            fs::write(directory.path().join(name), bytes).unwrap();
        }
        look(directory.path());
        for (name, whole) in names.iter().zip(&whole) {
            fs::write(directory.path().join(name), whole).unwrap();
        }
    }
}
