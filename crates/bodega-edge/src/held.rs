//! How much of requests' bodies an edge holds at once, and of what it has written itself: counted as it comes, so that who
//! announces much and sends nothing takes no room from others, and until it has gone, so that who asks for much and reads
//! nothing takes no more than there is.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;

/// How much bodies that are part of keys may take. Beyond, requests pass.
pub(crate) const MAX_CONTENT_BYTES: u64 = 64 << 20;

/// How much bodies for models may take that do not come in one piece: twice the longest that is taken, if that is more.
/// Beyond, requests are refused.
const MAX_QUESTION_BYTES: u64 = 64 << 20;

/// How much of each such body is not counted, so that what is usual always comes in: it is bounded by the connections that
/// there may be, and their windows.
const UNCOUNTED_BYTES: u64 = 16 << 10;

/// One client has at most this part of the room, or that for one body.
const SHARES: u64 = 4;

/// How much large answers of models may take while they are written and sent: twice the largest of numbers. Beyond,
/// requests are refused.
pub(crate) const MAX_WRITTEN_BYTES: u64 = 128 << 20;

/// What requests under way hold.
#[derive(Default)]
pub(crate) struct Held(Arc<Counts>);

#[derive(Default)]
struct Counts {
    n_bytes: AtomicU64,
    /// Of rooms that have a client.
    by_client: Mutex<HashMap<IpAddr, u64>>,
}

/// A share of it, given back when dropped.
pub(crate) struct Room {
    held: Arc<Counts>,
    most: u64,
    n_bytes: u64,
    /// How much more is not counted.
    uncounted: u64,
    client: Option<Client>,
}

/// For whom it is, and how much all that is for this one may take.
struct Client {
    address: IpAddr,
    most: u64,
}

impl Held {
    /// Room for a body, of which nothing is there yet. All bodies together take at most `most`.
    pub(crate) fn room(&self, most: u64) -> Room {
        Room { held: Arc::clone(&self.0), most, n_bytes: 0, uncounted: 0, client: None }
    }

    /// The same for a question of at most `longest` bytes to a model, of a client if that one is known.
    pub(crate) fn room_for_question(&self, longest: u64, client: Option<IpAddr>) -> Room {
        let most = longest.saturating_mul(2).max(MAX_QUESTION_BYTES);
        let client = client.map(|address| Client { address, most: longest.max(most / SHARES) });
        Room { held: Arc::clone(&self.0), most, n_bytes: 0, uncounted: UNCOUNTED_BYTES, client }
    }
}

impl Room {
    /// Makes it `n_bytes` larger. False where there is no more.
    #[must_use]
    pub(crate) fn grow(&mut self, n_bytes: u64) -> bool {
        let uncounted = n_bytes.min(self.uncounted);
        let n_bytes = n_bytes - uncounted;
        let has_grown = n_bytes == 0 || self.held.take(n_bytes, self.most, self.client.as_ref());
        if has_grown {
            self.uncounted -= uncounted;
            self.n_bytes += n_bytes;
        }
        has_grown
    }

    /// Makes it as large as `n_bytes`, or leaves it. False where there is no room for that.
    #[must_use]
    pub(crate) fn set(&mut self, n_bytes: u64) -> bool {
        if let Some(more) = n_bytes.checked_sub(self.n_bytes) {
            return self.grow(more);
        }
        self.held.give_back(self.n_bytes - n_bytes, self.client.as_ref());
        self.n_bytes = n_bytes;
        true
    }

    /// `bytes` with this room around them: it is given back when the last of them is dropped.
    pub(crate) fn around(self, bytes: Bytes) -> Bytes {
        Bytes::from_owner(Roomed { bytes, _room: self })
    }
}

impl Counts {
    fn take(&self, n_bytes: u64, most: u64, client: Option<&Client>) -> bool {
        let fits = |most: u64| move |held: u64| held.checked_add(n_bytes).filter(|sum| *sum <= most);
        if self.n_bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits(most)).is_err() {
            return false;
        }
        let Some(client) = client else { return true };
        let mut by_client = self.by_client.lock();
        let of_client = by_client.entry(client.address).or_insert(0);
        let sum = fits(client.most)(*of_client);
        match sum {
            Some(sum) => *of_client = sum,
            None => drop(self.n_bytes.fetch_sub(n_bytes, Ordering::Relaxed)),
        }
        sum.is_some()
    }

    fn give_back(&self, n_bytes: u64, client: Option<&Client>) {
        self.n_bytes.fetch_sub(n_bytes, Ordering::Relaxed);
        let Some(client) = client.filter(|_| n_bytes > 0) else { return };
        let mut by_client = self.by_client.lock();
        if let Some(of_client) = by_client.get_mut(&client.address) {
            *of_client -= n_bytes;
            if *of_client == 0 {
                by_client.remove(&client.address);
            }
        }
    }
}

/// Bytes that are counted for as long as they are there.
struct Roomed {
    bytes: Bytes,
    _room: Room,
}

impl AsRef<[u8]> for Roomed {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.held.give_back(self.n_bytes, self.client.as_ref());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_bounded_and_given_back() {
        let held = Held::default();
        let (mut one, mut other) = (held.room(10), held.room(10));
        assert!(one.grow(4) && one.grow(6));
        assert!(!other.grow(1) && !other.grow(u64::MAX));
        drop(one);
        assert!(other.grow(10) && !other.grow(1));
    }

    #[test]
    fn what_is_written_is_counted_until_the_last_of_it_is_gone() {
        let held = Held::default();
        let (mut room, mut other) = (held.room(10), held.room(10));
        assert!(room.set(8) && !room.set(11) && room.set(6), "as it was where there is no room");
        assert!(other.grow(4) && !other.grow(1));
        let bytes = room.around(Bytes::from_static(b"abcdef"));
        let part = bytes.slice(2..3);
        assert_eq!(&bytes[..], b"abcdef");
        drop(bytes);
        assert!(!other.grow(1));
        drop(part);
        assert!(other.grow(6) && !other.grow(1));
    }

    #[test]
    fn the_longest_question_always_fits() {
        let (held, client) = (Held::default(), IpAddr::from([192, 0, 2, 7]));
        for longest in [0, 1_000, MAX_QUESTION_BYTES, u64::MAX] {
            assert!(held.room_for_question(longest, Some(client)).grow(longest), "{longest}");
        }
    }

    #[test]
    fn one_client_has_a_part_of_the_room_and_what_is_short_is_not_counted() {
        let held = Held::default();
        let room = |last: u8| held.room_for_question(1_000_000, Some(IpAddr::from([192, 0, 2, last])));
        let whole = UNCOUNTED_BYTES + MAX_QUESTION_BYTES / SHARES;
        let (mut one, mut again) = (room(1), room(1));
        assert!(one.grow(whole) && !one.grow(1));
        assert!(again.grow(1) && again.grow(UNCOUNTED_BYTES - 1) && !again.grow(1));
        let mut others: Vec<Room> = (2..5).map(room).collect();
        assert!(others.iter_mut().all(|other| other.grow(whole)));
        let mut late = room(5);
        assert!(late.grow(UNCOUNTED_BYTES) && !late.grow(1), "all is taken");
        others.pop();
        assert!(late.grow(1) && !again.grow(1));
        drop(one);
        assert!(again.grow(1));
        drop((again, others, late));
        assert!(held.0.by_client.lock().is_empty() && held.0.n_bytes.load(Ordering::Relaxed) == 0);
    }
}
