//! The document to the compiled configuration. Every error names the place in the document, what was wrong and
//! what would be right.
//!
//! Start at `compile`. A noun of the document is compiled in the file with its name; what several of them check is in
//! `checks`.

use std::collections::{BTreeMap, HashMap};
use std::net::Ipv6Addr;
use std::sync::Arc;

use bodega_semantics::Policy;

use crate::error::{SnapshotError, wrong};
use crate::locate::locate;
use crate::model::{Model, ModelGroup};
use crate::origin::{Origin, OriginGroup, OriginKind};
use crate::schema::{DistributionText, Document, ViewerProtocolText};
use crate::snapshot::{Distribution, Snapshot, ViewerProtocol};

mod authorization;
mod behavior;
pub(crate) mod checks;
mod hsts;
mod model;
mod origin;
mod policy;

use origin::Compiled;

/// What behaviors refer to by name.
#[derive(Default)]
struct Named {
    origins: BTreeMap<String, Arc<Origin>>,
    groups: BTreeMap<String, Arc<OriginGroup>>,
    models: BTreeMap<String, Arc<Model>>,
    model_groups: BTreeMap<String, Arc<ModelGroup>>,
    policies: BTreeMap<String, Arc<Policy>>,
}

impl Named {
    /// What stands in a fingerprint for a model or a group of them; `None` if nothing is called so. Which file it is and
    /// how it is run say nothing about the answers: model and version are in every key.
    fn models(&self, name: &str) -> Option<String> {
        let group = || self.model_groups.contains_key(name).then(|| "models".to_owned());
        self.models.get(name).map(|model| format!("model {}", model.name)).or_else(group)
    }

    /// Where the answers come from that `name` means: of a group its first member, for which the others stand in with
    /// the same answers. So giving an origin a second one loses nothing that is kept. `None` if nothing is called so.
    fn source(&self, name: &str) -> Option<&OriginKind> {
        let first = self.groups.get(name).and_then(|group| group.members.first());
        self.origins.get(first.map_or(name, String::as_str)).map(|origin| &origin.kind)
    }

    /// Whether an answer of `name` may depend on what a request says beside its target: a bucket's never does.
    fn reads_fields(&self, name: &str) -> bool {
        let is_http =
            |name: &str| self.origins.get(name).is_some_and(|origin| matches!(origin.kind, OriginKind::Http { .. }));
        match self.groups.get(name) {
            Some(group) => group.members.iter().any(|member| is_http(member)),
            None => is_http(name),
        }
    }
}

pub(crate) fn compile(text: &str) -> Result<Snapshot, SnapshotError> {
    if text.len() > MAX_JSON_BYTES {
        return wrong("", format!("the document is larger than {MAX_JSON_BYTES} bytes"));
    }
    let document = parse(text)?;
    if document.schema != SCHEMA {
        return wrong("schema", format!("{} is not known here: this edge reads schema {SCHEMA}", document.schema));
    }
    if document.distributions.len() > MAX_DISTRIBUTIONS {
        return wrong("distributions", format!("more than {MAX_DISTRIBUTIONS}"));
    }
    let mut named = Named::default();
    for (name, text) in document.origins {
        checks::name("origins", &name)?;
        let place = format!("origins.{name}");
        match origin::compile(&place, name.clone(), text)? {
            Compiled::Origin(origin) => drop(named.origins.insert(name, origin)),
            Compiled::Group(group) => drop(named.groups.insert(name, group)),
            Compiled::Model(model) => drop(named.models.insert(name, model)),
            Compiled::ModelGroup(group) => drop(named.model_groups.insert(name, group)),
        }
    }
    model::check_names(&named.models)?;
    for (name, group) in &named.model_groups {
        model::check_members(&format!("origins.{name}"), group, &named.models)?;
    }
    for (name, group) in &named.groups {
        origin::check_members(&format!("origins.{name}"), group, |member| named.origins.contains_key(member))?;
    }
    for (name, text) in document.policies {
        checks::name("policies", &name)?;
        let place = format!("policies.{name}");
        named.policies.insert(name.clone(), Arc::new(policy::compile(&place, name, text)?));
    }
    let mut snapshot = Snapshot {
        revision: document.revision,
        origins: named.origins.values().cloned().collect(),
        groups: named.groups.values().cloned().collect(),
        models: named.models.values().cloned().collect(),
        model_groups: named.model_groups.values().cloned().collect(),
        exact: HashMap::new(),
        wildcards: HashMap::new(),
        any: None,
    };
    let mut names = BTreeMap::new();
    for (number, text) in document.distributions.into_iter().enumerate() {
        if let Some(other) = names.insert(text.name.clone(), number) {
            return wrong(
                &format!("distributions[{number}].name"),
                format!("{:?} is already the name of distributions[{other}]: names are unique", text.name),
            );
        }
        add_distribution(&mut snapshot, number, text, &named)?;
    }
    Ok(snapshot)
}

