//! A buffer that one writer appends to while any number of readers, on any thread, read what is there already.
//!
//! The bytes below the high-water mark never change, so readers get plain `&[u8]` without a lock.
//! A body is a sequence of these; see `entry::SlicedBody`.

use std::cell::UnsafeCell;
use std::mem::MaybeUninit;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::entry::{Body, SlicedBody};

/// The usual size of a slice: 1 MiB.
pub const SLICE_BYTES: usize = 1 << 20;

/// The readable side of a slice.
pub struct Slice {
    memory: Box<[UnsafeCell<MaybeUninit<u8>>]>,
    filled: AtomicUsize,
}

// SAFETY: bytes at `filled` and above are touched only by the one `SliceWriter` (it is not `Clone` and appends by
// `&mut self`); bytes below are initialised and immutable once `filled` has been stored with `Release`, and readers
// load it with `Acquire` before they look.
unsafe impl Sync for Slice {}
// SAFETY: the memory is owned, and plain bytes have no thread affinity.
unsafe impl Send for Slice {}

impl Slice {
    /// What has been written so far. Grows from call to call, never changes.
    #[must_use]
    pub fn filled(&self) -> &[u8] {
        let n_bytes = self.filled.load(Ordering::Acquire);
        // SAFETY: the first `n_bytes` are initialised and never written again (see the impl of `Sync`), and
        // `UnsafeCell<MaybeUninit<u8>>` has the layout of `u8`.
        unsafe { std::slice::from_raw_parts(self.memory.as_ptr().cast::<u8>(), n_bytes) }
    }

    /// How many bytes it holds memory for.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.memory.len()
    }
}

/// The slices of a body, each of the usual size but the last. Those that are so already are shared, others copied: a body
/// whose length was not known begins with smaller ones.
pub fn cut(body: &SlicedBody) -> impl Iterator<Item = Arc<Slice>> {
    let is_usual = body.slices.iter().rev().skip(1).all(|slice| slice.filled().len() == SLICE_BYTES);
    let mut place = 0;
    std::iter::from_fn(move || {
        if is_usual {
            place += 1;
            return body.slices.get(place - 1).map(Arc::clone);
        }
        let from = place as u64 * SLICE_BYTES as u64;
        let to = body.n_bytes.min(from + SLICE_BYTES as u64);
        place += 1;
        (from < to).then(|| {
            let mut writer = SliceWriter::with_capacity(usize::try_from(to - from).unwrap_or(SLICE_BYTES));
            Body::Slices(body).pieces(from, to).for_each(|piece| {
                writer.append(piece);
            });
            writer.share()
        })
    })
}

/// The one writer of a slice.
pub struct SliceWriter {
    slice: Arc<Slice>,
}

impl SliceWriter {
    /// A new slice of exactly `capacity` bytes.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        let mut memory = Vec::with_capacity(capacity);
        // SAFETY: `UnsafeCell<MaybeUninit<u8>>` may be uninitialised, and the vector has room for `capacity` of them.
        unsafe { memory.set_len(capacity) };
        Self { slice: Arc::new(Slice { memory: memory.into_boxed_slice(), filled: AtomicUsize::new(0) }) }
    }

    /// Appends as much of `bytes` as fits and says how much that was.
    pub fn append(&mut self, bytes: &[u8]) -> usize {
        let filled = self.slice.filled.load(Ordering::Relaxed);
        let n_bytes = bytes.len().min(self.slice.memory.len() - filled);
        if n_bytes == 0 {
            return 0;
        }
        let target = self.slice.memory[filled].get().cast::<u8>();
        // SAFETY: `target` begins `n_bytes` that lie inside the allocation at or above the mark: no reader looks at
        // them, and `&mut self` of the only writer keeps other writes away. `bytes` cannot overlap with them, since
        // nobody has been given a reference to them.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), target, n_bytes) };
        self.slice.filled.store(filled + n_bytes, Ordering::Release);
        n_bytes
    }

    /// The readable side.
    #[must_use]
    pub fn share(&self) -> Arc<Slice> {
        Arc::clone(&self.slice)
    }

    /// Whether nothing more fits.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.slice.filled.load(Ordering::Relaxed) == self.slice.memory.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_on_other_threads_see_a_growing_prefix_that_never_changes() {
        let mut writer = SliceWriter::with_capacity(64 * 1024);
        let readers: Vec<_> = (0..3)
            .map(|_| {
                let slice = writer.share();
                std::thread::spawn(move || {
                    let mut seen = 0;
                    while seen < slice.capacity() {
                        let bytes = slice.filled();
                        assert!(bytes.len() >= seen);
                        assert!(bytes[seen..].iter().enumerate().all(|(at, &byte)| byte == ((seen + at) % 251) as u8));
                        seen = bytes.len();
                        std::hint::spin_loop();
                    }
                })
            })
            .collect();
        let mut written = 0;
        while written < 64 * 1024 {
            let piece: Vec<u8> = (written..written + 777).map(|at| (at % 251) as u8).collect();
            written += writer.append(&piece);
        }
        assert!(writer.is_full());
        assert_eq!(writer.append(b"more"), 0);
        for reader in readers {
            reader.join().unwrap();
        }
    }
}
