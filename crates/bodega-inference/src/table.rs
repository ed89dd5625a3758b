//! Which models there are at one moment, and what each origin means by them. A table is made whole and put in force whole,
//! so that a request sees one state of all models.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Weak};

use bodega_snapshot::{Model as Settings, ModelGroup};

use crate::group::Group;
use crate::model::{Identity, Model};

/// What is configured as one model, and what stands there.
#[derive(Clone)]
pub(crate) struct Slot {
    /// As the configuration says it.
    pub(crate) configured: Arc<Settings>,
    /// What is loaded; `None`: it was unloaded.
    pub(crate) model: Option<Arc<Model>>,
}

/// All models.
#[derive(Default)]
pub(crate) struct Table {
    /// By origin.
    pub(crate) slots: BTreeMap<String, Slot>,
    pub(crate) declared: Vec<Arc<ModelGroup>>,
    /// What each origin means.
    groups: HashMap<String, Arc<Group>>,
    /// Whose a row is, which may be read for a model that has been replaced since and still answers.
    named: HashMap<Identity, Weak<Model>>,
}

impl Table {
    /// `before` is what was in force until now.
    pub(crate) fn new(slots: BTreeMap<String, Slot>, declared: Vec<Arc<ModelGroup>>, before: &Self) -> Self {
        let mut groups = HashMap::with_capacity(slots.len() + declared.len());
        for (origin, slot) in &slots {
            let of_name = |(_, other): &(&String, &Slot)| other.configured.name == slot.configured.name;
            let others = slots.iter().filter(|(other, _)| *other != origin).filter(of_name);
            let members = slot.model.iter().chain(others.filter_map(|(_, other)| other.model.as_ref()));
            let group = Group::new(members.cloned().collect(), std::iter::once(&slot.configured.name));
            groups.insert(origin.clone(), Arc::new(group));
        }
        for group in &declared {
            let members = || group.members.iter().filter_map(|member| slots.get(member));
            let loaded = members().filter_map(|slot| slot.model.clone()).collect();
            let group_of = Group::new(loaded, members().map(|slot| &slot.configured.name));
            groups.insert(group.origin.clone(), Arc::new(group_of));
        }
        let mut named: HashMap<Identity, Weak<Model>> = before
            .named
            .iter()
            .filter(|(_, model)| model.strong_count() > 0)
            .map(|(identity, model)| (*identity, Weak::clone(model)))
            .collect();
        for model in slots.values().filter_map(|slot| slot.model.as_ref()) {
            named.insert(model.identity, Arc::downgrade(model));
        }
        Self { slots, declared, groups, named }
    }

    /// What an origin means; `None` if it is no model's.
    pub(crate) fn group(&self, origin: &str) -> Option<&Arc<Group>> {
        self.groups.get(origin)
    }

    /// Whose a row is.
    pub(crate) fn of_identity(&self, identity: &Identity) -> Option<Arc<Model>> {
        self.named.get(identity)?.upgrade()
    }

    /// The slot that answers for a name where no version is named: of a group with several its first, otherwise the
    /// first in the order of origins, of those where something is loaded.
    pub(crate) fn default_slot(&self, name: &str) -> Option<&str> {
        self.slots_of(name).into_iter().find(|origin| self.slots[*origin].model.is_some())
    }

    /// Where another version of a model goes: where nothing is loaded, or in place of the default one.
    pub(crate) fn slot_to_load(&self, name: &str) -> Option<(&str, &Slot)> {
        let empty = self.slots_of(name).into_iter().find(|origin| self.slots[*origin].model.is_none());
        let origin = empty.or_else(|| self.default_slot(name))?;
        Some((origin, &self.slots[origin]))
    }

    /// The versions of a model that are loaded.
    pub(crate) fn versions(&self, name: &str) -> Vec<&str> {
        let of_name = self.slots.values().filter(|slot| slot.configured.name == name);
        of_name.filter_map(|slot| slot.model.as_ref()).map(|model| model.version()).collect()
    }

    /// The slots of a name, first those of groups in their order. May say one twice.
    fn slots_of(&self, name: &str) -> Vec<&str> {
        let is_named = |origin: &&String| self.slots.get(*origin).is_some_and(|slot| slot.configured.name == name);
        let grouped = self.declared.iter().flat_map(|group| &group.members);
        grouped.chain(self.slots.keys()).filter(is_named).map(String::as_str).collect()
    }

    /// Models that this has and `other` has not.
    pub(crate) fn beyond(&self, other: &Self) -> Vec<Arc<Model>> {
        let models = |table: &Self| table.slots.values().filter_map(|slot| slot.model.clone()).collect::<Vec<_>>();
        let kept = models(other);
        models(self).into_iter().filter(|model| !kept.iter().any(|other| Arc::ptr_eq(model, other))).collect()
    }
}
