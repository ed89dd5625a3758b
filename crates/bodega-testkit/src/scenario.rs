//! Scenario files: what the origin does, what clients see, how the clock moves, what was counted.
//!
//! `docs/reference/scenarios.md` explains the form. Everything runs in memory; nothing sleeps.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use bodega_edge::interim::Interim;
use bodega_edge::invalidate::{Force, Selector};
use bodega_semantics::{Fields, Head, Reason};
use bodega_snapshot::Snapshot;
use bytes::Bytes;
use serde::Deserialize;

use crate::bench::{Bench, Got, TestRequest, snapshot_json_for};
use crate::front::{Front, NoFront, Sending};
use crate::origin::{Asked, Scripted};
use crate::sections;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Scenario {
    #[expect(dead_code, reason = "for people")]
    why: String,
    /// The sections of RFCs that are tested, as `tests/scenarios/sections.toml` names them.
    #[serde(default)]
    rfc: Option<OneOrMore>,
    /// In which modes of the policy it runs; left out, in the one that the policy says.
    modes: Option<Vec<Mode>>,
    /// The hosts that are served; all of them if left out.
    hosts: Option<Vec<String>>,
    /// The edge follows a control process, and was never level with it.
    #[serde(default)]
    follows: bool,
    /// Other fields of the distribution.
    #[serde(default)]
    distribution: Option<toml::Value>,
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

/// How a policy stands to what RFCs leave to a cache.
#[derive(Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// The safe side for a gateway that many share.
    Safe,
    /// By the book, with a client's directives obeyed.
    Rfc,
}

impl Mode {
    /// As the policy writes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Safe => "safe",
            Self::Rfc => "rfc",
        }
    }
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
    /// What comes after the body, for an answer that names no length.
    #[serde(default)]
    trailers: BTreeMap<String, OneOrMore>,
    fails: Option<String>,
    /// The clock moves on between the question and the answer.
    #[serde(default)]
    takes_seconds: u32,
    /// What comes before the answer.
    #[serde(default)]
    interim: Vec<InterimText>,
}

/// An interim head of the origin.
#[derive(Deserialize, Clone)]
#[serde(deny_unknown_fields)]
struct InterimText {
    status: u16,
    #[serde(default)]
    headers: BTreeMap<String, OneOrMore>,
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
    /// By TLS.
    #[serde(default)]
    https: bool,
    #[serde(default)]
    headers: BTreeMap<String, OneOrMore>,
    #[serde(default)]
    body: String,
    from: Option<std::net::IpAddr>,
    after_seconds: Option<f64>,
    /// The configuration is replaced first: these fields of the policy as well, under the next revision.
    reload: Option<toml::Value>,
    /// The same for fields of the behavior.
    reload_behavior: Option<toml::Value>,
    /// Forgotten first.
    invalidate: Option<String>,
    /// Made stale first.
    soften: Option<String>,
    /// The edge was level with the control process so many seconds ago.
    level_seconds_ago: Option<f64>,
    /// So many at the same moment.
    #[serde(default = "one")]
    at_once: usize,
    /// At the same moment as the next one, before either has begun.
    #[serde(default)]
    with_next: bool,
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
    interim: Option<Vec<ExpectInterim>>,
    /// All that comes after the body.
    trailers: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize, Clone)]
#[serde(deny_unknown_fields)]
struct ExpectInterim {
    status: u16,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    absent: Vec<String>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Counted {
    origin_requests: Option<usize>,
    stored_entries: Option<u64>,
}

/// The modes in which the scenario in `path` runs; `None` is the mode that its policy says.
///
/// # Errors
/// When the file is not a scenario.
pub fn modes(path: &Path) -> Result<Vec<Option<Mode>>, String> {
    let scenario = read(path)?;
    Ok(scenario.modes.map_or_else(|| vec![None], |modes| modes.into_iter().map(Some).collect()))
}

/// Runs the scenario in `path`, in `mode` or in the one that its policy says.
///
/// # Errors
/// With everything that was not as the file says.
pub fn run(path: &Path, mode: Option<Mode>) -> Result<(), String> {
    run_parsed(read(path)?, mode).map_err(|error| format!("{}:\n{error}", path.display()))
}

/// Runs the scenario in `path` through `front`, in `mode` or in the one that its policy says. The runtime's clock runs:
/// nothing of the machine waits for it, and connections may.
///
/// # Errors
/// With everything that was not as the file says.
pub async fn run_through(path: &Path, mode: Option<Mode>, front: &mut dyn Front) -> Result<Ran, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let mut scenario = read(path)?;
    let is_of_schemes = says_scheme(&text);
    for step in &mut scenario.client {
        step.https |= front.is_https() && !is_of_schemes;
    }
    if front.is_https() && !scenario.client.iter().any(|step| step.https) {
        return Ok(Ran::LeftOut("it is about clients without HTTPS"));
    }
    if let Some(why) = scenario.client.iter().find_map(|step| front.cannot_say(&request(step))) {
        return Ok(Ran::LeftOut(why));
    }
    match play(scenario, mode, front).await {
        Ok(wrong) if wrong.is_empty() => Ok(Ran::Passed),
        Ok(wrong) | Err(wrong) => Err(format!("{}:\n{wrong}", path.display())),
    }
}

