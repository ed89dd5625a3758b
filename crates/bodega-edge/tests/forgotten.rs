//! What is forgotten while an origin is being asked does not come back, by whichever way it could.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails loudly")]

use std::time::Duration;

use bodega_edge::Answer;
use bodega_edge::invalidate::{Force, Selector};
use bodega_semantics::Outcome;
use bodega_testkit::bench::{Bench, TestRequest, snapshot_json};
use serde_json::json;
use tokio::task::JoinHandle;

type Lines<'a> = &'a [(&'a str, &'a str)];

fn start(bench: &Bench, method: &str) -> JoinHandle<Answer> {
    let request = TestRequest { method: method.to_owned(), ..TestRequest::get("/x") };
    let bench = bench.clone();
    tokio::spawn(async move { bench.begin(&request).await })
}

/// Waits until the origin has been asked so often.
async fn asked(bench: &Bench, n_requests: usize) {
    while bench.origin.asked().len() < n_requests {
        tokio::task::yield_now().await;
    }
}

async fn store(bench: &Bench, fields: Lines<'_>) {
    let mut hand = bench.origin.will_answer_by_hand();
    hand.head(200, fields, Some(3));
    hand.piece(b"old");
    hand.end();
    assert_eq!(bench.send(&TestRequest::get("/x")).await.body, b"old");
}

fn forget_by_url(bench: &Bench) {
    bench.worker.edge.invalidate(&[Selector::parse("http://example.com/x").unwrap()], Force::Hard).unwrap();
}

/// An unsafe request to another URL, whose answer says that a group has changed.
async fn forget_by_group(bench: &Bench) {
    let mut hand = bench.origin.will_answer_by_hand();
    hand.head(204, &[("cache-group-invalidation", "\"g\"")], None);
    hand.end();
    let request = TestRequest { method: "POST".to_owned(), ..TestRequest::get("/other") };
    assert_eq!(bench.send(&request).await.status, 204);
}

#[tokio::test(start_paused = true)]
async fn what_was_forgotten_meanwhile_does_not_stand_in_for_an_origin_that_fails() {
    const FIELDS: Lines<'_> =
        &[("cache-control", "max-age=60, stale-if-error=600"), ("etag", "\"a\""), ("cache-groups", "\"g\"")];
    for forgets in ["nothing", "the URL", "its group"] {
        for has_answer in [true, false] {
            let bench = Bench::new(&snapshot_json(&json!({}), &json!({}), 1));
            store(&bench, FIELDS).await;
            bench.clock.advance(Duration::from_secs(61));
            let mut failing = bench.origin.will_answer_by_hand();
            let task = start(&bench, "GET");
            asked(&bench, 2).await;
            match forgets {
                "the URL" => forget_by_url(&bench),
                "its group" => forget_by_group(&bench).await,
                _ => {}
            }
            if has_answer {
                failing.head(503, &[], Some(0));
                failing.end();
            } else {
                failing.fail(bodega_semantics::Reason::OriginConnect);
            }
            let got = bench.read(task.await.unwrap()).await;
            let expected = match forgets {
                "nothing" => (200, Outcome::Stale),
                _ if has_answer => (503, Outcome::Miss),
                _ => (502, Outcome::Error),
            };
            assert_eq!((got.status, got.outcome), expected, "{forgets}, {has_answer}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_answer_to_a_post_is_not_kept_if_its_url_or_a_group_was_forgotten_meanwhile() {
    const FIELDS: Lines<'_> = &[("cache-control", "max-age=60"), ("content-location", "/x"), ("cache-groups", "\"g\"")];
    for forgets in ["nothing", "the URL", "its group"] {
        let bench = Bench::new(&snapshot_json(&json!({"mode": "rfc"}), &json!({}), 1));
        let mut posted = bench.origin.will_answer_by_hand();
        let task = start(&bench, "POST");
        asked(&bench, 1).await;
        match forgets {
            "the URL" => forget_by_url(&bench),
            "its group" => forget_by_group(&bench).await,
            _ => {}
        }
        posted.head(200, FIELDS, Some(3));
        posted.piece(b"old");
        posted.end();
        assert_eq!(bench.read(task.await.unwrap()).await.body, b"old", "{forgets}");
        let mut fresh = bench.origin.will_answer_by_hand();
        fresh.head(200, FIELDS, Some(3));
        fresh.piece(b"new");
        fresh.end();
        let expected: (Outcome, &[u8]) =
            if forgets == "nothing" { (Outcome::Hit, b"old") } else { (Outcome::Miss, b"new") };
        let got = bench.send(&TestRequest::get("/x")).await;
        assert_eq!((got.outcome, got.body.as_slice()), expected, "{forgets}");
    }
}
