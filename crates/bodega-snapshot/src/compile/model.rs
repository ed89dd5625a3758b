//! A model of the document.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::checks::{self, duration};
use super::origin::timeout;
use crate::error::{SnapshotError, wrong};
use crate::model::{Golden, Model, ModelGroup, Provider};
use crate::schema::{GoldenText, ModelText, ProviderText};

pub(super) fn compile(place: &str, origin: String, text: ModelText) -> Result<Model, SnapshotError> {
    let at = |field: &str| format!("{place}.{field}");
    check_region(place, &text)?;
    if text.runner.is_none() {
        checks::filled_text(&at("path"), &text.path)?;
    }
    checks::plain_text(&at("path"), &text.path)?;
    checks::name(&at("name"), &text.name)?;
    if let Some(version) = &text.version {
        checks::name(&at("version"), version)?;
    }
    if let Some(runner) = &text.runner {
        check_runner(&at("runner"), runner)?;
    }
    for (field, count, most) in [
        ("max_batch", text.max_batch, MAX_BATCH),
        ("max_queue", text.max_queue, MAX_QUEUE),
        ("threads", text.threads, MAX_THREADS),
    ] {
        if !(1..=most).contains(&count) {
            return wrong(&at(field), format!("{count} is not between 1 and {most}"));
        }
    }
    if !(1..=MAX_BODY_BYTES).contains(&text.max_body_bytes) {
        return wrong(&at("max_body_bytes"), format!("{} is not between 1 and {MAX_BODY_BYTES}", text.max_body_bytes));
    }
    if text.max_memory_bytes.is_some_and(|n_bytes| n_bytes < MIN_MEMORY_BYTES) {
        return wrong(&at("max_memory_bytes"), format!("less than {MIN_MEMORY_BYTES}: no process is as small"));
    }
    let batch_wait = duration(&at("batch_wait_seconds"), text.batch_wait_seconds)?;
    if batch_wait > MAX_BATCH_WAIT {
        return wrong(&at("batch_wait_seconds"), "more than a second: every row would wait as long");
    }
    if text.ignored.len() > MAX_IGNORED {
        return wrong(&at("ignored"), format!("more than {MAX_IGNORED} names"));
    }
    for name in &text.ignored {
        checks::filled_text(&at("ignored"), name)?;
    }
    if text.golden.len() > MAX_GOLDEN {
        return wrong(&at("golden"), format!("more than {MAX_GOLDEN} examples"));
    }
    let golden = text.golden.into_iter().enumerate();
    let golden = golden.map(|(number, text)| compile_golden(&at(&format!("golden[{number}]")), text));
    Ok(Model {
        golden: golden.collect::<Result<_, _>>()?,
        timeout: timeout(&at("timeout_seconds"), text.timeout_seconds)?,
        ttl: text.ttl_seconds.map(|seconds| duration(&at("ttl_seconds"), seconds)).transpose()?,
        batch_wait,
        provider: match text.provider {
            ProviderText::Cpu => Provider::Cpu,
            ProviderText::Cuda => Provider::Cuda,
        },
        origin,
        path: text.path,
        name: text.name,
        version: text.version,
        max_batch: text.max_batch,
        max_queue: text.max_queue,
        max_body_bytes: text.max_body_bytes,
        threads: text.threads,
        isolated: text.isolated,
        runner: text.runner,
        ignored: text.ignored,
        max_memory_bytes: text.max_memory_bytes,
        region_only: text.region_only,
    })
}

/// Nobody sees what a runner sends.
fn check_region(place: &str, text: &ModelText) -> Result<(), SnapshotError> {
    if text.region_only && text.runner.is_some() {
        return wrong(&format!("{place}.region_only"), "a runner may send its inputs anywhere: leave one of them out");
    }
    Ok(())
}

/// `package.module:Class`, of names as Python has them.
fn check_runner(place: &str, runner: &str) -> Result<(), SnapshotError> {
    let is_name = |name: &str| {
        name.chars().next().is_some_and(|first| first.is_alphabetic() || first == '_')
            && name.chars().all(|each| each.is_alphanumeric() || each == '_')
    };
    match runner.split_once(':') {
        Some((module, class)) if module.split('.').all(is_name) && is_name(class) => Ok(()),
        _ => wrong(place, format!("{runner:?} is no class: write `package.module:Class`")),
    }
}

fn compile_golden(place: &str, text: GoldenText) -> Result<Golden, SnapshotError> {
    let GoldenText { features_json, prediction_json, tolerance } = text;
    if features_json.len() + prediction_json.as_ref().map_or(0, String::len) > MAX_GOLDEN_BYTES {
        return wrong(place, format!("more than {MAX_GOLDEN_BYTES} bytes"));
    }
    if !(0.0..=1e9).contains(&tolerance) {
        return wrong(&format!("{place}.tolerance"), format!("{tolerance} is no distance: write 0 or more"));
    }
    Ok(Golden { features_json, prediction_json, tolerance })
}

/// Once all models are known: whether those of one name are told apart by their versions.
pub(super) fn check_names(models: &BTreeMap<String, Arc<Model>>) -> Result<(), SnapshotError> {
    let mut seen: BTreeMap<(&str, Option<&str>), &str> = BTreeMap::new();
    for (origin, model) in models {
        if let Some(other) = seen.insert((&model.name, model.version.as_deref()), origin)
            && model.version.is_some()
        {
            return wrong(
                &format!("origins.{origin}.version"),
                format!("origins.{other} is this version of {:?} already: versions of a model differ", model.name),
            );
        }
    }
    Ok(())
}

/// Once all models are known: whether a group's members are among them.
pub(super) fn check_members(
    place: &str,
    group: &ModelGroup,
    models: &BTreeMap<String, Arc<Model>>,
) -> Result<(), SnapshotError> {
    let place = format!("{place}.members");
    if !(1..=MAX_MEMBERS).contains(&group.members.len()) {
        return wrong(&place, format!("{} is not between 1 and {MAX_MEMBERS} models", group.members.len()));
    }
    for (at, member) in group.members.iter().enumerate() {
        if group.members[..at].contains(member) {
            return wrong(&place, format!("{member:?} is there twice"));
        }
        if !models.contains_key(member) {
            return wrong(&place, format!("there is no model {member:?}"));
        }
    }
    Ok(())
}

const MAX_MEMBERS: usize = 1_000;
const MAX_BATCH: usize = 4_096;
const MAX_QUEUE: usize = 1 << 20;
const MAX_THREADS: usize = 1_024;
/// A request is held whole while it is read.
const MAX_BODY_BYTES: u64 = 256 << 20;
/// Less than an interpreter takes.
const MIN_MEMORY_BYTES: u64 = 16 << 20;
const MAX_BATCH_WAIT: Duration = Duration::from_secs(1);
const MAX_IGNORED: usize = 256;
const MAX_GOLDEN: usize = 256;
const MAX_GOLDEN_BYTES: usize = 1 << 20;
