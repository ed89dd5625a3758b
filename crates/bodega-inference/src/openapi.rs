//! What a behavior before models answers, as an OpenAPI document (version 3.1), made of the models' signatures.

use std::collections::HashSet;

use half::{bf16, f16};
use serde_json::{Map, Value, json};

use crate::element::Element;
use crate::features::MAX_ROWS;
use crate::group::Group;
use crate::kserve::{datatype, told};
use crate::model::Model;
use crate::signature::{Port, Signature};

/// The document for `group`; `prefix` stands before all paths.
pub(crate) fn document(group: &Group, prefix: &str) -> Value {
    let mut paths = Map::new();
    let mut schemas = shared_schemas();
    for model in group.defaults() {
        let name = model.name();
        schemas.insert(format!("{name}.row"), row(&model.signature));
        schemas.insert(format!("{name}.prediction"), prediction(&model.signature));
        schemas.insert(format!("{name}.inference"), inference(&model.signature));
        let mut bases = vec![format!("/models/{name}")];
        if group.only().is_ok() {
            bases.push(String::new());
        }
        for base in bases {
            paths.insert(format!("{base}/predict"), json!({ "post": predict(model) }));
            paths.insert(format!("{base}/batch_predict"), json!({ "post": batch_predict(model) }));
        }
        let tag = [name];
        let about = json!({ "get": get("What it is, or a page to try it in.", "about", &tag, true) });
        paths.insert(format!("/models/{name}"), about);
        paths.insert(format!("/v2/models/{name}"), json!({ "get": get("Its metadata.", "metadata", &tag, false) }));
        for (path, summary) in [
            ("ready", "Whether it answers."),
            ("config", "Its configuration."),
            ("stats", "How often it was asked, and what became of it."),
        ] {
            let get = get(summary, if path == "ready" { "model_ready" } else { path }, &tag, false);
            paths.insert(format!("/v2/models/{name}/{path}"), json!({ "get": get }));
        }
        paths.insert(format!("/v2/models/{name}/infer"), json!({ "post": infer(model) }));
    }
    let all = ["models"];
    for (path, summary, schema, is_page) in [
        ("/models", "The models, or a page of them.", "list", true),
        ("/models/openapi.json", "This document.", "document", false),
        ("/v2", "What answers.", "server", false),
        ("/v2/health/live", "Whether it lives.", "live", false),
        ("/v2/health/ready", "Whether all models answer.", "ready", false),
        ("/v2/models/stats", "How often models were asked, and what became of it.", "stats", false),
    ] {
        paths.insert(path.to_owned(), json!({ "get": get(summary, schema, &all, is_page) }));
    }
    paths["/v2/health/ready"]["get"]["responses"]["503"] = refusal("A model is not loaded: says which.");
    paths.insert("/v2/repository/index".to_owned(), json!({ "post": index() }));
    name_operations(&mut paths);
    let mut document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Models at the edge",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Each input is computed once and kept: `Cache-Status` says what became of it.",
        },
        "paths": paths,
        "components": { "schemas": schemas },
    });
    if !prefix.is_empty() {
        document["servers"] = json!([{ "url": prefix }]);
    }
    document
}

