//! KServe's Open Inference Protocol, version 2, over HTTP: health, metadata, inference.
//! <https://kserve.github.io/website/docs/concepts/architecture/data-plane/v2-protocol>
//!
//! An inference's tensors become the same rows as those of `/predict`, under the same keys: `body` reads them, from JSON
//! or from bytes behind it, `tensors` takes them apart, and `answer` writes outputs in either form. What is said of a model
//! without asking it is in `told`. The same by gRPC is in `grpc`.

pub(crate) mod answer;
mod body;
pub(crate) mod tensors;
pub(crate) mod told;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bodega_edge::predict::{Answered, Asked, NotRendered, Question, Refused, Rendered, Row};
use serde_json::{Map, Value, json};

use self::tensors::RowRead;
use crate::coding::{self, Coding};
use crate::element::Element;
use crate::group::Group;
use crate::model::Model;
use crate::problem::Problem;

/// What is behind `/v2` in a path, if it has that.
pub(crate) fn endpoint(path: &str) -> Option<&str> {
    let is_whole = |rest: &str| rest.is_empty() || rest.starts_with('/');
    let mut found = path.match_indices("/v2").map(|(at, mark)| path.split_at(at + mark.len()));
    // The first one, and none behind `/models`: a version may be called `v2`, too.
    let (before, behind) = found.find(|(_, behind)| is_whole(behind))?;
    let mut models = before.match_indices("/models").map(|(at, mark)| &before[at + mark.len()..]);
    (!models.any(is_whole)).then_some(behind)
}

/// Reads a request for one of `group`.
pub(crate) fn read(group: &Group, asked: &Asked<'_>, endpoint: &str) -> Result<Box<dyn Question>, Refused> {
    let question = question(group, asked, endpoint).map_err(|problem| problem.refused())?;
    Ok(match coding::accepted(&asked.fields) {
        Some(coding) => Box::new(Packed { question, coding }),
        None => question,
    })
}

fn question(group: &Group, asked: &Asked<'_>, endpoint: &str) -> Result<Box<dyn Question>, Problem> {
    let segments: Vec<&str> = endpoint.split('/').filter(|segment| !segment.is_empty()).collect();
    let none = || Problem::new(404, "", format!("there is no {endpoint} here"));
    let told = match segments.as_slice() {
        [] => told::server(),
        ["health", "live"] => json!({ "live": true }),
        ["health", "ready"] => {
            only("GET", asked, endpoint)?;
            group.check_ready()?;
            json!({ "ready": true })
        }
        ["repository", "index"] => {
            only("POST", asked, endpoint)?;
            return Ok(Box::new(Told(index(group, asked)?)));
        }
        ["repository", "models", _, "load" | "unload"] => {
            return Err(Problem::new(403, "", "models are loaded and unloaded at the admin listener"));
        }
        ["models", "stats"] => told::statistics(group.members().iter().map(AsRef::as_ref)),
        ["models", name, rest @ ..] => {
            let (version, rest) = match rest {
                ["versions", version, rest @ ..] => (Some(*version), rest),
                _ => (None, rest),
            };
            let model = group.find(name, version)?;
            match rest {
                [] => told::metadata(model, &group.versions(name)),
                ["ready"] => json!({ "name": model.name(), "ready": true }),
                ["config"] => told::config(model),
                ["stats"] => {
                    let is_asked =
                        |each: &&Arc<Model>| each.name() == *name && version.is_none_or(|of| of == each.version());
                    told::statistics(group.members().iter().filter(is_asked).map(AsRef::as_ref))
                }
                ["infer"] => return inference(model, asked),
                _ => return Err(none()),
            }
        }
        _ => return Err(none()),
    };
    only("GET", asked, endpoint)?;
    Ok(Box::new(Told(told)))
}

fn only(method: &'static str, asked: &Asked<'_>, endpoint: &str) -> Result<(), Problem> {
    if asked.method == method || (method == "GET" && asked.method == "HEAD") {
        return Ok(());
    }
    Err(Problem::new(405, "", format!("{} is not for {endpoint}: {method}", asked.method)).allowing(method))
}

/// All models: here they are ready, so that it makes no difference whether only those (`ready`) are asked for.
fn index(group: &Group, asked: &Asked<'_>) -> Result<Value, Problem> {
    let body = coding::body(asked, group.max_body_bytes())?;
    if !body.trim_ascii().is_empty() {
        let text: Map<String, Value> = serde_json::from_slice(&body)
            .map_err(|error| Problem::new(400, "", format!("the request for the index cannot be read: {error}")))?;
        if text.get("ready").is_some_and(|ready| !ready.is_boolean()) {
            return Err(Problem::new(400, "ready", "is neither true nor false"));
        }
    }
    Ok(told::index(group))
}

