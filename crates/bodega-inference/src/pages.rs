//! What people see of models in a browser: the list at `/models`, a page to try each in, and the OpenAPI document.
//!
//! The same as JSON for whoever does not ask for HTML. Pages are whole: they load nothing, and their policy names the digest
//! of the one script and the one sheet of styles that may be used.

use std::fmt::Write;
use std::sync::{Arc, LazyLock};

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bodega_edge::predict::{Answered, Asked, NotRendered, Question, Refused, Rendered, Row};
use bodega_semantics::Head;
use serde_json::{Value, json};

use crate::group::Group;
use crate::model::Model;
use crate::openapi;
use crate::problem::Problem;
use crate::signature::Port;

/// What stands before `/models` in a path, and behind it, if that is one of these pages.
pub(crate) fn place(path: &str) -> Option<(&str, &str)> {
    let (prefix, behind) = path
        .match_indices("/models")
        .map(|(at, mark)| (&path[..at], &path[at + mark.len()..]))
        .find(|(_, behind)| behind.is_empty() || behind.starts_with('/'))?;
    let segments: Vec<&str> = behind.split('/').filter(|segment| !segment.is_empty()).collect();
    // Two slashes before a name mean another host where they stand in a link.
    if prefix.starts_with("//") || matches!(segments.as_slice(), [.., "predict" | "batch_predict"]) {
        return None;
    }
    matches!(segments.as_slice(), [] | [_] | [_, "versions", _]).then_some((prefix, behind))
}

/// Reads a request for one of them.
pub(crate) fn read(group: &Group, asked: &Asked<'_>, place: (&str, &str)) -> Result<Box<dyn Question>, Refused> {
    page(group, asked, place).map(|page| Box::new(page) as Box<dyn Question>).map_err(|problem| problem.refused())
}

fn page(group: &Group, asked: &Asked<'_>, (prefix, behind): (&str, &str)) -> Result<Page, Problem> {
    if !matches!(asked.method, "GET" | "HEAD") {
        let message = format!("{} is not for {}: GET, or POST to NAME/predict", asked.method, asked.path);
        return Err(Problem::new(405, "", message).allowing("GET"));
    }
    let segments: Vec<&str> = behind.split('/').filter(|segment| !segment.is_empty()).collect();
    let (json, html): (Value, &dyn Fn() -> String) = match segments.as_slice() {
        [] => {
            let models = group.defaults().map(|model| about(group, model)).collect::<Vec<_>>();
            (json!({ "models": models }), &|| list(group, prefix))
        }
        ["openapi.json"] => return Ok(Page::json(&openapi::document(group, prefix))),
        [name, rest @ ..] => {
            let model = group.find(name, rest.get(1).copied())?;
            (about(group, model), &|| trial(group, model, prefix))
        }
    };
    Ok(if wants_html(&asked.fields) { Page::html(html()) } else { Page::json(&json) })
}

/// Whether HTML is named, and JSON is not before it.
fn wants_html<H: Head>(fields: &H) -> bool {
    let accepted: Vec<String> =
        fields.all("accept").map(|line| String::from_utf8_lossy(line).to_ascii_lowercase()).collect();
    let accepted = accepted.join(",");
    let at = |kind: &str| accepted.find(kind).unwrap_or(usize::MAX);
    at("text/html") < at("application/json")
}

fn about(group: &Group, model: &Model) -> Value {
    let ports = |ports: &[Port]| -> Vec<Value> {
        ports.iter().map(|port| json!({ "name": port.name, "type": port.element.name(), "shape": port.row })).collect()
    };
    let mut about = json!({
        "name": model.name(),
        "version": model.version(),
        "versions": group.versions(model.name()),
        "inputs": ports(&model.signature.inputs),
        "outputs": ports(&model.signature.outputs),
    });
    if !model.signature.left_out.is_empty() {
        about["left_out"] = model.signature.left_out.clone().into();
    }
    about
}

fn list(group: &Group, prefix: &str) -> String {
    let prefix = escaped(prefix);
    let mut items = String::new();
    for model in group.defaults() {
        let (name, takes, gives) =
            (escaped(model.name()), ports(&model.signature.inputs), ports(&model.signature.outputs));
        let versions = escaped(&group.versions(model.name()).join(", "));
        // Writing into memory cannot fail.
        let _ = write!(
            items,
            "<li><a href=\"{prefix}/models/{name}\">{name}</a> <span class=\"quiet\">{versions}</span><br>{takes} to {gives}</li>"
        );
    }
    let main = format!(
        "<h1>Models</h1><ul class=\"models\">{items}</ul>\
         <p class=\"quiet\"><a href=\"{prefix}/models/openapi.json\">OpenAPI</a></p>"
    );
    document("Models", &main, None)
}

fn ports(ports: &[Port]) -> String {
    let written: Vec<String> = ports.iter().map(|port| format!("{} {port}", port.name)).collect();
    format!("<code>{}</code>", escaped(&written.join(", ")))
}

