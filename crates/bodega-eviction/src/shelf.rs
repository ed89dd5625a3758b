//! Shelves by worth: greedy-dual with the probation and the ghost of S3-FIFO, found for this product.
//!
//! An entry's worth is `f * (w * mean / size + 1 - w)`: how often it was asked for, by what a miss of it costs. `w` is
//! 1 where a miss costs by request, 0 where it costs by byte. Each half power of two of worth has one FIFO, so that
//! an entry that was hit stays where it is until it comes to a tail, and only then is put where it belongs by now.
//! Of all tails the one with the smallest key goes; a key is the worth plus the clock of greedy-dual, which rises to
//! the key of whoever was let go, so that what nobody asks for any more ends up below what is new.
//! `docs/concepts/eviction.md` says what it is good for.

use crate::ghost::Ghost;
use crate::links::{List, Nodes, PINNED};
use crate::{Eviction, Id};

/// The shelves.
pub struct Shelf {
    nodes: Nodes<u64>,
    shelves: [List; N_SHELVES],
    /// Keys of the tails, side by side: letting go compares them all.
    tail_keys: [u64; N_SHELVES],
    /// A bit for each shelf that is not empty.
    filled: u128,
    pinned: List,
    /// Greedy-dual's clock. Keys and it only ever meet in differences, so that it may wrap.
    clock: u64,
    ghost: Ghost,
    mean: Mean,
    weight: f64,
    used_bytes: u64,
    n_entries: usize,
}

impl Shelf {
    /// Shelves for a cache of `capacity_bytes`, where a miss costs by request (`weight` 1), by byte (0) or in between.
    #[must_use]
    pub fn new(capacity_bytes: u64, weight: f64) -> Self {
        let mut shelves = [List::new(0); N_SHELVES];
        for (number, shelf) in (0..).zip(&mut shelves) {
            *shelf = List::new(number);
        }
        Self {
            nodes: Nodes::default(),
            shelves,
            tail_keys: [0; N_SHELVES],
            filled: 0,
            pinned: List::new(PINNED),
            clock: 0,
            ghost: Ghost::new(capacity_bytes / 10 * GHOST_TENTHS),
            mean: Mean::default(),
            weight: if weight.is_nan() { 1.0 } else { weight.clamp(0.0, 1.0) },
            used_bytes: 0,
            n_entries: 0,
        }
    }

    /// Puts an entry that is on no shelf on that of its worth; what has still to prove itself, at a tenth of it.
    fn put(&mut self, id: Id, share: f64) {
        let weight = self.weight;
        let mean = self.mean.bytes();
        let node = self.nodes.of(id);
        let size = node.size_bytes().max(1) as f64;
        let worth = f64::from(node.count) * (weight * mean / size + (1.0 - weight)) * share;
        node.key = self.clock.wrapping_add(fixed_point(worth));
        let number = shelf_of(worth);
        self.shelves[number].push(&mut self.nodes, id);
        self.look_at_tail(number);
    }

    fn take(&mut self, id: Id) -> bool {
        let Some(list) = self.nodes.get(id).map(|node| node.list) else { return false };
        if list == PINNED {
            self.pinned.take(&mut self.nodes, id);
        } else {
            self.shelves[usize::from(list)].take(&mut self.nodes, id);
            self.look_at_tail(usize::from(list));
        }
        true
    }

    fn look_at_tail(&mut self, number: usize) {
        if let Some(id) = self.shelves[number].tail() {
            self.tail_keys[number] = self.nodes.of(id).key;
            self.filled |= 1 << number;
        } else {
            self.filled &= !(1 << number);
        }
    }

    /// The tail with the smallest key. Within a shelf keys rise, but for what the shelf rounds off.
    fn least(&self) -> Option<Id> {
        let mut best = None;
        let mut left = self.filled;
        while left != 0 {
            let number = left.trailing_zeros() as usize;
            left &= left - 1;
            let above_clock = self.tail_keys[number].wrapping_sub(self.clock).cast_signed();
            if best.is_none_or(|(least, _)| above_clock < least) {
                best = Some((above_clock, number));
            }
        }
        best.and_then(|(_, number)| self.shelves[number].tail())
    }
}

impl Eviction for Shelf {
    fn insert(&mut self, id: Id, identity: u64, size_bytes: u64) {
        self.remove(id);
        self.nodes.set(id, identity, size_bytes);
        self.mean.count(size_bytes, 1);
        self.used_bytes += self.nodes.of(id).size_bytes();
        self.n_entries += 1;
        if let Some(count) = self.ghost.take(identity) {
            self.nodes.of(id).count = (count / 2 + 1).max(2);
            self.put(id, 1.0);
        } else {
            self.nodes.of(id).count = 1;
            self.put(id, SHARE_ON_PROBATION);
        }
    }

