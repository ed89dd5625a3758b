//! A model of the document.

use super::checks;
use super::origin::timeout;
use crate::error::{SnapshotError, wrong};
use crate::model::Model;
use crate::schema::ModelText;

pub(super) fn compile(place: &str, origin: String, text: ModelText) -> Result<Model, SnapshotError> {
    let at = |field: &str| format!("{place}.{field}");
    let ModelText { path, name, version, timeout_seconds, max_batch, max_queue, max_body_bytes } = text;
    checks::filled_text(&at("path"), &path)?;
    checks::name(&at("name"), &name)?;
    if let Some(version) = &version {
        checks::name(&at("version"), version)?;
    }
    for (field, count, most) in [("max_batch", max_batch, MAX_BATCH), ("max_queue", max_queue, MAX_QUEUE)] {
        if !(1..=most).contains(&count) {
            return wrong(&at(field), format!("{count} is not between 1 and {most}"));
        }
    }
    if !(1..=MAX_BODY_BYTES).contains(&max_body_bytes) {
        return wrong(&at("max_body_bytes"), format!("{max_body_bytes} is not between 1 and {MAX_BODY_BYTES}"));
    }
    let timeout = timeout(&at("timeout_seconds"), timeout_seconds)?;
    Ok(Model { origin, path, name, version, timeout, max_batch, max_queue, max_body_bytes })
}

const MAX_BATCH: usize = 4_096;
const MAX_QUEUE: usize = 1 << 20;
/// A request is held whole while it is read.
const MAX_BODY_BYTES: u64 = 256 << 20;
