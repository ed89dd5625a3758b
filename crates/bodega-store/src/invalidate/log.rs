//! The log that makes invalidations outlive the process: written, and on the disk, before they are acknowledged.
//!
//! One thread writes. What comes while it waits for the disk goes together with the next write (group commit). The file
//! begins with the whole state and goes on with events; once the events are long it is written anew, so that its size
//! is bounded. Where it cannot be written, invalidations are in force all the same, and say that they are not durable;
//! the whole state is written as soon as the disk takes it again. The same should the thread come to an end by a defect:
//! nobody waits for it, and nothing is durable any more.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bodega_semantics::Timestamp;
use parking_lot::{Condvar, Mutex};

use super::applied::{Applied, TooManyRules};
use super::event::Event;
use super::log_format::{
    Frame, Frames, Take, VERSION, VERSION_BEFORE, put, read_event, read_place, write_event, write_frame, write_place,
};
use super::place::Place;

/// What became of an invalidation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// Its number in the edge's sequence.
    pub number: u64,
    /// Whether it holds after a restart as well. Without a disk there is nothing that would.
    pub is_durable: bool,
}

/// Called once an invalidation is in force; not by the thread that asked for it.
pub type Done = Box<dyn FnOnce(Result<Committed, TooManyRules>) + Send>;

/// Takes what is worth a line in the edge's log, and whether it is a problem.
pub type Tell = Box<dyn Fn(bool, &str) + Send>;

/// The name of the file in the store's folder.
pub const FILE: &str = "invalidations.log";
const NEW_FILE: &str = "invalidations.new";
/// So much of events is in the file before it is written anew.
const MAX_EVENT_BYTES: u64 = 16 << 20;
/// What waits beyond this is left to the next writing of the whole state.
const MAX_QUEUED_EVENTS: usize = 1 << 17;
/// How many numbers may be given before that is on the disk.
const RESERVE: u64 = 1 << 18;
/// What need not be waited for is on the disk after this time.
const SYNC_AFTER: Duration = Duration::from_secs(1);
/// How often a disk that failed is tried again.
const RETRY_AFTER: Duration = if cfg!(test) { Duration::from_millis(20) } else { Duration::from_secs(5) };

/// The writing thread, from outside.
pub(super) struct Log {
    applied: Arc<Applied>,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    queue: Mutex<Queue>,
    wake: Condvar,
    is_durable: AtomicBool,
}

#[derive(Default)]
struct Queue {
    items: Vec<Item>,
    n_events: usize,
    /// Something was applied that is in no item.
    is_behind: bool,
    is_closed: bool,
    /// The thread has come to its end.
    is_over: bool,
}

struct Item {
    events: Vec<Event>,
    /// Where in a journal they lead.
    place: Option<Place>,
    time: Timestamp,
    state: State,
}

enum State {
    Applied(u64),
    /// To be applied once it is written; `None` once it was.
    Waits(Option<(Arc<Applied>, Done)>),
}

impl Item {
    /// Applies what waits for it; it remains to be said.
    fn apply(&mut self) -> Option<Unsaid> {
        let State::Waits(waits) = &mut self.state else { return None };
        let (applied, done) = waits.take()?;
        Some(Unsaid { done: Some(done), applied: applied.apply_up_to(&self.events, self.place, self.time) })
    }
}

impl Drop for Item {
    /// What was not written, since the thread came to its end, is in force all the same.
    fn drop(&mut self) {
        drop(self.apply());
    }
}

/// What is in force, and who asked for it does not know yet.
struct Unsaid {
    done: Option<Done>,
    applied: Result<u64, TooManyRules>,
}

impl Unsaid {
    fn say(&mut self, is_durable: bool) {
        if let Some(done) = self.done.take() {
            done(self.applied.map(|number| Committed { number, is_durable }));
        }
    }
}

impl Drop for Unsaid {
    fn drop(&mut self) {
        self.say(false);
    }
}

/// Held by the thread: whatever ends it, nobody waits for it any longer.
struct End(Arc<Shared>);

impl Drop for End {
    fn drop(&mut self) {
        let left = {
            let mut queue = self.0.queue.lock();
            queue.is_over = true;
            std::mem::take(&mut queue.items)
        };
        if std::thread::panicking() {
            self.0.is_durable.store(false, Ordering::Release);
        }
        drop(left);
    }
}

