//! `Vary`: by which request fields answers under one key differ. RFC 9110 section 12.5.5, RFC 9111 section 4.1.
//!
//! Values that mean the same are made the same: spaces between members, and for `Accept-Encoding` and
//! `Accept-Language` also case, order and the ways to write a quality. Start at `parse` and `variant`.

use std::cmp::Ordering;
use std::hash::Hasher;

use siphasher::sip128::{Hasher128, SipHasher13};

use crate::fields::{Head, list_members};
use crate::key::{self, Key, KeySecret};

/// What an answer varies by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Vary {
    /// Nothing.
    None,
    /// Something no cache can compare.
    Star,
    /// These request fields, lower case, sorted.
    Names(Vec<String>),
}

/// Reads all lines of `Vary`.
pub fn parse<H: Head + ?Sized>(response: &H) -> Vary {
    let mut names = Vec::new();
    for member in list_members(response.all("vary")) {
        if member == b"*" {
            return Vary::Star;
        }
        names.push(String::from_utf8_lossy(member).to_ascii_lowercase());
    }
    names.sort_unstable();
    names.dedup();
    if names.is_empty() { Vary::None } else { Vary::Names(names) }
}

/// The key of the variant that answers `request`. The names are as `parse` gives them. Allocates nothing unless a
/// negotiating field has more members than anything sends.
///
/// The names are in it, too: an answer that varied by one field must not be found by the equal value of another, once
/// the origin has changed its mind.
pub fn variant<H: Head + ?Sized>(
    secret: &KeySecret,
    primary: Key,
    names: impl IntoIterator<Item = impl AsRef<str>>,
    request: &H,
) -> Key {
    let mut hasher = SipHasher13::new_with_key(&secret.0);
    hasher.write_u128(primary.0);
    for name in names {
        let name = name.as_ref();
        key::write(&mut hasher, name.as_bytes());
        // A mark before each member and one at the end; absent differs from empty.
        if request.has(name) {
            hasher.write_u8(1);
            match name {
                "accept-encoding" | "accept-language" => write_negotiation(&mut hasher, name, request),
                // No lists: what looks like a space between members may be part of a secret.
                "authorization" | "cookie" => write_all(&mut hasher, request.all(name)),
                _ => write_all(&mut hasher, list_members(request.all(name))),
            }
        }
        hasher.write_u8(0);
    }
    Key(hasher.finish128().as_u128())
}

fn write_all<'a>(hasher: &mut SipHasher13, values: impl Iterator<Item = &'a [u8]>) {
    for value in values {
        hasher.write_u8(1);
        key::write(hasher, value);
    }
}

/// Writes what a negotiating field asks for: the preference is in the quality, not in the place in the list (RFC 9110
/// section 12.5), and what is refused is as good as not listed unless `*` or `identity` would let it in (section 12.5.3).
fn write_negotiation<H: Head + ?Sized>(hasher: &mut SipHasher13, name: &str, request: &H) {
    let mut few = [Member::default(); MAX_FEW];
    let mut many = Vec::new();
    let mut n_few = 0;
    for member in list_members(request.all(name)).map(Member::read) {
        match few.get_mut(n_few) {
            Some(place) => {
                *place = member;
                n_few += 1;
            }
            None => many.push(member),
        }
    }
    let members = if many.is_empty() {
        &mut few[..n_few]
    } else {
        many.extend_from_slice(&few);
        &mut many[..]
    };
    members.sort_unstable_by(Member::compare);
    let lists_any = members.iter().any(|member| member.text == b"*");
    let mut previous: Option<&Member<'_>> = None;
    for member in members.iter() {
        let is_refusal = name == "accept-encoding"
            && member.thousandths == 0
            && !lists_any
            && !member.text.eq_ignore_ascii_case(b"identity");
        if is_refusal || previous.is_some_and(|previous| previous.compare(member).is_eq()) {
            continue;
        }
        previous = Some(member);
        hasher.write_u8(1);
        hasher.write_u16(member.thousandths);
        hasher.write_usize(member.text.len());
        for part in member.text.chunks(32) {
            let mut lower = [0_u8; 32];
            let lower = &mut lower[..part.len()];
            lower.copy_from_slice(part);
            lower.make_ascii_lowercase();
            hasher.write(lower);
        }
    }
}