    fn remove(&mut self, id: Id) {
        if self.take(id) {
            self.used_bytes -= self.nodes.of(id).size_bytes();
            self.n_entries -= 1;
        }
    }

    fn pin(&mut self, id: Id) {
        if self.take(id) {
            self.pinned.push(&mut self.nodes, id);
        }
    }

    fn unpin(&mut self, id: Id) {
        if self.nodes.get(id).is_some_and(|node| node.list == PINNED) {
            self.pinned.take(&mut self.nodes, id);
            self.put(id, 1.0);
        }
    }

    fn evict(&mut self, hits: &mut dyn FnMut(Id) -> u32) -> Option<Id> {
        for n_looks in 0.. {
            let id = self.least()?;
            self.take(id);
            let n_hits = hits(id);
            let node = self.nodes.of(id);
            if node.key.wrapping_sub(self.clock).cast_signed() > 0 {
                self.clock = node.key;
            }
            let more = u16::try_from(n_hits).unwrap_or(u16::MAX);
            // On probation any number of hits counts as one: a burst says that it is wanted, not for how long.
            let more = if node.count == 1 { more.min(1) } else { more };
            node.count = node.count.saturating_add(more).min(MAX_COUNT);
            let (identity, size_bytes, count) = (node.identity, node.size_bytes(), node.count);
            self.mean.count(size_bytes, n_hits);
            if n_hits == 0 || n_looks == MAX_LOOKS {
                self.used_bytes -= size_bytes;
                self.n_entries -= 1;
                self.ghost.put(identity, size_bytes, count);
                return Some(id);
            }
            self.put(id, 1.0);
        }
        None
    }

    fn admits(&mut self, _identity: u64, size_bytes: u64, capacity_bytes: u64) -> bool {
        size_bytes <= capacity_bytes
    }

    fn remembers(&self, identity: u64) -> bool {
        self.ghost.holds(identity)
    }

    fn used_bytes(&self) -> u64 {
        self.used_bytes
    }

    fn len(&self) -> usize {
        self.n_entries
    }

    fn overhead_bytes(&self) -> u64 {
        self.nodes.capacity_bytes() + self.ghost.memory_bytes()
    }
}

/// The mean size of what is asked for: exact at first, then following slowly. Hits are counted when they are seen.
#[derive(Default)]
struct Mean {
    n_requests: u64,
    bytes: u64,
}

impl Mean {
    fn count(&mut self, size_bytes: u64, n_requests: u32) {
        self.n_requests += u64::from(n_requests);
        self.bytes = self.bytes.saturating_add(size_bytes.saturating_mul(u64::from(n_requests)));
        if self.n_requests >= MEAN_OF_REQUESTS {
            self.n_requests /= 2;
            self.bytes /= 2;
        }
    }

    fn bytes(&self) -> f64 {
        self.bytes as f64 / self.n_requests.max(1) as f64
    }
}

/// Worth in units of 2^-32, so that adding it to the clock loses nothing however long the clock has run.
fn fixed_point(worth: f64) -> u64 {
    ((worth * FIXED_ONE) as u64).clamp(1, MAX_KEY_ABOVE_CLOCK)
}

/// The half power of two below `worth`: `floor(2 * log2(worth))`, which is the exponent of its square.
fn shelf_of(worth: f64) -> usize {
    const EXPONENT_OF_ONE: i64 = 1023;
    let exponent = ((worth * worth).to_bits() >> 52).cast_signed() - EXPONENT_OF_ONE;
    usize::try_from((exponent + SHELF_OF_ONE).clamp(0, N_SHELVES as i64 - 1)).unwrap_or(0)
}

