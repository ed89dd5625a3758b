//! Calls of the system that the standard library does not have. Linux.

use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::AsRawFd;
use std::path::Path;

/// Reads `n_bytes` at `at`, appended to `into`, if the system has all of them in memory. `None`: it has not, or this
/// file system cannot say.
pub(super) fn read_now(file: &File, into: &mut Vec<u8>, n_bytes: usize, at: u64) -> io::Result<Option<()>> {
    into.reserve_exact(n_bytes);
    let target = libc::iovec { iov_base: into.spare_capacity_mut().as_mut_ptr().cast(), iov_len: n_bytes };
    let at = i64::try_from(at).map_err(|_| io::ErrorKind::InvalidInput)?;
    // SAFETY: `target` is the spare memory of a vector that was just made to have room for `n_bytes`; the call writes
    // no more than that there, and the descriptor is open as long as `file` is borrowed.
    let read = unsafe { libc::preadv2(file.as_raw_fd(), &raw const target, 1, at, libc::RWF_NOWAIT) };
    if read < 0 {
        let error = io::Error::last_os_error();
        return match error.raw_os_error() {
            // ENOSYS: what a sandbox answers that does not know the call.
            Some(libc::EAGAIN | libc::EOPNOTSUPP | libc::ENOSYS | libc::EINTR) => Ok(None),
            _ => Err(error),
        };
    }
    if read.unsigned_abs() < n_bytes {
        return Ok(None);
    }
    // SAFETY: the call has written `n_bytes` bytes behind the vector's length, within its capacity.
    unsafe { into.set_len(into.len() + n_bytes) };
    Ok(Some(()))
}

/// Reads `n_bytes` at `at`, appended to `into`, waiting for them.
pub(super) fn read_at(file: &File, into: &mut Vec<u8>, n_bytes: usize, at: u64) -> io::Result<()> {
    into.reserve_exact(n_bytes);
    let mut done = 0;
    while done < n_bytes {
        let spare = into.spare_capacity_mut();
        let offset = i64::try_from(at + done as u64).map_err(|_| io::ErrorKind::InvalidInput)?;
        // SAFETY: the spare memory has room for what is left of `n_bytes`, which is all that the call writes; the
        // descriptor is open as long as `file` is borrowed.
        let read = unsafe { libc::pread(file.as_raw_fd(), spare.as_mut_ptr().cast(), n_bytes - done, offset) };
        match read {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read if read < 0 => {
                let error = io::Error::last_os_error();
                if error.kind() != io::ErrorKind::Interrupted {
                    return Err(error);
                }
            }
            read => {
                let read = read.unsigned_abs();
                // SAFETY: the call has written `read` bytes behind the vector's length, within its capacity.
                unsafe { into.set_len(into.len() + read) };
                done += read;
            }
        }
    }
    Ok(())
}

/// Says that reads of the file are in no order: what lies behind a slice is a slice of something else, and would be read
/// in vain.
pub(super) fn expect_random(file: &File) {
    advise(file, 0, 0, libc::POSIX_FADV_RANDOM);
}

/// Has a range of the file on its way into memory. Who is to wait for the disk is another question; it may be the caller.
pub(super) fn will_need(file: &File, at: u64, n_bytes: u64) {
    advise(file, at, n_bytes, libc::POSIX_FADV_WILLNEED);
}

/// Advice: whether it was heeded changes nothing but the time that things take.
fn advise(file: &File, at: u64, n_bytes: u64, advice: i32) {
    if let (Ok(at), Ok(n_bytes)) = (i64::try_from(at), i64::try_from(n_bytes)) {
        // SAFETY: no pointers; the descriptor is open as long as `file` is borrowed.
        unsafe { libc::posix_fadvise(file.as_raw_fd(), at, n_bytes, advice) };
    }
}

/// Waits for a range of the file that is on its way into memory (`will_need`). Next to nothing of it is copied, or even
/// looked at: pages that are looked at here and again when they are sent count as worth keeping, and it costs time to
/// move each of them among those.
pub(super) fn wait_for(file: &File, at: u64, n_bytes: u64) -> io::Result<()> {
    let mut bytes = Vec::new();
    for at in looks(at, n_bytes, WAIT_BYTES) {
        bytes.clear();
        read_at(file, &mut bytes, 1, at)?;
    }
    if is_in_memory(file, at, n_bytes) {
        return Ok(());
    }
    // It was not on its way: a file system that takes no advice, or no memory to spare.
    for from in (at..at + n_bytes).step_by(WAIT_BYTES) {
        bytes.clear();
        read_at(file, &mut bytes, usize::try_from(at + n_bytes - from).unwrap_or(WAIT_BYTES).min(WAIT_BYTES), from)?;
    }
    Ok(())
}

/// Where a range is looked at to know whether all of it has arrived: what is read at once arrives at once. Its first byte
/// and the last of each step.
fn looks(at: u64, n_bytes: u64, step: usize) -> impl Iterator<Item = u64> {
    let last = at + n_bytes.saturating_sub(1);
    std::iter::once(at).chain((at..=last).step_by(step).map(move |from| last.min(from + step as u64 - 1)))
}

/// Makes sure that the file has disk space for `n_bytes` at `at`, and is at least that long.
pub(super) fn allocate(file: &File, at: u64, n_bytes: u64) -> io::Result<()> {
    match fallocate(file, 0, at, n_bytes) {
        Err(error) if is_unsupported(&error) => file.set_len(at + n_bytes),
        done => done,
    }
}

