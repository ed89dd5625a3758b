//! The thread that walks over what is stored, behind the requests: see `bodega_edge::lurker`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bodega_edge::Edge;
use bodega_edge::lurker::{Lurker, Step};

use crate::background::Background;
use crate::server::StartError;

/// How long it rests where there is nothing to do.
const REST: Duration = Duration::from_secs(1);
/// So much of the time of its core it takes at most, as one part of so many.
const SHARE: u32 = 10;
const SHARE_IN_A_HURRY: u32 = 2;
/// So much it reads from disk.
const BYTES_PER_SECOND: u64 = 4 << 20;
const BYTES_PER_SECOND_IN_A_HURRY: u64 = 64 << 20;

/// Starts it.
pub(crate) fn start(edge: &Arc<Edge>) -> Result<Background, StartError> {
    let edge = Arc::clone(edge);
    let mut lurker = Lurker::default();
    Background::start("bodega-lurker", move || go(&edge, &mut lurker))
}

/// A step, and how long to pause after it.
fn go(edge: &Edge, lurker: &mut Lurker) -> Duration {
    let began = Instant::now();
    let step = edge.lurk(lurker);
    let is_late = edge.lurker_is_late(lurker);
    match step {
        Step::Rests => REST,
        Step::Memory => began.elapsed() * (if is_late { SHARE_IN_A_HURRY } else { SHARE } - 1),
        Step::Disk(n_bytes) => {
            let rate = if is_late { BYTES_PER_SECOND_IN_A_HURRY } else { BYTES_PER_SECOND };
            Duration::from_secs_f64(n_bytes as f64 / rate as f64).saturating_sub(began.elapsed())
        }
    }
}
