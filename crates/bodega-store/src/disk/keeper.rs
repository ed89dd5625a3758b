//! The thread that looks after the tier: tries a disk that failed, sees whether the directory is still the same, keeps
//! the heat, and reads through the slots slowly.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use parking_lot::{Condvar, Mutex};

use super::format::{Found, SUPERBLOCK_BYTES, Superblock};
use super::heat;
use super::tier::{PROBE, STORE, Tier, identity, read_bounded};
use super::types::VerifyReport;

/// What the thread looks after, and how it is told to end.
pub(super) struct Kept {
    pub(super) tier: ArcSwap<Tier>,
    pub(super) is_ending: Mutex<bool>,
    pub(super) ends: Condvar,
    /// Of the directory and the one above it, at the start: whether another file system was mounted there.
    pub(super) devices: (u64, u64),
}

/// Whether the directory is what it was.
enum Directory {
    Same,
    /// Empty, or with another store.
    Other,
    /// Not to be used now.
    Gone(String),
}

/// Looks until it is told to end.
pub(super) fn run(kept: &Kept, timing: &Timing) {
    let (mut looked, mut warmed, mut slot) = (Instant::now(), Instant::now(), 0);
    loop {
        let mut is_ending = kept.is_ending.lock();
        if !*is_ending {
            kept.ends.wait_for(&mut is_ending, timing.step);
        }
        if *is_ending {
            return;
        }
        drop(is_ending);
        let tier = kept.tier.load_full();
        if looked.elapsed() >= timing.look {
            looked = Instant::now();
            look(kept, &tier);
        }
        if !tier.is_open() {
            continue;
        }
        tier.keep_reserve();
        if warmed.elapsed() >= timing.heat {
            warmed = Instant::now();
            heat::keep(&tier);
        }
        slot = scrub(&tier, slot);
    }
}

/// How often what is done.
pub(super) struct Timing {
    pub(super) step: Duration,
    pub(super) look: Duration,
    pub(super) heat: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self { step: Duration::from_secs(1), look: Duration::from_secs(5), heat: Duration::from_secs(600) }
    }
}

/// Whether the directory is still the same and the disk is well; does what follows from that.
pub(super) fn look(kept: &Kept, tier: &Arc<Tier>) {
    match directory(kept, tier) {
        Directory::Same if tier.is_open() => {}
        Directory::Same => match probe(&tier.path) {
            Ok(()) => tier.health.turn_on(tier),
            Err(error) => tier.health.turn_off(tier, format!("a file cannot be written and read back: {error}")),
        },
        Directory::Gone(reason) => tier.health.turn_off(tier, reason),
        Directory::Other => {
            tier.health.turn_off(tier, "the directory was emptied or replaced".to_owned());
            // The secret stays: everything in memory goes by it.
            tier.close(Duration::ZERO);
            match Tier::open(&tier.options, &tier.events, tier.clock.now(), Some(tier.superblock.secret)) {
                Ok(new) if new.superblock.secret == tier.superblock.secret => {
                    new.tell(false, format!("{}: the disk tier is on again, and empty", new.path.display()));
                    kept.tier.store(new);
                }
                Ok(other) => {
                    other.close(Duration::from_secs(1));
                    tier.health
                        .turn_off(tier, "another edge's store is in the directory: restart to use it".to_owned());
                }
                Err(error) => tier.health.turn_off(tier, error.to_string()),
            }
        }
    }
}

fn directory(kept: &Kept, tier: &Tier) -> Directory {
    match devices(&tier.path) {
        Err(error) => return Directory::Gone(format!("the directory cannot be looked at: {error}")),
        Ok((own, above)) if own != kept.devices.0 && own == above && kept.devices.0 != kept.devices.1 => {
            return Directory::Gone("its file system is not mounted".to_owned());
        }
        Ok(_) => {}
    }
    let store = tier.path.join(STORE);
    match identity(&store) {
        Ok(found) if found == tier.files.identity => Directory::Same,
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Directory::Gone(format!("the store cannot be looked at: {error}"))
        }
        _ => match read_bounded(&store, 2 * SUPERBLOCK_BYTES as u64).map(|bytes| Superblock::decode(&bytes)) {
            Ok(Found::Ours(block)) if block.secret != tier.superblock.secret => {
                Directory::Gone("another edge's store is in the directory: restart to use it".to_owned())
            }
            _ => Directory::Other,
        },
    }
}

/// The devices of a directory and of the one above it.
pub(super) fn devices(path: &Path) -> io::Result<(u64, u64)> {
    Ok((fs::metadata(path)?.dev(), fs::metadata(path.join(".."))?.dev()))
}

/// Writes a small file and reads it back.
fn probe(path: &Path) -> io::Result<()> {
    let name = path.join(PROBE);
    let began = Instant::now();
    let tried = (|| {
        let mut file = fs::File::create(&name)?;
        file.write_all(PROBE.as_bytes())?;
        file.sync_all()?;
        let mut read = String::new();
        fs::File::open(&name)?.take(64).read_to_string(&mut read)?;
        if read != PROBE {
            return Err(io::Error::other("what was read is not what was written"));
        }
        if began.elapsed() > MAX_PROBE { Err(io::ErrorKind::TimedOut.into()) } else { Ok(()) }
    })();
    let _ = fs::remove_file(&name);
    tried
}

/// Checks one slot of those that have not been checked since the start, and says which is next.
fn scrub(tier: &Arc<Tier>, from: u32) -> u32 {
    let n_slots = tier.slots.usage().0;
    for slot in from..n_slots.min(from.saturating_add(MAX_PASSED)) {
        let is_new = tier.slots.slot(slot).is_some_and(|held| !held.is_checked(0..super::format::BLOCKS));
        if is_new && tier.slots.holder(slot).is_some() {
            tier.verify_slot(slot, &mut VerifyReport::default());
            return slot + 1;
        }
    }
    let next = from.saturating_add(MAX_PASSED);
    if next >= n_slots { 0 } else { next }
}

/// What takes longer is not well yet.
const MAX_PROBE: Duration = Duration::from_secs(1);
/// Slots that are passed over in one step.
const MAX_PASSED: u32 = 4096;
