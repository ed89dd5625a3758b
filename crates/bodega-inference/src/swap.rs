//! One version in place of another, while the edge answers: loaded beside it, put in force by one pointer, and the old one
//! dropped once nobody asks it any more.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bodega_snapshot::Model as Settings;

use crate::changes::{Gone, SetOver};
use crate::model::Model;
use crate::models::{Models, check_versions};
use crate::table::Table;

/// What became of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Swapped {
    /// Its name.
    pub name: String,
    /// The version that answers from now on; `None`: none does.
    pub version: Option<String>,
    /// The version that answered before; `None`: none did, or it is the same.
    pub before: Option<String>,
    /// Whether the old version had answered all that it was asked before its time was over.
    pub is_drained: bool,
}

/// Why nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SwapError {
    /// There is no such model or version.
    Unknown(String),
    /// Another model is being loaded.
    Busy,
    /// It cannot be loaded, or not so.
    Refused(String),
}

impl fmt::Display for SwapError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(message) | Self::Refused(message) => formatter.write_str(message),
            Self::Busy => formatter.write_str("another model is being loaded: try again"),
        }
    }
}

impl std::error::Error for SwapError {}

impl Models {
    /// Puts the file at `path` in force as a version of a model, in place of its default version; without a path the file
    /// that it has is read again, without a version that is made of the contents. `forget` is called for the version
    /// that answers no more. Returns once nobody asks that any more, or its time is over. Blocks: not for a serving
    /// thread.
    ///
    /// # Errors
    /// If it cannot be loaded; nothing changes then.
    pub fn update(
        &self,
        name: &str,
        path: Option<&str>,
        version: Option<&str>,
        forget: impl FnOnce(&Gone),
    ) -> Result<Swapped, SwapError> {
        let mut changes = self.changes.try_lock_for(MAX_WAIT).ok_or(SwapError::Busy)?;
        let table = self.table.load_full();
        let Some((origin, slot)) = table.slot_to_load(name) else { return Err(unknown(&table, name)) };
        let current = slot.model.as_ref();
        let settings = Arc::new(Settings {
            path: path.unwrap_or(current.map_or(&slot.configured.path, |model| &model.settings.path)).to_owned(),
            version: version.map(ToOwned::to_owned),
            ..Settings::clone(&slot.configured)
        });
        if version.is_some_and(|version| !is_version(version)) {
            let right = "letters, digits, `-`, `_` and `.`, at most 64";
            return Err(SwapError::Refused(format!("{:?} is no version: {right}", version.unwrap_or_default())));
        }
        let wrong = |message: String| SwapError::Refused(format!("{}: {message}", settings.path));
        let model = self.load_one(&settings, current, &mut changes).map_err(wrong)?;
        if let Some(current) = current.filter(|current| current.version() == model.version()) {
            if current.digest != model.digest {
                let message =
                    format!("version {} of {name} has other contents: give this one another", model.version());
                return Err(SwapError::Refused(message));
            }
            return Ok(Swapped {
                name: name.to_owned(),
                version: Some(model.version().to_owned()),
                before: None,
                is_drained: true,
            });
        }
        let (origin, version) = (origin.to_owned(), model.version().to_owned());
        let next = with_model(&table, &origin, Some(model));
        check_versions(&next).map_err(|error| SwapError::Refused(error.message))?;
        let configured = Arc::clone(&slot.configured);
        let old = slot.model.clone();
        drop(table);
        changes.set_over.insert(origin, SetOver { configured, settings: Some(settings) });
        drop(self.table.swap(Arc::new(next)));
        let (before, is_drained) = retire(old, forget);
        Ok(Swapped { name: name.to_owned(), version: Some(version), before, is_drained })
    }

