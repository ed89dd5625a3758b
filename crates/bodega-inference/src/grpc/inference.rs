//! `ModelInfer`: tensors by their types or as bytes, to the rows that HTTP makes of them, and outputs in the same form.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bodega_edge::grpc;
use bodega_edge::predict::{Answered, NotRendered, Question, Rendered, Row};
use prost::Message;

use super::messages::{Contents, InferRequest, InferResponse, ParameterChoice, Tensor};
use super::{Call, decode};
use crate::element::Element;
use crate::group::Group;
use crate::kserve::answer::{gathered, records};
use crate::kserve::tensors::{self, Data, Given};
use crate::kserve::{datatype, of_machine, of_row};
use crate::model::Model;
use crate::problem::Problem;
use crate::record;

struct Inference {
    model: Arc<Model>,
    rows: Vec<Row>,
    id: String,
    /// Places among the model's outputs.
    outputs: Vec<usize>,
    /// Whether outputs are given as bytes: they are unless the inputs came by their types.
    is_raw: bool,
    call: Call,
    begun: Instant,
}

pub(super) fn read(group: &Group, message: &[u8], call: Call) -> Result<Box<dyn Question>, Problem> {
    let begun = Instant::now();
    check_counts(message)?;
    let request: InferRequest = decode(message)?;
    let version = Some(request.model_version.as_str()).filter(|version| !version.is_empty());
    let model = group.find(&request.model_name, version)?;
    let most = model.settings.max_body_bytes;
    if message.len() as u64 > most {
        return Err(Problem::new(413, "", format!("the message is over the limit of {most} bytes")));
    }
    let is_typed = request.inputs.iter().any(|input| input.contents.is_some());
    let given = request.inputs.iter().enumerate().map(|(at, input)| given(&request, at, input));
    let given = given.collect::<Result<Vec<_>, _>>()?;
    if !request.raw.is_empty() && request.raw.len() != request.inputs.len() {
        let expected = format!("one for each of {} inputs", request.inputs.len());
        return Err(Problem::mismatch("raw_input_contents", expected, request.raw.len().to_string()));
    }
    let is_kept = !tensors::is_of_sequence(request.parameters.keys());
    let rows = of_machine(model, tensors::rows(&model.signature, &given, is_kept)?)?;
    let outputs = outputs(model, &request)?;
    drop(given);
    Ok(Box::new(Inference { model: Arc::clone(model), rows, id: request.id, outputs, is_raw: !is_typed, call, begun }))
}

fn given<'a>(request: &'a InferRequest, at: usize, input: &'a Tensor) -> Result<Given<'a>, Problem> {
    let place = || format!("inputs.{}", input.name);
    let shape = input.shape.iter().map(|axis| usize::try_from(*axis)).collect::<Result<Vec<_>, _>>();
    let shape = shape.map_err(|_| Problem::new(400, place(), "its shape has an axis that is shorter than 0"))?;
    let bytes = match (&input.contents, request.raw.get(at)) {
        (Some(_), _) if !request.raw.is_empty() => {
            return Err(Problem::new(400, place(), "has `contents`, and there are `raw_input_contents`"));
        }
        (Some(contents), _) => {
            let bytes = contents.of_type(&input.datatype);
            Cow::Owned(bytes.ok_or_else(|| {
                let message = format!("has contents that are none of its datatype {:?}", input.datatype);
                Problem::new(400, place(), message)
            })?)
        }
        (None, Some(raw)) => Cow::Borrowed(raw.as_slice()),
        // A tensor without elements may have nothing that holds them.
        (None, None) if shape.contains(&0) => Cow::Borrowed(&[][..]),
        (None, None) => return Err(Problem::new(400, place(), "has neither `contents` nor `raw_input_contents`")),
    };
    Ok(Given { name: &input.name, datatype: &input.datatype, shape, data: Data::Bytes(bytes) })
}

fn outputs(model: &Model, request: &InferRequest) -> Result<Vec<usize>, Problem> {
    if request.outputs.is_empty() {
        return Ok((0..model.signature.outputs.len()).collect());
    }
    for output in &request.outputs {
        let count = output.parameters.get("classification").and_then(|count| count.choice.as_ref());
        if !matches!(count, None | Some(ParameterChoice::Signed(0) | ParameterChoice::Unsigned(0))) {
            return Err(tensors::no_classes(&output.name));
        }
    }
    tensors::outputs(&model.signature, request.outputs.iter().map(|output| output.name.as_str()))
}

impl Question for Inference {
    fn rows(&self) -> &[Row] {
        &self.rows
    }

    fn timeout(&self) -> Option<Duration> {
        self.call.timeout
    }

