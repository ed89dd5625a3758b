//! The cache key.

/// A 128-bit keyed hash of everything that tells two answers apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(pub u128);
