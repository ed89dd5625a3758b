//! Bearer tokens that an edge knows: by their digests, so that they themselves are nowhere, or by who has signed them.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use crate::jwt::Jwt;

/// The tokens of a behavior.
#[derive(Debug)]
pub struct Tokens {
    /// The file that says which there are, where there is one. Whoever puts a snapshot in force reads it.
    pub file: Option<String>,
    /// Which signed ones count besides, where any do.
    pub jwt: Option<Jwt>,
    /// Whether `Authorization` goes on to the origin all the same.
    pub is_forwarded: bool,
    known: OnceLock<Arc<Digests>>,
}

/// SHA-256 digests of tokens.
#[derive(Debug, Default)]
pub struct Digests {
    /// By their first half: what else is compared takes the same time whatever is presented.
    by_prefix: HashMap<u128, Vec<[u8; 32]>>,
}

impl Tokens {
    /// Those of files that are still to be read: until then there are none.
    pub(crate) fn of(file: Option<String>, jwt: Option<Jwt>, is_forwarded: bool) -> Self {
        Self { file, jwt, is_forwarded, known: OnceLock::new() }
    }

    /// Says once what the file holds.
    pub fn learn(&self, digests: Arc<Digests>) {
        // A snapshot is put in force once.
        let _ = self.known.set(digests);
    }

    /// Whether there is a token with this digest.
    #[must_use]
    pub fn know(&self, digest: &[u8; 32]) -> bool {
        self.known.get().is_some_and(|known| known.hold(digest))
    }
}

impl Digests {
    /// Reads a file: a digest in 64 hexadecimal digits a line, and what it is for; empty lines and comments behind `#`.
    ///
    /// # Errors
    /// In words, with the number of the line, and without what stands there: it may be a token.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut digests = Self::default();
        let mut n_digests = 0;
        for (number, line) in text.lines().enumerate() {
            let written = line.split('#').next().unwrap_or_default().split_whitespace().next();
            let Some(written) = written else { continue };
            let Some(digest) = from_hexadecimal(written) else {
                let right = "a line is the SHA-256 of a token in 64 hexadecimal digits, and what it is for";
                return Err(format!("line {}: {right}; `bodega tokens add FILE NAME` writes one", number + 1));
            };
            n_digests += 1;
            if n_digests > MAX_TOKENS {
                return Err(format!("more than {MAX_TOKENS} tokens"));
            }
            digests.by_prefix.entry(prefix(&digest)).or_default().push(digest);
        }
        Ok(digests)
    }

    fn hold(&self, digest: &[u8; 32]) -> bool {
        let alike = self.by_prefix.get(&prefix(digest)).map_or(&[][..], Vec::as_slice);
        alike.iter().fold(false, |is_there, known| is_there | are_equal(known, digest))
    }
}

/// Compares every byte, wherever the first difference is.
fn are_equal(one: &[u8; 32], other: &[u8; 32]) -> bool {
    let differing = one.iter().zip(other).fold(0, |differing, (one, other)| differing | (one ^ other));
    std::hint::black_box(differing) == 0
}

/// Of a digest, which nobody can choose, the place tells nothing about other tokens.
fn prefix(digest: &[u8; 32]) -> u128 {
    digest[..16].iter().fold(0, |prefix, byte| prefix << 8 | u128::from(*byte))
}

fn from_hexadecimal(text: &str) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    if text.len() != 64 {
        return None;
    }
    for (byte, pair) in digest.iter_mut().zip(text.as_bytes().chunks(2)) {
        let digit = |at: usize| char::from(pair[at]).to_digit(16);
        *byte = u8::try_from(digit(0)? << 4 | digit(1)?).ok()?;
    }
    Some(digest)
}

const MAX_TOKENS: usize = 100_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_file_says() {
        let (one, other) = ("ab".repeat(32), "0F".repeat(32));
        let text = format!("# tokens\n\n{one} shop # of the shop\n  {other}\n");
        let digests = Digests::parse(&text).unwrap();
        assert!(digests.hold(&[0xab; 32]) && digests.hold(&[0x0f; 32]));
        let mut near = [0xab; 32];
        near[31] = 0;
        assert!(!digests.hold(&near) && !digests.hold(&[0; 32]));
        for wrong in ["secret", &one[1..], &format!("{one}0"), &format!("g{}", &one[1..]), &"é".repeat(32)] {
            let error = Digests::parse(&format!("\n{wrong}")).unwrap_err();
            assert!(error.starts_with("line 2: ") && !error.contains(wrong), "{error}");
        }
    }

    #[test]
    fn before_the_file_is_read_there_are_none() {
        let tokens = Tokens::of(Some("tokens".to_owned()), None, false);
        assert!(!tokens.know(&[0xab; 32]));
        tokens.learn(Arc::new(Digests::parse(&"ab".repeat(32)).unwrap()));
        assert!(tokens.know(&[0xab; 32]));
    }
}
