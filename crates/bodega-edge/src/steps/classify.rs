//! Host, method and path to a distribution and one of its behaviors.

use bodega_semantics::Reason;
use bodega_snapshot::Action;

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
    match behavior.action {
        Action::Redirect { .. } | Action::Answer { .. } => Step::Redirect,
        Action::Origin(_) if !behavior.policy.store => {
            exchange.reason = Reason::PolicyNone;
            Step::Pass
        }
        Action::Origin(_) if !matches!(request.method, "GET" | "HEAD") || request.has_body => {
            exchange.reason = Reason::Method;
            Step::Pass
        }
        Action::Origin(_) => Step::Lookup,
    }
}
