//! A strict policy at an edge that may have missed invalidations, where fills last: nobody reads along with what began
//! too long ago, and nothing stands in that nobody confirmed.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails loudly")]

use std::time::Duration;

use bodega_edge::Answer;
use bodega_semantics::{Outcome, Reason};
use bodega_testkit::bench::{Bench, TestRequest, snapshot_json};
use bodega_testkit::origin::ByHand;
use serde_json::{Value, json};

const STRICT: u64 = 5;

fn bench_with(policy: &Value) -> Bench {
    let mut whole = json!({"strict_seconds": STRICT});
    whole.as_object_mut().unwrap().extend(policy.as_object().unwrap().clone());
    let bench = Bench::new(&snapshot_json(&whole, &json!({}), 1));
    bench.worker.edge.set_following(Some("https://control.example"));
    level(&bench);
    bench
}

/// Level as of now.
fn level(bench: &Bench) {
    let edge = &bench.worker.edge;
    assert!(edge.level_as_of(edge.steady()));
}

fn head(by_hand: &mut ByHand, body: &[u8]) {
    by_hand.head(200, &[("Cache-Control", "max-age=600"), ("ETag", "\"a\"")], Some(body.len() as u64));
}

async fn get(bench: &Bench) -> Answer {
    bench.begin(&TestRequest::get("/x")).await
}

#[tokio::test]
async fn nobody_reads_along_with_what_began_before_what_may_have_been_purged() {
    let bench = bench_with(&json!({}));
    let mut first = bench.origin.will_answer_by_hand();
    head(&mut first, b"old!");
    let slow = get(&bench).await;
    // Level no more, and within the time: what began so lately may be shared.
    bench.clock.advance(Duration::from_secs(STRICT));
    assert_eq!(get(&bench).await.outcome, Outcome::Collapsed);
    // Beyond it whoever comes begins anew, and reads what the origin has now.
    bench.clock.advance(Duration::from_millis(1));
    let mut second = bench.origin.will_answer_by_hand();
    head(&mut second, b"new!");
    assert!(second.piece(b"new!"));
    second.end();
    let answer = get(&bench).await;
    assert_eq!((answer.outcome, answer.reason), (Outcome::Miss, Reason::UriMiss));
    assert_eq!(bench.read(answer).await.body, b"new!");
    // Who began before gets what it began.
    assert!(first.piece(b"old!"));
    first.end();
    assert_eq!(bench.read(slow).await.body, b"old!");
    assert_eq!(bench.origin.asked().len(), 2);
}

#[tokio::test]
async fn level_everybody_reads_along_however_long_it_takes() {
    let bench = bench_with(&json!({}));
    let mut first = bench.origin.will_answer_by_hand();
    head(&mut first, b"one");
    let slow = get(&bench).await;
    bench.clock.advance(Duration::from_secs(100));
    level(&bench);
    let joined = get(&bench).await;
    assert_eq!(joined.outcome, Outcome::Collapsed);
    assert!(first.piece(b"one"));
    first.end();
    for answer in [slow, joined] {
        assert_eq!(bench.read(answer).await.body, b"one");
    }
}

#[tokio::test]
async fn what_an_edge_ceases_to_know_while_the_origin_fails_counts() {
    // (level again before the origin fails, the answer's status)
    for (is_level, status) in [(true, 200), (false, 502)] {
        let bench = bench_with(&json!({"stale_if_error_seconds": 6000}));
        let mut first = bench.origin.will_answer_by_hand();
        first.head(200, &[("Cache-Control", "max-age=10")], Some(3));
        assert!(first.piece(b"one"));
        first.end();
        bench.send(&TestRequest::get("/x")).await;
        bench.clock.advance(Duration::from_secs(11));
        level(&bench);
        let mut second = bench.origin.will_answer_by_hand();
        let request = TestRequest::get("/x");
        let (answer, ()) = tokio::join!(bench.send(&request), async {
            tokio::task::yield_now().await;
            bench.clock.advance(Duration::from_secs(STRICT + 1));
            if is_level {
                level(&bench);
            }
            second.fail(Reason::OriginConnect);
        });
        assert_eq!(answer.status, status, "level: {is_level}");
    }
}

#[tokio::test]
async fn level_with_one_control_process_is_not_level_with_another() {
    let bench = bench_with(&json!({}));
    let mut first = bench.origin.will_answer_by_hand();
    head(&mut first, b"one");
    assert!(first.piece(b"one"));
    first.end();
    bench.send(&TestRequest::get("/x")).await;
    assert_eq!(bench.send(&TestRequest::get("/x")).await.outcome, Outcome::Hit);
    bench.worker.edge.set_following(Some("https://other.example"));
    let mut second = bench.origin.will_answer_by_hand();
    second.head(304, &[], None);
    second.end();
    let answer = bench.send(&TestRequest::get("/x")).await;
    assert_eq!((answer.outcome, answer.reason), (Outcome::Revalidated, Reason::NotLevel));
}

#[tokio::test]
async fn a_moment_that_is_still_to_come_is_another_clocks_and_proves_nothing() {
    let bench = bench_with(&json!({}));
    let edge = &bench.worker.edge;
    edge.set_following(Some("https://other.example"));
    assert!(!edge.level_as_of(edge.steady() + Duration::from_secs(1)));
    assert_eq!(edge.link().unwrap().level_age, None);
    assert!(edge.level_as_of(edge.steady() - Duration::from_secs(2)));
    assert_eq!(edge.link().unwrap().level_age, Some(Duration::from_secs(2)));
}
