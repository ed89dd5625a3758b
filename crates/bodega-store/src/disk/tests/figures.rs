//! Figures, not run by default: `cargo test --release -p bodega-store figures -- --ignored --nocapture --test-threads 1`.

use std::time::Instant;

use super::super::index::{Index, Place};
use super::*;

const N: u64 = 1_000_000;

/// Of this thread: others may be at work on the machine.
fn processor_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call writes one `timespec`.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap())
}

#[test]
#[ignore = "a measurement"]
fn figures_of_the_index() {
    let index = Index::default();
    for number in 0..N {
        index.put(key(number), Place::new(1, 64, 100, false), 0, |_| false);
    }
    println!("index: {:.1} bytes an entry beside its key", index.memory_bytes() as f64 / N as f64 - 16.0);
    let disk_like = std::sync::Arc::new(index);
    for (name, n_keys) in [("10,000 that are hot", 10_000), ("any of a million", N)] {
        for round in 0..2 {
            let n_looks = 4_000_000_u64;
            let nanoseconds = std::thread::scope(|scope| {
                let looking = [1_u64, 2].map(|thread| {
                    let index = &disk_like;
                    scope.spawn(move || {
                        let began = processor_time();
                        let mut state = thread + 1;
                        for _ in 0..n_looks {
                            state ^= state << 13;
                            state ^= state >> 7;
                            state ^= state << 17;
                            assert!(index.holds(key(state % n_keys)));
                        }
                        (processor_time() - began).as_secs_f64() * 1e9 / n_looks as f64
                    })
                });
                looking.map(|thread| thread.join().unwrap()).iter().sum::<f64>() / 2.0
            });
            if round == 1 {
                println!("look-up of {name}, two threads: {nanoseconds:.1} ns");
            }
        }
    }
}

#[test]
#[ignore = "a measurement"]
fn figures_of_a_start() {
    let directory = tempfile::tempdir().unwrap();
    let size_bytes = 4 << 30;
    let disk = open(directory.path(), size_bytes);
    let began = Instant::now();
    for number in 0..N {
        while disk.offer(&small(number, 700), true) == Offered::Full {
            std::thread::yield_now();
        }
    }
    flush(&disk);
    let usage = disk.usage();
    println!(
        "{} entries written in {:.1} s, {} MiB of index",
        usage.n_entries,
        began.elapsed().as_secs_f64(),
        usage.index_bytes >> 20
    );
    drop(disk);
    for name in ["warm", "cold"] {
        if name == "cold" {
            for file in ["segments", "slots.table", "heat"] {
                use std::os::fd::AsRawFd;
                let file = std::fs::File::open(directory.path().join(file)).unwrap();
                file.sync_all().unwrap();
                // SAFETY: no pointers, and the file is open.
                unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) };
            }
        }
        let began = Instant::now();
        let disk = Disk::open(options(directory.path(), size_bytes), NOW, Box::new(|_| ())).unwrap();
        let opened = began.elapsed();
        wait_until(|| disk.is_recovered());
        println!("{name}: open after {opened:?}, {} entries after {:?}", disk.usage().n_entries, began.elapsed());
        let began = Instant::now();
        let mut n_waits = 0;
        for number in 0..100_000 {
            n_waits += u32::from(!matches!(disk.try_load(key(number * 10)), TryLoad::Here(_)));
        }
        println!("{name}: a record is loaded in {:?} ({n_waits} had to wait)", began.elapsed() / 100_000);
    }
}

#[test]
#[ignore = "a measurement"]
fn figures_of_reading_bodies() {
    let directory = tempfile::tempdir().unwrap();
    let disk = open(directory.path(), 1 << 30);
    put_large(&disk, 1, 60 * MIB);
    flush(&disk);
    let body = disk_body(&load(&disk, key(1)).unwrap());
    for _ in 0..3 {
        let began = Instant::now();
        let mut n_bytes = 0;
        let mut at = 0;
        while at < 60 * MIB {
            let Read::Bytes(bytes) = body.try_read(at, 60 * MIB) else { panic!("not in memory") };
            n_bytes += bytes.len();
            at += bytes.len() as u64;
        }
        println!("read and checked: {:.1} us a MiB", began.elapsed().as_secs_f64() * 1e6 / (n_bytes >> 20) as f64);
        let began = Instant::now();
        for slice in 0..60 {
            assert!(matches!(body.try_file(slice * MIB, 60 * MIB), FileNow::Ready(_)));
        }
        println!("made ready for sendfile: {:.1} us a MiB", began.elapsed().as_secs_f64() * 1e6 / 60.0);
    }
    let bytes = content(1, MIB);
    let began = Instant::now();
    for _ in 0..1000 {
        std::hint::black_box(slots::sums(std::hint::black_box(&bytes)));
    }
    println!("checksums: {:.1} us a MiB", began.elapsed().as_secs_f64() * 1e6 / 1000.0);
}

