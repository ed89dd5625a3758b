//! Which slices of large bodies are under way, so that nobody asks an origin for what somebody else is fetching.

use std::sync::Arc;

use bodega_store::slice::SLICE_BYTES;
use hashbrown::HashMap;
use parking_lot::Mutex;

use crate::fill::Fill;

/// The slices under way, by object and number.
#[derive(Default)]
pub(crate) struct Flights(Mutex<HashMap<(u64, u32), Flight>>);

/// What brings a slice.
#[derive(Clone)]
pub(crate) struct Flight {
    pub(crate) fill: Arc<Fill>,
    /// Where in the whole body the fill begins.
    pub(crate) start: u64,
}

impl Flight {
    /// Whether who comes now can read the slice along: it has not broken off, and its window has not moved past it.
    /// What the window has left is on disk, unless the disk was too busy for it or has given it up again.
    fn still_has(&self, slice: u32) -> bool {
        let first = u64::from(slice) * SLICE_BYTES as u64;
        !self.fill.has_failed() && self.fill.base() <= first.saturating_sub(self.start)
    }
}

/// Takes a fill's slices out when it is over.
pub(crate) struct Landing {
    flights: Arc<Flights>,
    object: u64,
    fill: Arc<Fill>,
    slices: Vec<u32>,
}

impl Flights {
    /// What is bringing a slice; else `begin` is asked which slices a new fill is to bring, among them this one.
    /// `is_wanted` says of a slice that it is missing and in nobody's way.
    pub(crate) fn enter(
        self: &Arc<Self>,
        object: u64,
        slice: u32,
        begin: impl FnOnce(&dyn Fn(u32) -> bool) -> (Flight, Vec<u32>),
    ) -> (Flight, Option<Landing>) {
        let mut flights = self.0.lock();
        if let Some(flight) = flights.get(&(object, slice))
            && flight.still_has(slice)
        {
            return (flight.clone(), None);
        }
        let (flight, slices) = begin(&|slice| !flights.contains_key(&(object, slice)));
        for slice in &slices {
            flights.insert((object, *slice), flight.clone());
        }
        let landing = Landing { flights: Arc::clone(self), object, fill: Arc::clone(&flight.fill), slices };
        (flight, Some(landing))
    }

    /// A fill that brings a whole body, or a run of it, and says of each slice when it begins.
    pub(crate) fn follow(self: &Arc<Self>, object: u64, fill: &Arc<Fill>) -> Landing {
        Landing { flights: Arc::clone(self), object, fill: Arc::clone(fill), slices: Vec::new() }
    }
}

impl Landing {
    /// What it brings.
    pub(crate) fn slices(&self) -> &[u32] {
        &self.slices
    }

    /// Another slice is on its way.
    pub(crate) fn add(&mut self, slice: u32, start: u64) {
        self.slices.push(slice);
        let flight = Flight { fill: Arc::clone(&self.fill), start };
        self.flights.0.lock().insert((self.object, slice), flight);
    }
}

impl Drop for Landing {
    fn drop(&mut self) {
        let mut flights = self.flights.0.lock();
        for slice in &self.slices {
            let key = (self.object, *slice);
            if flights.get(&key).is_some_and(|flight| Arc::ptr_eq(&flight.fill, &self.fill)) {
                flights.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bodega_semantics::Key;
    use bodega_store::SliceWriter;

    use super::*;

    fn fill() -> Arc<Fill> {
        Arc::new(Fill::new(Key(1), Arc::from(&b""[..]), 0, Duration::ZERO))
    }

    fn push_whole_slice(fill: &Fill, number: u32) {
        let mut writer = SliceWriter::with_capacity(SLICE_BYTES);
        writer.append(&vec![0; SLICE_BYTES]);
        fill.push_slice(u64::from(number) * SLICE_BYTES as u64, writer.share());
    }

    #[test]
    fn what_a_window_has_left_behind_is_fetched_anew() {
        let flights = Arc::new(Flights::default());
        let whole = fill();
        let mut landing = flights.follow(1, &whole);
        for number in 0..3 {
            landing.add(number, 0);
            push_whole_slice(&whole, number);
        }
        let nothing_new = |_: &dyn Fn(u32) -> bool| panic!("it is under way");
        assert!(flights.enter(1, 1, nothing_new).1.is_none());

        whole.drop_before(2 * SLICE_BYTES as u64);

        let (flight, own) = flights.enter(1, 1, |_| (Flight { fill: fill(), start: SLICE_BYTES as u64 }, vec![1]));
        assert!(own.is_some() && !Arc::ptr_eq(&flight.fill, &whole));
        assert!(flights.enter(1, 2, nothing_new).1.is_none());
        // The first one's end does not take out what another brings.
        drop(landing);
        assert!(flights.enter(1, 1, nothing_new).1.is_none());
    }
}
