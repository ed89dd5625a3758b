//! Many who ask for one thing at once: what each of them sees while the origin answers piece by piece, by hand.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails loudly")]

use std::time::Duration;

use bodega_edge::fetch::next_chunk;
use bodega_edge::invalidate::{Force, Selector};
use bodega_edge::reader::FillReader;
use bodega_edge::{Answer, BodyPlan, BodyReader};
use bodega_semantics::{Head, Outcome, Reason};
use bodega_snapshot::Snapshot;
use bodega_testkit::bench::{Bench, FILL_WINDOW_BYTES, Got, TestRequest, snapshot_json};
use bodega_testkit::origin::ByHand;
use serde_json::json;
use tokio::task::JoinHandle;

const FRESH: &[(&str, &str)] = &[("cache-control", "max-age=60")];
const PRIVATE: &[(&str, &str)] = &[("cache-control", "private")];
const MIB: usize = 1 << 20;

fn bench() -> Bench {
    Bench::new(&snapshot_json(&json!({}), &json!({}), 1))
}

/// An edge that keeps nothing larger than 1 KiB.
fn bench_that_keeps_little() -> Bench {
    Bench::new(&snapshot_json(&json!({"max_object_bytes": 1024}), &json!({}), 1))
}

/// Starts a request and lets it go as far as it gets.
async fn ask(bench: &Bench, target: &str) -> JoinHandle<Answer> {
    let (bench, request) = (bench.clone(), TestRequest::get(target));
    let task = tokio::spawn(async move { bench.begin(&request).await });
    settle().await;
    task
}

/// Lets everything run that does not wait for a test.
async fn settle() {
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
}

fn reader(answer: Answer) -> FillReader {
    match answer.body {
        BodyPlan::Read(BodyReader::Live(reader)) => reader,
        _ => panic!("a body that streams"),
    }
}

async fn next(reader: &mut FillReader) -> Vec<u8> {
    reader.next().await.expect("no break").expect("no end").as_ref().to_vec()
}

async fn read_all(mut reader: FillReader) -> (usize, bool) {
    let mut n_bytes = 0;
    loop {
        match reader.next().await {
            Ok(Some(piece)) => n_bytes += piece.as_ref().len(),
            Ok(None) => return (n_bytes, false),
            Err(_) => return (n_bytes, true),
        }
    }
}

async fn get(bench: &Bench, target: &str) -> Got {
    let got = bench.send(&TestRequest::get(target)).await;
    settle().await;
    got
}

fn fresh_answer(bench: &Bench, body: &str) -> ByHand {
    let mut hand = bench.origin.will_answer_by_hand();
    hand.head(200, FRESH, Some(body.len() as u64));
    hand.piece(body.as_bytes());
    hand.end();
    hand
}