#[test]
#[ignore = "a measurement"]
fn figures_of_hits() {
    use bodega_eviction::replay::{Request, replay};
    use bodega_eviction::second_request::SecondRequest;
    for (n_objects, n_requests, size) in [(180_000_u64, 1_200_000_u64, 1500_u64), (90_000, 900_000, 6000)] {
        let directory = tempfile::tempdir().unwrap();
        // As many segments as tiers of any usual size have.
        let size_bytes = 66 * MIB;
        let mut state = 7_u64;
        // Popularity falls as in Zipf's law; sizes vary by a factor of twenty.
        let trace: Vec<_> = (0..n_requests)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let uniform = (state >> 33) as f64 / (1_u64 << 31) as f64;
                let identity = ((n_objects as f64).powf(uniform.powf(0.9))) as u64;
                Request { identity, size_bytes: 120 + 95 + size / 10 + identity * 7_919 % (size * 2) }
            })
            .collect();
        let tier = open(directory.path(), size_bytes);
        let capacity = u64::from(tier.kept.tier.load().n_units - 1) * MIB;
        drop(tier);
        let options = DiskOptions { admission: Admission::SecondRequest, ..options(directory.path(), size_bytes) };
        let disk = Disk::open(options, NOW, Box::new(|_| ())).unwrap();
        wait_until(|| disk.is_recovered());
        let (mut n_misses, mut miss_bytes) = (0_u64, 0);
        for (at, request) in trace.iter().enumerate() {
            if disk.holds(key(request.identity)) {
                assert!(load(&disk, key(request.identity)).is_some());
            } else {
                n_misses += 1;
                miss_bytes += request.size_bytes;
                disk.offer(&small(request.identity, request.size_bytes - 120 - 95), false);
            }
            if at % 20 == 0 {
                flush(&disk);
            }
        }
        let usage = disk.usage();
        for name in ["lru", "s3fifo", "shelf"] {
            let policy = bodega_eviction::by_name(name, capacity, 0.1).unwrap();
            let mut policy = SecondRequest::new(policy, capacity);
            let replayed = replay(&mut policy, capacity, trace.iter().copied());
            println!(
                "{name}: {:.3} of requests, {:.3} of bytes missed",
                replayed.n_misses as f64 / n_requests as f64,
                replayed.miss_bytes as f64 / replayed.bytes as f64
            );
        }
        let bytes: u64 = trace.iter().map(|request| request.size_bytes).sum();
        println!(
            "segments: {:.3} of requests, {:.3} of bytes missed; written {:.3} of admitted; {usage:?}",
            n_misses as f64 / n_requests as f64,
            miss_bytes as f64 / bytes as f64,
            usage.record_bytes_written as f64 / usage.record_bytes_admitted as f64,
        );
    }
}

#[test]
#[ignore = "a measurement"]
fn figures_of_writing_bodies() {
    for is_sent in [false, true] {
        let directory = tempfile::tempdir().unwrap();
        let disk = open(directory.path(), 256 * MIB);
        let mut seconds = 0.0;
        for number in 0..60 {
            let began = Instant::now();
            put_large(&disk, number, 16 * MIB);
            flush(&disk);
            if number >= 20 {
                seconds += began.elapsed().as_secs_f64();
            }
            let body = disk_body(&load(&disk, key(number)).unwrap());
            for slice in (0..16).filter(|_| is_sent) {
                // Some of them have gone again.
                drop(body.try_file(slice * MIB, 16 * MIB));
            }
        }
        println!("written again, sent before: {is_sent}: {:.0} MiB/s", 640.0 / seconds);
    }
}
