use std::time::Duration;

use bodega_semantics::Key;
use bodega_semantics::storable::Terms;

use bodega_semantics::{groups, key};

use super::event::{Force, Target, Verdict};
use super::*;
use crate::entry::{Entry, Kind, NewEntry, Note};

const SECRET: KeySecret = KeySecret([1; 16]);
const NOW: Timestamp = Timestamp::from_seconds(1000);

fn stored(kind: Kind, stamp: u64, note: &[u8], block: &[u8]) -> Entry {
    let new = NewEntry {
        key: Key(1),
        stamp,
        terms: Terms::default(),
        revision: 1,
        kind,
        status: 200,
        for_user: false,
        status_line: b"HTTP/1.1 200 OK\r\n",
        block,
        note,
    };
    Entry::inline(&new, b"")
}

fn entry(stamp: u64, distribution: &str, url: &str, tags: &[&str]) -> Entry {
    stored(Kind::Answer, stamp, &Note::write(distribution, url, tags.iter().copied()), b"")
}

/// Which of `entries` an event on `target` reaches: those that are gone after it was hard are stale after it was soft.
fn reached(target: &Target, entries: &[(&str, &str, &[&str])]) -> Vec<bool> {
    let ask = |force: Force| -> Vec<bool> {
        let invalidations = Invalidations::new(SECRET);
        let stored: Vec<Entry> = entries
            .iter()
            .map(|(distribution, url, tags)| entry(invalidations.sequence(), distribution, url, tags))
            .collect();
        assert!(stored.iter().all(|entry| invalidations.allows(entry) == Verdict::Usable));
        let number = invalidations.apply(&[Event { target: target.clone(), force }], NOW).unwrap();
        let expected = match force {
            Force::Hard => Verdict::Gone,
            Force::Soft => Verdict::Stale { since: NOW, checked: number, has_windows: true },
            Force::Revalidate => Verdict::Stale { since: NOW, checked: number, has_windows: false },
        };
        let reached = stored
            .iter()
            .map(|entry| {
                let verdict = invalidations.allows(entry);
                assert!(verdict == expected || verdict == Verdict::Usable, "{verdict:?}");
                verdict == expected
            })
            .collect();
        // What begins afterwards is not reached, wherever it is.
        for (distribution, url, tags) in entries {
            assert_eq!(invalidations.allows(&entry(number, distribution, url, tags)), Verdict::Usable);
        }
        reached
    };
    let hard = ask(Force::Hard);
    assert_eq!(hard, ask(Force::Soft), "{target:?}");
    assert_eq!(hard, ask(Force::Revalidate), "{target:?}");
    hard
}

#[test]
fn each_target_reaches_what_it_names_and_nothing_else() {
    let url = |url: &str| {
        let (scope, query) = url.split_once('?').unwrap_or((url, ""));
        let (host, path) = scope.split_at(scope.find('/').unwrap());
        key::url_marks(&SECRET, host, path, query)
    };
    let folder = |host, path| Target::Folder(key::folder_marks(&SECRET, host, path).last().unwrap());
    let tag = |tag| Target::Tag(key::tag_mark(&SECRET, tag));
    let entries: &[(&str, &str, &[&str])] = &[
        ("shop", "shop.test/", &["a"]),
        ("shop", "shop.test/img/a.webp", &["a", "user:1:x"]),
        ("shop", "shop.test/img/a.webp?w=1", &["b"]),
        ("shop", "shop.test/img", &["aa"]),
        ("shop", "shop.test/img/b/c.png", &["user:12:x"]),
        ("blog", "blog.test/img/a.webp", &[]),
    ];
    let rows: &[(&str, Target, [u8; 6])] = &[
        ("everything", Target::All, [1, 1, 1, 1, 1, 1]),
        ("a distribution", Target::Distribution(key::distribution_mark(&SECRET, "shop")), [1, 1, 1, 1, 1, 0]),
        ("a path, with every query", Target::Key(url("shop.test/img/a.webp").path), [0, 1, 1, 0, 0, 0]),
        ("a URL", Target::Key(url("shop.test/img/a.webp").url), [0, 1, 0, 0, 0, 0]),
        ("a URL with a query", Target::Key(url("shop.test/img/a.webp?w=1").url), [0, 0, 1, 0, 0, 0]),
        ("a folder", folder("shop.test", "/img/"), [0, 1, 1, 0, 1, 0]),
        ("the root", folder("shop.test", "/"), [1, 1, 1, 1, 1, 0]),
        ("a folder below", folder("shop.test", "/img/b/"), [0, 0, 0, 0, 1, 0]),
        ("a tag", tag("a"), [1, 1, 0, 0, 0, 0]),
        ("no tag of anything", tag("c"), [0; 6]),
        ("a pattern over URLs", Target::Urls("shop.test/*.webp".into()), [0, 1, 1, 0, 0, 0]),
        ("a pattern over hosts", Target::Urls("*/img/a.webp".into()), [0, 1, 1, 0, 0, 1]),
        ("a prefix within a segment", Target::Urls("shop.test/img*".into()), [0, 1, 1, 1, 1, 0]),
        ("a pattern over tags", Target::Tags("user:1:*".into()), [0, 1, 0, 0, 0, 0]),
        ("a pattern that is no tag's end", Target::Tags("user:1*".into()), [0, 1, 0, 0, 1, 0]),
    ];
    for (name, target, expected) in rows {
        assert_eq!(reached(target, entries), expected.map(|one| one == 1), "{name}");
    }
}

