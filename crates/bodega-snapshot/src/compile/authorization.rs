//! Among whom answers to requests with credentials are shared, and whose tokens are known.

use std::sync::Arc;
use std::time::Duration;

use super::checks;
use crate::behavior::Authorization;
use crate::error::{SnapshotError, wrong};
use crate::jwt::{ALGORITHMS, Jwt, JwtRules};
use crate::schema::{AuthorizationText, JwtText};
use crate::tokens::Tokens;

pub(super) fn compile(place: &str, text: AuthorizationText) -> Result<Authorization, SnapshotError> {
    match text {
        AuthorizationText::Pass {} => Ok(Authorization::Pass),
        AuthorizationText::Key {} => Ok(Authorization::Key),
        AuthorizationText::Edge { tokens: None, jwt: None, .. } => {
            wrong(&format!("{place}.tokens"), "name the file of the tokens, or the keys of who signs them")
        }
        AuthorizationText::Edge { tokens, jwt, forward } => {
            if let Some(tokens) = &tokens {
                checks::filled_text(&format!("{place}.tokens"), tokens)?;
            }
            let jwt = jwt.map(|text| compile_jwt(&format!("{place}.jwt"), text)).transpose()?;
            Ok(Authorization::Edge(Arc::new(Tokens::of(tokens, jwt, forward))))
        }
    }
}

fn compile_jwt(place: &str, text: JwtText) -> Result<Jwt, SnapshotError> {
    let at = |field: &str| format!("{place}.{field}");
    checks::filled_text(&at("keys"), &text.keys)?;
    checks::filled_text(&at("issuer"), &text.issuer)?;
    if text.audience.is_empty() {
        return wrong(&at("audience"), "say for whom tokens are: those for others let in nobody");
    }
    for audience in &text.audience {
        checks::filled_text(&at("audience"), audience)?;
    }
    if let Some(other) = text.algorithms.iter().find(|name| !ALGORITHMS.contains(&name.as_str())) {
        let known = ALGORITHMS.join(", ");
        return wrong(&at("algorithms"), format!("{other:?} is none that counts: {known}"));
    }
    let leeway = checks::duration(&at("leeway_seconds"), text.leeway_seconds)?;
    if leeway > MAX_LEEWAY {
        return wrong(&at("leeway_seconds"), format!("at most {} seconds", MAX_LEEWAY.as_secs()));
    }
    for (name, wanted) in &text.claims {
        let place = at("claims");
        checks::filled_text(&place, name)?;
        checks::filled_text(&place, wanted)?;
        if OWN_CLAIMS.contains(&name.as_str()) {
            return wrong(&place, format!("{name:?} is checked anyway"));
        }
    }
    let rules = JwtRules {
        issuer: text.issuer,
        audiences: text.audience,
        algorithms: text.algorithms,
        leeway,
        claims: text.claims.into_iter().collect(),
    };
    Ok(Jwt::of(text.keys, rules))
}

/// Clocks that are further apart are wrong.
const MAX_LEEWAY: Duration = Duration::from_mins(5);
/// What has a rule of its own.
const OWN_CLAIMS: [&str; 4] = ["iss", "aud", "exp", "nbf"];

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn compiled(jwt: Value) -> Result<Authorization, String> {
        let text = json!({"kind": "edge", "tokens": null, "jwt": jwt, "forward": false});
        let text = serde_json::from_value(text).map_err(|error| error.to_string())?;
        compile("behavior", text).map_err(|error| error.to_string())
    }

    #[test]
    fn what_signed_tokens_have_to_say_is_checked() {
        let right = json!({
            "keys": "issuer.jwks.json", "issuer": "https://id.example", "audience": ["shop"],
            "algorithms": ["ES256"], "leeway_seconds": 300.0, "claims": {"scope": "predict"},
        });
        let Ok(Authorization::Edge(tokens)) = compiled(right.clone()) else { panic!("it is right") };
        let rules = &tokens.jwt.as_ref().unwrap().rules;
        assert_eq!(rules.leeway, MAX_LEEWAY);
        assert_eq!(rules.claims, [("scope".to_owned(), "predict".to_owned())]);
        assert!(compiled(Value::Null).unwrap_err().contains("behavior.tokens"));
        for (field, wrong, what) in [
            ("keys", json!(""), "behavior.jwt.keys: is empty"),
            ("issuer", json!(""), "behavior.jwt.issuer: is empty"),
            ("issuer", json!(null), "null"),
            ("audience", json!([]), "behavior.jwt.audience: say for whom"),
            ("audience", json!([""]), "behavior.jwt.audience: is empty"),
            ("algorithms", json!(["none"]), "\"none\" is none that counts: RS256"),
            ("algorithms", json!(["HS256"]), "\"HS256\" is none that counts"),
            ("leeway_seconds", json!(300.5), "behavior.jwt.leeway_seconds: at most 300"),
            ("leeway_seconds", json!(-1), "behavior.jwt.leeway_seconds"),
            ("claims", json!({"exp": "1"}), "\"exp\" is checked anyway"),
            ("claims", json!({"scope": ""}), "behavior.jwt.claims: is empty"),
        ] {
            let mut text = right.clone();
            text[field] = wrong;
            let error = compiled(text).unwrap_err();
            assert!(error.contains(what), "{what}: {error}");
        }
    }
}
