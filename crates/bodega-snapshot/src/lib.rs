//! The compiled configuration the data plane executes: Python hands it over as one JSON document.
//!
//! Start at `Snapshot::from_json`. `schema` is the document's form and `compile` checks it; the other modules are what
//! it becomes: hosts and paths to match, networks, edits, origins. Pure: nothing is read, resolved or connected to here.
#![forbid(unsafe_code)]

pub mod behavior;
mod compile;
pub mod edits;
mod error;
mod hsts;
pub mod jwt;
mod locate;
pub mod location;
pub mod model;
pub mod networks;
pub mod options;
pub mod origin;
mod schema;
pub mod snapshot;
pub mod tokens;

pub use behavior::{Action, Authorization, Behavior, BodyForm, BodyKey};
pub use edits::Edits;
pub use error::SnapshotError;
pub use hsts::Hsts;
pub use jwt::{Fault, Jwt, JwtRules, Verify};
pub use location::Location;
pub use model::{Golden, Model, ModelGroup, Provider};
pub use networks::Networks;
pub use origin::{Credentials, Endpoint, HealthLimits, HostHeader, Origin, OriginGroup, OriginKind, OriginLimits};
pub use snapshot::{Distribution, Snapshot, ViewerProtocol};
pub use tokens::{Digests, Tokens};