    fn render(&self, answers: &[Answered<'_>]) -> Result<Rendered, NotRendered> {
        let rows = records(answers)?;
        let mut response = InferResponse {
            model_name: self.model.name().to_owned(),
            model_version: self.model.version().to_owned(),
            id: self.id.clone(),
            ..InferResponse::default()
        };
        // Floats of 16 bits have no place among typed contents.
        let is_half = |at: &usize| {
            let port = self.model.signature.outputs.get(*at);
            port.is_some_and(|port| matches!(port.element, Element::Float16 | Element::Bfloat16))
        };
        let is_raw = self.is_raw || self.outputs.iter().any(is_half);
        for &at in &self.outputs {
            let (port, shape, tensors) = gathered(&self.model.signature, at, &rows)?;
            let data = tensors.iter().map(|tensor| tensor.data).collect::<Vec<_>>().concat();
            let mut output = Tensor {
                name: port.name.clone(),
                datatype: datatype(port.element).to_owned(),
                shape: shape.into_iter().map(|axis| i64::try_from(axis).unwrap_or(i64::MAX)).collect(),
                ..Tensor::default()
            };
            if is_raw {
                response.raw.push(data);
            } else {
                let contents = Contents::of(port.element, &data).ok_or_else(NotRendered::no_prediction)?;
                output.contents = Some(contents);
            }
            response.outputs.push(output);
        }
        let rendered = self.call.answer(&response.encode_to_vec())?;
        self.model.tally.answered(self.begun, answers);
        Ok(rendered)
    }

    fn render_failure(&self, status: u16, what: &str, row: Option<usize>) -> Rendered {
        self.model.tally.failed(self.begun);
        grpc::alone(status, &of_row(&self.rows, what, row))
    }
}

impl Contents {
    /// The elements as bytes, if they are all of the type that this is called; a number that does not fit is none of it.
    fn of_type(&self, datatype: &str) -> Option<Vec<u8>> {
        fn bytes<T: Copy, const N: usize>(of: &[T], each: impl Fn(T) -> Option<[u8; N]>) -> Option<Vec<u8>> {
            of.iter().map(|value| each(*value)).collect::<Option<Vec<_>>>().map(|all| all.concat())
        }
        let counts = [
            self.bools.len(),
            self.ints.len(),
            self.int64s.len(),
            self.uints.len(),
            self.uint64s.len(),
            self.floats.len(),
            self.doubles.len(),
            self.strings.len(),
        ];
        let total: usize = counts.iter().sum();
        let (n_elements, bytes) = match datatype {
            "BOOL" => (self.bools.len(), bytes(&self.bools, |value| Some([u8::from(value)]))),
            "INT8" => (self.ints.len(), bytes(&self.ints, |value| i8::try_from(value).ok().map(i8::to_le_bytes))),
            "INT16" => (self.ints.len(), bytes(&self.ints, |value| i16::try_from(value).ok().map(i16::to_le_bytes))),
            "INT32" => (self.ints.len(), bytes(&self.ints, |value| Some(value.to_le_bytes()))),
            "INT64" => (self.int64s.len(), bytes(&self.int64s, |value| Some(value.to_le_bytes()))),
            "UINT8" => (self.uints.len(), bytes(&self.uints, |value| u8::try_from(value).ok().map(u8::to_le_bytes))),
            "UINT16" => (self.uints.len(), bytes(&self.uints, |value| u16::try_from(value).ok().map(u16::to_le_bytes))),
            "UINT32" => (self.uints.len(), bytes(&self.uints, |value| Some(value.to_le_bytes()))),
            "UINT64" => (self.uint64s.len(), bytes(&self.uint64s, |value| Some(value.to_le_bytes()))),
            "FP32" => (self.floats.len(), bytes(&self.floats, |value| Some(value.to_le_bytes()))),
            "FP64" => (self.doubles.len(), bytes(&self.doubles, |value| Some(value.to_le_bytes()))),
            "BYTES" => {
                let mut out = Vec::new();
                for string in &self.strings {
                    out.extend_from_slice(&u32::try_from(string.len()).ok()?.to_le_bytes());
                    out.extend_from_slice(string);
                }
                (self.strings.len(), Some(out))
            }
            // What no model takes is told with what this one does.
            _ => (total, Some(Vec::new())),
        };
        bytes.filter(|_| n_elements == total)
    }

