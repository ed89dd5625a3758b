//! Processes that end at any moment, and disks that fail: in processes of their own, which this test binary starts
//! from itself.

use std::io::{BufRead, BufReader, Write as _};
use std::process::{Child, Command, Stdio};

use super::*;

const SIZE_BYTES: u64 = 96 * MIB;
const DIRECTORY: &str = "BODEGA_TEST_DISK";
const N_KEYS: u64 = 64;

/// Runs one of the tests below in a process of its own.
fn start(test: &str, directory: &Path, seed: u64) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("disk::tests::crash::{test}"), "--ignored", "--nocapture", "--test-threads", "1"])
        .env(DIRECTORY, directory)
        .env("BODEGA_TEST_SEED", seed.to_string())
        .stdout(Stdio::piped())
        .stdin(Stdio::null())
        .spawn()
        .unwrap()
}

fn directory_of_child() -> PathBuf {
    PathBuf::from(std::env::var_os(DIRECTORY).expect("only run by another test"))
}

/// What version `version` of a key holds.
fn size_of(number: u64, version: u64) -> u64 {
    if number.is_multiple_of(16) { MIB + 1 + version % 7 * 100_000 } else { 1 + (number * 31 + version * 997) % 40_000 }
}

fn content_of(number: u64, version: u64) -> Vec<u8> {
    content(number * 1_000_003 + version, size_of(number, version))
}

#[test]
#[ignore = "a part of `what_was_complete_is_found_after_kill_9`"]
fn writes_until_it_is_killed() {
    let disk = open(&directory_of_child(), SIZE_BYTES);
    let mut state: u64 = std::env::var("BODEGA_TEST_SEED").unwrap().parse().unwrap();
    // Later than those of all processes before it.
    let mut versions = vec![state << 20; N_KEYS as usize];
    let mut random = move |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let mut out = std::io::stdout();
    // Ends the line that the test runner has begun.
    writeln!(out).unwrap();
    loop {
        let mut written = Vec::new();
        for _ in 0..=random(12) {
            let number = random(N_KEYS);
            versions[number as usize] += 1;
            let version = versions[number as usize];
            // Before anything happens: what is not mentioned must still be what it was.
            writeln!(out, "begun {number}").unwrap();
            let bytes = content_of(number, version);
            let head = new(key(number), version);
            if random(10) == 0 {
                disk.remove(key(number));
                written.push(format!("removed {number} {version}"));
                continue;
            }
            let is_queued = if number.is_multiple_of(16) {
                let entry = disk.begin(&head, bytes.len() as u64).unwrap();
                let body = disk_body(&entry);
                (0..).zip(bytes.chunks(SLICE_BYTES)).all(|(slice, bytes)| body.put(slice, slice_of(bytes)))
            } else {
                disk.offer(&Entry::whole(&head, &bytes), true) == Offered::Queued
            };
            assert!(is_queued);
            written.push(format!("written {number} {version}"));
        }
        // Not always: what is in the middle of being written is what matters.
        if random(3) > 0 {
            flush(&disk);
            writeln!(out, "{}\nflushed", written.join("\n")).unwrap();
        }
    }
}

