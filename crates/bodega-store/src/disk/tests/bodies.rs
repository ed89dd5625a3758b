//! Large bodies.

use std::io::Read as _;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::FileExt;

use super::*;

#[test]
fn a_body_comes_back_slice_by_slice() {
    let directory = tempfile::tempdir().unwrap();
    let disk = open(directory.path(), 64 * MIB);
    let n_bytes = 3 * MIB + 12_345;
    assert_eq!(put_large(&disk, 1, n_bytes), 4);
    assert!(disk.holds(key(1)), "at once");
    flush(&disk);
    let entry = load(&disk, key(1)).unwrap();
    assert_eq!(entry.body().len(), n_bytes);
    assert!(entry.size_bytes() < 1000, "its body is elsewhere");
    let body = disk_body(&entry);
    assert_eq!((body.n_slices(), body.has(3), body.has(4)), (4, true, false));
    let expected = content(1, n_bytes);
    for (from, to) in [
        (0, n_bytes),
        (0, 1),
        (1, 2),
        (MIB - 1, MIB + 1),
        (65_535, 65_537),
        (3 * MIB + 12_000, n_bytes),
        (70_000, 400_000),
    ] {
        assert!(read(&body, from, to) == expected[from as usize..to as usize], "{from}..{to}");
    }
    assert!(matches!(body.try_read(n_bytes, n_bytes + 1), Read::Missing));
    assert!(matches!(body.try_read(5, 5), Read::Missing));
}

#[test]
fn slices_are_taken_once_and_only_whole() {
    let directory = tempfile::tempdir().unwrap();
    let disk = open(directory.path(), 64 * MIB);
    let entry = disk.begin(&new(key(1), 1), 2 * MIB).unwrap();
    let body = disk_body(&entry);
    let bytes = content(1, MIB);
    assert!(!body.put(0, slice_of(&bytes[1..])), "it lacks a byte");
    assert!(!body.put(2, slice_of(&bytes)), "behind the end");
    assert!(body.put(1, slice_of(&bytes)));
    assert!(body.put(1, slice_of(&bytes)), "it is there or on its way");
    flush(&disk);
    assert_eq!((body.has(0), body.has(1)), (false, true));
    assert_eq!(disk.usage().slice_bytes_admitted, MIB);
    assert!(disk.begin(&new(key(2), 1), disk.max_object_bytes() + 1).is_none());
    assert!(disk.begin(&new(key(2), 1), 0).is_none());
}

#[test]
fn another_version_never_shares_slices_with_the_one_before() {
    let directory = tempfile::tempdir().unwrap();
    let disk = open(directory.path(), 64 * MIB);
    put_large(&disk, 1, 2 * MIB);
    flush(&disk);
    let old = disk_body(&load(&disk, key(1)).unwrap());
    let entry = disk.begin(&new(key(1), 2), 2 * MIB).unwrap();
    let body = disk_body(&entry);
    assert!(!body.has(0));
    body.put(1, slice_of(&content(7, MIB)));
    flush(&disk);
    assert!(!old.has(0) && !old.put(0, slice_of(&content(1, MIB))), "it is over with the old one");
    assert_eq!(read(&body, MIB, 2 * MIB), content(7, MIB));
    assert_eq!(disk.usage().n_slots_used, 1, "its slots are free");
    // A small answer in its place.
    disk.offer(&small(1, 10), true);
    flush(&disk);
    assert_eq!((disk.usage().n_slots_used, disk.usage().n_bodies), (0, 0));
    assert_eq!(body_of(&load(&disk, key(1)).unwrap()).len(), 10);
    put_large(&disk, 1, MIB);
    disk.remove(key(1));
    flush(&disk);
    assert_eq!((disk.usage().n_slots_used, disk.usage().n_bodies, disk.usage().n_entries), (0, 0, 0));
}

#[test]
fn a_new_head_keeps_the_body() {
    let directory = tempfile::tempdir().unwrap();
    let disk = open(directory.path(), 64 * MIB);
    put_large(&disk, 1, 2 * MIB);
    flush(&disk);
    let entry = load(&disk, key(1)).unwrap();
    let newer = entry.with_head(&NewEntry { block: b"ETag: \"b\"\r\n", ..new(key(1), 77) });
    assert_eq!(disk.offer(&newer, false), Offered::Queued);
    flush(&disk);
    let found = load(&disk, key(1)).unwrap();
    assert_eq!((found.stamp, found.block().0), (77, &b"ETag: \"b\"\r\n"[..]));
    assert_eq!(read(&disk_body(&found), 0, 2 * MIB), content(1, 2 * MIB));
    assert_eq!(disk.usage().n_bodies, 1);
}

