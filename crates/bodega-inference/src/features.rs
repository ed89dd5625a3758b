//! `{"features": ...}`: the body of `/predict` and `/batch_predict`, read straight into records.
//!
//! A row is a nested array of its input's shape; for a model with several inputs an object that names each. The whole
//! of a tensor is read before its shape is judged, so that an error can say what came.

use std::cell::RefCell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::element::{Element, Number};
use crate::problem::Problem;
use crate::record;
use crate::signature::{Port, Signature, written};

/// The member that holds the inputs.
const FEATURES: &str = "features";
/// The most rows of one request.
pub(crate) const MAX_ROWS: usize = 4_096;
/// More axes than any model takes.
const MAX_AXES: usize = 16;

/// The rows of a body in their order: of a `/predict` one, of a `/batch_predict` any number.
pub(crate) fn read(body: &[u8], signature: &Signature, form: Form) -> Result<Vec<Vec<u8>>, Problem> {
    let found = Found::default();
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let read = Body { signature, form, found: &found }.deserialize(&mut deserializer);
    let read = read.and_then(|rows| deserializer.end().map(|()| rows));
    read.map_err(|error| found.into_inner().unwrap_or_else(|| not_json(body, &error)))
}

/// Whether `features` is a row or an array of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Row,
    Rows,
}

fn not_json(body: &[u8], error: &serde_json::Error) -> Problem {
    if body.trim_ascii().is_empty() {
        return Problem::new(400, "", "the body is empty: send {\"features\": [...]}");
    }
    // Nothing but a test for the word: it may stand in a string as well.
    let names_nan = [&b"NaN"[..], b"Infinity"].iter().any(|word| body.windows(word.len()).any(|part| part == *word));
    let hint = if names_nan { "; NaN and Infinity are no numbers of JSON" } else { "" };
    Problem::new(400, "", format!("the body cannot be read as JSON: {error}{hint}"))
}

/// Where a seed leaves what is wrong: the parser's own errors have no room for it.
type Found = RefCell<Option<Problem>>;

fn fail<E: Error>(found: &Found, problem: Problem) -> E {
    let error = E::custom(&problem.message);
    *found.borrow_mut() = Some(problem);
    error
}

/// The whole body.
struct Body<'a> {
    signature: &'a Signature,
    form: Form,
    found: &'a Found,
}

impl<'de> DeserializeSeed<'de> for Body<'_> {
    type Value = Vec<Vec<u8>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Body<'_> {
    type Value = Vec<Vec<u8>>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object with `features`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        let mut read = None;
        while let Some(name) = access.next_key::<String>()? {
            if name != FEATURES {
                access.next_value::<IgnoredAny>()?;
                continue;
            }
            if read.is_some() {
                return Err(fail(self.found, Problem::new(400, FEATURES, "is there twice")));
            }
            read = Some(match self.form {
                Form::Row => vec![access.next_value_seed(self.row(FEATURES.to_owned()))?],
                Form::Rows => access.next_value_seed(Rows(&self))?,
            });
        }
        let what = match self.form {
            Form::Row => "the inputs of one prediction",
            Form::Rows => "an array of rows, each the inputs of one prediction",
        };
        read.ok_or_else(|| fail(self.found, Problem::new(400, FEATURES, format!("is missing: {what}"))))
    }
}

impl Body<'_> {
    fn row(&self, field: String) -> Row<'_> {
        Row { signature: self.signature, found: self.found, field }
    }
}

/// An array of rows.
struct Rows<'a, 'b>(&'a Body<'b>);

impl<'de> DeserializeSeed<'de> for Rows<'_, '_> {
    type Value = Vec<Vec<u8>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Rows<'_, '_> {
    type Value = Vec<Vec<u8>>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an array of rows in `features`")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        let mut rows = Vec::new();
        while let Some(row) = access.next_element_seed(self.0.row(format!("{FEATURES}[{}]", rows.len())))? {
            if rows.len() == MAX_ROWS {
                let problem = Problem::new(413, FEATURES, format!("more than {MAX_ROWS} rows in one request"));
                return Err(fail(self.0.found, problem));
            }
            rows.push(row);
        }
        Ok(rows)
    }
}

