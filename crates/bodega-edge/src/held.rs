//! How much of requests' bodies an edge holds at once, and of what it has written itself: counted as it comes, so that who
//! announces much and sends nothing takes no room from others, and until it has gone, so that who asks for much and reads
//! nothing takes no more than there is.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

/// How much bodies that are part of keys may take. Beyond, requests pass.
pub(crate) const MAX_CONTENT_BYTES: u64 = 64 << 20;

/// How much bodies for models may take that do not come in one piece: twice the longest that is taken, if that is more.
/// Beyond, requests are refused.
const MAX_QUESTION_BYTES: u64 = 64 << 20;

/// How much large answers of models may take while they are written and sent: twice the largest of numbers. Beyond,
/// requests are refused.
pub(crate) const MAX_WRITTEN_BYTES: u64 = 128 << 20;

/// What requests under way hold.
#[derive(Default)]
pub(crate) struct Held(Arc<AtomicU64>);

/// A share of it, given back when dropped.
pub(crate) struct Room {
    held: Arc<AtomicU64>,
    most: u64,
    n_bytes: u64,
}

impl Held {
    /// Room for a body, of which nothing is there yet. All bodies together take at most `most`.
    pub(crate) fn room(&self, most: u64) -> Room {
        Room { held: Arc::clone(&self.0), most, n_bytes: 0 }
    }

    /// The same for a question of at most `longest` bytes to a model.
    pub(crate) fn room_for_question(&self, longest: u64) -> Room {
        self.room(longest.saturating_mul(2).max(MAX_QUESTION_BYTES))
    }
}

impl Room {
    /// Makes it `n_bytes` larger. False where there is no more.
    #[must_use]
    pub(crate) fn grow(&mut self, n_bytes: u64) -> bool {
        let fits = |held: u64| held.checked_add(n_bytes).filter(|sum| *sum <= self.most);
        let has_grown = self.held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_ok();
        if has_grown {
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
        self.held.fetch_sub(self.n_bytes - n_bytes, Ordering::Relaxed);
        self.n_bytes = n_bytes;
        true
    }

    /// `bytes` with this room around them: it is given back when the last of them is dropped.
    pub(crate) fn around(self, bytes: Bytes) -> Bytes {
        Bytes::from_owner(Roomed { bytes, _room: self })
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
        self.held.fetch_sub(self.n_bytes, Ordering::Relaxed);
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
        let held = Held::default();
        for longest in [0, 1_000, MAX_QUESTION_BYTES, u64::MAX] {
            assert!(held.room_for_question(longest).grow(longest), "{longest}");
        }
    }
}
