//! `Cache-Control` and its targeted relatives. RFC 9111 section 5.2, RFC 9213, RFC 5861, RFC 8246.
//!
//! Liberal where the wire is (quoted numbers, unknown directives, any case), strict where laxness could keep too
//! long: a number that cannot be read is 0, of duplicates the most restrictive counts.

use std::time::Duration;

use sfv::{BareItem, ListEntry};

use crate::fields::{Head, list_members};
use crate::structured;

/// RFC 9111 section 1.2.2: larger values count as this.
const MAX_DELTA_SECONDS: u64 = 1 << 31;

/// Fields that speak to this cache alone, the more particular first (RFC 9213 section 2.1).
pub const TARGETED: [&str; 2] = ["bodega-cache-control", "cdn-cache-control"];

/// A directive that may name fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Qualified {
    /// Not there.
    #[default]
    Absent,
    /// There, for the whole answer.
    Whole,
    /// There, for these fields (lower case).
    Fields(Vec<String>),
}

/// The directives of a request or an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CacheControl {
    /// `max-age`
    pub max_age: Option<Duration>,
    /// `s-maxage`
    pub s_maxage: Option<Duration>,
    /// `no-store`
    pub no_store: bool,
    /// `no-cache`, perhaps for fields
    pub no_cache: Qualified,
    /// `private`, perhaps for fields
    pub private: Qualified,
    /// `public`
    pub public: bool,
    /// `must-revalidate`
    pub must_revalidate: bool,
    /// `proxy-revalidate`
    pub proxy_revalidate: bool,
    /// `must-understand`
    pub must_understand: bool,
    /// `no-transform`
    pub no_transform: bool,
    /// `immutable` (RFC 8246)
    pub immutable: bool,
    /// `only-if-cached`
    pub only_if_cached: bool,
    /// `stale-while-revalidate` (RFC 5861)
    pub stale_while_revalidate: Option<Duration>,
    /// `stale-if-error` (RFC 5861)
    pub stale_if_error: Option<Duration>,
    /// `max-stale`: `Some(None)` is any staleness
    pub max_stale: Option<Option<Duration>>,
    /// `min-fresh`
    pub min_fresh: Option<Duration>,
}

/// Reads all lines of one `Cache-Control`.
pub fn parse<'a>(values: impl Iterator<Item = &'a [u8]> + 'a) -> CacheControl {
    let mut control = CacheControl::default();
    for member in list_members(values) {
        let (name, argument) = match member.iter().position(|&byte| byte == b'=') {
            Some(at) => (member[..at].trim_ascii(), Some(unquoted(member[at + 1..].trim_ascii()))),
            None => (member, None),
        };
        control.take(name, argument);
    }
    control
}

/// Reads a targeted field: a structured dictionary (RFC 9213 section 2.1). `None` if it is not there, is empty, or any
/// part of it does not parse; then it is as if it were absent.
pub fn parse_targeted<H: Head + ?Sized>(head: &H, name: &str) -> Option<CacheControl> {
    let members = structured::dictionary(head, name)?;
    let mut control = CacheControl::default();
    for (key, member) in &members {
        let key = key.as_str().as_bytes();
        // Parameters are for extensions, and none is known here.
        let value = match member {
            ListEntry::Item(item) => Some(&item.bare_item),
            ListEntry::InnerList(_) => None,
        };
        match value {
            Some(BareItem::Boolean(true)) => control.take(key, None),
            Some(BareItem::Boolean(false)) => {}
            Some(BareItem::Integer(seconds)) => control.take(key, Some(seconds.to_string().as_bytes())),
            // A number's key with something that is no number must not pass for a long life.
            _ if needs_number(key) => return None,
            Some(BareItem::String(text)) => control.take(key, Some(text.as_str().as_bytes())),
            Some(BareItem::Token(token)) => control.take(key, Some(token.as_str().as_bytes())),
            _ => control.take(key, None),
        }
    }
    (!members.is_empty()).then_some(control)
}

