//! A group of origins: the first member that may be asked, and the next one where it fails.
//!
//! The next is asked for requests that may be sent twice (`GET`, `HEAD`, `OPTIONS` without a body; a body that is part
//! of the key, which declares that it changes nothing), after no answer or an answer with a status of `failover`; each
//! member at most once, with attempts of its own. Other requests go to the first member alone: whether another may take
//! an order is not for an edge to guess.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bodega_edge::fetch::{FetchAnswer, FetchError, FetchRequest, RequestBody};
use bodega_semantics::Reason;
use bodega_snapshot::OriginGroup as Settings;
use tokio::time::Instant;

use crate::ask::{self, ask, is_down, try_aside};
use crate::attempts::may_repeat;
use crate::health::{Asking, Failing};
use crate::pool::Lane;

/// One group, as all threads share it.
pub(crate) struct Group {
    pub(crate) settings: Arc<Settings>,
    /// Requests for which another member than the first was asked.
    n_failovers: AtomicU64,
}

impl Group {
    /// Counts on where `before` stopped, so that a reload takes nothing from the figure.
    pub(crate) fn new(settings: Arc<Settings>, before: Option<&Self>) -> Self {
        Self { settings, n_failovers: AtomicU64::new(before.map_or(0, Self::n_failovers)) }
    }

    pub(crate) fn n_failovers(&self) -> u64 {
        self.n_failovers.load(Ordering::Relaxed)
    }
}

/// Asks the members in turn; `lanes` lead to them, in their order.
///
/// # Errors
/// What the last one that was asked failed of.
pub(crate) async fn fetch(
    group: Arc<Group>,
    lanes: Vec<Lane>,
    request: FetchRequest,
) -> Result<FetchAnswer, FetchError> {
    let Some(first) = lanes.first() else {
        return Err(FetchError::internal(format!("the group \"{}\" has no members", group.settings.name)));
    };
    if !may_repeat(&request) {
        return ask::alone(first.clone(), request).await;
    }
    let mut members = Members { group: &group, request, untried: lanes.iter(), failing: Vec::new() };
    let Some(mut member) = members.next().or_else(|| members.last_resort()) else {
        let soonest = members.failing.iter().map(|(_, failing)| *failing).min();
        return Err(is_down(&group.settings.name, soonest.unwrap_or_default()));
    };
    let mut is_counted = false;
    loop {
        let (lane, asking) = member;
        if !is_counted && !std::ptr::eq(lane, first) {
            is_counted = true;
            group.n_failovers.fetch_add(1, Ordering::Relaxed);
        }
        let result = ask(lane.clone(), asking, again(&members.request), &group.settings.failover).await;
        let next = match &result {
            Ok(answer) if group.settings.failover.contains(&answer.status) => members.next(),
            Err(error) if is_of_this_member(error.reason) => members.next().or_else(|| members.last_resort()),
            _ => None,
        };
        match next {
            Some(next) => member = next,
            None => return result,
        }
    }
}

/// Who may be asked yet.
struct Members<'a> {
    group: &'a Arc<Group>,
    request: FetchRequest,
    untried: std::slice::Iter<'a, Lane>,
    /// Passed over.
    failing: Vec<(&'a Lane, Failing)>,
}

impl<'a> Members<'a> {
    fn next(&mut self) -> Option<(&'a Lane, Asking)> {
        let now = Instant::now();
        while let Some(lane) = self.untried.next() {
            let health = &lane.origin().health;
            match health.ask(now) {
                Ok(trial) if trial.is_trial() && self.has_another(now) => {
                    self.failing.push((lane, health.failing(now).unwrap_or_default()));
                    try_aside(lane.clone(), trial, again(&self.request), Some(Arc::clone(self.group)));
                }
                Ok(asking) => return Some((lane, asking)),
                Err(failing) => self.failing.push((lane, failing)),
            }
        }
        None
    }

    /// Whether something else can answer than the member that is just looked at.
    fn has_another(&self, now: Instant) -> bool {
        let is_up = |lane: &Lane| lane.origin().health.failing(now).is_none();
        self.request.has_fallback || self.untried.as_slice().iter().any(is_up)
    }

    /// When no other has answered: of those passed over the one whose trial is due first, once. An answer beats none,
    /// but what is stored beats waiting for an origin that is known to fail.
    fn last_resort(&mut self) -> Option<(&'a Lane, Asking)> {
        if self.request.has_fallback {
            return None;
        }
        let failing = std::mem::take(&mut self.failing);
        let asked = failing.iter().filter(|(lane, _)| !lane.origin().health.fails_fast());
        let (lane, _) = asked.min_by_key(|(_, failing)| *failing)?;
        Some((lane, lane.origin().health.ask_anyway()))
    }
}

/// Whether another member might do better.
fn is_of_this_member(reason: Reason) -> bool {
    ask::is_failure(reason) || matches!(reason, Reason::OriginBusy | Reason::OriginDown)
}

/// The request once more: without a body, or with one that is here.
fn again(request: &FetchRequest) -> FetchRequest {
    FetchRequest {
        method: request.method.clone(),
        path_and_query: request.path_and_query.clone(),
        client_authority: request.client_authority.clone(),
        fields: request.fields.clone(),
        body: request.body.as_ref().and_then(|body| body.again.clone()).map(RequestBody::repeatable),
        has_fallback: request.has_fallback,
        by_the_letter: request.by_the_letter,
        interim: request.interim.clone(),
    }
}
