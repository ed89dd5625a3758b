//! A behavior of the document: what it matches, what it does, and the fingerprint of what its answers depend on.

use std::hash::Hasher;
use std::sync::Arc;

use bodega_semantics::fields::is_token_byte;
use bodega_semantics::{Fields, Policy, path};
use ipnet::IpNet;
use siphasher::sip::SipHasher13;

use super::{Named, authorization, checks};
use crate::behavior::{Action, Authorization, Behavior, BodyForm, BodyKey};
use crate::edits::Edits;
use crate::error::{SnapshotError, wrong};
use crate::jwt::{Jwt, JwtRules};
use crate::location::Location;
use crate::networks::Networks;
use crate::schema::{ActionText, BehaviorText, BodyFormText, BodyKeyText, EditsText};
use bodega_semantics::glob::Glob;
use bodega_semantics::json::LeftOut;

pub(super) fn compile(
    place: &str,
    distribution: &str,
    number: usize,
    text: BehaviorText,
    named: &Named,
) -> Result<Behavior, SnapshotError> {
    let Some(policy) = named.policies.get(&text.policy) else {
        return wrong(&format!("{place}.policy"), format!("there is no policy {:?}", text.policy));
    };
    for (field, prefix) in [("strip_prefix", &text.strip_prefix), ("add_prefix", &text.add_prefix)] {
        check_prefix(&format!("{place}.{field}"), prefix)?;
    }
    let mut paths = Vec::with_capacity(text.paths.len());
    for path in &text.paths {
        paths.push(compile_pattern(&format!("{place}.paths"), path)?);
    }
    for method in &text.methods {
        if method.is_empty() || !method.bytes().all(|byte| is_token_byte(byte) && !byte.is_ascii_lowercase()) {
            let right = "methods are upper case, `GET`, `POST`, ...";
            return wrong(&format!("{place}.methods"), format!("{method:?} is no method: {right}"));
        }
    }
    let action = compile_action(&format!("{place}.action"), text.action, named)?;
    let networks = Networks {
        allow: compile_networks(&format!("{place}.allow"), &text.allow)?,
        deny: compile_networks(&format!("{place}.deny"), &text.deny)?,
    };
    let request_edits = compile_edits(&format!("{place}.request_headers"), text.request_headers)?;
    let source = match &action {
        Action::Origin(name) => match named.models(name) {
            Some(models) => models,
            None => named.source(name).map(|kind| format!("{kind:?}")).unwrap_or_default(),
        },
        Action::Redirect { .. } | Action::Answer { .. } => String::new(),
    };
    let tells_scheme = match &action {
        Action::Origin(name) => named.reads_fields(name) && !is_scheme_edited(&request_edits),
        Action::Redirect { .. } | Action::Answer { .. } => false,
    };
    let is_model = matches!(&action, Action::Origin(name) if named.models(name).is_some());
    let authorization = authorization::compile(&format!("{place}.authorization"), text.authorization)?;
    let policy = match authorization {
        Authorization::Key if !is_model => keyed_by_credential(policy),
        _ => Arc::clone(policy),
    };
    let body_key = text.body_key.map(|text| compile_body_key(&format!("{place}.body_key"), text)).transpose()?;
    if body_key.is_some() && (is_model || !matches!(action, Action::Origin(_))) {
        return wrong(&format!("{place}.body_key"), "only where an origin that is no model is asked");
    }
    let mut scope = fingerprint(distribution, &source, &text.strip_prefix, &text.add_prefix, &policy, &request_edits);
    let further = [(2, body_key.as_ref().map(|body_key| format!("{:?}", body_key.form))), (3, whose(&authorization))];
    for (number, what) in further {
        if let Some(what) = what {
            let mut hasher = SipHasher13::new_with_keys(scope, number);
            hasher.write(what.as_bytes());
            scope = hasher.finish();
        }
    }
    let shown = if text.paths.is_empty() { "*".to_owned() } else { text.paths.join(" ") };
    Ok(Behavior {
        name: format!("{distribution}/{number} {shown}"),
        paths,
        methods: text.methods,
        action,
        policy,
        strip_prefix: text.strip_prefix,
        add_prefix: text.add_prefix,
        networks,
        request_edits,
        response_edits: compile_edits(&format!("{place}.response_headers"), text.response_headers)?,
        scope,
        tells_scheme,
        is_model,
        authorization,
        body_key,
    })
}

