//! Web cache deception: a path that looks like a file of a kind, answered by a page.
//!
//! Somebody sends a victim to `/account/x.css`; the origin ignores the end and answers with the victim's account; a
//! cache that takes the name's word keeps it for the next who asks. So what the name promises and the answer's
//! `Content-Type` must not contradict each other. No word of the origin lifts this: servers add `public` by extension,
//! too. Pages under the name of a file are rare otherwise (a single-page application that answers everything with its
//! index), and are then only not stored.

use crate::fields::Head;
use crate::path::normal_form;

/// Whether an answer of this kind under this path contradicts what the path promises.
pub fn contradicts<H: Head + ?Sized>(path: &str, status: u16, answer: &H) -> bool {
    // Failures and redirects have pages for bodies under any name.
    (200..300).contains(&status)
        && extension(&normal_form(path))
            .is_some_and(|extension| STATIC.iter().any(|known| extension.eq_ignore_ascii_case(known)))
        && answer.all("content-type").any(is_made_for_somebody)
}

/// What stands behind the last dot of the path, where the last segment has one.
fn extension(path: &str) -> Option<&str> {
    let (rest, extension) = path.rsplit_once('.')?;
    (!extension.contains('/') && !rest.is_empty()).then_some(extension)
}

/// Types of pages and of data: what programs make on request. `application/octet-stream` and the like say nothing,
/// and stores of objects say it of everything.
fn is_made_for_somebody(content_type: &[u8]) -> bool {
    let essence = content_type.split(|&byte| matches!(byte, b';' | b',')).next().unwrap_or_default().trim_ascii();
    let ends_with =
        |end: &[u8]| essence.len() >= end.len() && essence[essence.len() - end.len()..].eq_ignore_ascii_case(end);
    MADE.iter().any(|made| essence.eq_ignore_ascii_case(made.as_bytes())) || ends_with(b"+json")
}

const MADE: [&str; 5] = ["text/html", "application/xhtml+xml", "application/json", "text/json", "multipart/mixed"];

/// Extensions of what lies in files and is neither a page nor data.
const STATIC: [&str; 48] = [
    // Styles and scripts.
    "css", "js", "mjs", "wasm", // Images.
    "apng", "avif", "bmp", "gif", "heic", "ico", "jfif", "jpeg", "jpg", "jxl", "png", "svg", "svgz", "tif", "tiff",
    "webp", // Fonts.
    "eot", "otf", "ttf", "woff", "woff2", // Sound and film.
    "aac", "flac", "m4a", "m4v", "mkv", "mov", "mp3", "mp4", "mpeg", "oga", "ogg", "ogv", "opus", "wav", "webm",
    // Documents and archives.
    "7z", "bz2", "gz", "pdf", "rar", "tar", "zip", "zst",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::Fields;

    #[test]
    fn a_page_under_the_name_of_a_file_is_a_contradiction() {
        for (path, status, content_type, expected) in [
            ("/account/x.css", 200, "text/html", true),
            ("/account/x.css", 200, "Text/HTML; charset=utf-8", true),
            ("/account/x.CSS", 203, "text/html", true),
            ("/account;x.css", 200, "text/html", true),
            ("/account%2Fx.css", 200, "text/html", true),
            ("/account%3Fx.css", 200, "text/html", true),
            ("/account/x%2ecs%73", 200, "text/html", true),
            ("/account/.css", 200, "text/html", true),
            ("/api/me/x.js", 200, "application/json", true),
            ("/api/me/x.png", 200, "application/problem+json", true),
            ("/a.tar.gz", 200, "text/html", true),
            ("/x.woff2", 206, "application/xhtml+xml", true),
            ("/x.css", 200, "text/html, text/css", true),
            // What the name promises, or what says nothing.
            ("/x.css", 200, "text/css", false),
            ("/x.js", 200, "text/javascript", false),
            ("/x.js", 200, "text/plain", false),
            ("/x.webp", 200, "application/octet-stream", false),
            ("/x.svg", 200, "image/svg+xml", false),
            ("/x.svg", 200, "", false),
            // No promise.
            ("/account", 200, "text/html", false),
            ("/", 200, "text/html", false),
            ("/index.html", 200, "text/html", false),
            ("/feed.xml", 200, "text/html", false),
            ("/data.json", 200, "application/json", false),
            ("/v1.css/x", 200, "text/html", false),
            ("/x.css.", 200, "text/html", false),
            ("*", 200, "text/html", false),
            // Pages that say why there is nothing else.
            ("/missing.css", 404, "text/html", false),
            ("/moved.css", 301, "text/html", false),
            ("/x.css", 503, "text/html", false),
        ] {
            let mut answer = Fields::new();
            answer.push("Content-Type", content_type.as_bytes());
            assert_eq!(contradicts(path, status, &answer), expected, "{path} {status} {content_type}");
        }
        assert!(!contradicts("/x.css", 200, &Fields::new()));
    }

    #[test]
    fn of_several_types_one_is_enough() {
        let mut answer = Fields::new();
        answer.push("Content-Type", b"text/css");
        answer.push("Content-Type", b"text/html");
        assert!(contradicts("/x.css", 200, &answer));
    }
}