#[test]
fn what_was_complete_is_found_after_kill_9() {
    let n_rounds = std::env::var("BODEGA_KILL_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(20);
    let directory = tempfile::tempdir().unwrap();
    // For each key the version that was surely written, or `None` if it was removed; the last number; and whether all
    // of its slices were written.
    let mut known = vec![(None, 0, true); N_KEYS as usize];
    let mut n_checked = 0;
    for round in 0..n_rounds {
        let mut child = start("writes_until_it_is_killed", directory.path(), round + 1);
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut batch = Vec::new();
        let mut in_doubt = std::collections::HashSet::new();
        let mut see = |line: String, batch: &mut Vec<(Option<u64>, u64, u64)>| {
            let words: Vec<_> = line.split(' ').collect();
            match words[..] {
                ["flushed"] => {
                    for (found, number, version) in batch.drain(..) {
                        known[number as usize] = (found, version, true);
                        in_doubt.remove(&number);
                    }
                    return true;
                }
                ["begun", number] => _ = in_doubt.insert(number.parse::<u64>().unwrap()),
                ["written", number, version] => {
                    let version: u64 = version.parse().unwrap();
                    batch.push((Some(version), number.parse().unwrap(), version));
                }
                ["removed", number, version] => {
                    batch.push((None, number.parse().unwrap(), version.parse().unwrap()));
                }
                _ => {}
            }
            false
        };
        let mut n_flushed = 0;
        while n_flushed < 1 + round * 7 % 40 {
            let line = lines.next().expect("it ends only when it is killed").unwrap();
            n_flushed += u64::from(see(line, &mut batch));
        }
        // Somewhere in the middle.
        for _ in 0..round * 7919 % 300_000 {
            std::hint::spin_loop();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        for line in lines.map_while(Result::ok) {
            see(line, &mut batch);
        }

        let disk = open(directory.path(), SIZE_BYTES);
        for (number, (known, version, was_whole)) in (0..).zip(&mut known) {
            let mut is_found_whole = true;
            let found = load(&disk, key(number));
            let found_version = found.as_ref().map(|found| found.stamp);
            match (&found, &known) {
                (found, known) if !in_doubt.contains(&number) => assert_eq!(
                    found.as_ref().map(|found| found.stamp),
                    **known,
                    "round {round}: key {number}, of which nothing was changed"
                ),
                // Later ones may have been written, or half of them.
                (Some(found), known) => assert!(
                    found.stamp > *version || found_version == **known,
                    "round {round}: key {number} has {found_version:?}, and {known:?} was written at {version}"
                ),
                (None, _) => {}
            }
            if let Some(found) = found {
                let expected = content_of(number, found.stamp);
                if let Body::Disk(body) = found.body() {
                    assert_eq!(body.n_bytes(), expected.len() as u64);
                    for slice in (0..body.n_slices()).filter(|slice| body.has(*slice)) {
                        let from = u64::from(slice) * MIB;
                        let to = (from + MIB).min(body.n_bytes());
                        assert!(read(body, from, to) == expected[from as usize..to as usize], "round {round}");
                    }
                    let is_whole = (0..body.n_slices()).all(|slice| body.has(slice));
                    // What was being removed or replaced may have given its slots to others, before that was written.
                    assert!(
                        is_whole || !*was_whole || in_doubt.contains(&number),
                        "round {round}: key {number}, of which nothing was changed, lacks slices"
                    );
                    is_found_whole = is_whole;
                } else {
                    assert!(body_of(&found) == expected, "round {round}: key {number}");
                }
                n_checked += 1;
            }
            (*known, *version, *was_whole) = (found_version, found_version.unwrap_or(*version), is_found_whole);
        }
        assert_eq!(disk.usage().n_checksum_failures, 0, "round {round}");
    }
    assert!(n_checked > n_rounds * 10, "{n_checked} answers in {n_rounds} rounds");
}

/// Sets how large files of this process may become. Like a disk that takes nothing, it is an error that only the
/// system can make.
fn limit_files(n_bytes: u64) {
    let limit = libc::rlimit { rlim_cur: n_bytes, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: the call reads one `rlimit`; the signal that comes with the limit is ignored.
    unsafe {
        libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
        assert_eq!(libc::setrlimit(libc::RLIMIT_FSIZE, &raw const limit), 0);
    }
}

#[test]
#[ignore = "a part of `a_disk_that_takes_nothing_is_off_until_it_does`"]
fn meets_a_disk_that_takes_nothing() {
    let events = Arc::new(Mutex::new(Vec::new()));
    let often = Duration::from_millis(1);
    let timing = Timing { step: often, look: often, heat: Duration::from_secs(60) };
    let told = Arc::clone(&events);
    let tell: Events = Box::new(move |event| told.lock().push(event));
    let disk = Disk::open_with(options(&directory_of_child(), 32 * MIB), NOW, tell, timing).unwrap();
    disk.offer(&small(1, 1000), true);
    disk.offer(&small(2, 1000), true);
    put_large(&disk, 3, MIB);
    flush(&disk);
    limit_files(0);
    let body = disk_body(&load(&disk, key(3)).unwrap());
    let mut number = 10;
    wait_until(|| {
        number += 1;
        disk.offer(&small(number, 1000), true) == Offered::Off
    });
    assert!(!disk.usage().is_up && disk.usage().n_errors >= 5);
    assert!(disk.usage().reason.is_some());
    assert!(!disk.holds(key(1)) && matches!(disk.try_load(key(1)), TryLoad::Missing));
    assert!(disk.begin(&new(key(4), 1), MIB).is_none());
    assert!(!body.put(0, slice_of(&content(3, MIB))) && !body.has(0));
    // What is taken out meanwhile must not come back.
    disk.remove(key(2));
    limit_files(libc::RLIM_INFINITY);
    wait_until(|| disk.usage().is_up);
    assert!(disk.holds(key(1)) && !disk.holds(key(2)) && body.has(0));
    disk.offer(&small(5, 1000), true);
    put_large(&disk, 6, MIB);
    flush(&disk);
    assert!(load(&disk, key(5)).is_some());
    assert_eq!(read(&disk_body(&load(&disk, key(6)).unwrap()), 0, MIB), content(6, MIB));
    drop(disk);
    let told: Vec<_> = events.lock().iter().map(|event| (event.is_problem, event.message.clone())).collect();
    assert!(told.iter().any(|(is_problem, message)| *is_problem && message.contains("is off")), "{told:?}");
    assert!(told.iter().any(|(is_problem, message)| !is_problem && message.contains("is on again")), "{told:?}");
    let disk = open(&directory_of_child(), 32 * MIB);
    assert!(disk.holds(key(1)) && !disk.holds(key(2)) && disk.holds(key(5)));
    println!("it came to the end");
}

#[test]
fn a_disk_that_takes_nothing_is_off_until_it_does() {
    let directory = tempfile::tempdir().unwrap();
    let child = start("meets_a_disk_that_takes_nothing", directory.path(), 0);
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("it came to the end"), "{text}");
}

#[test]
fn the_reserve_of_the_file_system_is_not_touched() {
    let directory = tempfile::tempdir().unwrap();
    let options = DiskOptions { reserve_bytes: Some(u64::MAX), ..options(directory.path(), 32 * MIB) };
    let disk = Disk::open(options, NOW, Box::new(|_| ())).unwrap();
    disk.offer(&small(1, 1000), true);
    put_large(&disk, 2, MIB);
    flush(&disk);
    let usage = disk.usage();
    assert!(usage.is_up && usage.n_entries == 0 && usage.n_dropped >= 2, "{usage:?}");
    assert!(directory_bytes(directory.path()) < 100_000);
}

/// A file system of its own, where this user may make one.
fn with_own_file_system(run: impl FnOnce(&Path)) {
    let directory = tempfile::tempdir().unwrap();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=40m", "tmpfs"])
        .arg(directory.path())
        .stderr(Stdio::null())
        .status();
    if !mounted.is_ok_and(|status| status.success()) {
        println!("not run: this user may not mount a file system");
        return;
    }
    let ran = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(directory.path())));
    let _ = Command::new("umount").arg(directory.path()).status();
    if let Err(panic) = ran {
        std::panic::resume_unwind(panic);
    }
}

