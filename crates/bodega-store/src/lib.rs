//! Two tiers, in memory and on disk: entries within a bound of bytes, invalidation by stamps.
//!
//! Owns bytes and nothing else: what may be stored and whether it may answer is decided in `bodega-semantics`.
//! Start at `memory::Memory` and `disk::Disk`; `slice` is the buffer that one writer fills while many read along.

mod allocator;
pub mod disk;
pub mod entry;
pub mod invalidate;
pub mod memory;
pub mod slice;

pub use disk::{Disk, DiskBody};
pub use entry::{Body, Entry, EntryHead, Note, SlicedBody};
pub use invalidate::Invalidations;
pub use memory::{Memory, Reservation};
pub use slice::{Slice, SliceWriter};
