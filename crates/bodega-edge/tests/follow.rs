//! An edge that follows a journal: what it applies, how far that goes, and what it does where it cannot go on.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails loudly")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bodega_edge::Edge;
use bodega_edge::follow::{FollowError, Followed, Stopped, place_from_json, place_to_json};
use bodega_edge::invalidate::Force;
use bodega_semantics::storable::Terms;
use bodega_semantics::{Head, Key, Outcome, Reason};
use bodega_snapshot::Snapshot;
use bodega_store::disk::Admission;
use bodega_store::entry::{Kind, NewEntry};
use bodega_store::invalidate::event::Verdict;
use bodega_store::invalidate::{MAX_RULES, Place};
use bodega_store::{Entry, Note};
use bodega_testkit::bench::{self, Bench, Got, TestRequest, snapshot_json};
use bodega_testkit::clock::FakeClock;
use proptest::prelude::*;
use serde_json::{Value, json};

const JOURNAL: &str = "11111111111111111111111111111111";
const EPOCH: &str = "2222222222222222";

/// Any chain will do: an edge computes none.
fn chain(position: u64) -> String {
    format!("{:032x}", position * 7 + 1)
}

fn at(position: u64) -> Place {
    place_from_json(
        &json!({"journal": JOURNAL, "epoch": EPOCH, "position": position, "chain": chain(position)}).to_string(),
    )
    .unwrap()
}

fn event(kind: &str, unless_known: &str, data: &Value) -> Value {
    json!({"time_ms": 0, "type": kind, "version": 1, "unless_known": unless_known, "by": "somebody", "data": data})
}

fn invalidation(selectors: &[&str], force: &str) -> Value {
    event("invalidation.requested", "purge", &json!({"selectors": selectors, "force": force}))
}

fn configuration(revision: u64) -> Value {
    event("configuration.published", "stop", &json!({"revision": revision}))
}

/// The events of a journal from position 1 on, as `from..to` of them are sent.
fn batch(events: &[Value], from: usize, to: usize) -> Value {
    let events: Vec<Value> = (from..to)
        .map(|before| {
            let mut event = events[before].clone();
            event["position"] = json!(before + 1);
            event["chain"] = chain(before as u64 + 1).into();
            event
        })
        .collect();
    json!({"journal": JOURNAL, "epoch": EPOCH, "after": from, "events": events, "chain": chain(to as u64), "more": 1})
}

fn follow(edge: &Edge, batch: &Value, configured: Option<u64>) -> Result<Followed, FollowError> {
    edge.follow(batch.to_string().as_bytes(), configured)
}

fn bench_with(policy: &Value) -> Bench {
    Bench::new(&snapshot_json(policy, &json!({}), 1))
}

fn joined() -> Bench {
    let bench = bench_with(&json!({}));
    bench.worker.edge.join(at(0), true);
    bench
}

fn on_disk(folder: &Path) -> Bench {
    let disk = bench::disk(folder, 256 << 20, Admission::Always, &FakeClock::default());
    Bench::with_tiers(&snapshot_json(&json!({}), &json!({}), 1), 64 << 20, Some(disk))
}

/// What of a few things, stored at `stamp`, could still be used.
fn verdicts(edge: &Edge, stamp: u64) -> Vec<&'static str> {
    let things: [(&str, &[&str]); 6] = [
        ("example.com/a/1", &["t"]),
        ("example.com/a/2", &["u"]),
        ("example.com/b/1?x=1", &["t", "model:m@2"]),
        ("example.com/b/1?x=2", &["user:1:a"]),
        ("other.example/a/1", &["user:2:a"]),
        ("other.example/c", &[]),
    ];
    things.into_iter().map(|(url, tags)| verdict(edge, stamp, url, tags)).collect()
}

fn verdict(edge: &Edge, stamp: u64, url: &str, tags: &[&str]) -> &'static str {
    let note = Note::write("tested", url, tags.iter().copied());
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
    match edge.invalidations.allows(&Entry::inline(&new, b"")) {
        Verdict::Usable => "usable",
        Verdict::Stale { has_windows: true, .. } => "stale",
        Verdict::Stale { has_windows: false, .. } => "to be confirmed",
        Verdict::Gone => "gone",
    }
}