/// What a request says: its `Cache-Control`, or `Pragma: no-cache` where it has none (RFC 9111 section 5.4). `None` if it
/// says nothing about caching.
pub fn for_request<H: Head + ?Sized>(head: &H) -> Option<CacheControl> {
    if head.has("cache-control") {
        return Some(parse(head.all("cache-control"))).filter(|control| *control != CacheControl::default());
    }
    let is_no_cache = list_members(head.all("pragma")).any(|member| member.eq_ignore_ascii_case(b"no-cache"));
    is_no_cache.then(|| CacheControl { no_cache: Qualified::Whole, ..CacheControl::default() })
}

/// What an answer says to this cache: the first targeted field that parses, else `Cache-Control`; and whether it was
/// a targeted one, in which case `Expires` does not count either (RFC 9213 section 2.2).
pub fn for_response<H: Head + ?Sized>(head: &H) -> (CacheControl, bool) {
    for name in TARGETED {
        if let Some(control) = parse_targeted(head, name) {
            return (control, true);
        }
    }
    (parse(head.all("cache-control")), false)
}

impl CacheControl {
    /// Whether a field named `name` (lower case) is not to be kept with the rest of the answer.
    #[must_use]
    pub fn withholds(&self, name: &str) -> bool {
        [&self.private, &self.no_cache].iter().any(|qualified| match qualified {
            Qualified::Fields(names) => names.iter().any(|listed| listed == name),
            Qualified::Absent | Qualified::Whole => false,
        })
    }

    fn take(&mut self, name: &[u8], argument: Option<&[u8]>) {
        let is = |wanted: &str| name.eq_ignore_ascii_case(wanted.as_bytes());
        let seconds = || delta_seconds(argument.unwrap_or_default());
        if is("max-age") {
            self.max_age = Some(smaller(self.max_age, seconds()));
        } else if is("s-maxage") {
            self.s_maxage = Some(smaller(self.s_maxage, seconds()));
        } else if is("no-store") {
            self.no_store = true;
        } else if is("no-cache") {
            qualify(&mut self.no_cache, argument);
        } else if is("private") {
            qualify(&mut self.private, argument);
        } else if is("public") {
            self.public = true;
        } else if is("must-revalidate") {
            self.must_revalidate = true;
        } else if is("proxy-revalidate") {
            self.proxy_revalidate = true;
        } else if is("must-understand") {
            self.must_understand = true;
        } else if is("no-transform") {
            self.no_transform = true;
        } else if is("immutable") {
            self.immutable = true;
        } else if is("only-if-cached") {
            self.only_if_cached = true;
        } else if is("stale-while-revalidate") {
            self.stale_while_revalidate = Some(smaller(self.stale_while_revalidate, seconds()));
        } else if is("stale-if-error") {
            self.stale_if_error = Some(smaller(self.stale_if_error, seconds()));
        } else if is("max-stale") {
            let allowed = argument.map(delta_seconds);
            // Without a bound it allows more than with any.
            self.max_stale = Some(match (self.max_stale, allowed) {
                (Some(Some(held)), Some(new)) => Some(held.min(new)),
                (Some(Some(held)), None) => Some(held),
                (Some(None) | None, allowed) => allowed,
            });
        } else if is("min-fresh") {
            self.min_fresh = Some(self.min_fresh.unwrap_or_default().max(seconds()));
        }
    }
}

fn qualify(qualified: &mut Qualified, argument: Option<&[u8]>) {
    let names: Vec<String> = argument
        .map(|argument| {
            list_members(std::iter::once(argument))
                .map(|name| String::from_utf8_lossy(name).to_ascii_lowercase())
                .collect()
        })
        .unwrap_or_default();
    match (&mut *qualified, names.is_empty()) {
        (Qualified::Whole, _) => {}
        (_, true) => *qualified = Qualified::Whole,
        (Qualified::Fields(held), false) => held.extend(names),
        (Qualified::Absent, false) => *qualified = Qualified::Fields(names),
    }
}

