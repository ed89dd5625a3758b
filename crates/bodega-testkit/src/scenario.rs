//! Scenario files: what the origin does, what clients see, how the clock moves, what was counted.
//!
//! `docs/reference/scenarios.md` explains the form. Everything runs in memory; nothing sleeps.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use bodega_edge::invalidate::Selector;
use bodega_semantics::{Fields, Head, Reason};
use bodega_snapshot::Snapshot;
use bytes::Bytes;
use serde::Deserialize;

use crate::bench::{Bench, Got, TestRequest, snapshot_json};
use crate::origin::{Asked, Scripted};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Scenario {
    #[expect(dead_code, reason = "for people")]
    why: String,
    #[serde(default)]
    policy: Option<toml::Value>,
    #[serde(default)]
    behavior: Option<toml::Value>,
    #[serde(default)]
    origin: Vec<OriginStep>,
    client: Vec<ClientStep>,
    #[serde(default)]
    counted: Counted,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OriginStep {
    #[serde(default)]
    expect: ExpectAsked,
    answer: AnswerText,
    /// How many requests are answered so.
    #[serde(default = "one")]
    times: usize,
}

const fn one() -> usize {
    1
}

#[derive(Deserialize, Default, Clone)]
#[serde(deny_unknown_fields, default)]
struct ExpectAsked {
    method: Option<String>,
    path: Option<String>,
    headers: BTreeMap<String, String>,
    absent: Vec<String>,
    body: Option<String>,
}

#[derive(Deserialize, Clone)]
#[serde(deny_unknown_fields)]
struct AnswerText {
    #[serde(default = "ok")]
    status: u16,
    #[serde(default)]
    headers: BTreeMap<String, OneOrMore>,
    #[serde(default)]
    body: String,
    /// The body is repeated so often.
    #[serde(default = "one")]
    repeat: usize,
    #[serde(default = "yes")]
    length: bool,
    breaks_after: Option<usize>,
    fails: Option<String>,
}

const fn ok() -> u16 {
    200
}

const fn yes() -> bool {
    true
}

#[derive(Deserialize, Clone)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClientStep {
    get: Option<String>,
    head: Option<String>,
    method: Option<String>,
    path: Option<String>,
    host: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, OneOrMore>,
    #[serde(default)]
    body: String,
    from: Option<std::net::IpAddr>,
    after_seconds: Option<f64>,
    /// The configuration is replaced first: the policy's fields given here, under the next revision.
    reload: Option<toml::Value>,
    /// Forgotten first.
    invalidate: Option<String>,
    /// So many at the same moment.
    #[serde(default = "one")]
    at_once: usize,
    #[serde(default)]
    expect: ExpectGot,
}

#[derive(Deserialize, Default, Clone)]
#[serde(deny_unknown_fields, default)]
struct ExpectGot {
    status: Option<u16>,
    body: Option<String>,
    length: Option<usize>,
    broken: bool,
    outcome: Option<String>,
    outcomes: Option<BTreeMap<String, usize>>,
    reason: Option<String>,
    headers: BTreeMap<String, String>,
    absent: Vec<String>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Counted {
    origin_requests: Option<usize>,
    stored_entries: Option<u64>,
}

/// Runs the scenario in `path`.
///
/// # Errors
/// With everything that was not as the file says.
pub fn run(path: &Path) -> Result<(), String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let scenario: Scenario = toml::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .map_err(|error| error.to_string())?;
    let found = runtime.block_on(play(scenario));
    if found.is_empty() { Ok(()) } else { Err(found) }
}

async fn play(scenario: Scenario) -> String {
    let mut wrong = String::new();
    let policy = json(scenario.policy.as_ref());
    let behavior = json(scenario.behavior.as_ref());
    let bench = Bench::new(&snapshot_json(&policy, &behavior, 1));
    let mut expected: Vec<ExpectAsked> = Vec::new();
    for step in &scenario.origin {
        for _ in 0..step.times {
            match scripted(&step.answer) {
                Ok(answer) => bench.origin.will_answer(answer),
                Err(error) => return error,
            }
            expected.push(step.expect.clone());
        }
    }
    let mut revision = 1;
    for (number, step) in scenario.client.iter().enumerate() {
        let place = format!("client {}", number + 1);
        if let Some(seconds) = step.after_seconds {
            bench.clock.advance(Duration::from_secs_f64(seconds));
        }
        if let Some(reload) = &step.reload {
            revision += 1;
            let mut policy = policy.clone();
            if let (Some(policy), Some(over)) = (policy.as_object_mut(), json(Some(reload)).as_object()) {
                for (name, value) in over {
                    policy.insert(name.clone(), value.clone());
                }
            }
            match Snapshot::from_json(&snapshot_json(&policy, &behavior, revision)) {
                Ok(snapshot) => bench.worker.edge.snapshot.store(std::sync::Arc::new(snapshot)),
                Err(error) => return format!("{place}: reload: {error}"),
            }
        }
        if let Some(selector) = &step.invalidate {
            match Selector::parse(selector) {
                Ok(selector) => {
                    bench.worker.edge.invalidate(&[selector]);
                }
                Err(error) => return format!("{place}: {error}"),
            }
        }
        let got = send(&bench, &request(step), step.at_once).await;
        check_got(&mut wrong, &place, &step.expect, &got);
    }
    let asked = bench.origin.asked();
    for (number, (asked, expect)) in asked.iter().zip(&expected).enumerate() {
        check_asked(&mut wrong, &format!("origin request {}", number + 1), expect, asked);
    }
    if let Some(n_requests) = scenario.counted.origin_requests
        && n_requests != asked.len()
    {
        let _ = writeln!(wrong, "origin_requests: {} instead of {n_requests}", asked.len());
    }
    let n_entries = bench.worker.edge.memory.usage().n_entries;
    if let Some(expected) = scenario.counted.stored_entries
        && expected != n_entries
    {
        let _ = writeln!(wrong, "stored_entries: {n_entries} instead of {expected}");
    }
    wrong
}

