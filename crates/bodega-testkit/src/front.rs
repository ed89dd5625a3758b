//! How the requests of a scenario reach the edge: straight into the machine, or through a front and a connection.
//!
//! The fronts are with what they test, in `bodega-server`; here is what the runner asks of them.

use std::future::Future;
use std::pin::Pin;

use crate::bench::{Bench, Got, TestRequest};

/// A request that is ready to be sent: it goes out when the future is polled first.
pub type Sending = Pin<Box<dyn Future<Output = Got> + Send>>;

/// The requests of one moment, each with all it needs to be sent at once.
pub type Opening<'a> = Pin<Box<dyn Future<Output = Vec<Sending>> + 'a>>;

/// A way to an edge.
pub trait Front {
    /// Whether its clients come by HTTPS if a scenario does not care.
    fn is_https(&self) -> bool {
        false
    }

    /// The version that origins are told in `Via`.
    fn via_version(&self) -> &'static str {
        "1.1"
    }

    /// The edge that is asked.
    fn bench(&self, snapshot_json: &str) -> Bench {
        Bench::new(snapshot_json)
    }

    /// How many entries the edge keeps.
    fn n_entries(&self, bench: &Bench) -> u64 {
        bench.worker.edge.memory.usage().n_entries
    }

    /// Whether a break takes along what has not left yet, as a reset of a stream does: then a body that breaks off is the
    /// beginning of what the scenario says.
    fn loses_what_waits(&self) -> bool {
        false
    }

    /// Why a request cannot be said this way, if it cannot. A rule, never a name of a scenario.
    fn cannot_say(&self, _: &TestRequest) -> Option<&'static str> {
        None
    }

    /// Makes ready to send `request` so many times at the same moment.
    fn open<'a>(&'a mut self, bench: &'a Bench, request: &'a TestRequest, n_times: usize) -> Opening<'a>;
}

/// No front: the machine alone.
pub struct NoFront;

impl Front for NoFront {
    fn open<'a>(&'a mut self, bench: &'a Bench, request: &'a TestRequest, n_times: usize) -> Opening<'a> {
        let one = || -> Sending {
            let (bench, request) = (bench.clone(), request.clone());
            Box::pin(async move { bench.send(&request).await })
        };
        Box::pin(std::future::ready((0..n_times).map(|_| one()).collect()))
    }
}
