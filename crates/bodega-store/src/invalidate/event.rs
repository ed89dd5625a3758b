//! What an invalidation reaches, and how hard.

use std::sync::Arc;

/// One step of the sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// What it reaches.
    pub target: Target,
    /// What becomes of that.
    pub force: Force,
}

/// What becomes of what is reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Force {
    /// It is not used in any way: neither when the origin fails nor to ask whether it still holds.
    #[default]
    Hard,
    /// It is stale from that moment.
    Soft,
    /// The same without stale windows: its origin may confirm it, and it is used in no other way.
    Revalidate,
}

impl Force {
    /// All of them.
    pub(super) const ALL: [Self; 3] = [Self::Hard, Self::Soft, Self::Revalidate];
}

/// What an invalidation reaches. Marks are those of `bodega_semantics::key` and `groups`, made with the secret of the
/// `Invalidations` that they are for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Everything.
    All,
    /// What is stored for a distribution, by its mark.
    Distribution(u64),
    /// What is stored under a path (with every query) or a URL, by the mark of either.
    Key(u64),
    /// What lies in a folder and in those below it, by the folder's mark.
    Folder(u64),
    /// What carries a tag, by its mark.
    Tag(u64),
    /// What is of a cache group (RFC 9875), by its mark.
    Group(u64),
    /// That of which `host/path` matches a pattern.
    Urls(Arc<str>),
    /// What carries a tag that matches a pattern.
    Tags(Arc<str>),
}

impl Target {
    /// Whether it is a rule that each entry is tested against.
    #[must_use]
    pub const fn is_rule(&self) -> bool {
        matches!(self, Self::Urls(_) | Self::Tags(_))
    }
}

/// What may be done with something that is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Whatever its terms allow.
    Usable,
    /// The same, as of something that expired at `since`, if it had not before.
    Stale {
        /// When it was invalidated.
        since: bodega_semantics::Timestamp,
        /// The number up to which that takes account of everything.
        checked: u64,
        /// Whether it may be used stale at all.
        has_windows: bool,
    },
    /// Nothing.
    Gone,
}
