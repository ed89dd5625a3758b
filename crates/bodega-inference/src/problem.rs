//! What is wrong with a request, as the client reads it.

use bodega_edge::predict::Refused;
use serde_json::json;

/// A refusal that names the field, what was expected and what came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) status: u16,
    /// Where in the body; empty for all of it.
    pub(crate) field: String,
    pub(crate) message: String,
    /// `float32[30]`, if it is about a tensor.
    pub(crate) expected: Option<String>,
    pub(crate) given: Option<String>,
}

impl Problem {
    pub(crate) fn new(status: u16, field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { status, field: field.into(), message: message.into(), expected: None, given: None }
    }

    /// A tensor that is not what the model takes.
    pub(crate) fn mismatch(field: &str, expected: String, given: String) -> Self {
        let message = format!("expected {expected}, got {given}");
        Self { expected: Some(expected), given: Some(given), ..Self::new(400, field, message) }
    }

    pub(crate) fn refused(&self) -> Refused {
        Refused { status: self.status, content_type: "application/json", body: self.json().into() }
    }

    fn json(&self) -> Vec<u8> {
        let told =
            if self.field.is_empty() { self.message.clone() } else { format!("{}: {}", self.field, self.message) };
        let mut body = json!({ "error": told });
        if !self.field.is_empty() {
            body["field"] = self.field.clone().into();
        }
        if let (Some(expected), Some(given)) = (&self.expected, &self.given) {
            body["expected"] = expected.clone().into();
            body["given"] = given.clone().into();
        }
        body.to_string().into_bytes()
    }
}
