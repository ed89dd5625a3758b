//! Patterns: a short list, in the order of their numbers. Each entry is tested once against each.

use std::sync::Arc;

use bodega_semantics::glob::Glob;
use parking_lot::RwLock;

use super::event::Force;
use super::reached::{Newest, Reached};

/// The rules over one kind of text.
#[derive(Default)]
pub(super) struct Rules {
    newest: Newest,
    live: RwLock<Vec<Rule>>,
}

/// One rule.
#[derive(Clone)]
pub(super) struct Rule {
    pub(super) number: u64,
    pub(super) force: Force,
    pub(super) pattern: Arc<str>,
    glob: Glob,
}

impl Rules {
    pub(super) fn add(&self, pattern: &Arc<str>, force: Force, number: u64) {
        let mut live = self.live.write();
        // The same again is the old one with a new number.
        live.retain(|rule| rule.force != force || rule.pattern != *pattern);
        // At the end, unless what was logged is read back in another order.
        let at = live.partition_point(|rule| rule.number <= number);
        live.insert(at, Rule { number, force, pattern: Arc::clone(pattern), glob: Glob::new(pattern) });
        drop(live);
        self.newest.raise(force, number);
    }

    pub(super) fn len(&self) -> usize {
        self.live.read().len()
    }

    pub(super) fn has(&self, pattern: &str, force: Force) -> bool {
        self.live.read().iter().any(|rule| rule.force == force && &*rule.pattern == pattern)
    }

    pub(super) const fn newest(&self) -> &Newest {
        &self.newest
    }

    /// The numbers of the newest rules since `known` that match any of `texts`.
    pub(super) fn reached<'t>(&self, known: u64, texts: impl Iterator<Item = &'t str> + Clone) -> Reached {
        let mut reached = Reached::default();
        if self.newest.highest() <= known {
            return reached;
        }
        for rule in self.live.read().iter().rev().take_while(|rule| rule.number > known) {
            if texts.clone().any(|text| rule.glob.matches(text)) {
                reached.add(rule.force, rule.number);
            }
        }
        reached
    }

    /// The last numbers of each force among the rules up to `number`.
    pub(super) fn last_of(&self, number: u64) -> Reached {
        let mut last = Reached::default();
        for rule in self.live.read().iter().filter(|rule| rule.number <= number) {
            last.add(rule.force, rule.number);
        }
        last
    }

    /// Takes out the rules up to `number`.
    pub(super) fn retire(&self, number: u64) {
        self.live.write().retain(|rule| rule.number > number);
    }

    pub(super) fn copy(&self) -> Vec<Rule> {
        self.live.read().clone()
    }

    pub(super) fn oldest(&self) -> Option<u64> {
        self.live.read().first().map(|rule| rule.number)
    }
}