#[test]
fn groups_are_read_from_the_head() {
    let invalidations = Invalidations::new(SECRET);
    let with = |value: &str| {
        let block = format!("Cache-Groups: {value}\r\n");
        stored(Kind::Answer, invalidations.sequence(), b"shop\nshop.test/a", block.as_bytes())
    };
    let (one, other, none) = (with("\"one\""), with("\"other\""), entry(1, "shop", "shop.test/a", &[]));
    let mut names = bodega_semantics::Fields::new();
    names.push("Cache-Group-Invalidation", b"\"one\"");
    let marks = groups::marks(&SECRET, "shop.test", &names, groups::INVALIDATION);
    invalidations.apply(&[Event { target: Target::Group(marks[0]), force: Force::Hard }], NOW).unwrap();
    assert_eq!(invalidations.allows(&one), Verdict::Gone);
    assert_eq!((invalidations.allows(&other), invalidations.allows(&none)), (Verdict::Usable, Verdict::Usable));
}

#[test]
fn a_fill_whose_tags_are_not_known_is_not_joined_after_any_tag_was_invalidated() {
    let note = Note::write("shop", "shop.test/a/b", []);
    let other = key::url_marks(&SECRET, "shop.test", "/other", "");
    for (target, may_join) in [
        (Target::Tag(7), false),
        (Target::Tags("x*".into()), false),
        (Target::Group(7), false),
        (Target::All, false),
        (Target::Key(key::url_marks(&SECRET, "shop.test", "/a/b", "").path), false),
        (Target::Key(other.path), true),
        (Target::Urls("other.test/*".into()), true),
        (Target::Urls("shop.test/*".into()), false),
        (Target::Distribution(key::distribution_mark(&SECRET, "blog")), true),
    ] {
        for force in Force::ALL {
            let invalidations = Invalidations::new(SECRET);
            let stamp = invalidations.sequence();
            assert!(invalidations.allows_to_join(stamp, Note(&note)));
            invalidations.apply(&[Event { target: target.clone(), force }], NOW).unwrap();
            assert_eq!(invalidations.allows_to_join(stamp, Note(&note)), may_join, "{target:?}");
            assert!(invalidations.allows_to_join(invalidations.sequence(), Note(&note)));
        }
    }
}

#[test]
fn an_entry_that_was_examined_is_not_examined_again() {
    let invalidations = Invalidations::new(SECRET);
    let entry = entry(invalidations.sequence(), "shop", "shop.test/a", &["t"]);
    let number = invalidations.apply(&[Event { target: Target::Tag(1), force: Force::Hard }], NOW).unwrap();
    assert_eq!((invalidations.allows(&entry), entry.checked()), (Verdict::Usable, number));
    // More tags than the table holds, each of which it is examined for in time: none is mistaken for its own.
    for mark in 0..500_000_u64 {
        let mark = mark.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        invalidations.apply(&[Event { target: Target::Tag(mark), force: Force::Hard }], NOW).unwrap();
        if mark % 1024 == 0 {
            assert_eq!(invalidations.allows(&entry), Verdict::Usable);
        }
    }
}

#[test]
fn soft_then_hard_is_hard_and_markers_do_not_go_stale() {
    let invalidations = Invalidations::new(SECRET);
    let note = Note::write("shop", "shop.test/a", []);
    let of = |kind| stored(kind, 1, &note, b"");
    let apply = |force| invalidations.apply(&[Event { target: Target::All, force }], NOW).unwrap();
    let (answer, names, hint) = (of(Kind::Answer), of(Kind::VaryNames), of(Kind::Uncacheable));
    apply(Force::Soft);
    assert!(matches!(invalidations.allows(&answer), Verdict::Stale { .. }));
    assert!(matches!(invalidations.allows(&answer), Verdict::Stale { .. }), "as often as it is asked");
    assert_eq!((invalidations.allows(&names), invalidations.allows(&hint)), (Verdict::Usable, Verdict::Gone));
    apply(Force::Hard);
    assert!([answer, names].iter().all(|entry| invalidations.allows(entry) == Verdict::Gone));
}

