//! Joins the fill of what was asked for, or begins it.

use crate::exchange::Journey;
use crate::joining::{self, Joined};
use crate::partial;
use crate::step::Step;

/// How often one request may find itself under another key (another variant) before it goes alone.
const MAX_ROUNDS: u8 = 3;

/// Joins or leads.
pub(crate) async fn run(journey: &mut Journey) -> Step {
    journey.plan = partial::plan(journey);
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