#[test]
fn bodies_go_by_slice_and_the_bound_holds() {
    let directory = tempfile::tempdir().unwrap();
    let size_bytes = 40 * MIB;
    let disk = open(directory.path(), size_bytes);
    for number in 0..40 {
        put_large(&disk, number, 4 * MIB);
        flush(&disk);
        // The second slice of the first is read all the time.
        if let Some(entry) = load(&disk, key(0)) {
            let bytes = read(&disk_body(&entry), MIB, 2 * MIB);
            assert_eq!(bytes, content(0, 4 * MIB)[MIB as usize..2 * MIB as usize]);
        }
        assert!(directory_bytes(directory.path()) <= size_bytes, "{:?}", disk.usage());
    }
    let body = disk_body(&load(&disk, key(0)).unwrap());
    assert!(body.has(1), "it is asked for");
    assert!(!body.has(0) && !body.has(3), "the others of it are not");
    let usage = disk.usage();
    assert!(usage.n_evictions > 100 && usage.n_entries < 40, "{usage:?}");
    let written = usage.slice_bytes_written as f64 / usage.slice_bytes_admitted as f64;
    assert!(written <= 1.15, "{written}");
    assert!(body.put(0, slice_of(&content(0, MIB))), "what went may come back");
    flush(&disk);
    assert_eq!(read(&body, 0, MIB), content(0, MIB));
}

#[test]
fn what_comes_no_faster_than_it_is_written_is_not_dropped() {
    for name in ["lru", "s3fifo", "shelf"] {
        let directory = tempfile::tempdir().unwrap();
        let policy = Box::new(move |bytes| bodega_eviction::by_name(name, bytes, 0.1).unwrap());
        let options = DiskOptions { policy, ..options(directory.path(), 48 * MIB) };
        let disk = Disk::open(options, NOW, Box::new(|_| ())).unwrap();
        wait_until(|| disk.is_recovered());
        for round in 0..60_u64 {
            let number = round * 7 % 10;
            let body = match load(&disk, key(number)) {
                Some(entry) => disk_body(&entry),
                None => disk_body(&disk.begin(&new(key(number), number), 10 * MIB).unwrap()),
            };
            for slice in 0..10 {
                let bytes = read(&body, u64::from(slice) * MIB, u64::from(slice + 1) * MIB);
                if bytes.is_empty() {
                    assert!(body.put(slice, slice_of(&content(number, MIB))));
                }
            }
            flush(&disk);
            assert_eq!(disk.usage().n_dropped, 0, "{name}, {round}: {:?}", disk.usage());
        }
    }
}

#[test]
fn heads_of_bodies_outlive_their_segments() {
    let directory = tempfile::tempdir().unwrap();
    let disk = open(directory.path(), 32 * MIB);
    put_large(&disk, 1_000_000, 2 * MIB);
    for number in 0..12_000 {
        while disk.offer(&small(number, 4000), true) == Offered::Full {
            std::thread::yield_now();
        }
    }
    flush(&disk);
    assert!(disk.usage().n_evictions > 1000);
    let entry = load(&disk, key(1_000_000)).unwrap();
    assert_eq!(read(&disk_body(&entry), 0, 2 * MIB), content(1_000_000, 2 * MIB));
}

#[test]
fn each_kind_gets_its_least_share_from_the_other() {
    let directory = tempfile::tempdir().unwrap();
    let size_bytes = 32 * MIB;
    let disk = open(directory.path(), size_bytes);
    let fill_with_small = |from: u64| {
        for number in from..from + 12_000 {
            while disk.offer(&small(number, 4000), true) == Offered::Full {
                std::thread::yield_now();
            }
        }
        flush(&disk);
    };
    fill_with_small(0);
    assert_eq!(disk.usage().n_slots, 0, "nobody asked for any");
    put_large(&disk, 1_000_000, 8 * MIB);
    flush(&disk);
    let usage = disk.usage();
    assert!(usage.n_slots >= 3, "{usage:?}");
    assert!(directory_bytes(directory.path()) <= size_bytes);
    drop(disk);
    // And the other way round.
    let directory = tempfile::tempdir().unwrap();
    let disk = open(directory.path(), size_bytes);
    for number in 0..8 {
        put_large(&disk, number, 8 * MIB);
        flush(&disk);
    }
    let before = disk.usage().n_segments;
    for number in 100..4100 {
        while disk.offer(&small(number, 4000), true) == Offered::Full {
            std::thread::yield_now();
        }
    }
    flush(&disk);
    let usage = disk.usage();
    assert!(usage.n_segments > before || before >= 3, "{before} {usage:?}");
    assert!(disk.holds(key(4099)));
    assert!(directory_bytes(directory.path()) <= size_bytes);
}

fn file_of(body: &DiskBody, at: u64, end: u64) -> Option<FileRange> {
    loop {
        match body.try_file(at, end) {
            FileNow::Ready(range) => return Some(range),
            FileNow::Missing => return None,
            FileNow::Unsupported => panic!("tests need a file system that detaches pages"),
            FileNow::Wait => {
                let (done, prepared) = mpsc::channel();
                body.prepare(at, end, Box::new(move |is_there| done.send(is_there).unwrap()));
                if !prepared.recv().unwrap() {
                    return None;
                }
            }
        }
    }
}

