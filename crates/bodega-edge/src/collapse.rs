//! At most one fill a key: who asks for what is being fetched joins instead of asking the origin again.

use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use bodega_semantics::Key;
use hashbrown::HashMap;
use parking_lot::Mutex;

use crate::fill::Fill;

const N_SHARDS: usize = 64;

type Shard = Mutex<HashMap<Key, Arc<Fill>, BuildHasherDefault<OfKey>>>;

/// Keys are hashes already, under a secret: nobody can choose them.
#[derive(Default)]
struct OfKey(u64);

impl Hasher for OfKey {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u128(&mut self, key: u128) {
        // The other half says which shard it is in.
        self.0 = (key >> 64) as u64;
    }
}

/// The fills under way.
pub(crate) struct Collapse {
    shards: Box<[Shard]>,
}

/// A place in the table.
pub(crate) enum Entered {
    /// Nobody is filling this: the caller must run the fill.
    Lead(Arc<Fill>),
    /// Somebody is.
    Join(Arc<Fill>),
}

impl Collapse {
    pub(crate) fn new() -> Self {
        Self { shards: (0..N_SHARDS).map(|_| Mutex::new(HashMap::default())).collect() }
    }

    /// Joins the fill under `key` if `may_join` allows it, else puts the one `begin` makes in its place.
    /// A fill that was pushed out goes on for those who read it.
    pub(crate) fn enter(
        &self,
        key: Key,
        may_join: impl FnOnce(&Fill) -> bool,
        begin: impl FnOnce() -> Fill,
    ) -> Entered {
        let mut shard = self.shard(key).lock();
        if let Some(fill) = shard.get(&key)
            && may_join(fill)
        {
            return Entered::Join(Arc::clone(fill));
        }
        let fill = Arc::new(begin());
        shard.insert(key, Arc::clone(&fill));
        Entered::Lead(fill)
    }

    /// The stamp of the oldest fill under way.
    pub(crate) fn oldest_stamp(&self) -> Option<u64> {
        self.shards.iter().filter_map(|shard| shard.lock().values().map(|fill| fill.stamp).min()).min()
    }

    /// Whether a fill is under way under `key`.
    pub(crate) fn under_way(&self, key: Key) -> Option<Arc<Fill>> {
        self.shard(key).lock().get(&key).cloned()
    }

    /// Lets `fill` be joined under the key of the variant that it turned out to be, too: whoever comes once the names
    /// are known looks there.
    pub(crate) fn enter_variant(&self, fill: &Arc<Fill>, key: Key) {
        if key != fill.key && fill.variant.set(key).is_ok() {
            self.shard(key).lock().entry(key).or_insert_with(|| Arc::clone(fill));
        }
    }

    /// Takes `fill` out, where it is still the one under its key.
    pub(crate) fn leave(&self, fill: &Arc<Fill>) {
        for key in std::iter::once(&fill.key).chain(fill.variant.get()) {
            let mut shard = self.shard(*key).lock();
            if shard.get(key).is_some_and(|other| Arc::ptr_eq(other, fill)) {
                shard.remove(key);
            }
        }
    }

    fn shard(&self, key: Key) -> &Shard {
        &self.shards[key.0 as usize & (N_SHARDS - 1)]
    }
}
