//! Path patterns: `*` any run of characters, `?` one byte, everything else itself.
//!
//! A pattern is taken apart once, at its stars. Nearly all patterns are then one comparison; the others search for
//! their runs from left to right, which never needs to go back: a later run finds no less behind an earlier one that
//! was found as early as possible. The time is linear in the text, whatever a client sends.

/// A compiled pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob(Kind);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Any,
    Exact(String),
    Prefix(String),
    Suffix(String),
    /// No star, but `?`.
    Marked(Box<[u8]>),
    /// What stands before the first star, between stars, and after the last.
    Runs {
        first: Box<[u8]>,
        middle: Box<[Run]>,
        last: Box<[u8]>,
    },
}

impl Glob {
    /// Compiles a pattern.
    #[must_use]
    pub fn new(pattern: &str) -> Self {
        let has_marks = pattern.contains('?');
        let Some((first, rest)) = pattern.split_once('*') else {
            return Self(if has_marks { Kind::Marked(bytes(pattern)) } else { Kind::Exact(pattern.to_owned()) });
        };
        let (middle, last) = rest.rsplit_once('*').unwrap_or(("", rest));
        let middle: Box<[Run]> = middle.split('*').filter(|run| !run.is_empty()).map(Run::new).collect();
        Self(match (first, last) {
            ("", "") if middle.is_empty() => Kind::Any,
            (prefix, "") if middle.is_empty() && !has_marks => Kind::Prefix(prefix.to_owned()),
            ("", suffix) if middle.is_empty() && !has_marks => Kind::Suffix(suffix.to_owned()),
            (first, last) => Kind::Runs { first: bytes(first), middle, last: bytes(last) },
        })
    }

    /// Whether the whole of `text` matches.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        match &self.0 {
            Kind::Any => true,
            Kind::Exact(exact) => text == exact,
            Kind::Prefix(prefix) => text.starts_with(prefix.as_str()),
            Kind::Suffix(suffix) => text.ends_with(suffix.as_str()),
            Kind::Marked(marked) => marked.len() == text.len() && is_like(marked, text.as_bytes()),
            Kind::Runs { first, middle, last } => match_runs(first, middle, last, text.as_bytes()),
        }
    }
}

fn match_runs(first: &[u8], middle: &[Run], last: &[u8], text: &[u8]) -> bool {
    let Some(end) = text.len().checked_sub(last.len()).filter(|end| *end >= first.len()) else {
        return false;
    };
    if !is_like(first, &text[..first.len()]) || !is_like(last, &text[end..]) {
        return false;
    }
    let mut rest = &text[first.len()..end];
    middle.iter().all(|run| match run.find_end(rest) {
        Some(after) => {
            rest = &rest[after..];
            true
        }
        None => false,
    })
}

/// Something to search for, not empty.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Run {
    bytes: Box<[u8]>,
    /// For each length of the run that has matched, the longest shorter one that has matched as well (Knuth, Morris
    /// and Pratt, 1977). Empty if the run holds `?`: likeness is not transitive then, and every place is tried; the
    /// configuration bounds how long such a run may be.
    fallback: Box<[u32]>,
}

impl Run {
    fn new(run: &str) -> Self {
        let bytes = bytes(run);
        let mut fallback: Vec<u32> = Vec::new();
        if !bytes.contains(&b'?') {
            fallback.push(0);
            let mut length = 0;
            for &byte in &bytes[1..] {
                length = extend(&bytes, &fallback, length, byte);
                fallback.push(u32::try_from(length).unwrap_or(0));
            }
        }
        Self { bytes, fallback: fallback.into() }
    }

    /// Where the first occurrence in `text` ends.
    fn find_end(&self, text: &[u8]) -> Option<usize> {
        let len = self.bytes.len();
        if self.fallback.is_empty() {
            return text.windows(len).position(|window| is_like(&self.bytes, window)).map(|start| start + len);
        }
        let mut length = 0;
        text.iter()
            .position(|&byte| {
                length = extend(&self.bytes, &self.fallback, length, byte);
                length == len
            })
            .map(|at| at + 1)
    }
}

/// How much of `run` matches up to and with `byte`, when `length` (less than all) of it matched before.
fn extend(run: &[u8], fallback: &[u32], mut length: usize, byte: u8) -> usize {
    while length > 0 && run[length] != byte {
        length = fallback[length - 1] as usize;
    }
    if run[length] == byte { length + 1 } else { 0 }
}