/// Among whom answers are shared; `None`: among all. Those made for some are not for others, though a later configuration
/// lets these in. Which tokens or keys a file holds does not count: who gets one shares what there is.
fn whose(authorization: &Authorization) -> Option<String> {
    match authorization {
        Authorization::Pass => None,
        Authorization::Key => Some("key".to_owned()),
        Authorization::Edge(tokens) => {
            let signed = tokens.jwt.as_ref().map(|Jwt { keys, rules, .. }| {
                let JwtRules { issuer, audiences, claims, .. } = &**rules;
                (keys, issuer, audiences, claims)
            });
            Some(format!("edge {} {:?} {signed:?}", tokens.is_forwarded, tokens.file))
        }
    }
}

fn compile_body_key(place: &str, text: BodyKeyText) -> Result<BodyKey, SnapshotError> {
    if !(1..=MAX_BODY_KEY_BYTES).contains(&text.max_bytes) {
        return wrong(&format!("{place}.max_bytes"), format!("1 to {MAX_BODY_KEY_BYTES}"));
    }
    let form = match text.form {
        BodyFormText::Json if text.ignored.len() > MAX_IGNORED => {
            return wrong(&format!("{place}.ignored"), format!("at most {MAX_IGNORED}"));
        }
        BodyFormText::Json => BodyForm::Json {
            left_out: LeftOut::of(&text.ignored)
                .map_err(|message| SnapshotError { place: format!("{place}.ignored"), message })?,
        },
        BodyFormText::Raw if text.ignored.is_empty() => BodyForm::Raw,
        BodyFormText::Raw => {
            return wrong(&format!("{place}.ignored"), "bytes have no members: write `json` for the form");
        }
    };
    Ok(BodyKey { form, max_bytes: text.max_bytes })
}

/// The policy with `Authorization` in the key, as any header that the origin is to see: a hash of it is all that is kept.
fn keyed_by_credential(policy: &Arc<Policy>) -> Arc<Policy> {
    const FIELD: &str = "authorization";
    if policy.key.headers.iter().any(|name| name == FIELD) {
        return Arc::clone(policy);
    }
    let mut policy = Policy::clone(policy);
    policy.key.headers.push(FIELD.to_owned());
    Arc::new(policy)
}

/// Whether the edits leave nothing of a client's scheme.
fn is_scheme_edited(edits: &Edits) -> bool {
    ["x-forwarded-proto", "forwarded"].into_iter().all(|name| edits.names(name))
}

fn check_prefix(place: &str, prefix: &str) -> Result<(), SnapshotError> {
    let is_path = prefix.starts_with('/') && prefix.bytes().all(|byte| byte.is_ascii_graphic());
    if !prefix.is_empty() && (!is_path || prefix.contains(['?', '#'])) {
        return wrong(
            place,
            format!("{prefix:?} must begin with `/` and be written as it is sent, without `?` and `#`"),
        );
    }
    Ok(())
}

