//! What the key of a request is, and what made it: the machine's own steps, without asking a store or an origin.

use bodega_semantics::forwarding::Scheme;
use bodega_semantics::key::{self, KeySecret, cookie_value};
use bodega_semantics::path::Paths;
use bodega_semantics::{Fields, Head, Reason};
use bodega_snapshot::{BodyForm, BodyKey, Snapshot};

use crate::content;
use crate::edge::EdgeSettings;
use crate::exchange::{Host, OwnedRequest};
use crate::keying::Keying;
use crate::step::Step;
use crate::steps::classify::{step_for, without_https};
use crate::upstream::{self, Purpose};

/// A field, a parameter or a cookie, by name and value.
pub type Named = (String, String);

/// What would become of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explained {
    /// The host as it is looked for.
    pub host: String,
    /// The distribution that serves it.
    pub distribution: Option<String>,
    /// The behavior, `shop/0 /images/*`.
    pub behavior: Option<String>,
    /// The behavior's policy.
    pub policy: Option<String>,
    /// What is done: `lookup`, `pass`, `answer` (as configured) or `refuse`.
    pub does: &'static str,
    /// Why, where it is no lookup and no answer.
    pub reason: Option<Reason>,
    /// The key, if the store is asked.
    pub key: Option<ExplainedKey>,
    /// What the origin would be asked, if it is.
    pub sent: Option<Sent>,
}

/// A key and its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExplainedKey {
    /// Equal for two requests if and only if an edge under this configuration takes them for one. An edge's own keys
    /// are made with a secret, so that nobody can search for two that collide.
    pub fingerprint: u128,
    /// The client's scheme, where the origin is told it.
    pub scheme: Option<&'static str>,
    /// The host with an unusual port, or the distribution's name.
    pub host: String,
    /// The path in its normal form.
    pub path: String,
    /// What is left of the query, in its normal form.
    pub query: String,
    /// What of the body is in the key: a value of JSON in its canonical form, or how many bytes.
    pub body: Option<String>,
    /// Fields that are in the key and in the request.
    pub headers: Vec<Named>,
    /// Cookies that are in the key and in the request.
    pub cookies: Vec<Named>,
    /// Whether something is sent that names a user and is not in the key.
    pub names_user: bool,
}

/// What goes to the origin, and what does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Path and query.
    pub target: String,
    /// All fields.
    pub headers: Vec<Named>,
    /// Parameters of the request that are left out.
    pub dropped_parameters: Vec<String>,
    /// Fields of the request that are left out.
    pub dropped_headers: Vec<String>,
    /// Cookies of the request that are left out.
    pub dropped_cookies: Vec<String>,
}

/// Explains a request with this body under a configuration.
#[must_use]
pub fn explain(snapshot: &Snapshot, settings: &EdgeSettings, request: &OwnedRequest, body: &[u8]) -> Explained {
    let mut explained = Explained {
        host: key::normalize_host(&request.authority).into_owned(),
        distribution: None,
        behavior: None,
        policy: None,
        does: "refuse",
        reason: None,
        key: None,
        sent: None,
    };
    explained.reason = fill_in(&mut explained, snapshot, settings, request, body).err();
    explained
}

