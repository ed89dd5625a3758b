//! Work behind the requests: a thread of its own that takes a step, rests, and ends when it is told to.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::server::StartError;

/// A running thread. Dropping it waits for the end of its step.
pub(crate) struct Background {
    stop: Arc<(Mutex<bool>, Condvar)>,
    thread: Option<JoinHandle<()>>,
}

impl Background {
    /// Starts it. A step says how long to rest after it.
    pub(crate) fn start(name: &str, mut step: impl FnMut() -> Duration + Send + 'static) -> Result<Self, StartError> {
        let stop = Arc::new((Mutex::new(false), Condvar::new()));
        let told = Arc::clone(&stop);
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            let (is_over, wake) = &*told;
            let mut is_over = is_over.lock();
            while !*is_over {
                let rest = MutexGuard::unlocked(&mut is_over, &mut step);
                if !*is_over {
                    wake.wait_for(&mut is_over, rest);
                }
            }
        })?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        *self.stop.0.lock() = true;
        self.stop.1.notify_all();
        if let Some(thread) = self.thread.take() {
            // A panic has been reported by the panic hook already.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn a_long_rest_ends_with_it() {
        let n_steps = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&n_steps);
        let running = Background::start("a-test", move || {
            let n_before = counted.fetch_add(1, Ordering::SeqCst);
            if n_before < 2 { Duration::ZERO } else { Duration::from_secs(3600) }
        })
        .expect("a thread");
        while n_steps.load(Ordering::SeqCst) < 3 {
            std::thread::yield_now();
        }
        drop(running);
        assert_eq!((n_steps.load(Ordering::SeqCst), Arc::strong_count(&n_steps)), (3, 1));
    }
}
