//! An origin of the document.

use std::sync::Arc;
use std::time::Duration;

use super::checks::{self, duration};
use super::model;
use crate::error::{SnapshotError, wrong};
use crate::model::{Model, ModelGroup};
use crate::origin::{
    Credentials, Endpoint, HealthLimits, HostHeader, Origin, OriginGroup, OriginKind, OriginLimits, is_authority,
};
use crate::schema::{CredentialsText, HealthText, OriginText};

/// What stands under a name in `origins`.
pub(super) enum Compiled {
    Origin(Arc<Origin>),
    Group(Arc<OriginGroup>),
    Model(Arc<Model>),
    ModelGroup(Arc<ModelGroup>),
}

pub(super) fn compile(place: &str, name: String, text: OriginText) -> Result<Compiled, SnapshotError> {
    let at = |field: &str| format!("{place}.{field}");
    let (kind, limits, health, ca_file) = match text {
        OriginText::Http {
            url,
            host,
            connect_timeout_seconds,
            first_byte_timeout_seconds,
            between_bytes_timeout_seconds,
            attempts,
            max_connections,
            max_queue,
            queue_timeout_seconds,
            health,
            ca_file,
        } => {
            let (endpoint, base_path) = endpoint(&at("url"), &url)?;
            let kind = OriginKind::Http { endpoint, base_path, host_header: host_header(&at("host"), host)? };
            let limits = OriginLimits {
                connect_timeout: timeout(&at("connect_timeout_seconds"), connect_timeout_seconds)?,
                first_byte_timeout: timeout(&at("first_byte_timeout_seconds"), first_byte_timeout_seconds)?,
                between_bytes_timeout: timeout(&at("between_bytes_timeout_seconds"), between_bytes_timeout_seconds)?,
                attempts,
                max_connections,
                max_queue,
                queue_timeout: duration(&at("queue_timeout_seconds"), queue_timeout_seconds)?,
            };
            (kind, limits, health, ca_file)
        }
        OriginText::S3 {
            endpoint: url,
            bucket,
            prefix,
            region,
            path_style,
            credentials,
            missing_as_404,
            index_document,
            connect_timeout_seconds,
            first_byte_timeout_seconds,
            between_bytes_timeout_seconds,
            attempts,
            max_connections,
            max_queue,
            queue_timeout_seconds,
            health,
            ca_file,
        } => {
            let (endpoint, path) = endpoint(&at("endpoint"), &url)?;
            if !path.is_empty() {
                return wrong(&at("endpoint"), "an S3 endpoint has no path: put it into `prefix`");
            }
            check_bucket(place, &bucket, &region, &prefix)?;
            if let Some(document) = &index_document {
                check_index_document(&at("index_document"), document)?;
            }
            let credentials = compile_credentials(&at("credentials"), credentials)?;
            let kind = OriginKind::S3 {
                endpoint,
                bucket,
                prefix,
                region,
                path_style,
                credentials,
                missing_as_404,
                index_document,
            };
            let limits = OriginLimits {
                connect_timeout: timeout(&at("connect_timeout_seconds"), connect_timeout_seconds)?,
                first_byte_timeout: timeout(&at("first_byte_timeout_seconds"), first_byte_timeout_seconds)?,
                between_bytes_timeout: timeout(&at("between_bytes_timeout_seconds"), between_bytes_timeout_seconds)?,
                attempts,
                max_connections,
                max_queue,
                queue_timeout: duration(&at("queue_timeout_seconds"), queue_timeout_seconds)?,
            };
            (kind, limits, health, ca_file)
        }
        OriginText::Model(text) => {
            return model::compile(place, name, text).map(|model| Compiled::Model(Arc::new(model)));
        }
        OriginText::Models { members } => {
            return Ok(Compiled::ModelGroup(Arc::new(ModelGroup { origin: name, members })));
        }
        OriginText::Group { members, failover } => {
            check_failover(&at("failover"), &failover)?;
            return Ok(Compiled::Group(Arc::new(OriginGroup { name, members, failover })));
        }
    };
    check_counts(place, &limits)?;
    let health = compile_health(&at("health"), health)?;
    if let Some(file) = &ca_file {
        checks::filled_text(&at("ca_file"), file)?;
    }
    Ok(Compiled::Origin(Arc::new(Origin { name, kind, limits, health, ca_file })))
}

/// Once all origins are known: whether a group's members are among them.
pub(super) fn check_members(
    place: &str,
    group: &OriginGroup,
    is_origin: impl Fn(&str) -> bool,
) -> Result<(), SnapshotError> {
    let place = format!("{place}.members");
    let members = &group.members;
    if !(MIN_MEMBERS..=MAX_MEMBERS).contains(&members.len()) {
        let n_members = members.len();
        return wrong(&place, format!("{n_members} is not between {MIN_MEMBERS} and {MAX_MEMBERS} members"));
    }
    for (at, member) in members.iter().enumerate() {
        if members[..at].contains(member) {
            return wrong(&place, format!("{member:?} is there twice"));
        }
        if !is_origin(member) {
            return wrong(&place, format!("there is no origin {member:?}; a group is no member"));
        }
    }
    Ok(())
}