/// What became of a scenario that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ran {
    /// It was as the file says.
    Passed,
    /// It cannot be said this way, and why.
    LeftOut(&'static str),
}

/// Whether a scenario depends on which scheme its clients come by, or on the ports that go without saying.
fn says_scheme(text: &str) -> bool {
    const WORDS: [&str; 9] =
        ["http://", "https://", "https =", "proto", ":80\"", ":443", "viewer_protocol", "hsts", "forwarded = "];
    let free = ["why = ", "invalidate = ", "soften = "];
    let lines = text.lines().filter(|line| !free.iter().any(|start| line.starts_with(start)));
    lines.into_iter().any(|line| WORDS.iter().any(|word| line.contains(word)))
}

/// Runs the scenario that `text` holds.
///
/// # Errors
/// With everything that was not as it says.
pub fn run_text(text: &str, mode: Option<Mode>) -> Result<(), String> {
    run_parsed(parse(text)?, mode)
}

fn read(path: &Path) -> Result<Scenario, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let scenario = parse(&text).map_err(|error| format!("{}:\n{error}", path.display()))?;
    let folder = path.parent().and_then(Path::file_name).unwrap_or_default();
    if scenario.rfc.is_none() && folder.to_string_lossy().starts_with("rfc") {
        return Err(format!(
            "{}:\na scenario of an RFC says which section it tests: rfc = \"9111 4.2.3\"",
            path.display()
        ));
    }
    Ok(scenario)
}

fn parse(text: &str) -> Result<Scenario, String> {
    let scenario: Scenario = toml::from_str(text).map_err(|error| error.to_string())?;
    let named = match &scenario.rfc {
        None => &[][..],
        Some(OneOrMore::One(section)) => std::slice::from_ref(section),
        Some(OneOrMore::More(sections)) => sections,
    };
    if let Some(unknown) = named.iter().find(|section| !sections::is_known(section)) {
        return Err(format!("tests/scenarios/sections.toml lists no section {unknown:?}"));
    }
    if let Some(modes) = &scenario.modes {
        let says_mode = scenario.policy.as_ref().is_some_and(|policy| policy.get("mode").is_some());
        if modes.is_empty() || says_mode {
            return Err("`modes` names at least one mode, and the policy then none".to_owned());
        }
    }
    Ok(scenario)
}

fn run_parsed(scenario: Scenario, mode: Option<Mode>) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .map_err(|error| error.to_string())?;
    let wrong = runtime.block_on(play(scenario, mode, &mut NoFront))?;
    if wrong.is_empty() { Ok(()) } else { Err(wrong) }
}

