//! What has been read from a connection and not been used yet. An idle connection holds no buffer.

use std::io;

use crate::stream::Stream;

/// How much room a read begins with: a usual head fits.
const FIRST_BYTES: usize = 8 * 1024;

/// A buffer whose front is consumed.
#[derive(Default)]
pub(crate) struct Input {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Input {
    pub(crate) fn filled(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    pub(crate) fn consume(&mut self, n_bytes: usize) {
        self.start += n_bytes;
        debug_assert!(self.start <= self.end, "more was consumed than read");
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
        }
    }

    /// Gives the memory back, if nothing is in it.
    pub(crate) fn release(&mut self, spare: &mut Vec<Vec<u8>>) {
        if self.is_empty() && !self.bytes.is_empty() {
            let bytes = std::mem::take(&mut self.bytes);
            if bytes.len() == FIRST_BYTES && spare.len() < MAX_SPARE {
                spare.push(bytes);
            }
        }
    }

    /// Takes memory for reading.
    pub(crate) fn take_memory(&mut self, spare: &mut Vec<Vec<u8>>) {
        if self.bytes.is_empty() {
            self.bytes = spare.pop().unwrap_or_else(|| vec![0; FIRST_BYTES]);
        }
    }

    /// Reads what is there, growing up to `max_bytes` of unused input. 0 means the end, or no room.
    pub(crate) fn read(&mut self, stream: &Stream, max_bytes: usize) -> io::Result<usize> {
        if self.end == self.bytes.len() {
            if self.start > 0 {
                self.bytes.copy_within(self.start..self.end, 0);
                self.end -= self.start;
                self.start = 0;
            } else {
                let wanted = (self.bytes.len() * 2).clamp(FIRST_BYTES, max_bytes.max(FIRST_BYTES));
                self.bytes.resize(wanted.max(self.bytes.len()), 0);
            }
        }
        let n_bytes = stream.try_read(&mut self.bytes[self.end..])?;
        self.end += n_bytes;
        Ok(n_bytes)
    }
}

/// How many buffers a thread keeps for the next connection.
const MAX_SPARE: usize = 64;