impl Log {
    /// Goes on with the state that `applied` has been brought to.
    pub(super) fn start(folder: &Path, applied: Arc<Applied>, tell: Tell) -> io::Result<Self> {
        let shared =
            Arc::new(Shared { queue: Mutex::default(), wake: Condvar::new(), is_durable: AtomicBool::new(true) });
        let mut writer = Writer {
            applied: Arc::clone(&applied),
            shared: Arc::clone(&shared),
            folder: folder.to_owned(),
            file: None,
            n_event_bytes: 0,
            has_unsynced: false,
            tried: None,
            tell,
        };
        // What is behind the end that could be read goes with that.
        writer.rewrite();
        let end = End(Arc::clone(&shared));
        let thread = std::thread::Builder::new().name("bodega-invalidate".to_owned()).spawn(move || {
            let _end = end;
            writer.run();
        })?;
        Ok(Self { applied, shared, thread: Some(thread) })
    }

    /// Has written what was applied already; waits for nothing.
    pub(super) fn note(&self, events: &[Event], time: Timestamp, number: u64) {
        let mut queue = self.shared.queue.lock();
        if queue.is_over {
            return;
        }
        if queue.n_events + events.len() > MAX_QUEUED_EVENTS {
            queue.is_behind = true;
        } else {
            queue.n_events += events.len();
            queue.items.push(Item { events: events.to_vec(), place: None, time, state: State::Applied(number) });
        }
        drop(queue);
        self.shared.wake.notify_one();
    }

    /// Applies once it is on the disk, and then calls `done`; at once, on this thread, where no other is left.
    pub(super) fn commit(&self, events: Vec<Event>, place: Option<Place>, time: Timestamp, done: Done) {
        let state = State::Waits(Some((Arc::clone(&self.applied), done)));
        let item = Item { events, place, time, state };
        let mut queue = self.shared.queue.lock();
        if queue.is_over {
            drop(queue);
            return drop(item);
        }
        queue.n_events += item.events.len();
        queue.items.push(item);
        drop(queue);
        self.shared.wake.notify_one();
    }

    pub(super) fn is_durable(&self) -> bool {
        self.shared.is_durable.load(Ordering::Acquire)
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.shared.queue.lock().is_closed = true;
        self.shared.wake.notify_one();
        if let Some(thread) = self.thread.take() {
            // A panic has been reported by the panic hook already.
            let _ = thread.join();
        }
    }
}

/// What was found where a log should be.
pub(super) enum Read {
    /// Everything that was acknowledged, and the highest number that may have been given.
    Whole(u64),
    /// Not everything; why, and the highest number that is known.
    Damaged(String, u64),
    Nothing,
}

/// Brings `applied` to what the log in `folder` says.
pub(super) fn read(folder: &Path, applied: &Applied) -> Read {
    let bytes = match fs::read(folder.join(FILE)) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Read::Nothing,
        Err(error) => return Read::Damaged(error.to_string(), 0),
    };
    let mut frames = Frames(&bytes);
    let Some((Frame::Head, head)) = frames.next() else {
        return Read::Damaged("it does not begin as one".to_owned(), 0);
    };
    let mut take = Take(head);
    match (take.u32(), take.u64()) {
        (Some(VERSION | VERSION_BEFORE), Some(check)) if check == applied.secret_check() => {}
        (Some(VERSION | VERSION_BEFORE), _) => return Read::Damaged("it is another store's".to_owned(), 0),
        (version, _) => return Read::Damaged(format!("it is of version {version:?}, not {VERSION}"), 0),
    }
    let mut reserved = match frames.next() {
        Some((Frame::State, state)) => match applied.restore_state(&mut Take(state)) {
            Some(reserved) => reserved,
            None => return Read::Damaged("its state makes no sense".to_owned(), 0),
        },
        _ => return Read::Damaged("its state cannot be read".to_owned(), 0),
    };
    for (frame, body) in frames.by_ref() {
        let mut take = Take(body);
        let (Frame::Events, Some(of_frame), Some(place)) = (frame, take.u64(), read_place(&mut take)) else {
            return Read::Damaged("it has a frame out of place".to_owned(), reserved);
        };
        reserved = reserved.max(of_frame);
        while !take.0.is_empty() {
            let Some(logged) = read_event(&mut take) else {
                return Read::Damaged("it has an event that makes no sense".to_owned(), reserved);
            };
            applied.restore(&logged);
        }
        if let Some(place) = place {
            applied.restore_place(place);
        }
    }
    // A group is written only after the one before it; a whole one behind the damage means that some are missing.
    if frames.has_later() {
        return Read::Damaged("it is damaged in its midst".to_owned(), reserved);
    }
    Read::Whole(reserved)
}

struct Writer {
    applied: Arc<Applied>,
    shared: Arc<Shared>,
    folder: PathBuf,
    /// Open at its end; `None` where the disk failed.
    file: Option<File>,
    n_event_bytes: u64,
    has_unsynced: bool,
    /// When the whole was last tried to be written, if that failed.
    tried: Option<Instant>,
    tell: Tell,
}