#[test]
fn what_is_followed_is_what_an_invalidation_by_hand_would_be() {
    for (selectors, force, expected) in [
        (&["all"][..], "hard", ["gone"; 6]),
        (&["all"], "soft", ["stale"; 6]),
        (&["tag:t"], "hard", ["gone", "usable", "gone", "usable", "usable", "usable"]),
        (&["tag:user:*"], "soft", ["usable", "usable", "usable", "stale", "stale", "usable"]),
        (&["model:m"], "hard", ["usable", "usable", "gone", "usable", "usable", "usable"]),
        (&["prefix:https://example.com/a/"], "hard", ["gone", "gone", "usable", "usable", "usable", "usable"]),
        (&["https://example.com/b/1?x=1", "tag:u"], "soft", ["usable", "stale", "stale", "usable", "usable", "usable"]),
        (&[], "hard", ["usable"; 6]),
    ] {
        let bench = joined();
        let edge = &bench.worker.edge;
        let stamp = edge.invalidations.sequence();
        let followed = follow(edge, &batch(&[invalidation(selectors, force)], 0, 1), None).unwrap();
        let expected_reply = Followed { place: at(1), n_applied: 1, n_widened: 0, is_durable: false, stopped: None };
        assert_eq!(followed, expected_reply, "{selectors:?}: there is no disk");
        assert_eq!(edge.place(), Some(at(1)));
        assert_eq!(verdicts(edge, stamp), expected, "{selectors:?} {force}");
        assert_eq!(verdicts(edge, edge.invalidations.sequence()), ["usable"; 6], "what began afterwards");
    }
}

#[test]
fn a_model_is_reached_in_every_version_and_takes_no_pattern_rule() {
    let tags = ["model:m", "model:m@v3", "model:m@v3@eu", "model:m@", "model:mm@v3", "model:mm", "m@v3", "model:M"];
    for (selector, expected) in [
        ("model:m", ["gone", "gone", "gone", "gone", "usable", "usable", "usable", "usable"]),
        ("model:m@v3", ["usable", "gone", "usable", "usable", "usable", "usable", "usable", "usable"]),
        ("tag:model:m", ["gone", "usable", "usable", "usable", "usable", "usable", "usable", "usable"]),
        ("tag:model:m@v3", ["usable", "gone", "usable", "usable", "usable", "usable", "usable", "usable"]),
        ("model:m*", ["gone", "gone", "gone", "gone", "gone", "gone", "usable", "usable"]),
    ] {
        let bench = joined();
        let edge = &bench.worker.edge;
        let stamp = edge.invalidations.sequence();
        follow(edge, &batch(&[invalidation(&[selector], "hard")], 0, 1), None).unwrap();
        let found = tags.map(|tag| verdict(edge, stamp, "example.com/a", &["t", tag]));
        assert_eq!(found, expected, "{selector}");
        assert_eq!(edge.invalidations.n_rules(), usize::from(selector.contains('*')), "{selector}");
    }
    // However many there are.
    let bench = joined();
    let edge = &bench.worker.edge;
    let selectors: Vec<String> = (0..4 * MAX_RULES).map(|number| format!("model:{number}")).collect();
    let selectors: Vec<&str> = selectors.iter().map(String::as_str).collect();
    let followed = follow(edge, &batch(&[invalidation(&selectors, "soft")], 0, 1), None).unwrap();
    assert_eq!((followed.n_widened, edge.invalidations.n_rules()), (0, 0));
    assert_eq!(verdict(edge, 1, "example.com/a", &["model:1023@v1"]), "stale");
    assert_eq!(verdict(edge, 1, "example.com/a", &["model:1024@v1"]), "usable");
}

