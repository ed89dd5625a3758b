//! Directories that cannot be used, and those that change.

use super::*;

fn refused(path: &Path) -> DiskError {
    match Disk::open(options(path, 32 * MIB), NOW, Box::new(|_| ())) {
        Ok(_) => panic!("it was taken"),
        Err(error) => error,
    }
}

#[test]
fn a_directory_in_use_is_refused_until_it_is_given_back() {
    let directory = tempfile::tempdir().unwrap();
    let disk = open(directory.path(), 32 * MIB);
    let error = refused(directory.path());
    assert!(matches!(error, DiskError::Locked { pid: Some(pid), .. } if pid == std::process::id()), "{error}");
    assert!(error.to_string().contains("in use by another edge"), "{error}");
    // An entry that somebody still holds does not keep it.
    put_large(&disk, 1, MIB);
    flush(&disk);
    let entry = load(&disk, key(1)).unwrap();
    drop(disk);
    let disk = open(directory.path(), 32 * MIB);
    assert!(disk.holds(key(1)));
    assert!(!disk_body(&entry).has(0), "the tier that it was of is over");
    assert!(matches!(disk_body(&entry).try_read(0, 1), Read::Missing));
}

#[test]
fn a_store_of_another_version_is_refused_or_begun_anew() {
    let directory = tempfile::tempdir().unwrap();
    let disk = open(directory.path(), 32 * MIB);
    disk.offer(&small(1, 10), true);
    flush(&disk);
    drop(disk);
    let store = directory.path().join("store");
    let mut bytes = std::fs::read(&store).unwrap();
    for copy in [0, format::SUPERBLOCK_BYTES] {
        bytes[copy + 8] = 77;
    }
    std::fs::write(&store, bytes).unwrap();
    let error = refused(directory.path());
    assert!(matches!(error, DiskError::Version { found: 77, expected: format::VERSION, .. }), "{error}");
    assert!(error.to_string().contains("disk.rebuild = true"), "{error}");
    let options = DiskOptions { rebuild: true, ..options(directory.path(), 32 * MIB) };
    let disk = Disk::open(options, NOW, Box::new(|_| ())).unwrap();
    wait_until(|| disk.is_recovered());
    assert_eq!(disk.usage().n_entries, 0);
    disk.offer(&small(1, 10), true);
    flush(&disk);
    assert!(disk.holds(key(1)));
}

#[test]
fn a_directory_of_something_else_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("letter.txt"), "dear").unwrap();
    let error = refused(directory.path());
    assert!(matches!(error, DiskError::NotAStore { .. }), "{error}");
    let file = directory.path().join("letter.txt");
    let error = refused(&file);
    assert!(matches!(error, DiskError::System { .. }), "{error}");
    assert_eq!(std::fs::read(file).unwrap(), b"dear");
}

#[test]
fn a_tier_that_is_too_small_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let error = Disk::open(options(directory.path(), MIB), NOW, Box::new(|_| ())).err().unwrap();
    assert!(error.to_string().contains("give it at least"), "{error}");
    drop(open(directory.path(), tier::LEAST_BYTES));
}

#[test]
fn only_the_user_of_the_edge_can_read_what_is_there() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let disk = open(directory.path(), 32 * MIB);
    flush(&disk);
    drop(disk);
    for entry in std::fs::read_dir(directory.path()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o077, 0, "{:?}", entry.file_name());
    }
}

fn looks_often(path: &Path) -> Arc<Disk> {
    let often = Duration::from_millis(1);
    let timing = Timing { step: often, look: often, heat: Duration::from_secs(60) };
    let disk = Disk::open_with(options(path, 32 * MIB), NOW, Box::new(|_| ()), timing).unwrap();
    wait_until(|| disk.is_recovered());
    disk
}

#[test]
fn a_directory_that_was_emptied_is_a_new_tier_with_the_same_secret() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("tier");
    let disk = looks_often(&path);
    let secret = disk.secret();
    disk.offer(&small(1, 10), true);
    put_large(&disk, 2, MIB);
    flush(&disk);
    let body = disk_body(&load(&disk, key(2)).unwrap());
    std::fs::rename(&path, directory.path().join("away")).unwrap();
    wait_until(|| !disk.usage().is_up);
    assert!(matches!(disk.try_load(key(1)), TryLoad::Missing));
    std::fs::create_dir(&path).unwrap();
    wait_until(|| disk.usage().is_up && disk.is_recovered());
    assert!(!disk.holds(key(1)) && !body.has(0));
    assert_eq!(disk.secret(), secret);
    disk.offer(&small(1, 10), true);
    flush(&disk);
    assert!(load(&disk, key(1)).is_some());
    drop(disk);
    assert_eq!(open(&path, 32 * MIB).secret(), secret);
}

#[test]
fn another_store_in_its_place_is_not_touched() {
    let directory = tempfile::tempdir().unwrap();
    let (path, other) = (directory.path().join("tier"), directory.path().join("other"));
    let disk = open(&other, 32 * MIB);
    disk.offer(&small(1, 10), true);
    flush(&disk);
    drop(disk);
    let disk = looks_often(&path);
    std::fs::rename(&path, directory.path().join("away")).unwrap();
    std::fs::rename(&other, &path).unwrap();
    wait_until(|| disk.usage().reason.is_some_and(|reason| reason.contains("another edge's store")));
    assert!(!disk.usage().is_up);
    assert_eq!(disk.offer(&small(1, 10), true), Offered::Off);
    drop(disk);
    assert!(open(&path, 32 * MIB).holds(key(1)));
}

#[test]
fn a_disk_that_keeps_everybody_waiting_is_off_until_it_is_well() {
    let directory = tempfile::tempdir().unwrap();
    let (tell, told) = mpsc::channel();
    let often = Duration::from_millis(1);
    let timing = Timing { step: often, look: often, heat: Duration::from_secs(60) };
    let tell = Box::new(move |event: DiskEvent| tell.send(event.message).unwrap_or_default());
    let disk = Disk::open_with(options(directory.path(), 32 * MIB), NOW, tell, timing).unwrap();
    let found = told.recv().unwrap();
    assert!(found.contains("0 entries on disk"), "{found}");
    for _ in 0..5 {
        disk.gave_up();
    }
    let off = told.recv().unwrap();
    assert!(off.contains("reading failed 5 times in a row: timed out"), "{off}");
    let on = told.recv().unwrap();
    assert!(on.contains("is on again"), "{on}");
    wait_until(|| disk.is_up());
}
