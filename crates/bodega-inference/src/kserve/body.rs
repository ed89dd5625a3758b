//! The body of an inference by HTTP: JSON, and behind it the bytes of tensors (the binary tensor extension).

use std::borrow::Cow;

use bodega_semantics::Head;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::tensors::{self, Data, Given, RowRead};
use crate::problem::Problem;
use crate::signature::Signature;

/// Says how much of a body is JSON: of the body as it was before it was packed.
const HEADER_LENGTH: &str = "inference-header-content-length";

/// What the answer should hold.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) id: Option<String>,
    /// Places among the model's outputs, and whether as bytes.
    pub(super) outputs: Vec<(usize, bool)>,
}

#[derive(Deserialize)]
struct Text {
    id: Option<String>,
    #[serde(default)]
    parameters: Parameters,
    inputs: Vec<InputText>,
    outputs: Option<Vec<OutputText>>,
}

/// What is said beside tensors. `null` is as much as nothing: clients that keep a place for it write that.
#[derive(Default, Deserialize)]
#[serde(transparent)]
struct Parameters(Option<Map<String, Value>>);

impl Parameters {
    fn get(&self, name: &str) -> Option<&Value> {
        self.0.as_ref()?.get(name)
    }

    fn flag(&self, name: &str) -> Option<bool> {
        self.get(name).and_then(Value::as_bool)
    }
}

#[derive(Deserialize)]
struct InputText {
    name: String,
    shape: Vec<usize>,
    datatype: String,
    #[serde(default)]
    parameters: Parameters,
    data: Option<Value>,
}

#[derive(Deserialize)]
struct OutputText {
    name: String,
    #[serde(default)]
    parameters: Parameters,
}

pub(super) fn read<H: Head>(signature: &Signature, fields: &H, body: &[u8]) -> Result<(Wanted, Vec<RowRead>), Problem> {
    let (json, mut binary) = parts(fields, body)?;
    if json.trim_ascii_start().first().is_some_and(|first| *first != b'{') {
        return Err(Problem::new(400, "", "the inference is no object: {\"inputs\": [...]}"));
    }
    let text: Text = serde_json::from_slice(json)
        .map_err(|error| Problem::new(400, "", format!("the inference cannot be read: {error}")))?;
    let given = text.inputs.iter().map(|input| given(input, &mut binary)).collect::<Result<Vec<_>, _>>()?;
    if !binary.is_empty() {
        let message = format!("{} bytes behind the tensors belong to none", binary.len());
        return Err(Problem::new(400, "", message));
    }
    let rows =
        tensors::rows(signature, &given, !tensors::is_of_sequence(text.parameters.0.iter().flat_map(Map::keys)))?;
    Ok((Wanted { outputs: outputs(signature, &text)?, id: text.id }, rows))
}

fn given<'a>(input: &'a InputText, binary: &mut &'a [u8]) -> Result<Given<'a>, Problem> {
    let place = || format!("inputs.{}", input.name);
    let n_binary = input.parameters.get("binary_data_size").map(|size| {
        let size = size.as_u64().and_then(|size| usize::try_from(size).ok());
        size.ok_or_else(|| {
            Problem::new(400, format!("{}.parameters.binary_data_size", place()), "is no number of bytes")
        })
    });
    let data = match (n_binary.transpose()?, &input.data) {
        (Some(n_bytes), None) => {
            let (taken, rest) = binary
                .split_at_checked(n_bytes)
                .ok_or_else(|| Problem::new(400, place(), "the body ends before its bytes do"))?;
            *binary = rest;
            Data::Bytes(Cow::Borrowed(taken))
        }
        (None, Some(data)) => Data::Json(data),
        (Some(_), Some(_)) => return Err(Problem::new(400, place(), "has both `data` and `binary_data_size`")),
        (None, None) => return Err(Problem::new(400, place(), "has neither `data` nor `binary_data_size`")),
    };
    Ok(Given { name: &input.name, datatype: &input.datatype, shape: input.shape.clone(), data })
}

fn parts<'a, H: Head>(fields: &H, body: &'a [u8]) -> Result<(&'a [u8], &'a [u8]), Problem> {
    let Some(written) = fields.first(HEADER_LENGTH) else { return Ok((body, &[])) };
    let n_bytes = std::str::from_utf8(written).ok().and_then(|text| text.trim().parse::<usize>().ok());
    n_bytes
        .and_then(|n_bytes| body.split_at_checked(n_bytes))
        .ok_or_else(|| Problem::new(400, "Inference-Header-Content-Length", "is no number of bytes of this body"))
}

