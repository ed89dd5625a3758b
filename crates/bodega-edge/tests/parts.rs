//! Whatever is stored of a body, whatever is asked for, and however an origin answers: no client ever gets bytes of two
//! versions in one answer, and what it gets are the bytes that its head says.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails loudly")]

use std::sync::Arc;

use bodega_edge::Worker;
use bodega_edge::fetch::{BodyStream, Fetch, FetchAnswer, FetchError, FetchFuture, FetchRequest, OnePiece};
use bodega_edge::invalidate::{Force, Selector};
use bodega_semantics::multipart::Span;
use bodega_semantics::partial::Run;
use bodega_semantics::range::{self, Requested};
use bodega_semantics::{Fields, Head, Reason};
use bodega_testkit::bench::{Bench, Got, TestRequest, snapshot_json};
use bytes::Bytes;
use parking_lot::Mutex;
use proptest::prelude::*;
use serde_json::json;

/// Ranges that begin behind this are asked from the origin as ranges.
const FAR: u64 = (4 << 20) + 1;
/// How many bytes lie behind it.
const N_FAR: u64 = 60;
const TOTAL: u64 = FAR + N_FAR;
const N_VERSIONS: u8 = 3;

/// How the origin answers.
#[derive(Clone, Copy, Debug)]
enum Manner {
    Right,
    IgnoresRanges,
    IgnoresConditions,
    SendsLess,
    SendsElsewhere,
    SaysNoLength,
    BreaksOff,
    ContradictsItself,
    WeakTag,
    NoTag,
    NoStore,
    Fails,
}

const MANNERS: &[Manner] = &[
    Manner::Right,
    Manner::Right,
    Manner::Right,
    Manner::Right,
    Manner::IgnoresRanges,
    Manner::IgnoresConditions,
    Manner::IgnoresConditions,
    Manner::SendsLess,
    Manner::SendsElsewhere,
    Manner::SaysNoLength,
    Manner::BreaksOff,
    Manner::ContradictsItself,
    Manner::WeakTag,
    Manner::NoTag,
    Manner::NoStore,
    Manner::Fails,
];

/// One step of a test: something may happen, then a client asks.
#[derive(Clone, Debug)]
struct Turn {
    version: u8,
    manner: Manner,
    after_seconds: u64,
    invalidate: bool,
    range: Option<(u64, Option<u64>)>,
    suffix: bool,
    if_range: Option<u8>,
}

struct Origin {
    bodies: Vec<Bytes>,
    now: Mutex<(u8, Manner)>,
}

/// Two versions differ in every byte.
fn byte(version: u8, at: u64) -> u8 {
    ((at % 251) as u8).wrapping_mul(7).wrapping_add(version * 80)
}

fn body(version: u8) -> Bytes {
    (0..TOTAL).map(|at| byte(version, at)).collect::<Vec<u8>>().into()
}

struct Broken(OnePiece);

