//! What is stored, for people: by page, and of one URL. Not for serving threads: what is on disk is waited for.

use std::time::Duration;

use bodega_semantics::partial as parts;
use bodega_semantics::path::Paths;
use bodega_semantics::{Fields, Key, forwarding};
use bodega_store::Entry;
use bodega_store::disk::Described;
use bodega_store::entry::Kind;

use crate::edge::Edge;
use crate::exchange::Host;
use crate::keying::Keying;
use crate::variants::Variants;

/// How many entries are looked at for one page, whether they are shown or not.
const LOOKED_AT: usize = 4096;
/// How long one entry may take to come from disk.
const DISK_WAIT: Duration = Duration::from_secs(5);

/// An entry, and where it is.
#[derive(Clone, Debug)]
pub struct Held {
    /// The entry.
    pub entry: Entry,
    /// Whether it is in memory.
    pub in_memory: bool,
    /// What the disk knows of it.
    pub on_disk: Option<Described>,
    /// Whether it has been invalidated, or will be asked about because of that.
    pub is_invalidated: bool,
}

/// Where a listing goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cursor {
    /// In memory.
    Memory(usize),
    /// On disk, of what is not in memory.
    Disk(u64),
}

/// Which entries are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Those whose `host/path?query` begins so.
    pub prefix: Option<String>,
    /// Those with this tag.
    pub tag: Option<String>,
    /// Those whose body is at least so long.
    pub min_bytes: u64,
}

impl Wanted {
    fn is_met_by(&self, entry: &Entry) -> bool {
        matches!(entry.kind, Kind::Answer | Kind::Part)
            && entry.body().len() >= self.min_bytes
            && self.prefix.as_ref().is_none_or(|prefix| entry.note().url().starts_with(prefix.as_str()))
            && self.tag.as_ref().is_none_or(|tag| entry.note().tags().any(|held| held == tag))
    }
}

impl Edge {
    /// A page of what is stored: answers and parts, memory first, in no order of interest. Also where to go on.
    #[must_use]
    pub fn list(&self, wanted: &Wanted, from: Cursor, most: usize) -> (Vec<Held>, Option<Cursor>) {
        let mut page = Vec::new();
        match from {
            Cursor::Memory(place) => {
                let n = LOOKED_AT.min(most.saturating_mul(16)).max(most);
                let next = self.memory.sweep(place, n, &mut |entry| {
                    if wanted.is_met_by(entry) {
                        page.push(self.held(entry.clone(), true));
                    }
                });
                let on_disk = self.disk().map(|_| Cursor::Disk(0));
                (page, next.map(Cursor::Memory).or(on_disk))
            }
            Cursor::Disk(place) => {
                let Some(disk) = self.disk() else { return (page, None) };
                let (keys, next) = disk.keys(place, most);
                for key in keys {
                    if self.memory.peek(key).is_none()
                        && let Some(entry) = self.fetch_from_disk(key)
                        && wanted.is_met_by(&entry)
                    {
                        page.push(self.held(entry, false));
                    }
                }
                (page, next.map(Cursor::Disk))
            }
        }
    }

    /// What is stored for a URL: the answer or its variants, and parts. `None`: no distribution serves it.
    #[must_use]
    pub fn show(&self, https: bool, host: &str, path: &str, query: Option<&str>) -> Option<Vec<Held>> {
        let scheme = forwarding::scheme(&Fields::new(), https, false);
        let snapshot = self.snapshot.load();
        let paths = Paths::of(path)?;
        let host = Host::of(host, scheme.is_https)?;
        let distribution = snapshot.distribution(host.as_str())?;
        let behavior = distribution.behavior("GET", paths.matched())?;
        let keying = Keying::of(distribution, behavior, scheme, &host, &paths, query);
        let primary = keying.key(&self.settings.secret, &Fields::new());
        let mut keys = vec![primary];
        if let Some(entry) = self.peek_anywhere(primary)
            && entry.kind == Kind::VaryNames
        {
            keys = Variants::of(&entry).keys().collect();
        }
        let with_parts = keys.into_iter().flat_map(|key| [key, parts::key(key)]);
        Some(with_parts.filter_map(|key| self.held_under(key)).collect())
    }

    fn held_under(&self, key: Key) -> Option<Held> {
        match self.memory.peek(key) {
            Some(entry) => Some(self.held(entry, true)),
            None => self.fetch_from_disk(key).map(|entry| self.held(entry, false)),
        }
        .filter(|held| matches!(held.entry.kind, Kind::Answer | Kind::Part))
    }

    fn peek_anywhere(&self, key: Key) -> Option<Entry> {
        self.memory.peek(key).or_else(|| self.fetch_from_disk(key))
    }

    fn held(&self, entry: Entry, in_memory: bool) -> Held {
        let on_disk = self.disk().and_then(|disk| disk.describe(entry.key));
        let is_invalidated = !self.is_untouched(&entry);
        Held { entry, in_memory, on_disk, is_invalidated }
    }

    fn fetch_from_disk(&self, key: Key) -> Option<Entry> {
        self.load_within(key, DISK_WAIT)
    }
}
