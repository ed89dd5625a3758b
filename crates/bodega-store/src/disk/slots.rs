//! Slots.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

/// Holds a slot: nothing else comes into it meanwhile.
pub(super) struct Pin {
    file: Arc<File>,
}

impl AsFd for Pin {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}