#[test]
fn what_is_no_batch_or_does_not_continue_the_place_changes_nothing() {
    let events: Vec<Value> = (0..6).map(|_| invalidation(&["all"], "hard")).collect();
    let good = batch(&events, 2, 6);
    let with = |pointer: &str, value: Value| {
        let mut changed = good.clone();
        *changed.pointer_mut(pointer).unwrap_or_else(|| panic!("{pointer}")) = value;
        changed.to_string()
    };
    let without = |name: &str| {
        let mut changed = good.clone();
        changed.as_object_mut().unwrap().remove(name);
        changed.to_string()
    };
    let many = vec![invalidation(&[], "hard"); 10_001];
    let rows = [
        ("nothing", String::new(), "no batch"),
        ("no object", "[]".to_owned(), "no batch"),
        ("cut off", good.to_string()[..500].to_owned(), "no batch"),
        ("more behind it", format!("{good} {{}}"), "no batch"),
        ("too long", format!("{good}{}", " ".repeat(16 << 20)), "16777216 is the most"),
        ("too many", batch(&many, 0, 10_001).to_string(), "10000 is the most"),
        ("no identity", without("journal"), "journal"),
        ("no chain", without("chain"), "chain"),
        ("no events", without("events"), "events"),
        ("an identity that is none", with("/journal", json!("xx")), "32 hexadecimal digits"),
        ("not of ASCII", with("/epoch", json!("é".repeat(8))), "16 hexadecimal digits"),
        ("a chain that is none", with("/events/1/chain", json!("+1".repeat(16))), "32 hexadecimal digits"),
        ("a position that is none", with("/events/1/position", json!(-4)), "no batch"),
        ("no type", with("/events/1/type", json!(7)), "no batch"),
        ("one missing within", with("/events/1/position", json!(5)), "position 5 comes after 3"),
        ("one twice", with("/events/1/position", json!(3)), "position 3 comes after 3"),
        ("begins elsewhere", with("/after", json!(1)), "position 3 comes after 1"),
        ("beyond all numbers", with("/after", json!(u64::MAX)), "comes after"),
        (
            "behind a gap",
            batch(&events, 5, 6).to_string(),
            "begins after position 5, and this edge has applied all up to 4",
        ),
        ("an empty one behind a gap", batch(&events, 5, 5).to_string(), "begins after position 5"),
        ("another journal", with("/journal", json!("3".repeat(32))), "another history"),
        ("another epoch", with("/epoch", json!("3".repeat(16))), "another history"),
        ("another chain where the edge is", with("/events/1/chain", json!("3".repeat(32))), "chain at position 4"),
    ];
    let bench = bench_with(&json!({}));
    let edge = &bench.worker.edge;
    assert_eq!(follow(edge, &good, None), Err(FollowError::NoPlace), "never joined");
    edge.join(at(4), true);
    let sequence = edge.invalidations.sequence();
    for (name, text, part) in rows {
        let error = edge.follow(text.as_bytes(), Some(9)).expect_err(name).to_string();
        assert!(error.contains(part), "{name}: {error}");
        assert_eq!((edge.place(), edge.invalidations.sequence()), (Some(at(4)), sequence), "{name}");
    }
    // An end that is where the edge is, by another chain.
    let mut ends_here = batch(&events, 2, 4);
    ends_here["chain"] = json!("3".repeat(32));
    assert!(matches!(follow(edge, &ends_here, None), Err(FollowError::Parted(_))));
    for (from, to) in [(0, 0), (0, 3), (0, 4), (2, 4), (4, 4)] {
        let followed = follow(edge, &batch(&events, from, to), None).unwrap();
        assert_eq!((followed.place, followed.n_applied), (at(4), 0), "{from}..{to} is known already");
    }
    assert_eq!(edge.invalidations.sequence(), sequence);
    assert_eq!(follow(edge, &good, None).unwrap().place, at(6));
    assert!(edge.invalidations.sequence() > sequence);
}

#[test]
fn what_is_not_known_is_ignored_or_purged_or_stopped_at_as_it_says() {
    let unknown = |unless_known| event("weather.changed", unless_known, &json!({"any": ["thing"]}));
    let newer = |unless_known| {
        let mut event = invalidation(&["tag:t"], "hard");
        event["version"] = 2.into();
        event["unless_known"] = json!(unless_known);
        event
    };
    let odd = event("configuration.published", "ignore", &json!({"revision": "seven"}));
    let stopped = |kind: &str, version| Some(Stopped::Unknown { position: 2, kind: kind.to_owned(), version });
    for (event, is_all, expected) in [
        (unknown("ignore"), false, None),
        (unknown("purge"), true, None),
        (unknown("stop"), false, stopped("weather.changed", 1)),
        (unknown("dance"), false, stopped("weather.changed", 1)),
        (newer("ignore"), false, None),
        (newer("purge"), true, None),
        (newer("stop"), false, stopped("invalidation.requested", 2)),
        (odd, false, None),
    ] {
        let bench = joined();
        let edge = &bench.worker.edge;
        let stamp = edge.invalidations.sequence();
        let events = [invalidation(&["tag:u"], "hard"), event.clone(), invalidation(&["tag:user:2:a"], "hard")];
        let followed = follow(edge, &batch(&events, 0, 3), None).unwrap();
        let place = at(if expected.is_some() { 1 } else { 3 });
        assert_eq!((followed.place, &followed.stopped), (place, &expected), "{event}");
        assert_eq!(followed.n_widened, usize::from(is_all), "{event}");
        let usable_behind = if expected.is_some() { "usable" } else { "gone" };
        let verdicts = verdicts(edge, stamp);
        let others = if is_all { ["gone"; 2] } else { ["usable", usable_behind] };
        assert_eq!(verdicts[1], "gone", "{event}: what came before");
        assert_eq!([verdicts[0], verdicts[4]], others, "{event}");
    }
}

