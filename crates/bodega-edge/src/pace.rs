//! How fast an origin is asked about what an edge may no longer use unasked: everything that was stored before it parted
//! from its journal. A store full of that, asked for all at once, would be more than an origin has ever seen.
//!
//! A token bucket for each origin that holds one token: questions are spaced evenly. Whoever would have to wait too long
//! for a turn is told so at once; nobody who waits holds anything but his own fill.

use std::sync::Arc;
use std::time::Duration;

use bodega_semantics::Reason;
use hashbrown::HashMap;
use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until};

use crate::fetch::FetchError;

/// The turns of all origins.
pub(crate) struct Pace {
    between: Duration,
    /// When the next question may be asked, by the origin as behaviors name it.
    next: Mutex<HashMap<Arc<str>, Instant>>,
}

/// Nobody waits longer for a turn.
const MAX_WAIT: Duration = Duration::from_secs(5);
/// Nor behind more than so many others.
const MAX_WAITING: u32 = 4096;
/// Origins whose turn is over are forgotten once there are so many.
const MAX_ORIGINS: usize = 1024;

impl Pace {
    /// At most so many questions a second to one origin; at least one.
    pub(crate) fn new(per_second: u32) -> Self {
        Self { between: Duration::from_secs(1) / per_second.max(1), next: Mutex::default() }
    }

    /// Waits for a turn to ask `origin`.
    ///
    /// # Errors
    /// If that takes too long, at once.
    pub(crate) async fn turn(&self, origin: &Arc<str>) -> Result<(), FetchError> {
        let at = self.draw(origin, Instant::now()).map_err(|wait| FetchError {
            retry_after_seconds: Some(u32::try_from(wait.as_secs()).unwrap_or(u32::MAX).saturating_add(1)),
            ..FetchError::new(Reason::OriginPaced, format!("{origin}: too many wait to have confirmed what is stored"))
        })?;
        sleep_until(at).await;
        Ok(())
    }

    /// When one's turn is, or how long it would take until there is one.
    fn draw(&self, origin: &Arc<str>, now: Instant) -> Result<Instant, Duration> {
        let mut next = self.next.lock();
        let at = next.get(origin).map_or(now, |at| now.max(*at));
        let wait = at.saturating_duration_since(now);
        if wait > MAX_WAIT.min(self.between * MAX_WAITING) {
            return Err(wait);
        }
        if next.len() >= MAX_ORIGINS {
            next.retain(|_, at| *at > now);
        }
        next.insert(Arc::clone(origin), at + self.between);
        Ok(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn turns_are_spaced_evenly_and_whoever_would_wait_too_long_is_told() {
        let (pace, origin, other) = (Pace::new(10), Arc::<str>::from("site"), Arc::<str>::from("files"));
        let begun = Instant::now();
        for turn in 0..50 {
            assert_eq!(pace.draw(&origin, begun), Ok(begun + turn * Duration::from_millis(100)));
        }
        assert_eq!(pace.draw(&origin, begun), Ok(begun + MAX_WAIT));
        assert_eq!(pace.draw(&origin, begun), Err(Duration::from_millis(5100)), "and takes no turn");
        assert_eq!(pace.draw(&origin, begun), Err(Duration::from_millis(5100)));
        assert_eq!(pace.draw(&other, begun), Ok(begun), "each origin has its own");
        let error = pace.turn(&origin).await.unwrap_err();
        assert_eq!((error.reason, error.retry_after_seconds), (Reason::OriginPaced, Some(6)));
        assert_eq!(Instant::now(), begun, "at once");
        // What was not asked for meanwhile is not made up for later.
        tokio::time::advance(Duration::from_secs(60)).await;
        for _ in 0..3 {
            pace.turn(&origin).await.unwrap();
        }
        assert_eq!(Instant::now(), begun + Duration::from_millis(60_200));
    }

    #[test]
    fn neither_waiting_nor_origins_are_without_bounds() {
        let (fast, now) = (Pace::new(10_000), Instant::now());
        let origin = Arc::<str>::from("site");
        let n_turns = (0..10_000).take_while(|_| fast.draw(&origin, now).is_ok()).count();
        assert_eq!(n_turns, MAX_WAITING as usize + 1);
        for number in 0..3 * MAX_ORIGINS {
            let then = now + Duration::from_secs(number as u64);
            assert!(fast.draw(&format!("{number}").into(), then).is_ok());
        }
        assert!(fast.next.lock().len() <= MAX_ORIGINS);
    }
}
