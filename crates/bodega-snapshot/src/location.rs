//! The target of a configured redirect: a text with the placeholders `{host}`, `{path}` and `{query}`.

/// A compiled target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Host,
    Path,
    Query,
}

impl Location {
    /// Compiles a target.
    ///
    /// # Errors
    /// When it leads nowhere, or a brace belongs to no placeholder.
    pub fn new(text: &str) -> Result<Self, String> {
        if !["/", "http://", "https://", "{path}"].iter().any(|start| text.starts_with(start)) {
            return Err(format!("{text:?} is no place to go: begin with `https://`, `http://` or `/`"));
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(format!("{text:?} may hold only visible ASCII: percent-encode what is not"));
        }
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(open) = rest.find('{') {
            let close = rest[open..].find('}').map(|at| open + at).ok_or("a `{` without `}`")?;
            parts.push(Part::Text(checked(&rest[..open])?));
            parts.push(match &rest[open + 1..close] {
                "host" => Part::Host,
                "path" => Part::Path,
                "query" => Part::Query,
                other => {
                    return Err(format!("unknown placeholder {{{other}}}: there are {{host}}, {{path}} and {{query}}"));
                }
            });
            rest = &rest[close + 1..];
        }
        parts.push(Part::Text(checked(rest)?));
        parts.retain(|part| *part != Part::Text(String::new()));
        Ok(Self(parts))
    }

    /// The target for a request. `{query}` brings its own `?`.
    #[must_use]
    pub fn render(&self, host: &str, path: &str, query: Option<&str>) -> String {
        let mut target = String::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => target.push_str(text),
                Part::Host => target.push_str(host),
                Part::Path => target.push_str(path),
                Part::Query => {
                    if let Some(query) = query {
                        target.push('?');
                        target.push_str(query);
                    }
                }
            }
        }
        // What a request brings must not be able to end the line: the edge checks heads, and this is the last place.
        target.retain(|character| !character.is_ascii_control());
        if self.stays_on_host() && target.get(1..).is_some_and(|rest| rest.starts_with(['/', '\\'])) {
            // Two slashes would begin another host's name (`//evil.example`), and browsers read `\` as one.
            return format!("/{}", target.trim_start_matches(['/', '\\']));
        }
        target
    }

    /// Whether the configuration names a path and no host.
    fn stays_on_host(&self) -> bool {
        match self.0.first() {
            Some(Part::Text(text)) => text.starts_with('/') && !text.starts_with("//"),
            Some(Part::Path) => true,
            _ => false,
        }
    }
}

/// The text between placeholders.
fn checked(text: &str) -> Result<String, String> {
    if text.contains('}') {
        return Err("a `}` without `{`: percent-encode braces as %7B and %7D".to_owned());
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_filled_and_paths_stay_paths() {
        let location = Location::new("https://{host}{path}{query}").unwrap();
        assert_eq!(location.render("a.example", "/x", Some("q=1")), "https://a.example/x?q=1");
        assert_eq!(location.render("a.example", "/x", None), "https://a.example/x");
        assert_eq!(location.render("a.example", "/x", Some("")), "https://a.example/x?");
    }

    #[test]
    fn a_target_without_host_never_leads_to_another_one() {
        for (text, path, target) in [
            ("{path}", "/x", "/x"),
            ("{path}", "//evil.example/x", "/evil.example/x"),
            ("{path}", "/\\evil.example", "/evil.example"),
            ("/{path}", "/evil.example", "/evil.example"),
            ("/{path}{path}", "/\\/evil.example", "/evil.example/\\/evil.example"),
            ("{path}", "/\t/evil.example", "/evil.example"),
            ("{path}", "*", "*"),
            ("{path}", "", ""),
            ("//other.example{path}", "/x", "//other.example/x"),
            ("https://a.example{path}", "//x", "https://a.example//x"),
        ] {
            assert_eq!(Location::new(text).unwrap().render("a", path, None), target, "{text} {path:?}");
        }
    }

    #[test]
    fn a_request_cannot_end_the_line() {
        let target = Location::new("https://{host}{path}{query}").unwrap().render("a\r\nb", "/\r\nx: y", Some("\n\0"));
        assert_eq!(target, "https://ab/x: y?");
    }

    #[test]
    fn what_leads_nowhere_is_refused() {
        for (text, message) in [
            ("/{who}", "{host}"),
            ("/{", "without `}`"),
            ("/a}", "without `{`"),
            ("{path}}", "without `{`"),
            ("", "no place to go"),
            ("www.example.com", "no place to go"),
            ("{host}/x", "no place to go"),
            ("javascript:alert(1)", "no place to go"),
            ("/a b", "visible ASCII"),
            ("/\r\nx: y", "visible ASCII"),
        ] {
            let error = Location::new(text).unwrap_err();
            assert!(error.contains(message), "{text:?}: {error}");
        }
    }
}
