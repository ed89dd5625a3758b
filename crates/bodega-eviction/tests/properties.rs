//! What holds for every policy, whatever is done to it.

use std::collections::{BTreeMap, BTreeSet};

use bodega_eviction::second_request::SecondRequest;
use bodega_eviction::{Eviction, Id, NAMES, by_name};
use proptest::prelude::*;

const CAPACITY_BYTES: u64 = 10_000;

#[derive(Clone, Debug)]
enum Step {
    Insert { id: Id, identity: u64, size_bytes: u64 },
    Remove(Id),
    Pin(Id),
    Unpin(Id),
    Evict,
    Hit(Id),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..40_u32, 0..60_u64, 0..3_000_u64)
            .prop_map(|(id, identity, size_bytes)| Step::Insert { id, identity, size_bytes }),
        1 => (0..50_u32).prop_map(Step::Remove),
        1 => (0..50_u32).prop_map(Step::Pin),
        1 => (0..50_u32).prop_map(Step::Unpin),
        3 => Just(Step::Evict),
        3 => (0..40_u32).prop_map(Step::Hit),
    ];
    prop::collection::vec(step, 1..400)
}

/// What a policy should hold.
#[derive(Default)]
struct Model {
    sizes: BTreeMap<Id, u64>,
    pinned: BTreeSet<Id>,
}

/// Does `steps` and compares the policy with a plain map after each.
fn walk(name: &str, policy: &mut dyn Eviction, steps: &[Step]) -> Result<Model, TestCaseError> {
    let mut model = Model::default();
    let mut counts = [0_u32; 64];
    for step in steps {
        match *step {
            Step::Insert { id, identity, size_bytes } => {
                counts[id as usize] = 0;
                policy.insert(id, identity, size_bytes);
                model.sizes.insert(id, size_bytes);
                model.pinned.remove(&id);
            }
            Step::Remove(id) => {
                policy.remove(id);
                model.sizes.remove(&id);
                model.pinned.remove(&id);
            }
            Step::Pin(id) => {
                policy.pin(id);
                if model.sizes.contains_key(&id) {
                    model.pinned.insert(id);
                }
            }
            Step::Unpin(id) => {
                policy.unpin(id);
                model.pinned.remove(&id);
            }
            Step::Hit(id) => counts[id as usize] += 1,
            Step::Evict => {
                let could = model.sizes.len() > model.pinned.len() && name != "noop";
                let victim = policy.evict(&mut |id| std::mem::take(&mut counts[id as usize]));
                prop_assert_eq!(victim.is_some(), could);
                if let Some(victim) = victim {
                    prop_assert!(model.sizes.remove(&victim).is_some(), "{name}: {victim} was not there");
                    prop_assert!(!model.pinned.contains(&victim), "{name}: {victim} was pinned");
                }
            }
        }
        prop_assert_eq!(policy.len(), model.sizes.len(), "{} after {:?}", name, step);
        prop_assert_eq!(policy.used_bytes(), model.sizes.values().sum::<u64>(), "{} after {:?}", name, step);
    }
    Ok(model)
}

/// Lets go of all that may be let go, although all of it is asked for again and again.
fn empty(policy: &mut dyn Eviction) {
    while policy.evict(&mut |_| 1).is_some() {}
}

proptest! {
    #[test]
    fn every_policy_holds_what_was_put_in_and_lets_go_of_all_but_what_is_pinned(steps in steps(), weight in 0.0..=1.0) {
        for name in NAMES {
            let mut policy = by_name(name, CAPACITY_BYTES, weight).unwrap();
            let model = walk(name, &mut *policy, &steps)?;
            empty(&mut *policy);
            let left = if name == "noop" { model.sizes.len() } else { model.pinned.len() };
            prop_assert_eq!(policy.len(), left, "{}", name);
            model.pinned.iter().for_each(|id| policy.unpin(*id));
            empty(&mut *policy);
            prop_assert_eq!(policy.is_empty(), name != "noop" || model.sizes.is_empty(), "{}", name);
        }
    }

    #[test]
    fn admission_on_the_second_request_changes_nothing_of_what_is_held(steps in steps()) {
        let mut policy = SecondRequest::new(by_name("shelf", CAPACITY_BYTES, 0.5).unwrap(), CAPACITY_BYTES);
        walk("shelf", &mut policy, &steps)?;
    }
}

#[test]
fn memory_of_the_lists_stays_bounded_however_many_objects_pass() {
    for name in NAMES {
        let policy = by_name(name, CAPACITY_BYTES, 0.5).unwrap();
        let mut policy = SecondRequest::new(policy, CAPACITY_BYTES);
        let mut most = 0;
        for identity in 0..200_000_u64 {
            // One in three comes back, so that the ghosts forget some and keep others.
            let asked = if identity % 3 == 0 { identity.saturating_sub(90) } else { identity };
            policy.admits(asked, 10, CAPACITY_BYTES);
            policy.insert(0, asked, 10);
            policy.evict(&mut |_| 0);
            if identity == 10_000 {
                most = policy.overhead_bytes();
            }
        }
        assert!(most > 0, "{name}");
        assert!(policy.overhead_bytes() <= 2 * most, "{name}: {} after {most}", policy.overhead_bytes());
    }
}

#[test]
fn an_entry_costs_32_bytes_of_memory_at_most() {
    for name in NAMES {
        let mut policy = by_name(name, 1 << 40, 0.5).unwrap();
        // The lists grow by a quarter, so that they have just been filled at one of these numbers.
        let cost = |n_entries: u64, policy: &dyn Eviction| policy.overhead_bytes() as f64 / n_entries as f64;
        let least = (1..=100_000_u64)
            .map(|number| {
                policy.insert(u32::try_from(number - 1).unwrap(), number, 10);
                if number < 50_000 { f64::INFINITY } else { cost(number, &*policy) }
            })
            .fold(f64::INFINITY, f64::min);
        assert!(least <= 32.5, "{name}: {least}");
    }
}

#[test]
fn what_is_asked_for_once_is_not_admitted_and_what_was_let_go_lately_is() {
    let mut policy = SecondRequest::new(by_name("shelf", CAPACITY_BYTES, 0.5).unwrap(), CAPACITY_BYTES);
    assert!(!policy.admits(7, 10, CAPACITY_BYTES), "the first request");
    assert!(policy.admits(7, 10, CAPACITY_BYTES), "the second one");
    policy.insert(0, 7, 10);
    assert_eq!(policy.evict(&mut |_| 0), Some(0));
    assert!(policy.admits(7, 10, CAPACITY_BYTES), "it was let go lately");
    assert!(
        !policy.admits(8, CAPACITY_BYTES + 1, CAPACITY_BYTES) && !policy.admits(8, CAPACITY_BYTES + 1, CAPACITY_BYTES)
    );
    for other in 100..2_000 {
        policy.asked(other, 10);
    }
    assert!(!policy.asked(100, 10), "the window has moved on");
}
