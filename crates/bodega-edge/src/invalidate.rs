//! Forgetting: from selectors to what of the store they reach.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use bodega_semantics::path::Paths;
use bodega_semantics::{Timestamp, key};
use bodega_snapshot::{Distribution, Snapshot};
pub use bodega_store::invalidate::event::Force;
use bodega_store::invalidate::event::{Event, Target};
pub use bodega_store::invalidate::{Committed, Done, TooManyRules};

use crate::edge::Edge;
pub use crate::selector::{Selector, SelectorError};

/// Why nothing was forgotten.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InvalidateError {
    /// What was written selects nothing.
    Selector(SelectorError),
    /// There are as many pattern rules as may be; later there will be room.
    TooManyRules(TooManyRules),
    /// The edge follows the control process at this URL: what is forgotten is for its journal to say.
    Follows(String),
}

impl fmt::Display for InvalidateError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Selector(error) => error.fmt(formatter),
            Self::TooManyRules(error) => error.fmt(formatter),
            Self::Follows(control) => write!(formatter, "this edge follows {control}: purge there"),
        }
    }
}

impl std::error::Error for InvalidateError {}

impl Edge {
    /// Forgets what `selectors`, as they are written, name: all of them or, in case of an error, none.
    ///
    /// # Errors
    /// If one cannot be read, if there is no room for more pattern rules, or if the edge follows a control process.
    pub fn invalidate_written(&self, selectors: &[String], force: Force) -> Result<Committed, InvalidateError> {
        self.check_alone()?;
        self.invalidate(&read(selectors)?, force).map_err(InvalidateError::TooManyRules)
    }

    /// The same without waiting for the disk: `done` is called once it is in force.
    ///
    /// # Errors
    /// If one cannot be read, or if the edge follows a control process; then `done` is not called.
    pub fn invalidate_then(&self, selectors: &[String], force: Force, done: Done) -> Result<(), InvalidateError> {
        self.check_alone()?;
        self.invalidate_selected(&read(selectors)?, force, done);
        Ok(())
    }

    /// The same for what has been read already.
    pub(crate) fn invalidate_selected(&self, selectors: &[Selector], force: Force, done: Done) {
        self.invalidations.commit_then(self.events(selectors, force), self.now(), done);
    }

    /// Forgets what `selectors` name, and waits until that is on the disk, if there is one: not for a thread that
    /// serves.
    ///
    /// # Errors
    /// If that needs more pattern rules than there may be; nothing is forgotten then.
    pub fn invalidate(&self, selectors: &[Selector], force: Force) -> Result<Committed, TooManyRules> {
        self.invalidations.commit(self.events(selectors, force), self.now())
    }

    /// What one edge of many forgets by itself the others keep, and nobody knows: an edge that follows is told by the
    /// journal alone. What a client's request makes obsolete is another thing (`forget`).
    pub(crate) fn check_alone(&self) -> Result<(), InvalidateError> {
        self.link.control().map_or(Ok(()), |control| Err(InvalidateError::Follows(control)))
    }

    fn events(&self, selectors: &[Selector], force: Force) -> Vec<Event> {
        let snapshot = self.snapshot.load();
        let targets = selectors.iter().flat_map(|selector| self.targets(&snapshot, selector));
        targets.map(|target| Event { target, force }).collect()
    }

