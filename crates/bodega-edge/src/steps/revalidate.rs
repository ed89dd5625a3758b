//! Asks the origin whether what is stored still holds; one question for all who ask meanwhile.

use crate::exchange::Journey;
use crate::joining::{self, Joined};
use crate::step::Step;

/// Validates for a client that waits: a fill that carries the entry's validators.
pub(crate) async fn run(journey: &mut Journey) -> Step {
    let Some((fill, leads)) = joining::enter(journey) else { return Step::Refuse };
    match joining::follow(journey, &fill, leads).await {
        Joined::Found => Step::Deliver,
        // The new answer may vary by other fields than the stored one did.
        Joined::Alone | Joined::OtherVariant => Step::Fetch,
        Joined::Failed => Step::Refuse,
    }
}
