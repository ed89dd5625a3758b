//! A message on its way: a flag, a length, and the bytes, packed or not.
//! <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>

use std::borrow::Cow;
use std::time::Duration;

use bodega_edge::predict::Asked;
use bodega_semantics::Head;

use crate::coding::{Coding, LEAST_BYTES, NotDecoded};
use crate::problem::Problem;

/// The one message of a call, at most `max_bytes` of it.
pub(super) fn read<'a>(asked: &Asked<'a>, max_bytes: u64) -> Result<Cow<'a, [u8]>, Problem> {
    let too_long = || Problem::new(413, "", format!("the message is over the limit of {max_bytes} bytes"));
    if asked.body.len() as u64 > max_bytes.saturating_add(HEAD_BYTES as u64) {
        return Err(too_long());
    }
    let Some(([is_packed, length @ ..], rest)) = asked.body.split_first_chunk::<HEAD_BYTES>() else {
        let what = if asked.body.is_empty() { "there is no message" } else { "the body ends within a message" };
        return Err(Problem::new(400, "", what));
    };
    let n_bytes = u64::from(u32::from_be_bytes(*length));
    if n_bytes > max_bytes {
        return Err(too_long());
    }
    let n_bytes = usize::try_from(n_bytes).unwrap_or(usize::MAX);
    match rest.len() {
        n_given if n_given < n_bytes => return Err(Problem::new(400, "", "the body ends within a message")),
        n_given if n_given > n_bytes => return Err(Problem::new(400, "", "one message is a call, and there is more")),
        _ => {}
    }
    if *is_packed == 0 {
        return Ok(Cow::Borrowed(rest));
    }
    let Some(coding) = coding(asked)? else {
        return Err(Problem::new(400, "grpc-encoding", "is missing, and the message is packed"));
    };
    match coding.decode(rest, max_bytes) {
        Ok(message) => Ok(Cow::Owned(message)),
        Err(NotDecoded::TooLong) => Err(too_long()),
        Err(NotDecoded::Broken) => {
            Err(Problem::new(400, "", format!("the message is not what {} writes", coding.name())))
        }
    }
}

/// How messages of this call are packed, those that are.
fn coding(asked: &Asked<'_>) -> Result<Option<Coding>, Problem> {
    let Some(name) = asked.fields.first("grpc-encoding") else { return Ok(None) };
    let name = String::from_utf8_lossy(name);
    if name == "identity" {
        return Ok(None);
    }
    let message = || format!("{name:?} is not taken: identity, gzip or deflate");
    Coding::of(&name).map(Some).ok_or_else(|| Problem::new(501, "grpc-encoding", message()))
}

/// How the answer may be packed: as the request was, if the client takes that.
pub(super) fn answer_coding(asked: &Asked<'_>) -> Option<Coding> {
    let coding = coding(asked).ok().flatten()?;
    let accepted = asked.fields.first("grpc-accept-encoding")?;
    String::from_utf8_lossy(accepted).split(',').any(|name| Coding::of(name) == Some(coding)).then_some(coding)
}

/// A message with what stands before it, and the coding if it has one.
pub(super) fn write(message: &[u8], coding: Option<Coding>) -> Option<(Vec<u8>, Option<Coding>)> {
    let coding = coding.filter(|_| message.len() >= LEAST_BYTES);
    let packed = coding.map_or(Cow::Borrowed(message), |coding| Cow::Owned(coding.encode(message)));
    let mut out = Vec::with_capacity(HEAD_BYTES + packed.len());
    out.push(u8::from(coding.is_some()));
    out.extend_from_slice(&u32::try_from(packed.len()).ok()?.to_be_bytes());
    out.extend_from_slice(&packed);
    Some((out, coding))
}

/// How long the client waits.
pub(super) fn timeout(asked: &Asked<'_>) -> Result<Option<Duration>, Problem> {
    let Some(written) = asked.fields.first("grpc-timeout") else { return Ok(None) };
    let read = || {
        let (unit, digits) = written.split_last()?;
        if !(1..=MAX_DIGITS).contains(&digits.len()) || !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let number: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
        Some(match unit {
            b'H' => Duration::from_secs(number * 3600),
            b'M' => Duration::from_secs(number * 60),
            b'S' => Duration::from_secs(number),
            b'm' => Duration::from_millis(number),
            b'u' => Duration::from_micros(number),
            b'n' => Duration::from_nanos(number),
            _ => return None,
        })
    };
    let wrong = || Problem::new(400, "grpc-timeout", "is no number of at most 8 digits with one of H, M, S, m, u, n");
    read().map(Some).ok_or_else(wrong)
}