fn inference(model: &Arc<Model>, asked: &Asked<'_>) -> Result<Box<dyn Question>, Problem> {
    only("POST", asked, "inference")?;
    let begun = Instant::now();
    let body = coding::body(asked, model.settings.max_body_bytes)?;
    let (wanted, rows) = body::read(&model.signature, &asked.fields, &body)?;
    Ok(Box::new(Inference { model: Arc::clone(model), rows: of_machine(model, rows)?, wanted, begun }))
}

/// Rows as the machine takes them.
pub(crate) fn of_machine(model: &Arc<Model>, rows: Vec<RowRead>) -> Result<Vec<Row>, Problem> {
    model.check_rows(rows.len())?;
    Ok(rows.into_iter().map(|row| Row { is_kept: row.is_kept, ..model.row(&row.record) }).collect())
}

/// What is said of a row, with its number where there are others: from 0, along the first axis of the tensors.
pub(crate) fn of_row<'a>(rows: &[Row], what: &'a str, row: Option<usize>) -> Cow<'a, str> {
    match row {
        Some(row) if rows.len() > 1 => format!("row {row}: {what}").into(),
        _ => what.into(),
    }
}

/// What KServe calls a type.
pub(crate) const fn datatype(element: Element) -> &'static str {
    match element {
        Element::Float16 => "FP16",
        Element::Bfloat16 => "BF16",
        Element::Float32 => "FP32",
        Element::Float64 => "FP64",
        Element::Int8 => "INT8",
        Element::Int16 => "INT16",
        Element::Int32 => "INT32",
        Element::Int64 => "INT64",
        Element::Uint8 => "UINT8",
        Element::Uint16 => "UINT16",
        Element::Uint32 => "UINT32",
        Element::Uint64 => "UINT64",
        Element::Bool => "BOOL",
        Element::String => "BYTES",
    }
}

/// What needs no model.
struct Told(Value);

impl Question for Told {
    fn rows(&self) -> &[Row] {
        &[]
    }

    fn render(&self, _: &[Answered<'_>]) -> Result<Rendered, NotRendered> {
        Ok(Rendered::json(self.0.to_string().into()))
    }

    fn render_failure(&self, status: u16, what: &str, _: Option<usize>) -> Rendered {
        Problem::new(status, "", what).refused().told
    }
}

struct Inference {
    model: Arc<Model>,
    rows: Vec<Row>,
    wanted: body::Wanted,
    begun: Instant,
}

impl Question for Inference {
    fn rows(&self) -> &[Row] {
        &self.rows
    }

    fn render(&self, answers: &[Answered<'_>]) -> Result<Rendered, NotRendered> {
        let rendered = answer::write(&self.model, &self.wanted, answers)?;
        self.model.tally.answered(self.begun, answers);
        Ok(rendered)
    }

    fn render_failure(&self, status: u16, what: &str, row: Option<usize>) -> Rendered {
        self.model.tally.failed(self.begun);
        Problem::new(status, "", of_row(&self.rows, what, row)).refused().told
    }
}

/// A question whose answer is packed if it is long.
struct Packed {
    question: Box<dyn Question>,
    coding: Coding,
}

impl Question for Packed {
    fn rows(&self) -> &[Row] {
        self.question.rows()
    }

    fn timeout(&self) -> Option<Duration> {
        self.question.timeout()
    }

    fn render(&self, answers: &[Answered<'_>]) -> Result<Rendered, NotRendered> {
        let mut rendered = self.question.render(answers)?;
        rendered.fields.push(("Vary", "Accept-Encoding".to_owned()));
        if rendered.body.len() >= coding::LEAST_BYTES {
            rendered.body = self.coding.encode(&rendered.body).into();
            rendered.fields.push(("Content-Encoding", self.coding.name().to_owned()));
        }
        Ok(rendered)
    }

    fn render_failure(&self, status: u16, what: &str, row: Option<usize>) -> Rendered {
        self.question.render_failure(status, what, row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_behind_v2() {
        for (path, behind) in [
            ("/v2", Some("")),
            ("/v2/", Some("/")),
            ("/v2/models/fraud/infer", Some("/models/fraud/infer")),
            ("/ml/v2/health/live", Some("/health/live")),
            ("/v2/models/fraud/versions/v2", Some("/models/fraud/versions/v2")),
            ("/v2models", None),
            ("/models/fraud/versions/v2", None),
            ("/models/fraud/versions/v2/predict", None),
            ("/modelsv2/v2/health/live", Some("/health/live")),
            ("/predict", None),
        ] {
            assert_eq!(endpoint(path), behind, "{path}");
        }
    }
}
