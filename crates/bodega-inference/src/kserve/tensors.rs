//! The tensors of an inference: from JSON, or from the bytes behind it (the binary tensor extension), to rows.

use bodega_edge::predict::Asked;
use bodega_semantics::Head;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::datatype;
use crate::element::{Element, Number};
use crate::features::MAX_ROWS;
use crate::problem::Problem;
use crate::record;
use crate::signature::{Port, Signature, written};

/// Says how much of a body is JSON.
const HEADER_LENGTH: &str = "inference-header-content-length";

/// A row, and whether its answer may be kept.
#[derive(Debug)]
pub(super) struct RowRead {
    pub(super) record: Vec<u8>,
    pub(super) is_kept: bool,
}

/// What the answer should hold.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) id: Option<String>,
    pub(super) n_rows: usize,
    /// Places among the model's outputs, and whether as bytes.
    pub(super) outputs: Vec<(usize, bool)>,
}

#[derive(Deserialize)]
struct Text {
    id: Option<String>,
    #[serde(default)]
    parameters: Map<String, Value>,
    inputs: Vec<InputText>,
    #[serde(default)]
    outputs: Vec<OutputText>,
}

#[derive(Deserialize)]
struct InputText {
    name: String,
    shape: Vec<usize>,
    datatype: String,
    #[serde(default)]
    parameters: Map<String, Value>,
    data: Option<Value>,
}

#[derive(Deserialize)]
struct OutputText {
    name: String,
    #[serde(default)]
    parameters: Map<String, Value>,
}

/// A tensor that is not taken apart yet.
struct Whole {
    axes: Vec<usize>,
    /// As a record holds them.
    data: Vec<u8>,
    /// The elements of each row, in bytes; strings have each their own.
    has_nan: Vec<bool>,
}

pub(super) fn read(signature: &Signature, asked: &Asked<'_>) -> Result<(Wanted, Vec<RowRead>), Problem> {
    if asked.fields.first("content-encoding").is_some_and(|coding| !coding.eq_ignore_ascii_case(b"identity")) {
        return Err(Problem::new(415, "", "a body under a content coding is not taken: send it as it is"));
    }
    let (json, mut binary) = parts(asked)?;
    let text: Text = serde_json::from_slice(json)
        .map_err(|error| Problem::new(400, "", format!("the inference cannot be read: {error}")))?;
    let mut wholes: Vec<Option<Whole>> = signature.inputs.iter().map(|_| None).collect();
    for input in &text.inputs {
        let at = signature.inputs.iter().position(|port| port.name == input.name).ok_or_else(|| {
            let known: Vec<&str> = signature.inputs.iter().map(|port| port.name.as_str()).collect();
            let message = format!("the model has no such input: there are {}", known.join(", "));
            Problem::new(400, format!("inputs.{}", input.name), message)
        })?;
        if wholes[at].is_some() {
            return Err(Problem::new(400, format!("inputs.{}", input.name), "is there twice"));
        }
        wholes[at] = Some(whole(&signature.inputs[at], input, &mut binary)?);
    }
    if !binary.is_empty() {
        let message = format!("{} bytes behind the tensors belong to none", binary.len());
        return Err(Problem::new(400, "", message));
    }
    let mut tensors = Vec::with_capacity(wholes.len());
    for (whole, port) in wholes.into_iter().zip(&signature.inputs) {
        let place = || format!("inputs.{}", port.name);
        tensors.push((port, whole.ok_or_else(|| Problem::new(400, place(), format!("is missing: expected {port}")))?));
    }
    let n_rows = n_rows(&tensors)?;
    // What belongs to a sequence depends on what came before it.
    let is_kept = !text.parameters.keys().any(|name| name.starts_with("sequence_"));
    let mut rows: Vec<RowRead> = (0..n_rows).map(|_| RowRead { record: Vec::new(), is_kept }).collect();
    for (port, whole) in &tensors {
        split(port, whole, &mut rows)?;
    }
    Ok((Wanted { outputs: outputs(signature, &text)?, id: text.id, n_rows }, rows))
}

