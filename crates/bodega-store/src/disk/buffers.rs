//! Buffers for pieces of bodies, used again: taking 256 KiB from the system for each piece costs more than reading it.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use parking_lot::Mutex;

/// Larger and smaller ones are not kept.
const KEPT_BYTES: usize = super::READ_BYTES as usize + 2 * super::format::BLOCK_BYTES;
const LEAST_BYTES: usize = super::format::BLOCK_BYTES + 1;
const MAX_KEPT: usize = 32;

/// Buffers that nobody uses.
#[derive(Default)]
pub(super) struct Buffers(Arc<Mutex<Vec<Vec<u8>>>>);

/// A buffer in use.
pub(super) struct Buffer {
    bytes: Vec<u8>,
    home: Option<Arc<Mutex<Vec<Vec<u8>>>>>,
}

impl Buffers {
    /// An empty buffer with room for `n_bytes`.
    pub(super) fn take(&self, n_bytes: usize) -> Buffer {
        if !(LEAST_BYTES..=KEPT_BYTES).contains(&n_bytes) {
            return Buffer { bytes: Vec::with_capacity(n_bytes), home: None };
        }
        let kept = self.0.lock().pop();
        Buffer { bytes: kept.unwrap_or_else(|| Vec::with_capacity(KEPT_BYTES)), home: Some(Arc::clone(&self.0)) }
    }
}

impl Deref for Buffer {
    type Target = Vec<u8>;

    fn deref(&self) -> &Vec<u8> {
        &self.bytes
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let Some(home) = &self.home else { return };
        let mut kept = home.lock();
        if kept.len() < MAX_KEPT {
            self.bytes.clear();
            kept.push(std::mem::take(&mut self.bytes));
        }
    }
}
