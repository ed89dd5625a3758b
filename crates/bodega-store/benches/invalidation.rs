//! What invalidations cost: one of a million entries, ten thousand a second, and what a hit pays for them.
//! Prints one JSON object; `benchmarks/store/invalidation.py` asks for it.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a measurement fails loudly")]

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bodega_eviction::s3fifo::S3Fifo;
use bodega_semantics::key::{self, KeySecret};
use bodega_semantics::storable::Terms;
use bodega_semantics::{Key, Timestamp};
use bodega_store::entry::{Kind, NewEntry};
use bodega_store::invalidate::event::{Event, Force, Target, Verdict};
use bodega_store::{Entry, Invalidations, Memory, Note};

const N_ENTRIES: usize = 1_000_000;
const SECRET: KeySecret = KeySecret([3; 16]);
const SUSTAINED: Duration = Duration::from_secs(5);
const N_CALLERS: u64 = 32;

fn main() {
    let memory = fill();
    println!("{{{}}}", [events(&memory), rules(&memory), sustained(&memory)].concat().join(", "));
}

fn key_of(number: usize) -> Key {
    Key((number as u128).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835))
}

/// A million entries, all of one tag and one host, in a hundred folders.
fn fill() -> Memory {
    let capacity_bytes = 4 << 30;
    let memory = Memory::new(capacity_bytes, Box::new(S3Fifo::new(capacity_bytes)));
    for number in 0..N_ENTRIES {
        let own = format!("product:{number}");
        let note = Note::write("shop", &format!("shop.test/f{}/o{number}", number % 100), ["every", &own]);
        let new = NewEntry {
            key: key_of(number),
            stamp: 1,
            terms: Terms::default(),
            revision: 1,
            kind: Kind::Answer,
            status: 200,
            for_user: false,
            status_line: b"HTTP/1.1 200 OK\r\n",
            block: b"Content-Type: text/plain\r\nContent-Length: 64\r\n",
            note: &note,
        };
        assert!(memory.insert(Entry::inline(&new, &[b'x'; 64])));
    }
    memory
}

fn hard(target: Target) -> Vec<Event> {
    vec![Event { target, force: Force::Hard }]
}

fn tag(name: &str) -> Target {
    Target::Tag(key::tag_mark(&SECRET, name))
}

fn open(folder: &Path) -> Invalidations {
    Invalidations::open(folder, SECRET, true, Timestamp(0), Box::new(|_, what| panic!("{what}"))).unwrap()
}

/// One event that reaches a million entries: in force, and in force and on the disk.
fn events(memory: &Memory) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let mut lines = Vec::new();
    let kinds: [(&str, Target); 4] = [
        ("tag", tag("every")),
        ("prefix", Target::Folder(key::folder_marks(&SECRET, "shop.test", "/").last().unwrap())),
        ("everything", Target::All),
        ("pattern", Target::Urls("shop.test/*".into())),
    ];
    let (in_memory, logged) = (Invalidations::new(SECRET), open(folder.path()));
    for (name, target) in kinds {
        let time = |act: &mut dyn FnMut()| {
            let mut nanoseconds: Vec<u128> = (0..101)
                .map(|_| {
                    let began = Instant::now();
                    act();
                    began.elapsed().as_nanos()
                })
                .collect();
            nanoseconds.sort_unstable();
            (nanoseconds[50], nanoseconds[100])
        };
        let (median, most) = time(&mut || {
            in_memory.apply(&hard(target.clone()), Timestamp(0)).unwrap();
        });
        let (synced, _) = time(&mut || {
            assert!(logged.commit(hard(target.clone()), Timestamp(0)).unwrap().is_durable);
        });
        let reached = (0..N_ENTRIES).step_by(997).map(|number| memory.peek(key_of(number)).unwrap());
        assert!(reached.into_iter().all(|entry| in_memory.allows(&entry) == Verdict::Gone), "{name}");
        lines.push(format!("\"{name}_ns\": {median}, \"{name}_most_ns\": {most}, \"{name}_synced_ns\": {synced}"));
    }
    lines
}

