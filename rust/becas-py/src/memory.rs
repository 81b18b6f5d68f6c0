//! What the allocator keeps goes back to the system.

/// Gives free pages back, those in the middle of heaps too; takes milliseconds.
///
/// The C library keeps for each thread's arena what it once needed, and an export runs on whichever thread is free: so
/// the peaks of ingest and of one export after the other would add up.
pub(crate) fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: the function takes the locks of the arenas that it works on, and changes nothing that is in use.
    #[expect(unsafe_code, reason = "foreign functions are marked as unsafe")]
    unsafe {
        libc::malloc_trim(0);
    }
}
