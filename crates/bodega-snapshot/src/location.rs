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
    /// When a brace opens something that is no placeholder.
    pub fn new(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(open) = rest.find('{') {
            let close = rest[open..].find('}').map(|at| open + at).ok_or("a `{` without `}`")?;
            if open > 0 {
                parts.push(Part::Text(rest[..open].to_owned()));
            }
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
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
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
        // A target that begins with two slashes would be another host's (`//evil.example`).
        if matches!(self.0.first(), Some(Part::Path)) && target.starts_with("//") {
            return format!("/{}", target.trim_start_matches('/'));
        }
        target
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_filled_and_paths_stay_paths() {
        let location = Location::new("https://{host}{path}{query}").unwrap();
        assert_eq!(location.render("a.example", "/x", Some("q=1")), "https://a.example/x?q=1");
        assert_eq!(location.render("a.example", "/x", None), "https://a.example/x");
        assert_eq!(Location::new("{path}").unwrap().render("a", "//evil.example/x", None), "/evil.example/x");
        assert!(Location::new("/{who}").unwrap_err().contains("{host}"));
        assert!(Location::new("/{").is_err());
    }
}
