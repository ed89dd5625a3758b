use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use bodega_semantics::storable::Terms;
use bodega_semantics::{Key, key};

use super::event::{Force, Target, Verdict};
use super::*;
use crate::entry::{Entry, Kind, NewEntry, Note};

const SECRET: KeySecret = KeySecret([1; 16]);
const NOW: Timestamp = Timestamp::from_seconds(1000);

type Told = Arc<Mutex<Vec<(bool, String)>>>;

/// A folder and what was said about it.
struct Place {
    folder: tempfile::TempDir,
    told: Told,
}

impl Place {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), told: Told::default() }
    }

    fn open(&self, is_new: bool) -> Invalidations {
        let told = Arc::clone(&self.told);
        let tell: Tell = Box::new(move |is_problem, what| told.lock().push((is_problem, what.to_owned())));
        Invalidations::open(self.folder.path(), SECRET, is_new, NOW, tell).unwrap()
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join(FILE)
    }

    fn problems(&self) -> Vec<String> {
        self.told.lock().iter().filter(|(is_problem, _)| *is_problem).map(|(_, what)| what.clone()).collect()
    }
}

fn entry(stamp: u64, url: &str, tags: &[&str]) -> Entry {
    let note = Note::write("shop", url, tags.iter().copied());
    let new = NewEntry {
        key: Key(1),
        stamp,
        terms: Terms::default(),
        revision: 1,
        kind: Kind::Answer,
        status: 200,
        for_user: false,
        status_line: b"HTTP/1.1 200 OK\r\n",
        block: b"",
        note: &note,
    };
    Entry::inline(&new, b"")
}

fn event(target: Target, force: Force) -> Vec<Event> {
    vec![Event { target, force }]
}

fn tag(name: &str) -> Target {
    Target::Tag(key::tag_mark(&SECRET, name))
}

fn is_gone(invalidations: &Invalidations, stamp: u64, tag: &str) -> bool {
    invalidations.allows(&entry(stamp, "shop.test/a", &[tag])) == Verdict::Gone
}

#[test]
fn every_kind_holds_after_a_restart_and_stamps_go_on_above() {
    let path = key::url_marks(&SECRET, "shop.test", "/img/a", "").path;
    let folder = key::folder_marks(&SECRET, "shop.test", "/img/").last().unwrap();
    for target in [
        Target::All,
        Target::Distribution(key::distribution_mark(&SECRET, "shop")),
        Target::Key(path),
        Target::Folder(folder),
        tag("t"),
        Target::Urls("shop.test/*a".into()),
        Target::Tags("t*".into()),
    ] {
        for force in Force::ALL {
            for ends_cleanly in [true, false] {
                let place = Place::new();
                let invalidations = place.open(true);
                let stamp = invalidations.sequence();
                let committed = invalidations.commit(event(target.clone(), force), NOW).unwrap();
                assert!(committed.is_durable && committed.number > stamp);
                let after = invalidations.sequence();
                let copy = fs::read(place.file()).unwrap();
                drop(invalidations);
                if !ends_cleanly {
                    // What was on the disk when it was acknowledged.
                    fs::write(place.file(), copy).unwrap();
                }
                let again = place.open(false);
                assert!(again.sequence() > after);
                let old = again.allows(&entry(stamp, "shop.test/img/a", &["t"]));
                match force {
                    Force::Hard => assert_eq!(old, Verdict::Gone, "{target:?}"),
                    Force::Soft | Force::Revalidate => {
                        let expected = force == Force::Soft;
                        let is_stale =
                            matches!(old, Verdict::Stale { since: NOW, has_windows, .. } if has_windows == expected);
                        assert!(is_stale, "{target:?} {old:?}");
                    }
                }
                let other = entry(stamp, "blog.test/b", &["u"]);
                let is_hit = matches!(target, Target::All | Target::Distribution(_));
                assert_eq!(again.allows(&other) != Verdict::Usable, is_hit, "{target:?}");
                let new = entry(after, "shop.test/img/a", &["t"]);
                assert_eq!(again.allows(&new), Verdict::Usable, "{target:?}: what began afterwards");
                assert!(place.problems().is_empty(), "{:?}", place.problems());
            }
        }
    }
}

#[test]
fn what_was_not_waited_for_is_written_in_the_end() {
    let place = Place::new();
    let invalidations = place.open(true);
    let stamp = invalidations.sequence();
    let number = invalidations.apply(&event(tag("t"), Force::Hard), NOW).unwrap();
    drop(invalidations);
    let again = place.open(false);
    assert!(is_gone(&again, stamp, "t") && !is_gone(&again, number, "t"));
}