#[test]
fn a_range_of_the_file_holds_its_bytes() {
    let directory = tempfile::tempdir().unwrap();
    let disk = open(directory.path(), 40 * MIB);
    put_large(&disk, 1, 2 * MIB);
    flush(&disk);
    let body = disk_body(&load(&disk, key(1)).unwrap());
    let range = file_of(&body, MIB + 10, 2 * MIB).unwrap();
    assert_eq!(range.n_bytes, MIB - 10);
    // Everything else passes through meanwhile.
    for number in 2..20 {
        put_large(&disk, number, 8 * MIB);
        flush(&disk);
    }
    assert!(!body.has(1), "it has gone");
    let mut bytes = vec![0; range.n_bytes as usize];
    let file = std::fs::File::from(range.as_fd().try_clone_to_owned().unwrap());
    file.read_exact_at(&mut bytes, range.offset).unwrap();
    assert!(bytes == content(1, 2 * MIB)[MIB as usize + 10..]);
    assert!(matches!(body.try_file(MIB, 2 * MIB), FileNow::Missing));
}

#[test]
fn what_was_checked_comes_back_into_memory_with_what_follows() {
    let directory = tempfile::tempdir().unwrap();
    let disk = open(directory.path(), 24 * MIB);
    let n_bytes = 2 * MIB + 5;
    put_large(&disk, 1, n_bytes);
    flush(&disk);
    let body = disk_body(&load(&disk, key(1)).unwrap());
    let file = std::fs::File::options().read(true).write(true).open(directory.path().join("slots")).unwrap();
    file.sync_all().unwrap();
    // SAFETY: no pointers, and the file is open.
    unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) };
    let range = file_of(&body, 10, n_bytes).unwrap();
    let mut bytes = vec![0; range.n_bytes as usize];
    file.read_exact_at(&mut bytes, range.offset).unwrap();
    assert!(bytes == content(1, n_bytes)[10..MIB as usize]);
    wait_until(|| matches!(body.try_file(MIB, n_bytes), FileNow::Ready(_)));
    // A file that was cut off has none of it.
    file.set_len(0).unwrap();
    assert!(file_of(&body, MIB, n_bytes).is_none());
    assert!(body.has(0) && !body.has(1), "one slice that cannot be had is one");
}

#[test]
fn a_short_slice_is_checked_once_all_of_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let disk = open(directory.path(), 24 * MIB);
    put_large(&disk, 1, MIB + 70_000);
    flush(&disk);
    drop(disk);
    let disk = open(directory.path(), 24 * MIB);
    let body = disk_body(&load(&disk, key(1)).unwrap());
    let checked = || -> Vec<_> {
        let described = disk.describe(key(1)).unwrap().body.unwrap();
        described.slices.iter().map(|slice| slice.is_checked).collect()
    };
    for (from, to, expected) in
        [(0, 1, [false; 2]), (MIB, MIB + 1, [false; 2]), (MIB + 69_000, MIB + 70_000, [false, true])]
    {
        assert_eq!(read(&body, from, to).len() as u64, to - from);
        assert_eq!(checked(), expected, "{from}..{to}");
    }
}

#[test]
fn what_sendfile_has_taken_stays_what_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let disk = open(directory.path(), 24 * MIB);
    put_large(&disk, 1, MIB);
    flush(&disk);
    let body = disk_body(&load(&disk, key(1)).unwrap());
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (mut server, _) = listener.accept().unwrap();
    let range = file_of(&body, 0, MIB).unwrap();
    let mut offset = range.offset as i64;
    client.set_nonblocking(true).unwrap();
    // SAFETY: both descriptors are open, and `offset` is a number of this function.
    let n_sent = unsafe {
        libc::sendfile(client.as_raw_fd(), range.as_fd().as_raw_fd(), &raw mut offset, range.n_bytes as usize)
    };
    assert!(n_sent > 0);
    drop(range);
    // It is still on its way when its slot is used for others, many times.
    for number in 2..30 {
        put_large(&disk, number, 4 * MIB);
        flush(&disk);
    }
    assert!(!body.has(0));
    let mut bytes = vec![0; n_sent as usize];
    server.read_exact(&mut bytes).unwrap();
    assert!(bytes == content(1, MIB)[..n_sent as usize]);
}

#[test]
fn readers_and_writers_of_bodies_together() {
    let directory = tempfile::tempdir().unwrap();
    let disk = open(directory.path(), 28 * MIB);
    let is_over = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for reader in 0..2_u64 {
            let (disk, is_over) = (&disk, &is_over);
            scope.spawn(move || {
                let mut at = reader;
                while !is_over.load(Ordering::Relaxed) {
                    at = (at * 5 + 7) % 16;
                    let Some(entry) = load(disk, key(at)) else { continue };
                    let body = disk_body(&entry);
                    let expected = content(at, entry.body().len());
                    let from = at * 40_000;
                    let bytes = read(&body, from, expected.len() as u64);
                    assert!(bytes == expected[from as usize..from as usize + bytes.len()], "{at}");
                }
            });
        }
        for round in 0..8 {
            for number in 0..16 {
                put_large(&disk, number, 2 * MIB + number * 1000 + round);
                if number % 4 == 0 {
                    flush(&disk);
                }
            }
        }
        is_over.store(true, Ordering::Relaxed);
    });
    flush(&disk);
    assert_eq!((disk.usage().n_checksum_failures, disk.usage().n_errors), (0, 0));
}
