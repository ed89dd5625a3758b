//! One behavior of a distribution: what it matches and what it does.

use std::sync::Arc;

use bodega_semantics::{Fields, Policy};

use crate::edits::Edits;
use crate::location::Location;
use crate::networks::Networks;
use crate::tokens::Tokens;
use bodega_semantics::glob::Glob;
use bodega_semantics::json::LeftOut;

/// A compiled behavior.
#[derive(Clone, Debug)]
pub struct Behavior {
    /// For messages: `shop/0 /images/*`.
    pub name: String,
    pub(crate) paths: Vec<Glob>,
    pub(crate) methods: Vec<String>,
    /// What it does.
    pub action: Action,
    /// How it caches.
    pub policy: Arc<Policy>,
    /// Taken off the path before it goes to the origin.
    pub strip_prefix: String,
    /// Put before the path then.
    pub add_prefix: String,
    /// Whom it serves.
    pub networks: Networks,
    /// Edits of requests to the origin.
    pub request_edits: Edits,
    /// Edits of answers to clients.
    pub response_edits: Edits,
    /// A fingerprint of all that decides what an answer is: distribution, origin, prefixes, key rules, what is
    /// forwarded. It is part of every key, so that no old entry answers under changed rules.
    pub scope: u64,
    /// Whether the origin is told by which scheme a client came, and its answers may depend on that.
    pub tells_scheme: bool,
    /// Whether its origin is a model.
    pub is_model: bool,
    /// Among whom answers to requests with credentials are shared.
    pub authorization: Authorization,
    /// Whether answers to POST and QUERY are kept, and by what of their bodies.
    pub body_key: Option<BodyKey>,
}

/// What of a request's body is in the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BodyKey {
    /// When two bodies are one.
    pub form: BodyForm,
    /// The longest body that is held to make a key of it.
    pub max_bytes: u64,
}

/// When two bodies are one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BodyForm {
    /// If their bytes are equal.
    Raw,
    /// If they are the same value of JSON, but for what is left out.
    Json {
        /// What does not count.
        left_out: LeftOut,
    },
}

/// What becomes of requests with credentials.
#[derive(Clone, Debug)]
pub enum Authorization {
    /// A model's answers to them are neither stored nor taken from the store; of other origins the policy says it.
    Pass,
    /// Each credential has entries of its own. For other origins than models `Authorization` is a header of the key.
    Key,
    /// Who presents one of these tokens may ask, and all who may share the answers.
    Edge(Arc<Tokens>),
}

/// What a behavior does.
#[derive(Clone, Debug)]
pub enum Action {
    /// Answers from the store, or from the origin or the group of origins with this name.
    Origin(Arc<str>),
    /// Redirects.
    Redirect {
        /// 301, 302, 303, 307 or 308.
        status: u16,
        /// Where to.
        location: Location,
    },
    /// Answers as configured.
    Answer {
        /// The status code.
        status: u16,
        /// The fields.
        fields: Fields,
        /// The body.
        body: Arc<[u8]>,
    },
}

impl Behavior {
    /// Whether `Authorization` is for the edge and goes no further.
    #[must_use]
    pub fn keeps_credential(&self) -> bool {
        matches!(&self.authorization, Authorization::Edge(tokens) if !tokens.is_forwarded)
    }

    /// Whether the body of a request of this method is in its key. Such a request changes nothing: the behavior says so.
    #[must_use]
    pub fn keys_body_of(&self, method: &str) -> bool {
        self.body_key.is_some() && matches!(method, "POST" | "QUERY")
    }

    /// Whether a request with this method and path is this behavior's.
    #[inline]
    #[must_use]
    pub fn matches(&self, method: &str, path: &str) -> bool {
        (self.methods.is_empty() || self.methods.iter().any(|listed| listed == method))
            && (self.paths.is_empty() || self.paths.iter().any(|pattern| pattern.matches(path)))
    }
}