    /// The elements of `data`, in the place of their type. `None` if it holds none.
    fn of(element: Element, data: &[u8]) -> Option<Self> {
        fn values<const N: usize, T>(data: &[u8], read: impl Fn([u8; N]) -> T) -> Vec<T> {
            data.as_chunks::<N>().0.iter().map(|bytes| read(*bytes)).collect()
        }
        let mut contents = Self::default();
        match element {
            Element::Bool => contents.bools = values(data, |bytes: [u8; 1]| bytes != [0]),
            Element::Int8 => contents.ints = values(data, |bytes| i8::from_le_bytes(bytes).into()),
            Element::Int16 => contents.ints = values(data, |bytes| i16::from_le_bytes(bytes).into()),
            Element::Int32 => contents.ints = values(data, i32::from_le_bytes),
            Element::Int64 => contents.int64s = values(data, i64::from_le_bytes),
            Element::Uint8 => contents.uints = values(data, |bytes| u8::from_le_bytes(bytes).into()),
            Element::Uint16 => contents.uints = values(data, |bytes| u16::from_le_bytes(bytes).into()),
            Element::Uint32 => contents.uints = values(data, u32::from_le_bytes),
            Element::Uint64 => contents.uint64s = values(data, u64::from_le_bytes),
            Element::Float16 | Element::Bfloat16 => return None,
            Element::Float32 => contents.floats = values(data, f32::from_le_bytes),
            Element::Float64 => contents.doubles = values(data, f64::from_le_bytes),
            Element::String => {
                let tensor = record::Tensor { element, axes: record::Axes::new(), data };
                contents.strings = tensor.strings()?.into_iter().map(|text| text.as_bytes().to_vec()).collect();
            }
        }
        Some(contents)
    }
}

/// Looks how many tensors a message has before it is decoded: an empty one is two bytes there and hundreds here.
fn check_counts(message: &[u8]) -> Result<(), Problem> {
    let mut rest = message;
    let mut n_tensors = 0;
    while let Some(key) = varint(&mut rest) {
        let (field, wire_type) = (key >> 3, key & 7);
        let n_bytes = match wire_type {
            0 => {
                let Some(_) = varint(&mut rest) else { break };
                0
            }
            1 => 8,
            2 => {
                let Some(n_bytes) = varint(&mut rest) else { break };
                n_bytes
            }
            5 => 4,
            // A group, or nothing at all: no message of ours has one.
            _ => return Err(Problem::new(400, "", "the message cannot be read: it has a group")),
        };
        n_tensors += usize::from(matches!(field, 4..=7));
        if n_tensors > MAX_TENSORS {
            let message = format!("more than {MAX_TENSORS} inputs, outputs and parameters together");
            return Err(Problem::new(413, "", message));
        }
        // That it is cut is told by the decoder.
        let Some(behind) = usize::try_from(n_bytes).ok().and_then(|n_bytes| rest.get(n_bytes..)) else { break };
        rest = behind;
    }
    Ok(())
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for (at, byte) in bytes.iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7f).checked_shl(7 * u32::try_from(at).ok()?)?;
        if byte & 0x80 == 0 {
            *bytes = &bytes[at + 1..];
            return Some(value);
        }
    }
    None
}