fn parse(text: &str) -> Result<Document, SnapshotError> {
    serde_json::from_str(text).map_err(|error| {
        let whole = || SnapshotError { place: String::new(), message: format!("the document: {error}") };
        locate(text).unwrap_or_else(whole)
    })
}

fn add_distribution(
    snapshot: &mut Snapshot,
    number: usize,
    text: DistributionText,
    named: &Named,
) -> Result<(), SnapshotError> {
    checks::name(&format!("distributions[{number}].name"), &text.name)?;
    let place = format!("distributions.{}", text.name);
    if text.hosts.is_empty() {
        return wrong(&format!("{place}.hosts"), "at least one host, or \"*\" for all");
    }
    if text.behaviors.len() > MAX_BEHAVIORS {
        return wrong(&format!("{place}.behaviors"), format!("more than {MAX_BEHAVIORS}"));
    }
    let mut behaviors = Vec::with_capacity(text.behaviors.len());
    for (number, behavior) in text.behaviors.into_iter().enumerate() {
        let place = format!("{place}.behaviors[{number}]");
        behaviors.push(Arc::new(behavior::compile(&place, &text.name, number, behavior, named)?));
    }
    let viewer_protocol = match text.viewer_protocol {
        ViewerProtocolText::AllowAll => ViewerProtocol::AllowAll,
        ViewerProtocolText::RedirectToHttps => ViewerProtocol::RedirectToHttps,
        ViewerProtocolText::HttpsOnly => ViewerProtocol::HttpsOnly,
    };
    let hsts = text.hsts.map(|hsts| hsts::compile(&format!("{place}.hsts"), hsts)).transpose()?.map(Arc::new);
    let distribution = Arc::new(Distribution { name: text.name, viewer_protocol, hsts, behaviors });
    for host in &text.hosts {
        add_host(snapshot, &format!("{place}.hosts"), host, &distribution)?;
    }
    Ok(())
}

fn add_host(
    snapshot: &mut Snapshot,
    place: &str,
    host: &str,
    distribution: &Arc<Distribution>,
) -> Result<(), SnapshotError> {
    let host = host.to_ascii_lowercase();
    let held = if host == "*" {
        snapshot.any.replace(Arc::clone(distribution))
    } else if let Some(suffix) = host.strip_prefix('*').filter(|suffix| suffix.strip_prefix('.').is_some_and(is_name)) {
        snapshot.wildcards.insert(suffix.to_owned(), Arc::clone(distribution))
    } else if is_name(&host) || is_bracketed_address(&host) {
        snapshot.exact.insert(host.clone(), Arc::clone(distribution))
    } else {
        let right = "write `shop.example.com`, `*.example.com`, `[2001:db8::1]` or `*`, without scheme and port";
        return wrong(place, format!("{host:?} is no host: {right}"));
    };
    match held {
        Some(other) => {
            wrong(place, format!("{host:?} is already a host of {:?}: a host belongs to one distribution", other.name))
        }
        None => Ok(()),
    }
}

fn is_name(name: &str) -> bool {
    name.len() <= MAX_HOST_BYTES
        && name.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        })
}

fn is_bracketed_address(host: &str) -> bool {
    let address = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    address.is_some_and(|address| address.parse::<Ipv6Addr>().is_ok())
}

/// The version of the document this code reads.
const SCHEMA: u32 = 1;
const MAX_JSON_BYTES: usize = 16 << 20;
const MAX_DISTRIBUTIONS: usize = 10_000;
const MAX_BEHAVIORS: usize = 1_000;
/// The longest name of a host, RFC 1035 section 2.3.4.
pub(crate) const MAX_HOST_BYTES: usize = 253;