/// The language that a request likes better than all others; `None` if it likes several equally, or any.
pub fn preferred_language<H: Head + ?Sized>(request: &H) -> Option<&[u8]> {
    let mut best: Option<Member<'_>> = None;
    let mut is_alone = false;
    for member in list_members(request.all("accept-language")).map(Member::read) {
        match best {
            Some(held) if held.thousandths > member.thousandths => {}
            Some(held) if held.thousandths == member.thousandths => is_alone = false,
            _ => (best, is_alone) = (Some(member), true),
        }
    }
    best.filter(|best| is_alone && best.thousandths > 0 && !matches!(best.text, b"" | b"*")).map(|best| best.text)
}

/// One of what a client would take.
#[derive(Clone, Copy, Default)]
struct Member<'a> {
    text: &'a [u8],
    /// The quality; 1000 if none is given.
    thousandths: u16,
}

impl<'a> Member<'a> {
    /// A member whose parameters are not just a quality is taken as a whole; its semicolon tells it from all others.
    fn read(member: &'a [u8]) -> Self {
        let whole = Self { text: member, thousandths: 1000 };
        let Some(at) = member.iter().position(|&byte| byte == b';') else { return whole };
        match quality(member[at + 1..].trim_ascii()) {
            Some(thousandths) => Self { text: member[..at].trim_ascii(), thousandths },
            None => whole,
        }
    }

    fn compare(&self, other: &Self) -> Ordering {
        let lower = |member: &Self| member.text.iter().map(u8::to_ascii_lowercase);
        lower(self).cmp(lower(other)).then(self.thousandths.cmp(&other.thousandths))
    }
}

/// RFC 9110 section 12.4.2: `0` or `1` with up to three decimals. More than 1 means nothing, but differs from 1.
fn quality(parameter: &[u8]) -> Option<u16> {
    let value = parameter.strip_prefix(b"q=").or_else(|| parameter.strip_prefix(b"Q="))?;
    let (whole, decimals) = match value {
        [whole @ (b'0' | b'1')] => (whole, &[][..]),
        [whole @ (b'0' | b'1'), b'.', decimals @ ..] if decimals.len() <= 3 => (whole, decimals),
        _ => return None,
    };
    let mut thousandths = u16::from(whole - b'0') * 1000;
    for (decimal, weight) in decimals.iter().zip([100, 10, 1]) {
        if !decimal.is_ascii_digit() {
            return None;
        }
        thousandths += u16::from(decimal - b'0') * weight;
    }
    Some(thousandths)
}