#[test]
fn a_control_process_one_minor_version_apart_is_followed() {
    // A later one: fields that nobody here knows wherever there may be any, types and versions that nobody knows.
    let of_tomorrow = |mut event: Value| {
        event["of_tomorrow"] = json!({"any": [1, "thing", null]});
        event["data"]["of_tomorrow"] = json!([{}]);
        event
    };
    let newer = |mut event: Value, unless_known: &str| {
        event["version"] = 2.into();
        event["unless_known"] = json!(unless_known);
        of_tomorrow(event)
    };
    let events = [
        of_tomorrow(invalidation(&["tag:t"], "hard")),
        of_tomorrow(event("model.registered", "ignore", &json!({"name": "fraud"}))),
        newer(event("edge.joined", "ignore", &json!({})), "ignore"),
        of_tomorrow(configuration(3)),
        of_tomorrow(invalidation(&["tag:u"], "soft")),
        newer(configuration(4), "stop"),
        newer(invalidation(&["tag:user:2:a"], "hard"), "purge"),
    ];
    let bench = joined();
    let edge = &bench.worker.edge;
    let sent = |from: usize, to: usize| {
        let mut batch = of_tomorrow(batch(&events, from, to));
        batch.as_object_mut().unwrap().remove("data");
        batch
    };
    let followed = follow(edge, &sent(0, 7), Some(3)).unwrap();
    assert_eq!((followed.place, followed.n_widened), (at(5), 0));
    let stopped = Stopped::Unknown { position: 6, kind: "configuration.published".to_owned(), version: 2 };
    assert_eq!(followed.stopped, Some(stopped));
    assert_eq!(verdicts(edge, 1), ["gone", "stale", "gone", "usable", "usable", "usable"]);
    // Once whoever follows knows better where to go on, what it cannot read is everything.
    let stamp = edge.invalidations.sequence();
    edge.join(at(6), true);
    let followed = follow(edge, &sent(6, 7), Some(3)).unwrap();
    assert_eq!((followed.place, followed.n_widened, followed.stopped), (at(7), 1, None));
    assert_eq!(verdicts(edge, stamp), ["gone"; 6]);
    let mut place: Value = serde_json::from_str(&place_to_json(at(7))).unwrap();
    place["of_tomorrow"] = json!([1]);
    assert_eq!(place_from_json(&place.to_string()), Ok(at(7)));

    // An earlier one: what it did not say is not needed.
    let bench = joined();
    let edge = &bench.worker.edge;
    let mut batch = batch(&[invalidation(&["tag:t"], "hard")], 0, 1);
    batch.as_object_mut().unwrap().remove("more");
    for name in ["time_ms", "by", "chain"] {
        batch["events"][0].as_object_mut().unwrap().remove(name);
    }
    batch["events"][0]["data"].as_object_mut().unwrap().remove("force");
    assert_eq!(follow(edge, &batch, None).unwrap().place, at(1));
    assert_eq!(verdicts(edge, 1)[..2], ["gone", "usable"]);
}

#[test]
fn what_cannot_be_read_exactly_is_everything() {
    let requested = |data: &Value| event("invalidation.requested", "ignore", data);
    for event in [
        invalidation(&["tag:t", "shelf:left"], "hard"),
        invalidation(&["shelf:left"], "soft"),
        requested(&json!({"selectors": "tag:t", "force": "hard"})),
        requested(&json!({"selectors": [7], "force": "hard"})),
        requested(&json!({})),
        requested(&json!(null)),
    ] {
        let bench = joined();
        let edge = &bench.worker.edge;
        let stamp = edge.invalidations.sequence();
        let followed = follow(edge, &batch(std::slice::from_ref(&event), 0, 1), None).unwrap();
        assert_eq!((followed.place, followed.n_widened), (at(1), 1), "{event}");
        assert_eq!(verdicts(edge, stamp), ["gone"; 6], "{event}");
    }
}

#[test]
fn a_force_that_is_not_known_is_hard_and_so_is_none() {
    for (data, n_widened) in [
        (json!({"selectors": ["tag:t"], "force": "gently"}), 1),
        (json!({"selectors": ["tag:t"]}), 0),
        (json!({"selectors": ["tag:t"], "force": "hard", "and": "more"}), 0),
    ] {
        let bench = joined();
        let edge = &bench.worker.edge;
        let event = event("invalidation.requested", "purge", &data);
        assert_eq!(follow(edge, &batch(&[event], 0, 1), None).unwrap().n_widened, n_widened, "{data}");
        assert_eq!(verdicts(edge, 1)[..2], ["gone", "usable"], "{data}");
    }
}

