//! Brings an entry back from disk, and looks the request up anew: the same code decides as for what was in memory.

use bodega_semantics::Reason;

use crate::exchange::Journey;
use crate::step::{self, Step};

/// Loads `pending.load`.
pub(crate) async fn run(journey: &mut Journey) -> Step {
    let Some(key) = journey.pending.load.take() else {
        journey.pending.reason = Reason::Internal;
        return Step::Refuse;
    };
    journey.n_loads += 1;
    if let Some(entry) = journey.worker.edge.load(key).await {
        journey.worker.edge.promote(&entry);
        journey.loaded.push(entry);
    }
    step::look_up_anew(journey)
}