/// Looks up `n` entries in an order of their own, as a hit does; nanoseconds each.
fn look_up(memory: &Memory, invalidations: &Invalidations, n: usize) -> f64 {
    let began = Instant::now();
    for number in 0..n {
        let entry = memory.get(key_of(number * 7919 % N_ENTRIES)).unwrap();
        assert!(black_box(invalidations.allows(&entry)) == Verdict::Usable);
    }
    began.elapsed().as_nanos() as f64 / n as f64
}

/// A hit with 256 live pattern rules: the first time, and from then on, in turns with one that has none.
fn rules(memory: &Memory) -> Vec<String> {
    let (without, with) = (Invalidations::new(SECRET), Invalidations::new(SECRET));
    let rules: Vec<Event> =
        (0..256).flat_map(|number| hard(Target::Urls(format!("other{number}.test/*/x{number}.webp").into()))).collect();
    with.apply(&rules, Timestamp(0)).unwrap();
    let n = N_ENTRIES / 4;
    look_up(memory, &without, n);
    let first = look_up(memory, &with, n);
    let mut turns: Vec<(f64, f64)> =
        (0..9).map(|_| (look_up(memory, &without, n), look_up(memory, &with, n))).collect();
    let median = |values: &mut Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let plain = median(&mut turns.iter().map(|(without, _)| *without).collect());
    let ratio = median(&mut turns.drain(..).map(|(without, with)| with / without).collect());
    vec![format!("\"look_up_ns\": {plain:.1}, \"rules_first_ns\": {first:.1}, \"rules_ratio\": {ratio:.3}")]
}

/// So many a second as come, by tags and URLs in turns, each acknowledged once it is on the disk; beside a thread that
/// looks up what none of them reaches, whose slowest hundredth is compared with what it is in peace.
fn sustained(memory: &Memory) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let invalidations = Arc::new(open(folder.path()));
    let peace = p99(memory, &invalidations, &AtomicBool::new(false));
    let (is_over, n_done, slowest) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    let began = Instant::now();
    let mut busy = 0;
    std::thread::scope(|scope| {
        for caller in 0..N_CALLERS {
            let (invalidations, is_over, n_done, slowest) = (&invalidations, &is_over, &n_done, &slowest);
            scope.spawn(move || {
                let mut number = 0;
                while !is_over.load(Ordering::Relaxed) {
                    number += 1;
                    let name = format!("gone:{caller}:{number}");
                    let target = if number % 2 == 0 {
                        tag(&name)
                    } else {
                        Target::Key(key::url_marks(&SECRET, "other.test", &name, "").path)
                    };
                    let began = Instant::now();
                    assert!(invalidations.commit(hard(target), Timestamp(0)).unwrap().is_durable);
                    slowest.fetch_max(u64::try_from(began.elapsed().as_micros()).unwrap(), Ordering::Relaxed);
                    n_done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        busy = p99(memory, &invalidations, &is_over);
    });
    let seconds = began.elapsed().as_secs_f64();
    let log_bytes = std::fs::metadata(folder.path().join(bodega_store::invalidate::FILE)).unwrap().len();
    vec![format!(
        "\"sustained_per_second\": {:.0}, \"sustained_slowest_us\": {}, \"log_bytes\": {log_bytes}, \"p99_peace_ns\": \
         {peace}, \"p99_busy_ns\": {busy}",
        n_done.load(Ordering::Relaxed) as f64 / seconds,
        slowest.load(Ordering::Relaxed),
    )]
}

/// Looks up for a while, a hundred at a time; the slowest hundredth of these, each. Entries are those that were asked for
/// a moment ago, as hits are: what is examined once a second needs no place in a table.
fn p99(memory: &Memory, invalidations: &Invalidations, is_over: &AtomicBool) -> u128 {
    let mut taken = Vec::new();
    let began = Instant::now();
    while began.elapsed() < SUSTAINED {
        let one = Instant::now();
        for number in 0..100 {
            let entry = memory.get(key_of((taken.len() * 100 + number) % 10_000)).unwrap();
            black_box(invalidations.allows(&entry));
        }
        taken.push(one.elapsed().as_nanos() / 100);
    }
    is_over.store(true, Ordering::Relaxed);
    taken.sort_unstable();
    taken[taken.len() * 99 / 100]
}
