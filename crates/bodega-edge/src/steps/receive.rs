//! Is this a request a gateway takes? Methods, upgrades, paths that name what they do not say, loops.

use bodega_semantics::path::Paths;
use bodega_semantics::{Head, Reason, forwarding};

use crate::exchange::{Exchange, Host};
use crate::step::Step;

/// Checks what does not depend on the configuration.
pub(crate) fn run(exchange: &mut Exchange<'_>) -> Step {
    let request = exchange.request;
    // RFC 9110 sections 9.3.6 and 9.3.8: a gateway makes no tunnels, and TRACE would show a client what proxies added.
    if matches!(request.method, "CONNECT" | "TRACE") {
        return exchange.refuse(Reason::MethodRefused);
    }
    if request.upgrade {
        return exchange.refuse(Reason::Upgrade);
    }
    // A path whose segments are dots means another path to the origin than to the behaviors here: what looks like
    // a public image would be somebody's account page (web cache deception). Of an escape that is none, no two origins
    // make the same.
    let Some(paths) = Paths::of(request.path) else {
        return exchange.refuse(Reason::UnsafePath);
    };
    exchange.paths = paths;
    let settings = &exchange.worker.edge.settings;
    if request.has("cdn-loop") && forwarding::cdn_loop_contains(request, &settings.name, &settings.instance) {
        return exchange.refuse(Reason::Loop);
    }
    match Host::of(request.authority, exchange.scheme.is_https) {
        Some(host) => {
            exchange.host = host;
            Step::Classify
        }
        None => exchange.refuse(Reason::UnknownHost),
    }
}
