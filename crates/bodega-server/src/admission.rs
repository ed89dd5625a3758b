//! How many connections there may be, in all and for one client address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

/// Counts the connections of all threads. Touched when one comes and goes, never per request.
pub(crate) struct Admission {
    max_connections: usize,
    max_per_client: usize,
    n_connections: AtomicUsize,
    per_client: Mutex<HashMap<IpAddr, usize>>,
    n_refused_total: AtomicU64,
    n_refused_client: AtomicU64,
    /// Acceptors that may still take connections from a queue.
    n_acceptors: AtomicUsize,
    gone: Condvar,
    waiting: Mutex<()>,
}

/// An acceptor at work; counted out when dropped.
pub(crate) struct Accepting(Arc<Admission>);

/// A place that has been given; given back when dropped.
pub(crate) struct Admitted {
    admission: Arc<Admission>,
    client: Option<IpAddr>,
}

impl Admission {
    pub(crate) fn new(max_connections: usize, max_per_client: usize) -> Self {
        Self {
            max_connections,
            max_per_client,
            n_connections: AtomicUsize::new(0),
            per_client: Mutex::new(HashMap::new()),
            n_refused_total: AtomicU64::new(0),
            n_refused_client: AtomicU64::new(0),
            n_acceptors: AtomicUsize::new(0),
            gone: Condvar::new(),
            waiting: Mutex::new(()),
        }
    }

    /// A place for a connection from `client`; `None` if it is one too many.
    /// Unix sockets (no client) count only in all.
    pub(crate) fn admit(self: &Arc<Self>, client: Option<IpAddr>) -> Option<Admitted> {
        if self.n_connections.fetch_add(1, Ordering::Relaxed) >= self.max_connections {
            self.n_connections.fetch_sub(1, Ordering::Relaxed);
            self.n_refused_total.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        let mut admitted = Admitted { admission: Arc::clone(self), client: None };
        match client {
            Some(address) => admitted.count_for(address).then_some(admitted),
            None => Some(admitted),
        }
    }

    /// Counts an acceptor in.
    pub(crate) fn accepting(self: &Arc<Self>) -> Accepting {
        self.n_acceptors.fetch_add(1, Ordering::Relaxed);
        Accepting(Arc::clone(self))
    }

    /// Waits until nobody accepts and no connection is left. False if that took longer than `timeout`.
    pub(crate) fn wait_until_empty(&self, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        let mut waiting = self.waiting.lock();
        while self.n_acceptors.load(Ordering::Relaxed) > 0 || self.n_connections() > 0 {
            if self.gone.wait_until(&mut waiting, deadline).timed_out() {
                return false;
            }
        }
        true
    }

    fn tell(&self) {
        // Under the lock, so that it cannot fall between a look at the counts and the wait.
        let _waiting = self.waiting.lock();
        self.gone.notify_all();
    }

    pub(crate) fn n_connections(&self) -> usize {
        self.n_connections.load(Ordering::Relaxed)
    }

    /// Refused because of the limit in all, and because of the limit for one client.
    pub(crate) fn n_refused(&self) -> (u64, u64) {
        (self.n_refused_total.load(Ordering::Relaxed), self.n_refused_client.load(Ordering::Relaxed))
    }
}

impl Admitted {
    /// Counts the connection for a client that was not known before. False if it is one too many.
    pub(crate) fn count_for(&mut self, address: IpAddr) -> bool {
        let mut per_client = self.admission.per_client.lock();
        let n_connections = per_client.entry(address).or_insert(0);
        if *n_connections >= self.admission.max_per_client {
            self.admission.n_refused_client.fetch_add(1, Ordering::Relaxed);
            return false;
        }
        *n_connections += 1;
        self.client = Some(address);
        true
    }
}

impl Drop for Accepting {
    fn drop(&mut self) {
        self.0.n_acceptors.fetch_sub(1, Ordering::Relaxed);
        self.0.tell();
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        if self.admission.n_connections.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.admission.tell();
        }
        if let Some(address) = self.client {
            let mut per_client = self.admission.per_client.lock();
            if let Some(n_connections) = per_client.get_mut(&address) {
                *n_connections -= 1;
                if *n_connections == 0 {
                    per_client.remove(&address);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_client_cannot_take_all_places_and_gives_its_own_back() {
        let admission = Arc::new(Admission::new(3, 2));
        let (one, other) = (IpAddr::from([127, 0, 0, 1]), IpAddr::from([127, 0, 0, 2]));
        let first = admission.admit(Some(one));
        let second = admission.admit(Some(one));
        assert!(first.is_some() && second.is_some());
        assert!(admission.admit(Some(one)).is_none());
        let third = admission.admit(Some(other));
        assert!(third.is_some());
        assert!(admission.admit(None).is_none());
        assert_eq!(admission.n_refused(), (1, 1));
        drop(first);
        assert!(admission.admit(Some(one)).is_some());
        drop((second, third));
        assert_eq!(admission.n_connections(), 0);
    }
}
