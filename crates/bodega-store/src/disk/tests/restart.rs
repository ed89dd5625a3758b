//! What is found again.

use super::*;

#[test]
fn a_revision_of_another_life_is_not_taken_for_ours() {
    let directory = tempfile::tempdir().unwrap();
    let disk = open(directory.path(), 32 * MIB);
    let entry = small(1, 10);
    disk.offer(&entry, true);
    flush(&disk);
    assert_eq!(load(&disk, key(1)).unwrap().revision, entry.revision);
    drop(disk);
    let disk = open(directory.path(), 32 * MIB);
    assert_ne!(load(&disk, key(1)).unwrap().revision, entry.revision);
}

#[test]
fn everything_that_was_written_is_found_again() {
    let directory = tempfile::tempdir().unwrap();
    let disk = open(directory.path(), 64 * MIB);
    let secret = disk.secret();
    for number in 0..2000 {
        while disk.offer(&small(number, 100 + number * 13 % 5000), true) == Offered::Full {
            std::thread::yield_now();
        }
    }
    for number in 2000..2004 {
        put_large(&disk, number, 2 * MIB + number);
    }
    flush(&disk);
    disk.remove(key(7));
    disk.offer(&small(8, 50), true);
    disk.remove(key(2001));
    flush(&disk);
    let before = disk.usage();
    drop(disk);

    let disk = open(directory.path(), 64 * MIB);
    assert_eq!(disk.secret(), secret);
    let usage = disk.usage();
    assert_eq!((usage.n_entries, usage.n_bodies), (before.n_entries, before.n_bodies));
    assert_eq!((usage.record_bytes, usage.n_slots_used), (before.record_bytes, before.n_slots_used));
    assert_eq!(disk.newest_stamp(), 2003);
    for number in (0..2000).filter(|number| ![7, 8].contains(number)) {
        let found = load(&disk, key(number)).unwrap();
        assert_eq!(body_of(&found), content(number, 100 + number * 13 % 5000));
    }
    assert!(!disk.holds(key(7)) && !disk.holds(key(2001)));
    assert_eq!(body_of(&load(&disk, key(8)).unwrap()).len(), 50);
    for number in [2000, 2002, 2003] {
        let body = disk_body(&load(&disk, key(number)).unwrap());
        assert!(read(&body, 0, body.n_bytes()) == content(number, 2 * MIB + number));
    }
    // And it goes on where it was.
    disk.offer(&small(3000, 70), true);
    put_large(&disk, 3001, MIB);
    flush(&disk);
    drop(disk);
    let disk = open(directory.path(), 64 * MIB);
    assert_eq!(disk.usage().n_entries, before.n_entries + 2);
    assert!(load(&disk, key(3000)).is_some() && load(&disk, key(3001)).is_some());
}

#[test]
fn the_last_answer_is_found_after_many_restarts_and_reclaims() {
    let directory = tempfile::tempdir().unwrap();
    for round in 0..12_u64 {
        let disk = open(directory.path(), 18 * MIB);
        if round > 0 {
            for number in 0..200 {
                if let Some(found) = load(&disk, key(number)) {
                    assert_eq!(found.stamp, round - 1, "an answer that was replaced");
                }
            }
            assert!(load(&disk, key(199)).is_some());
        }
        for number in 0..200 {
            let entry = Entry::whole(&new(key(number), round), &content(number, 20_000));
            while disk.offer(&entry, true) == Offered::Full {
                std::thread::yield_now();
            }
        }
        flush(&disk);
        drop(disk);
    }
}

#[test]
fn a_clock_that_was_set_back_expires_what_is_on_disk_and_nothing_newer() {
    let directory = tempfile::tempdir().unwrap();
    let disk = open(directory.path(), 32 * MIB);
    disk.offer(&small(1, 10), true);
    flush(&disk);
    drop(disk);
    let disk = open_at(directory.path(), 32 * MIB, NOW.plus(Duration::from_secs(5)));
    assert_eq!(load(&disk, key(1)).unwrap().terms.expires, small(1, 10).terms.expires, "time goes on");
    drop(disk);
    let disk = open_at(directory.path(), 32 * MIB, NOW.minus(Duration::from_secs(3600)));
    assert_eq!(load(&disk, key(1)).unwrap().terms.expires, Timestamp(0));
    drop(disk);
    let disk = open_at(directory.path(), 32 * MIB, NOW.plus(Duration::from_secs(3600)));
    assert_eq!(load(&disk, key(1)).unwrap().terms.expires, small(1, 10).terms.expires, "it was right after all");
}

