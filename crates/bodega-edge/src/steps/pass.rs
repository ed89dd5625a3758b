//! Forwards without the store: other methods, and behaviors whose policy stores nothing.

use crate::exchange::Journey;
use crate::step::Step;

/// Marks the request as going on whole.
pub(crate) fn run(journey: &mut Journey) -> Step {
    journey.passes = true;
    Step::Fetch
}
