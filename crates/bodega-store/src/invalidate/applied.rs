//! What has been invalidated so far, and what of the store that reaches: the tables, the rules, the sequence.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use bodega_semantics::key::{self, KeySecret};
use bodega_semantics::{Timestamp, groups, tags};
use parking_lot::{Mutex, RwLock};

use super::event::{Event, Force, Target, Verdict};
use super::generations::MAX_NUMBER;
use super::log_format::{Logged, Take, force_code, force_of, put, put_count, put_text, read_place, write_place};
use super::place::Place;
use super::reached::{Marks, Newest, Reached};
use super::rules::Rules;
use super::times::Times;
use crate::entry::{Entry, Kind, Note};

/// Sets of eight places: 262,144 URLs and as many tags, 32,768 folders, 4,096 groups, 4,096 distributions.
const KEY_SETS: usize = 1 << 15;
const TAG_SETS: usize = 1 << 15;
const FOLDER_SETS: usize = 1 << 12;
const GROUP_SETS: usize = 1 << 9;
const DISTRIBUTION_SETS: usize = 1 << 9;

/// The most rules that are live at once.
pub const MAX_RULES: usize = 256;

/// The generations of one edge. Constant memory (5 MiB), whatever is purged.
pub struct Applied {
    secret: KeySecret,
    sequence: AtomicU64,
    all: Newest,
    distributions: Marks,
    keys: Marks,
    folders: Marks,
    tags: Marks,
    groups: Marks,
    url_rules: Rules,
    tag_rules: Rules,
    /// Who was not checked since these rules counts as reached by them: they are no longer in the lists.
    retired: Newest,
    /// Everything on disk has been examined up to this number.
    examined: AtomicU64,
    storing: RwLock<()>,
    times: Mutex<Times>,
    /// Held by whoever applies: the last number that was given. What waits for the disk has one that is not applied.
    given: Mutex<u64>,
    /// Where in a journal that is, if one is followed.
    place: Mutex<Option<Place>>,
}

/// There are as many pattern rules as may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyRules;

impl fmt::Display for TooManyRules {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{MAX_RULES} pattern rules are live, which is the most: try again once what they reach has been cleared \
             away, or invalidate by tag, by folder (`prefix:https://host/folder/`) or everything"
        )
    }
}

impl std::error::Error for TooManyRules {}

impl Applied {
    /// Nothing invalidated; the sequence begins at 1.
    pub(super) fn new(secret: KeySecret) -> Self {
        Self {
            secret,
            sequence: AtomicU64::new(1),
            all: Newest::default(),
            distributions: Marks::new(DISTRIBUTION_SETS),
            keys: Marks::new(KEY_SETS),
            folders: Marks::new(FOLDER_SETS),
            tags: Marks::new(TAG_SETS),
            groups: Marks::new(GROUP_SETS),
            url_rules: Rules::default(),
            tag_rules: Rules::default(),
            retired: Newest::default(),
            examined: AtomicU64::new(0),
            storing: RwLock::new(()),
            times: Mutex::default(),
            given: Mutex::new(1),
            place: Mutex::default(),
        }
    }

