//! The models that one behavior answers for: found by name and version, or told.

use std::sync::Arc;

use crate::model::Model;
use crate::problem::Problem;

/// The models of a group in their order; the first of a name is its default version.
pub(crate) struct Group {
    members: Vec<Arc<Model>>,
    /// Names that are configured here and of which no version is loaded.
    missing: Vec<String>,
}

impl Group {
    /// Of what is loaded, and the names of what is configured.
    pub(crate) fn new<'a>(members: Vec<Arc<Model>>, names: impl Iterator<Item = &'a String>) -> Self {
        let is_missing = |name: &&String| !members.iter().any(|model| model.name() == *name);
        let mut missing: Vec<String> = names.filter(is_missing).cloned().collect();
        missing.dedup();
        Self { members, missing }
    }

    pub(crate) fn members(&self) -> &[Arc<Model>] {
        &self.members
    }

    /// Whether each model that is configured here answers, in any version.
    pub(crate) fn check_ready(&self) -> Result<(), Problem> {
        if self.missing.is_empty() {
            return Ok(());
        }
        Err(Problem::new(503, "", format!("not loaded: {}", self.missing.join(", "))))
    }

    /// The models that are answered with where no version is named.
    pub(crate) fn defaults(&self) -> impl Iterator<Item = &Arc<Model>> {
        self.members
            .iter()
            .enumerate()
            .filter(|(at, model)| !self.members[..*at].iter().any(|other| other.name() == model.name()))
            .map(|(_, model)| model)
    }

    /// The versions of a name, its default first.
    pub(crate) fn versions(&self, name: &str) -> Vec<&str> {
        self.members.iter().filter(|model| model.name() == name).map(|model| model.version()).collect()
    }

    /// The model of a name and, if one is named, a version.
    pub(crate) fn find(&self, name: &str, version: Option<&str>) -> Result<&Arc<Model>, Problem> {
        let mut named = self.members.iter().filter(|model| model.name() == name).peekable();
        if named.peek().is_none() {
            let known: Vec<&str> = self.defaults().map(|model| model.name()).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            let message = format!("there is no model {name:?} here: there is {known}");
            return Err(Problem::new(404, "", message));
        }
        named.find(|model| version.is_none_or(|version| version == model.version())).ok_or_else(|| {
            let (version, known) = (version.unwrap_or_default(), self.versions(name).join(", "));
            Problem::new(404, "", format!("there is no version {version:?} of {name}: there is {known}"))
        })
    }

    /// The model that is meant where none is named: the default of the only name there is.
    pub(crate) fn only(&self) -> Result<&Arc<Model>, Problem> {
        let Some((first, others)) = self.members.split_first() else {
            return Err(Problem::new(404, "", "no model is loaded here"));
        };
        // One that was unloaded is still one of those that may be meant.
        if self.missing.is_empty() && others.iter().all(|other| other.name() == first.name()) {
            return Ok(first);
        }
        let loaded = self.defaults().map(|model| model.name());
        let names: Vec<&str> = loaded.chain(self.missing.iter().map(String::as_str)).collect();
        let message = format!("which model? There are {}: ask at /models/NAME/predict", names.join(", "));
        Err(Problem::new(404, "", message))
    }

    /// The longest body that one of them takes.
    pub(crate) fn max_body_bytes(&self) -> u64 {
        self.members.iter().map(|model| model.settings.max_body_bytes).max().unwrap_or(0)
    }
}