#[test]
fn a_torn_end_is_left_out_wherever_it_was_torn() {
    let place = Place::new();
    let invalidations = place.open(true);
    let stamp = invalidations.sequence();
    invalidations.commit(event(tag("one"), Force::Hard), NOW).unwrap();
    let whole = fs::read(place.file()).unwrap();
    invalidations.commit(event(tag("two"), Force::Hard), NOW).unwrap();
    let torn = fs::read(place.file()).unwrap();
    drop(invalidations);
    assert!(torn.len() > whole.len());
    for length in whole.len()..torn.len() {
        for garbage in [&[][..], &[0xff; 40]] {
            fs::write(place.file(), [&torn[..length], garbage].concat()).unwrap();
            let again = place.open(false);
            assert!(is_gone(&again, stamp, "one"), "{length}");
            assert!(!is_gone(&again, stamp, "two"), "{length}: never acknowledged");
            assert!(!is_gone(&again, stamp, "three"), "{length}");
        }
    }
    assert!(place.problems().is_empty(), "{:?}", place.problems());
}

fn at(position: u64) -> super::Place {
    super::Place { journal: [1; 16], epoch: [2; 8], position, chain: [3; 16] }
}

#[test]
fn what_was_followed_and_how_far_are_lost_or_kept_together() {
    let place = Place::new();
    let invalidations = place.open(true);
    assert_eq!(invalidations.place(), None);
    let stamp = invalidations.sequence();
    assert!(invalidations.commit_up_to(event(tag("one"), Force::Hard), Some(at(4)), NOW).unwrap().is_durable);
    let before = fs::read(place.file()).unwrap().len();
    let two = [event(tag("two"), Force::Hard), event(Target::Tags("two*".into()), Force::Soft)].concat();
    assert!(invalidations.commit_up_to(two, Some(at(9)), NOW).unwrap().is_durable);
    assert_eq!(invalidations.place(), Some(at(9)));
    let whole = fs::read(place.file()).unwrap();
    drop(invalidations);
    assert!(whole.len() > before);
    for length in before..=whole.len() {
        for garbage in [&[][..], &[0xff; 40]] {
            fs::write(place.file(), [&whole[..length], garbage].concat()).unwrap();
            let again = place.open(false);
            let is_kept = length == whole.len();
            assert_eq!(again.place(), Some(at(if is_kept { 9 } else { 4 })), "{length}");
            assert_eq!(is_gone(&again, stamp, "two"), is_kept, "{length}");
            assert!(is_gone(&again, stamp, "one") && !is_gone(&again, stamp, "three"), "{length}");
        }
    }
    assert!(place.problems().is_empty(), "{:?}", place.problems());
}

#[test]
fn where_a_follower_is_stays_known_whatever_comes_after_it() {
    let place = Place::new();
    let invalidations = place.open(true);
    // Nothing is invalidated on the way: the place alone.
    assert!(invalidations.commit_up_to(Vec::new(), Some(at(0)), NOW).unwrap().is_durable);
    drop(invalidations);
    // Each start writes the whole state anew.
    let invalidations = place.open(false);
    assert_eq!(invalidations.place(), Some(at(0)));
    invalidations.commit_up_to(Vec::new(), Some(at(7)), NOW).unwrap();
    invalidations.commit(event(tag("by hand"), Force::Hard), NOW).unwrap();
    invalidations.apply(&event(tag("by a client"), Force::Hard), NOW).unwrap();
    drop(invalidations);
    for _ in 0..2 {
        assert_eq!(place.open(false).place(), Some(at(7)));
    }
    let mut damaged = fs::read(place.file()).unwrap();
    damaged[20] ^= 1;
    fs::write(place.file(), damaged).unwrap();
    assert_eq!(place.open(false).place(), None, "what is not known is not claimed");
}

#[test]
fn damage_anywhere_else_makes_everything_count_as_invalidated_and_is_told() {
    let place = Place::new();
    let invalidations = place.open(true);
    let stamp = invalidations.sequence();
    invalidations.commit(event(tag("one"), Force::Hard), NOW).unwrap();
    let before_last = fs::read(place.file()).unwrap().len();
    let last = invalidations.commit(event(tag("two"), Force::Hard), NOW).unwrap().number;
    drop(invalidations);
    let whole = fs::read(place.file()).unwrap();
    for at in 0..before_last {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x10;
        fs::write(place.file(), damaged).unwrap();
        let again = place.open(false);
        assert!(is_gone(&again, stamp, "three") && is_gone(&again, last, "three"), "{at}");
        assert!(!is_gone(&again, again.sequence(), "one"), "{at}: it goes on");
        let problems = std::mem::take(&mut *place.told.lock());
        assert!(problems.len() == 1 && problems[0].1.contains("counts as invalidated"), "{at} {problems:?}");
    }
}

