//! The answer to an inference: outputs as JSON, or as bytes behind it.

use bodega_edge::predict::{Answered, Rendered};
use serde_json::{Value, json};

use super::datatype;
use super::tensors::Wanted;
use crate::models::Model;
use crate::record::{self, Tensor};
use crate::render;
use crate::signature::Port;

/// Writes the outputs of all rows. `None` if these are none of the model's.
pub(super) fn write(model: &Model, wanted: &Wanted, answers: &[Answered]) -> Option<Rendered> {
    let rows = answers.iter().map(|answer| record::read(&answer.body)).collect::<Option<Vec<_>>>()?;
    let mut outputs = Vec::with_capacity(wanted.outputs.len());
    let mut binary = Vec::new();
    for &(at, is_binary) in &wanted.outputs {
        let port = model.signature.outputs.get(at)?;
        let tensors = rows.iter().map(|row| row.get(at)).collect::<Option<Vec<_>>>()?;
        let mut output = json!({
            "name": port.name, "datatype": datatype(port.element), "shape": shape(port, &tensors, wanted.n_rows)?,
        });
        if is_binary {
            let before = binary.len();
            tensors.iter().for_each(|tensor| binary.extend_from_slice(tensor.data));
            output["parameters"] = json!({ "binary_data_size": binary.len() - before });
        } else {
            let mut data = vec![b'['];
            for tensor in tensors {
                render::elements(&mut data, tensor)?;
            }
            data.push(b']');
            output["data"] = serde_json::from_slice::<Value>(&data).ok()?;
        }
        outputs.push(output);
    }
    let mut head = json!({ "model_name": model.settings.name, "model_version": model.version, "outputs": outputs });
    if let Some(id) = &wanted.id {
        head["id"] = id.clone().into();
    }
    let mut body = head.to_string().into_bytes();
    if binary.is_empty() {
        return Some(Rendered::json(body.into()));
    }
    let n_bytes = body.len();
    body.extend_from_slice(&binary);
    let fields = vec![("Inference-Header-Content-Length", n_bytes.to_string())];
    Some(Rendered { content_type: "application/octet-stream", fields, body: body.into() })
}

/// With the axis of the rows before those of each, which are the same in all.
fn shape(port: &Port, tensors: &[&Tensor<'_>], n_rows: usize) -> Option<Vec<usize>> {
    let Some((first, others)) = tensors.split_first() else {
        let row = port.row.iter().map(|axis| axis.unwrap_or(0));
        return Some(std::iter::once(n_rows).chain(row).collect());
    };
    if others.iter().any(|other| other.axes != first.axes) {
        return None;
    }
    let rows = port.has_axis.then_some(n_rows);
    Some(rows.into_iter().chain(first.axes.iter().copied()).collect())
}
