//! Boxes for what waits: each is used again and again.
//!
//! Entries of the store take the memory of what is given back between them, and leave pieces that are too short for the
//! next one. So what nearly every miss needs for a moment is kept (decision 0004).

use parking_lot::Mutex;
use recycle_box::RecycleBox;

/// Boxes that nothing is in, of one thread.
#[derive(Default)]
pub(crate) struct SpareBoxes(Mutex<Vec<RecycleBox<()>>>);

/// How many are kept. Nothing counts them: a few kilobytes each.
const MAX_SPARE: usize = 64;

impl SpareBoxes {
    /// Puts a future into a box, and runs it there. One that is dropped before it has ended takes its box with it.
    pub(crate) fn run<'a, F: Future + 'a>(&'a self, future: F) -> impl Future<Output = F::Output> + 'a {
        let spare = self.0.lock().pop();
        // At once: what is returned is as small as a box.
        let mut full = RecycleBox::into_pin(match spare {
            Some(empty) => RecycleBox::recycle(empty, future),
            None => RecycleBox::new(future),
        });
        async move {
            let output = full.as_mut().await;
            let empty = RecycleBox::vacate_pinned(full);
            let mut spare = self.0.lock();
            if spare.len() < MAX_SPARE {
                spare.push(empty);
            }
            output
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    /// Where the memory of the box is in which a future of this length runs.
    fn place_of<const N: usize>(boxes: &SpareBoxes) -> usize {
        let future = async {
            let bytes = [0_u8; N];
            tokio::task::yield_now().await;
            std::ptr::from_ref(&bytes) as usize
        };
        let mut running = pin!(boxes.run(future));
        let mut context = Context::from_waker(Waker::noop());
        assert!(running.as_mut().poll(&mut context).is_pending());
        match running.as_mut().poll(&mut context) {
            Poll::Ready(place) => place,
            Poll::Pending => unreachable!("it waits once"),
        }
    }

    #[test]
    fn the_next_future_is_where_the_last_one_was() {
        let boxes = SpareBoxes::default();
        let first = place_of::<5000>(&boxes);
        let between = vec![1_u8; 5000];
        assert_eq!(place_of::<5000>(&boxes), first);
        assert_eq!(boxes.0.lock().len(), 1);
        drop(between);
    }

    #[test]
    fn one_that_is_dropped_takes_its_box_with_it() {
        let boxes = SpareBoxes::default();
        drop(boxes.run(std::future::pending::<()>()));
        assert_eq!(boxes.0.lock().len(), 0);
    }

    #[test]
    fn a_thread_keeps_no_more_than_so_many() {
        let boxes = SpareBoxes::default();
        let mut running: Vec<_> = (0..2 * MAX_SPARE).map(|_| Box::pin(boxes.run(std::future::ready(7)))).collect();
        let mut context = Context::from_waker(Waker::noop());
        for each in &mut running {
            assert_eq!(each.as_mut().poll(&mut context), Poll::Ready(7));
        }
        assert_eq!(boxes.0.lock().len(), MAX_SPARE);
    }
}