fn smaller(held: Option<Duration>, new: Duration) -> Duration {
    held.map_or(new, |held| held.min(new))
}

/// RFC 9111 section 4.2.1: what cannot be read is stale; what overflows is very long.
fn delta_seconds(text: &[u8]) -> Duration {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return Duration::ZERO;
    }
    let seconds = text.iter().fold(0_u64, |sum, digit| {
        sum.saturating_mul(10).saturating_add(u64::from(digit - b'0')).min(MAX_DELTA_SECONDS)
    });
    Duration::from_secs(seconds)
}

fn unquoted(text: &[u8]) -> &[u8] {
    text.strip_prefix(b"\"").and_then(|text| text.strip_suffix(b"\"")).unwrap_or(text)
}

fn needs_number(key: &[u8]) -> bool {
    matches!(key, b"max-age" | b"s-maxage" | b"stale-while-revalidate" | b"stale-if-error")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::Fields;

    fn control(text: &str) -> CacheControl {
        parse(std::iter::once(text.as_bytes()))
    }

    #[test]
    fn numbers_are_read_as_rfc_9111_section_1_2_2_says() {
        for (text, seconds) in [
            ("max-age=60", 60),
            ("MAX-AGE=60", 60),
            ("max-age=\"60\"", 60),
            ("max-age=60, max-age=30", 30),
            ("max-age=-1", 0),
            ("max-age=1.5", 0),
            ("max-age=", 0),
            ("max-age", 0),
            ("max-age=99999999999999999999", 1 << 31),
        ] {
            assert_eq!(control(text).max_age, Some(Duration::from_secs(seconds)), "{text}");
        }
        assert_eq!(control("x-max-age=60").max_age, None);
    }

    #[test]
    fn qualified_directives_keep_their_fields_and_the_whole_wins() {
        assert_eq!(control("private").private, Qualified::Whole);
        assert_eq!(
            control("private=\"Set-Cookie, x\"").private,
            Qualified::Fields(vec!["set-cookie".into(), "x".into()])
        );
        for text in
            ["no-cache=\"a\", no-cache", "no-cache, no-cache=\"a\"", "no-cache=\"\"", "no-cache=", "no-cache=\",\""]
        {
            assert_eq!(control(text).no_cache, Qualified::Whole, "{text}");
        }
        let both = Qualified::Fields(vec!["a".into(), "b".into()]);
        assert_eq!(control("no-cache=\"a\", no-cache=b").no_cache, both);
    }

    #[test]
    fn max_stale_may_have_no_bound() {
        assert_eq!(control("max-stale").max_stale, Some(None));
        assert_eq!(control("max-stale=5").max_stale, Some(Some(Duration::from_secs(5))));
    }

    #[test]
    fn of_duplicates_the_most_restrictive_counts() {
        let seconds = Duration::from_secs;
        for text in
            ["max-stale=5, max-stale", "max-stale, max-stale=5", "max-stale=9, max-stale=5", "max-stale=5, max-stale=9"]
        {
            assert_eq!(control(text).max_stale, Some(Some(seconds(5))), "{text}");
        }
        assert_eq!(control("min-fresh=5, min-fresh=9, min-fresh=1").min_fresh, Some(seconds(9)));
        assert_eq!(control("s-maxage=5, s-maxage=9").s_maxage, Some(seconds(5)));
        assert_eq!(control("stale-if-error=9, stale-if-error=x").stale_if_error, Some(seconds(0)));
        assert_eq!(
            control("stale-while-revalidate=9, stale-while-revalidate=1").stale_while_revalidate,
            Some(seconds(1))
        );
    }

    #[test]
    fn every_directive_is_known_in_any_case() {
        let lines: [&[u8]; 2] = [
            b"No-Store, NO-CACHE, private, public, must-revalidate, proxy-revalidate",
            b"must-understand, no-transform, immutable, only-if-cached, extension=1",
        ];
        let expected = CacheControl {
            no_store: true,
            no_cache: Qualified::Whole,
            private: Qualified::Whole,
            public: true,
            must_revalidate: true,
            proxy_revalidate: true,
            must_understand: true,
            no_transform: true,
            immutable: true,
            only_if_cached: true,
            ..CacheControl::default()
        };
        assert_eq!(parse(lines.into_iter()), expected);
    }

    #[test]
    fn quotes_hide_what_they_enclose_and_nothing_if_they_do_not_close() {
        assert_eq!(control("extension=\"max-age=60, no-store\", max-age=1").max_age, Some(Duration::from_secs(1)));
        assert!(!control("extension=\"no-store\"").no_store);
        assert!(!control("extension=\"\\\", no-store\"").no_store);
        assert!(control("max-age=60, extension=\"x, no-store").no_store);
    }

    #[test]
    fn a_targeted_field_that_does_not_parse_is_as_if_absent() {
        let with = |name: &str, value: &str| {
            let mut fields = Fields::new();
            fields.push(name, value.as_bytes());
            fields.push("Cache-Control", b"max-age=1");
            for_response(&fields)
        };
        assert_eq!(with("CDN-Cache-Control", "max-age=60").0.max_age, Some(Duration::from_secs(60)));
        assert!(with("CDN-Cache-Control", "max-age=60").1);
        for bad in [
            "",
            "max-age=\"60\"",
            "MAX-AGE=60",
            "max-age=6x",
            "=1",
            "max-age=60, !",
            "max-age=60,",
            "max-age=6.5",
            "max-age =60",
        ] {
            let (control, targeted) = with("CDN-Cache-Control", bad);
            assert!(!targeted, "{bad}");
            assert_eq!(control.max_age, Some(Duration::from_secs(1)), "{bad}");
        }
        assert!(with("Bodega-Cache-Control", "no-store").0.no_store);
        assert!(!with("Bodega-Cache-Control", "no-store=?0").0.no_store);
        assert_eq!(
            with("CDN-Cache-Control", "max-age=60;x=\"a;b\", y=\"c,d\"").0.max_age,
            Some(Duration::from_secs(60))
        );
        assert_eq!(with("CDN-Cache-Control", "max-age=99999999999").0.max_age, Some(Duration::from_secs(1 << 31)));
        // An integer, but no lifetime: stale, like in `Cache-Control`.
        assert_eq!(with("CDN-Cache-Control", "max-age=-1").0.max_age, Some(Duration::ZERO));
        // RFC 9651 section 3.2: of equal keys the last.
        assert_eq!(with("CDN-Cache-Control", "max-age=60, max-age=90").0.max_age, Some(Duration::from_secs(90)));
        assert_eq!(
            with("CDN-Cache-Control", "private=\"a, B\"").0.private,
            Qualified::Fields(vec!["a".into(), "b".into()])
        );
        assert_eq!(with("CDN-Cache-Control", "no-cache=(a b)").0.no_cache, Qualified::Whole);
    }

    #[test]
    fn the_more_particular_targeted_field_goes_first_if_it_parses() {
        let of = |lines: &[(&str, &str)]| {
            let mut fields = Fields::new();
            for (name, value) in lines {
                fields.push(name, value.as_bytes());
            }
            for_response(&fields).0.max_age.map(|age| age.as_secs())
        };
        let lines =
            [("CDN-Cache-Control", "max-age=2"), ("Bodega-Cache-Control", "max-age=1"), ("Cache-Control", "max-age=3")];
        assert_eq!(of(&lines), Some(1));
        assert_eq!(of(&[lines[0], ("Bodega-Cache-Control", "?"), lines[2]]), Some(2));
        assert_eq!(of(&[("CDN-Cache-Control", "max-age=2"), ("CDN-Cache-Control", "public"), lines[2]]), Some(2));
        assert_eq!(of(&[("CDN-Cache-Control", "max-age=2"), ("CDN-Cache-Control", ""), lines[2]]), Some(3));
    }
}
