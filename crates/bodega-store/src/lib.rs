//! The memory tier: entries within a bound of bytes, invalidation by stamps.