fn parts<'a>(asked: &Asked<'a>) -> Result<(&'a [u8], &'a [u8]), Problem> {
    let Some(written) = asked.fields.first(HEADER_LENGTH) else { return Ok((asked.body, &[])) };
    let n_bytes = std::str::from_utf8(written).ok().and_then(|text| text.trim().parse::<usize>().ok());
    n_bytes
        .and_then(|n_bytes| asked.body.split_at_checked(n_bytes))
        .ok_or_else(|| Problem::new(400, "Inference-Header-Content-Length", "is no number of bytes of this body"))
}

fn whole(port: &Port, input: &InputText, binary: &mut &[u8]) -> Result<Whole, Problem> {
    let place = format!("inputs.{}", port.name);
    let expected = || format!("{}{}", datatype(port.element), port.axes());
    if input.datatype != datatype(port.element) {
        return Err(Problem::mismatch(&place, expected(), written(&input.datatype, &input.shape)));
    }
    let row = if port.has_axis { input.shape.get(1..).unwrap_or_default() } else { &input.shape };
    if !port.takes(row) || (port.has_axis && input.shape.is_empty()) {
        let batch = if port.has_axis { " for each row, behind the axis of the rows" } else { "" };
        let expected = format!("{}{batch}", expected());
        return Err(Problem::mismatch(&place, expected, written(&input.datatype, &input.shape)));
    }
    let n_elements = input.shape.iter().try_fold(1_usize, |product, axis| product.checked_mul(*axis));
    let n_elements = n_elements.ok_or_else(|| Problem::new(413, &place, "is too large"))?;
    let n_binary = input.parameters.get("binary_data_size").map(|size| {
        let size = size.as_u64().and_then(|size| usize::try_from(size).ok());
        size.ok_or_else(|| Problem::new(400, format!("{place}.parameters.binary_data_size"), "is no number of bytes"))
    });
    let data = match (n_binary.transpose()?, &input.data) {
        (Some(n_bytes), None) => {
            let (taken, rest) = binary
                .split_at_checked(n_bytes)
                .ok_or_else(|| Problem::new(400, &place, "the body ends before its bytes do"))?;
            *binary = rest;
            from_bytes(port, &place, taken)?
        }
        (None, Some(data)) => {
            let mut out = Vec::new();
            from_json(port, &place, data, &mut out)?;
            out
        }
        (Some(_), Some(_)) => return Err(Problem::new(400, place, "has both `data` and `binary_data_size`")),
        (None, None) => return Err(Problem::new(400, place, "has neither `data` nor `binary_data_size`")),
    };
    let given = count(port.element, &data);
    if given != Some(n_elements) {
        let given = given.map_or_else(|| format!("{} bytes", data.len()), |given| format!("{given} elements"));
        return Err(Problem::mismatch(&place, format!("{n_elements} elements"), given));
    }
    let n_rows = if port.has_axis { input.shape[0] } else { 1 };
    let has_nan = if n_rows > MAX_ROWS {
        return Err(Problem::new(413, place, format!("more than {MAX_ROWS} rows in one request")));
    } else {
        nans(port.element, &data, n_rows)
    };
    Ok(Whole { axes: input.shape.clone(), data, has_nan })
}

/// How many elements there are; `None` if the bytes are none.
fn count(element: Element, data: &[u8]) -> Option<usize> {
    match element.n_bytes() {
        Some(each) => data.len().is_multiple_of(each).then(|| data.len() / each),
        None => record::Tensor { element, axes: Vec::new(), data }.strings().map(|strings| strings.len()),
    }
}

