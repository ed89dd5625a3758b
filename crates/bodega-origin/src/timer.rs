//! One timer a connection, for whatever it waits on at the moment.
//! Moving a runtime's timer costs more than reading the clock, and almost every wait ends long before its limit: so
//! the timer stays armed where it was as long as that is not too late, and finds out when it fires that it was early.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::time::{Instant, Sleep, sleep_until};

pub(crate) struct Timer {
    sleep: Pin<Box<Sleep>>,
}

impl Timer {
    pub(crate) fn new(first: Instant) -> Self {
        Self { sleep: Box::pin(sleep_until(first)) }
    }

    /// Whether `deadline` has passed; if not, the task is woken at the latest when it does.
    pub(crate) fn has_passed(&mut self, context: &mut Context<'_>, deadline: Instant) -> bool {
        if self.sleep.deadline() > deadline {
            self.sleep.as_mut().reset(deadline);
        }
        while let Poll::Ready(()) = self.sleep.as_mut().poll(context) {
            if Instant::now() >= deadline {
                return true;
            }
            self.sleep.as_mut().reset(deadline);
        }
        false
    }
}
