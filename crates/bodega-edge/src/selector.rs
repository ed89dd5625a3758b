//! Selectors: the words by which people and programs name what is to be forgotten. Alike wherever one is typed.

use std::fmt;

use bodega_semantics::key;
use bodega_semantics::path::{self, Paths};

/// What is to be forgotten.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selector {
    /// `all`: everything.
    All,
    /// `https://host/path`: with a query exactly that one, without a query the path with every query. The scheme does
    /// not matter.
    Url {
        /// The host, lower case, without port.
        host: String,
        /// The path.
        path: String,
        /// The query, if the URL has one.
        query: Option<String>,
    },
    /// `prefix:https://host/folder/`: what begins so.
    Prefix {
        /// The host, lower case, without port.
        host: String,
        /// The path in its normal form.
        path: String,
    },
    /// `glob:host/path`: `*` is any run of characters, `?` one.
    Glob(String),
    /// `tag:NAME`: what carries the tag; with `*` those that match.
    Tag(String),
    /// `model:NAME`: all answers of a model, of whichever version.
    Model(String),
    /// `distribution:NAME`: everything of a distribution.
    Distribution(String),
}

/// A selector that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelectorError(String);

impl fmt::Display for SelectorError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for SelectorError {}

/// The longest pattern, and the longest run in it that holds `?`, which is searched for at every place.
const MAX_PATTERN_BYTES: usize = 1024;
const MAX_MARKED_RUN_BYTES: usize = 64;
/// The longest tag an answer can carry.
const MAX_TAG_BYTES: usize = 256;

impl Selector {
    /// Reads a selector.
    ///
    /// # Errors
    /// When it is none; the message says what would be right.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        if text == "all" {
            return Ok(Self::All);
        }
        match text.split_once(':') {
            Some(("http" | "https", rest)) if rest.starts_with("//") => parse_url(text),
            Some(("prefix", url)) => parse_prefix(text, url),
            Some(("glob", pattern)) => parse_glob(text, pattern),
            Some(("tag", tag)) => parse_tag(text, tag).map(Self::Tag),
            Some(("model", name)) => parse_tag(text, name).map(Self::Model),
            Some(("distribution", name)) if !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic()) => {
                Ok(Self::Distribution(name.to_owned()))
            }
            _ => Err(SelectorError(format!(
                "selector {text:?} is neither `all` nor a URL such as `https://shop.example.com/images/a.webp`, and \
                 begins with none of `tag:`, `prefix:`, `glob:`, `model:` and `distribution:`"
            ))),
        }
    }
}

fn parse_url(text: &str) -> Result<Selector, SelectorError> {
    let (host, path, query) = take_apart(text, text)?;
    Ok(Selector::Url { host, path: path.to_owned(), query: query.map(ToOwned::to_owned) })
}

fn parse_prefix(text: &str, url: &str) -> Result<Selector, SelectorError> {
    if !url.starts_with("http://") && !url.starts_with("https://") {
        return wrong(text, "write a URL behind `prefix:`, such as `prefix:https://shop.example.com/images/`");
    }
    let (host, path, query) = take_apart(text, url)?;
    if query.is_some() {
        return wrong(text, "a prefix has no query: it reaches every query of the paths below it");
    }
    if path.len() > MAX_PATTERN_BYTES {
        return wrong(text, &format!("a prefix has at most {MAX_PATTERN_BYTES} bytes"));
    }
    match Paths::of(path) {
        Some(paths) => Ok(Selector::Prefix { host, path: paths.normal.into_owned() }),
        None => wrong(text, "no path begins so: `%` begins an escape such as %2B, and segments are not `.` or `..`"),
    }
}

fn parse_glob(text: &str, pattern: &str) -> Result<Selector, SelectorError> {
    let pattern = pattern.strip_prefix("https://").or_else(|| pattern.strip_prefix("http://")).unwrap_or(pattern);
    if pattern.is_empty() || pattern.starts_with('/') {
        return wrong(
            text,
            "a pattern begins with the host: `glob:shop.example.com/*.webp`, or `glob:*/a` for every host",
        );
    }
    if !pattern.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#') {
        return wrong(text, "it matches nothing: percent-encode all but visible ASCII, and `#`");
    }
    if pattern.len() > MAX_PATTERN_BYTES {
        return wrong(text, &format!("a pattern has at most {MAX_PATTERN_BYTES} bytes"));
    }
    check_runs(text, pattern)?;
    let (host, path) = pattern.split_at(pattern.find('/').unwrap_or(pattern.len()));
    if path::pattern_form(path).is_none() {
        return wrong(text, "`%` begins an escape such as %2B; `%` itself is %25");
    }
    Ok(Selector::Glob(host.to_ascii_lowercase() + &path::normal_form(path)))
}