    /// The number of the last applied event: the stamp of a request that begins now.
    #[inline]
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.sequence.load(Ordering::Acquire)
    }

    /// What may be done with `entry`.
    #[inline]
    #[must_use]
    pub fn allows(&self, entry: &Entry) -> Verdict {
        if entry.checked() >= self.sequence() {
            return Verdict::Usable;
        }
        self.examine(entry)
    }

    /// Everything on disk has been examined up to this number. To be asked before something is read from there, which
    /// is then known to be untouched so far (`Entry::set_checked`): what is read while rules end may be neither.
    #[must_use]
    pub fn examined(&self) -> u64 {
        self.examined.load(Ordering::Acquire)
    }

    /// Held while something is put on disk, from before its last check: a walk over the disk begins with none held.
    #[must_use]
    pub fn storing(&self) -> impl Drop + '_ {
        // By those who hold it already as well: memory that makes room brings others to disk.
        self.storing.read_recursive()
    }

    /// Waits until what was checked before is on disk, where a walk finds it.
    pub fn wait_for_storing(&self) {
        drop(self.storing.write());
    }

    /// Whether a fill that began at `stamp`, for what `note` says, may be joined by who comes now. Its tags and groups
    /// are not known yet: any that were invalidated since may be its own.
    #[must_use]
    pub fn allows_to_join(&self, stamp: u64, note: Note<'_>) -> bool {
        if stamp >= self.sequence() {
            return true;
        }
        let mut reached = self.by_place(stamp, note);
        for newest in [self.tags.newest(), self.groups.newest(), self.tag_rules.newest(), &self.retired] {
            reached.join(newest.get());
        }
        reached.highest() <= stamp
    }

    /// Applies `events` at `now`, under one number, which it returns.
    pub(super) fn apply(&self, events: &[Event], now: Timestamp) -> Result<u64, TooManyRules> {
        self.apply_up_to(events, None, now)
    }

    /// The same for what leads to `place` in a journal.
    pub(super) fn apply_up_to(
        &self,
        events: &[Event],
        place: Option<Place>,
        now: Timestamp,
    ) -> Result<u64, TooManyRules> {
        let mut given = self.given.lock();
        self.check_room(events)?;
        if !events.is_empty() {
            *given += 1;
            let number = *given;
            for event in events {
                self.raise(event, number);
            }
            self.times.lock().add(number, now);
            if number >= MAX_NUMBER {
                // The tables hold no larger numbers.
                self.all.raise(Force::Hard, number);
            }
            self.sequence.store(number, Ordering::Release);
        }
        // Behind all that leads there.
        if place.is_some() {
            *self.place.lock() = place;
        }
        Ok(self.sequence())
    }

    /// Where in a journal what was applied ends, if one is followed.
    #[must_use]
    pub fn place(&self) -> Option<Place> {
        *self.place.lock()
    }

    /// A number for what is logged before it is applied: higher than the stamps of all that has begun.
    pub(super) fn draw_number(&self) -> u64 {
        let mut given = self.given.lock();
        *given += 1;
        *given
    }

    /// Goes on above `number`.
    pub(super) fn skip_to(&self, number: u64) {
        let mut given = self.given.lock();
        if number > *given {
            *given = number;
            self.sequence.store(number, Ordering::Release);
        }
    }

    /// Forgets everything up to `number`, and goes on above it.
    pub(super) fn distrust(&self, number: u64) {
        let mut given = self.given.lock();
        *given = (*given).max(number) + 1;
        self.all.raise(Force::Hard, *given);
        self.sequence.store(*given, Ordering::Release);
    }

    /// Whether there is room for the rules among `events`.
    pub(super) fn check_room(&self, events: &[Event]) -> Result<(), TooManyRules> {
        let n_new = events
            .iter()
            .filter(|event| match &event.target {
                Target::Urls(pattern) => !self.url_rules.has(pattern, event.force),
                Target::Tags(pattern) => !self.tag_rules.has(pattern, event.force),
                _ => false,
            })
            .count();
        let n_live = self.url_rules.len() + self.tag_rules.len();
        if n_new > 0 && n_live + n_new > MAX_RULES { Err(TooManyRules) } else { Ok(()) }
    }

    fn raise(&self, event: &Event, number: u64) {
        let force = event.force;
        match &event.target {
            Target::All => {
                self.all.raise(force, number);
                if force == Force::Hard {
                    // What was not tested against the rules by then is gone without them.
                    self.url_rules.retire(number);
                    self.tag_rules.retire(number);
                }
            }
            Target::Distribution(mark) => self.distributions.raise(*mark, force, number),
            Target::Key(mark) => self.keys.raise(*mark, force, number),
            Target::Folder(mark) => self.folders.raise(*mark, force, number),
            Target::Tag(mark) => self.tags.raise(*mark, force, number),
            Target::Group(mark) => self.groups.raise(*mark, force, number),
            Target::Urls(pattern) => self.url_rules.add(pattern, force, number),
            Target::Tags(pattern) => self.tag_rules.add(pattern, force, number),
        }
    }

    #[cold]
    fn examine(&self, entry: &Entry) -> Verdict {
        // Before all else: what is applied meanwhile is seen the next time.
        let (checked, known) = (self.sequence(), entry.checked());
        let mut reached = self.by_place(known, entry.note());
        reached.join(self.by_tags(known, entry));
        reached.join(self.retired.get());
        if reached.by(Force::Hard) > known {
            return Verdict::Gone;
        }
        let (soft, revalidate) = (reached.by(Force::Soft), reached.by(Force::Revalidate));
        if soft.max(revalidate) > known {
            match entry.kind {
                Kind::Answer | Kind::Part => {
                    let since = self.times.lock().of(soft.max(revalidate));
                    return Verdict::Stale { since, checked, has_windows: revalidate <= known };
                }
                // It is only a hint, and the answer may be another one now.
                Kind::Uncacheable => return Verdict::Gone,
                // It leads to answers, each of which is examined for itself.
                Kind::VaryNames => {}
            }
        }
        entry.set_checked(checked);
        Verdict::Usable
    }

    /// By what is known of something before the origin has answered.
    fn by_place(&self, known: u64, note: Note<'_>) -> Reached {
        let mut reached = self.all.get();
        let secret = &self.secret;
        let distribution = || std::iter::once_with(|| key::distribution_mark(secret, note.distribution()));
        reached.join(self.distributions.reached(known, distribution()));
        let (host, path, query) = note.url_parts();
        let of_url = std::iter::once_with(|| key::url_marks(secret, host, path, query));
        reached.join(self.keys.reached(known, of_url.flat_map(|marks| [marks.path, marks.url])));
        reached.join(self.folders.reached(known, key::folder_marks(secret, host, path)));
        let (url, _) = note.url().split_once('?').unwrap_or((note.url(), ""));
        reached.join(self.url_rules.reached(known, std::iter::once(url)));
        reached
    }

    fn by_tags(&self, known: u64, entry: &Entry) -> Reached {
        let note = entry.note();
        // Found here and not in what is stored, so that it holds for what was stored before, too.
        let of_model = |tag| tags::model_of(tag).map(|model| key::model_mark(&self.secret, model));
        let marks = note.tags().flat_map(|tag| [Some(key::tag_mark(&self.secret, tag)), of_model(tag)]);
        let mut reached = self.tags.reached(known, marks.flatten());
        reached.join(self.tag_rules.reached(known, note.tags()));
        if entry.has_groups {
            let (host, ..) = note.url_parts();
            let marks = std::iter::once_with(|| groups::marks(&self.secret, host, entry, groups::GROUPS)).flatten();
            reached.join(self.groups.reached(known, marks));
        }
        reached
    }

    /// The number of live pattern rules.
    #[must_use]
    pub fn n_rules(&self) -> usize {
        self.url_rules.len() + self.tag_rules.len()
    }

    /// Whether pattern rules up to `number` are live.
    #[must_use]
    pub fn has_rules_up_to(&self, number: u64) -> bool {
        [&self.url_rules, &self.tag_rules]
            .into_iter()
            .any(|rules| rules.oldest().is_some_and(|oldest| oldest <= number))
    }

    /// Everything stored has been examined up to `examined`: ends the pattern rules up to `number`, which is not more.
    /// What has not after all, as it is being fetched or read, counts as reached.
    pub fn retire_rules(&self, examined: u64, number: u64) {
        let _one_at_a_time = self.given.lock();
        self.examined.fetch_max(examined, Ordering::AcqRel);
        for rules in [&self.url_rules, &self.tag_rules] {
            // Before they leave the list, so that nobody finds neither.
            let Some(oldest) = rules.oldest() else { continue };
            if oldest <= number {
                let last = rules.last_of(number);
                Force::ALL.into_iter().for_each(|force| self.retired.raise(force, last.by(force)));
                rules.retire(number);
            }
        }
    }
}