#[test]
fn without_room_for_rules_everything_is_invalidated_and_there_is_room_again() {
    let glob = |number: usize| invalidation(&[&format!("glob:h{number}/*")], "hard");
    let mut events: Vec<Value> = (0..MAX_RULES).map(glob).collect();
    // The same again takes no place.
    events.extend((0..MAX_RULES).map(glob));
    events.extend([glob(MAX_RULES), glob(MAX_RULES + 1)]);
    for at_once in [true, false] {
        let bench = joined();
        let edge = &bench.worker.edge;
        let (stamp, full) = (edge.invalidations.sequence(), 2 * MAX_RULES);
        let followed = follow(edge, &batch(&events, 0, full), None).unwrap();
        assert_eq!((followed.n_widened, edge.invalidations.n_rules()), (0, MAX_RULES));
        assert_eq!(verdicts(edge, stamp), ["usable"; 6]);
        let cuts: &[(usize, usize, usize)] =
            if at_once { &[(full, full + 2, 0)] } else { &[(full, full + 1, 0), (full + 1, full + 2, 1)] };
        let mut n_widened = 0;
        for (from, to, n_rules) in cuts {
            let followed = follow(edge, &batch(&events, *from, *to), None).unwrap();
            assert_eq!((followed.place, edge.invalidations.n_rules()), (at(*to as u64), *n_rules));
            n_widened += followed.n_widened;
        }
        assert_eq!(n_widened, 1);
        assert_eq!(verdicts(edge, stamp), ["gone"; 6]);
    }
    // More in one batch than there may be.
    let bench = joined();
    let edge = &bench.worker.edge;
    let many: Vec<String> = (0..=MAX_RULES).map(|number| format!("glob:h{number}/*")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(follow(edge, &batch(&[invalidation(&many, "soft")], 0, 1), None).unwrap().n_widened, 1);
    assert_eq!((edge.invalidations.n_rules(), verdicts(edge, 1)), (0, vec!["gone"; 6]));
}

/// Whoever forgets by hand at the same time may be refused for want of room, at any moment; what is followed never is.
#[test]
fn what_is_followed_holds_whatever_else_takes_the_room() {
    let folder = tempfile::tempdir().unwrap();
    let bench = on_disk(folder.path());
    let edge = &bench.worker.edge;
    edge.join(at(0), true);
    let events: Vec<Value> =
        (0..2 * MAX_RULES).map(|number| invalidation(&[&format!("tag:t{number}*")], "hard")).collect();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..4 * MAX_RULES {
                let _ = edge.invalidate_written(&[format!("glob:h{number}/*")], Force::Hard);
            }
        });
        for (before, _) in events.iter().enumerate() {
            let stamp = edge.invalidations.sequence();
            let followed = follow(edge, &batch(&events, before, before + 1), None).unwrap();
            assert_eq!((followed.place, followed.is_durable), (at(before as u64 + 1), true));
            assert_eq!(verdict(edge, stamp, "example.com/a", &[&format!("t{before}")]), "gone", "{before}");
            assert!(edge.invalidations.n_rules() <= MAX_RULES);
        }
    });
}

