//! What is said of models without asking them: metadata, configuration, statistics, the index.

use serde_json::{Value, json};

use super::datatype;
use crate::element::Element;
use crate::features::MAX_ROWS;
use crate::group::Group;
use crate::model::Model;
use crate::signature::{Port, Signature};
use crate::tally::Counted;

/// What the protocol may do beyond its core.
pub(crate) const EXTENSIONS: [&str; 4] =
    ["binary_tensor_data", "model_configuration", "statistics", "model_repository"];
/// What a model is, and what runs it, by the names that Triton has for them.
pub(crate) fn platform(model: &Model) -> (&'static str, &'static str) {
    if model.settings.runner.is_some() { ("python", "python") } else { ("onnxruntime_onnx", "onnxruntime") }
}

pub(super) fn server() -> Value {
    json!({ "name": "bodega", "version": env!("CARGO_PKG_VERSION"), "extensions": EXTENSIONS })
}

pub(super) fn metadata(model: &Model, versions: &[&str]) -> Value {
    let ports = |ports: &[Port]| -> Vec<Value> {
        let port = |port: &Port| json!({ "name": port.name, "datatype": datatype(port.element), "shape": shape(&model.signature, port) });
        ports.iter().map(port).collect()
    };
    json!({
        "name": model.name(),
        "versions": versions,
        "platform": platform(model).0,
        "inputs": ports(&model.signature.inputs),
        "outputs": ports(&model.signature.outputs),
    })
}

/// With -1 for an axis that is free, the batch's among them.
pub(crate) fn shape(signature: &Signature, port: &Port) -> Vec<i64> {
    let row = dimensions(port);
    signature.has_axis_before(port).then_some(-1).into_iter().chain(row).collect()
}

/// Without the batch's.
fn dimensions(port: &Port) -> impl Iterator<Item = i64> {
    port.row.iter().map(|axis| axis.and_then(|length| i64::try_from(length).ok()).unwrap_or(-1))
}

/// The most rows of a request, or 0 where an input has no axis for them; then dimensions are all of a tensor's axes.
pub(crate) fn max_batch_size(model: &Model) -> usize {
    let has_axes = model.signature.inputs.iter().all(|port| port.has_axis);
    if has_axes { MAX_ROWS } else { 0 }
}

/// The dimensions that a configuration says.
pub(crate) fn config_dimensions(model: &Model, port: &Port) -> Vec<i64> {
    if max_batch_size(model) > 0 { dimensions(port).collect() } else { shape(&model.signature, port) }
}

pub(super) fn config(model: &Model) -> Value {
    let port = |port: &Port| {
        let data_type = format!("TYPE_{}", data_type(port.element).0);
        json!({ "name": port.name, "data_type": data_type, "dims": config_dimensions(model, port) })
    };
    let (platform, backend) = platform(model);
    let mut config = json!({
        "name": model.name(),
        "platform": platform,
        "backend": backend,
        "max_batch_size": max_batch_size(model),
        "input": model.signature.inputs.iter().map(port).collect::<Vec<_>>(),
        "output": model.signature.outputs.iter().map(port).collect::<Vec<_>>(),
    });
    if model.signature.is_batched {
        config["dynamic_batching"] = json!({ "preferred_batch_size": [model.settings.max_batch] });
    }
    config
}

/// What a configuration calls a type, and its number there.
pub(crate) const fn data_type(element: Element) -> (&'static str, i32) {
    match element {
        Element::Bool => ("BOOL", 1),
        Element::Uint8 => ("UINT8", 2),
        Element::Uint16 => ("UINT16", 3),
        Element::Uint32 => ("UINT32", 4),
        Element::Uint64 => ("UINT64", 5),
        Element::Int8 => ("INT8", 6),
        Element::Int16 => ("INT16", 7),
        Element::Int32 => ("INT32", 8),
        Element::Int64 => ("INT64", 9),
        Element::Float16 => ("FP16", 10),
        Element::Float32 => ("FP32", 11),
        Element::Float64 => ("FP64", 12),
        Element::String => ("STRING", 13),
        Element::Bfloat16 => ("BF16", 14),
    }
}

pub(super) fn statistics<'m>(models: impl Iterator<Item = &'m Model>) -> Value {
    let counted = |counted: Counted| json!({ "count": counted.count, "ns": counted.nanoseconds });
    let only = |count: u64| json!({ "count": count, "ns": 0 });
    let of = |model: &Model| {
        let (computed, n_rows) = model.computed();
        let tallied = model.tally.read();
        json!({
            "name": model.name(),
            "version": model.version(),
            "last_inference": tallied.last_millis,
            "inference_count": n_rows,
            "execution_count": computed.count,
            "inference_stats": {
                "success": counted(tallied.answered),
                "fail": counted(tallied.failed),
                "compute_infer": counted(computed),
                "cache_hit": only(tallied.n_found),
                "cache_miss": only(tallied.n_computed),
            },
            "batch_stats": [],
        })
    };
    json!({ "model_stats": models.map(of).collect::<Vec<_>>() })
}

pub(super) fn index(group: &Group) -> Value {
    let of =
        |model: &std::sync::Arc<Model>| json!({ "name": model.name(), "version": model.version(), "state": "READY" });
    group.members().iter().map(of).collect()
}