const N_SHELVES: usize = 128;
/// The shelf of worth 1: from 2^-32 to 2^32 each half power has its own.
const SHELF_OF_ONE: i64 = 64;
const FIXED_ONE: f64 = (1_u64 << 32) as f64;
/// Differences of keys stay within the sign.
const MAX_KEY_ABOVE_CLOCK: u64 = 1 << 62;
/// What is seen for the first time: six in ten such objects are never asked for again.
const SHARE_ON_PROBATION: f64 = 0.1;
/// The ghost remembers nearly twice what the cache holds. With half of that, which is what S3-FIFO has, it forgets
/// those that come back slowly: half a point of misses at a tenth of the footprint.
const GHOST_TENTHS: u64 = 18;
/// Twice as much would be noise; 15 would lose little.
const MAX_COUNT: u16 = 1000;
/// Over about so many requests the mean is taken.
const MEAN_OF_REQUESTS: u64 = 1 << 20;
/// So many that were hit are put elsewhere for one that is let go: whoever waits for room waits no longer than that.
const MAX_LOOKS: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(policy: &mut Shelf, sizes: &[u64]) {
        for (id, size_bytes) in (0..).zip(sizes) {
            policy.insert(id, u64::from(id) + 1, *size_bytes);
        }
    }

    #[test]
    fn a_half_power_of_two_is_a_shelf() {
        let half = std::f64::consts::SQRT_2;
        for (worth, number) in [(1.0, 64), (half - 0.001, 64), (half + 0.001, 65), (2.0, 66), (0.5, 62), (0.1, 57)] {
            assert_eq!(shelf_of(worth), number, "{worth}");
        }
        for (worth, number) in [(0.0, 0), (1e-300, 0), (1e-10, 0), (1e300, 127), (4e9, 127)] {
            assert_eq!(shelf_of(worth), number, "{worth}");
        }
    }

    #[test]
    fn where_a_miss_costs_by_request_the_largest_goes_first() {
        let mut policy = Shelf::new(10_000, 1.0);
        // Twice, so that the mean is known.
        fill(&mut policy, &[10, 1000, 10, 100]);
        fill(&mut policy, &[10, 1000, 10, 100]);
        assert_eq!(policy.evict(&mut |_| 0), Some(1));
        assert_eq!(policy.evict(&mut |_| 0), Some(3));
    }

    #[test]
    fn where_a_miss_costs_by_byte_the_oldest_goes_first() {
        let mut policy = Shelf::new(10_000, 0.0);
        fill(&mut policy, &[10, 1000, 10, 100]);
        let order: Vec<_> = std::iter::from_fn(|| policy.evict(&mut |_| 0)).collect();
        assert_eq!(order, [0, 1, 2, 3]);
    }

    #[test]
    fn one_that_was_hit_goes_last() {
        let mut policy = Shelf::new(10_000, 0.5);
        fill(&mut policy, &[10, 10, 10]);
        let mut hits = [1, 0, 0];
        let order: Vec<_> =
            std::iter::from_fn(|| policy.evict(&mut |id| std::mem::take(&mut hits[id as usize]))).collect();
        assert_eq!(order, [1, 2, 0]);
    }

    #[test]
    fn one_that_comes_back_has_half_of_its_count_and_no_probation() {
        let mut policy = Shelf::new(10_000, 0.0);
        for (n_hits, count, shelf) in [(0, 2, 66), (20, 12, 71), (65_535, 501, 81)] {
            policy.insert(0, u64::from(n_hits), 10);
            let mut looks = [7, n_hits, 0].into_iter();
            assert_eq!(policy.evict(&mut |_| looks.next().unwrap()), Some(0));
            policy.insert(0, u64::from(n_hits), 10);
            let node = *policy.nodes.of(0);
            assert_eq!((node.count, node.list), (count, shelf), "{n_hits} hits");
            policy.remove(0);
        }
    }

    #[test]
    fn what_nobody_asks_for_any_more_leaves_however_often_it_was_asked_for_once() {
        let mut policy = Shelf::new(10_000, 0.5);
        policy.insert(0, 1, 10);
        let mut looks = [1, 200].into_iter();
        let mut n_passed = 0_u64;
        loop {
            policy.insert(1, 1000 + n_passed, 10);
            let gone = policy.evict(&mut |id| if id == 0 { looks.next().unwrap_or(0) } else { 0 });
            if gone == Some(0) {
                break;
            }
            n_passed += 1;
        }
        assert!((100..10_000).contains(&n_passed), "{n_passed}");
    }

    #[test]
    fn the_clock_may_wrap() {
        let run = |clock: u64| {
            let mut policy = Shelf::new(1_000, 0.5);
            policy.clock = clock;
            let mut hits = [0; 100];
            let mut gone = Vec::new();
            for number in 0..2_000_u32 {
                let id = number % 97;
                policy.insert(id, u64::from(number * number % 131), u64::from(10 + number % 13));
                hits[(number * 7 % 97) as usize] += 1;
                while policy.used_bytes() > 900 {
                    gone.extend(policy.evict(&mut |id| std::mem::take(&mut hits[id as usize])));
                }
            }
            (gone, policy.clock.wrapping_sub(clock))
        };
        let (order, advanced) = run(0);
        assert!(advanced > 1 << 20);
        assert_eq!(run(u64::MAX - (1 << 20)).0, order);
    }
}
