//! Tags: the names by which many answers are forgotten at once.
//!
//! An origin gives them in `Cache-Tag` (between commas, as Cloudflare reads it) and `Surrogate-Key` (between spaces, as
//! Fastly does), the configuration by rules. All or nothing: an answer that lost a tag could not be purged by it, so
//! that one with too many, or with one that nobody could name in a selector, is not kept.

use crate::fields::{Fields, Head};

/// Between commas.
const CACHE_TAG: &str = "cache-tag";
/// Between spaces.
const SURROGATE_KEY: &str = "surrogate-key";

/// The most tags of one answer.
pub const MAX_TAGS: usize = 64;
/// The longest tag.
pub const MAX_TAG_BYTES: usize = 256;

/// An answer's tags are too many, too long, or hold what is not visible ASCII.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotTaggable;

/// A tag that a policy gives: fixed text, and parts of the URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagRule(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    /// `{host}`: the host as the key has it.
    Host,
    /// `{path.2}`: a segment of the path, counted from 1.
    Segment(usize),
}

impl TagRule {
    /// Reads `product:{path.2}`.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() || text.len() > MAX_TAG_BYTES {
            return Err(format!("a tag has 1 to {MAX_TAG_BYTES} characters"));
        }
        if !is_tag(text.as_bytes()) {
            return Err("a tag is visible ASCII without spaces and commas".to_owned());
        }
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, behind)) = rest.split_once('{') {
            let (name, after) = behind.split_once('}').ok_or("`{` is not closed")?;
            if !before.is_empty() {
                pieces.push(Piece::Text(before.to_owned()));
            }
            pieces.push(match (name, name.strip_prefix("path.").map(str::parse)) {
                ("host", _) => Piece::Host,
                (_, Some(Ok(number @ 1..=MAX_SEGMENT))) => Piece::Segment(number),
                _ => return Err(format!("{{{name}}} is neither {{host}} nor {{path.1}} to {{path.{MAX_SEGMENT}}}")),
            });
            rest = after;
        }
        if rest.contains('}') {
            return Err("`}` closes nothing".to_owned());
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.to_owned()));
        }
        Ok(Self(pieces))
    }

    /// The tag of a URL; `None` if its path has no such segment.
    fn tag(&self, host: &str, path: &str) -> Option<String> {
        let mut tag = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => tag.push_str(text),
                Piece::Host => tag.push_str(host),
                Piece::Segment(number) => {
                    let segment = path.split('/').nth(*number).filter(|segment| !segment.is_empty())?;
                    // A comma would end the tag where tags are written in a row.
                    tag.push_str(&segment.replace(',', "%2C"));
                }
            }
        }
        Some(tag)
    }
}

const MAX_SEGMENT: usize = 9;

/// The tags that the fields of an answer name and that `rules` give to its URL, each once.
///
/// # Errors
/// If they cannot all be kept.
pub fn of<H: Head + ?Sized>(
    response: &H,
    rules: &[TagRule],
    host: &str,
    path: &str,
) -> Result<Vec<String>, NotTaggable> {
    let mut tags = Vec::new();
    let commas = response.all(CACHE_TAG).flat_map(|line| line.split(|byte| *byte == b','));
    let spaces = response.all(SURROGATE_KEY).flat_map(|line| line.split(|byte| matches!(byte, b' ' | b'\t')));
    for tag in commas.chain(spaces).map(<[u8]>::trim_ascii).filter(|tag| !tag.is_empty()) {
        if !is_tag(tag) {
            return Err(NotTaggable);
        }
        add(&mut tags, std::str::from_utf8(tag).map_err(|_| NotTaggable)?)?;
    }
    add_all(&mut tags, rules.iter().filter_map(|rule| rule.tag(host, path)))?;
    Ok(tags)
}

/// Adds what `tags` does not have yet.
///
/// # Errors
/// If they cannot all be kept.
pub fn add_all<T: AsRef<str>>(tags: &mut Vec<String>, others: impl Iterator<Item = T>) -> Result<(), NotTaggable> {
    for other in others {
        add(tags, other.as_ref())?;
    }
    Ok(())
}

fn add(tags: &mut Vec<String>, tag: &str) -> Result<(), NotTaggable> {
    if tags.iter().any(|held| held == tag) {
        return Ok(());
    }
    if tags.len() == MAX_TAGS || tag.len() > MAX_TAG_BYTES {
        return Err(NotTaggable);
    }
    tags.push(tag.to_owned());
    Ok(())
}

