//! `{"features": ...}`: the body of `/predict` and `/batch_predict`, read straight into records.
//!
//! A row is a nested array of its input's shape; for a model with several inputs an object that names each. The whole
//! of a tensor is read before its shape is judged, so that an error can say what came.

use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt;
use std::ops::Range;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::element::{Element, Number};
use crate::problem::Problem;
use crate::record;
use crate::signature::{Port, Signature, written};

/// What a row is: the tensor, or an object that names several.
fn expected(signature: &Signature) -> String {
    match signature.inputs.as_slice() {
        [port] => port.to_string(),
        ports => {
            let ports: Vec<String> = ports.iter().map(|port| format!("{}: {port}", port.name)).collect();
            format!("an object with {}", ports.join(", "))
        }
    }
}

/// The member that holds the inputs.
const FEATURES: &str = "features";
/// The most rows of one request.
pub(crate) const MAX_ROWS: usize = 4_096;
/// More axes than any model takes.
pub(crate) const MAX_AXES: usize = 16;

/// Reads the rows of a body, of a `/predict` one, of a `/batch_predict` any number, and gives each to `row`. Those of a
/// body that turns out to be wrong may have been given before.
pub(crate) fn read(body: &[u8], signature: &Signature, form: Form, row: &mut dyn FnMut(&[u8])) -> Result<(), Problem> {
    let found = Found::default();
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let read = READING.with_borrow_mut(|reading| {
        let read = Body { signature, form, found: &found, reading, row }.deserialize(&mut deserializer);
        reading.record.clear();
        reading.record.shrink_to(record::MAX_KEPT_BYTES);
        read
    });
    let read = read.and_then(|()| deserializer.end());
    read.map_err(|error| found.into_inner().unwrap_or_else(|| not_json(body, &error)))
}

/// The same, as a list.
pub(crate) fn rows(body: &[u8], signature: &Signature, form: Form) -> Result<Vec<Vec<u8>>, Problem> {
    let mut rows = Vec::new();
    read(body, signature, form, &mut |row| rows.push(row.to_vec()))?;
    Ok(rows)
}

thread_local! {
    static READING: RefCell<Reading> = RefCell::default();
}

/// Where rows are put together: memory that the thread keeps.
#[derive(Default)]
struct Reading {
    /// The row so far.
    record: Vec<u8>,
    /// Of the tensor: the length of each axis, once one array of it has ended.
    axes: Vec<Option<usize>>,
    /// Of the tensor: where the reader is.
    path: Vec<usize>,
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
    let hint =
        if names_nan { "; NaN and Infinity are no numbers of JSON: send the bytes of a tensor (/v2)" } else { "" };
    if let Some((given, expected)) = of_another_type(&error.to_string()) {
        let field = if expected.ends_with(IN_FEATURES) { FEATURES } else { "" };
        return Problem::mismatch(field, expected.trim_end_matches(IN_FEATURES).to_owned(), given);
    }
    Problem::new(400, "", format!("the body cannot be read as JSON: {error}{hint}"))
}

/// What came and what was expected, of a parser's error that says so.
fn of_another_type(error: &str) -> Option<(String, String)> {
    let (said, _) = error.strip_prefix("invalid type: ")?.rsplit_once(" at line ")?;
    let (given, expected) = said.split_once(", expected ")?;
    Some((given.to_owned(), expected.to_owned()))
}

const IN_FEATURES: &str = " in `features`";

/// Where a seed leaves what is wrong: the parser's own errors have no room for it.
type Found = RefCell<Option<Problem>>;

fn fail<E: Error>(found: &Found, problem: Problem) -> E {
    let error = E::custom(&problem.message);
    *found.borrow_mut() = Some(problem);
    error
}

/// The name of a member, which mostly stands in the body as it is.
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = Cow<'de, str>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a name")
    }

    fn visit_borrowed_str<E: Error>(self, name: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(name))
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(name.to_owned()))
    }
}

/// The whole body.
struct Body<'a> {
    signature: &'a Signature,
    form: Form,
    found: &'a Found,
    reading: &'a mut Reading,
    row: &'a mut dyn FnMut(&[u8]),
}

