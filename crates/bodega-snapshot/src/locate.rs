//! Where in the document a field is that does not fit the schema: serde says only the line, and Python writes one.
//!
//! Only asked after a failure. The lists are gone through with the type of their members; within a member the culprit
//! is the field without which the error would be another one.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::error::SnapshotError;
use crate::schema::{
    ActionText, AuthorizationText, BehaviorText, BodyKeyText, CredentialsText, DistributionText, EditsText,
    ForwardText, HealthText, KeyQueryText, KeyText, OriginText, PolicyText, QueryText,
};

/// The first place in `text` that does not fit. `None` if it is no JSON, or nothing smaller than the whole is to blame.
pub(crate) fn locate(text: &str) -> Option<SnapshotError> {
    let document: Value = serde_json::from_str(text).ok()?;
    let distributions = document.get("distributions").and_then(Value::as_array);
    let members = |name| document.get(name).and_then(Value::as_object).into_iter().flatten();
    distributions
        .into_iter()
        .flatten()
        .enumerate()
        .find_map(|(number, value)| in_distribution(number, value))
        .or_else(|| members("origins").find_map(|(name, value)| in_origin(name, value)))
        .or_else(|| {
            members("policies").find_map(|(name, value)| in_policy(&format!("policies.{}", name.escape_debug()), value))
        })
}

fn in_distribution(number: usize, value: &Value) -> Option<SnapshotError> {
    let place = match value.get("name").and_then(Value::as_str) {
        Some(name) => format!("distributions.{}", name.escape_debug()),
        None => format!("distributions[{number}]"),
    };
    let behaviors = value.get("behaviors").and_then(Value::as_array);
    behaviors
        .into_iter()
        .flatten()
        .enumerate()
        .find_map(|(number, value)| in_behavior(&format!("{place}.behaviors[{number}]"), value))
        .or_else(|| culprit::<DistributionText>(&place, value))
}

fn in_behavior(place: &str, value: &Value) -> Option<SnapshotError> {
    inside::<ActionText>(place, value, "action")
        .or_else(|| inside::<EditsText>(place, value, "request_headers"))
        .or_else(|| inside::<EditsText>(place, value, "response_headers"))
        .or_else(|| inside::<AuthorizationText>(place, value, "authorization"))
        .or_else(|| inside::<Option<BodyKeyText>>(place, value, "body_key"))
        .or_else(|| culprit::<BehaviorText>(place, value))
}

fn in_origin(name: &str, value: &Value) -> Option<SnapshotError> {
    let place = format!("origins.{}", name.escape_debug());
    inside::<CredentialsText>(&place, value, "credentials")
        .or_else(|| inside::<HealthText>(&place, value, "health"))
        .or_else(|| culprit::<OriginText>(&place, value))
}

fn in_policy(place: &str, value: &Value) -> Option<SnapshotError> {
    let within = |field: &str| (format!("{place}.{field}"), value.get(field).unwrap_or(&Value::Null));
    let ((key_place, key), (forward_place, forward)) = (within("key"), within("forward"));
    inside::<KeyQueryText>(&key_place, key, "query")
        .or_else(|| inside::<QueryText>(&forward_place, forward, "query"))
        .or_else(|| inside::<KeyText>(place, value, "key"))
        .or_else(|| inside::<ForwardText>(place, value, "forward"))
        .or_else(|| culprit::<PolicyText>(place, value))
}

fn inside<T: DeserializeOwned>(place: &str, value: &Value, field: &str) -> Option<SnapshotError> {
    culprit::<T>(&format!("{place}.{field}"), value.get(field)?)
}

/// The field of `value` for which it is no `T`.
fn culprit<T: DeserializeOwned>(place: &str, value: &Value) -> Option<SnapshotError> {
    let message = T::deserialize(value).err()?.to_string();
    let names_its_field = message.starts_with("missing field") || message.starts_with("unknown field");
    let field = value.as_object().filter(|_| !names_its_field).and_then(|fields| blamed::<T>(fields, &message));
    let place = field.map_or_else(|| place.to_owned(), |field| format!("{place}.{field}"));
    Some(SnapshotError { place, message })
}

fn blamed<'v, T: DeserializeOwned>(fields: &'v Map<String, Value>, message: &str) -> Option<&'v str> {
    // Without its `kind` a table is of no type at all, which says nothing: it is tried last.
    let (kind, others): (Vec<&String>, Vec<&String>) = fields.keys().partition(|name| *name == "kind");
    others.into_iter().chain(kind).map(String::as_str).find(|name| {
        let mut rest = fields.clone();
        rest.remove(*name);
        T::deserialize(Value::Object(rest)).err().is_none_or(|error| error.to_string() != message)
    })
}