/// One row: a tensor, or an object of them.
struct Row<'a> {
    signature: &'a Signature,
    found: &'a Found,
    field: String,
}

impl<'de> DeserializeSeed<'de> for Row<'_> {
    type Value = Vec<u8>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        match self.signature.inputs.as_slice() {
            [port] => deserializer.deserialize_any(OneOrNamed { port, row: self }),
            _ => deserializer.deserialize_any(Named(self)),
        }
    }
}

/// Of a model with one input: the tensor, or an object that names it all the same.
struct OneOrNamed<'a> {
    port: &'a Port,
    row: Row<'a>,
}

macro_rules! tensor_by {
    ($($visit:ident: $kind:ty),+) => {
        $(fn $visit<E: Error>(self, value: $kind) -> Result<Self::Value, E> {
            let (field, found) = (self.row.field, self.row.found);
            let mut tensor = Tensor::new(self.port, &field, found);
            Nest { tensor: &mut tensor }.$visit::<E>(value)?;
            tensor.record()
        })+
    };
}

impl<'de> Visitor<'de> for OneOrNamed<'_> {
    type Value = Vec<u8>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} in `{}`", self.port, self.row.field)
    }

    fn visit_map<A: MapAccess<'de>>(self, access: A) -> Result<Self::Value, A::Error> {
        Named(self.row).visit_map(access)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, access: A) -> Result<Self::Value, A::Error> {
        let (field, found) = (self.row.field, self.row.found);
        let mut tensor = Tensor::new(self.port, &field, found);
        Nest { tensor: &mut tensor }.visit_seq(access)?;
        tensor.record()
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Err(fail(self.row.found, Problem::mismatch(&self.row.field, self.port.to_string(), "null".to_owned())))
    }

    tensor_by!(visit_f64: f64, visit_i64: i64, visit_u64: u64, visit_bool: bool, visit_str: &str);
}

/// Every input by its name.
struct Named<'a>(Row<'a>);

impl<'de> Visitor<'de> for Named<'_> {
    type Value = Vec<u8>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.0.signature.inputs.iter().map(|port| format!("`{}`", port.name)).collect();
        write!(formatter, "an object with {} in `{}`", names.join(", "), self.0.field)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        let Row { signature, found, field } = self.0;
        let mut records: Vec<Option<Vec<u8>>> = vec![None; signature.inputs.len()];
        while let Some(name) = access.next_key::<String>()? {
            let place = format!("{field}.{name}");
            let Some(at) = signature.inputs.iter().position(|port| port.name == name) else {
                let known: Vec<&str> = signature.inputs.iter().map(|port| port.name.as_str()).collect();
                let message = format!("the model has no such input: there are {}", known.join(", "));
                return Err(fail(found, Problem::new(400, place, message)));
            };
            if records[at].is_some() {
                return Err(fail(found, Problem::new(400, place, "is there twice")));
            }
            let mut tensor = Tensor::new(&signature.inputs[at], &place, found);
            access.next_value_seed(Nest { tensor: &mut tensor })?;
            records[at] = Some(tensor.record()?);
        }
        let mut whole = Vec::new();
        for (record, port) in records.into_iter().zip(&signature.inputs) {
            match record {
                Some(record) => whole.extend_from_slice(&record),
                None => {
                    let place = format!("{field}.{}", port.name);
                    return Err(fail(found, Problem::new(400, place, format!("is missing: expected {port}"))));
                }
            }
        }
        Ok(whole)
    }
}

/// A tensor that is being read.
struct Tensor<'a> {
    port: &'a Port,
    field: &'a str,
    found: &'a Found,
    data: Vec<u8>,
    /// The length of each axis, once one array of it has ended.
    axes: Vec<Option<usize>>,
    /// How deep scalars stand.
    depth: Option<usize>,
    /// Where the reader is.
    path: Vec<usize>,
    is_ragged: bool,
}

impl<'a> Tensor<'a> {
    fn new(port: &'a Port, field: &'a str, found: &'a Found) -> Self {
        let n_elements: usize = port.row.iter().map(|axis| axis.unwrap_or(1)).product();
        // A guess, and bounded: the graph is the user's, but shapes may be any.
        let data = Vec::with_capacity(n_elements.min(4_096) * port.element.n_bytes().unwrap_or(8));
        Self { port, field, found, data, axes: Vec::new(), depth: None, path: Vec::new(), is_ragged: false }
    }

