//! The one thing asked of the process's allocator, which is not ours to replace: to return free pages.

/// Returns whole free pages to the system, if the allocator is one that keeps them (glibc's is).
pub(crate) fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: `malloc_trim` takes no pointers and may be called at any time from any thread.
    unsafe {
        libc::malloc_trim(0);
    }
}