impl BodyStream for Broken {
    fn poll_chunk(
        &mut self,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Bytes, FetchError>>> {
        self.0.poll_chunk(context).map(|piece| {
            Some(piece.unwrap_or_else(|| Err(FetchError::new(Reason::OriginBroken, "the body broke off"))))
        })
    }
}

impl Fetch for Origin {
    fn fetch(&self, _: &str, request: FetchRequest) -> FetchFuture {
        let answer = self.answer(&request.fields);
        Box::pin(async move { answer })
    }
}

impl Origin {
    fn answer(&self, request: &Fields) -> Result<FetchAnswer, FetchError> {
        let (version, manner) = *self.now.lock();
        if matches!(manner, Manner::Fails) {
            return Err(FetchError::new(Reason::OriginConnect, "no connection"));
        }
        let tag = format!("\"{version}\"");
        let mut fields = Fields::new();
        fields.push("Cache-Control", if matches!(manner, Manner::NoStore) { b"no-store" } else { b"max-age=60" });
        match manner {
            Manner::NoTag => {}
            Manner::WeakTag => fields.push("ETag", format!("W/{tag}").as_bytes()),
            _ => fields.push("ETag", tag.as_bytes()),
        }
        let whole = &self.bodies[usize::from(version)];
        let obeys = !matches!(manner, Manner::IgnoresConditions);
        if obeys && request.first("if-none-match").is_some_and(|named| named == tag.as_bytes()) {
            return Ok(FetchAnswer { status: 304, fields, content_length: None, body: Box::new(OnePiece(None)) });
        }
        let asked = range::requested(request).filter(|_| {
            let is_same = request.first("if-range").is_none_or(|named| named == tag.as_bytes());
            (is_same || !obeys) && !matches!(manner, Manner::IgnoresRanges)
        });
        let span = match asked {
            None | Some(Requested::Several | Requested::Other) => None,
            Some(asked) => match asked.of(TOTAL) {
                Some(span) => Some(span),
                None => {
                    fields.push("Content-Range", format!("bytes */{TOTAL}").as_bytes());
                    return Ok(FetchAnswer {
                        status: 416,
                        fields,
                        content_length: Some(0),
                        body: Box::new(OnePiece(None)),
                    });
                }
            },
        };
        let (status, sent) = match (span, manner) {
            (None, _) => (200, Span { first: 0, last: TOTAL - 1 }),
            (Some(Span { first, last }), Manner::SendsLess) => (206, Span { first, last: first + (last - first) / 2 }),
            (Some(Span { first, last }), Manner::SendsElsewhere) => {
                let by = first.min(1);
                (206, Span { first: first - by, last: last - by })
            }
            (Some(span), _) => (206, span),
        };
        let bytes = whole.slice(usize::try_from(sent.first).unwrap()..=usize::try_from(sent.last).unwrap());
        if status == 206 {
            let claimed = match manner {
                Manner::ContradictsItself => Span { first: sent.first, last: (sent.last + 1).min(TOTAL - 1) },
                _ => sent,
            };
            fields.push("Content-Range", &Run { span: claimed, total: TOTAL }.content_range());
        }
        let n_bytes = bytes.len() as u64;
        let names_length = !matches!(manner, Manner::SaysNoLength | Manner::ContradictsItself);
        let body: Box<dyn BodyStream> = match manner {
            Manner::BreaksOff => Box::new(Broken(OnePiece(Some(bytes.slice(..bytes.len() / 2))))),
            _ => Box::new(OnePiece(Some(bytes))),
        };
        Ok(FetchAnswer { status, fields, content_length: names_length.then_some(n_bytes), body })
    }
}

fn turn() -> impl Strategy<Value = Turn> {
    let range = prop_oneof![
        1 => Just(None),
        8 => (0..N_FAR, proptest::option::of(0..N_FAR))
            .prop_map(|(first, more)| Some((FAR + first, more.map(|more| FAR + first + more)))),
    ];
    (
        prop_oneof![3 => Just(None), 1 => (0..N_VERSIONS).prop_map(Some)],
        proptest::sample::select(MANNERS),
        prop_oneof![4 => Just(0_u64), 1 => Just(61)],
        proptest::bool::weighted(0.05),
        range,
        proptest::bool::weighted(0.1),
        proptest::option::weighted(0.1, 0..N_VERSIONS),
    )
        .prop_map(|(version, manner, after_seconds, invalidate, range, suffix, if_range)| Turn {
            version: version.unwrap_or(u8::MAX),
            manner,
            after_seconds,
            invalidate,
            range,
            suffix,
            if_range,
        })
}

fn check(bodies: &[Bytes], turn: &Turn, got: &Got) -> Result<(), TestCaseError> {
    if !matches!(got.status, 200 | 206) {
        prop_assert!(matches!(got.status, 416 | 502), "status {}", got.status);
        return Ok(());
    }
    let run = if got.status == 206 {
        Run::parse(got.fields.first("content-range").expect("a place")).expect("a place that can be read")
    } else {
        Run { span: Span { first: 0, last: TOTAL - 1 }, total: TOTAL }
    };
    prop_assert_eq!(run.total, TOTAL);
    let sent = &got.body[..got.body.len().min(usize::try_from(run.span.n_bytes()).unwrap())];
    let from = usize::try_from(run.span.first).unwrap();
    let is_of = |version: u8| *sent == bodies[usize::from(version)][from..from + sent.len()];
    let versions: Vec<u8> = (0..N_VERSIONS).filter(|version| is_of(*version)).collect();
    prop_assert!(!versions.is_empty(), "bytes of two versions");
    if let Some(tag) = got.fields.first("etag") {
        let tag = String::from_utf8_lossy(tag).replace("W/", "").replace('"', "");
        prop_assert!(versions.contains(&tag.parse().unwrap()), "the bytes of {versions:?} under the tag {tag}");
    }
    // What contradicts itself is passed on as it came to the one who asked, and only so.
    if !matches!(turn.manner, Manner::ContradictsItself) && !got.broken {
        prop_assert_eq!(got.body.len() as u64, run.span.n_bytes());
    }
    if got.outcome == bodega_semantics::Outcome::Hit {
        let asked = match turn.range {
            Some(_) if turn.suffix => None,
            Some((first, last)) => Some(Span { first, last: last.unwrap_or(TOTAL - 1).min(TOTAL - 1) }),
            None => None,
        };
        prop_assert!(got.status == 200 || asked.is_none_or(|asked| asked == run.span), "a hit is what was asked for");
        prop_assert!(!got.broken);
    }
    Ok(())
}

fn bench(origin: &Arc<Origin>, mode: &str) -> Bench {
    let bench = Bench::new(&snapshot_json(&json!({"mode": mode}), &json!({}), 1));
    let worker = Worker {
        edge: Arc::clone(&bench.worker.edge),
        fetch: Arc::<Origin>::clone(origin),
        metrics: bodega_edge::Metrics::default(),
        fillers: bodega_edge::fillers::Fillers::default(),
    };
    Bench { worker: Arc::new(worker), ..bench }
}

async fn play(origin: &Arc<Origin>, mode: &str, turns: &[Turn]) -> Result<(), TestCaseError> {
    let bench = bench(origin, mode);
    for turn in turns {
        {
            let mut now = origin.now.lock();
            if turn.version != u8::MAX {
                now.0 = turn.version;
            }
            now.1 = turn.manner;
        }
        bench.clock.advance(std::time::Duration::from_secs(turn.after_seconds));
        if turn.invalidate {
            bench.worker.edge.invalidate(&[Selector::All], Force::Hard).unwrap();
        }
        let mut request = TestRequest::get("/x");
        if let Some((first, last)) = turn.range {
            let range = match (turn.suffix, last) {
                (true, _) => format!("bytes=-{}", first - FAR + 1),
                (false, Some(last)) => format!("bytes={first}-{last}"),
                (false, None) => format!("bytes={first}-"),
            };
            request.headers.push(("range".to_owned(), range));
        }
        if let Some(version) = turn.if_range {
            request.headers.push(("if-range".to_owned(), format!("\"{version}\"")));
        }
        let got = bench.send(&request).await;
        check(&origin.bodies, turn, &got)?;
        for _ in 0..5 {
            tokio::task::yield_now().await;
        }
    }
    Ok(())
}

#[test]
fn no_answer_has_bytes_of_two_versions() {
    play_many("safe");
}

#[test]
fn no_answer_has_bytes_of_two_versions_in_rfc_mode() {
    play_many("rfc");
}

fn play_many(mode: &str) {
    let bodies: Vec<Bytes> = (0..N_VERSIONS).map(body).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let turns = proptest::collection::vec(turn(), 1..12);
    let config = ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() };
    proptest::test_runner::TestRunner::new(config)
        .run(&turns, |turns| {
            let origin = Arc::new(Origin { bodies: bodies.clone(), now: Mutex::new((0, Manner::Right)) });
            runtime.block_on(play(&origin, mode, &turns))
        })
        .unwrap();
}
