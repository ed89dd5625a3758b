//! What all rows of a model have in common that one behavior keeps for one host: what they are stored for, and all that
//! their heads say but for the date and the length.

use std::cell::RefCell;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bodega_semantics::path::Paths;
use bodega_semantics::policy::Policy;
use bodega_semantics::storable::{self, RequestFacts, Storable, Terms};
use bodega_semantics::{Fields, Head, Timestamp, tags};
use bodega_snapshot::Behavior;
use bodega_store::Note;

use super::Common;
use crate::predict::Predicts;

/// How many of them a thread keeps.
const MAX_KEPT: usize = 8;

thread_local! {
    static KEPT: RefCell<Vec<Kept>> = const { RefCell::new(Vec::new()) };
}

/// What is the same for all rows.
pub(super) struct Imprint {
    /// Distribution and URL, as the note of a fill has them.
    pub(super) note: Arc<[u8]>,
    /// The same with tags: the note of an entry.
    pub(super) tagged: Box<[u8]>,
    /// The field lines of an entry.
    pub(super) block: Box<[u8]>,
    /// Whether all tags can be kept. An entry without one could not be purged by it.
    is_taggable: bool,
    /// The terms of a row that was asked for at `SOME_TIME`, if those of any other differ by the time alone.
    terms: Option<Terms>,
}

/// A moment to be told from others, in milliseconds since 1970.
const SOME_TIME: Timestamp = Timestamp(1_000_000_000_000);

/// One, and what it was made of. A model or a behavior that is gone stays gone.
struct Kept {
    behavior: Weak<Behavior>,
    model: Weak<dyn Predicts>,
    distribution: Box<str>,
    host: Box<str>,
    imprint: Arc<Imprint>,
}

impl Imprint {
    /// That of a model's rows.
    pub(super) fn of(common: &Common<'_>, model: &Arc<dyn Predicts>) -> Arc<Self> {
        KEPT.with_borrow_mut(|kept| {
            if let Some(found) = kept.iter().find(|each| each.is_of(common, model)) {
                return Arc::clone(&found.imprint);
            }
            if kept.len() == MAX_KEPT {
                kept.remove(0);
            }
            let imprint = Arc::new(Self::new(common, model.as_ref()));
            kept.push(Kept {
                behavior: Arc::downgrade(common.behavior),
                model: Arc::downgrade(model),
                distribution: common.distribution.into(),
                host: common.host.into(),
                imprint: Arc::clone(&imprint),
            });
            imprint
        })
    }

    /// The terms on which a row is kept that was asked for at `began` and computed by `now`; `None` if it is not kept.
    pub(super) fn terms(
        &self,
        model: &dyn Predicts,
        policy: &Policy,
        began: Timestamp,
        now: Timestamp,
    ) -> Option<Terms> {
        if !self.is_taggable {
            return None;
        }
        // A clock that was never set may stand before.
        let terms = self.terms.filter(|_| began >= SOME_TIME);
        let usual = terms.map(|terms| moved(terms, began.since(SOME_TIME)));
        match usual.filter(|terms| terms.expires > now) {
            Some(terms) => Some(terms),
            None => decide(model.fields(), policy, began, now),
        }
    }

    fn new(common: &Common<'_>, model: &dyn Predicts) -> Self {
        let policy = &common.behavior.policy;
        let path = Paths::of(model.path()).map_or(model.path().into(), |paths| paths.normal);
        let note = Note::write(common.distribution, &[common.host, &path].concat(), []);
        let (host, path, _) = Note(&note).url_parts();
        let mut fields = model.fields().clone();
        let found = tags::of(&fields, &policy.tags, host, path);
        if policy.strip_tags {
            tags::strip(&mut fields);
        }
        Self {
            is_taggable: found.is_ok(),
            terms: terms_by_time(model.fields(), policy),
            tagged: Note(&note).with_tags(found.unwrap_or_default().iter().map(String::as_str)).into(),
            block: fields.as_block().into(),
            note: note.into(),
        }
    }
}

