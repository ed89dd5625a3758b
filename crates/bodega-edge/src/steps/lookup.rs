//! The key, then memory, then whether what is there may answer.

use bodega_semantics::reuse::{self, Reuse};
use bodega_semantics::storable::RequestFacts;
use bodega_semantics::{Outcome, Reason, cache_control, vary};
use bodega_store::Entry;
use bodega_store::entry::Kind;

use crate::exchange::{Exchange, HitFacts};
use crate::step::Step;
use crate::tiers::Looked;
use crate::variants::Variants;
use crate::{partial, refresh};

/// Looks the request up, and heeds what the client says about caching where the policy does (RFC 9111 section 5.2.1).
pub(crate) fn run(exchange: &mut Exchange<'_>) -> Step {
    if exchange.behavior.is_none_or(|behavior| !behavior.policy.mode.is_rfc()) {
        return find(exchange);
    }
    exchange.directives = cache_control::for_request(exchange.request);
    let step = find(exchange);
    if step == Step::Load {
        // What is there is not known yet.
        return step;
    }
    match &exchange.directives {
        Some(said) if step != Step::Hit && said.only_if_cached => exchange.refuse(Reason::OnlyIfCached),
        Some(said) if step != Step::Hit && said.no_store => {
            exchange.reason = Reason::RequestDirective;
            Step::Fetch
        }
        _ => step,
    }
}

fn find(exchange: &mut Exchange<'_>) -> Step {
    let Some(behavior) = exchange.behavior else { return exchange.refuse(Reason::Internal) };
    exchange.identify();
    let request = exchange.request;
    let edge = &exchange.worker.edge;
    let found = match exchange.look(exchange.key) {
        Looked::Here(entry) => entry,
        Looked::OnDisk => return exchange.load(exchange.key),
        Looked::Nowhere => return miss(exchange, Reason::UriMiss),
    };
    let Some(mut entry) = edge.usable(found) else {
        return miss(exchange, Reason::Invalidated);
    };
    if entry.kind == Kind::VaryNames {
        let variants = Variants::of(&entry);
        exchange.key = vary::variant(&edge.settings.secret, exchange.primary, variants.names(), request);
        entry = match exchange.look(exchange.key) {
            Looked::OnDisk => return exchange.load(exchange.key),
            Looked::Here(variant) => match edge.usable(variant) {
                Some(variant) => variant,
                None => return miss(exchange, Reason::Invalidated),
            },
            Looked::Nowhere => match variants.in_language(edge, exchange.primary, request) {
                Some(variant) => {
                    exchange.key = variant.key;
                    variant
                }
                None => return miss(exchange, Reason::VaryMiss),
            },
        };
    }
    match entry.kind {
        Kind::Answer => {}
        // What is remembered of requests that name a user says nothing about those that do not, and what an earlier
        // configuration did not keep this one may.
        Kind::Uncacheable
            if entry.terms.expires > exchange.now
                && entry.revision == exchange.snapshot.revision
                && (exchange.user_fields || !entry.for_user) =>
        {
            exchange.reason = Reason::Uncacheable;
            return Step::Fetch;
        }
        Kind::Uncacheable | Kind::VaryNames | Kind::Part => return miss(exchange, Reason::UriMiss),
    }
    if entry.revision != exchange.snapshot.revision {
        match refresh::under_revision(exchange.worker, exchange.snapshot, behavior, &exchange.paths.normal, &entry) {
            Some(fresh) => entry = fresh,
            None => return miss(exchange, Reason::UriMiss),
        }
    }
    reuse(exchange, entry)
}

fn reuse(exchange: &mut Exchange<'_>, entry: Entry) -> Step {
    if let Some(body) = entry.disk_body()
        && !body.is_whole()
        && (exchange.content.is_some() || bodega_semantics::partial::strong_validator(&entry).is_none())
    {
        // What is missing of it cannot be had any more.
        exchange.worker.edge.remove(&entry);
        return miss(exchange, Reason::UriMiss);
    }
    let facts = RequestFacts::get(exchange.user_fields);
    let Some(behavior) = exchange.behavior else { return exchange.refuse(Reason::Internal) };
    let (edge, policy) = (&exchange.worker.edge, &behavior.policy);
    let mut decided = reuse::decide(&entry.terms, &facts, exchange.directives.as_ref(), exchange.now);
    if !edge.may_use_unasked(policy) {
        decided = reuse::confirmed(decided);
    }
    let is_early = matches!(decided, Reuse::Fresh { .. })
        && entry.kind == Kind::Answer
        && reuse::is_refreshed_early(&entry.terms, policy.refresh_every, exchange.now)
        && policy.refresh_every.is_some_and(|every| edge.early.begin(entry.key, every, edge.steady()));
    exchange.entry = Some(entry);
    match decided {
        Reuse::Fresh { age_seconds, ttl_seconds } => {
            let is_on_disk = exchange.from_disk || exchange.entry.as_ref().is_some_and(Entry::is_on_disk);
            let reason = match (is_early, is_on_disk) {
                (true, _) => Reason::EarlyRefresh,
                (false, true) => Reason::FreshOnDisk,
                (false, false) => Reason::Fresh,
            };
            exchange.hit = Some(HitFacts { age_seconds, ttl_seconds, outcome: Outcome::Hit, reason });
            Step::Hit
        }
        Reuse::Stale { age_seconds } => stale_hit(exchange, age_seconds, Reason::RequestDirective),
        Reuse::StaleWhileRevalidate { age_seconds } => stale_hit(exchange, age_seconds, Reason::WhileRevalidate),
        Reuse::Revalidate(reason) => {
            exchange.reason = reason;
            Step::Revalidate
        }
        Reuse::NotFor(reason) => {
            exchange.entry = None;
            exchange.reason = reason;
            Step::Fetch
        }
    }
}

fn stale_hit(exchange: &mut Exchange<'_>, age_seconds: u64, reason: Reason) -> Step {
    exchange.hit = Some(HitFacts { age_seconds, ttl_seconds: 0, outcome: Outcome::Stale, reason });
    Step::Hit
}

fn miss(exchange: &mut Exchange<'_>, reason: Reason) -> Step {
    exchange.reason = reason;
    if exchange.request.method == "HEAD" {
        // A HEAD asked of what is not stored: the origin's answer has no body to keep.
        return Step::Fetch;
    }
    partial::find(exchange, reuse).unwrap_or(Step::Miss)
}