async fn play(scenario: Scenario, mode: Option<Mode>, front: &mut dyn Front) -> Result<String, String> {
    let mut config = Config {
        distribution: json(scenario.distribution.as_ref()),
        policy: json(scenario.policy.as_ref()),
        behavior: json(scenario.behavior.as_ref()),
        revision: 1,
    };
    if let (Some(hosts), Some(distribution)) = (scenario.hosts, config.distribution.as_object_mut()) {
        distribution.insert("hosts".to_owned(), hosts.into());
    }
    if let (Some(mode), Some(policy)) = (mode, config.policy.as_object_mut()) {
        policy.insert("mode".to_owned(), mode.name().into());
    }
    Snapshot::from_json(&config.snapshot()).map_err(|error| format!("the configuration: {error}"))?;
    let bench = front.bench(&config.snapshot());
    if scenario.follows {
        bench.worker.edge.set_following(Some("https://control.example"));
    }
    let mut expected: Vec<ExpectAsked> = Vec::new();
    for step in &scenario.origin {
        for _ in 0..step.times {
            bench.origin.will_answer(scripted(&step.answer)?);
            expected.push(step.expect.by(front.via_version()));
        }
    }
    let mut wrong = String::new();
    let mut ready: Vec<(String, &ClientStep, Vec<Sending>)> = Vec::new();
    for (number, step) in scenario.client.iter().enumerate() {
        let place = format!("client {}", number + 1);
        prepare(&bench, &mut config, step).map_err(|error| format!("{place}: {error}"))?;
        let sending = front.open(&bench, &request(step), step.at_once).await;
        ready.push((place, step, sending));
        if step.with_next {
            continue;
        }
        let under_way: Vec<(String, &ClientStep, Vec<Sent>)> = ready
            .drain(..)
            .map(|(place, step, sending)| (place, step, sending.into_iter().map(tokio::spawn).collect()))
            .collect();
        for (place, step, sent) in under_way {
            let mut got = Vec::with_capacity(sent.len());
            for one in sent {
                got.push(one.await.map_err(|error| format!("{place}: {error}"))?);
            }
            let may_lose = front.loses_what_waits();
            let expect = &step.expect;
            check_got(&mut wrong, &place, expect, &got, may_lose);
        }
        // Background work (revalidation, the end of fills) runs before the next step.
        for _ in 0..8 {
            tokio::task::yield_now().await;
        }
    }
    if !ready.is_empty() {
        return Err("`with_next` in the last request: there is no next one".to_owned());
    }
    check_counted(&mut wrong, &bench, front.n_entries(&bench), &expected, &scenario.counted);
    Ok(wrong)
}

/// What is configured at this point of the scenario.
struct Config {
    distribution: serde_json::Value,
    policy: serde_json::Value,
    behavior: serde_json::Value,
    revision: u64,
}

impl ExpectAsked {
    /// The same where requests came by this version of HTTP, as the edge says in `Via`.
    fn by(&self, version: &str) -> Self {
        let mut expect = self.clone();
        if let Some(via) = expect.headers.get_mut("via")
            && let Some(before) = via.strip_suffix("1.1 bodega")
        {
            *via = format!("{before}{version} bodega");
        }
        expect
    }
}

impl Config {
    fn snapshot(&self) -> String {
        snapshot_json_for(&self.distribution, &self.policy, &self.behavior, self.revision)
    }
}

/// What happens before a request is sent: the clock moves, the configuration changes, something is forgotten.
fn prepare(bench: &Bench, config: &mut Config, step: &ClientStep) -> Result<(), String> {
    if let Some(seconds) = step.after_seconds {
        bench.clock.advance(Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())?);
    }
    if step.reload.is_some() || step.reload_behavior.is_some() {
        config.revision += 1;
        overlay(&mut config.policy, step.reload.as_ref());
        overlay(&mut config.behavior, step.reload_behavior.as_ref());
        let snapshot = Snapshot::from_json(&config.snapshot()).map_err(|error| format!("reload: {error}"))?;
        bench.worker.edge.snapshot.store(std::sync::Arc::new(snapshot));
    }
    if let Some(seconds) = step.level_seconds_ago {
        let age = Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())?;
        bench.worker.edge.level_as_of(bench.worker.edge.steady().saturating_sub(age));
    }
    for (selector, force) in [(&step.invalidate, Force::Hard), (&step.soften, Force::Soft)] {
        if let Some(selector) = selector {
            let selector = Selector::parse(selector).map_err(|error| error.to_string())?;
            bench.worker.edge.invalidate(&[selector], force).map_err(|error| error.to_string())?;
        }
    }
    Ok(())
}

fn overlay(whole: &mut serde_json::Value, over: Option<&toml::Value>) {
    if let (Some(whole), Some(over)) = (whole.as_object_mut(), json(over).as_object()) {
        for (name, value) in over {
            whole.insert(name.clone(), value.clone());
        }
    }
}

type Sent = tokio::task::JoinHandle<Got>;

