//! Small answers.

use super::*;

#[test]
fn an_answer_comes_back_as_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let disk = open(directory.path(), 32 * MIB);
    // Beside its head, in a slice, as large as a record may be, and without a body.
    for (number, n_bytes) in [(1, 100), (2, 100_000), (3, MAX_RECORD_BYTES - 100), (4, 0)] {
        let entry = small(number, n_bytes);
        assert_eq!(disk.offer(&entry, false), Offered::Queued);
        flush(&disk);
        assert!(disk.holds(key(number)));
        let found = load(&disk, key(number)).unwrap();
        assert_eq!(body_of(&found), content(number, n_bytes), "{n_bytes}");
        assert_eq!(found.wire_head(), entry.wire_head());
        assert_eq!(found.block().0, entry.block().0);
        assert_eq!(found.note().0, entry.note().0);
        assert_eq!((found.key, found.stamp), (entry.key, entry.stamp));
        assert_eq!((found.terms, found.revision, found.kind), (entry.terms, entry.revision, entry.kind));
        assert_eq!((found.status, found.for_user, found.has_groups), (203, true, true));
    }
    assert!(matches!(disk.try_load(key(5)), TryLoad::Missing));
    assert_eq!(disk.usage().n_entries, 4);
}

#[test]
fn what_is_too_large_for_a_record_is_a_body_in_place_of_the_old_record() {
    let directory = tempfile::tempdir().unwrap();
    let disk = open(directory.path(), 32 * MIB);
    disk.offer(&small(1, 10), false);
    flush(&disk);
    let n_bytes = 2 * MIB + 5;
    let large = Entry::whole(&new(key(1), 1), &content(1, n_bytes));
    assert_eq!(disk.offer(&large, false), Offered::Queued);
    for _ in 0..2 {
        // At once, and once it is written.
        let entry = load(&disk, key(1)).unwrap();
        assert_eq!(entry.stamp, large.stamp);
        let body = disk_body(&entry);
        assert!(body.is_whole());
        assert!(read(&body, 0, n_bytes) == content(1, n_bytes));
        flush(&disk);
    }
}

#[test]
fn the_second_request_is_admitted() {
    let directory = tempfile::tempdir().unwrap();
    let admission = Admission::SecondRequest;
    let options = DiskOptions { admission, ..options(directory.path(), 32 * MIB) };
    let disk = Disk::open(options, NOW, Box::new(|_| ())).unwrap();
    assert_eq!(disk.offer(&small(1, 10), false), Offered::NotAdmitted);
    assert_eq!(disk.offer(&small(1, 10), false), Offered::Queued);
    assert_eq!(disk.offer(&small(2, 10), true), Offered::Queued, "somebody knows that it was asked for twice");
    assert!(!disk.admits(key(3), MIB));
    assert!(disk.admits(key(3), MIB));
    flush(&disk);
    assert_eq!(disk.offer(&small(1, 20), false), Offered::Queued, "what is there is replaced");
    assert!(!disk.admits(key(4), disk.max_object_bytes() + 1));
}

#[test]
fn a_later_answer_takes_the_place_of_an_earlier_one() {
    let directory = tempfile::tempdir().unwrap();
    let disk = open(directory.path(), 32 * MIB);
    for n_bytes in [10, 20, 30] {
        disk.offer(&small(1, n_bytes), false);
    }
    flush(&disk);
    assert_eq!(body_of(&load(&disk, key(1)).unwrap()).len(), 30);
    let usage = disk.usage();
    assert_eq!(usage.n_entries, 1);
    assert!(usage.record_bytes < 400, "only the last counts: {}", usage.record_bytes);
}

#[test]
fn what_is_removed_is_gone_also_if_it_was_about_to_be_written() {
    let directory = tempfile::tempdir().unwrap();
    let disk = open(directory.path(), 32 * MIB);
    disk.offer(&small(1, 10), false);
    flush(&disk);
    disk.remove(key(1));
    assert!(!disk.holds(key(1)));
    for _ in 0..100 {
        disk.offer(&small(2, 10), false);
        disk.remove(key(2));
    }
    flush(&disk);
    assert!(!disk.holds(key(2)));
    disk.offer(&small(2, 10), false);
    flush(&disk);
    assert!(disk.holds(key(2)), "it may come back");
}

#[test]
fn what_is_asked_for_stays_and_the_bound_holds() {
    let directory = tempfile::tempdir().unwrap();
    let size_bytes = 24 * MIB;
    let disk = open(directory.path(), size_bytes);
    let mut newest = 0;
    for number in 0..30_000 {
        while disk.offer(&small(number, 3000), false) == Offered::Full {
            std::thread::yield_now();
        }
        if number % 100 == 0 {
            flush(&disk);
        }
        // A twentieth of them is asked for again and again.
        for popular in (0..number).step_by(20).take(50) {
            if let TryLoad::Here(entry) = disk.try_load(key(popular)) {
                assert_eq!(body_of(&entry), content(popular, 3000));
            }
        }
        newest = number;
    }
    flush(&disk);
    let usage = disk.usage();
    assert!(disk.holds(key(newest)));
    let kept = (0..newest).step_by(20).take(50).filter(|number| disk.holds(key(*number))).count();
    assert!(kept >= 45, "{kept} of 50 that are asked for: {usage:?}");
    assert!(directory_bytes(directory.path()) <= size_bytes, "{usage:?}");
    let written = usage.record_bytes_written as f64 / usage.record_bytes_admitted as f64;
    assert!(written <= 1.3, "{written}: {usage:?}");
    assert!(usage.n_evictions > 10_000);
}

#[test]
fn nobody_sees_wrong_bytes_while_segments_are_reclaimed() {
    let directory = tempfile::tempdir().unwrap();
    let disk = open(directory.path(), 18 * MIB);
    let is_over = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for reader in 0..2 {
            let (disk, is_over) = (&disk, &is_over);
            scope.spawn(move || {
                let mut at = reader;
                while !is_over.load(Ordering::Relaxed) {
                    at = (at * 5 + 7) % 4096;
                    if let Some(entry) = load(disk, key(at)) {
                        let n_bytes = entry.body().len();
                        assert_eq!(body_of(&entry), content(at, n_bytes));
                    }
                }
            });
        }
        for round in 0..10 {
            for number in 0..4096 {
                while disk.offer(&small(number, 1000 + (number * 7 + round * 131) % 15_000), true) == Offered::Full {
                    std::thread::yield_now();
                }
            }
        }
        flush(&disk);
        is_over.store(true, Ordering::Relaxed);
    });
    let usage = disk.usage();
    assert_eq!((usage.n_checksum_failures, usage.n_errors), (0, 0), "{usage:?}");
    assert!(usage.n_evictions > 0);
}

#[test]
fn what_cannot_be_written_in_time_is_dropped_and_counted() {
    let directory = tempfile::tempdir().unwrap();
    let options = DiskOptions { queue_bytes: 100_000, ..options(directory.path(), 32 * MIB) };
    let disk = Disk::open(options, NOW, Box::new(|_| ())).unwrap();
    let offered: Vec<_> = (0..50).map(|number| disk.offer(&small(number, 60_000), true)).collect();
    assert!(offered.contains(&Offered::Full) || disk.usage().n_writes > 40, "{offered:?}");
    let n_full = offered.iter().filter(|offered| **offered == Offered::Full).count();
    assert_eq!(disk.usage().n_dropped, n_full as u64);
    flush(&disk);
    assert_eq!(disk.usage().queue_bytes, 0);
}
