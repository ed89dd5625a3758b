//! Brings an entry back from disk, and looks the request up anew: the same code decides as for what was in memory.

use bodega_semantics::{Field, Head, Reason};

use crate::exchange::Journey;
use crate::step::{self, Begun, Loaded, Step};

/// How many entries one request may bring: the names a URL varies by, a variant, a part, and then some.
const MAX_LOADS: usize = 8;

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
    let request = std::sync::Arc::clone(&journey.request);
    let fields: Vec<Field<'_>> = request.fields.fields().collect();
    let row = journey.pending.row.clone();
    let loaded = Loaded { entries: &journey.loaded, may_load: journey.n_loads < MAX_LOADS, row: row.as_ref() };
    match step::look_up(&journey.worker, &journey.pending.snapshot, &request.view(&fields), loaded) {
        Begun::Ready(answer) => {
            journey.answer = Some(answer);
            Step::Finish
        }
        Begun::Pending(pending) => {
            journey.pending = pending;
            journey.pending.step
        }
    }
}
