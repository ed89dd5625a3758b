//! What an origin gets to see: which query parameters, cookies and fields of a request go on, and what is added.
//!
//! Behind a cacheable behavior what is not in the key is not sent, unless `forward` names it; only fields that
//! negotiate the form of an answer go on by themselves, since an origin that heeds them says so with `Vary`.
//! A request that carries a forwarded field outside the key may get an answer made for its user: `user_fields`.

use bodega_semantics::forwarding::Hops;
use bodega_semantics::key::{self, cookie_value, union_query};
use bodega_semantics::policy::QueryRule;
use bodega_semantics::{Fields, Head, Policy, cache_control, forwarding, path};
use bodega_snapshot::{Authorization, Behavior};
use bodega_store::Entry;

use crate::debug;
use crate::edge::EdgeSettings;
use crate::exchange::OwnedRequest;
use crate::fetch::FetchRequest;

/// Fields that go to the origin of a cacheable behavior by themselves.
const NEGOTIATION: &[&str] = &["accept", "accept-encoding", "accept-language", "traceparent", "tracestate"];
/// Fields that go along when the answer is for this client alone and will not be stored.
const CONDITIONS: &[&str] =
    &["if-match", "if-none-match", "if-modified-since", "if-unmodified-since", "if-range", "range"];

/// Fields that say how a body is to be read, and so go wherever it goes.
const ABOUT_BODY: &[&str] = &["content-type", "content-encoding"];

/// What a client says about caching.
const DIRECTIVES: &[&str] = &["cache-control", "pragma"];

/// What the request is sent for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To store the answer: no conditions and ranges of the client's.
    Store,
    /// For this client alone, behind a cacheable behavior.
    Alone,
    /// Everything as it came.
    Pass,
}

/// Whether the request carries something that the origin will see and the key does not hold.
pub(crate) fn has_user_fields<H: Head + ?Sized>(behavior: &Behavior, head: &H, query: Option<&str>) -> bool {
    let policy = &*behavior.policy;
    let forward = &policy.forward;
    // A token that the edge has checked says that its user may share; whether it goes on is for the behavior to say.
    let is_of_user = |name: &str| name != "authorization" || !matches!(behavior.authorization, Authorization::Edge(_));
    if let Some(query) = query.filter(|_| forward.query != QueryRule::None)
        && union_query(&policy.key.query, &forward.query, false, query).len()
            > key::filter_query(&policy.key.query, false, query).len()
    {
        return true;
    }
    // The origin says by `Vary` which of all fields matter to it; credentials are never just a matter of form.
    if forward.all_headers
        && is_of_user("authorization")
        && !policy.key.headers.iter().any(|name| name == "authorization")
        && head.has("authorization")
    {
        return true;
    }
    if forward.headers.is_empty() && forward.cookies.is_empty() {
        return false;
    }
    forward.headers.iter().any(|name| is_of_user(name) && !policy.key.headers.contains(name) && head.has(name))
        || forward.cookies.iter().any(|name| !policy.key.cookies.contains(name) && cookie_value(head, name).is_some())
}

/// Whether the origin of a cacheable behavior gets to see a request's field of this name (lower case).
pub(crate) fn reaches_origin(behavior: &Behavior, name: &str) -> bool {
    let Policy { key, forward, .. } = &*behavior.policy;
    let is_named = |names: &[String]| names.iter().any(|listed| listed == name);
    NEGOTIATION.contains(&name)
        || is_named(&key.headers)
        || is_named(&forward.headers)
        || if name == "cookie" { !(key.cookies.is_empty() && forward.cookies.is_empty()) } else { forward.all_headers }
}

/// Made for each client as well, but of what is in the key.
pub(crate) const SCHEME_FIELD: &str = "x-forwarded-proto";