fn check_failover(place: &str, statuses: &[u16]) -> Result<(), SnapshotError> {
    match statuses.iter().find(|status| !(400..600).contains(*status)) {
        Some(status) => wrong(place, format!("{status} is no failure: statuses from 400 to 599")),
        None if statuses.len() > MAX_STATUSES => wrong(place, format!("more than {MAX_STATUSES} statuses")),
        None => Ok(()),
    }
}

fn compile_health(place: &str, text: HealthText) -> Result<HealthLimits, SnapshotError> {
    let HealthText { max_failures, retry_after_seconds, fail_fast } = text;
    if max_failures > MAX_FAILURES {
        return wrong(&format!("{place}.max_failures"), format!("{max_failures} is not between 0 and {MAX_FAILURES}"));
    }
    let place = format!("{place}.retry_after_seconds");
    let retry_after = duration(&place, retry_after_seconds)?;
    if !(MIN_RETRY_AFTER..=MAX_RETRY_AFTER).contains(&retry_after) {
        return wrong(&place, "not between 0.01 s and one hour");
    }
    Ok(HealthLimits { max_failures, retry_after, fail_fast })
}

fn endpoint(place: &str, url: &str) -> Result<(Endpoint, String), SnapshotError> {
    Endpoint::parse(url).map_err(|message| SnapshotError { place: place.to_owned(), message })
}

fn host_header(place: &str, host: Option<String>) -> Result<HostHeader, SnapshotError> {
    match host {
        None => Ok(HostHeader::Own),
        Some(host) if host == "viewer" => Ok(HostHeader::Viewer),
        Some(host) if is_authority(&host) => Ok(HostHeader::Named(host)),
        Some(host) => wrong(place, format!("{host:?} is no host: write `www.example.com`, \"viewer\" or null")),
    }
}

/// The bucket may become part of a host name and the region of a signature: neither may hold what ends them.
fn check_bucket(place: &str, bucket: &str, region: &str, prefix: &str) -> Result<(), SnapshotError> {
    let is_word = |text: &str| {
        text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
    };
    if !is_word(bucket) {
        let right = "letters, digits, `-` and `.`; what follows belongs into `prefix`";
        return wrong(&format!("{place}.bucket"), format!("{bucket:?} is no bucket: {right}"));
    }
    if !is_word(region) {
        return wrong(&format!("{place}.region"), format!("{region:?} is no region: for instance `eu-west-1`"));
    }
    checks::plain_text(&format!("{place}.prefix"), prefix)
}

fn check_index_document(place: &str, document: &str) -> Result<(), SnapshotError> {
    if document.is_empty() || document.starts_with('/') {
        return wrong(place, format!("{document:?} is no name of a document: `index.html`, or null for none"));
    }
    checks::plain_text(place, document)
}

fn compile_credentials(place: &str, text: CredentialsText) -> Result<Credentials, SnapshotError> {
    Ok(match text {
        CredentialsText::Environment {} => Credentials::Environment,
        CredentialsText::Unsigned {} => Credentials::Unsigned,
        CredentialsText::File { path, profile } => {
            checks::filled_text(&format!("{place}.path"), &path)?;
            checks::plain_text(&format!("{place}.profile"), &profile)?;
            Credentials::File { path, profile }
        }
    })
}

pub(super) fn timeout(place: &str, seconds: f64) -> Result<Duration, SnapshotError> {
    let timeout = duration(place, seconds)?;
    if timeout.is_zero() {
        return wrong(place, "a timeout of 0 would fail every request");
    }
    Ok(timeout)
}

fn check_counts(place: &str, limits: &OriginLimits) -> Result<(), SnapshotError> {
    for (field, count, least, most) in [
        ("attempts", limits.attempts as usize, 1, 10),
        ("max_connections", limits.max_connections, 1, 65_535),
        ("max_queue", limits.max_queue, 0, 1_000_000),
    ] {
        if !(least..=most).contains(&count) {
            return wrong(&format!("{place}.{field}"), format!("{count} is not between {least} and {most}"));
        }
    }
    Ok(())
}

const MIN_MEMBERS: usize = 2;
const MAX_MEMBERS: usize = 8;
const MAX_STATUSES: usize = 200;
const MAX_FAILURES: u32 = 1_000_000;
const MIN_RETRY_AFTER: Duration = Duration::from_millis(10);
const MAX_RETRY_AFTER: Duration = Duration::from_secs(3600);
