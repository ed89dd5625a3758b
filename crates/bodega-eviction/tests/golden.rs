//! How often each policy misses on one trace. A change here is a change of behavior: look at it before accepting it.
//!
//! `data/web.trace` is a day of web traffic in small, by the generator of `benchmarks/store`: 40,000 requests, Zipf
//! 0.9 over 5,000 objects of log-normal sizes, three in ten of them replaced once, one request in eight for an object
//! that is asked for once. All numbers are little-endian: how many objects (u32), the size of each (u32), then the
//! object of each request (u16).
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::VecDeque;

use bodega_eviction::by_name;
use bodega_eviction::replay::{Request, replay};
use bodega_eviction::second_request::SecondRequest;

const TRACE: &[u8] = include_bytes!("data/web.trace");

fn trace() -> Vec<Request> {
    let (n_objects, rest) = TRACE.split_first_chunk().unwrap();
    let (sizes, requests) = rest.split_at(u32::from_le_bytes(*n_objects) as usize * 4);
    let sizes: Vec<u32> = sizes.as_chunks().0.iter().map(|size| u32::from_le_bytes(*size)).collect();
    let requests = requests.as_chunks().0.iter().map(|object| u16::from_le_bytes(*object));
    requests
        .map(|object| Request {
            identity: u64::from(object).wrapping_mul(0x9e37_79b9_7f4a_7c15),
            size_bytes: u64::from(sizes[usize::from(object)]),
        })
        .collect()
}

fn footprint_bytes(trace: &[Request]) -> u64 {
    let mut objects: Vec<(u64, u64)> = trace.iter().map(|request| (request.identity, request.size_bytes)).collect();
    objects.sort_unstable();
    objects.dedup();
    objects.iter().map(|(_, size_bytes)| size_bytes).sum()
}

#[test]
fn golden_miss_counts() {
    let trace = trace();
    let footprint_bytes = footprint_bytes(&trace);
    let golden = [
        ("noop", 1.0, 9_825, 9_825),
        ("lru", 1.0, 29_316, 18_445),
        ("clock", 1.0, 28_883, 18_157),
        ("s3fifo", 1.0, 28_590, 16_813),
        ("shelf", 0.95, 22_042, 13_324),
        ("shelf", 0.5, 22_957, 14_140),
        ("shelf", 0.1, 24_295, 15_087),
    ];
    let found = golden.map(|(name, weight, ..)| {
        let n_misses = |share: u64| {
            let capacity_bytes = footprint_bytes / share;
            let mut policy = by_name(name, capacity_bytes, weight).unwrap();
            replay(&mut *policy, capacity_bytes, trace.iter().copied()).n_misses
        };
        (name, weight, n_misses(100), n_misses(10))
    });
    assert_eq!(found, golden);
}

#[test]
fn golden_miss_counts_with_admission_on_the_second_request() {
    let trace = trace();
    let capacity_bytes = footprint_bytes(&trace) / 10;
    let golden = [("lru", 16_351), ("s3fifo", 16_181), ("shelf", 15_879)];
    let found = golden.map(|(name, _)| {
        let policy = by_name(name, capacity_bytes, 0.1).unwrap();
        let mut policy = SecondRequest::new(policy, capacity_bytes);
        (name, replay(&mut policy, capacity_bytes, trace.iter().copied()).n_misses)
    });
    assert_eq!(found, golden);
}

#[test]
fn lru_misses_as_often_as_one_that_knows_the_exact_order() {
    let trace = trace();
    let capacity_bytes = footprint_bytes(&trace) / 10;
    let mut policy = by_name("lru", capacity_bytes, 1.0).unwrap();
    let found = replay(&mut *policy, capacity_bytes, trace.iter().copied()).n_misses;

    let mut queue: VecDeque<Request> = VecDeque::new();
    let (mut used_bytes, mut exact) = (0, 0_u64);
    for request in &trace {
        if let Some(place) = queue.iter().position(|held| held.identity == request.identity) {
            queue.remove(place);
        } else if request.size_bytes <= capacity_bytes {
            exact += 1;
            used_bytes += request.size_bytes;
            while used_bytes > capacity_bytes {
                used_bytes -= queue.pop_back().unwrap().size_bytes;
            }
        } else {
            exact += 1;
            continue;
        }
        queue.push_front(*request);
    }
    assert!(found.abs_diff(exact) * 100 <= exact, "{found} misses, {exact} with the exact order");
}
