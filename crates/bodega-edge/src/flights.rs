//! Which slices of large bodies are under way, so that nobody asks an origin for what somebody else is fetching.

use std::sync::Arc;

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
            && !flight.fill.has_failed()
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
