//! AWS Signature Version 4 for requests without a body.
//!
//! ```text
//! canonical request = method LF path LF query LF *( name ":" value LF ) LF names LF hash of the body
//! string to sign    = "AWS4-HMAC-SHA256" LF date LF scope LF hash of the canonical request
//! scope             = day "/" region "/s3/aws4_request"
//! key               = HMAC(HMAC(HMAC(HMAC("AWS4" secret, day), region), "s3"), "aws4_request")
//! ```

use std::sync::Arc;

use aws_lc_rs::{digest, hmac};
use bodega_http1::write;
use parking_lot::Mutex;

use super::credentials::Keys;
use super::date::AmzDate;

/// What is signed of a request. Path and query are encoded already.
pub(crate) struct Request<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) query: &'a str,
    pub(crate) host: &'a str,
    /// Other fields to be signed: names in lower case, values without outer blanks.
    pub(crate) others: &'a [(&'a str, &'a str)],
}

/// Signs for one region. The key changes only with the day and the secret, so the last one is kept.
pub(crate) struct Signer {
    region: String,
    last_key: Mutex<Option<DayKey>>,
}

struct DayKey {
    day: String,
    keys: Arc<Keys>,
    key: hmac::Key,
}

impl Signer {
    pub(crate) fn new(region: &str) -> Self {
        Self { region: region.to_owned(), last_key: Mutex::new(None) }
    }

    /// Appends the fields that sign `request` (its `Host` and others are the caller's to write).
    pub(crate) fn write_fields(&self, out: &mut Vec<u8>, keys: &Arc<Keys>, request: &Request<'_>, date: &AmzDate) {
        write::write_field(out, "x-amz-content-sha256", EMPTY_SHA256.as_bytes());
        write::write_field(out, "x-amz-date", date.as_str().as_bytes());
        if let Some(token) = &keys.session_token {
            write::write_field(out, "x-amz-security-token", token.as_bytes());
        }
        write::write_field(out, "Authorization", self.authorization(keys, request, date).as_bytes());
    }

    fn authorization(&self, keys: &Arc<Keys>, request: &Request<'_>, date: &AmzDate) -> String {
        let mut fields =
            vec![("host", request.host), ("x-amz-content-sha256", EMPTY_SHA256), ("x-amz-date", date.as_str())];
        fields.extend(keys.session_token.as_deref().map(|token| ("x-amz-security-token", token)));
        fields.extend_from_slice(request.others);
        fields.sort_unstable();
        let names = fields.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");

        let mut canonical = format!("{}\n{}\n{}\n", request.method, request.path, request.query);
        for (name, value) in &fields {
            canonical.extend([name, ":", value, "\n"]);
        }
        canonical.extend(["\n", &names, "\n", EMPTY_SHA256]);

        let scope = format!("{}/{}/s3/aws4_request", date.day(), self.region);
        let hash = hex(digest::digest(&digest::SHA256, canonical.as_bytes()).as_ref());
        let to_sign = format!("AWS4-HMAC-SHA256\n{}\n{scope}\n{hash}", date.as_str());
        let signature = hex(hmac::sign(&self.key(keys, date.day()), to_sign.as_bytes()).as_ref());
        let access_key = &keys.access_key;
        format!("AWS4-HMAC-SHA256 Credential={access_key}/{scope}, SignedHeaders={names}, Signature={signature}")
    }

    fn key(&self, keys: &Arc<Keys>, day: &str) -> hmac::Key {
        let mut last = self.last_key.lock();
        if let Some(last) = last.as_ref().filter(|last| last.day == day && Arc::ptr_eq(&last.keys, keys)) {
            return last.key.clone();
        }
        let secret = format!("AWS4{}", keys.secret_key);
        let parts = [day, &self.region, "s3", "aws4_request"];
        let key = parts.iter().fold(hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), |key, part| {
            hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&key, part.as_bytes()).as_ref())
        });
        *last = Some(DayKey { day: day.to_owned(), keys: Arc::clone(keys), key: key.clone() });
        key
    }
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    bytes.iter().flat_map(|byte| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]).collect()
}

/// Of no bytes at all.
const EMPTY_SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of the S3 API reference, "Signature Calculations for the Authorization Header".
    #[test]
    fn signatures_are_those_of_the_published_examples() {
        let keys = Arc::new(Keys {
            access_key: "AKIAIOSFODNN7EXAMPLE".into(),
            secret_key: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".into(),
            session_token: None,
        });
        let signer = Signer::new("us-east-1");
        let range: &[(&str, &str)] = &[("range", "bytes=0-9")];
        let cases = [
            ("/test.txt", "", range, "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"),
            ("/", "lifecycle=", &[], "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
            ("/", "max-keys=2&prefix=J", &[], "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"),
        ];
        for (path, query, others, signature) in cases {
            let request = Request { method: "GET", path, query, host: "examplebucket.s3.amazonaws.com", others };
            let authorization = signer.authorization(&keys, &request, &AmzDate::at(1_369_353_600));
            assert!(authorization.ends_with(&format!("Signature={signature}")), "{path}?{query}: {authorization}");
        }
    }

    #[test]
    fn the_session_token_is_sent_and_signed() {
        let keys = |token: Option<&str>| {
            Arc::new(Keys { access_key: "A".into(), secret_key: "B".into(), session_token: token.map(str::to_owned) })
        };
        let signer = Signer::new("eu-west-1");
        let request = Request { method: "GET", path: "/a", query: "", host: "h", others: &[] };
        let mut out = Vec::new();
        signer.write_fields(&mut out, &keys(Some("T")), &request, &AmzDate::at(0));
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains("x-amz-security-token: T\r\n"));
        assert!(text.contains("SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-amz-security-token, "));
    }
}
