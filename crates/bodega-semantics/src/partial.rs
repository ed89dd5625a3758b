//! Parts of a body: what a 206 says, what of a request is missing, and whether two answers are parts of one whole.
//! RFC 9110 section 15.3.7, RFC 9111 sections 3.3 and 3.4.
//!
//! Bytes of two answers are put together only under one strong validator and one length; whatever leaves a doubt is
//! no part. Which bytes a request asks for is in `range`.

use crate::conditional::strong_match;
use crate::date;
use crate::fields::{Fields, Head};
use crate::key::Key;
use crate::multipart::Span;
use crate::policy::Policy;
use crate::range::{self, Requested};

/// A part of a body of known length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Which bytes.
    pub span: Span,
    /// Of how many.
    pub total: u64,
}

/// What of a request a stored part lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// All of it is there.
    Nothing,
    /// These bytes, which go before what is there.
    Before(Span),
    /// These bytes, which go behind what is there.
    After(Span),
    /// So much that what is there is of no use: bytes on both sides, or nothing that meets it.
    Apart,
}

impl Run {
    /// The part that an answer of 206 holds: one part, of a known length, as long as the body that was announced.
    /// `None` for everything else: several parts, an unknown length, what cannot be read or contradicts itself.
    #[must_use]
    pub fn of<H: Head + ?Sized>(head: &H, content_length: Option<u64>) -> Option<Self> {
        let content_type = head.first("content-type").unwrap_or_default();
        if content_type.len() >= MULTIPART.len() && content_type[..MULTIPART.len()].eq_ignore_ascii_case(MULTIPART) {
            return None;
        }
        let run = Self::parse(head.only("content-range")?)?;
        content_length.is_none_or(|n_bytes| n_bytes == run.span.n_bytes()).then_some(run)
    }

    /// Reads the value of `Content-Range` (RFC 9110 section 14.4).
    #[must_use]
    pub fn parse(value: &[u8]) -> Option<Self> {
        let (unit, range) = split(value, b' ')?;
        if !unit.eq_ignore_ascii_case(b"bytes") {
            return None;
        }
        let (span, total) = split(range, b'/')?;
        let (first, last) = split(span, b'-')?;
        let (first, last, total) = (number(first)?, number(last)?, number(total)?);
        (first <= last && last < total).then_some(Self { span: Span { first, last }, total })
    }

    /// The value of `Content-Range`.
    #[must_use]
    pub fn content_range(&self) -> Vec<u8> {
        let Span { first, last } = self.span;
        format!("bytes {first}-{last}/{}", self.total).into_bytes()
    }

    /// Whether nothing is missing.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        self.span.first == 0 && self.span.last + 1 == self.total
    }

    /// What of `wanted` it lacks.
    #[must_use]
    pub fn missing(&self, wanted: &Span) -> Missing {
        let held = &self.span;
        if held.holds(wanted) {
            Missing::Nothing
        } else if wanted.first >= held.first && held.meets(wanted) {
            Missing::After(Span { first: held.last + 1, last: wanted.last })
        } else if wanted.last <= held.last && held.meets(wanted) {
            Missing::Before(Span { first: wanted.first, last: held.first - 1 })
        } else {
            Missing::Apart
        }
    }

    /// Whether it lies in what was asked for. An origin may send less than that (RFC 9110 section 15.3.7), not more.
    #[must_use]
    pub fn is_within(&self, asked: Requested) -> bool {
        asked.of(self.total).is_some_and(|asked| asked.holds(&self.span))
    }
}

/// The validator that says that two parts are of the same bytes; `None` if there is none so strong.
///
/// An entity tag goes before a date (RFC 9110 section 13.1.5), also a weak one, which then is no use. A date is strong if
/// it lies before the answer was made (section 8.8.2.2).
#[must_use]
pub fn strong_validator<H: Head + ?Sized>(head: &H) -> Option<&[u8]> {
    if head.has("etag") {
        return head.only("etag").filter(|etag| strong_match(etag, etag));
    }
    let modified = head.only("last-modified")?;
    let made = date::parse(head.only("date")?)?;
    (made.since(date::parse(modified)?).as_secs() >= 1).then_some(modified)
}

/// Whether both are answers with the same bytes, or parts of them (RFC 9111 section 3.4).
#[must_use]
pub fn are_of_one_whole<H, N>(held: &H, new: &N) -> bool
where
    H: Head + ?Sized,
    N: Head + ?Sized,
{
    // An entity tag may look like a date.
    held.has("etag") == new.has("etag")
        && strong_validator(held).is_some_and(|validator| strong_validator(new) == Some(validator))
}