fn check_counted(wrong: &mut String, bench: &Bench, n_entries: u64, expected: &[ExpectAsked], counted: &Counted) {
    let asked = bench.origin.asked();
    for (number, (asked, expect)) in asked.iter().zip(expected).enumerate() {
        check_asked(wrong, &format!("origin request {}", number + 1), expect, asked);
    }
    for extra in asked.iter().skip(expected.len()) {
        let _ = writeln!(wrong, "the origin was asked once more than the script says: {}", extra.path_and_query);
    }
    let n_unused = bench.origin.n_unused();
    if n_unused > 0 {
        let _ = writeln!(wrong, "nobody asked for the last {n_unused} answers of the origin");
    }
    if let Some(n_requests) = counted.origin_requests
        && n_requests != asked.len()
    {
        let _ = writeln!(wrong, "origin_requests: {} instead of {n_requests}", asked.len());
    }
    if let Some(expected) = counted.stored_entries
        && expected != n_entries
    {
        let _ = writeln!(wrong, "stored_entries: {n_entries} instead of {expected}");
    }
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
        https: step.https,
        headers,
        body: step.body.clone().into_bytes(),
        peer: step.from,
        upgrade: step.headers.keys().any(|name| name.eq_ignore_ascii_case("upgrade")),
    }
}

fn scripted(answer: &AnswerText) -> Result<Scripted, String> {
    let interim = |text: &InterimText| Interim { status: text.status, fields: lines(&text.headers) };
    let fails = match &answer.fails {
        None => None,
        Some(name) => Some(Reason::from_name(name).ok_or_else(|| format!("no reason is named {name:?}"))?),
    };
    Ok(Scripted {
        interim: answer.interim.iter().map(interim).collect(),
        status: answer.status,
        fields: lines(&answer.headers),
        body: Bytes::from(answer.body.repeat(answer.repeat)),
        names_length: answer.length,
        breaks_after: answer.breaks_after,
        trailers: lines(&answer.trailers),
        fails,
        takes: Duration::from_secs(answer.takes_seconds.into()),
    })
}

fn lines(headers: &BTreeMap<String, OneOrMore>) -> Fields {
    let mut fields = Fields::new();
    for (name, values) in headers {
        match values {
            OneOrMore::One(value) => fields.push(name, value.as_bytes()),
            OneOrMore::More(values) => values.iter().for_each(|value| fields.push(name, value.as_bytes())),
        }
    }
    fields
}

fn check_got(wrong: &mut String, place: &str, expect: &ExpectGot, all: &[Got], may_lose: bool) {
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
        let may_lose = may_lose && got.broken;
        let body = String::from_utf8_lossy(&got.body);
        if let Some(wanted) = &expect.body
            && !(*wanted == body || may_lose && wanted.starts_with(&*body))
        {
            say("body", &body, wanted);
        }
        if let Some(length) = expect.length
            && !(length == got.body.len() || may_lose && got.body.len() < length)
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
        if let Some(interim) = &expect.interim {
            check_interim(wrong, place, interim, &got.interim);
        }
        check_fields(wrong, place, &expect.headers, &expect.absent, &got.fields);
        if let Some(trailers) = &expect.trailers {
            let place = format!("{place}, trailers");
            check_fields(wrong, &place, trailers, &[], &got.trailers);
            for field in got.trailers.fields() {
                if !trailers.keys().any(|name| name.eq_ignore_ascii_case(field.name)) {
                    let _ = writeln!(wrong, "{place}: {} is there", field.name);
                }
            }
        }
    }
}

