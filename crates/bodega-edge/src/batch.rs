//! A batch of a journal's events, as the control process encodes it once for all followers.
//!
//! Reads and checks what holds whoever follows: the form, the bounds, that positions have no gap. What the events mean
//! is in `follow.rs`. An event's data are read only where they are needed.

use std::borrow::Cow;

use bodega_store::invalidate::Place;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::follow::FollowError;
use crate::place::{Digits, digits};

/// The longest batch.
pub(crate) const MAX_BATCH_BYTES: usize = 16 << 20;
/// The most events of one.
pub(crate) const MAX_BATCH_EVENTS: usize = 10_000;

/// Consecutive events of a journal.
#[derive(Deserialize)]
pub(crate) struct Batch<'b> {
    journal: Digits<16>,
    epoch: Digits<8>,
    /// The position before the first event.
    after: u64,
    #[serde(borrow)]
    events: Vec<Told<'b>>,
    /// The chain after the last event.
    chain: Digits<16>,
}

/// An event, as far as a follower needs it.
#[derive(Deserialize)]
pub(crate) struct Told<'b> {
    pub(crate) position: u64,
    #[serde(rename = "type", borrow)]
    pub(crate) kind: Cow<'b, str>,
    pub(crate) version: u64,
    /// What to do where the type or its version is not known.
    #[serde(borrow)]
    pub(crate) unless_known: Cow<'b, str>,
    #[serde(borrow)]
    pub(crate) data: &'b RawValue,
    chain: Option<Digits<16>>,
}

impl<'b> Batch<'b> {
    pub(crate) fn read(bytes: &'b [u8]) -> Result<Self, FollowError> {
        if bytes.len() > MAX_BATCH_BYTES {
            return malformed(format!("it has {} bytes, and {MAX_BATCH_BYTES} is the most", bytes.len()));
        }
        let batch: Self = serde_json::from_slice(bytes).or_else(|error| malformed(error.to_string()))?;
        if batch.events.len() > MAX_BATCH_EVENTS {
            return malformed(format!("it has {} events, and {MAX_BATCH_EVENTS} is the most", batch.events.len()));
        }
        let mut last = batch.after;
        for event in &batch.events {
            if last.checked_add(1) != Some(event.position) {
                return malformed(format!("position {} comes after {last}", event.position));
            }
            last = event.position;
        }
        Ok(batch)
    }

    /// The events that come after `place`.
    pub(crate) fn since(&self, place: &Place) -> Result<&[Told<'b>], FollowError> {
        let Place { position, .. } = *place;
        if self.journal.0 != place.journal {
            return parted("journal", &place.journal, &self.journal.0);
        }
        if self.epoch.0 != place.epoch {
            return parted("epoch", &place.epoch, &self.epoch.0);
        }
        if self.after > position {
            return Err(FollowError::Gap { position, after: self.after });
        }
        let n_known = usize::try_from(position - self.after).unwrap_or(usize::MAX);
        let (known, new) = self.events.split_at(n_known.min(self.events.len()));
        // The same place by another chain is in a journal that calls itself by the same name, and is not this one.
        let there = match known.last() {
            _ if n_known == self.events.len() => Some(self.chain),
            Some(last) if last.position == position => last.chain,
            _ => None,
        };
        match there {
            Some(chain) if chain.0 != place.chain => {
                parted(&format!("chain at position {position}"), &place.chain, &chain.0)
            }
            _ => Ok(new),
        }
    }

    /// The place that the first `n_applied` of the events after `place` lead to: the last one whose chain is known.
    pub(crate) fn place_after(&self, place: Place, n_applied: usize) -> Place {
        let n_known = usize::try_from(place.position - self.after).unwrap_or(usize::MAX);
        let new = self.events.get(n_known..).unwrap_or_default();
        if n_applied == new.len() {
            let last = new.last().map(|event| (event.position, self.chain));
            return last.map_or(place, |(position, chain)| Place { position, chain: chain.0, ..place });
        }
        let applied = new.iter().take(n_applied).rev();
        let mut known = applied.filter_map(|event| event.chain.map(|chain| (event.position, chain)));
        known.next().map_or(place, |(position, chain)| Place { position, chain: chain.0, ..place })
    }
}

fn malformed<T>(why: String) -> Result<T, FollowError> {
    Err(FollowError::Malformed(why))
}

fn parted<T>(what: &str, ours: &[u8], theirs: &[u8]) -> Result<T, FollowError> {
    Err(FollowError::Parted(format!("{what} {}, and this edge is in {}", digits(theirs), digits(ours))))
}