/// Whether two of one length are the same where `like` holds no `?`.
fn is_like(like: &[u8], text: &[u8]) -> bool {
    like.iter().zip(text).all(|(like, byte)| like == byte || *like == b'?')
}

fn bytes(text: &str) -> Box<[u8]> {
    text.as_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_what_they_say() {
        for (pattern, yes, no) in [
            ("*", vec!["", "/", "/a/b"], vec![]),
            ("**", vec!["", "/"], vec![]),
            ("/images/*", vec!["/images/", "/images/a/b.webp"], vec!["/images", "/img/images/"]),
            ("*.webp", vec!["/a.webp", "/a/b.webp"], vec!["/a.webp2", "/a.png"]),
            ("/a", vec!["/a"], vec!["/a/", "/A"]),
            ("/a?c", vec!["/abc"], vec!["/ac", "/abbc"]),
            ("/*/x/*.js", vec!["/a/x/b.js", "/a/b/x/c/d.js"], vec!["/a/x/b.css", "/x/b.js"]),
            ("/a*a", vec!["/aa", "/aba"], vec!["/a"]),
            ("*a*b*a", vec!["aba", "xaxbxa", "aabaa"], vec!["ab", "abab"]),
            ("*aab*", vec!["aaab", "aaaab", "xaabx"], vec!["aba", "ab"]),
            ("*?b*", vec!["ab", "aab", "bb"], vec!["b", "ba"]),
        ] {
            for text in yes {
                assert!(Glob::new(pattern).matches(text), "{pattern} {text}");
            }
            for text in no {
                assert!(!Glob::new(pattern).matches(text), "{pattern} {text}");
            }
        }
    }

    /// By definition: a star is nothing, or one byte and a star.
    fn matches_by_definition(pattern: &[u8], text: &[u8]) -> bool {
        match (pattern.split_first(), text.split_first()) {
            (None, None) => true,
            (Some((b'*', rest)), None) => matches_by_definition(rest, text),
            (Some((b'*', rest)), Some((_, shorter))) => {
                matches_by_definition(rest, text) || matches_by_definition(pattern, shorter)
            }
            (Some((like, rest)), Some((byte, shorter))) => {
                (like == byte || *like == b'?') && matches_by_definition(rest, shorter)
            }
            _ => false,
        }
    }

    /// Every text of at most `longest` characters out of `alphabet`.
    fn all_texts(alphabet: &[char], longest: usize) -> Vec<String> {
        let mut texts = vec![String::new()];
        let mut from = 0;
        for _ in 0..longest {
            let to = texts.len();
            for at in from..to {
                texts.extend(alphabet.iter().map(|character| format!("{}{character}", texts[at])).collect::<Vec<_>>());
            }
            from = to;
        }
        texts
    }

    #[test]
    fn every_short_pattern_agrees_with_the_definition_on_every_short_text() {
        let texts = all_texts(&['a', 'b'], 7);
        for pattern in all_texts(&['a', 'b', '*', '?'], 5) {
            let glob = Glob::new(&pattern);
            for text in &texts {
                let expected = matches_by_definition(pattern.as_bytes(), text.as_bytes());
                assert_eq!(glob.matches(text), expected, "{pattern} {text}");
            }
        }
    }

    #[test]
    fn long_patterns_agree_with_the_definition() {
        // Runs long enough for the fallback to be followed more than once, from a fixed generator.
        let mut state = 11_u64;
        let mut next = |n: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % n
        };
        let mut n_matches = 0;
        for _ in 0..20_000 {
            let text: String = (0..next(24)).map(|_| if next(3) == 0 { 'b' } else { 'a' }).collect();
            let pattern: String = text
                .chars()
                .filter_map(|character| match next(12) {
                    0 | 1 => Some('*'),
                    2 => Some('?'),
                    3 => None,
                    _ => Some(character),
                })
                .collect();
            let expected = matches_by_definition(pattern.as_bytes(), text.as_bytes());
            n_matches += usize::from(expected);
            assert_eq!(Glob::new(&pattern).matches(&text), expected, "{pattern} {text}");
        }
        assert!((2_000..18_000).contains(&n_matches), "{n_matches}: says little if nearly all are alike");
    }

    #[test]
    fn a_hostile_text_is_not_slow() {
        // With a search that starts over at each place, these are ten thousand million comparisons.
        let text = "a".repeat(1_000_000);
        assert!(!Glob::new(&format!("*{}b*", "a".repeat(10_000))).matches(&text));
        assert!(!Glob::new(&"*a".repeat(500).replace("*a*a", "*aa*b")).matches(&text));
    }
}
