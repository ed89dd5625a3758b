//! The memory that an edge and a worker share: one file of the system's memory, which has its size for good.
//!
//! Its first half is for inputs, the other for outputs. Pages that nobody has written take no memory, so it is as large as
//! the largest run may be, and what a large run took is given back after it. The worker maps it; the edge reads and writes
//! it as a file, so that nothing it looks at changes meanwhile.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;

use rustix::fs::{FallocateFlags, MemfdFlags, SealFlags, fallocate, fcntl_add_seals, memfd_create};

/// Of inputs, and of outputs.
pub(super) const HALF_BYTES: u64 = 256 << 20;

/// A tensor begins at a multiple of this.
pub(super) const ALIGNMENT: u64 = 64;

/// What is kept from run to run.
const KEPT_BYTES: u64 = 1 << 20;

pub(super) struct SharedMemory(File);

impl SharedMemory {
    pub(super) fn new() -> io::Result<Self> {
        let memory = File::from(memfd_create("bodega-model", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?);
        memory.set_len(2 * HALF_BYTES)?;
        fcntl_add_seals(&memory, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
        Ok(Self(memory))
    }

    /// What another process handed over.
    pub(super) fn of(descriptor: OwnedFd) -> io::Result<Self> {
        let memory = File::from(descriptor);
        match memory.metadata()?.len() {
            n_bytes if n_bytes == 2 * HALF_BYTES => Ok(Self(memory)),
            _ => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    pub(super) fn try_clone(&self) -> io::Result<OwnedFd> {
        self.0.try_clone().map(OwnedFd::from)
    }

    /// Writes into one of its halves; returns where the next tensor may begin. `None`: there is no room.
    pub(super) fn write(&self, half: Half, at: u64, bytes: &[u8]) -> io::Result<Option<u64>> {
        let end = at.saturating_add(bytes.len() as u64);
        if end > half.end() || at < half.begin() {
            return Ok(None);
        }
        self.0.write_all_at(bytes, at)?;
        Ok(Some(end.next_multiple_of(ALIGNMENT)))
    }

    /// Reads from one of its halves. `None`: that is not there.
    pub(super) fn read(&self, half: Half, at: u64, n_bytes: u64) -> io::Result<Option<Vec<u8>>> {
        if at < half.begin() || at.checked_add(n_bytes).is_none_or(|end| end > half.end()) {
            return Ok(None);
        }
        let Ok(n_bytes) = usize::try_from(n_bytes) else { return Ok(None) };
        let mut bytes = vec![0; n_bytes];
        self.0.read_exact_at(&mut bytes, at)?;
        Ok(Some(bytes))
    }

    /// Gives back what a large run took.
    pub(super) fn give_back(&self, half: Half, n_bytes: u64) {
        if n_bytes > KEPT_BYTES {
            let mode = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            // If that fails, it is there for the next one.
            let _ = fallocate(&self.0, mode, half.begin() + KEPT_BYTES, HALF_BYTES - KEPT_BYTES);
        }
    }
}

#[derive(Clone, Copy)]
pub(super) enum Half {
    Inputs,
    Outputs,
}

impl Half {
    pub(super) const fn begin(self) -> u64 {
        match self {
            Self::Inputs => 0,
            Self::Outputs => HALF_BYTES,
        }
    }

    const fn end(self) -> u64 {
        self.begin() + HALF_BYTES
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn what_is_beyond_a_half_is_not_there() {
        let memory = SharedMemory::new().unwrap();
        assert_eq!(memory.write(Half::Inputs, 0, b"abc").unwrap(), Some(64));
        assert_eq!(memory.read(Half::Inputs, 1, 2).unwrap().unwrap(), b"bc");
        for (half, at, n_bytes) in [
            (Half::Inputs, HALF_BYTES - 1, 2),
            (Half::Inputs, u64::MAX, 2),
            (Half::Inputs, 0, u64::MAX),
            (Half::Outputs, 0, 1),
            (Half::Outputs, HALF_BYTES - 1, 2),
            (Half::Outputs, 2 * HALF_BYTES, 1),
        ] {
            assert!(memory.read(half, at, n_bytes).unwrap().is_none(), "{n_bytes} at {at}");
        }
        assert!(memory.write(Half::Inputs, HALF_BYTES - 2, b"abc").unwrap().is_none());
        assert!(memory.write(Half::Outputs, 0, b"abc").unwrap().is_none());
    }

    #[test]
    fn its_size_is_for_good_and_a_large_run_gives_back_what_it_took() {
        let memory = SharedMemory::new().unwrap();
        memory.0.set_len(10).unwrap_err();
        memory.0.set_len(4 * HALF_BYTES).unwrap_err();
        let large = vec![1; 4 << 20];
        memory.write(Half::Inputs, 0, &large).unwrap().unwrap();
        let n_taken = || memory.0.metadata().unwrap().blocks() * 512;
        assert!(n_taken() >= 4 << 20);
        memory.give_back(Half::Inputs, 4 << 20);
        assert!(n_taken() <= 1 << 20, "{}", n_taken());
    }
}
