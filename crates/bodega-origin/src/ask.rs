//! One request to one origin: leave from its health, a turn at its gate, the exchange, and what that says of its health.

use std::sync::Arc;

use bodega_edge::fetch::{FetchAnswer, FetchError, FetchRequest};
use bodega_semantics::Reason;
use tokio::time::Instant;

use crate::failure::seconds;
use crate::group::Group;
use crate::health::{Asking, Change, Failing};
use crate::origins::Origin;
use crate::pool::Lane;
use crate::{request, s3};

/// Asks an origin for which no other stands in.
///
/// While it is failing, requests are refused where something stored can answer, or where the configuration says so.
/// All others are sent: one that might be answered is worth more than an error that comes sooner.
///
/// # Errors
/// When it did not answer, or was not asked.
pub(crate) async fn alone(lane: Lane, request: FetchRequest) -> Result<FetchAnswer, FetchError> {
    let health = &lane.origin().health;
    let now = Instant::now();
    let asking = match health.ask(now) {
        Ok(trial) if trial.is_trial() && request.has_fallback => {
            let down = is_down(&lane.origin().settings.name, health.failing(now).unwrap_or_default());
            try_aside(lane, trial, request, None);
            return Err(down);
        }
        Ok(asking) => asking,
        Err(failing) if request.has_fallback || health.fails_fast() => {
            return Err(is_down(&lane.origin().settings.name, failing));
        }
        Err(_) => health.ask_anyway(),
    };
    ask(lane, asking, request, &[]).await
}

/// Makes a request the trial, while something else answers it: nobody waits for an origin that may still hang, least of
/// all everybody who joined one fill. Its answer is dropped; it is a safe request, and the next one may be answered.
pub(crate) fn try_aside(lane: Lane, trial: Asking, mut request: FetchRequest, group: Option<Arc<Group>>) {
    request.interim = None;
    tokio::spawn(async move {
        let failover = group.as_ref().map_or(&[][..], |group| &group.settings.failover);
        drop(ask(lane, trial, request, failover).await);
    });
}

/// Asks, and notes how it went. Of `failover` the statuses from 500 are failures.
///
/// # Errors
/// When it did not answer.
pub(crate) async fn ask(
    lane: Lane,
    asking: Asking,
    request: FetchRequest,
    failover: &[u16],
) -> Result<FetchAnswer, FetchError> {
    let result = take_turn(&lane, request).await;
    let origin = lane.origin();
    match &result {
        Ok(answer) if answer.status >= 500 && failover.contains(&answer.status) => {
            let change = asking.failed(Instant::now(), jitter());
            report(origin, change, &format!("it answered {}", answer.status));
        }
        Ok(_) => report(origin, asking.answered(Instant::now()), ""),
        Err(error) if is_failure(error.reason) => {
            report(origin, asking.failed(Instant::now(), jitter()), &error.message);
        }
        // A client that left or a full queue says nothing of the origin.
        Err(_) => {}
    }
    result
}

/// Whether an error says that the origin does not do its work.
pub(crate) fn is_failure(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::OriginConnect
            | Reason::OriginName
            | Reason::OriginTls
            | Reason::OriginTimeout
            | Reason::OriginMalformed
            | Reason::OriginBroken
    )
}

/// The error for a request that is not sent.
pub(crate) fn is_down(name: &str, failing: Failing) -> FetchError {
    let message = format!("origin \"{name}\" is failing and is tried again in {}", seconds(failing.trial_in));
    let retry_after = u32::try_from(failing.trial_in.as_millis().div_ceil(1000)).unwrap_or(u32::MAX).max(1);
    FetchError { retry_after_seconds: Some(retry_after), ..FetchError::new(Reason::OriginDown, message) }
}

/// Waits for its turn and asks.
async fn take_turn(lane: &Lane, request: FetchRequest) -> Result<FetchAnswer, FetchError> {
    let origin = lane.origin();
    let turn = match origin.gate.enter().await {
        Ok(turn) => turn,
        Err(what) => {
            return Err(FetchError {
                retry_after_seconds: Some(origin.gate.retry_after_seconds()),
                ..FetchError::new(Reason::OriginBusy, format!("origin \"{}\" {what}", origin.settings.name))
            });
        }
    };
    match &origin.s3 {
        None => request::fetch(lane, turn, request).await,
        Some(bucket) => s3::fetch(bucket, lane, turn, request).await,
    }
}

/// Tells who runs the edge when an origin begins or ceases to fail.
fn report(origin: &Origin, change: Option<Change>, last: &str) {
    let name = &origin.settings.name;
    match change {
        None => {}
        Some(Change::Recovered { after }) => {
            (origin.report)(true, &format!("origin \"{name}\" answers again, after {}", seconds(after)));
        }
        Some(Change::Failed { n_failures, trial_in }) => {
            let (n_failures, trial_in) = (times(n_failures), seconds(trial_in));
            let what = format!("origin \"{name}\" failed {n_failures} and is tried again in {trial_in}: {last}");
            (origin.report)(false, &what);
        }
    }
}

fn times(n_failures: u32) -> String {
    match n_failures {
        1 => "once".to_owned(),
        more => format!("{more} times in a row"),
    }
}

fn jitter() -> u8 {
    let mut byte = [0];
    // Without a random source edges may come back together, which is no worse than without jitter.
    let _ = aws_lc_rs::rand::fill(&mut byte);
    byte[0]
}