#[test]
fn a_tier_that_was_made_smaller_keeps_within_its_new_bound() {
    let directory = tempfile::tempdir().unwrap();
    let disk = open(directory.path(), 64 * MIB);
    for number in 0..5000 {
        while disk.offer(&small(number, 6000), true) == Offered::Full {
            std::thread::yield_now();
        }
    }
    for number in 10_000..10_010 {
        put_large(&disk, number, 3 * MIB);
        flush(&disk);
    }
    drop(disk);
    let disk = open(directory.path(), 24 * MIB);
    assert!(directory_bytes(directory.path()) <= 24 * MIB, "{:?}", disk.usage());
    let mut n_found = 0;
    for number in 0..5000 {
        if let Some(found) = load(&disk, key(number)) {
            assert_eq!(body_of(&found), content(number, 6000));
            n_found += 1;
        }
    }
    for number in 10_000..10_010 {
        if let Some(found) = load(&disk, key(number)) {
            let body = disk_body(&found);
            for slice in (0..3).filter(|slice| body.has(*slice)) {
                let from = u64::from(slice) * MIB;
                assert!(
                    read(&body, from, from + MIB) == content(number, 3 * MIB)[from as usize..(from + MIB) as usize]
                );
                n_found += 1;
            }
        }
    }
    assert!(n_found > 0);
    disk.offer(&small(1, 6000), true);
    flush(&disk);
    assert!(disk.holds(key(1)));
}

#[test]
fn what_was_taken_out_while_it_was_being_found_stays_out() {
    let directory = tempfile::tempdir().unwrap();
    let disk = open(directory.path(), 64 * MIB);
    for number in 0..5000 {
        while disk.offer(&small(number, 500), true) == Offered::Full {
            std::thread::yield_now();
        }
    }
    flush(&disk);
    drop(disk);
    let disk = Disk::open(options(directory.path(), 64 * MIB), NOW, Box::new(|_| ())).unwrap();
    (0..5000).for_each(|number| disk.remove(key(number)));
    wait_until(|| disk.is_recovered());
    assert_eq!(disk.usage().n_entries, 0);
    flush(&disk);
    drop(disk);
    assert_eq!(open(directory.path(), 64 * MIB).usage().n_entries, 0);
}

#[test]
fn heat_outlives_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let disk = open(directory.path(), 32 * MIB);
    disk.offer(&small(1, 10), true);
    flush(&disk);
    (0..5).for_each(|_| assert!(load(&disk, key(1)).is_some()));
    flush(&disk);
    drop(disk);
    let disk = open(directory.path(), 32 * MIB);
    assert_eq!(disk.describe(key(1)).unwrap().hits, 5);
}

#[test]
fn a_record_that_was_only_half_written_is_passed_over_and_written_over() {
    use std::os::unix::fs::FileExt;
    let directory = tempfile::tempdir().unwrap();
    let disk = open(directory.path(), 32 * MIB);
    for number in 0..20 {
        disk.offer(&small(number, 1000), true);
    }
    flush(&disk);
    let ends = |disk: &Disk, number| {
        let place = disk.describe(key(number)).unwrap();
        (place.offset, (place.offset + place.record_bytes).next_multiple_of(8))
    };
    let ((from, to), (_, end)) = (ends(&disk, 3), ends(&disk, 19));
    drop(disk);
    // As a process leaves it that ends while it writes, also where power fails and pages get lost.
    for n_bytes in [1, 40, 200, to - from - 8] {
        let file = std::fs::OpenOptions::new().read(true).write(true).open(directory.path().join("segments")).unwrap();
        let mut record = vec![0; (to - from) as usize];
        file.read_exact_at(&mut record, from).unwrap();
        file.write_all_at(&vec![0; 4096], end).unwrap();
        file.write_all_at(&record[..n_bytes as usize], end).unwrap();
        drop(file);
        let disk = open(directory.path(), 32 * MIB);
        assert_eq!(disk.usage().n_entries, 20, "{n_bytes}");
        disk.offer(&small(100, 900), true);
        flush(&disk);
        assert_eq!(disk.describe(key(100)).unwrap().offset, end, "it is written over");
        drop(disk);
        let disk = open(directory.path(), 32 * MIB);
        assert_eq!(disk.usage().n_entries, 21);
        assert_eq!(body_of(&load(&disk, key(100)).unwrap()), content(100, 900));
    }
}
