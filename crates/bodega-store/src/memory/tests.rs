use std::sync::Arc;

use bodega_eviction::by_name;
use bodega_eviction::replay::{Request, replay};
use bodega_eviction::shelf::Shelf;
use bodega_semantics::Key;
use bodega_semantics::storable::Terms;

use super::*;
use crate::entry::{Kind, NewEntry, SlicedBody};
use crate::slice::SliceWriter;

fn entry(number: u128, body: &[u8]) -> Entry {
    Entry::inline(&new(number), body)
}

fn new(number: u128) -> NewEntry<'static> {
    NewEntry {
        key: Key(number.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)),
        stamp: 1,
        terms: Terms::default(),
        revision: 1,
        kind: Kind::Answer,
        status: 200,
        for_user: false,
        status_line: b"HTTP/1.1 200 OK\r\n",
        block: b"Content-Type: text/plain\r\n",
        note: b"shop\nshop.test/a\none\ntwo",
    }
}

fn memory(capacity_bytes: u64) -> Arc<Memory> {
    Arc::new(Memory::new(capacity_bytes, Box::new(Shelf::new(capacity_bytes, 0.95))))
}

#[test]
fn what_was_put_in_is_found_with_head_and_body() {
    let memory = memory(1 << 20);
    let one = entry(1, b"body");
    assert!(memory.insert(one.clone()));
    let found = memory.get(one.key).unwrap();
    assert_eq!(found.wire_head(), b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n");
    assert!(matches!(found.body(), crate::Body::Inline(b"body")));
    assert!(memory.get(Key(7)).is_none());
    assert_eq!((found.note().distribution(), found.note().url()), ("shop", "shop.test/a"));
    assert_eq!(found.note().tags().collect::<Vec<_>>(), ["one", "two"]);
}

#[test]
fn the_bound_holds_whatever_comes_in() {
    let memory = memory(1 << 20);
    for number in 0..10_000 {
        memory.insert(entry(number, &vec![0; (number % 5000) as usize]));
        assert!(memory.usage().used_bytes <= 1 << 20, "{:?}", memory.usage());
    }
    let usage = memory.usage();
    assert!(usage.n_entries > 100, "{usage:?}");
    assert!(usage.n_evictions > 5000, "{usage:?}");
}

#[test]
fn a_replaced_entry_gives_its_bytes_back() {
    let memory = memory(1 << 20);
    for _ in 0..10_000 {
        memory.insert(entry(1, &[0; 1000]));
    }
    let usage = memory.usage();
    assert_eq!((usage.n_entries, usage.n_evictions), (1, 0));
    memory.remove(&memory.peek(entry(1, b"").key).unwrap());
    assert_eq!(memory.usage().n_entries, 0);
    assert!(memory.get(entry(1, b"").key).is_none());
}

#[test]
fn an_old_handle_does_not_remove_what_has_replaced_it() {
    let memory = memory(1 << 20);
    let old = entry(1, b"old");
    memory.insert(old.clone());
    memory.insert(entry(1, b"new"));
    memory.remove(&old);
    assert!(matches!(memory.get(old.key).unwrap().body(), crate::Body::Inline(b"new")));
}

#[test]
fn an_object_too_large_for_the_tier_is_not_kept() {
    let memory = memory(1 << 20);
    assert!(!memory.insert(entry(1, &vec![0; 700 << 10])));
    assert_eq!(memory.usage().n_entries, 0);
}

#[test]
fn reservations_push_entries_out_and_come_back() {
    let memory = memory(1 << 20);
    for number in 0..1000 {
        memory.insert(entry(number, &[0; 1000]));
    }
    let reservation = memory.reserve(400 << 10).unwrap();
    let usage = memory.usage();
    assert!(usage.used_bytes + usage.reserved_bytes <= 1 << 20, "{usage:?}");
    assert!(memory.reserve(400 << 10).is_none(), "fills may have half of the tier");
    drop(reservation);
    assert_eq!(memory.usage().reserved_bytes, 0);
}

#[test]
fn a_sliced_body_counts_with_all_its_memory() {
    let memory = memory(8 << 20);
    let mut writer = SliceWriter::with_capacity(1 << 20);
    writer.append(&vec![1; 1 << 20]);
    let body = SlicedBody { slices: vec![writer.share()].into(), n_bytes: 1 << 20 };
    let sliced = Entry::sliced(&new(1), body);
    assert!(sliced.size_bytes() > 1 << 20);
    assert!(memory.insert(sliced.clone()));
    assert_eq!(memory.get(sliced.key).unwrap().body().len(), 1 << 20);
}

#[test]
fn threads_that_insert_read_and_remove_keep_the_books_right() {
    let memory = memory(256 << 10);
    let threads: Vec<_> = (0..4_u128)
        .map(|thread| {
            let memory = Arc::clone(&memory);
            std::thread::spawn(move || {
                for number in 0..3000 {
                    let one = entry((number * 7 + thread) % 500, &vec![0; (number % 900) as usize]);
                    memory.insert(one.clone());
                    let _ = memory.get(one.key);
                    if number % 5 == 0 {
                        memory.remove(&one);
                    }
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    let mut sum = 0;
    let mut n_entries = 0;
    for number in 0..500 {
        if let Some(held) = memory.peek(entry(number, b"").key) {
            sum += held.size_bytes();
            n_entries += 1;
        }
    }
    assert_eq!(memory.used_bytes.load(Ordering::Relaxed), sum);
    assert_eq!(memory.usage().n_entries, n_entries);
}

#[test]
fn the_tier_misses_as_a_replay_says() {
    const CAPACITY_BYTES: u64 = 4 << 20;
    // Popularity falls as in Zipf's law with exponent 2/3.
    let mut state = 7_u64;
    let numbers: Vec<u64> = (0..60_000)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let uniform = (state >> 33) % 1_000_000;
            uniform * uniform / 1_000_000 * uniform / 1_000_000 / 100
        })
        .collect();
    let body = |number: u64| vec![0; usize::try_from(number * 7_919 % 4_000).unwrap()];
    for name in ["shelf", "s3fifo", "lru"] {
        let memory = Memory::new(CAPACITY_BYTES, by_name(name, CAPACITY_BYTES, 0.95).unwrap());
        let mut n_misses = 0;
        for number in &numbers {
            let asked = entry(u128::from(*number), &body(*number));
            if memory.get(asked.key).is_none() {
                n_misses += 1;
                memory.insert(asked);
            }
        }

        // What is left to the allocator and what the lists take is not for entries.
        let lists = lists_bytes(&*memory.ledger.lock().eviction);
        let capacity_bytes = for_entries(CAPACITY_BYTES) - lists;
        let trace = numbers.iter().map(|number| {
            let asked = entry(u128::from(*number), &body(*number));
            Request { identity: identity(asked.key), size_bytes: asked.size_bytes() }
        });
        let replayed = replay(&mut *by_name(name, CAPACITY_BYTES, 0.95).unwrap(), capacity_bytes, trace);
        assert!(
            replayed.n_misses.abs_diff(n_misses) * 100 <= replayed.n_misses,
            "{name}: {n_misses} misses, but {} by the replay",
            replayed.n_misses
        );
        assert!(memory.usage().n_evictions > 1_000 && n_misses < 40_000, "{name}: {:?}, {n_misses}", memory.usage());
    }
}
