//! What a client asks a model, taken apart into rows, and put together again as an answer.

use std::sync::Arc;

use bodega_edge::predict::{Answered, Asked, NotRendered, Question, Refused, Rendered, Row};
use bytes::Bytes;
use smallvec::SmallVec;

use crate::coding;
use crate::features::{self, Form};
use crate::group::Group;
use crate::grpc;
use crate::kserve;
use crate::model::Model;
use crate::pages;
use crate::problem::Problem;
use crate::render;

/// A `/predict` or a `/batch_predict`.
pub(crate) struct Prediction {
    model: Arc<Model>,
    form: Form,
    rows: Rows,
}

/// Most ask for one.
type Rows = SmallVec<[Row; 1]>;

/// Reads a request for one of `group`.
pub(crate) fn read(group: &Group, asked: &Asked<'_>) -> Result<Box<dyn Question>, Refused> {
    if let Some(method) = grpc::method(asked.path) {
        return grpc::read(group, asked, method);
    }
    let path = asked.path.trim_end_matches('/');
    // What is named comes before `/v2` is looked for: a version may be called so.
    let model = match (named(path), kserve::endpoint(asked.path), pages::place(asked.path)) {
        (Some((name, version)), ..) => group.find(name, version),
        (None, Some(endpoint), _) => return kserve::read(group, asked, endpoint),
        (None, None, Some(place)) => return pages::read(group, asked, place),
        (None, None, None) if names_something(path) => Err(no_such_place(asked.path)),
        (None, None, None) => group.only(),
    };
    let model = model.map_err(|problem| problem.refused())?;
    let form = if path.ends_with("/batch_predict") { Form::Rows } else { Form::Row };
    rows(model, asked, form).map_err(|problem| problem.refused()).map(|rows| {
        let question = Prediction { model: Arc::clone(model), form, rows };
        Box::new(question) as Box<dyn Question>
    })
}

/// The model, and the version of it, that a path names: `/models/NAME[/versions/VERSION]/predict`.
fn named(path: &str) -> Option<(&str, Option<&str>)> {
    let path = path.strip_suffix("/predict").or_else(|| path.strip_suffix("/batch_predict"))?;
    let mut segments = path.rsplit('/');
    match (segments.next()?, segments.next()?, segments.next(), segments.next()) {
        (version, "versions", Some(name), Some("models")) => Some((name, Some(version))),
        (name, "models", ..) => Some((name, None)),
        _ => None,
    }
}

/// Whether something stands behind `/models` in a path, which is not for whatever model there is, then.
fn names_something(path: &str) -> bool {
    path.match_indices("/models/").any(|(at, mark)| {
        let behind = &path[at + mark.len()..];
        !behind.is_empty() && !matches!(behind, "predict" | "batch_predict")
    })
}

fn no_such_place(path: &str) -> Problem {
    let message = format!(
        "there is no {path} here: POST to /models/NAME/predict or /models/NAME/versions/VERSION/predict, or the same with batch_predict"
    );
    Problem::new(404, "", message)
}

fn rows(model: &Arc<Model>, asked: &Asked<'_>, form: Form) -> Result<Rows, Problem> {
    if asked.method != "POST" {
        let message = format!("{} is not for predictions: POST {{\"features\": [...]}}", asked.method);
        return Err(Problem::new(405, "", message));
    }
    let body = coding::body(asked, model.settings.max_body_bytes)?;
    let mut rows = Rows::new();
    features::read(&body, &model.signature, form, &mut |record| rows.push(model.row(record)))?;
    model.check_rows(rows.len())?;
    Ok(rows)
}

impl Question for Prediction {
    fn rows(&self) -> &[Row] {
        &self.rows
    }

    fn render(&self, answers: &[Answered<'_>]) -> Result<Rendered, NotRendered> {
        let signature = &self.model.signature;
        let mut out = Vec::with_capacity(self.model.ending.len() + 64 + 32 * answers.len());
        if self.form == Form::Row {
            let [answer] = answers else { return Err(NotRendered::no_prediction()) };
            out.extend_from_slice(br#"{"prediction":"#);
            if !render::prediction(&mut out, signature, answer.body) {
                return Err(NotRendered::no_prediction());
            }
            out.extend_from_slice(br#","cached":"#);
            out.extend_from_slice(written(answer.is_cached));
        } else {
            out.extend_from_slice(br#"{"predictions":["#);
            for (at, answer) in answers.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                if !render::prediction(&mut out, signature, answer.body) {
                    return Err(NotRendered::no_prediction());
                }
            }
            out.extend_from_slice(format!(r#"],"count":{},"cached":["#, answers.len()).as_bytes());
            for (at, answer) in answers.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                out.extend_from_slice(written(answer.is_cached));
            }
            out.push(b']');
        }
        out.extend_from_slice(&self.model.ending);
        Ok(Rendered::json(Bytes::from(out)))
    }

    fn render_failure(&self, status: u16, what: &str, row: Option<usize>) -> Rendered {
        let field = match (self.form, row) {
            (Form::Rows, Some(row)) => format!("features[{row}]"),
            _ => String::new(),
        };
        Problem::new(status, field, what).refused().told
    }
}

const fn written(flag: bool) -> &'static [u8] {
    if flag { b"true" } else { b"false" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_behind_models_is_meant() {
        for (path, is_meant) in [
            ("/predict", false),
            ("/fraud/predict", false),
            ("/models/predict", false),
            ("/mymodels/fraud/score", false),
            ("/models/fraud/score", true),
            ("/ml/models/fraud/version/2/predict", true),
            ("/models/x/batch_predict/y", true),
        ] {
            assert_eq!(names_something(path), is_meant, "{path}");
        }
    }

    #[test]
    fn a_path_names_a_model_and_a_version() {
        for (path, expected) in [
            ("/predict", None),
            ("/batch_predict", None),
            ("/fraud/predict", None),
            ("/models/fraud/predict", Some(("fraud", None))),
            ("/ml/models/fraud/batch_predict", Some(("fraud", None))),
            ("/models/fraud/versions/v2/predict", Some(("fraud", Some("v2")))),
            ("/models/models/versions/versions/batch_predict", Some(("models", Some("versions")))),
            ("/models/predict", None),
            ("/models/fraud", None),
            ("/models/fraud/versions/v2/more/predict", None),
        ] {
            assert_eq!(named(path), expected, "{path}");
        }
    }
}