fn trial(group: &Group, model: &Arc<Model>, prefix: &str) -> String {
    let mut told = about(group, model);
    told["example"] = openapi::example(model);
    told["is_default"] = group.find(model.name(), None).is_ok_and(|default| Arc::ptr_eq(default, model)).into();
    let (name, version) = (escaped(model.name()), escaped(model.version()));
    let left_out = match model.signature.left_out.as_slice() {
        [] => String::new(),
        left_out => format!("<p class=\"quiet\">Left out, being no tensors: {}</p>", escaped(&left_out.join(", "))),
    };
    let main = format!(
        "<p class=\"quiet\"><a href=\"{prefix}/models\">Models</a></p>\
         <h1>{name} <span class=\"quiet\">{version}</span></h1>\
         <p>{takes} to {gives}</p>{left_out}\
         <form id=\"form\"><div id=\"inputs\"></div>\
         <p><button id=\"predict\">Predict</button> <button type=\"button\" id=\"example\">Example</button></p></form>\
         <section aria-labelledby=\"answer-title\"><h2 id=\"answer-title\">Answer</h2>\
         <div id=\"answer\" role=\"status\" aria-live=\"polite\"><p class=\"quiet\">None yet.</p></div></section>\
         <section aria-labelledby=\"curl-title\"><h2 id=\"curl-title\">The same by curl</h2>\
         <pre><code id=\"curl\" tabindex=\"0\"></code></pre>\
         <button type=\"button\" id=\"copy\">Copy</button></section>\
         <noscript><p>This form needs scripts; <code>curl</code> does not: POST {{\"features\": ...}} to <code>{prefix}/models/{name}/predict</code>.</p></noscript>",
        prefix = escaped(prefix),
        takes = ports(&model.signature.inputs),
        gives = ports(&model.signature.outputs),
    );
    document(model.name(), &main, Some(&told))
}

fn document(title: &str, main: &str, told: Option<&Value>) -> String {
    let script = told.map(|told| {
        // Nothing of it can end the element that it stands in.
        let told = told.to_string().replace('<', "\\u003c");
        format!("<script type=\"application/json\" id=\"model\">{told}</script><script>{SCRIPT}</script>")
    });
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\"><link rel=\"icon\" href=\"data:,\">\
         <title>{} - bodega</title><style>{STYLES}</style></head><body><main>{main}</main>{}</body></html>",
        escaped(title),
        script.unwrap_or_default(),
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}

/// A page, or the same as JSON.
struct Page {
    content_type: &'static str,
    body: String,
    is_html: bool,
}

impl Page {
    fn json(value: &Value) -> Self {
        Self { content_type: "application/json", body: format!("{value}\n"), is_html: false }
    }

    fn html(body: String) -> Self {
        Self { content_type: "text/html; charset=utf-8", body, is_html: true }
    }
}

impl Question for Page {
    fn rows(&self) -> &[Row] {
        &[]
    }

    fn render(&self, _: &[Answered<'_>]) -> Result<Rendered, NotRendered> {
        let mut rendered = Rendered::new(self.content_type, self.body.clone().into());
        rendered.fields = vec![("Cache-Control", "no-cache".to_owned()), ("Vary", "Accept".to_owned())];
        rendered.fields.push(("X-Content-Type-Options", "nosniff".to_owned()));
        if self.is_html {
            rendered.fields.push(("Content-Security-Policy", POLICY.clone()));
            rendered.fields.push(("Referrer-Policy", "no-referrer".to_owned()));
        }
        Ok(rendered)
    }

    fn render_failure(&self, status: u16, what: &str, _: Option<usize>) -> Rendered {
        Problem::new(status, "", what).refused().told
    }
}

/// What a page may do: run this script, look like this, and ask where it came from.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let named = |text: &str| format!("'sha256-{}'", STANDARD.encode(digest(&SHA256, text.as_bytes())));
    format!(
        "default-src 'none'; script-src {}; style-src {}; img-src data:; connect-src 'self'; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'",
        named(SCRIPT),
        named(STYLES)
    )
});

const SCRIPT: &str = include_str!("pages/try.js");
const STYLES: &str = include_str!("pages/try.css");

#[cfg(test)]
mod tests {
    use bodega_semantics::Fields;

    use super::*;

    #[test]
    fn which_paths_are_pages() {
        for (path, expected) in [
            ("/models", Some(("", ""))),
            ("/models/", Some(("", "/"))),
            ("/models/openapi.json", Some(("", "/openapi.json"))),
            ("/models/fraud", Some(("", "/fraud"))),
            ("/ml/models/fraud/versions/v1", Some(("/ml", "/fraud/versions/v1"))),
            ("/models/predict", None),
            ("//elsewhere.example.com/models/fraud", None),
            ("/models/fraud/predict", None),
            ("/models/fraud/versions/v1/predict", None),
            ("/modelsfraud", None),
            ("/predict", None),
        ] {
            assert_eq!(place(path), expected, "{path}");
        }
    }

    #[test]
    fn a_browser_gets_a_page_and_others_json() {
        for (accept, expected) in [
            (None, false),
            (Some("*/*"), false),
            (Some("application/json"), false),
            (Some("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"), true),
            (Some("application/json, text/html"), false),
        ] {
            let mut fields = Fields::new();
            accept.iter().for_each(|accept| fields.push("Accept", accept.as_bytes()));
            assert_eq!(wants_html(&fields), expected, "{accept:?}");
        }
    }

    #[test]
    fn nothing_that_is_told_ends_an_element() {
        let page = document("</title>", "", Some(&json!({ "name": "</script><script>alert(1)</script>" })));
        assert!(!page.contains("</script><script>alert") && !page.contains("</title></title>"));
        assert_eq!(escaped("<a href=\"'&"), "&lt;a href=&quot;&#39;&amp;");
        assert!(!SCRIPT.contains("</script") && !STYLES.contains("</style"));
    }
}
