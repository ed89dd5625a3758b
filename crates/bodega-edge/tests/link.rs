//! An edge that follows a control process: whom it names to those who would have it forget something by itself.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails loudly")]

use bodega_edge::invalidate::{Force, InvalidateError};
use bodega_semantics::{Outcome, Reason};
use bodega_testkit::bench::{Bench, TestRequest, snapshot_json};
use serde_json::json;

const CONTROL: &str = "https://control.example:9280";

fn purge(from: &str) -> TestRequest {
    TestRequest { method: "PURGE".to_owned(), peer: Some(from.parse().unwrap()), ..TestRequest::get("/a") }
}

#[tokio::test]
async fn who_follows_forgets_by_the_journal_alone_and_by_what_clients_change() {
    let bench = Bench::new(&snapshot_json(&json!({}), &json!({}), 1));
    let edge = &bench.worker.edge;
    for _ in 0..3 {
        let mut answer = bench.origin.will_answer_by_hand();
        answer.head(200, &[("Cache-Control", "max-age=60")], Some(1));
        assert!(answer.piece(b"a"));
        answer.end();
    }
    bench.send(&TestRequest::get("/a")).await;
    let sequence = edge.invalidations.sequence();
    edge.set_following(Some(CONTROL));

    let refused = edge.invalidate_written(&["all".to_owned()], Force::Hard);
    assert_eq!(refused, Err(InvalidateError::Follows(CONTROL.to_owned())));
    assert!(edge.invalidate_then(&["all".to_owned()], Force::Hard, Box::new(|_| ())).is_err());
    let answer = bench.send(&purge("198.51.100.8")).await;
    assert_eq!((answer.status, answer.outcome, answer.reason), (409, Outcome::Refused, Reason::FollowsControl));
    assert_eq!(answer.body, format!("this edge follows {CONTROL}: purge there\n").into_bytes());
    // Who may not purge learns nothing of it.
    assert_eq!(bench.send(&purge("203.0.113.9")).await.status, 405);
    assert_eq!(edge.invalidations.sequence(), sequence);
    assert_eq!(bench.send(&TestRequest::get("/a")).await.outcome, Outcome::Hit);

    // RFC 9111 section 4.4: what a client has changed here is obsolete here.
    let put = TestRequest { method: "PUT".to_owned(), body: b"b".to_vec(), ..TestRequest::get("/a") };
    assert_eq!(bench.send(&put).await.status, 200);
    assert_eq!(bench.send(&TestRequest::get("/a")).await.reason, Reason::Invalidated);

    edge.set_following(None);
    assert!(edge.invalidate_written(&["all".to_owned()], Force::Hard).is_ok());
    assert_eq!(bench.send(&purge("198.51.100.8")).await.status, 200);
}
