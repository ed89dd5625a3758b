//! Host, method and path to a distribution and one of its behaviors.

use bodega_semantics::forwarding::{self, Hops, Scheme};
use bodega_semantics::{Head, Reason};
use bodega_snapshot::{Action, Authorization, Behavior, Distribution, ViewerProtocol};

use crate::bearer;
use crate::content;
use crate::exchange::{Exchange, Host};
use crate::predict::Shared;
use crate::step::Step;
use crate::steps::purge;
use crate::upstream;

/// Finds the behavior and what it does.
pub(crate) fn run(exchange: &mut Exchange<'_>) -> Step {
    let request = exchange.request;
    let Some(distribution) = exchange.snapshot.distribution(exchange.host.as_str()) else {
        return exchange.refuse(Reason::UnknownHost);
    };
    exchange.distribution = Some(distribution);
    if request.method == purge::METHOD {
        return if purge::is_allowed(exchange) { Step::Purge } else { exchange.refuse(Reason::MethodRefused) };
    }
    if let Some(row) = exchange.row {
        // The request that brought it has been through what follows.
        exchange.behavior = Some(&row.behavior);
        if row.shared == Shared::WithNobody {
            exchange.reason = Reason::UserRequest;
            return Step::Pass;
        }
        return Step::Lookup;
    }
    if let Some(step) = without_https(distribution, exchange.scheme, &exchange.host, request.method, request.version) {
        exchange.reason = Reason::ViewerProtocol;
        return step;
    }
    let Some(behavior) = distribution.behavior(request.method, exchange.paths.matched()) else {
        return exchange.refuse(Reason::NoBehavior);
    };
    exchange.behavior = Some(behavior);
    if !behavior.networks.allows(exchange.client_address()) {
        return exchange.refuse(Reason::Network);
    }
    if let Authorization::Edge(tokens) = &behavior.authorization
        && let Err(refused) = bearer::check(tokens, request, exchange.now)
    {
        exchange.token_fault = refused.fault;
        return exchange.refuse(refused.reason);
    }
    if exchange.content.is_some() {
        return Step::Lookup;
    }
    let (step, reason) = step_for(behavior, request.method, request.has_body, request);
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

/// What a client gets that should have come by HTTPS. As CloudFront does it: 301 for what browsers remember, 307 to have
/// all else sent again as it is, which HTTP/1.0 does not know. Without a host there is no URL to send anybody to.
pub(crate) fn without_https(
    distribution: &Distribution,
    scheme: Scheme,
    host: &Host,
    method: &str,
    version: &str,
) -> Option<Step> {
    let can_follow = !host.as_str().is_empty() && (matches!(method, "GET" | "HEAD") || version != "1.0");
    match distribution.viewer_protocol {
        _ if scheme.is_https => None,
        ViewerProtocol::AllowAll => None,
        ViewerProtocol::RedirectToHttps if can_follow => Some(Step::Redirect),
        ViewerProtocol::RedirectToHttps | ViewerProtocol::HttpsOnly => Some(Step::Refuse),
    }
}

/// What a behavior does with a request: the store is asked for what could be stored.
pub(crate) fn step_for<H: Head + ?Sized>(
    behavior: &Behavior,
    method: &str,
    has_body: bool,
    request: &H,
) -> (Step, Option<Reason>) {
    match behavior.action {
        Action::Redirect { .. } | Action::Answer { .. } => (Step::Redirect, None),
        Action::Origin(_) if behavior.is_model => (Step::Predict, None),
        Action::Origin(_) if !behavior.policy.store => (Step::Pass, Some(Reason::PolicyNone)),
        Action::Origin(_) if behavior.keys_body_of(method) && !content::is_for_origin(method, request) => {
            // Nobody sends a credential with a question that all may ask: until the behavior says what it means, it is
            // the origin's business.
            let names_user = matches!(behavior.authorization, Authorization::Pass)
                && request.has("authorization")
                && !upstream::reaches_origin(behavior, "authorization");
            if names_user { (Step::Pass, Some(Reason::UserRequest)) } else { (Step::Content, None) }
        }
        Action::Origin(_) if !matches!(method, "GET" | "HEAD") || has_body => (Step::Pass, Some(Reason::Method)),
        Action::Origin(_) => (Step::Lookup, None),
    }
}
