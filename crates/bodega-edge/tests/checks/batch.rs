//! What must hold of a batch of a journal's events, whatever it says. `tests/batches.rs` asks it of generated text in
//! every test run, and `fuzz/` of whatever libFuzzer finds.
#![allow(dead_code, clippy::panic, clippy::unwrap_used, reason = "a check fails by panicking")]

use bodega_edge::Edge;
use bodega_edge::follow::{place_from_json, place_to_json};
use bodega_edge::invalidate::Selector;
use bodega_semantics::Key;
use bodega_semantics::storable::Terms;
use bodega_store::entry::{Kind, NewEntry};
use bodega_store::invalidate::MAX_RULES;
use bodega_store::invalidate::event::Verdict;
use bodega_store::{Entry, Note};
use bodega_testkit::bench::{Bench, snapshot_json};
use serde_json::{Value, json};

thread_local! {
    /// One edge for all: what holds has to hold wherever it is.
    static BENCH: Bench = joined();
}

fn joined() -> Bench {
    let bench = Bench::new(&snapshot_json(&json!({}), &json!({}), 1));
    let place = json!({"journal": "1".repeat(32), "epoch": "2".repeat(16), "position": 0, "chain": "0".repeat(32)});
    bench.worker.edge.join(place_from_json(&place.to_string()).unwrap(), true);
    bench
}

/// The bytes as a batch, as events, as the data of one, and as a selector.
pub(crate) fn batch(bytes: &[u8]) {
    BENCH.with(|bench| {
        let edge = &bench.worker.edge;
        follow(edge, bytes);
        let Ok(text) = std::str::from_utf8(bytes) else { return };
        follow(edge, around(edge, text).as_bytes());
        let event = |data: &str| {
            let position = edge.place().unwrap().position + 1;
            format!(
                r#"{{"position": {position}, "type": "invalidation.requested", "version": 1, "unless_known": "ignore",
                    "data": {data}}}"#
            )
        };
        follow(edge, around(edge, &event(text)).as_bytes());
        for force in ["hard", "soft"] {
            let data = json!({"selectors": [text], "force": force}).to_string();
            let (stamp, n_rules) = (edge.invalidations.sequence(), edge.invalidations.n_rules());
            let n_widened = follow(edge, around(edge, &event(&data)).as_bytes()).unwrap();
            let is_read = Selector::parse(text).is_ok();
            assert!(n_widened == 0 || !is_read || n_rules + 2 > MAX_RULES, "too much for {text:?}");
            if n_widened > 0 || !is_read {
                assert_eq!(verdict(edge, stamp), Verdict::Gone, "too little for {text:?}");
            }
            assert_eq!(verdict(edge, edge.invalidations.sequence()), Verdict::Usable, "what began afterwards");
        }
    });
}

/// A batch that comes after the edge's place.
fn around(edge: &Edge, events: &str) -> String {
    let mut batch: Value = serde_json::from_str(&place_to_json(edge.place().unwrap())).unwrap();
    let after = batch.as_object_mut().unwrap().remove("position").unwrap();
    let frame = batch.to_string();
    format!(r#"{}, "after": {after}, "events": [{events}]}}"#, frame.trim_end_matches('}'))
}

/// Either nothing has changed, or the edge is where it says that it is. Returns how often more was invalidated.
fn follow(edge: &Edge, batch: &[u8]) -> Option<usize> {
    let (before, sequence) = (edge.place().unwrap(), edge.invalidations.sequence());
    match edge.follow(batch, Some(7)) {
        Ok(followed) => {
            assert_eq!(edge.place(), Some(followed.place));
            assert_eq!((followed.place.journal, followed.place.epoch), (before.journal, before.epoch));
            assert!(followed.place.position >= before.position);
            assert!(followed.place.position - before.position <= followed.n_applied as u64);
            // However much it is, it is one number.
            assert!(edge.invalidations.sequence() - sequence <= 1);
            Some(followed.n_widened)
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            assert_eq!((edge.place(), edge.invalidations.sequence()), (Some(before), sequence), "{error}");
            None
        }
    }
}

/// What may be done with something that was stored at `stamp`, and that no selector names.
fn verdict(edge: &Edge, stamp: u64) -> Verdict {
    let note = Note::write("none", "nowhere.invalid/", []);
    let new = NewEntry {
        key: Key(1),
        stamp,
        terms: Terms::default(),
        revision: 1,
        kind: Kind::Answer,
        status: 200,
        for_user: false,
        status_line: b"HTTP/1.1 200 OK\r\n",
        block: b"",
        note: &note,
    };
    edge.invalidations.allows(&Entry::inline(&new, b""))
}
