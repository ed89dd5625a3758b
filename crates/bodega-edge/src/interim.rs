//! Interim answers (RFC 9110 section 15.2) on their way past the machine: from whoever asks an origin for a client, the
//! leader of a fill or a request that goes alone, to the front that writes them before the final head.
//!
//! They are hints: nothing of them is stored, nobody waits for them to be taken, and what is too much is dropped.
//! A miss pays for one small allocation; a hit, a joiner and a background refresh have no channel at all.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Poll, Waker};

use bodega_semantics::Fields;
use bodega_snapshot::Behavior;
use parking_lot::Mutex;

/// The head of an interim answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interim {
    /// 102 to 199.
    pub status: u16,
    /// End-to-end fields.
    pub fields: Fields,
}

/// Where interim answers for one request go in.
#[derive(Clone)]
pub struct InterimSender(Arc<Channel>);

/// Where they come out. What is sent once it is dropped goes nowhere; by default there is nothing to come.
#[derive(Default)]
pub struct InterimReceiver(Option<Arc<Channel>>);

/// What a front has to write next.
pub enum Came<T> {
    /// This, and there may be more.
    Interim(Interim),
    /// What was awaited. What `InterimReceiver::take` still finds goes before it.
    Final(T),
}

struct Channel {
    behavior: Option<Arc<Behavior>>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    waiting: Vec<Interim>,
    n_sent: usize,
    is_closed: bool,
    waker: Option<Waker>,
}

/// The way to the client of one request to `behavior`.
pub(crate) fn channel(behavior: Option<Arc<Behavior>>) -> (InterimSender, InterimReceiver) {
    let channel = Arc::new(Channel { behavior, state: Mutex::default() });
    (InterimSender(Arc::clone(&channel)), InterimReceiver(Some(channel)))
}

impl InterimSender {
    /// Hands one on, unless it is not for clients, there were too many, or nobody waits any more.
    ///
    /// 100 is not for clients: the front tells a client to go on when its body is wanted. 101 never comes unasked.
    pub fn send(&self, status: u16, mut fields: Fields) {
        if !(102..=199).contains(&status) {
            return;
        }
        if let Some(behavior) = &self.0.behavior {
            behavior.response_edits.apply_to_present(&mut fields);
        }
        let waker = {
            let mut state = self.0.state.lock();
            if state.is_closed || state.n_sent == MAX_INTERIM {
                return;
            }
            state.n_sent += 1;
            state.waiting.push(Interim { status, fields });
            state.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl InterimReceiver {
    /// The next one that is there already.
    #[must_use]
    pub fn take(&self) -> Option<Interim> {
        let mut state = self.0.as_ref()?.state.lock();
        (!state.waiting.is_empty()).then(|| state.waiting.remove(0))
    }

    /// Waits for the next one, or for `answering` to end.
    pub async fn next_before<F: Future>(&self, mut answering: Pin<&mut F>) -> Came<F::Output> {
        poll_fn(|context| {
            if let Some(interim) = self.take() {
                return Poll::Ready(Came::Interim(interim));
            }
            if let Poll::Ready(output) = answering.as_mut().poll(context) {
                return Poll::Ready(Came::Final(output));
            }
            let Some(channel) = &self.0 else { return Poll::Pending };
            let mut state = channel.state.lock();
            if state.waiting.is_empty() {
                state.waker = Some(context.waker().clone());
                return Poll::Pending;
            }
            // Sent by `answering` itself just now.
            Poll::Ready(Came::Interim(state.waiting.remove(0)))
        })
        .await
    }
}

impl Drop for InterimReceiver {
    fn drop(&mut self) {
        let Some(channel) = &self.0 else { return };
        let mut state = channel.state.lock();
        state.is_closed = true;
        state.waiting = Vec::new();
    }
}

/// How many one client gets for one request. An origin may send more for a while (102 says that it still works).
const MAX_INTERIM: usize = 8;

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use super::*;

    fn link(value: &str) -> Fields {
        let mut fields = Fields::new();
        fields.push("Link", value.as_bytes());
        fields
    }

    #[tokio::test]
    async fn they_come_in_order_and_before_what_is_awaited() {
        let (sender, receiver) = channel(None);
        let mut answering = pin!(async {
            sender.send(102, Fields::new());
            tokio::task::yield_now().await;
            sender.send(103, link("<a>"));
            sender.send(103, link("<b>"));
        });
        let mut came = Vec::new();
        while let Came::Interim(interim) = receiver.next_before(answering.as_mut()).await {
            came.push(interim);
        }
        while let Some(interim) = receiver.take() {
            came.push(interim);
        }
        let expected = [(102, Fields::new()), (103, link("<a>")), (103, link("<b>"))];
        assert_eq!(came, expected.map(|(status, fields)| Interim { status, fields }));
    }

    #[tokio::test]
    async fn a_front_that_waits_is_woken_from_elsewhere() {
        let (sender, receiver) = channel(None);
        let sending = tokio::spawn(async move {
            tokio::task::yield_now().await;
            sender.send(103, link("<a>"));
        });
        let mut never = pin!(std::future::pending::<()>());
        assert!(matches!(receiver.next_before(never.as_mut()).await, Came::Interim(Interim { status: 103, .. })));
        sending.await.unwrap();
    }

    #[test]
    fn statuses_that_are_not_for_clients_and_too_many_are_dropped() {
        let (sender, receiver) = channel(None);
        for status in [0, 99, 100, 101, 200, 599] {
            sender.send(status, Fields::new());
            assert_eq!(receiver.take(), None, "{status}");
        }
        for n_sent in 0..2 * MAX_INTERIM {
            sender.send(103, Fields::new());
            assert_eq!(receiver.take().is_some(), n_sent < MAX_INTERIM, "{n_sent}");
        }
    }

    #[test]
    fn nothing_is_kept_for_who_has_gone() {
        let (sender, receiver) = channel(None);
        sender.send(103, link("<a>"));
        drop(receiver);
        sender.send(103, link("<b>"));
        assert!(sender.0.state.lock().waiting.is_empty());
    }
}