/// The state as the log has it.
impl Applied {
    /// Tells whether a log was written under this secret.
    pub(super) fn secret_check(&self) -> u64 {
        key::tag_mark(&self.secret, "the log of invalidations")
    }

    /// Writes everything. Events that come meanwhile may be in it or not; they are logged once more behind it.
    pub(super) fn write_state(&self, out: &mut Vec<u8>, reserved: u64) {
        put(out, reserved);
        // Before all that leads there.
        write_place(out, self.place().as_ref());
        put(out, self.examined.load(Ordering::Acquire));
        for newest in [&self.all, &self.retired] {
            newest.write(out);
        }
        for marks in self.marks() {
            marks.write(out);
        }
        // Copied first: rules end at any time, by another thread.
        let rules = [(0, self.url_rules.copy()), (1, self.tag_rules.copy())];
        put_count(out, rules.iter().map(|(_, rules)| rules.len()).sum());
        for (over, rules) in rules {
            for rule in rules {
                out.extend_from_slice(&[over, force_code(rule.force)]);
                put(out, rule.number);
                put_text(out, &rule.pattern);
            }
        }
        self.times.lock().write(out);
    }

    /// Reads what `write_state` wrote, and returns the reserved number.
    pub(super) fn restore_state(&self, take: &mut Take<'_>) -> Option<u64> {
        let reserved = take.u64()?;
        *self.place.lock() = read_place(take)?;
        self.examined.store(take.u64()?, Ordering::Release);
        for newest in [&self.all, &self.retired] {
            newest.restore(take)?;
        }
        for marks in self.marks() {
            marks.restore(take)?;
        }
        for _ in 0..take.u32()? {
            let (over, force) = (take.u8()?, force_of(take.u8()?)?);
            let rules = if over == 0 { &self.url_rules } else { &self.tag_rules };
            let number = take.u64()?;
            rules.add(&take.text()?, force, number);
        }
        *self.times.lock() = Times::read(take)?;
        take.0.is_empty().then_some(reserved)
    }

    /// Applies what was logged, under its own number and in whatever order.
    pub(super) fn restore(&self, logged: &Logged) {
        let Logged { number, time, event } = logged;
        if event.target.is_rule() && self.n_rules() >= MAX_RULES {
            // More were logged than there is room for: what they did not reach is lost with them.
            self.retired.raise(event.force, *number);
            return;
        }
        self.raise(event, *number);
        self.times.lock().add(*number, *time);
    }

    /// Goes on at `place`, to which everything logged before has led.
    pub(super) fn restore_place(&self, place: Place) {
        *self.place.lock() = Some(place);
    }

    const fn marks(&self) -> [&Marks; 5] {
        [&self.distributions, &self.keys, &self.folders, &self.tags, &self.groups]
    }
}
