//! A policy of the document.

use std::time::Duration;

use bodega_semantics::Policy;
use bodega_semantics::fields::is_token_byte;
use bodega_semantics::policy::{ForwardRules, KeyRules, Mode, QueryRule};
use bodega_semantics::tags::{MAX_TAGS, TagRule};

use super::checks::{self, duration};
use crate::error::{SnapshotError, wrong};
use crate::schema::{ModeText, PolicyText, QueryKind};

pub(super) fn compile(place: &str, name: String, text: PolicyText) -> Result<Policy, SnapshotError> {
    let at = |field: &str| format!("{place}.{field}");
    let seconds = |field: &str, value: f64| duration(&at(field), value);
    let min_ttl = seconds("min_ttl_seconds", text.min_ttl_seconds)?;
    let max_ttl = seconds("max_ttl_seconds", text.max_ttl_seconds)?;
    if min_ttl > max_ttl {
        return wrong(
            &at("min_ttl_seconds"),
            format!("{} is larger than max_ttl_seconds, which is {}", text.min_ttl_seconds, text.max_ttl_seconds),
        );
    }
    let mut negative_ttl = Vec::with_capacity(text.negative_ttl_seconds.len());
    for (status, value) in &text.negative_ttl_seconds {
        let place = format!("{place}.negative_ttl_seconds.{status}");
        let is_number = status.len() == 3 && status.bytes().all(|byte| byte.is_ascii_digit());
        match status.parse::<u16>() {
            Ok(code) if is_number && (300..600).contains(&code) && code != 304 => {
                negative_ttl.push((code, duration(&place, *value)?));
            }
            _ => return wrong(&place, "must be a status from 300 to 599, and not 304"),
        }
    }
    negative_ttl.sort_unstable();
    Ok(Policy {
        store: text.store,
        mode: match text.mode {
            ModeText::Safe => Mode::Safe,
            ModeText::Rfc => Mode::Rfc,
        },
        heuristic_only: text.heuristic_only,
        min_ttl,
        default_ttl: seconds("default_ttl_seconds", text.default_ttl_seconds)?,
        max_ttl,
        negative_ttl,
        stale_while_revalidate: seconds("stale_while_revalidate_seconds", text.stale_while_revalidate_seconds)?,
        stale_if_error: seconds("stale_if_error_seconds", text.stale_if_error_seconds)?,
        strict: text.strict_seconds.map(|value| at_least(3.0, &at("strict_seconds"), value)).transpose()?,
        refresh_every: text
            .refresh_every_seconds
            .map(|value| at_least(1.0, &at("refresh_every_seconds"), value))
            .transpose()?,
        key: KeyRules {
            query: query(&at("key.query"), text.key.query.kind, text.key.query.names)?,
            sort_query: text.key.query.sorted,
            headers: header_names(&at("key.headers"), &text.key.headers)?,
            cookies: cookie_names(&at("key.cookies"), text.key.cookies)?,
            host: text.key.host,
        },
        forward: ForwardRules {
            query: query(&at("forward.query"), text.forward.query.kind, text.forward.query.names)?,
            headers: header_names(&at("forward.headers"), &text.forward.headers)?,
            all_headers: text.forward.all_headers,
            cookies: cookie_names(&at("forward.cookies"), text.forward.cookies)?,
        },
        check_content_type: text.check_content_type,
        tags: tags(&at("tags"), &text.tags)?,
        strip_tags: text.strip_tags,
        max_object_bytes: text.max_object_bytes,
        name,
    })
}

fn at_least(least: f64, place: &str, seconds: f64) -> Result<Duration, SnapshotError> {
    if seconds < least {
        return wrong(place, format!("{seconds} is less than {least} seconds"));
    }
    duration(place, seconds)
}

fn tags(place: &str, texts: &[String]) -> Result<Vec<TagRule>, SnapshotError> {
    // Room is left for what answers name themselves.
    if texts.len() > MAX_TAGS / 2 {
        return wrong(place, format!("at most {}", MAX_TAGS / 2));
    }
    let parse = |text: &String| TagRule::parse(text).or_else(|error| wrong(place, format!("{text:?}: {error}")));
    texts.iter().map(parse).collect()
}

fn query(place: &str, kind: QueryKind, names: Vec<String>) -> Result<QueryRule, SnapshotError> {
    for name in &names {
        if name.is_empty() || name.contains(['&', '=', '?', '#']) {
            return wrong(place, format!("{name:?} is no name of a parameter: for instance `page`"));
        }
    }
    match kind {
        QueryKind::None | QueryKind::All if !names.is_empty() => {
            wrong(place, "names without effect: use kind \"allow\" or \"deny\"")
        }
        QueryKind::None => Ok(QueryRule::None),
        QueryKind::All => Ok(QueryRule::All),
        QueryKind::Allow if names.is_empty() => wrong(place, "an empty allow list: use kind \"none\""),
        QueryKind::Allow => Ok(QueryRule::Allow(names)),
        QueryKind::Deny => Ok(QueryRule::Deny(names)),
    }
}

fn header_names(place: &str, names: &[String]) -> Result<Vec<String>, SnapshotError> {
    names
        .iter()
        .map(|name| {
            checks::header_name(place, name)?;
            Ok(name.to_ascii_lowercase())
        })
        .collect()
}

fn cookie_names(place: &str, names: Vec<String>) -> Result<Vec<String>, SnapshotError> {
    match names.iter().find(|name| name.is_empty() || !name.bytes().all(is_token_byte)) {
        Some(name) => wrong(place, format!("{name:?} is no cookie name: for instance `session`")),
        None => Ok(names),
    }
}