/// Whether an answer says anything about its tags.
pub fn names_any<H: Head + ?Sized>(response: &H) -> bool {
    response.has(CACHE_TAG) || response.has(SURROGATE_KEY)
}

/// Takes out the fields that name tags: they are for caches.
pub fn strip(fields: &mut Fields) {
    fields.remove(CACHE_TAG);
    fields.remove(SURROGATE_KEY);
}

fn is_tag(tag: &[u8]) -> bool {
    tag.iter().all(|byte| byte.is_ascii_graphic() && *byte != b',')
}

/// The model that a tag names: `fraud` of `model:fraud` and of `model:fraud@v3`.
#[must_use]
pub fn model_of(tag: &str) -> Option<&str> {
    let name = tag.strip_prefix("model:")?;
    Some(name.split_once('@').map_or(name, |(name, _)| name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(lines: &[(&str, &str)], rules: &[&str]) -> Result<Vec<String>, NotTaggable> {
        let mut fields = Fields::new();
        for (name, value) in lines {
            fields.push(name, value.as_bytes());
        }
        let rules: Vec<TagRule> = rules.iter().map(|rule| TagRule::parse(rule).unwrap()).collect();
        of(&fields, &rules, "shop.test", "/p/42/a,b")
    }

    #[test]
    fn tags_come_from_both_fields_and_from_rules() {
        let tag = "Cache-Tag";
        let key = "Surrogate-Key";
        for (lines, rules, expected) in [
            (&[][..], &[][..], &[][..]),
            (&[(tag, "a,b , c"), (tag, ",d,")], &[], &["a", "b", "c", "d"]),
            (&[(key, "a  b\tc")], &[], &["a", "b", "c"]),
            (&[(key, "a"), (tag, "a")], &["a"], &["a"]),
            (&[], &["fixed", "p:{path.2}", "{host}"], &["fixed", "p:42", "shop.test"]),
            (&[], &["{path.3}", "{path.4}", "x{path.9}y"], &["a%2Cb"]),
            (&[(tag, "A")], &["a"], &["A", "a"]),
        ] {
            assert_eq!(ask(lines, rules).unwrap(), expected, "{lines:?} {rules:?}");
        }
    }

    #[test]
    fn what_cannot_be_kept_whole_is_not_kept() {
        let long = "a".repeat(MAX_TAG_BYTES + 1);
        let many: Vec<String> = (0..=MAX_TAGS).map(|number| number.to_string()).collect();
        for value in ["a b", "\u{e9}", &long, &many.join(",")] {
            assert_eq!(ask(&[("Cache-Tag", value)], &[]), Err(NotTaggable), "{value}");
        }
        assert_eq!(ask(&[("Surrogate-Key", "a,b")], &[]), Err(NotTaggable));
        assert_eq!(ask(&[("Cache-Tag", &many[1..].join(","))], &[]).unwrap().len(), MAX_TAGS);
        assert_eq!(ask(&[("Cache-Tag", &many[1..].join(","))], &["more"]), Err(NotTaggable));
    }

    #[test]
    fn a_rule_that_means_nothing_says_so() {
        for (text, part) in [
            ("", "1 to 256"),
            ("a b", "visible ASCII"),
            ("a,b", "commas"),
            ("{", "not closed"),
            ("a}", "closes nothing"),
            ("{path}", "{path.1} to {path.9}"),
            ("{path.0}", "{path.1} to {path.9}"),
            ("{path.10}", "{path.1} to {path.9}"),
            ("{query.a}", "{host}"),
        ] {
            assert!(TagRule::parse(text).unwrap_err().contains(part), "{text}");
        }
    }

    #[test]
    fn a_tag_names_a_model_whatever_its_version() {
        for (tag, model) in [
            ("model:fraud", Some("fraud")),
            ("model:fraud@v3", Some("fraud")),
            ("model:fraud@v3@eu", Some("fraud")),
            ("model:@v3", Some("")),
            ("model:", Some("")),
            ("model", None),
            ("Model:fraud", None),
            ("a-model:fraud", None),
        ] {
            assert_eq!(model_of(tag), model, "{tag}");
        }
    }
}