fn decide(fields: &Fields, policy: &Policy, began: Timestamp, now: Timestamp) -> Option<Terms> {
    match storable::decide(&RequestFacts::get(false), 200, fields, policy, began, now) {
        Storable::Yes(terms) => Some(terms),
        Storable::No(_) => None,
    }
}

fn moved(terms: Terms, by: Duration) -> Terms {
    Terms { born: terms.born.plus(by), expires: terms.expires.plus(by), ..terms }
}

/// The terms at `SOME_TIME`, if time moves them and does nothing else: no date is named, as models name none, and another
/// time and a while in between show it.
fn terms_by_time(fields: &Fields, policy: &Policy) -> Option<Terms> {
    if DATES.iter().any(|name| fields.has(name)) {
        return None;
    }
    let later = Duration::from_millis(1_000_123);
    let (began, ended) = (SOME_TIME.plus(later), SOME_TIME.plus(later + Duration::from_millis(7)));
    let terms = decide(fields, policy, SOME_TIME, SOME_TIME)?;
    (decide(fields, policy, began, ended)? == moved(terms, later)).then_some(terms)
}

/// Fields that hold a moment.
const DATES: [&str; 3] = ["date", "expires", "last-modified"];

impl Kept {
    fn is_of(&self, common: &Common<'_>, model: &Arc<dyn Predicts>) -> bool {
        // What is held weakly is at no other's address.
        std::ptr::addr_eq(self.behavior.as_ptr(), Arc::as_ptr(common.behavior))
            && std::ptr::addr_eq(self.model.as_ptr(), Arc::as_ptr(model))
            && *self.host == *common.host
            && *self.distribution == *common.distribution
    }
}

#[cfg(test)]
mod tests {
    use bodega_snapshot::Snapshot;
    use bodega_testkit::bench::snapshot_json;
    use serde_json::json;

    use super::*;

    /// A model that nobody asks.
    struct Silent(Fields);

    impl Predicts for Silent {
        fn path(&self) -> &'static str {
            "/models/silent/versions/1/predict"
        }

        fn fields(&self) -> &Fields {
            &self.0
        }

        fn predict(&self, _: Arc<[u8]>, _: Arc<dyn crate::predict::Waits>) {}
    }

    #[test]
    fn terms_are_moved_by_time_and_are_those_that_are_decided() {
        let text = snapshot_json(&json!({"default_ttl_seconds": 300}), &json!({}), 1);
        let snapshot = Snapshot::from_json(&text).unwrap();
        let policy = &snapshot.distribution("a").unwrap().behavior("GET", "/").unwrap().policy;
        for lines in [&[][..], &[("Cache-Control", "max-age=60, stale-if-error=5")], &[("Age", "7")]] {
            let fields = Fields::of(lines);
            let terms = terms_by_time(&fields, policy).unwrap();
            for (after, took) in [(0, 0), (5, 0), (77_777, 999), (3, 20_000)] {
                let began = SOME_TIME.plus(Duration::from_millis(after));
                let now = began.plus(Duration::from_millis(took));
                assert_eq!(
                    decide(&fields, policy, began, now),
                    Some(moved(terms, Duration::from_millis(after))),
                    "{lines:?} {after} {took}"
                );
            }
        }
        let imprint = Imprint {
            note: Arc::default(),
            tagged: Box::default(),
            block: Box::default(),
            is_taggable: true,
            terms: terms_by_time(&Fields::new(), policy),
        };
        for began in [Timestamp(7_000), SOME_TIME, Timestamp(1_800_000_000_000)] {
            let terms = imprint.terms(&Silent(Fields::new()), policy, began, began).unwrap();
            assert_eq!(terms.expires.since(began), Duration::from_secs(300), "{began:?}");
        }
        for lines in [("Cache-Control", "no-store"), ("Expires", "Sun, 06 Nov 2033 08:49:37 GMT")] {
            assert_eq!(terms_by_time(&Fields::of(&[lines]), policy), None, "{lines:?}");
        }
    }
}