fn check_interim(wrong: &mut String, place: &str, expected: &[ExpectInterim], got: &[Interim]) {
    let statuses: Vec<u16> = got.iter().map(|interim| interim.status).collect();
    let wanted: Vec<u16> = expected.iter().map(|interim| interim.status).collect();
    if statuses != wanted {
        let _ = writeln!(wrong, "{place}: interim {statuses:?} instead of {wanted:?}");
    }
    for (expected, got) in expected.iter().zip(got) {
        let place = format!("{place}, interim {}", got.status);
        check_fields(wrong, &place, &expected.headers, &expected.absent, &got.fields);
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

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
why = "a stored answer is a hit: RFC 9111 section 4"
[[origin]]
expect = { path = "/x", absent = ["cookie"] }
answer = { headers = { cache-control = "max-age=60" }, body = "one" }
[[client]]
get = "/x"
expect = { status = 200, body = "one", outcome = "miss" }
[[client]]
get = "/x"
expect = { outcome = "hit", headers = { age = "0" } }
[counted]
origin_requests = 1
stored_entries = 1
"#;

    #[test]
    fn what_is_as_the_file_says_passes() {
        assert_eq!(run_text(GOOD, None), Ok(()));
    }

    #[test]
    fn each_false_expectation_is_told() {
        for (right, wrong, told) in [
            ("status = 200, body", "status = 201, body", "client 1: status 200 instead of 201"),
            ("body = \"one\", outcome", "body = \"two\", outcome", "client 1: body \"one\" instead of \"two\""),
            ("outcome = \"miss\"", "outcome = \"hit\"", "client 1: outcome \"miss\" instead of \"hit\""),
            ("age = \"0\"", "age = \"1\"", "client 2: age \"0\" instead of \"1\""),
            ("outcome = \"hit\", ", "reason = \"expired\", ", "client 2: reason \"fresh\" instead of \"expired\""),
            ("outcome = \"hit\", ", "absent = [\"age\"], ", "client 2: age is there: \"0\""),
            ("outcome = \"hit\", ", "broken = true, ", "client 2: broken false instead of true"),
            ("outcome = \"hit\", ", "length = 4, ", "client 2: length 3 instead of 4"),
            ("outcome = \"hit\", ", "interim = [{ status = 103 }], ", "client 2: interim [] instead of [103]"),
            ("outcome = \"hit\", ", "trailers = { x = \"1\" }, ", "client 2, trailers: x \"\" instead of \"1\""),
            (
                "outcome = \"hit\", ",
                "outcomes = { miss = 1 }, ",
                "client 2: outcomes {\"hit\": 1} instead of {\"miss\": 1}",
            ),
            ("path = \"/x\"", "path = \"/y\"", "origin request 1: path \"/x\" instead of \"/y\""),
            ("path = \"/x\"", "method = \"HEAD\"", "origin request 1: method \"GET\" instead of \"HEAD\""),
            ("absent = [\"cookie\"]", "absent = [\"via\"]", "origin request 1: via is there"),
            ("origin_requests = 1", "origin_requests = 2", "origin_requests: 1 instead of 2"),
            ("stored_entries = 1", "stored_entries = 0", "stored_entries: 1 instead of 0"),
            ("expect = { path", "times = 2\nexpect = { path", "nobody asked for the last 1 answers of the origin"),
            ("max-age=60", "no-store", "the origin was asked once more than the script says: /x"),
        ] {
            assert!(GOOD.contains(right), "{right}");
            let found = run_text(&GOOD.replacen(right, wrong, 1), None).unwrap_err();
            assert!(found.contains(told), "{told}\n{found}");
        }
    }

    #[test]
    fn all_that_was_wrong_is_told_at_once() {
        let found =
            run_text(&GOOD.replace("body = \"one\", outcome", "body = \"two\", outcome").replace("= 1", "= 9"), None)
                .unwrap_err();
        assert_eq!(found.lines().count(), 3, "{found}");
    }

    #[test]
    fn a_file_that_cannot_be_read_is_a_failure() {
        for (right, wrong, told) in [
            ("get = ", "gets = ", "gets"),
            ("why = \"a stored answer is a hit: RFC 9111 section 4\"", "", "why"),
            ("status = 200", "status = \"200\"", "status"),
            ("why", "rfc = \"9111 9.9\"\nwhy", "lists no section \"9111 9.9\""),
            ("why", "rfc = [\"9111 4\", \"x\"]\nwhy", "lists no section \"x\""),
            ("why", "modes = [\"strict\"]\nwhy", "strict"),
            ("why", "modes = []\nwhy", "at least one mode"),
            ("body = \"one\" }", "fails = \"tired\" }", "no reason is named \"tired\""),
            ("[[origin]]", "[policy]\nmin_ttl = 1\n[[origin]]", "min_ttl"),
            ("[counted]", "[[client]]\nget = \"/\"\nwith_next = true\n[counted]", "there is no next one"),
            ("[counted]", "[[client]]\nget = \"/\"\ninvalidate = \"x\"\n[counted]", "client 3: selector"),
        ] {
            assert!(GOOD.contains(right), "{right}");
            let found = run_text(&GOOD.replacen(right, wrong, 1), None).unwrap_err();
            assert!(found.contains(told), "{told}\n{found}");
        }
        assert!(run(Path::new("nowhere.toml"), None).unwrap_err().contains("nowhere.toml"));
    }
}