    pub(crate) fn targets(&self, snapshot: &Snapshot, selector: &Selector) -> Vec<Target> {
        let secret = &self.settings.secret;
        match selector {
            Selector::All => vec![Target::All],
            Selector::Url { host, path, query } => self.url_targets(snapshot, host, path, query.as_deref()),
            Selector::Prefix { host, path } => {
                let is_folder = path.ends_with('/') && path.matches('/').count() <= key::MAX_FOLDERS;
                let target = |scope: &str| match key::folder_marks(secret, scope, path).last() {
                    Some(mark) if is_folder => Target::Folder(mark),
                    _ => Target::Urls(format!("{scope}{path}*").into()),
                };
                let named = if is_folder { every_scope(snapshot, host) } else { scopes(snapshot, host) };
                named.into_iter().flatten().map(target).collect()
            }
            Selector::Glob(pattern) => {
                let (host, path) = pattern.split_at(pattern.find('/').unwrap_or(pattern.len()));
                let named = scopes(snapshot, host).into_iter().flatten();
                named.map(|scope| Target::Urls(format!("{scope}{path}").into())).collect()
            }
            Selector::Tag(tag) if tag.contains('*') => vec![Target::Tags(tag.as_str().into())],
            Selector::Tag(tag) => vec![Target::Tag(key::tag_mark(secret, tag))],
            Selector::Model(name) if name.contains('*') => vec![Target::Tags(format!("model:{name}").into())],
            Selector::Model(name) if name.contains('@') => {
                vec![Target::Tag(key::tag_mark(secret, &format!("model:{name}")))]
            }
            // Of any version. It is kept among the tags: their table is large, and so is that of what models answered.
            Selector::Model(name) => vec![Target::Tag(key::model_mark(secret, name))],
            Selector::Distribution(name) => vec![Target::Distribution(key::distribution_mark(secret, name))],
        }
    }

    pub(crate) fn url_targets(&self, snapshot: &Snapshot, host: &str, path: &str, query: Option<&str>) -> Vec<Target> {
        // A path that is refused has no entries under any form of it.
        let paths = Paths::of(path).unwrap_or(Paths::NONE);
        let path = &*paths.normal;
        let behavior = snapshot.distribution(host).and_then(|found| found.behavior("GET", paths.matched()));
        let mark = |scope: &str| match query {
            None => key::url_marks(&self.settings.secret, scope, path, "").path,
            Some(query) => {
                // What the behavior leaves out of the key is left out of the identity, too.
                let kept = behavior.map_or(Cow::Borrowed(query), |found| key::keyed_query(&found.policy.key, query));
                key::url_marks(&self.settings.secret, scope, path, &kept).url
            }
        };
        every_scope(snapshot, host).into_iter().flatten().map(|scope| Target::Key(mark(scope))).collect()
    }

    /// Forgets the predictions of a version that answers no more. Which models run here is this edge's own matter: it
    /// forgets them, too, while it follows a control process.
    pub fn forget_version(&self, model: &str, version: &str) {
        let mark = key::tag_mark(&self.settings.secret, &format!("model:{model}@{version}"));
        self.forget(vec![Target::Tag(mark)], self.now());
    }

    /// Applies what a client's request has made obsolete.
    pub(crate) fn forget(&self, targets: Vec<Target>, now: Timestamp) {
        let events: Vec<Event> = targets.into_iter().map(|target| Event { target, force: Force::Hard }).collect();
        // None of these is a rule, and there is always room for the others.
        let _ = self.invalidations.apply(&events, now);
    }
}

fn read(selectors: &[String]) -> Result<Vec<Selector>, InvalidateError> {
    selectors.iter().map(|text| Selector::parse(text).map_err(InvalidateError::Selector)).collect()
}

/// What may stand for `host` in keys: itself, or the distribution's name where a behavior leaves the host out, now or in
/// an earlier configuration that may come back.
fn every_scope<'s>(snapshot: &'s Snapshot, host: &'s str) -> [Option<&'s str>; 2] {
    [Some(host), snapshot.distribution(host).map(|distribution| distribution.name.as_str())]
}

/// The same as it is now, for rules, of which there are few.
fn scopes<'s>(snapshot: &'s Snapshot, host: &'s str) -> [Option<&'s str>; 2] {
    let leaves_out =
        |distribution: &&Arc<Distribution>| distribution.behaviors.iter().any(|behavior| !behavior.policy.key.host);
    [Some(host), snapshot.distribution(host).filter(leaves_out).map(|distribution| distribution.name.as_str())]
}
