//! However many variants of a URL an origin makes, so many are kept and no more.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails loudly")]

use std::time::Duration;

use bodega_semantics::{Fields, Outcome};
use bodega_testkit::bench::{Bench, Got, TestRequest, snapshot_json};
use bodega_testkit::origin::Scripted;
use bytes::Bytes;
use serde_json::json;

/// What the documentation says: `docs/concepts/http-caching.md`.
const MAX_VARIANTS: usize = 128;

fn variant(language: usize) -> Scripted {
    let mut fields = Fields::new();
    fields.push("Cache-Control", b"max-age=60");
    fields.push("Vary", b"Accept-Language");
    Scripted {
        interim: Vec::new(),
        status: 200,
        fields,
        body: Bytes::from(format!("variant {language}")),
        names_length: true,
        breaks_after: None,
        trailers: Fields::new(),
        fails: None,
        takes: Duration::ZERO,
    }
}

async fn ask(bench: &Bench, language: usize) -> Got {
    let headers = vec![("Accept-Language".to_owned(), format!("x-{language}"))];
    bench.send(&TestRequest { headers, ..TestRequest::get("/x") }).await
}

#[tokio::test]
async fn the_first_variants_go_when_there_are_too_many() {
    let bench = Bench::new(&snapshot_json(&json!({}), &json!({}), 1));
    for language in 0..MAX_VARIANTS + 10 {
        bench.origin.will_answer(variant(language));
        assert_eq!(ask(&bench, language).await.outcome, Outcome::Miss, "{language}");
    }
    // The variants, and the entry that lists them.
    assert_eq!(bench.worker.edge.memory.usage().n_entries, MAX_VARIANTS as u64 + 1);
    for language in [10, 11, MAX_VARIANTS + 9] {
        let got = ask(&bench, language).await;
        assert_eq!((got.outcome, got.body), (Outcome::Hit, format!("variant {language}").into_bytes()));
    }
    bench.origin.will_answer(variant(9));
    assert_eq!(ask(&bench, 9).await.outcome, Outcome::Miss);
}