/// Whether the origin gets a field of this name (lower case) as the edge makes it for each client: nothing that a later
/// request says can be compared with it.
pub(crate) fn is_made_for_each(behavior: &Behavior, name: &str) -> bool {
    const MADE: [&str; 5] = ["cdn-loop", "forwarded", "via", "x-forwarded-for", "x-forwarded-host"];
    !behavior.request_edits.names(name) && (MADE.contains(&name) || (name == "host" && !behavior.policy.key.host))
}

/// Whether a request that goes on as it came carries what may make the answer its user's: credentials, cookies, and
/// parameters that the key does not hold.
pub(crate) fn passes_user_fields(policy: &Policy, request: &OwnedRequest) -> bool {
    let names_user = |name: &str| request.fields.has(name) && !policy.key.headers.iter().any(|keyed| keyed == name);
    let raw = request.query.as_deref().unwrap_or_default();
    names_user("authorization")
        || names_user("cookie")
        || key::filter_query(&policy.key.query, false, raw).len() < raw.len()
}

/// The request for the origin.
pub(crate) fn request(
    settings: &EdgeSettings,
    behavior: &Behavior,
    from: &OwnedRequest,
    purpose: Purpose,
) -> FetchRequest {
    let policy = &*behavior.policy;
    let mut fields = match purpose {
        Purpose::Pass => forwarding::end_to_end(&from.fields),
        Purpose::Store | Purpose::Alone => cacheable_fields(behavior, from, purpose),
    };
    fields.remove("host");
    fields.remove("content-length");
    fields.remove("expect");
    fields.remove(debug::FIELD);
    match &behavior.authorization {
        Authorization::Pass | Authorization::Key => {}
        Authorization::Edge(tokens) if !tokens.is_forwarded => fields.remove("authorization"),
        Authorization::Edge(_) => {
            if let Some(token) = from.fields.first("authorization") {
                fields.set("Authorization", token);
            }
        }
    }
    let trusted = (settings.is_trusted_proxy)(from.peer);
    forwarding::add_forwarded(&mut fields, &from.fields, from.peer, from.https, &from.authority, trusted);
    forwarding::append_via(&mut fields, &from.fields, from.version, &settings.name);
    forwarding::append_cdn_loop(&mut fields, &from.fields, &settings.name, &settings.instance);
    if from.method == "OPTIONS"
        && let Hops::Left(n_hops) = forwarding::hops(&from.fields)
    {
        fields.set("Max-Forwards", n_hops.to_string().as_bytes());
    }
    behavior.request_edits.apply(&mut fields);
    // What a HEAD wants is what a GET brings; a body that is in the key is asked about as it came.
    let is_get = purpose == Purpose::Store && !behavior.keys_body_of(&from.method);
    let method = if is_get { "GET".to_owned() } else { from.method.clone() };
    FetchRequest {
        method,
        path_and_query: path_and_query(behavior, from, purpose),
        client_authority: from.authority.clone(),
        fields,
        body: None,
        has_fallback: false,
        by_the_letter: policy.mode.is_rfc(),
        interim: None,
    }
}

/// Makes `request` ask whether `entry` still holds (RFC 9111 section 4.3.1).
pub(crate) fn add_validators(request: &mut FetchRequest, entry: &Entry) {
    if let Some(etag) = entry.first("etag") {
        request.fields.set("If-None-Match", etag);
    }
    if let Some(date) = entry.first("last-modified") {
        request.fields.set("If-Modified-Since", date);
    }
}