#[tokio::test(start_paused = true)]
async fn the_first_byte_is_there_before_the_last_has_come() {
    let bench = bench();
    let mut hand = bench.origin.will_answer_by_hand();
    let leader = ask(&bench, "/x").await;
    let joiner = ask(&bench, "/x").await;
    hand.head(200, FRESH, Some(6));
    assert!(hand.piece(b"one"));
    let (leader, joiner) = (leader.await.unwrap(), joiner.await.unwrap());
    assert_eq!((leader.outcome, joiner.outcome), (Outcome::Miss, Outcome::Collapsed));
    let (mut leader, mut joiner) = (reader(leader), reader(joiner));
    assert_eq!(next(&mut leader).await, b"one");
    assert_eq!(next(&mut joiner).await, b"one");
    let late = ask(&bench, "/x").await.await.unwrap();
    assert_eq!(late.outcome, Outcome::Collapsed);
    let mut late = reader(late);
    assert_eq!(next(&mut late).await, b"one", "who comes later reads from the first byte");
    assert!(hand.piece(b"two"));
    hand.end();
    for reader in [&mut leader, &mut joiner, &mut late] {
        assert_eq!(next(reader).await, b"two");
        assert!(reader.next().await.unwrap().is_none());
    }
    assert_eq!(get(&bench, "/x").await.outcome, Outcome::Hit);
    assert_eq!(bench.origin.asked().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn fifty_at_once_are_one_request_and_none_waits_for_the_end() {
    let bench = bench();
    let mut hand = bench.origin.will_answer_by_hand();
    let mut tasks = Vec::new();
    for _ in 0..50 {
        tasks.push(ask(&bench, "/x").await);
    }
    hand.head(200, FRESH, None);
    hand.piece(&[1; 100_000]);
    let mut readers = Vec::new();
    for task in tasks {
        let mut reader = reader(task.await.unwrap());
        assert!(!next(&mut reader).await.is_empty());
        readers.push(reader);
    }
    hand.end();
    for reader in readers {
        assert!(!read_all(reader).await.1);
    }
    assert_eq!(bench.origin.asked().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_variant_is_joined_while_it_streams() {
    // Found by its names and the variant's key, it was once asked for again by all who came after the head.
    let bench = bench();
    let mut hand = bench.origin.will_answer_by_hand();
    let leader = ask(&bench, "/x").await;
    hand.head(200, &[("cache-control", "max-age=60"), ("vary", "accept")], Some(6));
    hand.piece(b"one");
    let leader = reader(leader.await.unwrap());
    let late = ask(&bench, "/x").await.await.unwrap();
    assert_eq!(late.outcome, Outcome::Collapsed);
    hand.piece(b"two");
    hand.end();
    assert_eq!(read_all(leader).await, (6, false));
    assert_eq!(read_all(reader(late)).await, (6, false));
    assert_eq!(bench.origin.asked().len(), 1);
    assert_eq!(get(&bench, "/x").await.outcome, Outcome::Hit);
}

#[tokio::test(start_paused = true)]
async fn joiners_of_a_private_answer_go_alone_in_parallel() {
    let bench = bench();
    let mut first = bench.origin.will_answer_by_hand();
    let mut others: Vec<ByHand> = (0..3).map(|_| bench.origin.will_answer_by_hand()).collect();
    let leader = ask(&bench, "/x").await;
    let mut joiners = Vec::new();
    for _ in 0..3 {
        joiners.push(ask(&bench, "/x").await);
    }
    assert_eq!(bench.origin.asked().len(), 1);
    first.head(200, PRIVATE, Some(3));
    settle().await;
    assert_eq!(bench.origin.asked().len(), 4, "none waits for another");
    for (at, hand) in others.iter_mut().enumerate().rev() {
        hand.head(200, PRIVATE, Some(1));
        hand.piece(at.to_string().as_bytes());
        hand.end();
    }
    let mut bodies = Vec::new();
    for joiner in joiners {
        bodies.push(bench.read(joiner.await.unwrap()).await.body);
    }
    assert_eq!(bodies, [b"0", b"1", b"2"], "each has its own");
    first.piece(b"me!");
    first.end();
    assert_eq!(bench.read(leader.await.unwrap()).await.body, b"me!");
    // Remembered: the next two do not even wait for one another's heads.
    let hands = [bench.origin.will_answer_by_hand(), bench.origin.will_answer_by_hand()];
    let tasks = [ask(&bench, "/x").await, ask(&bench, "/x").await];
    assert_eq!(bench.origin.asked().len(), 6);
    for (mut hand, task) in hands.into_iter().zip(tasks) {
        hand.head(200, PRIVATE, Some(0));
        hand.end();
        assert_eq!(task.await.unwrap().reason, Reason::Uncacheable);
    }
    bench.clock.advance(Duration::from_secs(61));
    fresh_answer(&bench, "ours");
    assert_eq!(get(&bench, "/x").await.reason, Reason::UriMiss, "for a while only");
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_leaves_breaks_nothing() {
    let bench = bench();
    let mut hand = bench.origin.will_answer_by_hand();
    let leader = ask(&bench, "/x").await;
    let joiner = ask(&bench, "/x").await;
    leader.abort();
    assert!(leader.await.is_err());
    hand.head(200, FRESH, Some(6));
    hand.piece(b"one");
    let joiner = joiner.await.unwrap();
    assert_eq!(joiner.outcome, Outcome::Collapsed);
    hand.piece(b"two");
    hand.end();
    assert_eq!(bench.read(joiner).await.body, b"onetwo");
    let hit = get(&bench, "/x").await;
    assert_eq!((hit.outcome, hit.body.as_slice()), (Outcome::Hit, b"onetwo".as_slice()));
    assert_eq!(bench.origin.asked().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_kept_is_filled_to_its_end_without_readers() {
    let bench = bench();
    let mut hand = bench.origin.will_answer_by_hand();
    let leader = ask(&bench, "/x").await;
    hand.head(200, FRESH, Some(6));
    hand.piece(b"one");
    drop(leader.await.unwrap());
    settle().await;
    assert!(!hand.is_abandoned());
    hand.piece(b"two");
    hand.end();
    settle().await;
    assert_eq!(get(&bench, "/x").await.body, b"onetwo");
    assert_eq!(bench.origin.asked().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_breaks_off_is_a_break_for_all_and_no_entry() {
    let bench = bench();
    let mut hand = bench.origin.will_answer_by_hand();
    let tasks = [ask(&bench, "/x").await, ask(&bench, "/x").await, ask(&bench, "/x").await];
    hand.head(200, FRESH, Some(6));
    hand.piece(b"one");
    settle().await;
    hand.break_off();
    for task in tasks {
        assert_eq!(read_all(reader(task.await.unwrap())).await, (3, true));
    }
    settle().await;
    let usage = bench.worker.edge.memory.usage();
    assert_eq!((usage.n_entries, usage.reserved_bytes), (0, 0));
    fresh_answer(&bench, "whole");
    assert_eq!(get(&bench, "/x").await.body, b"whole");
}

#[tokio::test(start_paused = true)]
async fn an_origin_that_fails_before_its_head_is_one_failure_for_all() {
    let bench = bench();
    let mut hand = bench.origin.will_answer_by_hand();
    let tasks = [ask(&bench, "/x").await, ask(&bench, "/x").await];
    hand.fail(Reason::OriginTimeout);
    for task in tasks {
        let answer = task.await.unwrap();
        assert_eq!((answer.status, answer.outcome), (504, Outcome::Error));
    }
    assert_eq!(bench.origin.asked().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_too_large_streams_through_a_window() {
    let bench = bench();
    let mut hand = bench.origin.will_answer_by_hand();
    let leader = ask(&bench, "/x").await;
    hand.head(200, FRESH, None);
    let reading = tokio::spawn(read_all(reader(leader.await.unwrap())));
    let usage = || bench.worker.edge.memory.usage();
    for _ in 0..64 {
        hand.piece(&vec![7; MIB]);
        settle().await;
        assert!(usage().reserved_bytes <= usage().capacity_bytes / 2);
        assert!(usage().used_bytes + usage().reserved_bytes <= usage().capacity_bytes);
    }
    hand.end();
    assert_eq!(reading.await.unwrap(), (64 * MIB, false));
    settle().await;
    assert_eq!((usage().n_entries, usage().reserved_bytes), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_is_waited_for_and_then_left_behind() {
    let bench = bench_that_keeps_little();
    let mut hand = bench.origin.will_answer_by_hand();
    let tasks = [ask(&bench, "/x").await, ask(&bench, "/x").await];
    hand.head(200, FRESH, None);
    let [fast, slow] = tasks;
    let (mut slow, fast) = (reader(slow.await.unwrap()), tokio::spawn(read_all(reader(fast.await.unwrap()))));
    let began = tokio::time::Instant::now();
    let n_pieces = 3 * usize::try_from(FILL_WINDOW_BYTES).unwrap() / MIB;
    for _ in 0..n_pieces {
        hand.piece(&vec![7; MIB]);
    }
    hand.end();
    assert_eq!(fast.await.unwrap(), (n_pieces * MIB, false));
    let waited = began.elapsed();
    assert!(waited >= Duration::from_secs(10), "it was waited for: {waited:?}");
    assert!(waited < Duration::from_secs(11), "once, not for every slice: {waited:?}");
    assert!(slow.next().await.is_err(), "its body is broken, not short");
}

#[tokio::test(start_paused = true)]
async fn a_lone_reader_may_be_slow_while_it_moves() {
    let bench = bench_that_keeps_little();
    let mut hand = bench.origin.will_answer_by_hand();
    let leader = ask(&bench, "/x").await;
    hand.head(200, FRESH, None);
    let mut reader = reader(leader.await.unwrap());
    for _ in 0..12 {
        hand.piece(&vec![7; MIB]);
    }
    hand.end();
    let mut n_bytes = 0;
    while let Some(piece) = reader.next().await.expect("it goes on at the reader's pace") {
        n_bytes += piece.as_ref().len();
        tokio::time::sleep(Duration::from_secs(9)).await;
    }
    assert_eq!(n_bytes, 12 * MIB);
}

/// Two read a body that is not kept; one of them does not, until it is left behind. What it is told by the origin when
/// it asks for the rest is up to the test: it gets what came of the bytes it reads.
async fn left_behind(tag: &str, rest: impl FnOnce(&mut ByHand, u64)) -> (Vec<u8>, Option<Reason>) {
    let bench = bench_that_keeps_little();
    let mut hand = bench.origin.will_answer_by_hand();
    let leader = ask(&bench, "/x").await;
    let slow = ask(&bench, "/x").await;
    let total = 12 * MIB as u64;
    hand.head(200, &[("cache-control", "max-age=60"), ("etag", tag)], Some(total));
    let quick = tokio::spawn(read_all(reader(leader.await.unwrap())));
    let mut slow = reader(slow.await.unwrap());
    hand.piece(&vec![0; MIB]);
    let mut got = next(&mut slow).await;
    for number in 1..12 {
        hand.piece(&vec![number; MIB]);
    }
    hand.end();
    assert_eq!(quick.await.unwrap(), (12 * MIB, false));
    let position = got.len() as u64;
    let mut second = bench.origin.will_answer_by_hand();
    rest(&mut second, position);
    loop {
        match slow.next().await {
            Ok(Some(piece)) => got.extend_from_slice(piece.as_ref()),
            Ok(None) => break,
            Err(error) => return (got, Some(error.reason)),
        }
    }
    let asked = bench.origin.asked();
    assert_eq!(asked.len(), 2);
    assert_eq!(asked[1].fields.first("range").unwrap(), format!("bytes={position}-").as_bytes());
    assert_eq!(asked[1].fields.first("if-range").unwrap(), tag.as_bytes());
    assert!(slow.next().await.unwrap().is_none(), "an end stays an end");
    (got, None)
}

fn pieces_from(position: u64) -> Vec<u8> {
    (0..12_u8).flat_map(|number| vec![number; MIB]).skip(usize::try_from(position).unwrap()).collect()
}

#[tokio::test(start_paused = true)]
async fn who_is_left_behind_goes_on_alone() {
    let (got, error) = left_behind("\"a\"", |hand, position| {
        let place = format!("bytes {position}-{}/{}", 12 * MIB - 1, 12 * MIB);
        hand.head(206, &[("etag", "\"a\""), ("content-range", &place)], None);
        hand.piece(&pieces_from(position));
        hand.end();
    })
    .await;
    assert_eq!(error, None);
    assert!(got == pieces_from(0), "every byte, once");
}

#[tokio::test(start_paused = true)]
async fn who_is_left_behind_goes_on_only_with_the_same_bytes() {
    let place = |position: u64| format!("bytes {position}-{}/{}", 12 * MIB - 1, 12 * MIB);
    for (name, status, tag, from) in [
        ("changed", 200, "\"b\"", 0),
        ("of another version", 206, "\"b\"", 0),
        ("from elsewhere", 206, "\"a\"", 1),
        ("gone", 404, "\"a\"", 0),
    ] {
        let (got, error) = left_behind("\"a\"", |hand, position| {
            hand.head(status, &[("etag", tag), ("content-range", &place(position + from))], None);
            hand.piece(b"other bytes");
            hand.end();
        })
        .await;
        assert_eq!(error, Some(Reason::Limit), "{name}");
        assert!(got.iter().all(|byte| *byte == 0), "{name}");
    }
    let (got, error) = left_behind("W/\"a\"", |_, _| ()).await;
    assert_eq!((got.len(), error), (MIB, Some(Reason::Limit)), "without a strong validator nobody asks");
}

#[tokio::test(start_paused = true)]
async fn who_comes_after_the_window_has_moved_begins_anew() {
    let bench = bench_that_keeps_little();
    let mut hand = bench.origin.will_answer_by_hand();
    let leader = ask(&bench, "/x").await;
    hand.head(200, FRESH, None);
    let reading = tokio::spawn(read_all(reader(leader.await.unwrap())));
    hand.piece(&vec![7; MIB]);
    settle().await;
    let mut early = reader(ask(&bench, "/x").await.await.unwrap());
    assert_eq!(bench.origin.asked().len(), 1, "the first byte is still there");
    assert!(!next(&mut early).await.is_empty());
    let early = tokio::spawn(read_all(early));
    for _ in 0..8 {
        hand.piece(&vec![7; MIB]);
        settle().await;
    }
    let mut second = bench.origin.will_answer_by_hand();
    let late = ask(&bench, "/x").await;
    assert_eq!(bench.origin.asked().len(), 2);
    second.head(200, FRESH, Some(3));
    second.piece(b"two");
    second.end();
    assert_eq!(bench.read(late.await.unwrap()).await.body, b"two");
    hand.end();
    assert_eq!(reading.await.unwrap(), (9 * MIB, false));
    assert!(!early.await.unwrap().1);
}

#[tokio::test(start_paused = true)]
async fn a_fill_that_is_not_kept_ends_with_its_last_reader() {
    let bench = bench_that_keeps_little();
    let mut hand = bench.origin.will_answer_by_hand();
    let tasks = [ask(&bench, "/x").await, ask(&bench, "/x").await];
    hand.head(200, FRESH, Some(1_000_000));
    hand.piece(&[7; 5000]);
    let [one, other] = tasks;
    let (one, other) = (one.await.unwrap(), other.await.unwrap());
    drop(one);
    settle().await;
    assert!(!hand.is_abandoned(), "one still reads");
    drop(other);
    settle().await;
    assert!(hand.is_abandoned(), "at once, not only when the origin sends more");
}

#[tokio::test(start_paused = true)]
async fn a_private_answer_whose_client_has_left_is_abandoned() {
    let bench = bench();
    let mut hand = bench.origin.will_answer_by_hand();
    let leader = ask(&bench, "/x").await;
    leader.abort();
    assert!(leader.await.is_err());
    hand.head(200, PRIVATE, None);
    settle().await;
    assert!(hand.is_abandoned());
}

#[tokio::test(start_paused = true)]
async fn a_private_answer_streams_straight_to_its_client() {
    let bench = bench();
    let mut hand = bench.origin.will_answer_by_hand();
    let leader = ask(&bench, "/x").await;
    hand.head(200, PRIVATE, None);
    hand.piece(b"one");
    let BodyPlan::Stream(mut stream) = leader.await.unwrap().body else { panic!("a stream") };
    assert_eq!(next_chunk(&mut *stream).await.unwrap().unwrap().as_ref(), b"one");
    drop(stream);
    assert!(hand.is_abandoned());
}

#[tokio::test(start_paused = true)]
async fn a_purge_during_a_fill_keeps_it_from_being_used_afterwards() {
    let bench = bench();
    let mut old = bench.origin.will_answer_by_hand();
    let mut new = bench.origin.will_answer_by_hand();
    let before = ask(&bench, "/x").await;
    old.head(200, FRESH, Some(6));
    old.piece(b"old");
    settle().await;
    bench.worker.edge.invalidate(&[Selector::parse("http://example.com/x").unwrap()], Force::Hard).unwrap();
    let after = ask(&bench, "/x").await;
    assert_eq!(bench.origin.asked().len(), 2, "who comes after a purge joins no older fill");
    new.head(200, FRESH, Some(3));
    new.piece(b"new");
    new.end();
    let after = bench.read(after.await.unwrap()).await;
    assert_eq!((after.outcome, after.body.as_slice()), (Outcome::Miss, b"new".as_slice()));
    // The older fill ends last, and still does not take the newer one's place.
    old.piece(b"old");
    old.end();
    assert_eq!(bench.read(before.await.unwrap()).await.body, b"oldold", "a purge cuts nothing off");
    settle().await;
    let hit = get(&bench, "/x").await;
    assert_eq!((hit.outcome, hit.body.as_slice()), (Outcome::Hit, b"new".as_slice()));
}

#[tokio::test(start_paused = true)]
async fn a_fill_that_began_before_an_unsafe_request_never_brings_the_old_back() {
    let bench = bench();
    let mut old = bench.origin.will_answer_by_hand();
    let mut change = bench.origin.will_answer_by_hand();
    let before = ask(&bench, "/list").await;
    let request = TestRequest { method: "POST".into(), ..TestRequest::get("/items") };
    let post = tokio::spawn({
        let bench = bench.clone();
        async move { bench.begin(&request).await }
    });
    settle().await;
    change.head(201, &[("location", "/list")], Some(0));
    change.end();
    assert_eq!(bench.read(post.await.unwrap()).await.status, 201);
    old.head(200, FRESH, Some(3));
    old.piece(b"old");
    old.end();
    assert_eq!(bench.read(before.await.unwrap()).await.body, b"old");
    settle().await;
    fresh_answer(&bench, "new");
    assert_eq!(get(&bench, "/list").await.body, b"new");
}

#[tokio::test(start_paused = true)]
async fn a_purge_during_the_only_fill_leaves_nothing() {
    let bench = bench();
    let mut hand = bench.origin.will_answer_by_hand();
    let task = ask(&bench, "/x").await;
    bench.worker.edge.invalidate(&[Selector::All], Force::Hard).unwrap();
    hand.head(200, FRESH, Some(3));
    hand.piece(b"old");
    hand.end();
    assert_eq!(bench.read(task.await.unwrap()).await.body, b"old");
    settle().await;
    assert_eq!(bench.worker.edge.memory.usage().n_entries, 0);
    fresh_answer(&bench, "new");
    assert_eq!(get(&bench, "/x").await.body, b"new");
}

#[tokio::test(start_paused = true)]
async fn a_new_revision_in_mid_fill_holds_for_what_is_stored() {
    let bench = bench();
    let mut hand = bench.origin.will_answer_by_hand();
    let task = ask(&bench, "/x").await;
    hand.head(200, FRESH, Some(6));
    hand.piece(b"one");
    let next = snapshot_json(&json!({"max_ttl_seconds": 20}), &json!({}), 2);
    bench.worker.edge.snapshot.store(std::sync::Arc::new(Snapshot::from_json(&next).unwrap()));
    let joiner = ask(&bench, "/x").await;
    hand.piece(b"two");
    hand.end();
    assert_eq!(bench.read(task.await.unwrap()).await.body, b"onetwo");
    assert_eq!(bench.read(joiner.await.unwrap()).await.body, b"onetwo");
    settle().await;
    bench.clock.advance(Duration::from_secs(19));
    let hit = get(&bench, "/x").await;
    assert_eq!(hit.outcome, Outcome::Hit);
    assert_eq!(hit.fields.first("cache-status").unwrap(), b"bodega; hit; ttl=1");
    bench.clock.advance(Duration::from_secs(1));
    fresh_answer(&bench, "three");
    assert_eq!(get(&bench, "/x").await.reason, Reason::Expired);
}

#[tokio::test(start_paused = true)]
async fn the_bound_holds_under_many_objects_of_many_sizes() {
    let bench = Bench::with_memory(&snapshot_json(&json!({}), &json!({}), 1), 4 << 20);
    let usage = || bench.worker.edge.memory.usage();
    for number in 0..2000_usize {
        let mut hand = bench.origin.will_answer_by_hand();
        let body = vec![7; (number * 7919) % 40_000 + if number % 50 == 0 { 500_000 } else { 0 }];
        hand.head(200, FRESH, (number % 3 > 0).then_some(body.len() as u64));
        hand.piece(&body);
        hand.end();
        let got = bench.send(&TestRequest::get(&format!("/{number}"))).await;
        assert_eq!((got.body.len(), got.broken), (body.len(), false));
        assert!(usage().used_bytes + usage().reserved_bytes <= usage().capacity_bytes, "{number}: {:?}", usage());
    }
    settle().await;
    assert!(usage().n_evictions > 0 && usage().n_entries > 0);
    assert_eq!(usage().reserved_bytes, 0);
}

#[tokio::test(start_paused = true)]
async fn who_insists_on_an_answer_of_its_own_time_joins_no_fill_that_has_its_head() {
    let bench = Bench::new(&snapshot_json(&json!({"mode": "rfc"}), &json!({}), 1));
    let mut first = bench.origin.will_answer_by_hand();
    let mut second = bench.origin.will_answer_by_hand();
    let leader = ask(&bench, "/x").await;
    first.head(200, FRESH, Some(6));
    first.piece(b"one");
    settle().await;
    let headers = vec![("Cache-Control".to_owned(), "no-cache".to_owned())];
    let request = TestRequest { headers, ..TestRequest::get("/x") };
    let insisting = tokio::spawn({
        let bench = bench.clone();
        async move { bench.begin(&request).await }
    });
    settle().await;
    assert_eq!(bench.origin.asked().len(), 2);
    second.head(200, FRESH, Some(3));
    second.piece(b"new");
    second.end();
    assert_eq!(bench.read(insisting.await.unwrap()).await.body, b"new");
    first.piece(b"one");
    first.end();
    assert_eq!(bench.read(leader.await.unwrap()).await.body, b"oneone");
}
