//! `PURGE URL`, for those who come from Varnish or nginx: forgets the URL, if this client may. Never forwarded.

use bodega_semantics::{Fields, Head, Outcome, Reason, key};
use bytes::Bytes;

use crate::exchange::{Exchange, Journey};
use crate::invalidate::Force;
use crate::respond;
use crate::selector::Selector;
use crate::step::Step;

/// The method, which no RFC knows.
pub(crate) const METHOD: &str = "PURGE";

/// Whether this client may purge. What has come through a proxy is the proxy's client's request: one that is not
/// trusted to say who that is may pass nobody's purge on.
pub(crate) fn is_allowed(exchange: &Exchange<'_>) -> bool {
    let (settings, request) = (&exchange.worker.edge.settings, exchange.request);
    let came_through = PROXIES.iter().any(|name| request.has(name));
    if came_through && !(settings.is_trusted_proxy)(request.peer) {
        return false;
    }
    (settings.may_purge)(exchange.client_address())
}

const PROXIES: [&str; 5] = ["via", "forwarded", "x-forwarded-for", "x-real-ip", "cdn-loop"];

/// Forgets the URL, and says so once that is in force.
pub(crate) async fn run(journey: &mut Journey) -> Step {
    let (edge, request) = (&journey.worker.edge, &journey.request);
    let host = key::normalize_host(&request.authority).into_owned();
    let url = Selector::Url { host, path: request.path.clone(), query: request.query.clone() };
    let (sender, receiver) = tokio::sync::oneshot::channel();
    edge.invalidate_selected(
        &[url],
        Force::Hard,
        Box::new(move |committed| {
            // The client may have gone away.
            let _ = sender.send(committed);
        }),
    );
    let text = match receiver.await {
        Ok(Ok(committed)) if committed.is_durable => format!("forgotten ({})\n", committed.number),
        Ok(Ok(committed)) => format!("forgotten ({}), until the next restart: the disk fails\n", committed.number),
        _ => return Step::Refuse,
    };
    let mut fields = Fields::new();
    fields.push("Cache-Control", b"no-store");
    let mut answer = respond::own(200, fields, Bytes::from(text), METHOD, Outcome::Answer, Reason::Purge);
    respond::sign(&mut answer, edge, None);
    journey.answer = Some(answer);
    Step::Finish
}
