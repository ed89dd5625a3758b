//! Header edits of a behavior.

use bodega_semantics::{Fields, Head};

/// Fields that are removed, then fields that are set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edits {
    /// Name and value; replaces all lines of that name.
    pub set: Vec<(String, String)>,
    /// Names.
    pub remove: Vec<String>,
}

impl Edits {
    /// Whether nothing is changed.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.set.is_empty() && self.remove.is_empty()
    }

    /// Whether a field of this name is the same in every request: set, or taken out.
    #[must_use]
    pub fn names(&self, name: &str) -> bool {
        let set = self.set.iter().map(|(name, _)| name);
        set.chain(&self.remove).any(|edited| edited.eq_ignore_ascii_case(name))
    }

    /// Changes `fields`.
    pub fn apply(&self, fields: &mut Fields) {
        for name in &self.remove {
            fields.remove(name);
        }
        for (name, value) in &self.set {
            fields.set(name, value.as_bytes());
        }
    }

    /// Changes `fields` of a head that comes before the answer: what is set is set only in place of what is there.
    pub fn apply_to_present(&self, fields: &mut Fields) {
        for name in &self.remove {
            fields.remove(name);
        }
        for (name, value) in &self.set {
            if fields.has(name) {
                fields.set(name, value.as_bytes());
            }
        }
    }
}