fn cacheable_fields(behavior: &Behavior, from: &OwnedRequest, purpose: Purpose) -> Fields {
    let (policy, keys_body) = (&*behavior.policy, behavior.keys_body_of(&from.method));
    if policy.forward.all_headers {
        return all_but_cookies(policy, from, purpose);
    }
    let mut fields = Fields::with_capacity(1024);
    for field in from.fields.fields() {
        let is = |listed: &&str| field.name.eq_ignore_ascii_case(listed);
        let is_named = |names: &[String]| names.iter().any(|listed| field.name.eq_ignore_ascii_case(listed));
        let goes_on = NEGOTIATION.iter().any(is)
            || (keys_body && ABOUT_BODY.iter().any(is))
            || (purpose == Purpose::Alone && CONDITIONS.iter().any(is))
            || ((is_named(&policy.key.headers) || is_named(&policy.forward.headers))
                && !forwarding::is_hop_by_hop(field.name));
        if goes_on {
            fields.push(field.name, field.value);
        }
    }
    if !fields.has("user-agent") {
        // Some origins refuse requests without one; the client's own would have to be in the key.
        fields.push("User-Agent", b"bodega");
    }
    let names_cookies = !policy.key.cookies.is_empty() || !policy.forward.cookies.is_empty();
    if names_cookies && !fields.has("cookie") {
        add_cookies(&mut fields, policy, from);
    }
    fields
}

/// For origins that say in `Vary` what matters to them. A client's word about caching goes on only where it is heeded;
/// that it would take something stale never does for others, who may wait for the same answer.
fn all_but_cookies(policy: &Policy, from: &OwnedRequest, purpose: Purpose) -> Fields {
    let mut fields = forwarding::end_to_end(&from.fields);
    let takes_stale = || cache_control::for_request(&from.fields).is_some_and(|said| said.max_stale.is_some());
    let are_heeded = policy.mode.is_rfc() && (purpose == Purpose::Alone || !takes_stale());
    fields.retain(|field| {
        let is = |listed: &&str| field.name.eq_ignore_ascii_case(listed);
        !is(&"cookie")
            && (purpose == Purpose::Alone || !CONDITIONS.iter().any(is))
            && (are_heeded || !DIRECTIVES.iter().any(is))
    });
    add_cookies(&mut fields, policy, from);
    fields
}

fn add_cookies(fields: &mut Fields, policy: &Policy, from: &OwnedRequest) {
    let mut names: Vec<&String> = policy.key.cookies.iter().chain(&policy.forward.cookies).collect();
    names.sort_unstable();
    names.dedup();
    let mut cookies = Vec::new();
    for name in names {
        if let Some(value) = cookie_value(&from.fields, name) {
            if !cookies.is_empty() {
                cookies.extend_from_slice(b"; ");
            }
            cookies.extend_from_slice(name.as_bytes());
            cookies.push(b'=');
            cookies.extend_from_slice(value);
        }
    }
    if !cookies.is_empty() {
        fields.push("Cookie", &cookies);
    }
}

/// Takes whole segments off only: `/images` is no prefix of `/images-old/a.webp`. In any spelling, since the behavior
/// was found in any: else one key would be asked from two places of the origin.
fn without_prefix<'p>(path: &'p str, prefix: &str) -> &'p str {
    match path::without_prefix(path, prefix) {
        Some(rest) if prefix.ends_with('/') || rest.is_empty() || rest.starts_with('/') => rest,
        _ => path,
    }
}

fn path_and_query(behavior: &Behavior, from: &OwnedRequest, purpose: Purpose) -> String {
    if from.path == "*" {
        // RFC 9112 section 3.2.4: the server as a whole; no prefix makes a path of it.
        return from.path.clone();
    }
    let path = without_prefix(&from.path, &behavior.strip_prefix);
    let mut target = String::with_capacity(behavior.add_prefix.len() + path.len() + 1);
    target.push_str(behavior.add_prefix.trim_end_matches('/'));
    if !path.starts_with('/') {
        target.push('/');
    }
    target.push_str(path);
    if let Some(raw) = &from.query {
        let policy = &*behavior.policy;
        let query = match purpose {
            Purpose::Pass => std::borrow::Cow::Borrowed(raw.as_str()),
            Purpose::Store | Purpose::Alone => {
                union_query(&policy.key.query, &policy.forward.query, policy.key.sort_query, raw)
            }
        };
        // `/x?` and `/x` are different URLs to some origins, but one key: only what is passed goes on as it came.
        if !query.is_empty() || purpose == Purpose::Pass {
            target.push('?');
            target.push_str(&query);
        }
    }
    target
}
