//! One ONNX session: rows in, rows out. Used by one thread alone, since a run needs it whole.

use ort::environment::Environment;
use ort::logging::LogLevel;
use ort::session::builder::SessionBuilder;
use ort::session::{Session, SessionInputValue, SessionOutputs};
use ort::value::{DynValue, PrimitiveTensorElementType, Tensor as OrtTensor};

use crate::batch::Runner;
use crate::element::Element;
use crate::record::{self, Tensor};
use crate::signature::{Port, Signature};

/// A loaded model.
pub(crate) struct OnnxModel {
    session: Session,
    signature: Signature,
}

impl OnnxModel {
    /// Loads a file. One thread a run and none that spins: other models and all hits need the cores, too.
    pub(crate) fn load(environment: &Environment, path: &str) -> Result<Self, String> {
        let loaded = builder(environment).and_then(|mut builder| builder.commit_from_file(path));
        let session = loaded.map_err(|error| error.to_string())?;
        let signature = Signature::of(&session)?;
        Ok(Self { session, signature })
    }

    pub(crate) fn signature(&self) -> &Signature {
        &self.signature
    }

    /// Runs rows that have one form, in one call.
    fn run_together(&mut self, rows: &[Vec<Tensor<'_>>]) -> Result<Vec<Vec<u8>>, String> {
        let mut inputs = Vec::with_capacity(self.signature.inputs.len());
        for (at, port) in self.signature.inputs.iter().enumerate() {
            let tensors = rows.iter().map(|row| row.get(at)).collect::<Option<Vec<_>>>();
            let tensors = tensors.ok_or("a row has fewer tensors than the model inputs")?;
            let value = input(port, &tensors).map_err(|error| error.to_string())?;
            inputs.push((port.name.as_str(), SessionInputValue::from(value)));
        }
        let outputs = self.session.run(inputs).map_err(|error| error.to_string())?;
        let mut records = vec![Vec::new(); rows.len()];
        for port in &self.signature.outputs {
            split(&outputs, port, &mut records)?;
        }
        Ok(records)
    }
}

fn builder(environment: &Environment) -> ort::Result<SessionBuilder> {
    let builder = Session::builder(environment)?
        .with_intra_threads(1)?
        .with_inter_threads(1)?
        .with_intra_op_spinning(false)?
        .with_inter_op_spinning(false)?
        // What it would log of a run that failed may hold what a client sent.
        .with_log_level(LogLevel::Fatal)?;
    Ok(builder)
}

impl Runner for OnnxModel {
    fn run(&mut self, rows: &[&[u8]]) -> Vec<Result<Vec<u8>, String>> {
        let read = rows.iter().map(|row| record::read(row)).collect::<Option<Vec<_>>>();
        let Some(read) = read else { return vec![Err("a row is no record".to_owned()); rows.len()] };
        let mut results = Vec::with_capacity(rows.len());
        // What lies together and has one form goes in one run.
        let groups = read.chunk_by(|one, other| self.signature.is_batched && have_one_form(one, other));
        let groups: Vec<&[Vec<Tensor<'_>>]> =
            if self.signature.is_batched { groups.collect() } else { read.chunks(1).collect() };
        for group in groups {
            match self.run_together(group) {
                Ok(records) => results.extend(records.into_iter().map(Ok)),
                // One row that fails takes none of the others with it.
                Err(_) if group.len() > 1 => {
                    for row in group {
                        let alone = self.run_together(std::slice::from_ref(row));
                        results.push(alone.map(|records| records.into_iter().next().unwrap_or_default()));
                    }
                }
                Err(error) => results.push(Err(error)),
            }
        }
        results
    }
}

fn have_one_form(one: &[Tensor<'_>], other: &[Tensor<'_>]) -> bool {
    one.len() == other.len()
        && one.iter().zip(other).all(|(one, other)| one.element == other.element && one.axes == other.axes)
}

fn input(port: &Port, rows: &[&Tensor<'_>]) -> ort::Result<DynValue> {
    let mut axes: Vec<usize> = Vec::new();
    if port.has_axis {
        axes.push(rows.len());
    }
    if let Some(first) = rows.first() {
        axes.extend_from_slice(&first.axes);
    }
    match port.element {
        Element::Float32 => numbers(axes, rows, f32::from_le_bytes),
        Element::Float64 => numbers(axes, rows, f64::from_le_bytes),
        Element::Int8 => numbers(axes, rows, i8::from_le_bytes),
        Element::Int16 => numbers(axes, rows, i16::from_le_bytes),
        Element::Int32 => numbers(axes, rows, i32::from_le_bytes),
        Element::Int64 => numbers(axes, rows, i64::from_le_bytes),
        Element::Uint8 => numbers(axes, rows, u8::from_le_bytes),
        Element::Uint16 => numbers(axes, rows, u16::from_le_bytes),
        Element::Uint32 => numbers(axes, rows, u32::from_le_bytes),
        Element::Uint64 => numbers(axes, rows, u64::from_le_bytes),
        Element::Bool => numbers(axes, rows, |[byte]: [u8; 1]| byte != 0),
        Element::String => {
            let strings = rows.iter().filter_map(|row| row.strings()).flatten();
            let strings: Vec<String> = strings.map(ToOwned::to_owned).collect();
            OrtTensor::from_string_array((axes, strings.as_slice())).map(OrtTensor::into_dyn)
        }
    }
}

fn numbers<T: PrimitiveTensorElementType + Clone + std::fmt::Debug + 'static, const N: usize>(
    axes: Vec<usize>,
    rows: &[&Tensor<'_>],
    read: impl Fn([u8; N]) -> T,
) -> ort::Result<DynValue> {
    let chunks = rows.iter().flat_map(|row| row.data.as_chunks::<N>().0);
    let data: Vec<T> = chunks.map(|bytes| read(*bytes)).collect();
    OrtTensor::from_array((axes, data)).map(OrtTensor::into_dyn)
}

/// Appends to each record its row of an output.
fn split(outputs: &SessionOutputs<'_>, port: &Port, records: &mut [Vec<u8>]) -> Result<(), String> {
    let value = outputs.get(&port.name).ok_or_else(|| format!("the output `{}` did not come", port.name))?;
    match port.element {
        Element::Float32 => split_numbers(value, port, records, |float: &f32| float.to_le_bytes()),
        Element::Float64 => split_numbers(value, port, records, |float: &f64| float.to_le_bytes()),
        Element::Int8 => split_numbers(value, port, records, |whole: &i8| whole.to_le_bytes()),
        Element::Int16 => split_numbers(value, port, records, |whole: &i16| whole.to_le_bytes()),
        Element::Int32 => split_numbers(value, port, records, |whole: &i32| whole.to_le_bytes()),
        Element::Int64 => split_numbers(value, port, records, |whole: &i64| whole.to_le_bytes()),
        Element::Uint8 => split_numbers(value, port, records, |whole: &u8| whole.to_le_bytes()),
        Element::Uint16 => split_numbers(value, port, records, |whole: &u16| whole.to_le_bytes()),
        Element::Uint32 => split_numbers(value, port, records, |whole: &u32| whole.to_le_bytes()),
        Element::Uint64 => split_numbers(value, port, records, |whole: &u64| whole.to_le_bytes()),
        Element::Bool => split_numbers(value, port, records, |flag: &bool| [u8::from(*flag)]),
        Element::String => {
            let (shape, strings) = value.try_extract_strings().map_err(|error| error.to_string())?;
            let (axes, n_elements) = of_a_row(shape, port, records.len())?;
            for (at, record) in records.iter_mut().enumerate() {
                let mut data = Vec::new();
                for text in strings.iter().skip(at * n_elements).take(n_elements) {
                    record::write_string(&mut data, text).ok_or_else(too_large)?;
                }
                record::write(record, port.element, &axes, &data).ok_or_else(too_large)?;
            }
            Ok(())
        }
    }
}

fn split_numbers<T: PrimitiveTensorElementType, const N: usize>(
    value: &DynValue,
    port: &Port,
    records: &mut [Vec<u8>],
    write: impl Fn(&T) -> [u8; N],
) -> Result<(), String> {
    let (shape, elements) = value.try_extract_tensor::<T>().map_err(|error| error.to_string())?;
    let (axes, n_elements) = of_a_row(shape, port, records.len())?;
    let mut data = Vec::with_capacity(n_elements * N);
    for (at, record) in records.iter_mut().enumerate() {
        data.clear();
        for element in elements.iter().skip(at * n_elements).take(n_elements) {
            data.extend_from_slice(&write(element));
        }
        record::write(record, port.element, &axes, &data).ok_or_else(too_large)?;
    }
    Ok(())
}

/// The axes and the number of elements of one row of an output.
fn of_a_row(shape: &[i64], port: &Port, n_rows: usize) -> Result<(Vec<usize>, usize), String> {
    let axes = shape.iter().map(|axis| usize::try_from(*axis).ok()).collect::<Option<Vec<_>>>();
    let mut axes = axes.ok_or_else(|| format!("the output `{}` has no shape", port.name))?;
    if axes.first() == Some(&n_rows) && (port.has_axis || n_rows > 1) {
        axes.remove(0);
    } else if n_rows > 1 {
        // Nothing says which part is whose.
        return Err(format!("the output `{}` has {shape:?} for {n_rows} rows", port.name));
    }
    let n_elements = axes.iter().product();
    Ok((axes, n_elements))
}

fn too_large() -> String {
    "an output is too large".to_owned()
}