/// Inputs, outputs asked for, tensors as bytes and parameters of one call.
const MAX_TENSORS: usize = 4_096;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use serde::Serialize;

    use super::super::messages::{Empty, Requested};
    use super::*;
    use crate::element::ALL;
    use crate::features::{self, Form};
    use crate::signature::{Port, Signature};

    #[test]
    fn elements_by_their_type_are_bytes_and_back() {
        let is_half = |element: &Element| matches!(element, Element::Float16 | Element::Bfloat16);
        let typed: Vec<Element> = ALL.into_iter().filter(|element| !is_half(element)).collect();
        for element in ALL.into_iter().filter(is_half) {
            assert!(Contents::of(element, &[0, 0]).is_none(), "{element} goes as raw bytes only");
        }
        for &element in &typed {
            let data: Vec<u8> = match element.n_bytes() {
                Some(1) => vec![1, 0],
                Some(n_bytes) => (0..n_bytes * 2).map(|byte| u8::try_from(byte).unwrap()).collect(),
                None => {
                    let mut out = Vec::new();
                    record::write_string(&mut out, "ü").unwrap();
                    record::write_string(&mut out, "").unwrap();
                    out
                }
            };
            let contents = Contents::of(element, &data).unwrap();
            assert_eq!(contents.of_type(datatype(element)).unwrap(), data, "{element}");
            for &other in &typed {
                // Types of one kind of number share a place.
                if contents.of_type(datatype(other)).is_some() {
                    let widths = ["INT8 INT16 INT32", "UINT8 UINT16 UINT32"];
                    let together = |one: &str, other: &str| {
                        widths.iter().any(|kind| {
                            kind.split(' ').any(|each| each == one) && kind.split(' ').any(|each| each == other)
                        })
                    };
                    let (one, other) = (datatype(element), datatype(other));
                    assert!(one == other || together(one, other), "{one} {other}");
                }
            }
        }
        let wide = Contents { ints: vec![128], ..Contents::default() };
        assert_eq!((wide.of_type("INT8"), wide.of_type("INT16").is_some()), (None, true));
    }

    #[test]
    fn many_tensors_are_refused_before_they_are_read() {
        let request = InferRequest { outputs: vec![Requested::default(); MAX_TENSORS], ..InferRequest::default() };
        check_counts(&request.encode_to_vec()).unwrap();
        let more = InferRequest { raw: vec![Vec::new()], ..request };
        assert_eq!(check_counts(&more.encode_to_vec()).unwrap_err().status, 413);
        // What looks longer than it is ends the look; the decoder tells it.
        check_counts(b"\x2a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01").unwrap();
        check_counts(b"\x2a").unwrap();
    }

    /// Whoever asks, in whatever form: one input has one record, which is what its key is made of.
    fn records_of<T: Serialize>(
        element: Element,
        values: &[[T; 3]],
        raw: Vec<u8>,
        contents: Contents,
    ) -> Vec<Vec<Vec<u8>>> {
        let port = Port { name: "x".to_owned(), element, row: vec![Some(3)], has_axis: true };
        let signature = Signature { inputs: vec![port], outputs: Vec::new(), is_batched: true, ..Signature::default() };
        let tensor = Tensor {
            name: "x".to_owned(),
            datatype: datatype(element).to_owned(),
            shape: vec![i64::try_from(values.len()).unwrap(), 3],
            ..Tensor::default()
        };
        let contents = Some(contents);
        let by_type = InferRequest { inputs: vec![Tensor { contents, ..tensor.clone() }], ..InferRequest::default() };
        let by_bytes = InferRequest { inputs: vec![tensor], raw: vec![raw], ..InferRequest::default() };
        let mut all = Vec::new();
        for request in [by_type, by_bytes] {
            let request: InferRequest = decode(&request.encode_to_vec()).unwrap();
            let given = given(&request, 0, &request.inputs[0]).unwrap();
            let rows = tensors::rows(&signature, &[given], true).unwrap();
            all.push(rows.into_iter().map(|row| row.record).collect());
        }
        // As a body holds it: text, which is read.
        let text = serde_json::to_string(values).unwrap();
        let data = serde_json::from_str(&text).unwrap();
        let shape = vec![values.len(), 3];
        let given = Given { name: "x", datatype: datatype(element), shape, data: Data::Json(&data) };
        let rows = tensors::rows(&signature, &[given], true).unwrap();
        all.push(rows.into_iter().map(|row| row.record).collect());
        let body = format!(r#"{{"features":{text}}}"#);
        all.push(features::rows(body.as_bytes(), &signature, Form::Rows).unwrap());
        all
    }

    /// Any number of 64 bits that is finite, by its bits.
    fn doubles() -> impl Strategy<Value = f64> {
        any::<u64>().prop_map(f64::from_bits).prop_filter("JSON has no NaN and no infinity", |value| value.is_finite())
    }

    proptest! {
        #[test]
        fn one_input_has_one_record_in_every_interface(
            values in proptest::collection::vec(proptest::array::uniform3(proptest::num::f32::NORMAL | proptest::num::f32::ZERO), 0..20),
        ) {
            let flat = values.concat();
            let raw = flat.iter().flat_map(|value| value.to_le_bytes()).collect();
            let all = records_of(Element::Float32, &values, raw, Contents { floats: flat, ..Contents::default() });
            for each in &all {
                prop_assert_eq!(each.len(), values.len());
                prop_assert_eq!(each, &all[0]);
            }
        }

        /// A reader of JSON that rounds gave one in five numbers of 64 bits to the model as another one.
        #[test]
        fn a_number_of_64_bits_is_itself_in_every_interface(
            values in proptest::collection::vec(proptest::array::uniform3(doubles()), 0..20),
        ) {
            let flat = values.concat();
            let raw = flat.iter().flat_map(|value| value.to_le_bytes()).collect();
            let all = records_of(Element::Float64, &values, raw, Contents { doubles: flat, ..Contents::default() });
            for each in &all {
                prop_assert_eq!(each.len(), values.len());
                prop_assert_eq!(each, &all[0]);
            }
        }

        #[test]
        fn any_bytes_are_read_or_told(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            if check_counts(&bytes).is_ok() && let Ok(request) = decode::<InferRequest>(&bytes) {
                for (at, input) in request.inputs.iter().enumerate() {
                    drop(given(&request, at, input));
                }
            }
            drop(decode::<Empty>(&bytes));
        }

        #[test]
        fn what_is_written_is_counted(n_inputs in 0_usize..20, raw in proptest::collection::vec(any::<u8>(), 0..300)) {
            let input = Tensor { name: "x".to_owned(), shape: vec![-1, i64::MAX], ..Tensor::default() };
            let request = InferRequest {
                id: "7".to_owned(), inputs: vec![input; n_inputs], raw: vec![raw; n_inputs], ..InferRequest::default()
            };
            let bytes = request.encode_to_vec();
            prop_assert!(check_counts(&bytes).is_ok());
            prop_assert_eq!(decode::<InferRequest>(&bytes).unwrap(), request);
        }
    }
}
