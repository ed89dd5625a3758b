//! Who leads a row that is for all who ask for it: keeps what the model gives, and tells them.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bodega_http1::write::write_length;
use bodega_semantics::storable::Terms;
use bodega_semantics::{Fields, Outcome, Reason, Timestamp, date};
use bodega_snapshot::Behavior;
use bodega_store::Entry;
use bodega_store::entry::{Kind, NewEntry};
use bytes::Bytes;

use super::gone;
use super::imprint::Imprint;
use crate::edge::Worker;
use crate::fetch::{FetchAnswer, OnePiece};
use crate::fill::{Fill, Resolved};
use crate::predict::{Predicted, Predicts, Waits};

thread_local! {
    /// Where field lines are put together.
    static BLOCK: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Waits for a row that is for all who ask for it: keeps it, and tells them.
pub(super) struct RowLead {
    pub(super) worker: Arc<Worker>,
    pub(super) fill: Arc<Fill>,
    pub(super) behavior: Arc<Behavior>,
    pub(super) origin: Arc<str>,
    pub(super) model: Arc<dyn Predicts>,
    pub(super) imprint: Arc<Imprint>,
    pub(super) revision: u64,
    /// When it was asked for.
    pub(super) began: Timestamp,
    pub(super) is_told: AtomicBool,
}

impl Waits for RowLead {
    /// Others may have joined, and more will come.
    fn is_wanted(&self) -> bool {
        true
    }

    fn told(&self, predicted: Predicted) {
        let answered = match &predicted {
            Predicted::Outputs(record) => Some(record.len() as u64),
            Predicted::Failed(what) => Some(what.len() as u64),
            Predicted::Unanswered(_) => None,
        };
        self.worker.fetch.predicted(&self.origin, answered);
        match predicted {
            Predicted::Outputs(record) => {
                let (entry, is_for_all) = self.entry(&record);
                let stored = is_for_all && self.worker.edge.store_row(entry.clone());
                let (outcome, reason, fwd_status) = (Outcome::Collapsed, Reason::UriMiss, None);
                self.resolve(Resolved::Entry { entry, outcome, reason, fwd_status, is_for_all, stored });
            }
            Predicted::Failed(what) => {
                let what = Bytes::from(what);
                let (content_length, body) = (Some(what.len() as u64), Box::new(OnePiece(Some(what))));
                let mut fields = Fields::new();
                fields.push("Cache-Control", b"no-store");
                self.is_told.store(true, Ordering::Relaxed);
                self.worker.edge.collapse.leave(&self.fill);
                self.fill.resolve_private(FetchAnswer { status: 500, fields, content_length, body });
                self.fill.end(Ok(()));
            }
            Predicted::Unanswered(error) => self.resolve(Resolved::Failed(error)),
        }
    }
}

impl RowLead {
    pub(super) fn resolve(&self, resolved: Resolved) {
        self.is_told.store(true, Ordering::Relaxed);
        self.worker.edge.collapse.leave(&self.fill);
        self.fill.resolve_at_end(resolved);
    }

    /// What is stored, and whether it is to be.
    fn entry(&self, record: &[u8]) -> (Entry, bool) {
        let (edge, policy) = (&self.worker.edge, &self.behavior.policy);
        let now = self.worker.now();
        let most = policy
            .max_object_bytes
            .map_or(edge.memory.max_object_bytes(), |most| most.min(edge.memory.max_object_bytes()));
        let is_small = record.len() as u64 <= most;
        let terms = if is_small { self.imprint.terms(self.model.as_ref(), policy, self.began, now) } else { None };
        BLOCK.with_borrow_mut(|block| {
            block.clear();
            block.extend_from_slice(&self.imprint.block);
            block.extend_from_slice(b"Date: ");
            block.extend_from_slice(&date::format(now));
            block.extend_from_slice(b"\r\n");
            write_length(block, record.len() as u64);
            let new = NewEntry {
                key: self.fill.key,
                stamp: self.fill.stamp,
                terms: terms.unwrap_or(Terms { born: now, expires: now, ..Terms::default() }),
                revision: self.revision,
                kind: Kind::Answer,
                status: 200,
                for_user: false,
                status_line: b"HTTP/1.1 200 OK\r\n",
                block,
                note: &self.imprint.tagged,
            };
            (Entry::whole(&new, record), terms.is_some())
        })
    }
}

impl Drop for RowLead {
    fn drop(&mut self) {
        if !self.is_told.load(Ordering::Relaxed) {
            self.worker.fetch.predicted(&self.origin, None);
            self.resolve(Resolved::Failed(gone()));
        }
    }
}
