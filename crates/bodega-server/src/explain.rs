//! What the machine says of a request's key, as JSON.

use std::net::{IpAddr, Ipv4Addr};

use bodega_edge::EdgeSettings;
use bodega_edge::exchange::OwnedRequest;
use bodega_edge::explain::{self, Named};
use bodega_semantics::key::KeySecret;
use bodega_semantics::{Fields, Reason};
use bodega_snapshot::Snapshot;
use serde_json::{Value, json};

use crate::in_process::InProcessRequest;

/// What a request's key would be under a configuration, and what made it. No edge has to run.
#[must_use]
pub fn explain_key(snapshot: &Snapshot, https: bool, request: InProcessRequest) -> String {
    let mut fields = Fields::new();
    for (name, value) in &request.fields {
        fields.push(name, value);
    }
    let request_body = request.body;
    let request = OwnedRequest {
        method: request.method,
        https,
        authority: request.authority,
        path: request.path,
        query: request.query,
        fields,
        // A client as the documentation has them (RFC 5737).
        peer: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
        has_body: !request_body.is_empty(),
        version: "1.1",
    };
    let settings = EdgeSettings {
        name: "bodega".to_owned(),
        instance: "key".to_owned(),
        is_trusted_proxy: Box::new(|_| false),
        https_port: None,
        may_debug: Box::new(|_| false),
        may_purge: Box::new(|_| false),
        fill_window_bytes: 0,
        confirm_rate: 1,
        secret: KeySecret([0; 16]),
        report: Box::new(|_, _, _| {}),
    };
    let explained = explain::explain(snapshot, &settings, &request, &request_body);
    let key = explained.key.map(|key| {
        json!({
            "fingerprint": format!("{:032x}", key.fingerprint),
            "scheme": key.scheme,
            "host": key.host,
            "path": key.path,
            "query": key.query,
            "body": key.body,
            "headers": pairs(&key.headers),
            "cookies": pairs(&key.cookies),
            "names_user": key.names_user,
        })
    });
    let sent = explained.sent.map(|sent| {
        json!({
            "target": sent.target,
            "headers": pairs(&sent.headers),
            "dropped_parameters": sent.dropped_parameters,
            "dropped_headers": sent.dropped_headers,
            "dropped_cookies": sent.dropped_cookies,
        })
    });
    json!({
        "host": explained.host,
        "distribution": explained.distribution,
        "behavior": explained.behavior,
        "policy": explained.policy,
        "does": explained.does,
        "reason": explained.reason.map(Reason::name),
        "key": key,
        "sent": sent,
    })
    .to_string()
}

fn pairs(named: &[Named]) -> Value {
    named.iter().map(|(name, value)| json!([name, value])).collect()
}
