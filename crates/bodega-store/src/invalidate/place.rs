//! Where in a journal an edge is: up to which event it has applied everything.

/// A place in a journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The journal's identity.
    pub journal: [u8; 16],
    /// The epoch that was in force.
    pub epoch: [u8; 8],
    /// The last event that was applied; 0 before the first.
    pub position: u64,
    /// The chain there: a hash over all events up to it.
    pub chain: [u8; 16],
}