fn outputs(signature: &Signature, text: &Text) -> Result<Vec<(usize, bool)>, Problem> {
    let is_binary = text.parameters.flag("binary_data_output").unwrap_or(false);
    let outputs = text.outputs.as_deref().unwrap_or_default();
    if outputs.is_empty() {
        return Ok((0..signature.outputs.len()).map(|at| (at, is_binary)).collect());
    }
    let of_classes =
        |output: &&OutputText| output.parameters.get("classification").is_some_and(|count| count.as_u64() != Some(0));
    if let Some(output) = outputs.iter().find(of_classes) {
        return Err(tensors::no_classes(&output.name));
    }
    let places = tensors::outputs(signature, outputs.iter().map(|output| output.name.as_str()))?;
    let is_binary = outputs.iter().map(|output| output.parameters.flag("binary_data").unwrap_or(is_binary));
    Ok(places.into_iter().zip(is_binary).collect())
}

#[cfg(test)]
mod tests {
    use bodega_semantics::Fields;

    use super::*;
    use crate::element::Element;
    use crate::record;
    use crate::signature::Port;

    fn port(name: &str, element: Element, row: &[Option<usize>]) -> Port {
        Port { name: name.to_owned(), element, row: row.to_vec(), has_axis: true }
    }

    fn signature() -> Signature {
        let inputs = vec![port("x", Element::Float32, &[Some(2)]), port("s", Element::String, &[None])];
        Signature { outputs: vec![port("y", Element::Float32, &[])], inputs, is_batched: true, ..Signature::default() }
    }

    fn asked(json: &str, binary: &[u8]) -> Result<(Wanted, Vec<RowRead>), Problem> {
        let body = [json.as_bytes(), binary].concat();
        let mut fields = Fields::new();
        fields.push("Inference-Header-Content-Length", json.len().to_string().as_bytes());
        read(&signature(), &fields, &body)
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
        assert_eq!((binary.len(), wanted.outputs), (2, vec![(0, true)]));
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
    fn what_is_ignored_is_passed_over() {
        let x = r#"{"name":"x","shape":[1,2],"datatype":"FP32","data":[1,2]}"#;
        let s = r#"{"name":"s","shape":[1,1],"datatype":"BYTES","data":["a"]}"#;
        let request =
            r#"{"name":"request","shape":[9],"datatype":"NONE","data":null,"parameters":{"binary_data_size":3}}"#;
        let json = |more: &str| format!(r#"{{"inputs":[{more}{x},{s}]}}"#);
        let ignoring = signature().ignoring(&["request".to_owned()]).unwrap();
        let (with, without) = (json(&format!("{request},")), json(""));
        let mut fields = Fields::new();
        fields.push("Inference-Header-Content-Length", with.len().to_string().as_bytes());
        let (_, rows) = read(&ignoring, &fields, &[with.as_bytes(), b"abc"].concat()).unwrap();
        let (_, others) = asked(&without, &[]).unwrap();
        assert_eq!(rows[0].record, others[0].record);
        assert_eq!(
            read(&signature(), &fields, &[with.as_bytes(), b"abc"].concat()).unwrap_err().field,
            "inputs.request"
        );
    }

    #[test]
    fn what_is_null_is_not_there() {
        let json = r#"{"id": null, "parameters": null, "outputs": null, "inputs":[
            {"name":"x","shape":[1,2],"datatype":"FP32","data":[1,2],"parameters":null},
            {"name":"s","shape":[1,1],"datatype":"BYTES","data":["a"],"parameters":null}]}"#;
        let (wanted, rows) = asked(json, &[]).unwrap();
        assert_eq!((wanted.id, wanted.outputs, rows.len()), (None, vec![(0, false)], 1));
        let named = json.replace(r#""outputs": null"#, r#""outputs": [{"name": "y", "parameters": null}]"#);
        assert_eq!(asked(&named, &[]).unwrap().0.outputs, [(0, false)]);
        assert!(asked(&json.replace(r#""inputs":["#, r#""inputs": null, "other": ["#), &[]).is_err(), "that has to be");
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
            (
                format!("{s},{}", x.replace("[1,2],\"d", &format!("[1{}],\"d", ",1".repeat(99_999)))),
                "",
                "inputs.x",
                "got a shape of 100000 axes",
            ),
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
            (format!("{x},{s}"), r#","outputs":[{"name":"y"},{"name":"y"}]"#, "outputs.y", "twice"),
            (
                format!("{x},{s}"),
                r#","outputs":[{"name":"y","parameters":{"classification":2}}]"#,
                "outputs.y",
                "ask for the tensor",
            ),
        ] {
            let json = format!(r#"{{"inputs":[{inputs}]{more}}}"#);
            let binary: &[u8] = if part == "bytes behind" { b"123" } else { b"" };
            let problem = asked(&json, binary).unwrap_err();
            assert_eq!((problem.status, problem.field.as_str()), (400, field), "{json}: {}", problem.message);
            assert!(problem.message.contains(part), "{json}: {}", problem.message);
        }
    }
}
