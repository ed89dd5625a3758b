//! Following a journal: its events are applied in order, once, and are on the disk together with how far that went.
//!
//! What cannot be read exactly is applied too widely, never too narrowly. A batch that does not continue the edge's place
//! changes nothing. Nothing here knows how batches come: an agent hands them over as they were sent.

use std::borrow::Cow;
use std::fmt;

use bodega_snapshot::Snapshot;
use bodega_store::invalidate::event::{Event, Force, Target};
use bodega_store::invalidate::{MAX_RULES, Place};
use serde::Deserialize;

use crate::batch::{Batch, Told};
use crate::edge::Edge;
use crate::place::WrittenPlace;
use crate::selector::Selector;

/// What became of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Followed {
    /// Where the edge is now.
    pub place: Place,
    /// Of how many events account was taken, those among them that say nothing to an edge.
    pub n_applied: usize,
    /// How often, at least, more was invalidated than was asked for, as something could not be read or had no room.
    pub n_widened: usize,
    /// Whether it holds after a restart.
    pub is_durable: bool,
    /// Why it ended before the last event.
    pub stopped: Option<Stopped>,
}

/// Why the events of a batch were applied only up to some place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// The configuration that comes next is not in force yet.
    WaitsForConfiguration {
        /// Where it was published.
        position: u64,
        /// Its revision.
        revision: u64,
    },
    /// An event that has to be known and is not.
    Unknown {
        /// Where it is.
        position: u64,
        /// Its type.
        kind: String,
        /// The version of its data.
        version: u64,
    },
}

/// Why nothing of a batch was applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FollowError {
    /// It is none.
    Malformed(String),
    /// Events are missing before it.
    Gap {
        /// Where the edge is.
        position: u64,
        /// Where the batch begins.
        after: u64,
    },
    /// It is of another history than the one that was applied; in what they differ.
    Parted(String),
    /// No journal was joined.
    NoPlace,
}

impl fmt::Display for FollowError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(why) => write!(formatter, "this is no batch of a journal's events: {why}"),
            Self::Gap { position, after } => write!(
                formatter,
                "the batch begins after position {after}, and this edge has applied all up to {position}: ask for what \
                 comes after that"
            ),
            Self::Parted(what) => write!(
                formatter,
                "the batch is of another history than this edge has applied ({what}): join the journal anew, without \
                 trusting what is stored"
            ),
            Self::NoPlace => formatter.write_str("this edge has joined no journal: join one before following it"),
        }
    }
}

impl std::error::Error for FollowError {}

impl Edge {
    /// Applies the events of `batch`, JSON as the control process sends it, that come after the edge's place, up to the
    /// first that has to wait. It holds, with a disk also there, before this returns: not for a thread that serves.
    /// `configured` is the revision of the journal's configuration that is in force.
    ///
    /// # Errors
    /// If the batch is none, or does not continue the edge's place; nothing is applied then.
    pub fn follow(&self, batch: &[u8], configured: Option<u64>) -> Result<Followed, FollowError> {
        let batch = Batch::read(batch)?;
        let _one_at_a_time = self.following.lock();
        let before = self.place().ok_or(FollowError::NoPlace)?;
        let new = batch.since(&before)?;
        let snapshot = self.snapshot.load();
        let mut reach = Reach::default();
        let stopped = new.iter().enumerate().find_map(|(n_before, event)| {
            reach.add(self, &snapshot, event, configured).map(|stopped| (n_before, stopped))
        });
        let n_applied = stopped.as_ref().map_or(new.len(), |(n_before, _)| *n_before);
        let place = batch.place_after(before, n_applied);
        let is_durable = if place == before && reach.is_nothing() {
            self.invalidations.has_log() && self.invalidations.is_durable()
        } else {
            self.commit(&mut reach, place)
        };
        let stopped = stopped.map(|(_, stopped)| stopped);
        Ok(Followed { place, n_applied, n_widened: reach.n_widened, is_durable, stopped })
    }

    /// Goes on from `place` of a journal. `trusted`: it continues what is stored, or nothing is. Else what is stored
    /// may be what the journal has invalidated: none of it is used before its origin has confirmed it.
    /// Returns whether that holds after a restart.
    pub fn join(&self, place: Place, trusted: bool) -> bool {
        let _one_at_a_time = self.following.lock();
        let mut reach = Reach::default();
        if !trusted {
            reach.events.push(Event { target: Target::All, force: Force::Revalidate });
        }
        self.commit(&mut reach, place)
    }

    /// Where in a journal the edge is.
    #[must_use]
    pub fn place(&self) -> Option<Place> {
        self.invalidations.place()
    }

    /// Returns whether it is on a disk.
    fn commit(&self, reach: &mut Reach, place: Place) -> bool {
        let commit = |events| self.invalidations.commit_up_to(events, Some(place), self.now());
        let committed = commit(reach.take()).or_else(|_| {
            // What was followed cannot be refused. Everything is no rule.
            reach.widen();
            commit(reach.take())
        });
        self.invalidations.has_log() && committed.is_ok_and(|committed| committed.is_durable)
    }
}