fn fill_with_small(disk: &Disk, n: u64) {
    for number in 0..n {
        while disk.offer(&small(number, 20_000), true) == Offered::Full {
            std::thread::yield_now();
        }
    }
    flush(disk);
}

#[test]
fn a_full_disk_keeps_what_it_has_and_goes_on() {
    with_own_file_system(|path| {
        let disk = open(path, 80 * MIB);
        fill_with_small(&disk, 4000);
        put_large(&disk, 5000, 4 * MIB);
        flush(&disk);
        let usage = disk.usage();
        assert!(usage.is_up, "{usage:?}");
        assert!(usage.n_segments > 5 && usage.n_evictions > 100, "{usage:?}");
        let found = load(&disk, key(3999)).unwrap();
        assert_eq!(body_of(&found), content(3999, 20_000));
    });
}

#[test]
fn space_is_given_back_when_others_need_the_reserve() {
    with_own_file_system(|path| {
        let timing = Timing { step: Duration::from_millis(1), ..Timing::default() };
        let options = DiskOptions { reserve_bytes: Some(8 * MIB), ..options(&path.join("tier"), 30 * MIB) };
        let disk = Disk::open_with(options, NOW, Box::new(|_| ()), timing).unwrap();
        fill_with_small(&disk, 600);
        put_large(&disk, 5000, 6 * MIB);
        flush(&disk);
        let before = disk.usage().used_bytes;
        let other = std::fs::File::create(path.join("other")).unwrap();
        let free = system::space(&other).unwrap().0;
        assert!(free >= 8 * MIB, "{free}");
        system::allocate(&other, 0, free - 2 * MIB).unwrap();
        wait_until(|| system::space(&other).unwrap().0 >= 8 * MIB);
        assert!(disk.usage().used_bytes < before);
        // What is left can be read, and more comes in.
        fill_with_small(&disk, 700);
        assert_eq!(body_of(&load(&disk, key(699)).unwrap()), content(699, 20_000));
        assert!(system::space(&other).unwrap().0 >= 7 * MIB);
        assert_eq!(disk.usage().n_checksum_failures, 0);
    });
}

#[test]
fn reads_that_would_pile_up_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let options = DiskOptions { n_readers: 1, ..options(directory.path(), 32 * MIB) };
    let disk = Disk::open(options, NOW, Box::new(|_| ())).unwrap();
    disk.offer(&small(1, 1000), true);
    flush(&disk);
    // The only thread that reads is held up, as by a disk that does not answer.
    let (let_go, held) = mpsc::channel::<()>();
    disk.load(key(1), Box::new(move |_| held.recv().unwrap()));
    let (done, results) = mpsc::channel();
    for _ in 0..6000 {
        let done = done.clone();
        disk.load(key(1), Box::new(move |entry| done.send(entry.is_some()).unwrap()));
    }
    assert!(disk.usage().n_reads_refused >= 1000);
    let_go.send(()).unwrap();
    let results: Vec<_> = results.iter().take(6000).collect();
    let n_refused = results.iter().filter(|is_there| !**is_there).count();
    assert_eq!(n_refused as u64, disk.usage().n_reads_refused);
}
