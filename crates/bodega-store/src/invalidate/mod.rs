//! Invalidation by generation: a purge raises numbers, a lookup compares them with the entry's stamp.
//!
//! An event takes the next number of the edge's own sequence. Its generation is raised *before* the sequence is
//! published, so that whoever reads the new number is after the purge, and whoever reads the old one is stamped
//! too old to be used: a race invalidates too much, never too little.
//! Tables have a fixed size and err to the same side. An entry remembers up to which number it was found untouched, so
//! that a hit is one comparison, and no entry is tested twice against the same.
//! With a disk, an event is logged there before it is applied, and applied before it is acknowledged.

mod applied;
pub mod event;
mod generations;
mod log;
mod log_format;
mod place;
mod reached;
mod rules;
mod times;

use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;

use bodega_semantics::Timestamp;
use bodega_semantics::key::KeySecret;
use parking_lot::Mutex;

pub use self::applied::{Applied, MAX_RULES, TooManyRules};
use self::event::Event;
pub use self::log::{Committed, Done, FILE, Tell};
use self::log::{Log, Read};
pub use self::place::Place;

/// The invalidations of one edge.
pub struct Invalidations {
    applied: Arc<Applied>,
    log: Option<Log>,
    /// How far numbers may have gone that a log which could not be read has lost.
    lost: Mutex<Option<u64>>,
}

impl Invalidations {
    /// Nothing invalidated, and nothing that outlives the process. `secret` is that of all keys.
    #[must_use]
    pub fn new(secret: KeySecret) -> Self {
        Self { applied: Arc::new(Applied::new(secret)), log: None, lost: Mutex::new(None) }
    }

    /// Goes on with what is logged in the store's `folder`, which is new if nothing was stored there. What cannot be
    /// read makes everything that is stored count as invalidated. `tell` takes what people should know; `now` is the
    /// time.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn open(folder: &Path, secret: KeySecret, is_new: bool, now: Timestamp, tell: Tell) -> std::io::Result<Self> {
        let mut applied = Applied::new(secret);
        let mut lost = None;
        match log::read(folder, &applied) {
            Read::Whole(reserved) => applied.skip_to(reserved + 1),
            Read::Nothing if is_new => {}
            found => {
                let (why, known) = match found {
                    Read::Damaged(why, known) => (why, known),
                    Read::Nothing | Read::Whole(_) => ("it is not there".to_owned(), 0),
                };
                let what = folder.join(FILE);
                tell(true, &format!("{}: {why}: everything stored before counts as invalidated", what.display()));
                applied = Applied::new(secret);
                // Above whatever was given before: nobody invalidates so often, by day and by night, for decades.
                let number = known.max(now.seconds() * NUMBERS_PER_SECOND);
                applied.distrust(number);
                lost = Some(number);
            }
        }
        let applied = Arc::new(applied);
        let log = Log::start(folder, Arc::clone(&applied), tell)?;
        Ok(Self { applied, log: Some(log), lost: Mutex::new(lost) })
    }

    /// Applies `events` at `now`, under one number, which it returns. Waits for nothing; after a restart they hold if
    /// they have been written meanwhile.
    ///
    /// # Errors
    /// If there were more rules than may be; nothing is applied then.
    pub fn apply(&self, events: &[Event], now: Timestamp) -> Result<u64, TooManyRules> {
        let number = self.applied.apply(events, now)?;
        if let Some(log) = &self.log {
            log.note(events, now, number);
        }
        Ok(number)
    }

    /// Applies `events` once they are on the disk, and then calls `done`, on whatever thread.
    pub fn commit_then(&self, events: Vec<Event>, now: Timestamp, done: Done) {
        self.commit_up_to_then(events, None, now, done);
    }

    fn commit_up_to_then(&self, events: Vec<Event>, place: Option<Place>, now: Timestamp, done: Done) {
        match (&self.log, self.applied.check_room(&events)) {
            (Some(log), Ok(())) => log.commit(events, place, now, done),
            (None, Ok(())) => {
                let number = self.applied.apply_up_to(&events, place, now);
                done(number.map(|number| Committed { number, is_durable: true }));
            }
            (_, Err(error)) => done(Err(error)),
        }
    }

    /// The same as `commit_then`, waiting for it. Not for a thread that serves.
    ///
    /// # Errors
    /// If there were more rules than may be; nothing is applied then.
    pub fn commit(&self, events: Vec<Event>, now: Timestamp) -> Result<Committed, TooManyRules> {
        self.commit_up_to(events, None, now)
    }

    /// The same for what leads to `place` in a journal: after a crash both are there, or neither.
    ///
    /// # Errors
    /// If there were more rules than may be; nothing is applied then.
    pub fn commit_up_to(
        &self,
        events: Vec<Event>,
        place: Option<Place>,
        now: Timestamp,
    ) -> Result<Committed, TooManyRules> {
        let (sender, receiver) = std::sync::mpsc::sync_channel(1);
        self.commit_up_to_then(
            events.clone(),
            place,
            now,
            Box::new(move |committed| {
                // Nobody leaves before it has come.
                let _ = sender.send(committed);
            }),
        );
        // Whoever waits is told, whatever becomes of the writing thread. Were he not, it would be in force all the same.
        let alone = |_| {
            let applied = self.applied.apply_up_to(&events, place, now);
            applied.map(|number| Committed { number, is_durable: false })
        };
        receiver.recv().unwrap_or_else(alone)
    }

    /// Whether there is a disk on which invalidations outlive the process.
    #[must_use]
    pub const fn has_log(&self) -> bool {
        self.log.is_some()
    }

    /// Whether invalidations outlive the process; without a disk there is nothing to which that would matter.
    #[must_use]
    pub fn is_durable(&self) -> bool {
        self.log.as_ref().is_none_or(Log::is_durable)
    }

    /// To be called once all stamps on the disk are known, `newest` the highest of them.
    pub fn heed_stored(&self, newest: u64, now: Timestamp) {
        match self.lost.lock().take() {
            Some(number) if newest >= number => {
                self.applied.skip_to(newest);
                // What was invalidated is not known any more, so everything is; of rules there are none.
                let all = Event { target: event::Target::All, force: event::Force::Hard };
                let _ = self.apply(&[all], now);
            }
            _ => self.applied.skip_to(newest),
        }
    }
}

impl Deref for Invalidations {
    type Target = Applied;

    #[inline]
    fn deref(&self) -> &Applied {
        &self.applied
    }
}

/// Two hundred years of them fit below the highest number.
const NUMBERS_PER_SECOND: u64 = 128;

#[cfg(test)]
mod log_tests;
#[cfg(test)]
mod tests;
