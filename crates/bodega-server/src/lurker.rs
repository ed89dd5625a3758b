//! The thread that walks over what is stored, behind the requests: see `bodega_edge::lurker`.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bodega_edge::Edge;
use bodega_edge::lurker::{Lurker, Step};
use parking_lot::{Condvar, Mutex};

use crate::server::StartError;

/// How long it rests where there is nothing to do.
const REST: Duration = Duration::from_secs(1);
/// So much of the time of its core it takes at most, as one part of so many.
const SHARE: u32 = 10;
const SHARE_IN_A_HURRY: u32 = 2;
/// So much it reads from disk.
const BYTES_PER_SECOND: u64 = 4 << 20;
const BYTES_PER_SECOND_IN_A_HURRY: u64 = 64 << 20;

/// The running thread; dropping it ends it.
pub(crate) struct Lurking {
    stop: Arc<(Mutex<bool>, Condvar)>,
    thread: Option<JoinHandle<()>>,
}

impl Lurking {
    pub(crate) fn start(edge: &Arc<Edge>) -> Result<Self, StartError> {
        let stop = Arc::new((Mutex::new(false), Condvar::new()));
        let (edge, told) = (Arc::clone(edge), Arc::clone(&stop));
        let thread = std::thread::Builder::new().name("bodega-lurker".to_owned()).spawn(move || {
            let mut lurker = Lurker::default();
            let (is_over, wake) = &*told;
            let mut is_over = is_over.lock();
            while !*is_over {
                let pause = parking_lot::MutexGuard::unlocked(&mut is_over, || go(&edge, &mut lurker));
                if !*is_over {
                    wake.wait_for(&mut is_over, pause);
                }
            }
        })?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Lurking {
    fn drop(&mut self) {
        *self.stop.0.lock() = true;
        self.stop.1.notify_all();
        if let Some(thread) = self.thread.take() {
            // A panic has been reported by the panic hook already.
            let _ = thread.join();
        }
    }
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