impl Writer {
    fn run(mut self) {
        loop {
            let (items, is_behind, is_closed) = self.wait();
            if is_behind {
                self.file = None;
                self.tried = None;
            }
            if !items.is_empty() || is_behind {
                self.write(items);
            } else {
                self.tidy();
            }
            if is_closed {
                return self.sync_at_last();
            }
            if self.n_event_bytes > MAX_EVENT_BYTES {
                self.rewrite();
            }
        }
    }

    fn wait(&self) -> (Vec<Item>, bool, bool) {
        let mut queue = self.shared.queue.lock();
        while queue.items.is_empty() && !queue.is_closed && !queue.is_behind {
            let timeout = match (&self.file, self.has_unsynced) {
                (None, _) => RETRY_AFTER,
                (_, true) => SYNC_AFTER,
                (_, false) => {
                    self.shared.wake.wait(&mut queue);
                    continue;
                }
            };
            if self.shared.wake.wait_for(&mut queue, timeout).timed_out() {
                break;
            }
        }
        queue.n_events = 0;
        (std::mem::take(&mut queue.items), std::mem::take(&mut queue.is_behind), queue.is_closed)
    }

    /// Nothing came for a while: what was not waited for goes to the disk, and one that failed is tried again.
    fn tidy(&mut self) {
        if self.file.is_none() {
            self.rewrite();
        } else if self.has_unsynced {
            let synced = self.file.as_ref().map_or(Ok(()), File::sync_data);
            self.has_unsynced = false;
            self.heed(synced);
        }
    }

    /// One group: written, on the disk, applied, acknowledged.
    fn write(&mut self, mut items: Vec<Item>) {
        let must_sync = items.iter().any(|item| matches!(item.state, State::Waits(_)));
        let written = self.append(&items, must_sync);
        self.heed(written);
        let mut applied: Vec<Unsaid> = items.iter_mut().filter_map(Item::apply).collect();
        if self.file.is_none() && self.tried.is_none_or(|tried| tried.elapsed() >= RETRY_AFTER) {
            self.rewrite();
        }
        let is_durable = self.file.is_some();
        applied.iter_mut().for_each(|unsaid| unsaid.say(is_durable));
    }

    fn append(&mut self, items: &[Item], must_sync: bool) -> io::Result<()> {
        let Some(file) = &mut self.file else { return Ok(()) };
        // Between the numbers of what was applied before and those that these will have once they are.
        let number = self.applied.draw_number();
        let mut bytes = Vec::new();
        write_frame(&mut bytes, Frame::Events, |out| {
            put(out, number + RESERVE);
            write_place(out, items.iter().rev().find_map(|item| item.place.as_ref()));
            for item in items {
                let number = match item.state {
                    State::Applied(number) => number,
                    State::Waits(_) => number,
                };
                item.events.iter().for_each(|event| write_event(out, number, item.time, event));
            }
        });
        file.write_all(&bytes)?;
        self.n_event_bytes += bytes.len() as u64;
        if must_sync {
            file.sync_data()?;
        }
        self.has_unsynced = !must_sync;
        Ok(())
    }

    /// Writes the whole state to a new file, which takes the place of the old one.
    fn rewrite(&mut self) {
        let written = self.write_state();
        self.tried = written.is_err().then(Instant::now);
        match written {
            Ok(file) => {
                self.file = Some(file);
                self.n_event_bytes = 0;
                self.has_unsynced = false;
                if !self.shared.is_durable.swap(true, Ordering::AcqRel) {
                    (self.tell)(false, "invalidations are durable again");
                }
            }
            Err(error) => self.heed(Err(error)),
        }
    }

    fn write_state(&self) -> io::Result<File> {
        let mut bytes = Vec::new();
        write_frame(&mut bytes, Frame::Head, |out| {
            out.extend_from_slice(&VERSION.to_le_bytes());
            put(out, self.applied.secret_check());
        });
        let reserved = self.applied.draw_number() + RESERVE;
        write_frame(&mut bytes, Frame::State, |out| self.applied.write_state(out, reserved));
        let (new, path) = (self.folder.join(NEW_FILE), self.folder.join(FILE));
        let mut file = OpenOptions::new().create(true).write(true).truncate(true).open(&new)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        fs::rename(&new, &path)?;
        File::open(&self.folder)?.sync_all()?;
        Ok(file)
    }

    /// Lets the file go where it failed: what is behind its end is not known any more.
    fn heed(&mut self, result: io::Result<()>) {
        let Err(error) = result else { return };
        self.file = None;
        if self.shared.is_durable.swap(false, Ordering::AcqRel) {
            let what = format!(
                "{}: {error}: invalidations are in force, but would not survive a restart",
                self.folder.join(FILE).display()
            );
            (self.tell)(true, &what);
        }
    }

    fn sync_at_last(self) {
        if let Some(file) = self.file.filter(|_| self.has_unsynced) {
            // There is nobody left to tell.
            let _ = file.sync_data();
        }
    }
}