    fn place(&self) -> String {
        let path: String = self.path.iter().map(|index| format!("[{index}]")).collect();
        format!("{}{path}", self.field)
    }

    fn scalar<E: Error>(&mut self, push: impl FnOnce(Element, &mut Vec<u8>) -> Result<(), String>) -> Result<(), E> {
        let depth = self.path.len();
        self.is_ragged |= *self.depth.get_or_insert(depth) != depth || self.axes.len() > depth;
        push(self.port.element, &mut self.data).map_err(|given| {
            let expected = format!("{} in {}", self.port.element, self.port);
            fail(self.found, Problem::mismatch(&self.place(), expected, given))
        })
    }

    /// Judges the shape.
    fn record<E: Error>(self) -> Result<Vec<u8>, E> {
        let mut axes: Vec<usize> = self.axes.iter().map(|axis| axis.unwrap_or(0)).collect();
        if self.is_ragged {
            let message = format!("not a regular array: arrays of one depth differ in length; expected {}", self.port);
            return Err(fail(self.found, Problem::new(400, self.field, message)));
        }
        match (self.port.row.as_slice(), axes.as_slice()) {
            // One number is a row of one, and the other way round.
            ([Some(1)], []) => axes.push(1),
            ([], [1]) => axes.clear(),
            _ => {}
        }
        if !self.port.takes(&axes) {
            let given = written(self.port.element.name(), &axes);
            return Err(fail(self.found, Problem::mismatch(self.field, self.port.to_string(), given)));
        }
        let mut record = Vec::with_capacity(self.data.len() + 16);
        record::write(&mut record, self.port.element, &axes, &self.data)
            .ok_or_else(|| fail(self.found, Problem::new(413, self.field, "is too large")))?;
        Ok(record)
    }
}

/// An element of a tensor, or an array of them.
struct Nest<'t, 'a> {
    tensor: &'t mut Tensor<'a>,
}

impl<'de> DeserializeSeed<'de> for Nest<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Nest<'_, '_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} in `{}`", self.tensor.port, self.tensor.field)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<(), A::Error> {
        let tensor = self.tensor;
        let depth = tensor.path.len();
        if depth == MAX_AXES {
            let problem = Problem::new(400, tensor.field, format!("arrays deeper than {MAX_AXES}"));
            return Err(fail(tensor.found, problem));
        }
        tensor.is_ragged |= tensor.depth.is_some_and(|scalars| depth >= scalars);
        if tensor.axes.len() == depth {
            tensor.axes.push(None);
        }
        tensor.path.push(0);
        let mut n_elements = 0;
        while access.next_element_seed(Nest { tensor: &mut *tensor })?.is_some() {
            n_elements += 1;
            tensor.path[depth] = n_elements;
        }
        tensor.path.pop();
        tensor.is_ragged |= *tensor.axes[depth].get_or_insert(n_elements) != n_elements;
        Ok(())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        self.number(Number::Float(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.number(Number::Whole(value.into()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.number(Number::Whole(value.into()))
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.tensor.scalar(|element, data| {
            if element == Element::Bool {
                data.push(value.into());
                return Ok(());
            }
            Err(format!("the boolean {value}"))
        })
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        self.tensor.scalar(|element, data| {
            // ONNX Runtime ends strings with a zero byte: one within would make two strings one.
            if element == Element::String && !value.contains('\0') {
                return record::write_string(data, value).ok_or_else(|| "a string that is too long".to_owned());
            }
            Err(if element == Element::String { "a string with a zero character" } else { "a string" }.to_owned())
        })
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.tensor.scalar(|_, _| Err("null".to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<(), A::Error> {
        self.tensor.scalar(|_, _| Err("an object".to_owned()))
    }
}

impl Nest<'_, '_> {
    fn number<E: Error>(self, number: Number) -> Result<(), E> {
        self.tensor.scalar(
            |element, data| {
                if element.push_number(number, data) { Ok(()) } else { Err(format!("the number {number}")) }
            },
        )
    }
}

#[cfg(test)]
mod tests;