/// The fields of what both make together: those of the newer answer in place of those that were stored (RFC 9111
/// section 3.4). `Content-Range` is left out, and what is about one message's content alone.
#[must_use]
pub fn combined_fields<H, N>(held: &H, new: &N) -> Fields
where
    H: Head + ?Sized,
    N: Head + ?Sized,
{
    let is_for_one = |name: &str| {
        range::is_about_content(name)
            || ["content-range", "content-length"].iter().any(|one| name.eq_ignore_ascii_case(one))
    };
    let mut fields = Fields::with_capacity(512);
    for field in held.fields() {
        // The age of what was stored is in its terms.
        if !is_for_one(field.name) && !new.has(field.name) && !field.name.eq_ignore_ascii_case("age") {
            fields.push(field.name, field.value);
        }
    }
    for field in new.fields().filter(|field| !is_for_one(field.name)) {
        fields.push(field.name, field.value);
    }
    fields
}

/// The key of the part, where `whole` is that of the whole: a part never stands where a whole is looked for.
#[must_use]
pub const fn key(whole: Key) -> Key {
    Key(whole.0 ^ PART_MARK)
}

/// Whether a range of what is not stored goes to the origin as it is, even where a fill of the whole would soon get
/// there.
#[must_use]
pub const fn forwards_ranges(policy: &Policy) -> bool {
    policy.mode.is_rfc()
}

fn split(value: &[u8], by: u8) -> Option<(&[u8], &[u8])> {
    let at = value.iter().position(|&byte| byte == by)?;
    Some((&value[..at], &value[at + 1..]))
}

/// Unlike a position in a request, which may saturate, one in an answer has to be right.
fn number(digits: &[u8]) -> Option<u64> {
    let is_plain = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(digits).ok().filter(|_| is_plain)?.parse().ok()
}

const MULTIPART: &[u8] = b"multipart/byteranges";
/// Random, once and for all; it changes the shard and the hash.
const PART_MARK: u128 = 0x5ef1_3c0a_94d7_4b26_8e61_b0d2_7f39_c5a8;

#[cfg(test)]
mod tests {
    use super::*;

    const fn span(first: u64, last: u64) -> Span {
        Span { first, last }
    }

    const OLD: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const NEW: &str = "Mon, 07 Nov 1994 08:49:37 GMT";

    #[test]
    fn content_range_as_section_14_4_writes_it() {
        for (value, expected) in [
            ("bytes 0-4/10", Some((0, 4, 10))),
            ("Bytes 9-9/10", Some((9, 9, 10))),
            ("bytes 0-18446744073709551613/18446744073709551614", Some((0, u64::MAX - 2, u64::MAX - 1))),
            ("bytes 0-4/*", None),
            ("bytes */10", None),
            ("bytes 4-3/10", None),
            ("bytes 0-10/10", None),
            ("bytes 0-0/0", None),
            ("bytes 0-4/99999999999999999999", None),
            ("bytes -4/10", None),
            ("bytes 0-/10", None),
            ("bytes 0-4", None),
            ("bytes=0-4/10", None),
            ("bytes  0-4/10", None),
            ("bytes 0 -4/10", None),
            ("bytes +0-4/10", None),
            ("rows 0-4/10", None),
            ("", None),
        ] {
            let run = Run::parse(value.as_bytes());
            assert_eq!(run.map(|run| (run.span.first, run.span.last, run.total)), expected, "{value}");
            if let Some(run) = run {
                assert_eq!(Run::parse(&run.content_range()), Some(run), "{value}");
            }
        }
    }

    #[test]
    fn a_part_is_one_and_as_long_as_it_says() {
        let range = ("Content-Range", "bytes 4-9/10");
        for (name, head, content_length, is_part) in [
            ("as long as it says", vec![range], Some(6), true),
            ("of a length that comes to light later", vec![range], None, true),
            ("shorter", vec![range], Some(5), false),
            ("longer", vec![range], Some(7), false),
            ("two places", vec![range, range], Some(6), false),
            ("no place", vec![], Some(6), false),
            ("several parts", vec![range, ("Content-Type", "Multipart/Byteranges; boundary=x")], Some(6), false),
            ("another type", vec![range, ("Content-Type", "multipart/mixed")], Some(6), true),
        ] {
            assert_eq!(Run::of(&Fields::of(&head), content_length).is_some(), is_part, "{name}");
        }
    }

