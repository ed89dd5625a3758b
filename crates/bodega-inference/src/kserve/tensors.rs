//! The tensors of an inference, from wherever they came, to rows: the same as those of `/predict`.

use std::borrow::Cow;

use half::{bf16, f16};
use serde_json::Value;

use super::datatype;
use crate::element::{Element, Number, without_sign_of_zero};
use crate::features::{MAX_AXES, MAX_ROWS};
use crate::problem::Problem;
use crate::record;
use crate::signature::{Port, Signature, written};

/// A row, and whether its answer may be kept.
#[derive(Debug)]
pub(crate) struct RowRead {
    pub(crate) record: Vec<u8>,
    pub(crate) is_kept: bool,
}

/// A tensor as a client gives it.
pub(crate) struct Given<'a> {
    pub(crate) name: &'a str,
    pub(crate) datatype: &'a str,
    pub(crate) shape: Vec<usize>,
    pub(crate) data: Data<'a>,
}

/// Its elements.
pub(crate) enum Data<'a> {
    Json(&'a Value),
    /// Little-endian, and strings each behind its length.
    Bytes(Cow<'a, [u8]>),
}

/// A tensor that is not taken apart yet.
struct Whole {
    axes: Vec<usize>,
    /// As a record holds them.
    data: Vec<u8>,
    /// The elements of each row, in bytes; strings have each their own.
    has_nan: Vec<bool>,
}

/// Takes the inputs apart. `is_kept` is whether the request's answers may be.
pub(crate) fn rows(signature: &Signature, given: &[Given<'_>], is_kept: bool) -> Result<Vec<RowRead>, Problem> {
    let mut wholes: Vec<Option<Whole>> = signature.inputs.iter().map(|_| None).collect();
    for input in given {
        // Those that are inputs count, and all others are passed over, as in `/predict`.
        let is_input = signature.inputs.iter().any(|port| port.name == input.name);
        if !is_input && signature.ignored.iter().any(|ignored| ignored == input.name) {
            continue;
        }
        let at = signature.inputs.iter().position(|port| port.name == input.name).ok_or_else(|| {
            let known: Vec<&str> = signature.inputs.iter().map(|port| port.name.as_str()).collect();
            let message = format!("the model has no such input: there are {}", known.join(", "));
            Problem::new(400, format!("inputs.{}", input.name), message)
        })?;
        if wholes[at].is_some() {
            return Err(Problem::new(400, format!("inputs.{}", input.name), "is there twice"));
        }
        wholes[at] = Some(whole(&signature.inputs[at], input)?);
    }
    let mut tensors = Vec::with_capacity(wholes.len());
    for (whole, port) in wholes.into_iter().zip(&signature.inputs) {
        let place = || format!("inputs.{}", port.name);
        let expected = || format!("{}{}", datatype(port.element), port.axes());
        tensors.push((port, whole.ok_or_else(|| Problem::missing(&place(), expected()))?));
    }
    let n_rows = n_rows(&tensors)?;
    let mut rows: Vec<RowRead> = (0..n_rows).map(|_| RowRead { record: Vec::new(), is_kept }).collect();
    for (port, whole) in &tensors {
        split(port, whole, &mut rows)?;
    }
    Ok(rows)
}

/// What belongs to a sequence depends on what came before it.
pub(crate) fn is_of_sequence<'a>(mut parameters: impl Iterator<Item = &'a String>) -> bool {
    parameters.any(|name| name.starts_with("sequence_"))
}

fn whole(port: &Port, input: &Given<'_>) -> Result<Whole, Problem> {
    let place = format!("inputs.{}", port.name);
    let expected = || format!("{}{}", datatype(port.element), port.axes());
    // That of the rows may stand before those that any model takes.
    if input.shape.len() > MAX_AXES + 1 {
        let given = format!("a shape of {} axes", input.shape.len());
        return Err(Problem::mismatch(&place, expected(), given));
    }
    if input.datatype != datatype(port.element) {
        return Err(Problem::mismatch(&place, expected(), written(input.datatype, &input.shape)));
    }
    let row = if port.has_axis { input.shape.get(1..).unwrap_or_default() } else { &input.shape };
    if !port.takes(row) || (port.has_axis && input.shape.is_empty()) {
        let batch = if port.has_axis { " for each row, behind the axis of the rows" } else { "" };
        let expected = format!("{}{batch}", expected());
        return Err(Problem::mismatch(&place, expected, written(input.datatype, &input.shape)));
    }
    let n_elements = input.shape.iter().try_fold(1_usize, |product, axis| product.checked_mul(*axis));
    let n_elements = n_elements.ok_or_else(|| Problem::new(413, &place, "is too large"))?;
    let data = match &input.data {
        Data::Bytes(bytes) => from_bytes(port, &place, bytes)?,
        Data::Json(data) => {
            let mut out = Vec::new();
            from_json(port, &place, data, &mut out)?;
            out
        }
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
        None => record::Tensor { element, axes: record::Axes::new(), data }.strings().map(|strings| strings.len()),
    }
}

/// Which rows hold a NaN. Equal bytes of one need not mean equal things, so that these are not kept.
fn nans(element: Element, data: &[u8], n_rows: usize) -> Vec<bool> {
    let is_nan = |chunk: &[u8]| match element {
        Element::Float16 => chunk.as_chunks::<2>().0.iter().any(|bytes| f16::from_le_bytes(*bytes).is_nan()),
        Element::Bfloat16 => chunk.as_chunks::<2>().0.iter().any(|bytes| bf16::from_le_bytes(*bytes).is_nan()),
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
        Element::Float16 | Element::Bfloat16 => data.as_chunks_mut::<2>().0.iter_mut().for_each(|bytes| {
            *bytes = without_sign_of_zero(*bytes);
        }),
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
            let tensor = record::Tensor { element: port.element, axes: record::Axes::new(), data: &data };
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

/// The places among the model's of outputs that are asked for. Each may be once: a name is short, and a tensor need not be.
pub(crate) fn outputs<'a>(signature: &Signature, names: impl Iterator<Item = &'a str>) -> Result<Vec<usize>, Problem> {
    let mut places = Vec::new();
    for name in names {
        let problem = |message: String| Problem::new(400, format!("outputs.{name}"), message);
        let at = signature.outputs.iter().position(|port| port.name == name).ok_or_else(|| {
            let known: Vec<&str> = signature.outputs.iter().map(|port| port.name.as_str()).collect();
            problem(format!("the model has no such output: there are {}", known.join(", ")))
        })?;
        if places.contains(&at) {
            return Err(problem("is there twice".to_owned()));
        }
        places.push(at);
    }
    Ok(places)
}

/// What Triton makes of a tensor by a file of names is not made here.
pub(crate) fn no_classes(output: &str) -> Problem {
    Problem::new(400, format!("outputs.{output}"), "`classification` is not offered: ask for the tensor")
}