/// Gives each operation the name that programs made of the document call it by: its method and its path, each name once.
fn name_operations(paths: &mut Map<String, Value>) {
    let mut named = HashSet::new();
    for (path, operations) in paths {
        for (method, operation) in operations.as_object_mut().into_iter().flatten() {
            let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
            let mut name: String = method.chars().chain(path.chars()).map(plain).collect();
            while !named.insert(name.clone()) {
                name.push('_');
            }
            operation["operationId"] = name.into();
        }
    }
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

fn get(summary: &str, schema: &str, tags: &[&str], is_page: bool) -> Value {
    let mut content = json!({ "application/json": { "schema": reference(schema) } });
    if is_page {
        content["text/html"] = json!({ "schema": { "type": "string" } });
    }
    let mut responses = json!({ "200": { "description": summary, "content": content } });
    responses["405"] = refusal("Another method.");
    json!({ "summary": summary, "tags": tags, "responses": responses })
}

fn index() -> Value {
    let schema = json!({ "type": "object", "properties": { "ready": { "type": "boolean" } } });
    let responses = json!({
        "200": { "description": "The models.", "content": { "application/json": { "schema": reference("index") } } },
        "400": refusal("A body that is none of these."),
        "405": refusal("Another method."),
    });
    let body = json!({ "required": false, "content": { "application/json": { "schema": schema } } });
    json!({ "summary": "All models and versions.", "tags": ["models"], "requestBody": body, "responses": responses })
}

fn predict(model: &Model) -> Value {
    let name = model.name();
    let features = json!({
        "type": "object", "required": ["features"], "properties": { "features": reference(&format!("{name}.row")) },
    });
    let answer = json!({
        "type": "object",
        "required": ["prediction", "cached", "edge_region", "model", "version"],
        "properties": with_model(&[
            ("prediction", reference(&format!("{name}.prediction"))),
            ("cached", json!({ "type": "boolean", "description": "Whether it was kept from before." })),
        ]),
    });
    let body = content(features, json!({ "features": example(model) }));
    operation("One prediction.", name, &body, &answer)
}

fn batch_predict(model: &Model) -> Value {
    let name = model.name();
    let rows = json!({ "type": "array", "maxItems": MAX_ROWS, "items": reference(&format!("{name}.row")) });
    let features = json!({ "type": "object", "required": ["features"], "properties": { "features": rows } });
    let answer = json!({
        "type": "object",
        "required": ["predictions", "count", "cached", "edge_region", "model", "version"],
        "properties": with_model(&[
            ("predictions", json!({ "type": "array", "items": reference(&format!("{name}.prediction")) })),
            ("count", json!({ "type": "integer" })),
            ("cached", json!({ "type": "array", "items": { "type": "boolean" } })),
        ]),
    });
    let body = content(features, json!({ "features": [example(model)] }));
    operation("Several, in the order asked.", name, &body, &answer)
}

fn infer(model: &Model) -> Value {
    let name = model.name();
    let body = content(reference(&format!("{name}.inference")), inference_example(model));
    let outputs = model.signature.outputs.iter().map(|port| tensor(&model.signature, port, true));
    let answer = json!({
        "type": "object",
        "required": ["model_name", "model_version", "outputs"],
        "properties": {
            "id": { "type": "string" },
            "model_name": { "type": "string" },
            "model_version": { "type": "string" },
            "outputs": { "type": "array", "items": { "anyOf": outputs.collect::<Vec<_>>() } },
        },
    });
    operation("An inference by the Open Inference Protocol.", name, &body, &answer)
}

fn content(schema: Value, example: Value) -> Value {
    json!({ "required": true, "content": { "application/json": { "schema": schema, "example": example } } })
}

fn with_model(more: &[(&str, Value)]) -> Value {
    let mut properties = Map::new();
    more.iter().for_each(|(name, schema)| drop(properties.insert((*name).to_owned(), schema.clone())));
    for name in ["edge_region", "model", "version"] {
        properties.insert(name.to_owned(), json!({ "type": "string" }));
    }
    properties.into()
}

fn operation(summary: &str, model: &str, body: &Value, answer: &Value) -> Value {
    let mut responses = json!({
        "200": {
            "description": "The answer.",
            "headers": {
                "Cache-Status": { "schema": { "type": "string" }, "description": "What became of it: a hit, or why not." },
                "Age": { "schema": { "type": "string" }, "description": "Seconds since it was computed." },
            },
            "content": { "application/json": { "schema": answer } },
        },
    });
    for (status, what) in [
        ("400", "No JSON, or another shape or type: names the field, what was expected, and what came."),
        ("404", "No such model or version: names those that there are."),
        ("405", "Another method."),
        ("413", "A body over the limit, too many rows, or predictions that are too large together."),
        ("415", "A content coding that is not taken."),
        ("422", "Rows whose outputs have several shapes, which no tensor holds; of inferences only."),
        ("500", "The model failed."),
        ("503", "Too much waits for the model."),
        ("504", "The model did not answer in time."),
    ] {
        responses[status] = refusal(what);
    }
    json!({ "summary": summary, "tags": [model], "requestBody": body, "responses": responses })
}

fn refusal(what: &str) -> Value {
    json!({ "description": what, "content": { "application/json": { "schema": reference("problem") } } })
}

/// One row, as `features` has it.
fn row(signature: &Signature) -> Value {
    let named = named(&signature.inputs, |port| array(port.element, &port.row, false));
    match signature.inputs.as_slice() {
        [port] => json!({ "anyOf": [array(port.element, &port.row, false), named], "description": port.to_string() }),
        _ => named,
    }
}

/// What a model says of a row: its one output, or all by their names.
fn prediction(signature: &Signature) -> Value {
    let value = |port: &Port| {
        let axes = if port.row == [Some(1)] { &[] } else { port.row.as_slice() };
        array(port.element, axes, true)
    };
    match signature.outputs.as_slice() {
        [port] => value(port),
        ports => named(ports, value),
    }
}

fn named(ports: &[Port], schema: impl Fn(&Port) -> Value) -> Value {
    let names: Vec<&str> = ports.iter().map(|port| port.name.as_str()).collect();
    let properties: Map<String, Value> = ports.iter().map(|port| (port.name.clone(), schema(port))).collect();
    json!({ "type": "object", "required": names, "properties": properties, "additionalProperties": false })
}

fn array(element: Element, axes: &[Option<usize>], is_output: bool) -> Value {
    let Some((axis, inner)) = axes.split_first() else { return scalar(element, is_output) };
    let mut schema = json!({ "type": "array", "items": array(element, inner, is_output) });
    if let Some(length) = axis {
        schema["minItems"] = json!(length);
        schema["maxItems"] = json!(length);
    }
    schema
}

fn scalar(element: Element, is_output: bool) -> Value {
    let whole = |least: i64, most: u64| json!({ "type": "integer", "minimum": least, "maximum": most });
    let float = |most: f64, format: &str| {
        if is_output {
            // NaN and the infinities, which JSON does not have.
            return json!({ "type": ["number", "null"], "format": format });
        }
        json!({ "type": "number", "format": format, "minimum": -most, "maximum": most })
    };
    let mut schema = match element {
        Element::Float16 => float(f16::MAX.to_f64(), "float"),
        Element::Bfloat16 => float(bf16::MAX.to_f64(), "float"),
        Element::Float32 => float(f64::from(f32::MAX), "float"),
        Element::Float64 => float(f64::MAX, "double"),
        Element::Int8 => whole(i8::MIN.into(), i8::MAX.unsigned_abs().into()),
        Element::Int16 => whole(i16::MIN.into(), i16::MAX.unsigned_abs().into()),
        Element::Int32 => whole(i32::MIN.into(), i32::MAX.unsigned_abs().into()),
        Element::Int64 => whole(i64::MIN, i64::MAX.unsigned_abs()),
        Element::Uint8 => whole(0, u8::MAX.into()),
        Element::Uint16 => whole(0, u16::MAX.into()),
        Element::Uint32 => whole(0, u32::MAX.into()),
        Element::Uint64 => whole(0, u64::MAX),
        Element::Bool => json!({ "type": "boolean" }),
        Element::String => json!({ "type": "string", "pattern": "^[^\\u0000]*$" }),
    };
    schema["description"] = element.name().into();
    schema
}

/// The body of an inference, without tensors as bytes.
fn inference(signature: &Signature) -> Value {
    let inputs: Vec<Value> = signature.inputs.iter().map(|port| tensor(signature, port, false)).collect();
    let names: Vec<&str> = signature.outputs.iter().map(|port| port.name.as_str()).collect();
    let output = json!({ "type": "object", "required": ["name"], "properties": { "name": { "enum": names } } });
    json!({
        "type": "object",
        "required": ["inputs"],
        "properties": {
            "id": { "type": "string" },
            "parameters": { "type": "object" },
            "inputs": { "type": "array", "minItems": inputs.len(), "maxItems": inputs.len(), "items": { "anyOf": inputs } },
            "outputs": { "type": "array", "items": output, "uniqueItems": true },
        },
    })
}

fn tensor(signature: &Signature, port: &Port, is_output: bool) -> Value {
    let n_axes = told::shape(signature, port).len();
    let axis = json!({ "type": "integer", "minimum": 0, "maximum": u32::MAX });
    json!({
        "type": "object",
        "required": ["name", "shape", "datatype", "data"],
        "properties": {
            "name": { "const": port.name },
            "datatype": { "const": datatype(port.element) },
            "shape": { "type": "array", "minItems": n_axes, "maxItems": n_axes, "items": axis },
            "data": { "type": "array", "description": "Flat, or nested as the shape says.",
                "items": if is_output { scalar(port.element, true) } else { json!({}) } },
        },
    })
}

/// A row that the model takes: its first golden example, or one that is made up.
pub(crate) fn example(model: &Model) -> Value {
    if let Some(golden) = model.settings.golden.first()
        && let Ok(features) = serde_json::from_str(&golden.features_json)
    {
        return features;
    }
    match model.signature.inputs.as_slice() {
        [port] => nested(&port.row, &element_example(port.element)),
        ports => {
            let value = |port: &Port| (port.name.clone(), nested(&port.row, &element_example(port.element)));
            ports.iter().map(value).collect::<Map<_, _>>().into()
        }
    }
}

fn inference_example(model: &Model) -> Value {
    let input = |port: &Port| {
        let shape: Vec<usize> =
            told::shape(&model.signature, port).iter().map(|axis| usize::try_from(*axis).unwrap_or(1)).collect();
        // As many as a page still shows.
        let n_elements = shape.iter().product::<usize>().min(MAX_EXAMPLE_ELEMENTS);
        let data = vec![element_example(port.element); n_elements];
        json!({ "name": port.name, "shape": shape, "datatype": datatype(port.element), "data": data })
    };
    json!({ "inputs": model.signature.inputs.iter().map(input).collect::<Vec<_>>() })
}

fn element_example(element: Element) -> Value {
    match element {
        Element::Float16 | Element::Bfloat16 | Element::Float32 | Element::Float64 => json!(0.5),
        Element::Bool => json!(true),
        Element::String => json!("a"),
        _ => json!(1),
    }
}

/// Of this shape, with one element where an axis is free; of a very large one only the beginning.
fn nested(axes: &[Option<usize>], element: &Value) -> Value {
    let n_elements = axes.iter().fold(1_usize, |product, axis| product.saturating_mul(axis.unwrap_or(1)));
    if n_elements > MAX_EXAMPLE_ELEMENTS {
        return json!([]);
    }
    let Some((axis, inner)) = axes.split_first() else { return element.clone() };
    Value::Array(vec![nested(inner, element); axis.unwrap_or(1)])
}

fn shared_schemas() -> Map<String, Value> {
    let text = json!({ "type": "string" });
    let object = json!({ "type": "object" });
    let flag = json!({ "type": "boolean" });
    let list_of = |items: Value| json!({ "type": "array", "items": items });
    let of = |required: &[&str], properties: Value| json!({ "type": "object", "required": required, "properties": properties });
    let ported = list_of(of(
        &["name", "datatype", "shape"],
        json!({ "name": text, "datatype": text,
        "shape": list_of(json!({ "type": "integer" })) }),
    ));
    let typed = list_of(of(
        &["name", "type", "shape"],
        json!({ "name": text, "type": text,
        "shape": list_of(json!({ "type": ["integer", "null"] })) }),
    ));
    let about = of(
        &["name", "version", "versions", "inputs", "outputs"],
        json!({ "name": text, "version": text, "versions": list_of(text.clone()), "inputs": typed, "outputs": typed,
        "left_out": list_of(text.clone()) }),
    );
    let indexed = of(&["name", "version", "state"], json!({ "name": text, "version": text, "state": text }));
    let schemas = json!({
        "problem": of(&["error"], json!({
            "error": { "type": "string", "description": "What was wrong, where, and what to do." },
            "field": { "type": "string", "description": "Where in the body." },
            "expected": { "type": "string", "description": "The shape and type that the model takes." },
            "given": { "type": "string", "description": "What came." },
        })),
        "about": about,
        "list": of(&["models"], json!({ "models": list_of(reference("about")) })),
        "document": object,
        "live": of(&["live"], json!({ "live": flag })),
        "ready": of(&["ready"], json!({ "ready": flag })),
        "model_ready": of(&["name", "ready"], json!({ "name": text, "ready": flag })),
        "server": of(&["name", "version", "extensions"], json!({ "name": text, "version": text,
            "extensions": list_of(text.clone()) })),
        "metadata": of(&["name", "versions", "platform", "inputs", "outputs"], json!({ "name": text,
            "versions": list_of(text.clone()), "platform": text, "inputs": ported, "outputs": ported })),
        "config": of(&["name", "max_batch_size", "input", "output"], json!({ "name": text,
            "max_batch_size": { "type": "integer" }, "input": list_of(object.clone()), "output": list_of(object.clone()) })),
        "stats": of(&["model_stats"], json!({ "model_stats": list_of(of(
            &["name", "version", "inference_count", "execution_count", "inference_stats"],
            json!({ "name": text, "version": text, "inference_count": { "type": "integer" },
                "execution_count": { "type": "integer" }, "inference_stats": object }))) })),
        "index": list_of(indexed),
    });
    match schemas {
        Value::Object(schemas) => schemas,
        _ => Map::new(),
    }
}

/// An example that is larger says nothing to anybody.
const MAX_EXAMPLE_ELEMENTS: usize = 4_096;
