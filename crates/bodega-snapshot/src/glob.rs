//! Path patterns: `*` any run of characters, `?` one character, everything else itself. Linear time.

/// A compiled pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob(Kind);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Any,
    Exact(String),
    Prefix(String),
    Suffix(String),
    General(Vec<u8>),
}

impl Glob {
    /// Compiles a pattern.
    #[must_use]
    pub fn new(pattern: &str) -> Self {
        let n_stars = pattern.bytes().filter(|&byte| byte == b'*').count();
        let has_marks = pattern.contains('?');
        Self(match (n_stars, has_marks) {
            (0, false) => Kind::Exact(pattern.to_owned()),
            (1, false) if pattern == "*" => Kind::Any,
            (1, false) if pattern.ends_with('*') => Kind::Prefix(pattern[..pattern.len() - 1].to_owned()),
            (1, false) if pattern.starts_with('*') => Kind::Suffix(pattern[1..].to_owned()),
            _ => Kind::General(pattern.as_bytes().to_vec()),
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
            Kind::General(pattern) => general(pattern, text.as_bytes()),
        }
    }

    /// Whether every text matches.
    #[must_use]
    pub fn is_any(&self) -> bool {
        self.0 == Kind::Any
    }
}

/// Greedy matching with one point of return: a later star never needs an earlier one to take more, so the time is
/// at most pattern times text, and in practice linear.
fn general(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut position) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while position < text.len() {
        if at < pattern.len() && pattern[at] == b'*' {
            star = Some((at + 1, position));
            at += 1;
        } else if at < pattern.len() && (pattern[at] == b'?' || pattern[at] == text[position]) {
            at += 1;
            position += 1;
        } else if let Some((after, from)) = star {
            at = after;
            position = from + 1;
            star = Some((after, from + 1));
        } else {
            return false;
        }
    }
    pattern[at..].iter().all(|&byte| byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_what_they_say() {
        for (pattern, yes, no) in [
            ("*", vec!["", "/", "/a/b"], vec![]),
            ("/images/*", vec!["/images/", "/images/a/b.webp"], vec!["/images", "/img/images/"]),
            ("*.webp", vec!["/a.webp", "/a/b.webp"], vec!["/a.webp2", "/a.png"]),
            ("/a", vec!["/a"], vec!["/a/", "/A"]),
            ("/a?c", vec!["/abc"], vec!["/ac", "/abbc"]),
            ("/*/x/*.js", vec!["/a/x/b.js", "/a/b/x/c/d.js"], vec!["/a/x/b.css", "/x/b.js"]),
            ("*a*b*a", vec!["aba", "xaxbxa", "aabaa"], vec!["ab", "abab"]),
        ] {
            for text in yes {
                assert!(Glob::new(pattern).matches(text), "{pattern} {text}");
            }
            for text in no {
                assert!(!Glob::new(pattern).matches(text), "{pattern} {text}");
            }
        }
    }

    #[test]
    fn a_hostile_pattern_is_not_slow() {
        let pattern = "*a".repeat(50);
        assert!(!Glob::new(&pattern).matches(&format!("{}b", "a".repeat(10_000))));
    }
}