#[test]
fn what_has_to_be_confirmed_has_no_stale_windows_whatever_else_reaches_it() {
    let (soft, revalidate, hard) = (Force::Soft, Force::Revalidate, Force::Hard);
    for (forces, expected) in [
        (&[soft][..], Some(true)),
        (&[revalidate], Some(false)),
        (&[revalidate, soft], Some(false)),
        (&[soft, revalidate], Some(false)),
        (&[revalidate, hard], None),
        (&[hard, revalidate], None),
    ] {
        for at_once in [true, false] {
            let invalidations = Invalidations::new(SECRET);
            let old = entry(1, "shop", "shop.test/a", &[]);
            let events: Vec<Event> = forces.iter().map(|force| Event { target: Target::All, force: *force }).collect();
            for some in events.chunks(if at_once { events.len() } else { 1 }) {
                invalidations.apply(some, NOW).unwrap();
            }
            match (invalidations.allows(&old), expected) {
                (Verdict::Stale { has_windows, .. }, Some(expected)) => assert_eq!(has_windows, expected, "{forces:?}"),
                (verdict, expected) => assert_eq!((verdict, expected), (Verdict::Gone, None), "{forces:?}"),
            }
            let (names, hint) = (stored(Kind::VaryNames, 1, b"", b""), stored(Kind::Uncacheable, 1, b"", b""));
            let is_hard = expected.is_none();
            assert_eq!(invalidations.allows(&names) == Verdict::Gone, is_hard, "{forces:?}");
            assert_eq!(invalidations.allows(&hint), Verdict::Gone, "{forces:?}");
        }
    }
}

#[test]
fn everything_makes_room_for_other_rules() {
    let invalidations = Invalidations::new(SECRET);
    let rule = |number: usize| Event { target: Target::Urls(format!("h{number}/*").into()), force: Force::Hard };
    let (old, new) = (entry(1, "shop", "h1/a", &[]), entry(10_000, "shop", "h1/a", &[]));
    for number in 0..MAX_RULES {
        invalidations.apply(&[rule(number)], NOW).unwrap();
    }
    for force in [Force::Soft, Force::Revalidate] {
        invalidations.apply(&[Event { target: Target::All, force }], NOW).unwrap();
        assert_eq!(invalidations.n_rules(), MAX_RULES, "{force:?} says less than the rules");
    }
    invalidations.apply(&[Event { target: Target::All, force: Force::Hard }], NOW).unwrap();
    assert_eq!(invalidations.n_rules(), 0);
    assert_eq!((invalidations.allows(&old), invalidations.allows(&new)), (Verdict::Gone, Verdict::Usable));
    invalidations.apply(&[rule(MAX_RULES)], NOW).unwrap();
}

#[test]
fn rules_are_few_and_one_more_is_refused_whole() {
    let invalidations = Invalidations::new(SECRET);
    let rule = |number: usize| Event { target: Target::Urls(format!("h{number}/*").into()), force: Force::Hard };
    for number in 0..MAX_RULES {
        invalidations.apply(&[rule(number)], NOW).unwrap();
    }
    let before = invalidations.sequence();
    let all = Event { target: Target::All, force: Force::Hard };
    assert_eq!(invalidations.apply(&[all.clone(), rule(MAX_RULES)], NOW), Err(TooManyRules));
    assert_eq!(invalidations.sequence(), before, "nothing was applied");
    assert!(invalidations.apply(&[rule(3), all], NOW).is_ok(), "the same again takes no place");
    assert_eq!(invalidations.n_rules(), 0, "what was not tested against them is gone without them");
}

#[test]
fn a_retired_rule_reaches_what_was_not_examined() {
    for force in Force::ALL {
        let invalidations = Invalidations::new(SECRET);
        let of = |url| entry(1, "shop", url, &[]);
        let (examined, not, new) = (of("shop.test/a"), of("shop.test/b"), of("shop.test/c"));
        let rule = Event { target: Target::Urls("other.test/*".into()), force };
        let number = invalidations.apply(&[rule], NOW).unwrap();
        assert_eq!(invalidations.allows(&examined), Verdict::Usable);
        assert!(invalidations.has_rules_up_to(number));
        // Nothing stored has been examined: what has not looks as if it were reached.
        invalidations.retire_rules(0, number);
        assert_eq!((invalidations.n_rules(), invalidations.has_rules_up_to(number)), (0, false));
        invalidations.apply(&[Event { target: Target::Tag(1), force: Force::Hard }], NOW).unwrap();
        assert_eq!(invalidations.allows(&examined), Verdict::Usable);
        assert_ne!(invalidations.allows(&not), Verdict::Usable);
        assert!(!invalidations.allows_to_join(1, new.note()));
        // What is read from a disk on which all has been examined is known to be untouched so far.
        invalidations.retire_rules(number, number);
        new.set_checked(invalidations.examined());
        assert_eq!(invalidations.allows(&new), Verdict::Usable);
    }
}

#[test]
fn what_is_soft_is_stale_since_its_own_time() {
    let invalidations = Invalidations::new(SECRET);
    let entry = entry(1, "shop", "shop.test/a", &["t"]);
    let later = NOW.plus(Duration::from_secs(60));
    let tag = key::tag_mark(&SECRET, "t");
    invalidations.apply(&[Event { target: Target::Tag(tag), force: Force::Soft }], NOW).unwrap();
    invalidations.apply(&[Event { target: Target::Tag(tag + 1), force: Force::Soft }], later).unwrap();
    assert!(matches!(invalidations.allows(&entry), Verdict::Stale { since, .. } if since == NOW));
}
