//! One file a step. A step decides by calling a pure crate, acts on the value, and names the next step.

pub(crate) mod classify;
pub(crate) mod content;
pub(crate) mod deliver;
pub(crate) mod fetch;
pub(crate) mod finish;
pub(crate) mod hit;
pub(crate) mod load;
pub(crate) mod lookup;
pub(crate) mod miss;
pub(crate) mod options;
pub(crate) mod pass;
pub(crate) mod predict;
pub(crate) mod purge;
pub(crate) mod receive;
pub(crate) mod redirect;
pub(crate) mod refuse;
pub(crate) mod revalidate;