pub(super) const HEAD_BYTES: usize = 5;
const MAX_DIGITS: usize = 8;

#[cfg(test)]
mod tests {
    use bodega_semantics::Fields;
    use proptest::prelude::*;

    use super::*;

    fn asked<'a>(fields: &'a Fields, body: &'a [u8]) -> Asked<'a> {
        Asked { method: "POST", path: "/", version: "2", fields: fields.into(), body }
    }

    #[test]
    fn what_is_no_message_is_told() {
        let gzip = Fields::of(&[("grpc-encoding", "gzip")]);
        let (none, brotli) = (Fields::new(), Fields::of(&[("grpc-encoding", "br")]));
        let bomb = write(&vec![0; 1 << 20], Some(Coding::Gzip)).unwrap().0;
        for (fields, body, status, part) in [
            (&none, &b""[..], 400, "no message"),
            (&none, b"\0\0\0", 400, "ends within"),
            (&none, b"\0\0\0\0\x02a", 400, "ends within"),
            (&none, b"\0\0\0\0\x01ab", 400, "more"),
            (&none, b"\0\xff\xff\xff\xffab", 413, "100 bytes"),
            (&none, b"\x01\0\0\0\x01a", 400, "missing"),
            (&brotli, b"\x01\0\0\0\x01a", 501, "identity, gzip"),
            (&gzip, b"\x01\0\0\0\x01a", 400, "gzip writes"),
            (&gzip, &bomb, 413, "limit"),
        ] {
            let most = if body.len() > 200 { 10_000 } else { 100 };
            let problem = read(&asked(fields, body), most).unwrap_err();
            assert_eq!(problem.status, status, "{body:?}");
            assert!(problem.message.contains(part), "{}", problem.message);
        }
        assert_eq!(*read(&asked(&brotli, b"\0\0\0\0\x01a"), 1).unwrap(), *b"a", "not packed");
        assert_eq!(read(&asked(&none, &[0; 106]), 100).unwrap_err().status, 413);
    }

    #[test]
    fn how_long_a_client_waits() {
        for (written, expected) in [
            ("1S", Some(Duration::from_secs(1))),
            ("250m", Some(Duration::from_millis(250))),
            ("99999999H", Some(Duration::from_secs(99_999_999 * 3600))),
            ("7u", Some(Duration::from_micros(7))),
            ("7n", Some(Duration::from_nanos(7))),
            ("2M", Some(Duration::from_secs(120))),
            ("100000000n", None),
            ("S", None),
            ("", None),
            ("-1S", None),
            ("1.5S", None),
            ("1s", None),
        ] {
            assert_eq!(
                timeout(&asked(&Fields::of(&[("grpc-timeout", written)]), b"")).ok().flatten(),
                expected,
                "{written}"
            );
        }
        assert_eq!(timeout(&asked(&Fields::new(), b"")).unwrap(), None);
    }

    #[test]
    fn an_answer_is_packed_as_the_question_was_if_that_is_taken() {
        for (encoding, accepted, expected) in [
            ("gzip", "identity, gzip, deflate", Some(Coding::Gzip)),
            ("deflate", "identity,deflate", Some(Coding::Deflate)),
            ("gzip", "identity", None),
            ("identity", "gzip", None),
            ("br", "br, gzip", None),
        ] {
            let fields = Fields::of(&[("grpc-encoding", encoding), ("grpc-accept-encoding", accepted)]);
            assert_eq!(answer_coding(&asked(&fields, b"")), expected, "{encoding} {accepted}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_message_or_told(bytes in proptest::collection::vec(any::<u8>(), 0..300), packed: bool) {
            let coding = if packed { "gzip" } else { "identity" };
            if let Ok(message) = read(&asked(&Fields::of(&[("grpc-encoding", coding)]), &bytes), 200) {
                prop_assert!(message.len() <= 200);
            }
        }

        #[test]
        fn what_is_written_is_read(bytes in proptest::collection::vec(any::<u8>(), 0..3_000), packed: bool) {
            let (framed, coding) = write(&bytes, packed.then_some(Coding::Deflate)).unwrap();
            prop_assert_eq!(coding.is_some(), packed && bytes.len() >= LEAST_BYTES);
            let fields = Fields::of(&[("grpc-encoding", "deflate")]);
            prop_assert_eq!(&*read(&asked(&fields, &framed), 4_000).unwrap(), &bytes[..]);
        }
    }
}
