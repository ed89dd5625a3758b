//! The JSON document, field by field. `docs/concepts/first-light.md` explains it; `compile` makes sense of it.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Document {
    pub(crate) schema: u32,
    pub(crate) revision: u64,
    pub(crate) distributions: Vec<DistributionText>,
    #[serde(deserialize_with = "unique")]
    pub(crate) origins: BTreeMap<String, OriginText>,
    #[serde(deserialize_with = "unique")]
    pub(crate) policies: BTreeMap<String, PolicyText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DistributionText {
    pub(crate) name: String,
    pub(crate) hosts: Vec<String>,
    pub(crate) viewer_protocol: ViewerProtocolText,
    pub(crate) hsts: Option<HstsText>,
    pub(crate) behaviors: Vec<BehaviorText>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ViewerProtocolText {
    AllowAll,
    RedirectToHttps,
    HttpsOnly,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HstsText {
    pub(crate) max_age_seconds: f64,
    pub(crate) include_subdomains: bool,
    pub(crate) preload: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BehaviorText {
    pub(crate) paths: Vec<String>,
    pub(crate) methods: Vec<String>,
    pub(crate) action: ActionText,
    pub(crate) policy: String,
    pub(crate) strip_prefix: String,
    pub(crate) add_prefix: String,
    pub(crate) allow: Vec<String>,
    pub(crate) deny: Vec<String>,
    pub(crate) request_headers: EditsText,
    pub(crate) response_headers: EditsText,
    pub(crate) authorization: AuthorizationText,
    pub(crate) body_key: Option<BodyKeyText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BodyKeyText {
    pub(crate) form: BodyFormText,
    pub(crate) ignored: Vec<String>,
    pub(crate) max_bytes: u64,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum BodyFormText {
    Raw,
    Json,
}

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub(crate) enum AuthorizationText {
    Pass {},
    Key {},
    Edge { tokens: Option<String>, jwt: Option<JwtText>, forward: bool },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct JwtText {
    pub(crate) keys: String,
    pub(crate) issuer: String,
    pub(crate) audience: Vec<String>,
    pub(crate) algorithms: Vec<String>,
    pub(crate) leeway_seconds: f64,
    pub(crate) claims: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub(crate) enum ActionText {
    Origin { origin: String },
    Redirect { status: u16, location: String },
    Answer { status: u16, headers: Vec<(String, String)>, body: String },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EditsText {
    pub(crate) set: Vec<(String, String)>,
    pub(crate) remove: Vec<String>,
}

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub(crate) enum OriginText {
    Http {
        url: String,
        host: Option<String>,
        connect_timeout_seconds: f64,
        first_byte_timeout_seconds: f64,
        between_bytes_timeout_seconds: f64,
        attempts: u32,
        max_connections: usize,
        max_queue: usize,
        queue_timeout_seconds: f64,
        health: HealthText,
        ca_file: Option<String>,
    },
    S3 {
        endpoint: String,
        bucket: String,
        prefix: String,
        region: String,
        path_style: bool,
        credentials: CredentialsText,
        missing_as_404: bool,
        index_document: Option<String>,
        connect_timeout_seconds: f64,
        first_byte_timeout_seconds: f64,
        between_bytes_timeout_seconds: f64,
        attempts: u32,
        max_connections: usize,
        max_queue: usize,
        queue_timeout_seconds: f64,
        health: HealthText,
        ca_file: Option<String>,
    },
    Model(ModelText),
    Models {
        members: Vec<String>,
    },
    Group {
        members: Vec<String>,
        failover: Vec<u16>,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ModelText {
    pub(crate) path: String,
    pub(crate) name: String,
    pub(crate) version: Option<String>,
    pub(crate) timeout_seconds: f64,
    pub(crate) max_batch: usize,
    pub(crate) max_queue: usize,
    pub(crate) max_body_bytes: u64,
    pub(crate) ttl_seconds: Option<f64>,
    pub(crate) batch_wait_seconds: f64,
    pub(crate) provider: ProviderText,
    pub(crate) threads: usize,
    pub(crate) isolated: bool,
    pub(crate) runner: Option<String>,
    pub(crate) ignored: Vec<String>,
    pub(crate) golden: Vec<GoldenText>,
    pub(crate) max_memory_bytes: Option<u64>,
    pub(crate) region_only: bool,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ProviderText {
    Cpu,
    Cuda,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct GoldenText {
    pub(crate) features_json: String,
    pub(crate) prediction_json: Option<String>,
    pub(crate) tolerance: f64,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HealthText {
    pub(crate) max_failures: u32,
    pub(crate) retry_after_seconds: f64,
    pub(crate) fail_fast: bool,
}

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub(crate) enum CredentialsText {
    Environment {},
    File { path: String, profile: String },
    Unsigned {},
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PolicyText {
    pub(crate) store: bool,
    pub(crate) mode: ModeText,
    pub(crate) min_ttl_seconds: f64,
    pub(crate) default_ttl_seconds: f64,
    pub(crate) heuristic_only: bool,
    pub(crate) max_ttl_seconds: f64,
    #[serde(deserialize_with = "unique")]
    pub(crate) negative_ttl_seconds: BTreeMap<String, f64>,
    pub(crate) stale_while_revalidate_seconds: f64,
    pub(crate) stale_if_error_seconds: f64,
    pub(crate) strict_seconds: Option<f64>,
    pub(crate) refresh_every_seconds: Option<f64>,
    pub(crate) key: KeyText,
    pub(crate) forward: ForwardText,
    pub(crate) check_content_type: bool,
    pub(crate) tags: Vec<String>,
    pub(crate) strip_tags: bool,
    pub(crate) max_object_bytes: Option<u64>,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ModeText {
    Safe,
    Rfc,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeyText {
    pub(crate) query: KeyQueryText,
    pub(crate) headers: Vec<String>,
    pub(crate) cookies: Vec<String>,
    pub(crate) host: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ForwardText {
    pub(crate) query: QueryText,
    pub(crate) headers: Vec<String>,
    pub(crate) all_headers: bool,
    pub(crate) cookies: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeyQueryText {
    pub(crate) kind: QueryKind,
    pub(crate) names: Vec<String>,
    pub(crate) sorted: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct QueryText {
    pub(crate) kind: QueryKind,
    pub(crate) names: Vec<String>,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "lowercase")]
pub(crate) enum QueryKind {
    None,
    All,
    Allow,
    Deny,
}

/// A table in which no name is there twice: JSON allows it, and the last one would silently win.
fn unique<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<BTreeMap<String, T>, D::Error> {
    struct Unique<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for Unique<T> {
        type Value = BTreeMap<String, T>;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("a table")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
            let mut table = BTreeMap::new();
            while let Some((name, value)) = access.next_entry::<String, T>()? {
                if table.contains_key(&name) {
                    return Err(A::Error::custom(format!("{name:?} is there twice")));
                }
                table.insert(name, value);
            }
            Ok(table)
        }
    }

    deserializer.deserialize_map(Unique(PhantomData))
}