    /// Takes a version out of force, by default the default one, until it is loaded again.
    ///
    /// # Errors
    /// If there is none.
    pub fn unload(&self, name: &str, version: Option<&str>, forget: impl FnOnce(&Gone)) -> Result<Swapped, SwapError> {
        let mut changes = self.changes.try_lock_for(MAX_WAIT).ok_or(SwapError::Busy)?;
        let table = self.table.load_full();
        let default = table.default_slot(name);
        let found = table.slots.iter().find(|(origin, slot)| {
            let is_asked = |model: &Arc<Model>| match version {
                Some(version) => model.version() == version,
                None => default == Some(origin.as_str()),
            };
            slot.configured.name == name && slot.model.as_ref().is_some_and(is_asked)
        });
        let Some((origin, slot)) = found else {
            let versions = table.versions(name);
            if versions.is_empty() {
                let is_configured = table.slots.values().any(|slot| slot.configured.name == name);
                let gone = || SwapError::Unknown(format!("{name} is unloaded already"));
                return Err(if is_configured { gone() } else { unknown(&table, name) });
            }
            let asked = version.unwrap_or_default();
            let message = format!("there is no version {asked:?} of {name}: there is {}", versions.join(", "));
            return Err(SwapError::Unknown(message));
        };
        let next = with_model(&table, origin, None);
        let set_over = SetOver { configured: Arc::clone(&slot.configured), settings: None };
        changes.set_over.insert(origin.clone(), set_over);
        let old = slot.model.clone();
        drop(table);
        drop(self.table.swap(Arc::new(next)));
        let (before, is_drained) = retire(old, forget);
        Ok(Swapped { name: name.to_owned(), version: None, before, is_drained })
    }
}

fn with_model(table: &Table, origin: &str, model: Option<Arc<Model>>) -> Table {
    let mut slots = table.slots.clone();
    if let Some(slot) = slots.get_mut(origin) {
        slot.model = model;
    }
    Table::new(slots, table.declared.clone(), table)
}

fn unknown(table: &Table, name: &str) -> SwapError {
    let mut names: Vec<&str> = table.slots.values().map(|slot| slot.configured.name.as_str()).collect();
    names.dedup();
    let known = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    SwapError::Unknown(format!("there is no model {name:?} here: there is {known}"))
}

#[expect(clippy::disallowed_methods, reason = "on the loader's thread, which serves nobody; who lets go wakes nobody")]
/// Waits until nobody asks a version any more, forgets what it said, and drops it: its memory is there again for the next
/// one. What it has said until then is all that is to be forgotten.
fn retire(old: Option<Arc<Model>>, forget: impl FnOnce(&Gone)) -> (Option<String>, bool) {
    let Some(old) = old else { return (None, true) };
    let limit = old.settings.timeout + GRACE;
    let since = Instant::now();
    let wait_while = |goes_on: &dyn Fn() -> bool| {
        while goes_on() && since.elapsed() < limit {
            std::thread::sleep(STEP);
        }
    };
    wait_while(&|| Arc::strong_count(&old) > 1);
    let is_drained = Arc::strong_count(&old) == 1;
    let (gone, alive) = (old.gone_by(), old.alive.clone());
    forget(&gone);
    drop(old);
    wait_while(&|| alive.strong_count() > 0);
    (Some(gone.version), is_drained)
}

/// As a name of the configuration.
fn is_version(version: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    (1..=64).contains(&version.len()) && version.bytes().all(is_plain)
}

/// How long a change waits for another one.
pub(crate) const MAX_WAIT: Duration = Duration::from_secs(30);
/// For what is between a row's answer and the end of its request.
const GRACE: Duration = Duration::from_secs(1);
const STEP: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_is_neither_loaded_nor_unloaded() {
        let models = Models::new(None, "local");
        for error in [
            models.update("fraud", None, None, |_| panic!("nothing is gone")).unwrap_err(),
            models.unload("fraud", None, |_| panic!("nothing is gone")).unwrap_err(),
        ] {
            assert_eq!(error, SwapError::Unknown("there is no model \"fraud\" here: there is none".to_owned()));
        }
    }

    #[test]
    fn versions_are_written_as_names_are() {
        for (version, expected) in [("v2", true), ("2026-11-22.1", true), ("", false), ("a b", false), ("a/b", false)] {
            assert_eq!(is_version(version), expected, "{version}");
        }
    }
}
