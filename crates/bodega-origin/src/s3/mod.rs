//! A bucket as an origin: `GET` and `HEAD` of objects, signed with Signature Version 4, nothing else.
//!
//! The bucket's own language stays behind: `x-amz-*` fields and XML documents do not reach clients, and the client's
//! query does not reach the bucket (it could ask for listings, policies or other versions).
//! `address` makes keys of paths, `sign` signs, `credentials` finds the keys to sign with, `answer` tidies up.

mod address;
mod answer;
mod credentials;
mod date;
mod sign;

use bodega_edge::fetch::{FetchAnswer, FetchError, FetchRequest};
use bodega_http1::write;
use bodega_semantics::{Head, Reason};
use bodega_snapshot::Credentials as Source;

use crate::attempts::{self, Outgoing};
use crate::gate::Turn;
use crate::pool::Lane;
use credentials::Credentials;
use date::AmzDate;
use sign::{Request, Signer};

/// What the configuration says about a bucket, besides where it is reached.
pub(crate) struct Bucket {
    pub(crate) name: String,
    /// Put before every key.
    pub(crate) prefix: String,
    /// Whether the bucket is named in the path rather than in the host.
    pub(crate) path_style: bool,
    pub(crate) missing_as_404: bool,
    pub(crate) index_document: Option<String>,
}

/// A bucket with what all threads share of it.
pub(crate) struct S3 {
    bucket: Bucket,
    credentials: Credentials,
    signer: Signer,
}

impl S3 {
    pub(crate) fn new(bucket: Bucket, region: &str, credentials: &Source) -> Self {
        Self { bucket, credentials: Credentials::new(credentials), signer: Signer::new(region) }
    }
}

/// Asks the bucket for what `request` names.
///
/// # Errors
/// When there are no credentials, no attempt brought an answer, or the bucket is elsewhere.
pub(crate) async fn fetch(s3: &S3, lane: &Lane, turn: Turn, request: FetchRequest) -> Result<FetchAnswer, FetchError> {
    let FetchRequest { method, path_and_query, fields, .. } = request;
    let (name, authority) = (&lane.origin().settings.name, &lane.origin().endpoint.authority);
    let is_head = method == "HEAD";
    if !is_head && method != "GET" {
        return Ok(answer::method_not_allowed());
    }
    let Some(path) = address::path(&s3.bucket, &path_and_query) else {
        return Ok(answer::plain(404, is_head));
    };
    let keys = s3.credentials.current().await.map_err(|what| {
        FetchError::new(Reason::OriginConnect, format!("origin \"{name}\" has no usable credentials: {what}"))
    })?;
    let write_head = |out: &mut Vec<u8>| {
        write::write_request_line(out, &method, &path);
        write::write_field(out, "Host", authority.as_bytes());
        if let Some(keys) = &keys {
            let signed = Request { method: &method, path: &path, query: "", host: authority, others: &[] };
            s3.signer.write_fields(out, keys, &signed, &AmzDate::now());
        }
        for field in fields.fields().filter(|field| is_for_bucket(field.name)) {
            write::write_field(out, field.name, field.value);
        }
        out.extend_from_slice(b"\r\n");
    };
    let outgoing = Outgoing::new(&method, &fields, None);
    let answer = attempts::send(lane, turn, outgoing, write_head).await?;
    answer::tidy(answer, &s3.bucket, name, is_head).await
}

/// The fields of a request that mean something to a bucket and cannot change what it does.
fn is_for_bucket(name: &str) -> bool {
    const SENT: [&str; 9] = [
        "range",
        "if-match",
        "if-none-match",
        "if-modified-since",
        "if-unmodified-since",
        "if-range",
        "user-agent",
        "via",
        "cdn-loop",
    ];
    SENT.iter().any(|sent| name.eq_ignore_ascii_case(sent))
}
