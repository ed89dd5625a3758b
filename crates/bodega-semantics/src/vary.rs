//! `Vary`: by which request fields answers under one key differ. RFC 9110 section 12.5.5, RFC 9111 section 4.1.
//!
//! Values that mean the same are made the same: spaces and case, and for `Accept-Encoding` and `Accept-Language`
//! the order of members.

use std::borrow::Cow;

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

/// The key of the variant that answers `request`.
pub fn variant<H: Head + ?Sized>(secret: &KeySecret, primary: Key, names: &[String], request: &H) -> Key {
    key::extend(secret, primary, names.iter().map(|name| normalized(name, request)))
}

/// The value of a field in the form in which variants are compared. Absent differs from empty.
fn normalized<'h, H: Head + ?Sized>(name: &str, request: &'h H) -> Option<Cow<'h, [u8]>> {
    if !request.has(name) {
        return None;
    }
    let negotiates = matches!(name, "accept-encoding" | "accept-language");
    let mut members: Vec<Vec<u8>> = Vec::new();
    for field in request.fields().filter(|field| field.name.eq_ignore_ascii_case(name)) {
        for member in list_members(std::iter::once(field.value)) {
            let member: Vec<u8> = if negotiates {
                let tight: Vec<u8> = member.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
                tight.to_ascii_lowercase()
            } else {
                member.to_vec()
            };
            members.push(member);
        }
    }
    if negotiates {
        // The quality says the preference, not the place in the list.
        members.sort_unstable();
        members.dedup();
    }
    Some(Cow::Owned(members.join(&b","[..])))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::Fields;

    fn fields(lines: &[(&str, &str)]) -> Fields {
        let mut fields = Fields::new();
        for (name, value) in lines {
            fields.push(name, value.as_bytes());
        }
        fields
    }

    #[test]
    fn a_star_anywhere_is_a_star() {
        assert_eq!(parse(&fields(&[("Vary", "Accept"), ("Vary", "x, *")])), Vary::Star);
        assert_eq!(parse(&fields(&[("Vary", "B, a , b")])), Vary::Names(vec!["a".into(), "b".into()]));
        assert_eq!(parse(&fields(&[("Vary", " , ")])), Vary::None);
    }

    #[test]
    fn values_that_mean_the_same_are_one_variant() {
        let names = vec!["accept-encoding".to_owned(), "x".to_owned()];
        let of = |lines: &[(&str, &str)]| variant(&KeySecret([3; 16]), Key(1), &names, &fields(lines));
        assert_eq!(of(&[("Accept-Encoding", "gzip, br")]), of(&[("accept-encoding", "BR,gzip")]));
        assert_eq!(of(&[("X", "a,  b")]), of(&[("X", "a"), ("X", "b")]));
        assert_ne!(of(&[("X", "a, b")]), of(&[("X", "b, a")]));
        assert_ne!(of(&[]), of(&[("X", "")]));
        assert_ne!(of(&[("Accept-Encoding", "gzip")]), of(&[("Accept-Encoding", "gzip;q=0")]));
    }
}