impl<'de> DeserializeSeed<'de> for Body<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Body<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object with `features`")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut access: A) -> Result<(), A::Error> {
        let mut is_read = false;
        while let Some(name) = access.next_key_seed(Name)? {
            if name != FEATURES {
                access.next_value::<IgnoredAny>()?;
                continue;
            }
            if is_read {
                return Err(fail(self.found, Problem::new(400, FEATURES, "is there twice")));
            }
            match self.form {
                Form::Row => {
                    access.next_value_seed(self.at(None))?;
                    self.end_row();
                }
                Form::Rows => access.next_value_seed(Rows(&mut self))?,
            }
            is_read = true;
        }
        if is_read {
            return Ok(());
        }
        Err(fail(self.found, Problem::missing(FEATURES, self.expected())))
    }
}

impl Body<'_> {
    /// What `features` has to be.
    fn expected(&self) -> String {
        let row = expected(self.signature);
        match self.form {
            Form::Row => row,
            Form::Rows => format!("an array of rows, each {row}"),
        }
    }

    /// What reads a row: the only one, or one of an array.
    fn at(&mut self, row: Option<usize>) -> Row<'_> {
        self.reading.record.clear();
        Row { signature: self.signature, found: self.found, place: Place { row, input: None }, reading: self.reading }
    }

    fn end_row(&mut self) {
        (self.row)(&self.reading.record);
    }
}

/// Where something stands: `features[3].name`.
#[derive(Clone, Copy)]
struct Place<'a> {
    row: Option<usize>,
    input: Option<&'a str>,
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(FEATURES)?;
        if let Some(row) = self.row {
            write!(formatter, "[{row}]")?;
        }
        self.input.map_or(Ok(()), |input| write!(formatter, ".{input}"))
    }
}

/// An array of rows.
struct Rows<'a, 'b>(&'a mut Body<'b>);

impl<'de> DeserializeSeed<'de> for Rows<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Rows<'_, '_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an array of rows in `features`")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<(), A::Error> {
        let mut n_rows = 0;
        while access.next_element_seed(self.0.at(Some(n_rows)))?.is_some() {
            if n_rows == MAX_ROWS {
                let problem = Problem::new(413, FEATURES, format!("more than {MAX_ROWS} rows in one request"));
                return Err(fail(self.0.found, problem));
            }
            self.0.end_row();
            n_rows += 1;
        }
        Ok(())
    }
}

/// One row: a tensor, or an object of them.
struct Row<'a> {
    signature: &'a Signature,
    found: &'a Found,
    place: Place<'a>,
    reading: &'a mut Reading,
}

impl<'de> DeserializeSeed<'de> for Row<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
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
        $(fn $visit<E: Error>(self, value: $kind) -> Result<(), E> {
            let mut tensor = self.tensor();
            Nest { tensor: &mut tensor }.$visit::<E>(value)?;
            tensor.end()
        })+
    };
}

impl<'a> OneOrNamed<'a> {
    fn tensor(self) -> Tensor<'a> {
        Tensor::begin(self.port, self.row.place, self.row.found, self.row.reading)
    }
}

impl<'de> Visitor<'de> for OneOrNamed<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} in `{}`", self.port, self.row.place)
    }

    fn visit_map<A: MapAccess<'de>>(self, access: A) -> Result<(), A::Error> {
        Named(self.row).visit_map(access)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, access: A) -> Result<(), A::Error> {
        let mut tensor = self.tensor();
        Nest { tensor: &mut tensor }.visit_seq(access)?;
        tensor.end()
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        let place = self.row.place.to_string();
        Err(fail(self.row.found, Problem::mismatch(&place, self.port.to_string(), "null".to_owned())))
    }

    tensor_by!(visit_f64: f64, visit_i64: i64, visit_u64: u64, visit_bool: bool, visit_str: &str);
}

/// Every input by its name.
struct Named<'a>(Row<'a>);

