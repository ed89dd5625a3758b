//! Runs a trace of requests against a policy and counts misses: the same code that serves, judged by history.

use hashbrown::HashMap;

use crate::{Eviction, Id};

/// One request of a trace.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// Which object.
    pub identity: u64,
    /// Its size.
    pub size_bytes: u64,
}

/// What came of a trace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Replayed {
    /// Requests.
    pub n_requests: u64,
    /// Misses.
    pub n_misses: u64,
    /// Bytes asked for.
    pub bytes: u64,
    /// Bytes that were not there.
    pub miss_bytes: u64,
}

/// Replays `trace` against a cache of `capacity_bytes`.
pub fn replay(policy: &mut dyn Eviction, capacity_bytes: u64, trace: impl Iterator<Item = Request>) -> Replayed {
    let mut result = Replayed::default();
    let mut slots: HashMap<u64, Id> = HashMap::new();
    let mut identities: Vec<u64> = Vec::new();
    let mut counts: Vec<u32> = Vec::new();
    let mut free: Vec<Id> = Vec::new();
    for Request { identity, size_bytes } in trace {
        result.n_requests += 1;
        result.bytes += size_bytes;
        if let Some(&id) = slots.get(&identity) {
            counts[id as usize] += 1;
            continue;
        }
        result.n_misses += 1;
        result.miss_bytes += size_bytes;
        if size_bytes > capacity_bytes {
            continue;
        }
        while policy.used_bytes() + size_bytes > capacity_bytes {
            let Some(victim) = policy.evict(&mut |id| std::mem::take(&mut counts[id as usize])) else { break };
            slots.remove(&identities[victim as usize]);
            free.push(victim);
        }
        let id = free.pop().unwrap_or_else(|| {
            identities.push(0);
            counts.push(0);
            Id::try_from(identities.len() - 1).unwrap_or(Id::MAX)
        });
        identities[id as usize] = identity;
        counts[id as usize] = 0;
        slots.insert(identity, id);
        policy.insert(id, identity, size_bytes);
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::noop::Noop;
    use crate::s3fifo::S3Fifo;

    /// A fixed trace with a skewed popularity, from a linear congruential generator.
    fn trace() -> impl Iterator<Item = Request> {
        let mut state = 7_u64;
        (0..200_000).map(move |_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let uniform = (state >> 33) % 1_000_000;
            let skewed = uniform * uniform / 1_000_000 * uniform / 1_000_000;
            Request { identity: skewed / 20, size_bytes: 100 + skewed % 1900 }
        })
    }

    #[test]
    fn golden_miss_counts() {
        // A change here is a change of behavior: look at it before accepting it.
        let all = replay(&mut Noop::default(), u64::MAX, trace());
        for capacity in [200_000, 2_000_000] {
            let s3fifo = replay(&mut S3Fifo::new(capacity), capacity, trace());
            let clock = replay(&mut Clock::default(), capacity, trace());
            assert!(all.n_misses < s3fifo.n_misses, "{capacity}");
            assert!(s3fifo.n_misses < clock.n_misses, "{capacity}: {} {}", s3fifo.n_misses, clock.n_misses);
        }
    }

    #[test]
    fn used_bytes_never_exceed_the_capacity_and_every_victim_was_there() {
        let policies: [Box<dyn Eviction>; 2] = [Box::new(S3Fifo::new(10_000)), Box::new(Clock::default())];
        for mut policy in policies {
            let mut live = std::collections::HashSet::new();
            for (number, request) in trace().take(20_000).enumerate() {
                while policy.used_bytes() + request.size_bytes > 10_000 {
                    let victim = policy.evict(&mut |id| u32::from(id % 3 == 0)).unwrap();
                    assert!(live.remove(&victim));
                }
                let id = (0..).find(|id| !live.contains(id)).unwrap();
                live.insert(id);
                policy.insert(id, request.identity, request.size_bytes);
                if number % 7 == 0 {
                    policy.remove(id);
                    live.remove(&id);
                }
                assert_eq!(policy.len(), live.len());
                assert!(policy.used_bytes() <= 10_000);
            }
        }
    }
}