fn parse_tag(text: &str, tag: &str) -> Result<String, SelectorError> {
    if tag.is_empty() || tag.len() > MAX_TAG_BYTES {
        return wrong(text, &format!("a tag has 1 to {MAX_TAG_BYTES} characters"));
    }
    if !tag.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',') {
        return wrong(text, "a tag is visible ASCII without spaces and commas");
    }
    if tag.contains('*') {
        check_runs(text, tag)?;
    }
    Ok(tag.to_owned())
}

fn check_runs(text: &str, pattern: &str) -> Result<(), SelectorError> {
    if pattern.split('*').any(|run| run.contains('?') && run.len() > MAX_MARKED_RUN_BYTES) {
        let most = format!("what stands between two `*` and holds `?` may have {MAX_MARKED_RUN_BYTES} characters");
        return wrong(text, &most);
    }
    Ok(())
}

/// Host, path and query of `url`.
fn take_apart<'u>(text: &str, url: &'u str) -> Result<(String, &'u str, Option<&'u str>), SelectorError> {
    let rest = url.split_once("://").map_or("", |(_, rest)| rest).split('#').next().unwrap_or_default();
    let (authority, target) = rest.find(['/', '?']).map_or((rest, "/"), |at| rest.split_at(at));
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    let host = key::normalize_host(authority).into_owned();
    // A port or a dot alone is no host either: nothing would be forgotten, and nobody told.
    if host.is_empty() {
        return wrong(text, "names no host");
    }
    Ok((host, if path.is_empty() { "/" } else { path }, query))
}

fn wrong<T>(text: &str, what: &str) -> Result<T, SelectorError> {
    let join = if what.starts_with("names") { " " } else { ": " };
    Err(SelectorError(format!("selector {text:?}{join}{what}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_read() {
        for (text, expected) in [
            ("all", Selector::All),
            ("prefix:https://Shop.test:8443/img/", Selector::Prefix { host: "shop.test".into(), path: "/img/".into() }),
            ("prefix:http://shop.test", Selector::Prefix { host: "shop.test".into(), path: "/".into() }),
            ("prefix:https://shop.test/a%7e", Selector::Prefix { host: "shop.test".into(), path: "/a~".into() }),
            ("glob:https://Shop.test/*/A.webp", Selector::Glob("shop.test/*/A.webp".into())),
            ("glob:*.webp", Selector::Glob("*.webp".into())),
            ("tag:user:123:*", Selector::Tag("user:123:*".into())),
            ("tag:all", Selector::Tag("all".into())),
            ("model:fraud", Selector::Model("fraud".into())),
            ("distribution:shop", Selector::Distribution("shop".into())),
        ] {
            assert_eq!(Selector::parse(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_selects_nothing_is_told_and_how_it_would_be_right() {
        let long = format!("tag:{}", "a".repeat(257));
        let marked = format!("glob:h/*{}?*", "a".repeat(64));
        for (text, part) in [
            ("", "neither `all` nor a URL"),
            ("ALL", "neither"),
            ("/a", "neither"),
            ("http:/a", "neither"),
            ("distribution:", "neither"),
            ("prefix:/img/", "`prefix:https://shop"),
            ("prefix:https:///img/", "names no host"),
            ("prefix:https://h/a?b", "no query"),
            ("prefix:https://h/%zz", "%2B"),
            ("glob:", "begins with the host"),
            ("glob:/a/*", "begins with the host"),
            ("glob:h/a b", "percent-encode"),
            ("glob:h/%", "%25"),
            (&marked, "64 characters"),
            ("tag:", "1 to 256"),
            (&long, "1 to 256"),
            ("tag:a b", "visible ASCII"),
            ("tag:a,b", "commas"),
            ("model:", "1 to 256"),
        ] {
            let error = Selector::parse(text).expect_err(text).to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