async fn send(bench: &Bench, request: &TestRequest, at_once: usize) -> Vec<Got> {
    let mut tasks = Vec::with_capacity(at_once);
    for _ in 0..at_once {
        let (bench, request) = (bench.clone(), request.clone());
        tasks.push(tokio::spawn(async move { bench.send(&request).await }));
    }
    let mut all = Vec::with_capacity(at_once);
    for task in tasks {
        if let Ok(got) = task.await {
            all.push(got);
        }
    }
    // Background work (revalidation, the end of fills) runs before the next step.
    for _ in 0..8 {
        tokio::task::yield_now().await;
    }
    all
}

fn request(step: &ClientStep) -> TestRequest {
    let (method, target) = match (&step.get, &step.head) {
        (Some(target), _) => ("GET", target.clone()),
        (None, Some(target)) => ("HEAD", target.clone()),
        (None, None) => ("", step.path.clone().unwrap_or_default()),
    };
    let mut headers = Vec::new();
    for (name, values) in &step.headers {
        match values {
            OneOrMore::One(value) => headers.push((name.clone(), value.clone())),
            OneOrMore::More(values) => headers.extend(values.iter().map(|value| (name.clone(), value.clone()))),
        }
    }
    TestRequest {
        method: step.method.clone().unwrap_or_else(|| method.to_owned()),
        target,
        host: step.host.clone().unwrap_or_default(),
        headers,
        body: step.body.clone().into_bytes(),
        peer: step.from,
    }
}

fn scripted(answer: &AnswerText) -> Result<Scripted, String> {
    let mut fields = Fields::new();
    for (name, values) in &answer.headers {
        match values {
            OneOrMore::One(value) => fields.push(name, value.as_bytes()),
            OneOrMore::More(values) => values.iter().for_each(|value| fields.push(name, value.as_bytes())),
        }
    }
    let fails = match &answer.fails {
        None => None,
        Some(name) => Some(Reason::from_name(name).ok_or_else(|| format!("no reason is named {name:?}"))?),
    };
    Ok(Scripted {
        status: answer.status,
        fields,
        body: Bytes::from(answer.body.repeat(answer.repeat)),
        names_length: answer.length,
        breaks_after: answer.breaks_after,
        fails,
    })
}

fn check_got(wrong: &mut String, place: &str, expect: &ExpectGot, all: &[Got]) {
    if let Some(outcomes) = &expect.outcomes {
        let mut found: BTreeMap<String, usize> = BTreeMap::new();
        for got in all {
            *found.entry(got.outcome.name().to_owned()).or_default() += 1;
        }
        if &found != outcomes {
            let _ = writeln!(wrong, "{place}: outcomes {found:?} instead of {outcomes:?}");
        }
    }
    for got in all {
        let mut say = |what: &str, found: &dyn std::fmt::Debug, wanted: &dyn std::fmt::Debug| {
            let _ = writeln!(wrong, "{place}: {what} {found:?} instead of {wanted:?}");
        };
        if let Some(status) = expect.status
            && status != got.status
        {
            say("status", &got.status, &status);
        }
        let body = String::from_utf8_lossy(&got.body);
        if let Some(wanted) = &expect.body
            && *wanted != body
        {
            say("body", &body, wanted);
        }
        if let Some(length) = expect.length
            && length != got.body.len()
        {
            say("length", &got.body.len(), &length);
        }
        if expect.broken != got.broken {
            say("broken", &got.broken, &expect.broken);
        }
        if let Some(outcome) = &expect.outcome
            && outcome != got.outcome.name()
        {
            say("outcome", &got.outcome.name(), outcome);
        }
        if let Some(reason) = &expect.reason
            && reason != got.reason.name()
        {
            say("reason", &got.reason.name(), reason);
        }
        check_fields(wrong, place, &expect.headers, &expect.absent, &got.fields);
    }
}

fn check_asked(wrong: &mut String, place: &str, expect: &ExpectAsked, asked: &Asked) {
    if let Some(method) = &expect.method
        && *method != asked.method
    {
        let _ = writeln!(wrong, "{place}: method {:?} instead of {method:?}", asked.method);
    }
    if let Some(path) = &expect.path
        && *path != asked.path_and_query
    {
        let _ = writeln!(wrong, "{place}: path {:?} instead of {path:?}", asked.path_and_query);
    }
    if let Some(body) = &expect.body
        && body.as_bytes() != asked.body
    {
        let _ = writeln!(wrong, "{place}: body {:?} instead of {body:?}", String::from_utf8_lossy(&asked.body));
    }
    check_fields(wrong, place, &expect.headers, &expect.absent, &asked.fields);
}

fn check_fields(
    wrong: &mut String,
    place: &str,
    headers: &BTreeMap<String, String>,
    absent: &[String],
    fields: &Fields,
) {
    for (name, wanted) in headers {
        let found: Vec<String> = fields.all(name).map(|value| String::from_utf8_lossy(value).into_owned()).collect();
        if found.join(", ") != *wanted {
            let _ = writeln!(wrong, "{place}: {name} {:?} instead of {wanted:?}", found.join(", "));
        }
    }
    for name in absent {
        if let Some(value) = fields.first(name) {
            let _ = writeln!(wrong, "{place}: {name} is there: {:?}", String::from_utf8_lossy(value));
        }
    }
}

fn json(value: Option<&toml::Value>) -> serde_json::Value {
    value.and_then(|value| serde_json::to_value(value).ok()).unwrap_or_else(|| serde_json::json!({}))
}
