//! The tier on a directory of its own.

mod bodies;
mod crash;
mod damage;
mod directory;
mod figures;
mod records;
mod restart;

use std::sync::mpsc;
use std::time::Instant;

use bodega_eviction::clock::Clock;
use bodega_semantics::storable::Terms;

use super::*;
use crate::entry::{Body, Kind};
use crate::slice::{SLICE_BYTES, Slice, SliceWriter};

const MIB: u64 = 1 << 20;
const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

fn options(path: &Path, size_bytes: u64) -> DiskOptions {
    let policy = Box::new(|_| Box::new(Clock::default()) as _);
    DiskOptions { admission: Admission::Always, ..DiskOptions::new(path, size_bytes, policy) }
}

fn open(path: &Path, size_bytes: u64) -> Arc<Disk> {
    open_at(path, size_bytes, NOW)
}

fn open_at(path: &Path, size_bytes: u64, now: Timestamp) -> Arc<Disk> {
    let disk = Disk::open(options(path, size_bytes), now, Box::new(|_| ())).unwrap();
    wait_until(|| disk.is_recovered());
    disk
}

/// Waits for what happens on another thread.
fn wait_until(mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(60), "waited for a minute");
        std::thread::yield_now();
    }
}

fn key(number: u64) -> Key {
    // Spread as keyed hashes are.
    let half = |seed: u64| {
        let mixed = (number ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed ^ mixed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9)
    };
    Key(u128::from(half(1)) << 64 | u128::from(half(2)))
}

fn new(key: Key, stamp: u64) -> NewEntry<'static> {
    NewEntry {
        key,
        stamp,
        terms: Terms {
            born: NOW,
            expires: NOW.plus(Duration::from_secs(60)),
            stale_while_revalidate: Duration::from_secs(7).into(),
            stale_if_error: Duration::from_secs(8).into(),
            must_revalidate: true,
            always_validate: false,
            shared_explicit: true,
        },
        revision: 9,
        kind: Kind::Answer,
        status: 203,
        for_user: true,
        status_line: b"HTTP/1.1 203 \r\n",
        block: b"ETag: \"a\"\r\nCache-Groups: \"g\"\r\n",
        note: b"site\nexample.org/a\ntag",
    }
}

/// Bytes that tell every object and every place in it apart.
fn content(seed: u64, n_bytes: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(n_bytes as usize + 8);
    while (bytes.len() as u64) < n_bytes {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(n_bytes as usize);
    bytes
}

fn small(number: u64, n_bytes: u64) -> Entry {
    Entry::whole(&new(key(number), number), &content(number, n_bytes))
}

fn body_of(entry: &Entry) -> Vec<u8> {
    entry.body().pieces(0, u64::MAX).flatten().copied().collect()
}

fn flush(disk: &Disk) {
    assert!(disk.flush(Duration::from_secs(60)));
}

fn load(disk: &Disk, key: Key) -> Option<Entry> {
    match disk.try_load(key) {
        TryLoad::Here(entry) => Some(entry),
        TryLoad::Missing => None,
        TryLoad::Wait => {
            let (done, loaded) = mpsc::channel();
            disk.load(key, Box::new(move |entry| done.send(entry).unwrap()));
            loaded.recv().unwrap()
        }
    }
}

fn slice_of(bytes: &[u8]) -> Arc<Slice> {
    let mut writer = SliceWriter::with_capacity(bytes.len());
    writer.append(bytes);
    writer.share()
}

/// Puts a large body in, slice by slice; how many of them were queued.
fn put_large(disk: &Disk, number: u64, n_bytes: u64) -> usize {
    let entry = disk.begin(&new(key(number), number), n_bytes).unwrap();
    let Body::Disk(body) = entry.body() else { panic!("not on disk") };
    let bytes = content(number, n_bytes);
    (0..).zip(bytes.chunks(SLICE_BYTES)).filter(|(slice, bytes)| body.put(*slice, slice_of(bytes))).count()
}

fn disk_body(entry: &Entry) -> Arc<DiskBody> {
    let Body::Disk(body) = entry.body() else { panic!("not on disk") };
    Arc::clone(body)
}

/// What can be read of `from..to`, up to the first slice that is missing.
fn read(body: &DiskBody, from: u64, to: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while from + (bytes.len() as u64) < to {
        let at = from + bytes.len() as u64;
        let read = match body.try_read(at, to) {
            Read::Wait => {
                let (done, read) = mpsc::channel();
                body.read(at, to, Box::new(move |bytes| done.send(bytes).unwrap_or_default()));
                read.recv().unwrap()
            }
            read => read,
        };
        match read {
            Read::Bytes(read) => {
                assert!(!read.is_empty() && at + read.len() as u64 <= to);
                bytes.extend_from_slice(&read);
            }
            Read::Missing => break,
            Read::Wait => panic!("a read that waits again"),
        }
    }
    bytes
}

fn directory_bytes(path: &Path) -> u64 {
    std::fs::read_dir(path)
        .unwrap()
        .map(|entry| entry.unwrap().metadata().unwrap())
        .map(|metadata| {
            use std::os::unix::fs::MetadataExt;
            metadata.blocks() * 512
        })
        .sum()
}
