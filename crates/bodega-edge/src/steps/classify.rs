//! Host, method and path to a distribution and one of its behaviors.

use bodega_semantics::Reason;
use bodega_semantics::forwarding::{self, Hops};
use bodega_snapshot::{Action, Behavior};

use crate::exchange::Exchange;
use crate::step::Step;

/// Finds the behavior and what it does.
pub(crate) fn run(exchange: &mut Exchange<'_>) -> Step {
    let request = exchange.request;
    let Some(distribution) = exchange.snapshot.distribution(exchange.host.as_str()) else {
        return exchange.refuse(Reason::UnknownHost);
    };
    exchange.distribution = Some(distribution);
    let Some(behavior) = distribution.behavior(request.method, exchange.paths.matched()) else {
        return exchange.refuse(Reason::NoBehavior);
    };
    exchange.behavior = Some(behavior);
    if !behavior.networks.allows(exchange.client_address()) {
        return exchange.refuse(Reason::Network);
    }
    let (step, reason) = step_for(behavior, request.method, request.has_body);
    exchange.reason = reason.unwrap_or(exchange.reason);
    if step == Step::Pass && request.method == "POST" && behavior.policy.mode.is_rfc() {
        // Its answer may be one for GETs.
        exchange.identify();
    }
    if step == Step::Pass && request.method == "OPTIONS" && forwarding::hops(request) == Hops::None {
        return Step::Options;
    }
    step
}

/// What a behavior does with a request: the store is asked for what could be stored.
pub(crate) fn step_for(behavior: &Behavior, method: &str, has_body: bool) -> (Step, Option<Reason>) {
    match behavior.action {
        Action::Redirect { .. } | Action::Answer { .. } => (Step::Redirect, None),
        Action::Origin(_) if !behavior.policy.store => (Step::Pass, Some(Reason::PolicyNone)),
        Action::Origin(_) if !matches!(method, "GET" | "HEAD") || has_body => (Step::Pass, Some(Reason::Method)),
        Action::Origin(_) => (Step::Lookup, None),
    }
}
