//! KServe's Open Inference Protocol, version 2, over HTTP: health, metadata, inference.
//! <https://kserve.github.io/website/docs/concepts/architecture/data-plane/v2-protocol>
//!
//! An inference's tensors become the same rows as those of `/predict`, under the same keys: `tensors` reads them, from JSON
//! or from bytes behind it, and `answer` writes outputs in either form.

mod answer;
mod tensors;

use std::sync::Arc;

use bodega_edge::predict::{Answered, Asked, Question, Refused, Rendered, Row};
use serde_json::{Value, json};

use crate::element::Element;
use crate::models::Model;
use crate::problem::Problem;
use crate::signature::Port;

/// What is behind `/v2` in a path, if it has that.
pub(crate) fn endpoint(path: &str) -> Option<&str> {
    // The first one: a version may be called `v2`, too.
    let mut behind = path.match_indices("/v2").map(|(at, mark)| &path[at + mark.len()..]);
    behind.find(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Reads a request for `model`.
pub(crate) fn read(model: &Arc<Model>, asked: &Asked<'_>, endpoint: &str) -> Result<Box<dyn Question>, Refused> {
    question(model, asked, endpoint).map_err(|problem| problem.refused())
}

fn question(model: &Arc<Model>, asked: &Asked<'_>, endpoint: &str) -> Result<Box<dyn Question>, Problem> {
    let segments: Vec<&str> = endpoint.split('/').filter(|segment| !segment.is_empty()).collect();
    let told = match segments.as_slice() {
        [] => server(),
        ["health", "live" | "ready"] => json!({}),
        ["repository", "index"] => json!([{ "name": model.settings.name, "version": model.version, "state": "READY" }]),
        ["models", name, rest @ ..] => {
            let rest = model.check_name(name, rest)?;
            match rest {
                [] => metadata(model),
                ["ready"] => json!({}),
                ["infer"] => return inference(model, asked),
                _ => return Err(Problem::new(404, "", format!("there is no {endpoint} here"))),
            }
        }
        _ => return Err(Problem::new(404, "", format!("there is no {endpoint} here"))),
    };
    let is_index = segments.first() == Some(&"repository");
    if asked.method != if is_index { "POST" } else { "GET" } && asked.method != "HEAD" {
        return Err(Problem::new(405, "", format!("{} is not for {endpoint}", asked.method)));
    }
    Ok(Box::new(Told(told)))
}

fn server() -> Value {
    json!({ "name": "bodega", "version": env!("CARGO_PKG_VERSION"), "extensions": ["binary_tensor_data"] })
}

fn metadata(model: &Model) -> Value {
    let ports = |ports: &[Port]| -> Vec<Value> {
        let port = |port: &Port| json!({ "name": port.name, "datatype": datatype(port.element), "shape": shape(port) });
        ports.iter().map(port).collect()
    };
    json!({
        "name": model.settings.name,
        "versions": [model.version],
        "platform": "onnxruntime_onnx",
        "inputs": ports(&model.signature.inputs),
        "outputs": ports(&model.signature.outputs),
    })
}

/// With -1 for an axis that is free, the batch's among them.
fn shape(port: &Port) -> Vec<i64> {
    let row = port.row.iter().map(|axis| axis.and_then(|length| i64::try_from(length).ok()).unwrap_or(-1));
    port.has_axis.then_some(-1).into_iter().chain(row).collect()
}

fn inference(model: &Arc<Model>, asked: &Asked<'_>) -> Result<Box<dyn Question>, Problem> {
    if asked.method != "POST" {
        return Err(Problem::new(405, "", format!("{} is not for inference: POST", asked.method)));
    }
    model.check_length(asked.body)?;
    let (inference, rows) = tensors::read(&model.signature, asked)?;
    let rows = rows.into_iter().map(|row| Row { is_kept: row.is_kept, ..model.row(&row.record) }).collect();
    Ok(Box::new(Inference { model: Arc::clone(model), rows, wanted: inference }))
}

/// What KServe calls a type.
const fn datatype(element: Element) -> &'static str {
    match element {
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

    fn render(&self, _: &[Answered]) -> Option<Rendered> {
        Some(Rendered::json(self.0.to_string().into()))
    }

    fn render_failure(&self, status: u16, what: &str) -> Rendered {
        Rendered::json(Problem::new(status, "", what).refused().body)
    }
}

struct Inference {
    model: Arc<Model>,
    rows: Vec<Row>,
    wanted: tensors::Wanted,
}

impl Question for Inference {
    fn rows(&self) -> &[Row] {
        &self.rows
    }

    fn render(&self, answers: &[Answered]) -> Option<Rendered> {
        answer::write(&self.model, &self.wanted, answers)
    }

    fn render_failure(&self, status: u16, what: &str) -> Rendered {
        Rendered::json(Problem::new(status, "", what).refused().body)
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
            ("/predict", None),
        ] {
            assert_eq!(endpoint(path), behind, "{path}");
        }
    }
}
