//! `PURGE URL`, for those who come from Varnish or nginx: forgets the URL, if this client may. Never forwarded.
//! An edge that follows a control process names it instead.

use bodega_semantics::{Fields, Head, Outcome, Reason, key};
use bytes::Bytes;

use crate::answer::Answer;
use crate::edge::Edge;
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
    if let Err(refused) = edge.check_alone() {
        let answer = say(edge, 409, format!("{refused}\n"), Outcome::Refused, Reason::FollowsControl);
        journey.answer = Some(answer);
        return Step::Finish;
    }
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
    journey.answer = Some(say(edge, 200, text, Outcome::Answer, Reason::Purge));
    Step::Finish
}

fn say(edge: &Edge, status: u16, text: String, outcome: Outcome, reason: Reason) -> Answer {
    let mut fields = Fields::new();
    fields.push("Cache-Control", b"no-store");
    let mut answer = respond::own(status, fields, Bytes::from(text), METHOD, outcome, reason);
    respond::sign(&mut answer, edge, None);
    answer
}
