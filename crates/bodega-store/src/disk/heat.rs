//! How often what is on disk was asked for, kept over a restart: what is lost of it costs a few misses, no more.
//!
//! One file, written whole now and then and at a clean stop; the hottest first, as far as there is room.

use std::sync::atomic::Ordering;

use super::format::{self, HEAT_MAGIC, Put};
use super::tier::{HEAT, Tier, read_bounded, write_whole};

const ENTRY_BYTES: u64 = 17;
const SLOT_BYTES: u64 = 13;
const HEADER_BYTES: u64 = 24;
/// Of the tier.
const SHARE: u64 = 256;

/// Writes it. False: that failed, which changes nothing.
pub(super) fn keep(tier: &Tier) -> bool {
    if !tier.recovery.is_done.load(Ordering::SeqCst) {
        return true;
    }
    let mut entries = Vec::new();
    tier.index.each(|key, place, hits| {
        if hits > 0 && !place.is_pending() {
            entries.push((hits, key));
        }
    });
    let mut slots = Vec::new();
    for slot in 0..tier.slots.usage().0 {
        if let Some(held) = tier.slots.slot(slot).filter(|held| held.hits() > 0)
            && let Some((object, _)) = tier.slots.holder(slot)
        {
            slots.push((slot, object.number, held.hits()));
        }
    }
    let room = (tier.options.size_bytes / SHARE).saturating_sub(HEADER_BYTES + slots.len() as u64 * SLOT_BYTES);
    entries.sort_unstable_by_key(|(hits, _)| std::cmp::Reverse(*hits));
    entries.truncate(usize::try_from(room / ENTRY_BYTES).unwrap_or(usize::MAX));
    let mut bytes = Vec::new();
    bytes.u32(HEAT_MAGIC);
    bytes.u32(0);
    bytes.u64(entries.len() as u64);
    bytes.u64(slots.len() as u64);
    for (hits, key) in entries {
        bytes.key(key);
        bytes.u8(hits);
    }
    for (slot, object, hits) in slots {
        bytes.u32(slot);
        bytes.u64(object);
        bytes.u8(hits);
    }
    format::seal(&mut bytes);
    write_whole(&tier.path, HEAT, &bytes).is_ok()
}

/// Gives everything that was found the heat it had. A file that is damaged is none.
pub(super) fn warm(tier: &Tier) {
    let most = tier.options.size_bytes / SHARE + HEADER_BYTES;
    let Ok(bytes) = read_bounded(&tier.path.join(HEAT), most) else { return };
    let _ = warm_from(tier, &bytes);
}

fn warm_from(tier: &Tier, bytes: &[u8]) -> Option<()> {
    let mut take = format::unseal(bytes, HEAT_MAGIC)?;
    let (n_entries, n_slots) = (take.u64()?, take.u64()?);
    for _ in 0..n_entries {
        tier.index.warm(take.key()?, take.u8()?);
    }
    for _ in 0..n_slots {
        let (slot, object, hits) = (take.u32()?, take.u64()?, take.u8()?);
        if tier.slots.holder(slot).is_some_and(|(holder, _)| holder.number == object)
            && let Some(slot) = tier.slots.slot(slot)
        {
            slot.warm(hits);
        }
    }
    Some(())
}