#[test]
fn a_log_that_is_missing_or_another_stores_is_not_believed() {
    let place = Place::new();
    let missing = place.open(false);
    assert!(is_gone(&missing, 100_000, "t"));
    assert!(place.problems()[0].contains("it is not there"));
    drop(missing);
    let tell: Tell = Box::new(|_, what| assert!(what.contains("another store"), "{what}"));
    let other = Invalidations::open(place.folder.path(), KeySecret([2; 16]), false, NOW, tell).unwrap();
    assert!(is_gone(&other, 100_000, "t"));
    // Stamps that nobody expected are found on the disk later.
    let far = other.sequence() + 1_000_000;
    assert!(!is_gone(&other, far, "t"));
    other.heed_stored(far, NOW);
    assert!(is_gone(&other, far, "t") && other.sequence() > far);
}

#[test]
fn the_file_stays_small_and_forgets_nothing() {
    let place = Place::new();
    let invalidations = place.open(true);
    let stamp = invalidations.sequence();
    invalidations.commit(event(tag("first"), Force::Hard), NOW).unwrap();
    invalidations.commit(event(Target::Urls("other.test/*".into()), Force::Hard), NOW).unwrap();
    for round in 0..1200_u64 {
        let mark = |number: u64| (round * 1000 + number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let many = (0..1000).map(|number| Event { target: Target::Key(mark(number)), force: Force::Hard }).collect();
        invalidations.commit(many, NOW).unwrap();
    }
    let n_bytes = fs::metadata(place.file()).unwrap().len();
    assert!(n_bytes < 24 << 20, "{n_bytes}: over a million of 26 bytes were written");
    drop(invalidations);
    let again = place.open(false);
    assert!(is_gone(&again, stamp, "first") && again.n_rules() == 1);
    assert!(fs::metadata(place.file()).unwrap().len() < 4 << 20, "the state alone");
    assert!(place.problems().is_empty(), "{:?}", place.problems());
}

#[test]
fn a_disk_that_fails_is_told_of_and_taken_back_with_all_that_came_meanwhile() {
    let place = Place::new();
    let invalidations = place.open(true);
    let stamp = invalidations.sequence();
    let (folder, away) = (place.folder.path().to_owned(), place.folder.path().with_extension("away"));
    fs::rename(&folder, &away).unwrap();
    // The open file is still written, until it has to be written anew.
    let mut last = Committed { number: 0, is_durable: true };
    for round in 0..2000_u64 {
        let many = (0..1000).map(|number| Event { target: Target::Key(round << 20 | number), force: Force::Hard });
        last = invalidations.commit(many.collect(), NOW).unwrap();
        if !last.is_durable {
            break;
        }
    }
    assert!(!last.is_durable && !invalidations.is_durable());
    let meanwhile = invalidations.commit(event(tag("meanwhile"), Force::Hard), NOW).unwrap();
    assert!(!meanwhile.is_durable && is_gone(&invalidations, stamp, "meanwhile"), "in force all the same");
    fs::rename(&away, &folder).unwrap();
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    while !invalidations.is_durable() {
        assert!(std::time::Instant::now() < deadline);
        std::thread::yield_now();
    }
    assert_eq!(place.problems().len(), 1, "{:?}", place.problems());
    drop(invalidations);
    assert!(is_gone(&place.open(false), stamp, "meanwhile"));
}

#[test]
fn many_at_once_share_the_disk_and_each_holds_once_it_is_acknowledged() {
    let place = Place::new();
    let invalidations = Arc::new(place.open(true));
    let threads: Vec<_> = (0..8)
        .map(|thread| {
            let invalidations = Arc::clone(&invalidations);
            std::thread::spawn(move || {
                for number in 0..50 {
                    let name = format!("{thread}-{number}");
                    let stamp = invalidations.sequence();
                    let committed = invalidations.commit(event(tag(&name), Force::Hard), NOW).unwrap();
                    assert!(committed.is_durable && invalidations.sequence() >= committed.number);
                    assert!(is_gone(&invalidations, stamp, &name));
                    assert!(!is_gone(&invalidations, committed.number, &name));
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    drop(invalidations);
    let again = place.open(false);
    assert!((0..8).all(|thread| (0..50).all(|number| is_gone(&again, 1, &format!("{thread}-{number}")))));
}

/// Goes on writing until it is told to panic, once the first invalidation is to be acknowledged.
fn panics_when_told(invalidations: &Invalidations) -> std::sync::mpsc::Sender<()> {
    let (tell, told) = std::sync::mpsc::channel::<()>();
    let (begin, begun) = std::sync::mpsc::channel();
    let done: Done = Box::new(move |_| {
        begin.send(()).unwrap();
        told.recv().unwrap();
        panic!("a defect, on purpose");
    });
    invalidations.commit_then(event(tag("before"), Force::Hard), NOW, done);
    begun.recv().unwrap();
    tell
}

#[test]
fn nobody_waits_for_a_thread_that_has_come_to_its_end_and_everything_is_in_force() {
    let place = Place::new();
    let invalidations = Arc::new(place.open(true));
    let stamp = invalidations.sequence();
    let tell = panics_when_told(&invalidations);
    // Some wait in the queue, in their order, and are told by the end of the thread.
    let (answer, answered) = std::sync::mpsc::channel();
    for number in 0..5_u64 {
        let answer = answer.clone();
        let done: Done = Box::new(move |committed| answer.send((number, committed.unwrap())).unwrap());
        invalidations.commit_up_to_then(event(tag(&number.to_string()), Force::Hard), Some(at(number)), NOW, done);
    }
    invalidations.apply(&event(tag("by a client"), Force::Hard), NOW).unwrap();
    tell.send(()).unwrap();
    let told: Vec<(u64, Committed)> = (0..5).map(|_| answered.recv_timeout(Duration::from_secs(60)).unwrap()).collect();
    assert!(told.iter().map(|(number, _)| *number).eq(0..5));
    assert!(told.iter().all(|(_, committed)| !committed.is_durable));
    assert!(told.windows(2).all(|pair| pair[0].1.number < pair[1].1.number));
    assert_eq!(invalidations.place(), Some(at(4)));
    // Others come later.
    let later = invalidations.commit_up_to(event(tag("later"), Force::Hard), Some(at(9)), NOW).unwrap();
    assert!(!later.is_durable && !invalidations.is_durable());
    assert!(later.number > told[4].1.number);
    assert_eq!(invalidations.place(), Some(at(9)));
    for name in ["before", "0", "1", "2", "3", "4", "by a client", "later"] {
        assert!(is_gone(&invalidations, stamp, name), "{name}");
    }
    assert!(!is_gone(&invalidations, stamp, "never"));
    let full =
        (0..=MAX_RULES).map(|number| Event { target: Target::Tags(format!("{number}*").into()), force: Force::Hard });
    assert_eq!(invalidations.commit(full.collect(), NOW), Err(TooManyRules), "as ever");
    // After a restart what was written is there, with the place before the rest: that is asked for again.
    drop(invalidations);
    let again = place.open(false);
    assert!(is_gone(&again, stamp, "before") && !is_gone(&again, stamp, "later"));
    assert_eq!(again.place(), None);
    assert!(again.is_durable() && again.commit(event(tag("later"), Force::Hard), NOW).unwrap().is_durable);
}

#[test]
fn a_log_of_the_version_before_is_read() {
    let place = Place::new();
    let invalidations = place.open(true);
    let stamp = invalidations.sequence();
    invalidations.commit(event(tag("t"), Force::Hard), NOW).unwrap();
    drop(invalidations);
    let written = fs::read(place.file()).unwrap();
    for (version, is_read) in [(1_u32, false), (2, true), (3, true), (4, false)] {
        let mut bytes = Vec::new();
        for (frame, body) in log_format::Frames(&written) {
            let mut body = body.to_vec();
            if matches!(frame, log_format::Frame::Head) {
                body[..4].copy_from_slice(&version.to_le_bytes());
            }
            log_format::write_frame(&mut bytes, frame, |out| out.extend_from_slice(&body));
        }
        fs::write(place.file(), bytes).unwrap();
        let again = place.open(false);
        assert!(is_gone(&again, stamp, "t"), "{version}");
        assert_eq!(!is_gone(&again, stamp, "u"), is_read, "{version}");
    }
    assert_eq!(place.problems().len(), 2, "{:?}", place.problems());
}