impl<'de> Visitor<'de> for Named<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.0.signature.inputs.iter().map(|port| format!("`{}`", port.name)).collect();
        write!(formatter, "an object with {} in `{}`", names.join(", "), self.0.place)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<(), A::Error> {
        let Row { signature, found, place, reading } = self.0;
        // Where the record of each input is, in the order in which they came.
        let mut came: Vec<Option<Range<usize>>> = vec![None; signature.inputs.len()];
        while let Some(name) = access.next_key_seed(Name)? {
            let place = Place { input: Some(&name), ..place };
            let Some(at) = signature.inputs.iter().position(|port| port.name == name) else {
                if signature.ignored.iter().any(|ignored| *ignored == name) {
                    access.next_value::<IgnoredAny>()?;
                    continue;
                }
                let known: Vec<&str> = signature.inputs.iter().map(|port| port.name.as_str()).collect();
                let message = format!("the model has no such input: there are {}", known.join(", "));
                return Err(fail(found, Problem::new(400, place.to_string(), message)));
            };
            if came[at].is_some() {
                return Err(fail(found, Problem::new(400, place.to_string(), "is there twice")));
            }
            let begin = reading.record.len();
            let mut tensor = Tensor::begin(&signature.inputs[at], place, found, reading);
            access.next_value_seed(Nest { tensor: &mut tensor })?;
            tensor.end()?;
            came[at] = Some(begin..reading.record.len());
        }
        let begin = reading.record.len();
        for (range, port) in came.into_iter().zip(&signature.inputs) {
            let Some(range) = range else {
                let place = Place { input: Some(&port.name), ..place }.to_string();
                return Err(fail(found, Problem::missing(&place, port.to_string())));
            };
            reading.record.extend_from_within(range);
        }
        reading.record.drain(..begin);
        Ok(())
    }
}

/// A tensor that is being read.
struct Tensor<'a> {
    port: &'a Port,
    place: Place<'a>,
    found: &'a Found,
    reading: &'a mut Reading,
    open: record::Open,
    /// How deep scalars stand.
    depth: Option<usize>,
    is_ragged: bool,
}

impl<'a> Tensor<'a> {
    fn begin(port: &'a Port, place: Place<'a>, found: &'a Found, reading: &'a mut Reading) -> Self {
        reading.axes.clear();
        reading.path.clear();
        let open = record::Open::begin(&mut reading.record, port.element, port.row.len());
        Self { port, place, found, reading, open, depth: None, is_ragged: false }
    }

    /// Where the reader is.
    fn at(&self) -> String {
        let path: String = self.reading.path.iter().map(|index| format!("[{index}]")).collect();
        format!("{}{path}", self.place)
    }

    fn scalar<E: Error>(&mut self, push: impl FnOnce(Element, &mut Vec<u8>) -> Result<(), String>) -> Result<(), E> {
        let depth = self.reading.path.len();
        self.is_ragged |= *self.depth.get_or_insert(depth) != depth || self.reading.axes.len() > depth;
        push(self.port.element, &mut self.reading.record).map_err(|given| {
            let expected = format!("{} in {}", self.port.element, self.port);
            fail(self.found, Problem::mismatch(&self.at(), expected, given))
        })
    }

    /// Judges the shape.
    fn end<E: Error>(self) -> Result<(), E> {
        let Self { port, place, found, reading, open, .. } = self;
        if self.is_ragged {
            let message = format!("not a regular array: arrays of one depth differ in length; expected {port}");
            return Err(fail(found, Problem::new(400, place.to_string(), message)));
        }
        let mut axes: record::Axes = reading.axes.iter().map(|axis| axis.unwrap_or(0)).collect();
        match (port.row.as_slice(), axes.as_slice()) {
            // One number is a row of one, and the other way round.
            ([Some(1)], []) => axes.push(1),
            ([], [1]) => axes.clear(),
            _ => {}
        }
        if !port.takes(&axes) {
            let given = written(port.element.name(), &axes);
            return Err(fail(found, Problem::mismatch(&place.to_string(), port.to_string(), given)));
        }
        open.end(&mut reading.record, &axes)
            .ok_or_else(|| fail(found, Problem::new(413, place.to_string(), "is too large")))
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
        write!(formatter, "{} in `{}`", self.tensor.port, self.tensor.place)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<(), A::Error> {
        let tensor = self.tensor;
        let depth = tensor.reading.path.len();
        if depth == MAX_AXES {
            let problem = Problem::new(400, tensor.place.to_string(), format!("arrays deeper than {MAX_AXES}"));
            return Err(fail(tensor.found, problem));
        }
        tensor.is_ragged |= tensor.depth.is_some_and(|scalars| depth >= scalars);
        if tensor.reading.axes.len() == depth {
            tensor.reading.axes.push(None);
        }
        tensor.reading.path.push(0);
        let mut n_elements = 0;
        while access.next_element_seed(Nest { tensor: &mut *tensor })?.is_some() {
            n_elements += 1;
            tensor.reading.path[depth] = n_elements;
        }
        tensor.reading.path.pop();
        tensor.is_ragged |= *tensor.reading.axes[depth].get_or_insert(n_elements) != n_elements;
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