    #[test]
    fn what_is_missing() {
        let run = Run { span: span(10, 19), total: 30 };
        for (wanted, expected) in [
            (span(10, 19), Missing::Nothing),
            (span(12, 13), Missing::Nothing),
            (span(15, 24), Missing::After(span(20, 24))),
            (span(10, 29), Missing::After(span(20, 29))),
            (span(20, 20), Missing::After(span(20, 20))),
            (span(21, 21), Missing::Apart),
            (span(5, 12), Missing::Before(span(5, 9))),
            (span(0, 19), Missing::Before(span(0, 9))),
            (span(9, 9), Missing::Before(span(9, 9))),
            (span(8, 8), Missing::Apart),
            (span(0, 29), Missing::Apart),
            (span(9, 20), Missing::Apart),
        ] {
            assert_eq!(run.missing(&wanted), expected, "{wanted:?}");
        }
        let from_start = Run { span: span(0, 4), total: 10 };
        assert_eq!(from_start.missing(&span(0, 9)), Missing::After(span(5, 9)));
        assert!(!from_start.is_whole() && Run { span: span(0, 9), total: 10 }.is_whole());
    }

    #[test]
    fn a_part_within_what_was_asked() {
        let run = Run { span: span(4, 9), total: 10 };
        for (asked, is_within) in [
            (Requested::From { first: 4, last: None }, true),
            (Requested::From { first: 0, last: None }, true),
            (Requested::From { first: 5, last: None }, false),
            (Requested::From { first: 4, last: Some(8) }, false),
            (Requested::From { first: 10, last: None }, false),
            (Requested::Suffix { n_bytes: 6 }, true),
            (Requested::Suffix { n_bytes: 5 }, false),
            (Requested::Several, false),
        ] {
            assert_eq!(run.is_within(asked), is_within, "{asked:?}");
        }
    }

    #[test]
    fn only_strong_validators_make_one_whole() {
        let tag = |value| Fields::of(&[("ETag", value), ("Last-Modified", OLD), ("Date", NEW)]);
        let dated = |modified, date| Fields::of(&[("Last-Modified", modified), ("Date", date)]);
        for (name, held, new, expected) in [
            ("3.4 the same tag", tag("\"a\""), tag("\"a\""), true),
            ("another tag, the same date", tag("\"a\""), tag("\"b\""), false),
            ("weak tags, a strong date", tag("W/\"a\""), tag("W/\"a\""), false),
            ("a tag without quotes", tag("a"), tag("a"), false),
            ("the same date", dated(OLD, NEW), dated(OLD, NEW), true),
            ("another date", dated(OLD, NEW), dated(NEW, NEW), false),
            ("8.8.2.2 a date as young as the answer", dated(NEW, NEW), dated(NEW, NEW), false),
            ("8.8.2.2 nobody says when it was made", Fields::of(&[("Last-Modified", OLD)]), dated(OLD, NEW), false),
            ("a tag that the newer does not say again", tag("\"a\""), dated(OLD, NEW), false),
            ("two tags", Fields::of(&[("ETag", "\"a\""), ("ETag", "\"a\"")]), tag("\"a\""), false),
            ("a date that looks like a tag", dated("\"a\"", NEW), tag("\"a\""), false),
            ("none", Fields::new(), Fields::new(), false),
        ] {
            assert_eq!(are_of_one_whole(&held, &new), expected, "{name}");
            assert_eq!(are_of_one_whole(&new, &held), expected, "{name}, the other way round");
        }
    }

    #[test]
    fn the_newer_fields_replace_the_stored_ones() {
        let held = Fields::of(&[
            ("Cache-Control", "max-age=60"),
            ("A", "1"),
            ("A", "2"),
            ("B", "1"),
            ("Age", "7"),
            ("Content-Range", "bytes 0-4/10"),
            ("Content-Digest", "sha-256=:A:"),
            ("Repr-Digest", "sha-256=:A:"),
        ]);
        let new = Fields::of(&[("a", "3"), ("Content-Range", "bytes 5-9/10"), ("Content-Length", "5"), ("C", "1")]);
        let expected = Fields::of(&[
            ("Cache-Control", "max-age=60"),
            ("B", "1"),
            ("Repr-Digest", "sha-256=:A:"),
            ("a", "3"),
            ("C", "1"),
        ]);
        assert_eq!(combined_fields(&held, &new), expected);
    }

    #[test]
    fn the_key_of_a_part_is_another_one() {
        let whole = Key(0x0123_4567_89ab_cdef_0011_2233_4455_6677);
        assert_ne!(key(whole), whole);
        assert_ne!((key(whole).0 >> 64) as u64, (whole.0 >> 64) as u64);
        assert_eq!(key(key(whole)), whole);
    }
}