fn fill_in(
    explained: &mut Explained,
    snapshot: &Snapshot,
    settings: &EdgeSettings,
    request: &OwnedRequest,
    body: &[u8],
) -> Result<(), Reason> {
    if matches!(&*request.method, "CONNECT" | "TRACE") {
        return Err(Reason::MethodRefused);
    }
    let paths = Paths::of(&request.path).ok_or(Reason::UnsafePath)?;
    let scheme = settings.scheme(&request.fields, request.peer, request.https);
    let host = Host::of(&request.authority, scheme.is_https).ok_or(Reason::UnknownHost)?;
    let distribution = snapshot.distribution(host.as_str()).ok_or(Reason::UnknownHost)?;
    explained.distribution = Some(distribution.name.clone());
    if let Some(step) = without_https(distribution, scheme, &host, &request.method, request.version) {
        explained.does = if step == Step::Redirect { "answer" } else { "refuse" };
        return Err(Reason::ViewerProtocol);
    }
    let behavior = distribution.behavior(&request.method, paths.matched()).ok_or(Reason::NoBehavior)?;
    explained.behavior = Some(behavior.name.clone());
    explained.policy = Some(behavior.policy.name.clone());
    let (step, reason) = step_for(behavior, &request.method, request.has_body, &request.fields);
    let (content, step, reason) = match (step, &behavior.body_key) {
        (Step::Content, Some(rules)) => match counted(rules, &request.fields, body) {
            Ok(counted) => (Some(counted), Step::Lookup, reason),
            Err(why) => (None, Step::Pass, Some(why)),
        },
        _ => (None, step, reason),
    };
    let (does, purpose) = match step {
        Step::Lookup => ("lookup", Some(Purpose::Store)),
        Step::Pass => ("pass", Some(Purpose::Pass)),
        Step::Predict => ("predict", None),
        _ => ("answer", None),
    };
    explained.does = does;
    let Some(purpose) = purpose else { return Ok(()) };
    let fetch = upstream::request(settings, behavior, request, purpose);
    explained.sent = Some(sent(request, &fetch.path_and_query, &fetch.fields));
    if let Some(reason) = reason {
        return Err(reason);
    }
    let keying = Keying::of(distribution, behavior, scheme, &host, &paths, request.query.as_deref());
    let rules = &behavior.policy.key;
    let mut fingerprint = keying.key(&COMPARING, &request.fields);
    if let Some(counted) = &content {
        let digest = content::digest(&COMPARING, &request.method, &request.fields, counted);
        fingerprint = key::content_key(&COMPARING, fingerprint, digest);
    }
    explained.key = Some(ExplainedKey {
        fingerprint: fingerprint.0,
        scheme: keying.scheme.map(Scheme::name),
        host: keying.authority.to_owned(),
        path: keying.path.to_owned(),
        query: keying.query.into_owned(),
        body: content.map(|counted| match behavior.body_key.as_ref().map(|rules| &rules.form) {
            Some(BodyForm::Json { .. }) => text(&counted),
            _ => format!("{} bytes", counted.len()),
        }),
        headers: rules
            .headers
            .iter()
            .flat_map(|name| request.fields.all(name).map(|value| (name.clone(), shown(name, value))))
            .collect(),
        cookies: rules
            .cookies
            .iter()
            .filter_map(|name| Some((name.clone(), text(cookie_value(&request.fields, name)?))))
            .collect(),
        names_user: upstream::has_user_fields(behavior, &request.fields, request.query.as_deref()),
    });
    Ok(())
}

/// What of the body counts, as the step `content` finds it.
fn counted(rules: &BodyKey, request: &Fields, body: &[u8]) -> Result<Vec<u8>, Reason> {
    content::check_type(rules, request)?;
    if body.len() as u64 > rules.max_bytes {
        return Err(Reason::BodyLimit);
    }
    content::counted(rules, request, body)
}

fn sent<H: Head>(request: &OwnedRequest, target: &str, fields: &H) -> Sent {
    let kept = target.split_once('?').map_or("", |(_, query)| query);
    let parameters = request.query.as_deref().unwrap_or_default().split('&');
    let dropped = |parameter: &&str| !parameter.is_empty() && !kept.split('&').any(|other| other == *parameter);
    let mut headers: Vec<String> = Vec::new();
    for field in request.fields.fields() {
        let name = field.name.to_ascii_lowercase();
        if name != "host" && name != "cookie" && !fields.has(&name) && !headers.contains(&name) {
            headers.push(name);
        }
    }
    let mut cookies: Vec<String> = Vec::new();
    for pair in request.fields.all("cookie").flat_map(|line| line.split(|&byte| byte == b';')) {
        let name = text(pair.split(|&byte| byte == b'=').next().unwrap_or_default().trim_ascii());
        if cookie_value(fields, &name).is_none() && !cookies.contains(&name) {
            cookies.push(name);
        }
    }
    Sent {
        target: target.to_owned(),
        headers: fields.fields().map(|field| (field.name.to_owned(), shown(field.name, field.value))).collect(),
        dropped_parameters: parameters.filter(dropped).map(str::to_owned).collect(),
        dropped_headers: headers,
        dropped_cookies: cookies,
    }
}

/// A credential is shown to nobody, not even to those who wrote it: explanations are pasted into tickets.
fn shown(name: &str, value: &[u8]) -> String {
    if name.eq_ignore_ascii_case("authorization") { "(a credential)".to_owned() } else { text(value) }
}

fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value).into_owned()
}

/// Fixed, so that two explanations can be compared.
const COMPARING: KeySecret = KeySecret([0; 16]);
