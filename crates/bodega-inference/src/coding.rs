//! Content codings of bodies (RFC 9110 section 8.4.1), gzip and deflate, in both directions; gRPC names them alike.
//!
//! What a body unfolds to is bounded before it is unfolded: a few bytes can stand for a thousand times as many.

use std::borrow::Cow;
use std::io::{Read, Write};

use bodega_edge::predict::Asked;
use bodega_semantics::Head;
use flate2::Compression;
use flate2::bufread::{GzDecoder, ZlibDecoder};
use flate2::write::{GzEncoder, ZlibEncoder};
use smallvec::SmallVec;

use crate::problem::Problem;

/// How bytes are packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coding {
    Gzip,
    /// Of the zlib form (RFC 9110 section 8.4.1.2).
    Deflate,
}

/// Why bytes cannot be unpacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotDecoded {
    TooLong,
    Broken,
}

impl Coding {
    /// The coding of this name; `x-gzip` is gzip.
    pub(crate) fn of(name: &str) -> Option<Self> {
        let names = [("gzip", Self::Gzip), ("x-gzip", Self::Gzip), ("deflate", Self::Deflate)];
        names.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name.trim())).map(|(_, coding)| coding)
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
        }
    }

    /// What `bytes` stand for, if that is at most `max_bytes`. Of gzip one member is taken: empty ones are 20 bytes each,
    /// and to begin another costs as much as a large one.
    pub(crate) fn decode(self, bytes: &[u8], max_bytes: u64) -> Result<Vec<u8>, NotDecoded> {
        let mut whole = Vec::new();
        let limit = max_bytes.saturating_add(1);
        let (read, n_behind) = match self {
            Self::Gzip => {
                let mut decoder = GzDecoder::new(bytes);
                let read = decoder.by_ref().take(limit).read_to_end(&mut whole);
                (read, decoder.get_ref().len())
            }
            Self::Deflate => {
                let mut decoder = ZlibDecoder::new(bytes);
                let read = decoder.by_ref().take(limit).read_to_end(&mut whole);
                (read, decoder.get_ref().len())
            }
        };
        match read {
            Ok(_) if whole.len() as u64 > max_bytes => Err(NotDecoded::TooLong),
            Ok(_) if n_behind == 0 => Ok(whole),
            _ => Err(NotDecoded::Broken),
        }
    }

    pub(crate) fn encode(self, bytes: &[u8]) -> Vec<u8> {
        let out = Vec::with_capacity(bytes.len() / 2);
        // Answers are packed while somebody waits.
        let level = Compression::fast();
        // Writing into memory cannot fail.
        match self {
            Self::Gzip => {
                let mut encoder = GzEncoder::new(out, level);
                drop(encoder.write_all(bytes));
                encoder.finish().unwrap_or_default()
            }
            Self::Deflate => {
                let mut encoder = ZlibEncoder::new(out, level);
                drop(encoder.write_all(bytes));
                encoder.finish().unwrap_or_default()
            }
        }
    }
}

/// The body of a request as it was before it was packed, at most `max_bytes` of it.
pub(crate) fn body<'a>(asked: &Asked<'a>, max_bytes: u64) -> Result<Cow<'a, [u8]>, Problem> {
    let too_long = |what: &str| Problem::new(413, "", format!("the body {what} over the limit of {max_bytes} bytes"));
    if asked.body.len() as u64 > max_bytes {
        return Err(too_long("is"));
    }
    // Of all lines: they are one list.
    let mut name = String::new();
    for line in asked.fields.all("content-encoding") {
        for each in String::from_utf8_lossy(line).split(',').map(str::trim) {
            if !each.is_empty() && !each.eq_ignore_ascii_case("identity") {
                name.push_str(if name.is_empty() { "" } else { ", " });
                name.push_str(each);
            }
        }
    }
    if name.is_empty() {
        return Ok(Cow::Borrowed(asked.body));
    }
    // More than one is a way to make much of little, and no name.
    let Some(coding) = Coding::of(&name) else {
        return Err(Problem::new(415, "Content-Encoding", format!("{name:?} is not taken: gzip, deflate, or none")));
    };
    match coding.decode(asked.body, max_bytes) {
        Ok(whole) => Ok(Cow::Owned(whole)),
        Err(NotDecoded::TooLong) => Err(too_long("unpacks to something")),
        Err(NotDecoded::Broken) => Err(Problem::new(400, "", format!("the body is not what {} writes", coding.name()))),
    }
}

/// The coding that the client likes best of those there are (RFC 9110 section 12.5.3); `None`: as it is.
pub(crate) fn accepted<H: Head>(fields: &H) -> Option<Coding> {
    let mut named: SmallVec<[(Coding, f32); 4]> = SmallVec::new();
    let mut any_other = 0.0;
    for line in fields.all("accept-encoding") {
        for each in String::from_utf8_lossy(line).split(',') {
            let (name, weight) = each.split_once(';').unwrap_or((each, "q=1"));
            let weight = weight.trim().strip_prefix("q=").and_then(|weight| weight.parse::<f32>().ok()).unwrap_or(0.0);
            if name.trim() == "*" {
                any_other = weight;
            }
            named.extend(Coding::of(name).map(|coding| (coding, weight)));
        }
    }
    // The star is for what is not named.
    for coding in [Coding::Gzip, Coding::Deflate] {
        if !named.iter().any(|(other, _)| *other == coding) {
            named.push((coding, any_other));
        }
    }
    let mut best = None;
    for (coding, weight) in named {
        if weight > best.map_or(0.0, |(_, weight)| weight) {
            best = Some((coding, weight));
        }
    }
    best.map(|(coding, _)| coding)
}

