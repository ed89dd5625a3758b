//! A bucket's answer as clients may see it: no `x-amz-*` fields, no XML, and a missing object is a 404.

use bodega_edge::fetch::{FetchAnswer, FetchError, OnePiece, next_chunk};
use bodega_http1::write::reason_phrase;
use bodega_semantics::{Fields, Head, Reason};
use bytes::Bytes;

use super::Bucket;

/// Makes `answer` fit for clients.
///
/// # Errors
/// When the bucket says that it is elsewhere, or its answer breaks off.
pub(crate) async fn tidy(
    mut answer: FetchAnswer,
    bucket: &Bucket,
    origin: &str,
    is_head: bool,
) -> Result<FetchAnswer, FetchError> {
    if answer.status < 300 || answer.status == 304 {
        if answer.fields.fields().any(|field| is_amz(field.name)) {
            answer.fields.retain(|field| !is_amz(field.name));
        }
        return Ok(answer);
    }
    if answer.status < 400 {
        let region = answer.fields.first("x-amz-bucket-region").map(String::from_utf8_lossy);
        let hint = region.map(|region| format!(": the bucket is in {region}")).unwrap_or_default();
        return Err(FetchError::new(
            Reason::OriginMalformed,
            format!("origin \"{origin}\" answered {}{hint}", answer.status),
        ));
    }
    let kept = ["content-range", "retry-after"];
    let kept: Vec<_> = kept.iter().filter_map(|&name| Some((name, answer.fields.first(name)?.to_vec()))).collect();
    let status = if is_missing(&mut answer, bucket).await? { 404 } else { answer.status };
    let mut tidied = plain(status, is_head);
    for (name, value) in kept {
        tidied.fields.push(name, &value);
    }
    Ok(tidied)
}

/// The bucket takes only what reads.
pub(crate) fn method_not_allowed() -> FetchAnswer {
    let mut answer = plain(405, false);
    answer.fields.push("Allow", b"GET, HEAD");
    answer
}

/// A status with its phrase for a body.
pub(crate) fn plain(status: u16, is_head: bool) -> FetchAnswer {
    let text = format!("{status} {}\n", reason_phrase(status));
    let mut fields = Fields::new();
    fields.push("Content-Type", b"text/plain; charset=utf-8");
    let content_length = Some(text.len() as u64);
    let piece = (!is_head).then(|| Bytes::from(text));
    FetchAnswer { status, fields, content_length, body: Box::new(OnePiece(piece)) }
}

/// Without the right to list, a bucket says 403 of an object that is not there. Keys that are wrong are 403 too:
/// the code in the document tells them apart, and an answer to `HEAD` has none.
async fn is_missing(answer: &mut FetchAnswer, bucket: &Bucket) -> Result<bool, FetchError> {
    // Read even where nothing hangs on it: only then is the connection kept.
    let document = read(answer).await?;
    Ok(match answer.status {
        404 => true,
        403 if bucket.missing_as_404 => code(&document).is_none_or(|code| code == b"AccessDenied"),
        _ => false,
    })
}

/// The start of the document.
async fn read(answer: &mut FetchAnswer) -> Result<Vec<u8>, FetchError> {
    let mut document = Vec::new();
    while let Some(piece) = next_chunk(answer.body.as_mut()).await {
        document.extend_from_slice(&piece?);
        if document.len() > MAX_DOCUMENT_BYTES {
            break;
        }
    }
    Ok(document)
}

/// What stands between `<Code>` and `</Code>`.
fn code(document: &[u8]) -> Option<&[u8]> {
    let find = |bytes: &[u8], tag: &[u8]| bytes.windows(tag.len()).position(|window| window == tag);
    let start = find(document, b"<Code>")? + "<Code>".len();
    let end = find(&document[start..], b"</Code>")?;
    Some(&document[start..start + end])
}

fn is_amz(name: &str) -> bool {
    name.get(..6).is_some_and(|start| start.eq_ignore_ascii_case("x-amz-"))
}

const MAX_DOCUMENT_BYTES: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_is_the_first_that_is_closed_behind_itself() {
        let cases: &[(&[u8], Option<&[u8]>)] = &[
            (b"<Error><Code>AccessDenied</Code><Key>a</Key></Error>", Some(b"AccessDenied")),
            (b"<Code></Code>", Some(b"")),
            (b"<Code>a</Code><Code>b</Code>", Some(b"a")),
            (b"</Code><Code>a</Code>", Some(b"a")),
            (b"<Code>a<Code>b</Code>", Some(b"a<Code>b")),
            (b"<Code>\xff\0</Code>", Some(b"\xff\0")),
            (b"<Code>a", None),
            (b"<Code>a</Code", None),
            (b"</Code>", None),
            (b"<Cod", None),
            (b"", None),
        ];
        for (document, expected) in cases {
            assert_eq!(code(document), *expected, "{}", String::from_utf8_lossy(document));
        }
        let whole = b"<Code>AccessDenied</Code>";
        for end in 0..whole.len() {
            assert_eq!(code(&whole[..end]), None, "cut at {end}");
        }
    }
}
