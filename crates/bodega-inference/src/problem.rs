//! What is wrong with a request, as the client reads it.

use bodega_edge::predict::{Refused, Rendered};
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
    /// The method that there is instead.
    pub(crate) allowed: Option<&'static str>,
}

impl Problem {
    pub(crate) fn new(status: u16, field: impl Into<String>, message: impl Into<String>) -> Self {
        let (field, message) = (cut(field.into(), MAX_NAME_BYTES), cut(message.into(), MAX_MESSAGE_BYTES));
        Self { status, field, message, expected: None, given: None, allowed: None }
    }

    /// A tensor that is not what the model takes.
    pub(crate) fn mismatch(field: &str, expected: String, given: String) -> Self {
        let (expected, given) = (cut(expected, MAX_NAME_BYTES), cut(given, MAX_NAME_BYTES));
        let message = format!("expected {expected}, got {given}");
        Self { expected: Some(expected), given: Some(given), ..Self::new(400, field, message) }
    }

    /// Something that has to be there, and is not.
    pub(crate) fn missing(field: &str, expected: String) -> Self {
        let message = format!("is missing: expected {expected}");
        Self { message: cut(message, MAX_MESSAGE_BYTES), ..Self::mismatch(field, expected, "nothing".to_owned()) }
    }

    pub(crate) fn allowing(self, method: &'static str) -> Self {
        Self { allowed: Some(method), ..self }
    }

    pub(crate) fn refused(&self) -> Refused {
        let mut told = Rendered::json(self.json().into());
        told.fields.extend(self.allowed.map(|method| ("Allow", method.to_owned())));
        Refused { status: self.status, told }
    }

    /// All of it in a line.
    pub(crate) fn told(&self) -> String {
        if self.field.is_empty() { self.message.clone() } else { format!("{}: {}", self.field, self.message) }
    }

    fn json(&self) -> Vec<u8> {
        let mut body = json!({ "error": self.told() });
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

/// What is said quotes what came, which may be as long as a body: its beginning tells enough.
fn cut(mut text: String, most: usize) -> String {
    if text.len() > most {
        text.truncate(text.floor_char_boundary(most));
        text.push_str("...");
    }
    text
}

const MAX_NAME_BYTES: usize = 250;
const MAX_MESSAGE_BYTES: usize = 2_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_is_quoted_by_its_beginning() {
        let long = "ü".repeat(300_000);
        let mismatch = Problem::mismatch(&long, long.clone(), long.clone());
        for problem in [Problem::new(400, &long, &long), mismatch.clone()] {
            assert!(problem.refused().told.body.len() < 6_000);
        }
        let given = mismatch.given.unwrap();
        assert_eq!((given.len(), given.ends_with("ü...")), (253, true));
        let short = Problem::new(400, "x", "is there twice");
        assert_eq!((short.field.as_str(), short.told().as_str()), ("x", "x: is there twice"));
    }
}