/// What is shorter is sent as it is: packing it takes longer than sending it.
pub(crate) const LEAST_BYTES: usize = 1_024;

#[cfg(test)]
mod tests {
    use bodega_semantics::Fields;
    use proptest::prelude::*;

    use super::*;

    const BOTH: [Coding; 2] = [Coding::Gzip, Coding::Deflate];

    fn asked<'a>(fields: &'a Fields, body: &'a [u8]) -> Asked<'a> {
        Asked { method: "POST", path: "/v2", version: "1.1", fields: fields.into(), body }
    }

    fn fields(name: &str, values: &[&str]) -> Fields {
        let mut fields = Fields::new();
        values.iter().for_each(|value| fields.push(name, value.as_bytes()));
        fields
    }

    #[test]
    fn a_body_that_unpacks_to_too_much_is_refused_without_unpacking_it() {
        let zeros = vec![0; 50 << 20];
        for coding in BOTH {
            let bomb = coding.encode(&zeros);
            assert!(bomb.len() < 1 << 20);
            let fields = fields("content-encoding", &[coding.name()]);
            let problem = body(&asked(&fields, &bomb), 1 << 20).unwrap_err();
            assert_eq!(problem.status, 413);
            assert_eq!(coding.decode(&bomb, zeros.len() as u64).unwrap(), zeros);
        }
    }

    #[test]
    fn what_is_no_coding_of_ours_is_refused() {
        for (values, status) in [
            (&["br"][..], 415),
            (&["gzip, gzip"], 415),
            (&["gzip", "gzip"], 415),
            (&["identity", "br"], 415),
            (&["identity", "gzip"], 400),
            (&["identity, deflate"], 400),
            (&["gzip"], 400),
            (&["deflate"], 400),
        ] {
            assert_eq!(body(&asked(&fields("content-encoding", values), b"{}"), 100).unwrap_err().status, status);
        }
        for values in [&["identity"][..], &["", "identity"], &["identity, Identity"]] {
            assert_eq!(*body(&asked(&fields("content-encoding", values), b"{}"), 100).unwrap(), b"{}"[..]);
        }
        let packed = Coding::Gzip.encode(b"{}");
        let lines = fields("content-encoding", &["identity", "gzip"]);
        assert_eq!(*body(&asked(&lines, &packed), 100).unwrap(), b"{}"[..], "one of them packs");
        assert_eq!(body(&asked(&Fields::new(), b"{}"), 1).unwrap_err().status, 413);
        for coding in BOTH {
            let packed = coding.encode(b"{}");
            assert_eq!(coding.decode(&packed[..packed.len() - 1], 100), Err(NotDecoded::Broken), "cut");
            assert_eq!(coding.decode(&[&packed[..], b"x"].concat(), 100), Err(NotDecoded::Broken), "more behind it");
            assert_eq!(coding.decode(&packed.repeat(2), 100), Err(NotDecoded::Broken), "another one behind it");
            assert_eq!(coding.decode(&coding.encode(b"").repeat(50_000), 100), Err(NotDecoded::Broken), "many, empty");
        }
    }

    #[test]
    fn the_client_says_what_it_likes() {
        for (values, expected) in [
            (&[][..], None),
            (&["identity"], None),
            (&["gzip"], Some(Coding::Gzip)),
            (&["deflate"], Some(Coding::Deflate)),
            (&["gzip;q=0"], None),
            (&["gzip;q=0.2, deflate;q=0.5"], Some(Coding::Deflate)),
            (&["br", "deflate"], Some(Coding::Deflate)),
            (&["*"], Some(Coding::Gzip)),
            (&["gzip;q=nonsense"], None),
            (&["gzip;q=0, *"], Some(Coding::Deflate)),
            (&["*", "gzip;q=0"], Some(Coding::Deflate)),
            (&["*, gzip;q=0, deflate;q=0"], None),
            (&["*;q=0"], None),
            (&["*;q=0.1, deflate;q=0.2"], Some(Coding::Deflate)),
            (&["gzip, *;q=0"], Some(Coding::Gzip)),
        ] {
            assert_eq!(accepted(&fields("accept-encoding", values)), expected, "{values:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_packed_is_unpacked_and_any_bytes_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..2_000)) {
            for coding in BOTH {
                prop_assert_eq!(&coding.decode(&coding.encode(&bytes), 2_000).unwrap(), &bytes);
                if let Ok(whole) = coding.decode(&bytes, 2_000) {
                    prop_assert!(whole.len() <= 2_000);
                }
            }
        }
    }
}