/// A pattern is refused if no request could match it, or if matching it could take long.
fn compile_pattern(place: &str, pattern: &str) -> Result<Glob, SnapshotError> {
    if !pattern.starts_with(['/', '*']) {
        return wrong(place, format!("{pattern:?} must begin with `/` or `*`"));
    }
    if !pattern.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#') {
        return wrong(place, format!("{pattern:?} matches nothing: percent-encode all but visible ASCII, and `#`"));
    }
    if pattern.len() > MAX_PATTERN_BYTES {
        return wrong(place, format!("a pattern of {} bytes: at most {MAX_PATTERN_BYTES}", pattern.len()));
    }
    if pattern.split('*').any(|run| run.contains('?') && run.len() > MAX_MARKED_RUN_BYTES) {
        let right = format!("at most {MAX_MARKED_RUN_BYTES} characters, so that matching stays fast");
        return wrong(place, format!("{pattern:?}: what stands between two `*` and holds `?` may have {right}"));
    }
    match path::pattern_form(pattern) {
        Some(pattern) => Ok(Glob::new(&pattern)),
        None => wrong(place, format!("{pattern:?}: `%` begins an escape such as %2B; `%` itself is %25")),
    }
}

fn compile_action(place: &str, text: ActionText, named: &Named) -> Result<Action, SnapshotError> {
    match text {
        ActionText::Origin { origin } => match named.source(&origin) {
            Some(_) => Ok(Action::Origin(origin.into())),
            None if named.models(&origin).is_some() => Ok(Action::Origin(origin.into())),
            None => wrong(&format!("{place}.origin"), format!("there is no origin {origin:?}")),
        },
        ActionText::Redirect { status, location } => {
            if !matches!(status, 301 | 302 | 303 | 307 | 308) {
                let right = "use 301, 302, 303, 307 or 308";
                return wrong(&format!("{place}.status"), format!("{status} is no redirect: {right}"));
            }
            let location = Location::new(&location)
                .map_err(|message| SnapshotError { place: format!("{place}.location"), message })?;
            Ok(Action::Redirect { status, location })
        }
        ActionText::Answer { status, headers, body } => {
            if !(200..600).contains(&status) || status == 304 {
                let right = "200 to 599, not 304";
                return wrong(&format!("{place}.status"), format!("{status} is no status for an answer: {right}"));
            }
            if matches!(status, 204 | 205) && !body.is_empty() {
                return wrong(&format!("{place}.body"), format!("a {status} has no body: remove it, or answer 200"));
            }
            let place = format!("{place}.headers");
            let mut fields = Fields::new();
            for (name, value) in &headers {
                checks::edited_name(&place, name)?;
                checks::header_value(&place, value)?;
                fields.push(name, value.as_bytes());
            }
            Ok(Action::Answer { status, fields, body: body.into_bytes().into() })
        }
    }
}

fn compile_edits(place: &str, text: EditsText) -> Result<Edits, SnapshotError> {
    for (number, (name, value)) in text.set.iter().enumerate() {
        let place = format!("{place}.set");
        checks::edited_name(&place, name)?;
        checks::header_value(&place, value)?;
        if text.set[..number].iter().any(|(other, _)| other.eq_ignore_ascii_case(name)) {
            return wrong(&place, format!("{name:?} is there twice: a field is set to one value"));
        }
    }
    for name in &text.remove {
        checks::edited_name(&format!("{place}.remove"), name)?;
    }
    Ok(Edits { set: text.set, remove: text.remove })
}

fn compile_networks(place: &str, texts: &[String]) -> Result<Vec<IpNet>, SnapshotError> {
    texts.iter().map(|text| checks::network(place, text)).collect()
}

/// The same on every edge and after every restart: a fixed key, and everything by its written form.
fn fingerprint(distribution: &str, source: &str, strip: &str, add: &str, policy: &Policy, edits: &Edits) -> u64 {
    let mut hasher = SipHasher13::new_with_keys(0x626f_6465_6761, 1);
    for part in [distribution, source, strip, add, &format!("{:?} {:?} {edits:?}", policy.key, policy.forward)] {
        hasher.write_usize(part.len());
        hasher.write(part.as_bytes());
    }
    hasher.finish()
}

/// A body is read as JSON on the thread that serves: what is longer would hold others up.
const MAX_BODY_KEY_BYTES: u64 = 1 << 20;
const MAX_IGNORED: usize = 64;
const MAX_PATTERN_BYTES: usize = 1024;
const MAX_MARKED_RUN_BYTES: usize = 64;
