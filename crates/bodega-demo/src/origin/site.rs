//! Which file a path names, and what a careful web site would say about keeping it.

use std::path::{Component, Path, PathBuf};

use percent_encoding::percent_decode_str;

/// What lies at a path.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// A file; for a path that ends in `/`, the `index.html` in it.
    File(PathBuf),
    /// A directory asked for without its last slash.
    Directory,
    /// Nothing, or a path that leaves the site.
    Nothing,
}

/// Finds what `path` (still percent-encoded) names under `root`.
pub(super) async fn find(root: &Path, path: &str) -> Found {
    let Some(mut file) = resolve(root, path) else {
        return Found::Nothing;
    };
    if path.ends_with('/') {
        file.push("index.html");
    }
    match tokio::fs::metadata(&file).await {
        Ok(metadata) if metadata.is_file() => Found::File(file),
        Ok(metadata) if metadata.is_dir() && !path.ends_with('/') => Found::Directory,
        _ => Found::Nothing,
    }
}

/// What the site says about keeping the answer at `path`; `None` is an answer that says nothing, of which every real
/// site has some.
pub(super) fn cache_control(path: &str) -> Option<&'static str> {
    let name = path.rsplit('/').next().unwrap_or_default();
    if path.starts_with("/today/") {
        Some("max-age=2, stale-if-error=600")
    } else if has_hash(name) {
        Some("public, max-age=31536000, immutable")
    } else if name.is_empty() || name.ends_with(".html") {
        Some("max-age=60, stale-if-error=600")
    } else {
        None
    }
}

fn resolve(root: &Path, path: &str) -> Option<PathBuf> {
    let decoded = percent_decode_str(path.strip_prefix('/')?).decode_utf8().ok()?;
    let relative = Path::new(decoded.as_ref());
    let stays = relative.components().all(|component| matches!(component, Component::Normal(_)));
    let is_hidden = decoded.split('/').any(|segment| segment.starts_with('.'));
    (stays && !is_hidden && !decoded.contains('\0')).then(|| root.join(relative))
}

/// `site.1a2b3c4d.css`: the name changes whenever the content does.
fn has_hash(name: &str) -> bool {
    let mut parts = name.rsplit('.').skip(1);
    parts.next().is_some_and(|part| part.len() >= 8 && part.bytes().all(|byte| byte.is_ascii_hexdigit()))
        && parts.next().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_of_files_say_different_things_about_keeping_them() {
        let rows = [
            ("/", Some("max-age=60, stale-if-error=600")),
            ("/products/apples.html", Some("max-age=60, stale-if-error=600")),
            ("/assets/site.1a2b3c4d.css", Some("public, max-age=31536000, immutable")),
            ("/today/", Some("max-age=2, stale-if-error=600")),
            ("/assets/site.css", None),
            ("/deadbeef.css", None),
            ("/robots.txt", None),
        ];
        for (path, expected) in rows {
            assert_eq!(cache_control(path), expected, "{path}");
        }
    }

    #[test]
    fn a_path_cannot_leave_the_site() {
        let root = Path::new("/site");
        assert_eq!(resolve(root, "/a%20b/c.html"), Some(PathBuf::from("/site/a b/c.html")));
        for path in ["/../etc/passwd", "/%2e%2e/etc/passwd", "//etc/passwd", "/.git/config", "/a%00b", "relative"] {
            assert_eq!(resolve(root, path), None, "{path}");
        }
    }
}