/// What the events of a batch invalidate, all under one number.
#[derive(Default)]
struct Reach {
    /// All but rules.
    events: Vec<Event>,
    /// Each once.
    rules: Vec<Event>,
    /// Everything is invalidated, so that nothing else matters.
    is_all: bool,
    n_widened: usize,
}

impl Reach {
    /// Adds what `event` invalidates, or says why that has to wait.
    fn add(&mut self, edge: &Edge, snapshot: &Snapshot, event: &Told<'_>, configured: Option<u64>) -> Option<Stopped> {
        let position = event.position;
        match (&*event.kind, event.version) {
            ("invalidation.requested", 1) => {
                self.add_requested(edge, snapshot, event);
                return None;
            }
            ("configuration.published", 1) => {
                if let Ok(Published { revision }) = serde_json::from_str(event.data.get()) {
                    let is_in_force = configured.is_some_and(|configured| configured >= revision);
                    return (!is_in_force).then_some(Stopped::WaitsForConfiguration { position, revision });
                }
            }
            _ => {}
        }
        match &*event.unless_known {
            "ignore" => None,
            "purge" => {
                self.widen();
                None
            }
            _ => Some(Stopped::Unknown { position, kind: event.kind.clone().into_owned(), version: event.version }),
        }
    }

    fn add_requested(&mut self, edge: &Edge, snapshot: &Snapshot, event: &Told<'_>) {
        if self.is_all {
            return;
        }
        let Ok(Requested { selectors, force }) = serde_json::from_str(event.data.get()) else { return self.widen() };
        let force = match &*force {
            "hard" => Force::Hard,
            "soft" => Force::Soft,
            // Nothing is harder.
            _ => {
                self.n_widened += 1;
                Force::Hard
            }
        };
        for selector in &selectors {
            let Ok(selector) = Selector::parse(selector) else { return self.widen() };
            if selector == Selector::All && force == Force::Hard {
                self.is_all = true;
                return;
            }
            for target in edge.targets(snapshot, &selector) {
                let event = Event { target, force };
                if !event.target.is_rule() {
                    self.events.push(event);
                } else if !self.rules.contains(&event) {
                    self.rules.push(event);
                }
            }
            if self.rules.len() > MAX_RULES || self.events.len() > MAX_TARGETS {
                return self.widen();
            }
        }
    }

    /// Everything in place of what cannot be told exactly.
    const fn widen(&mut self) {
        self.is_all = true;
        self.n_widened += 1;
    }

    const fn is_nothing(&self) -> bool {
        !self.is_all && self.events.is_empty() && self.rules.is_empty()
    }

    fn take(&mut self) -> Vec<Event> {
        let (mut events, rules) = (std::mem::take(&mut self.events), std::mem::take(&mut self.rules));
        if self.is_all {
            return vec![Event { target: Target::All, force: Force::Hard }];
        }
        events.extend(rules);
        events
    }
}

/// More of one batch would fill the tables, so that they could not tell it from everything either.
const MAX_TARGETS: usize = 1 << 18;

/// The data of `invalidation.requested`, version 1.
#[derive(Deserialize)]
struct Requested<'d> {
    selectors: Vec<String>,
    #[serde(borrow, default = "hard")]
    force: Cow<'d, str>,
}

/// As everywhere.
const fn hard() -> Cow<'static, str> {
    Cow::Borrowed("hard")
}

/// The data of `configuration.published`, version 1.
#[derive(Deserialize)]
struct Published {
    revision: u64,
}

impl Followed {
    /// The same as JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut json = serde_json::json!({
            "place": WrittenPlace::from(self.place),
            "applied": self.n_applied,
            "widened": self.n_widened,
            "durable": self.is_durable,
            "waits_for_configuration": null,
            "stopped_at": null,
        });
        match &self.stopped {
            Some(Stopped::WaitsForConfiguration { revision, .. }) => {
                json["waits_for_configuration"] = (*revision).into();
            }
            Some(Stopped::Unknown { position, kind, version }) => {
                json["stopped_at"] = serde_json::json!({ "position": position, "type": kind, "version": version });
            }
            None => {}
        }
        json.to_string()
    }
}

/// Reads a place.
///
/// # Errors
/// If it is none.
pub fn place_from_json(json: &str) -> Result<Place, FollowError> {
    serde_json::from_str::<WrittenPlace>(json)
        .map(Into::into)
        .map_err(|error| FollowError::Malformed(format!("its place: {error}")))
}

/// Writes a place.
#[must_use]
pub fn place_to_json(place: Place) -> String {
    place_to_value(place).to_string()
}

/// The same as a part of something larger.
#[must_use]
pub fn place_to_value(place: Place) -> serde_json::Value {
    serde_json::json!(WrittenPlace::from(place))
}