/// Which rows hold a NaN. Equal bytes of one need not mean equal things, so that these are not kept.
fn nans(element: Element, data: &[u8], n_rows: usize) -> Vec<bool> {
    let is_nan = |chunk: &[u8]| match element {
        Element::Float32 => chunk.as_chunks::<4>().0.iter().any(|bytes| f32::from_le_bytes(*bytes).is_nan()),
        Element::Float64 => chunk.as_chunks::<8>().0.iter().any(|bytes| f64::from_le_bytes(*bytes).is_nan()),
        _ => false,
    };
    match data.len().checked_div(n_rows) {
        Some(n_bytes) if n_bytes > 0 => data.chunks(n_bytes).map(is_nan).collect(),
        _ => vec![false; n_rows],
    }
}

fn from_bytes(port: &Port, place: &str, bytes: &[u8]) -> Result<Vec<u8>, Problem> {
    let mut data = bytes.to_vec();
    match port.element {
        // Zero is zero with either sign.
        Element::Float32 => data.as_chunks_mut::<4>().0.iter_mut().for_each(|bytes| {
            *bytes = (f32::from_le_bytes(*bytes) + 0.0).to_le_bytes();
        }),
        Element::Float64 => data.as_chunks_mut::<8>().0.iter_mut().for_each(|bytes| {
            *bytes = (f64::from_le_bytes(*bytes) + 0.0).to_le_bytes();
        }),
        Element::Bool if data.iter().any(|byte| *byte > 1) => {
            return Err(Problem::new(400, place, "a boolean is a byte of 0 or 1"));
        }
        Element::String => {
            let tensor = record::Tensor { element: port.element, axes: Vec::new(), data: &data };
            let strings = tensor.strings();
            if strings.is_none_or(|strings| strings.iter().any(|text| text.contains('\0'))) {
                let what = "strings are a length of 4 bytes each and UTF-8 without zero characters";
                return Err(Problem::new(400, place, what));
            }
        }
        _ => {}
    }
    Ok(data)
}

/// Appends what JSON holds, flat or nested: the shape stands beside it.
fn from_json(port: &Port, place: &str, value: &Value, out: &mut Vec<u8>) -> Result<(), Problem> {
    let wrong = |given: String| Problem::mismatch(place, datatype(port.element).to_owned(), given);
    match value {
        Value::Array(values) => values.iter().try_for_each(|each| from_json(port, place, each, out)),
        Value::Number(number) => {
            let read = match (number.as_i64(), number.as_u64(), number.as_f64()) {
                (Some(whole), ..) => Number::Whole(whole.into()),
                (_, Some(whole), _) => Number::Whole(whole.into()),
                (_, _, Some(float)) => Number::Float(float),
                _ => return Err(wrong(number.to_string())),
            };
            if port.element.push_number(read, out) { Ok(()) } else { Err(wrong(number.to_string())) }
        }
        Value::Bool(flag) if port.element == Element::Bool => {
            out.push((*flag).into());
            Ok(())
        }
        Value::String(text) if port.element == Element::String && !text.contains('\0') => {
            record::write_string(out, text).ok_or_else(|| wrong("a string that is too long".to_owned()))
        }
        Value::Bool(_) => Err(wrong("a boolean".to_owned())),
        Value::String(_) => Err(wrong("a string".to_owned())),
        Value::Null => Err(wrong("null".to_owned())),
        Value::Object(_) => Err(wrong("an object".to_owned())),
    }
}

/// All inputs with an axis for rows have as many; one without is a row as it is.
fn n_rows(tensors: &[(&Port, Whole)]) -> Result<usize, Problem> {
    let mut counted = None;
    for (port, whole) in tensors {
        let n_rows = if port.has_axis { whole.axes.first().copied().unwrap_or(1) } else { 1 };
        match counted {
            Some((_, other)) if other == n_rows => {}
            Some((first, other)) => {
                let given = format!("{n_rows} rows");
                return Err(Problem::mismatch(
                    &format!("inputs.{}", port.name),
                    format!("{other} rows as `{first}`"),
                    given,
                ));
            }
            None => counted = Some((&port.name, n_rows)),
        }
    }
    Ok(counted.map_or(0, |(_, n_rows)| n_rows))
}

