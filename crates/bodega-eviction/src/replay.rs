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
    let mut counts: Vec<u8> = Vec::new();
    let mut free: Vec<Id> = Vec::new();
    for Request { identity, size_bytes } in trace {
        result.n_requests += 1;
        result.bytes += size_bytes;
        if let Some(&id) = slots.get(&identity) {
            counts[id as usize] = counts[id as usize].saturating_add(1);
            continue;
        }
        result.n_misses += 1;
        result.miss_bytes += size_bytes;
        if !policy.admits(identity, size_bytes, capacity_bytes) {
            continue;
        }
        while policy.used_bytes().saturating_add(size_bytes) > capacity_bytes {
            let Some(victim) = policy.evict(&mut |id| u32::from(std::mem::take(&mut counts[id as usize]))) else {
                break;
            };
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
    use crate::s3fifo::S3Fifo;

    #[test]
    fn an_object_larger_than_the_cache_is_a_miss_that_pushes_nothing_out() {
        let request = |identity, size_bytes| Request { identity, size_bytes };
        let trace = [request(1, 10), request(2, 1000), request(1, 10), request(2, 1000)];
        let replayed = replay(&mut S3Fifo::new(100), 100, trace.into_iter());
        assert_eq!(replayed, Replayed { n_requests: 4, n_misses: 3, bytes: 2020, miss_bytes: 2010 });
    }
}