/// Takes the pages of a range out of the file: whoever still sends them keeps them as they are, and what is written
/// there from now on goes to others. False: this file system cannot.
pub(super) fn detach(file: &File, at: u64, n_bytes: u64) -> io::Result<bool> {
    // The first keeps the space; a file system in memory has only the second.
    for mode in [libc::FALLOC_FL_ZERO_RANGE | libc::FALLOC_FL_KEEP_SIZE, PUNCH_HOLE] {
        match fallocate(file, mode, at, n_bytes) {
            Err(error) if is_unsupported(&error) => {}
            done => return done.map(|()| true),
        }
    }
    Ok(false)
}

/// Gives the space of a range back to the file system, if it can take it.
pub(super) fn give_back(file: &File, at: u64, n_bytes: u64) -> io::Result<()> {
    match fallocate(file, PUNCH_HOLE, at, n_bytes) {
        Err(error) if is_unsupported(&error) => Ok(()),
        done => done,
    }
}

fn fallocate(file: &File, mode: i32, at: u64, n_bytes: u64) -> io::Result<()> {
    let (Ok(at), Ok(n_bytes)) = (i64::try_from(at), i64::try_from(n_bytes)) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    // SAFETY: no pointers; the descriptor is open as long as `file` is borrowed.
    match unsafe { libc::fallocate(file.as_raw_fd(), mode, at, n_bytes) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn is_unsupported(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EOPNOTSUPP | libc::ENOSYS))
}

/// Whether a range of the file is in memory, as far as the system says.
pub(super) fn is_in_memory(file: &File, at: u64, n_bytes: u64) -> bool {
    #[repr(C)]
    struct Range {
        offset: u64,
        n_bytes: u64,
    }
    let range = Range { offset: at, n_bytes };
    // `cached`, `dirty`, `writeback`, `evicted`, `recently evicted`, in pages.
    let mut counts = [0_u64; 5];
    // SAFETY: cachestat(2) reads the range and writes five numbers, which is what the pointers point to; kernels older
    // than 6.5 answer ENOSYS and touch nothing.
    let done = unsafe { libc::syscall(SYS_CACHESTAT, file.as_raw_fd(), &raw const range, counts.as_mut_ptr(), 0) };
    if done == 0 {
        let n_pages = (at + n_bytes).div_ceil(PAGE_BYTES) - at / PAGE_BYTES;
        if counts[0] < n_pages {
            return false;
        }
    }
    // Pages that are still being read count as well, and a kernel that does not count is asked for a few: the system
    // reads ahead and drops in longer pieces.
    let mut byte = Vec::with_capacity(1);
    looks(at, n_bytes, LOOK_BYTES).all(|at| {
        byte.clear();
        matches!(read_now(file, &mut byte, 1, at), Ok(Some(())))
    })
}

/// Bytes of the file system: those that are free for this user, and all.
pub(super) fn space(file: &File) -> io::Result<(u64, u64)> {
    let mut answer = MaybeUninit::<libc::statvfs>::zeroed();
    // SAFETY: the call writes one `statvfs`, which `answer` has room for and which may be all zeros.
    let answer = unsafe {
        if libc::fstatvfs(file.as_raw_fd(), answer.as_mut_ptr()) != 0 {
            return Err(io::Error::last_os_error());
        }
        answer.assume_init()
    };
    Ok((answer.f_bavail * answer.f_frsize, answer.f_blocks * answer.f_frsize))
}

/// Takes the file's lock for this open file. False: somebody else has it.
pub(super) fn lock(file: &File) -> io::Result<bool> {
    // SAFETY: no pointers; the descriptor is open as long as `file` is borrowed.
    match unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } {
        0 => Ok(true),
        _ => match io::Error::last_os_error() {
            error if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            error => Err(error),
        },
    }
}

/// Gives the file's lock back.
pub(super) fn unlock(file: &File) {
    // SAFETY: no pointers; the descriptor is open as long as `file` is borrowed.
    unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_UN) };
}

/// Random bytes of the system.
pub(super) fn random<const N: usize>() -> io::Result<[u8; N]> {
    use std::io::Read as _;
    let mut bytes = [0; N];
    File::open(Path::new("/dev/urandom"))?.read_exact(&mut bytes)?;
    Ok(bytes)
}

const PUNCH_HOLE: i32 = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
/// The same number on every architecture that Linux runs on today; the libc crate has it for some only.
const SYS_CACHESTAT: libc::c_long = 451;
const PAGE_BYTES: u64 = 4096;
/// How far apart a range is waited for, and how far apart it is looked at.
const WAIT_BYTES: usize = 64 << 10;
const LOOK_BYTES: usize = 256 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_waited_for_or_is_not_there() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(300_000).unwrap();
        for is_advised in [true, false] {
            file.sync_all().unwrap();
            advise(&file, 0, 0, libc::POSIX_FADV_DONTNEED);
            expect_random(&file);
            if is_advised {
                will_need(&file, 4096, 200_000);
            }
            wait_for(&file, 4096, 200_000).unwrap();
            assert!(is_in_memory(&file, 4096, 200_000), "{is_advised}");
        }
        let error = wait_for(&file, 200_000, 100_001).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn a_range_is_looked_at_from_its_first_byte_to_its_last() {
        for (at, n_bytes, expected) in [
            (10, 1, vec![10, 10]),
            (0, 100, vec![0, 99]),
            (100, 100, vec![100, 199]),
            (100, 101, vec![100, 199, 200]),
            (0, 250, vec![0, 99, 199, 249]),
        ] {
            assert_eq!(looks(at, n_bytes, 100).collect::<Vec<_>>(), expected, "{n_bytes} at {at}");
        }
    }
}
