//! What holds for every policy, whatever is done to it.

use std::collections::BTreeMap;

use bodega_eviction::clock::Clock;
use bodega_eviction::noop::Noop;
use bodega_eviction::s3fifo::S3Fifo;
use bodega_eviction::{Eviction, Id};
use proptest::prelude::*;

const CAPACITY_BYTES: u64 = 10_000;

#[derive(Clone, Debug)]
enum Step {
    Insert { id: Id, identity: u64, size_bytes: u64 },
    Remove(Id),
    Evict,
    Hit(Id),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..40_u32, 0..60_u64, 0..3_000_u64)
            .prop_map(|(id, identity, size_bytes)| Step::Insert { id, identity, size_bytes }),
        1 => (0..50_u32).prop_map(Step::Remove),
        3 => Just(Step::Evict),
        3 => (0..40_u32).prop_map(Step::Hit),
    ];
    prop::collection::vec(step, 1..400)
}

/// Does `steps` and compares the policy with a plain map after each. Returns how often it let go.
fn walk(policy: &mut dyn Eviction, steps: &[Step]) -> Result<usize, TestCaseError> {
    let mut live: BTreeMap<Id, u64> = BTreeMap::new();
    let mut counts = [0_u32; 64];
    let mut n_evicted = 0;
    for step in steps {
        match *step {
            Step::Insert { id, identity, size_bytes } => {
                counts[id as usize] = 0;
                policy.insert(id, identity, size_bytes);
                live.insert(id, size_bytes);
            }
            Step::Remove(id) => {
                policy.remove(id);
                live.remove(&id);
            }
            Step::Hit(id) => counts[id as usize] += 1,
            Step::Evict => {
                let victim = policy.evict(&mut |id| std::mem::take(&mut counts[id as usize]));
                if let Some(victim) = victim {
                    n_evicted += 1;
                    prop_assert!(live.remove(&victim).is_some(), "{victim} was not there");
                }
            }
        }
        prop_assert_eq!(policy.len(), live.len());
        prop_assert_eq!(policy.used_bytes(), live.values().sum::<u64>());
    }
    Ok(n_evicted)
}

/// Lets go of all that is left.
fn empty(policy: &mut dyn Eviction) {
    while policy.evict(&mut |_| 1).is_some() {}
}

proptest! {
    #[test]
    fn s3fifo_holds_what_was_put_in_and_lets_go_of_all_of_it(steps in steps()) {
        let mut policy = S3Fifo::new(CAPACITY_BYTES);
        walk(&mut policy, &steps)?;
        empty(&mut policy);
        prop_assert_eq!((policy.len(), policy.used_bytes()), (0, 0));
    }

    #[test]
    fn clock_holds_what_was_put_in_and_lets_go_of_all_of_it(steps in steps()) {
        let mut policy = Clock::default();
        walk(&mut policy, &steps)?;
        empty(&mut policy);
        prop_assert_eq!((policy.len(), policy.used_bytes()), (0, 0));
    }

    #[test]
    fn noop_holds_what_was_put_in_and_never_lets_go(steps in steps()) {
        prop_assert_eq!(walk(&mut Noop::default(), &steps)?, 0);
    }
}

#[test]
fn memory_of_the_lists_stays_bounded_however_many_objects_pass() {
    let mut policy = S3Fifo::new(CAPACITY_BYTES);
    let mut most = 0;
    for identity in 0..200_000_u64 {
        // One in three comes back, so that the ghost forgets some and keeps others.
        let identity = if identity % 3 == 0 { identity.saturating_sub(90) } else { identity };
        policy.insert(0, identity, 10);
        policy.evict(&mut |_| 0);
        if identity == 10_000 {
            most = policy.overhead_bytes();
        }
    }
    assert!(most > 0);
    assert!(policy.overhead_bytes() <= 2 * most, "{} after {most}", policy.overhead_bytes());
}