fn split(port: &Port, whole: &Whole, rows: &mut [RowRead]) -> Result<(), Problem> {
    let axes = if port.has_axis { whole.axes.get(1..).unwrap_or_default() } else { &whole.axes };
    let n_elements: usize = axes.iter().product();
    let mut rest = whole.data.as_slice();
    for (at, row) in rows.iter_mut().enumerate() {
        let n_bytes = match port.element.n_bytes() {
            Some(each) => n_elements * each,
            None => strings_length(rest, n_elements),
        };
        let (data, more) = rest.split_at_checked(n_bytes).unwrap_or((rest, &[]));
        rest = more;
        record::write(&mut row.record, port.element, axes, data)
            .ok_or_else(|| Problem::new(413, format!("inputs.{}", port.name), "is too large"))?;
        row.is_kept &= !whole.has_nan.get(at).copied().unwrap_or(false);
    }
    Ok(())
}

/// The bytes of the first `n` strings.
fn strings_length(data: &[u8], n: usize) -> usize {
    let mut at = 0;
    for _ in 0..n {
        let Some(length) = data.get(at..).and_then(|rest| rest.first_chunk::<4>()) else { break };
        at += 4 + usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
    }
    at
}

fn outputs(signature: &Signature, text: &Text) -> Result<Vec<(usize, bool)>, Problem> {
    let flag = |parameters: &Map<String, Value>, name: &str| parameters.get(name).and_then(Value::as_bool);
    let is_binary = flag(&text.parameters, "binary_data_output").unwrap_or(false);
    if text.outputs.is_empty() {
        return Ok((0..signature.outputs.len()).map(|at| (at, is_binary)).collect());
    }
    text.outputs
        .iter()
        .map(|output| {
            let place = format!("outputs.{}", output.name);
            if output.parameters.get("classification").is_some_and(|count| count.as_u64() != Some(0)) {
                return Err(Problem::new(400, place, "`classification` is not offered: ask for the tensor"));
            }
            let at = signature.outputs.iter().position(|port| port.name == output.name).ok_or_else(|| {
                let known: Vec<&str> = signature.outputs.iter().map(|port| port.name.as_str()).collect();
                Problem::new(400, place, format!("the model has no such output: there are {}", known.join(", ")))
            })?;
            Ok((at, flag(&output.parameters, "binary_data").unwrap_or(is_binary)))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use bodega_semantics::Fields;

    use super::*;

    fn port(name: &str, element: Element, row: &[Option<usize>]) -> Port {
        Port { name: name.to_owned(), element, row: row.to_vec(), has_axis: true }
    }

    fn signature() -> Signature {
        let inputs = vec![port("x", Element::Float32, &[Some(2)]), port("s", Element::String, &[None])];
        Signature { inputs, outputs: vec![port("y", Element::Float32, &[])], is_batched: true }
    }

    fn asked(json: &str, binary: &[u8]) -> Result<(Wanted, Vec<RowRead>), Problem> {
        let body = [json.as_bytes(), binary].concat();
        let mut fields = Fields::new();
        fields.push("Inference-Header-Content-Length", json.len().to_string().as_bytes());
        read(&signature(), &Asked { method: "POST", path: "/v2/models/m/infer", fields: &fields, body: &body })
    }

    fn strings(texts: &[&str]) -> Vec<u8> {
        let mut out = Vec::new();
        texts.iter().for_each(|text| record::write_string(&mut out, text).unwrap());
        out
    }

    const BOTH: &str = r#"{"inputs":[
        {"name":"s","shape":[2,1],"datatype":"BYTES","parameters":{"binary_data_size":11}},
        {"name":"x","shape":[2,2],"datatype":"FP32","parameters":{"binary_data_size":16}}],
        "outputs":[{"name":"y","parameters":{"binary_data":true}}]}"#;

    #[test]
    fn bytes_and_json_are_the_same_rows() {
        let floats = [1.0_f32, -0.0, 3.0, 4.5].map(f32::to_le_bytes).concat();
        let (wanted, binary) = asked(BOTH, &[strings(&["ab", "c"]), floats].concat()).unwrap();
        assert_eq!((wanted.n_rows, wanted.outputs), (2, vec![(0, true)]));
        let json = r#"{"id": "7", "inputs":[
            {"name":"x","shape":[2,2],"datatype":"FP32","data":[[1,0],[3.0,45e-1]]},
            {"name":"s","shape":[2,1],"datatype":"BYTES","data":["ab","c"]}]}"#;
        let (wanted, written) = asked(json, &[]).unwrap();
        assert_eq!((wanted.id.as_deref(), wanted.outputs), (Some("7"), vec![(0, false)]));
        let records = |rows: &[RowRead]| rows.iter().map(|row| row.record.clone()).collect::<Vec<_>>();
        assert_eq!(records(&binary), records(&written));
        assert!(binary.iter().all(|row| row.is_kept));
    }

    #[test]
    fn a_row_with_a_nan_is_not_kept_and_the_others_are() {
        let floats = [1.0_f32, 2.0, 3.0, f32::NAN].map(f32::to_le_bytes).concat();
        let (_, rows) = asked(BOTH, &[strings(&["ab", "c"]), floats].concat()).unwrap();
        assert_eq!(rows.iter().map(|row| row.is_kept).collect::<Vec<_>>(), [true, false]);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let x = r#"{"name":"x","shape":[1,2],"datatype":"FP32","data":[1,2]}"#;
        let s = r#"{"name":"s","shape":[1,1],"datatype":"BYTES","data":["a"]}"#;
        for (inputs, more, field, part) in [
            (format!("{x},{s}"), "", "", "bytes behind"),
            (x.to_owned(), "", "inputs.s", "missing"),
            (format!("{x},{x},{s}"), "", "inputs.x", "twice"),
            (format!("{x},{s},{}", x.replace("\"x\"", "\"z\"")), "", "inputs.z", "no such input"),
            (format!("{s},{}", x.replace("[1,2],\"d", "[1,3],\"d")), "", "inputs.x", "FP32[1, 3]"),
            (format!("{s},{}", x.replace("FP32", "FP64")), "", "inputs.x", "FP64"),
            (format!("{s},{}", x.replace(":[1,2]}", ":[1]}")), "", "inputs.x", "1 elements"),
            (format!("{s},{}", x.replace(":[1,2]}", ":[1,true]}")), "", "inputs.x", "a boolean"),
            (format!("{s},{}", x.replace(",\"data\":[1,2]", "")), "", "inputs.x", "neither"),
            (
                format!("{s},{}", x.replace("\"data\":[1,2]", "\"parameters\":{\"binary_data_size\":8}")),
                "",
                "inputs.x",
                "ends before",
            ),
            (
                format!("{x},{}", s.replace("[1,1]", "[2,1]").replace("[\"a\"]", "[\"a\",\"b\"]")),
                "",
                "inputs.s",
                "2 rows",
            ),
            (format!("{x},{s}"), r#","outputs":[{"name":"z"}]"#, "outputs.z", "no such output"),
        ] {
            let json = format!(r#"{{"inputs":[{inputs}]{more}}}"#);
            let binary: &[u8] = if part == "bytes behind" { b"123" } else { b"" };
            let problem = asked(&json, binary).unwrap_err();
            assert_eq!((problem.status, problem.field.as_str()), (400, field), "{json}: {}", problem.message);
            assert!(problem.message.contains(part), "{json}: {}", problem.message);
        }
    }
}