/// Browsers send about five.
const MAX_FEW: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::Fields;

    #[test]
    fn a_star_anywhere_is_a_star() {
        assert_eq!(parse(&Fields::of(&[("Vary", "Accept"), ("Vary", "x, *")])), Vary::Star);
        assert_eq!(parse(&Fields::of(&[("Vary", "B, a , b")])), Vary::Names(vec!["a".into(), "b".into()]));
        assert_eq!(parse(&Fields::of(&[("Vary", " , ")])), Vary::None);
    }

    #[test]
    fn values_that_mean_the_same_are_one_variant() {
        let names = vec!["accept-encoding".to_owned(), "x".to_owned()];
        let of = |lines: &[(&str, &str)]| variant(&KeySecret([3; 16]), Key(1), &names, &Fields::of(lines));
        assert_eq!(of(&[("Accept-Encoding", "gzip, br")]), of(&[("accept-encoding", "BR,gzip")]));
        assert_eq!(of(&[("X", "a,  b")]), of(&[("X", "a"), ("X", "b")]));
        assert_ne!(of(&[("X", "a, b")]), of(&[("X", "b, a")]));
        assert_ne!(of(&[]), of(&[("X", "")]));
        assert_ne!(of(&[("Accept-Encoding", "gzip")]), of(&[("Accept-Encoding", "gzip;q=0")]));
    }
    #[test]
    fn negotiations_that_mean_the_same_are_one_variant() {
        let of = |name: &str, value: &str| {
            variant(&KeySecret([3; 16]), Key(1), [name.to_ascii_lowercase()], &Fields::of(&[(name, value)]))
        };
        for (name, one, other, same) in [
            ("Accept-Encoding", "gzip;q=1.0, br", "br,gzip", true),
            ("Accept-Encoding", "gzip ; q=0.50", "GZIP;Q=0.5", true),
            ("Accept-Encoding", "gzip, gzip", "gzip", true),
            ("Accept-Encoding", "gzip, br;q=0", "gzip", true),
            ("Accept-Encoding", "gzip;q=0.000", "", true),
            ("Accept-Encoding", "gzip, br;q=0, *", "gzip, *", false),
            ("Accept-Encoding", "gzip, identity;q=0", "gzip", false),
            ("Accept-Encoding", "gzip, *;q=0", "gzip", false),
            ("Accept-Encoding", "gzip;q=0.5, br", "gzip, br;q=0.5", false),
            ("Accept-Encoding", "gzip;q=2", "gzip", false),
            ("Accept-Encoding", "gzip;q=1.001", "gzip", false),
            ("Accept-Encoding", "gzip;q=0.5555", "gzip;q=0.555", false),
            ("Accept-Encoding", "gzip;x=1", "gzip", false),
            ("Accept-Encoding", "gzipbr", "gzip, br", false),
            ("Accept-Language", "en-US,en;q=0.9", "EN-us , en; q=0.900", true),
            ("Accept-Language", "de, en", "en, de", true),
            ("Accept-Language", "de;q=0, en", "en", false),
            ("Accept-Language", "de;q=0.1, en", "de;q=0.2, en", false),
            ("Accept", "text/html, a/b", "text/html,a/b", true),
            ("Accept", "text/html;q=1.0", "text/html", false),
            ("Cookie", "a=1, 2", "a=1,2", false),
            ("Authorization", "Basic a,  b", "Basic a, b", false),
        ] {
            assert_eq!(of(name, one) == of(name, other), same, "{name}: {one} | {other}");
        }
    }

    #[test]
    fn the_preferred_language_is_the_one_with_the_highest_quality() {
        for (value, expected) in [
            ("fr;q=0.5, de;q=1.0", Some("de")),
            ("de", Some("de")),
            ("de-AT, de;q=0.9, *;q=0.1", Some("de-AT")),
            ("en, de", None),
            ("fr;q=0.5, en;q=0.7, de;q=0.7", None),
            ("*", None),
            ("de;q=0", None),
            (";q=0.5", None),
            ("", None),
        ] {
            let request = Fields::of(&[("Accept-Language", value)]);
            let found = preferred_language(&request).map(|language| String::from_utf8_lossy(language).into_owned());
            assert_eq!(found.as_deref(), expected, "{value}");
        }
    }

    #[test]
    fn a_member_cannot_pretend_to_be_two() {
        let of = |value: &[u8]| {
            let mut request = Fields::new();
            request.push("Accept-Encoding", value);
            variant(&KeySecret([3; 16]), Key(1), ["accept-encoding"], &request)
        };
        // The mark and the quality of a second member, as they are written between the two.
        let quality = 1000_u16.to_ne_bytes();
        assert_ne!(of(&[b'a', 1, quality[0], quality[1], b'b']), of(b"a, b"));
    }

    #[test]
    fn more_members_than_are_held_at_hand_are_compared_alike() {
        for n_members in [MAX_FEW - 1, MAX_FEW, MAX_FEW + 1, 3 * MAX_FEW] {
            let forwards: Vec<String> = (0..n_members).map(|number| format!("x-{number}")).collect();
            let backwards: Vec<String> = forwards.iter().rev().map(|member| member.to_uppercase()).collect();
            let of = |members: &[String]| {
                let request = Fields::of(&[("Accept-Encoding", &members.join(","))]);
                variant(&KeySecret([3; 16]), Key(1), ["accept-encoding"], &request)
            };
            assert_eq!(of(&forwards), of(&backwards), "{n_members}");
            assert_ne!(of(&forwards), of(&forwards[1..]), "{n_members}");
        }
    }

    #[test]
    fn variants_by_one_field_are_never_those_by_another() {
        // Only values were hashed: what was stored for `A: x` answered `B: x` once the origin varied by `B` instead.
        let request = Fields::of(&[("A", "x"), ("B", "x")]);
        let of = |names: &[&str]| variant(&KeySecret([3; 16]), Key(1), names, &request);
        assert_ne!(of(&["a"]), of(&["b"]));
        assert_ne!(of(&["a"]), of(&["a", "c"]));
        assert_ne!(of(&[]), of(&["c"]));
        let of = |primary| variant(&KeySecret([3; 16]), Key(primary), ["a"], &request);
        assert_ne!(of(1), of(2));
    }
}