#[test]
fn a_configuration_is_waited_for_and_what_follows_is_read_by_it() {
    // Under revision 8 `x` is not in the key, so that who names a URL with it means the one without.
    let key = json!({"key": {"query": {"kind": "deny", "names": ["x"], "sorted": false}}});
    let next = Snapshot::from_json(&snapshot_json(&key, &json!({}), 8)).unwrap();
    let events = [
        invalidation(&["tag:t"], "soft"),
        configuration(7),
        configuration(8),
        invalidation(&["https://example.com/a/1?x=1"], "hard"),
    ];
    for has_chains in [true, false] {
        let bench = joined();
        let edge = &bench.worker.edge;
        let mut whole = batch(&events, 0, 4);
        if !has_chains {
            whole["events"].as_array_mut().unwrap().iter_mut().for_each(|event| event["chain"] = Value::Null);
        }
        let waits = |position, revision| Some(Stopped::WaitsForConfiguration { position, revision });
        let before = |position| if has_chains { at(position) } else { at(0) };
        for configured in [None, Some(6)] {
            let followed = follow(edge, &whole, configured).unwrap();
            assert_eq!((followed.place, followed.stopped), (before(1), waits(2, 7)), "{configured:?}");
        }
        assert_eq!(verdicts(edge, 1)[..2], ["stale", "usable"]);
        let followed = follow(edge, &whole, Some(7)).unwrap();
        assert_eq!((followed.place, followed.stopped), (before(2), waits(3, 8)));
        assert_eq!(edge.place(), Some(before(2)), "without chains in between it is not known what to call the place");
        edge.snapshot.store(Arc::new(next.clone()));
        let followed = follow(edge, &whole, Some(8)).unwrap();
        assert_eq!((followed.place, followed.stopped), (at(4), None));
        assert_eq!(verdicts(edge, 1)[..2], ["gone", "usable"]);
        // Who has a later one already waits for nothing.
        let bench = joined();
        assert_eq!(follow(&bench.worker.edge, &whole, Some(9)).unwrap().place, at(4));
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_began_before_a_batch_and_is_stored_after_it_is_reached_by_it() {
    for (selector, is_reached) in [("https://example.com/x", true), ("tag:t", true), ("all", true), ("tag:u", false)] {
        let bench = joined();
        let mut old = bench.origin.will_answer_by_hand();
        let task = tokio::spawn({
            let bench = bench.clone();
            async move { bench.send(&TestRequest::get("/x")).await }
        });
        while bench.origin.asked().is_empty() {
            tokio::task::yield_now().await;
        }
        follow(&bench.worker.edge, &batch(&[invalidation(&[selector], "hard")], 0, 1), None).unwrap();
        old.head(200, &[("cache-control", "max-age=60"), ("cache-tag", "t")], Some(3));
        old.piece(b"old");
        old.end();
        assert_eq!(task.await.unwrap().body, b"old", "it began before");
        let mut new = bench.origin.will_answer_by_hand();
        new.head(200, &[], Some(3));
        new.piece(b"new");
        new.end();
        let got = bench.send(&TestRequest::get("/x")).await;
        let expected: (Outcome, &[u8]) = if is_reached { (Outcome::Miss, b"new") } else { (Outcome::Hit, b"old") };
        assert_eq!((got.outcome, &got.body[..]), expected, "{selector}");
    }
}

const WINDOWS: &[(&str, &str)] =
    &[("cache-control", "max-age=60, stale-while-revalidate=600, stale-if-error=600"), ("etag", "\"a\"")];

async fn store(bench: &Bench) {
    let mut hand = bench.origin.will_answer_by_hand();
    hand.head(200, WINDOWS, Some(3));
    hand.piece(b"old");
    hand.end();
    assert_eq!(bench.send(&TestRequest::get("/x")).await.body, b"old");
}

async fn ask(bench: &Bench) -> Got {
    // What a client says of its own patience does not count either.
    let headers = vec![("Cache-Control".to_owned(), "max-stale".to_owned())];
    bench.send(&TestRequest { headers, ..TestRequest::get("/x") }).await
}

async fn confirmed(bench: &Bench) -> Got {
    let mut hand = bench.origin.will_answer_by_hand();
    hand.head(304, WINDOWS, None);
    hand.end();
    ask(bench).await
}

async fn failing(bench: &Bench) -> Got {
    bench.origin.will_answer_by_hand().fail(Reason::OriginConnect);
    ask(bench).await
}

#[tokio::test(start_paused = true)]
async fn what_was_stored_before_a_join_that_trusts_nothing_is_confirmed_before_it_is_used() {
    for mode in ["safe", "rfc"] {
        for is_expired in [false, true] {
            let bench = bench_with(&json!({"mode": mode}));
            let edge = &bench.worker.edge;
            store(&bench).await;
            if is_expired {
                bench.clock.advance(Duration::from_secs(61));
            }
            assert!(!edge.join(at(5), false), "there is no disk");
            assert_eq!(edge.place(), Some(at(5)));
            for round in 0..3 {
                let got = failing(&bench).await;
                assert_eq!((got.status, got.outcome), (502, Outcome::Error), "{mode} {is_expired} {round}");
            }
            // A configuration does not give it its windows back.
            let next = Snapshot::from_json(&snapshot_json(&json!({"mode": mode}), &json!({}), 2)).unwrap();
            edge.snapshot.store(Arc::new(next));
            assert_eq!(failing(&bench).await.status, 502, "{mode} {is_expired}");
            let got = confirmed(&bench).await;
            assert_eq!((got.outcome, &got.body[..]), (Outcome::Revalidated, &b"old"[..]), "{mode} {is_expired}");
            assert!(bench.origin.asked().last().unwrap().fields.has("if-none-match"));
            assert_eq!(ask(&bench).await.outcome, Outcome::Hit, "{mode} {is_expired}: fresh again");
            // With everything that its origin has said anew.
            bench.clock.advance(Duration::from_secs(61));
            assert_eq!(failing(&bench).await.outcome, Outcome::Stale, "{mode} {is_expired}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_join_that_trusts_what_is_stored_leaves_it_as_it_is() {
    let bench = bench_with(&json!({}));
    store(&bench).await;
    bench.worker.edge.join(at(5), true);
    assert_eq!(bench.send(&TestRequest::get("/x")).await.outcome, Outcome::Hit);
    assert_eq!(bench.worker.edge.place(), Some(at(5)));
}

/// It has asked for what was there before.
#[tokio::test(start_paused = true)]
async fn what_an_edge_that_joins_is_asking_its_origin_confirms_nothing_and_nothing_stands_in_for_it() {
    const ON_ERROR: &[(&str, &str)] = &[("cache-control", "max-age=60, stale-if-error=600"), ("etag", "\"a\"")];
    for is_confirmed in [true, false] {
        let bench = bench_with(&json!({}));
        let mut hand = bench.origin.will_answer_by_hand();
        hand.head(200, ON_ERROR, Some(3));
        hand.piece(b"old");
        hand.end();
        assert_eq!(bench.send(&TestRequest::get("/x")).await.body, b"old");
        bench.clock.advance(Duration::from_secs(61));
        let mut hand = bench.origin.will_answer_by_hand();
        let task = tokio::spawn({
            let bench = bench.clone();
            async move { ask(&bench).await }
        });
        while bench.origin.asked().len() < 2 {
            tokio::task::yield_now().await;
        }
        bench.worker.edge.join(at(5), false);
        if is_confirmed {
            hand.head(304, ON_ERROR, None);
            hand.end();
            assert_eq!(task.await.unwrap().outcome, Outcome::Revalidated, "it began before");
        } else {
            hand.fail(Reason::OriginConnect);
            assert_eq!(task.await.unwrap().status, 502);
        }
        assert_eq!(failing(&bench).await.status, 502, "{is_confirmed}");
        assert_eq!(confirmed(&bench).await.outcome, Outcome::Revalidated, "{is_confirmed}");
        assert_eq!(ask(&bench).await.outcome, Outcome::Hit, "{is_confirmed}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_place_and_what_led_there_outlive_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let bench = on_disk(folder.path());
    assert_eq!(bench.worker.edge.place(), None);
    assert!(bench.worker.edge.join(at(0), true));
    store(&bench).await;
    assert_eq!(bench.send(&TestRequest::get("/x")).await.outcome, Outcome::Hit);
    assert!(bench.worker.edge.keep_all(Duration::from_secs(60)));
    let stamp = bench.worker.edge.invalidations.sequence();
    let events = [invalidation(&["tag:t"], "hard"), configuration(7), invalidation(&["tag:u"], "hard")];
    let followed = follow(&bench.worker.edge, &batch(&events, 0, 3), None).unwrap();
    assert!(followed.is_durable);
    drop(bench);

    let bench = on_disk(folder.path());
    let edge = &bench.worker.edge;
    assert_eq!(edge.place(), Some(at(1)));
    assert_eq!(verdicts(edge, stamp)[..2], ["gone", "usable"]);
    assert!(follow(edge, &batch(&events, 0, 3), Some(7)).unwrap().is_durable);
    assert!(follow(edge, &batch(&events, 0, 3), Some(7)).unwrap().is_durable, "said of what is there already, too");
    assert_eq!(bench.send(&TestRequest::get("/x")).await.outcome, Outcome::Hit, "not reached");
    assert!(edge.join(at(9), false));
    drop(bench);

    let bench = on_disk(folder.path());
    assert_eq!(bench.worker.edge.place(), Some(at(9)));
    assert_eq!(failing(&bench).await.status, 502, "still to be confirmed");
    assert_eq!(confirmed(&bench).await.outcome, Outcome::Revalidated);
}

#[test]
fn replies_and_places_as_programs_read_them() {
    let bench = joined();
    let edge = &bench.worker.edge;
    let events = [invalidation(&["nonsense"], "hard"), configuration(7), event("weather.changed", "stop", &json!({}))];
    let reply = |configured| -> Value {
        serde_json::from_str(&follow(edge, &batch(&events, 0, 3), configured).unwrap().to_json()).unwrap()
    };
    let place = |position| json!({"journal": JOURNAL, "epoch": EPOCH, "position": position, "chain": chain(position)});
    assert_eq!(
        reply(None),
        json!({"place": place(1), "applied": 1, "widened": 1, "durable": false, "waits_for_configuration": 7,
            "stopped_at": null})
    );
    assert_eq!(
        reply(Some(7)),
        json!({"place": place(2), "applied": 1, "widened": 0, "durable": false, "waits_for_configuration": null,
            "stopped_at": {"position": 3, "type": "weather.changed", "version": 1}})
    );
    assert_eq!(place_from_json(&place_to_json(at(5))).unwrap(), at(5));
    for wrong in ["", "{}", "[]", "null", &place(1).to_string().replace("22", "2")] {
        assert!(matches!(place_from_json(wrong), Err(FollowError::Malformed(_))), "{wrong}");
    }
}

fn any_event() -> impl Strategy<Value = Value> {
    let selectors = prop::collection::vec(
        prop::sample::select(
            &[
                "tag:t",
                "tag:u",
                "tag:user:*",
                "tag:user:2:*",
                "model:m",
                "https://example.com/a/1",
                "https://example.com/b/1?x=2",
                "prefix:https://example.com/b/",
                "glob:*/a/*",
                "https://other.example/c",
            ][..],
        ),
        0..3,
    );
    let force = prop::sample::select(&["hard", "soft", "soft"][..]);
    prop_oneof![
        12 => (selectors, force).prop_map(|(selectors, force)| invalidation(&selectors, force)),
        2 => (5_u64..9).prop_map(configuration),
        2 => Just(event("edge.joined", "ignore", &json!({"name": "tokyo-1"}))),
        1 => Just(invalidation(&["all"], "soft")),
        1 => Just(invalidation(&["all"], "hard")),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    /// Cut anywhere, sent again and overlapping, and with waits for configurations in between.
    #[test]
    fn batches_lead_to_the_same_however_they_are_cut(
        events in prop::collection::vec(any_event(), 1..20),
        cuts in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 0..12),
    ) {
        let (one, other) = (joined(), joined());
        let (one, other) = (&one.worker.edge, &other.worker.edge);
        let n_events = events.len();
        follow(one, &batch(&events, 0, n_events), Some(99)).unwrap();
        let mut cuts: Vec<(usize, usize)> =
            cuts.iter().map(|(from, to)| (from.index(n_events), to.index(n_events + 1))).collect();
        cuts.push((0, n_events));
        let mut configured = None;
        for (from, to) in cuts {
            let before = other.place().unwrap();
            loop {
                match follow(other, &batch(&events, from, to.max(from)), configured) {
                    Ok(Followed { stopped: Some(Stopped::WaitsForConfiguration { revision, .. }), .. }) => {
                        prop_assert!(configured.is_none_or(|configured| configured < revision));
                        configured = Some(revision);
                    }
                    Ok(followed) => {
                        let position = (to.max(from) as u64).max(before.position);
                        prop_assert_eq!((followed.place, followed.stopped), (at(position), None));
                        break;
                    }
                    Err(error) => {
                        prop_assert_eq!(error, FollowError::Gap { position: before.position, after: from as u64 });
                        prop_assert!(from as u64 > before.position);
                        prop_assert_eq!(other.place(), Some(before));
                        break;
                    }
                }
            }
        }
        prop_assert_eq!(one.place(), other.place());
        prop_assert_eq!(verdicts(one, 1), verdicts(other, 1));
        let after = other.invalidations.sequence();
        follow(other, &batch(&events, 0, n_events), None).unwrap();
        prop_assert_eq!(verdicts(other, after), ["usable"; 6], "what is repeated reaches nothing new");
    }

    /// Whatever is changed in a batch: it is refused and changes nothing, or applied.
    #[test]
    fn a_batch_in_which_anything_was_changed_does_no_harm(
        at_byte in any::<prop::sample::Index>(), with in any::<u8>(), cut in any::<bool>(),
    ) {
        let bench = joined();
        let edge = &bench.worker.edge;
        let events = [invalidation(&["tag:t"], "hard"), configuration(3), invalidation(&["tag:u"], "soft")];
        let mut bytes = batch(&events, 0, 3).to_string().into_bytes();
        let place = at_byte.index(bytes.len());
        if cut { bytes.truncate(place) } else { bytes[place] = with }
        let sequence = edge.invalidations.sequence();
        match edge.follow(&bytes, Some(3)) {
            Ok(followed) => prop_assert_eq!(Some(followed.place), edge.place()),
            Err(_) => prop_assert_eq!((edge.place(), edge.invalidations.sequence()), (Some(at(0)), sequence)),
        }
    }
}
