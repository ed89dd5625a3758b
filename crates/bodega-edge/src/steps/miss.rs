//! Joins the fill of what was asked for, or begins it.

use bodega_semantics::{Reason, range};

use crate::exchange::Journey;
use crate::joining::{self, Joined};
use crate::step::Step;

/// A range that begins no further than this past what a fill has waits for it; others are asked from the origin.
const RANGE_REACH_BYTES: u64 = 4 << 20;
/// How often one request may find itself under another key (another variant) before it goes alone.
const MAX_ROUNDS: u8 = 3;

/// Joins or leads.
pub(crate) async fn run(journey: &mut Journey) -> Step {
    if range_is_far(journey) {
        journey.pending.reason = Reason::Range;
        return Step::Fetch;
    }
    let Some((fill, leads)) = joining::enter(journey) else { return Step::Refuse };
    match joining::follow(journey, &fill, leads).await {
        Joined::Found => Step::Deliver,
        Joined::Alone => Step::Fetch,
        Joined::Failed => Step::Refuse,
        Joined::OtherVariant => {
            journey.rounds += 1;
            if journey.rounds < MAX_ROUNDS { Step::Miss } else { Step::Fetch }
        }
    }
}

/// A range that a fill from the first byte would take long to reach is passed on, never a fill of its own.
fn range_is_far(journey: &Journey) -> bool {
    let first = match range::requested(&journey.request.fields) {
        Some(range::Requested::From { first, .. }) => first,
        Some(range::Requested::Suffix { .. }) => u64::MAX,
        _ => return false,
    };
    match journey.worker.edge.collapse.under_way(journey.pending.key) {
        Some(fill) => !fill.is_near(first, RANGE_REACH_BYTES),
        None => first > RANGE_REACH_BYTES,
    }
}
