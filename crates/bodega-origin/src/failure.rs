//! What went wrong on the way to an origin, before it becomes the `FetchError` that the machine sees.

use std::net::SocketAddr;
use std::time::Duration;

use bodega_edge::fetch::FetchError;
use bodega_semantics::Reason;

/// One attempt that failed.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) reason: Reason,
    /// What happened, as the end of a sentence that begins with the origin.
    pub(crate) what: String,
    /// With whom, as far as that was known.
    pub(crate) peer: Option<SocketAddr>,
    /// How far the attempt came, which decides whether another may follow.
    pub(crate) stage: Stage,
    /// Set where the failure is not the origin's: it goes to the machine as it is.
    pub(crate) from_client: Option<FetchError>,
}

/// How far an attempt came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Nothing of the request was sent: any method may be tried again.
    Unsent,
    /// The request was sent, perhaps in part, and no byte of an answer came: a safe method may be tried again.
    Unanswered,
    /// The answer had begun, or trying again would end the same.
    Final,
}

impl Failure {
    pub(crate) fn new(reason: Reason, stage: Stage, what: impl Into<String>) -> Self {
        Self { reason, what: what.into(), peer: None, stage, from_client: None }
    }

    pub(crate) fn with_peer(self, peer: SocketAddr) -> Self {
        Self { peer: Some(peer), ..self }
    }

    /// Whether the connection broke, rather than that something took too long.
    pub(crate) fn is_broken(&self) -> bool {
        self.reason == Reason::OriginBroken
    }

    pub(crate) fn from_client(error: FetchError) -> Self {
        Self { from_client: Some(error.clone()), ..Self::new(error.reason, Stage::Final, error.message) }
    }

    /// The error for the machine. `of_attempts` is the number of this attempt and of all that are allowed.
    pub(crate) fn into_error(self, origin: &str, of_attempts: Option<(u32, u32)>, is_safe: bool) -> FetchError {
        if let Some(error) = self.from_client {
            return error;
        }
        let may_retry = self.stage == Stage::Unsent || (is_safe && self.stage == Stage::Unanswered);
        let peer = self.peer.map(|peer| format!(" ({peer})")).unwrap_or_default();
        let attempt = match of_attempts {
            Some((attempt, attempts)) if attempts > 1 => format!(" (attempt {attempt} of {attempts})"),
            _ => String::new(),
        };
        FetchError {
            may_retry,
            ..FetchError::new(self.reason, format!("origin \"{origin}\"{peer} {}{attempt}", self.what))
        }
    }
}

/// A duration as messages name it: `5.0 s`.
pub(crate) fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}
