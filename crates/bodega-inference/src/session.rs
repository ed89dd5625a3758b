//! One ONNX session: rows in, rows out. Used by one thread alone, since a run needs it whole.

use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use bodega_snapshot::{Model as Settings, Provider};
use half::{bf16, f16};
use ort::environment::Environment;
use ort::ep::{CUDA, ExecutionProvider};
use ort::logging::LogLevel;
use ort::session::builder::SessionBuilder;
use ort::session::{RunOptions, Session, SessionInputValue, SessionOutputs};
use ort::value::{DynValue, PrimitiveTensorElementType, Tensor as OrtTensor};

use crate::batch::{Failed, Outputs, Runner};
use crate::contents;
use crate::element::Element;
use crate::probe::probe;
use crate::record::{self, Axes, Tensor, Tensors};
use crate::signature::{Axis, Port, Signature};
use crate::watchdog::Watchdog;

/// A loaded model.
pub(crate) struct OnnxModel {
    session: Session,
    pub(crate) signature: Signature,
    /// Whether rows could share runs by the graph, and do not since it was found that they mix.
    pub(crate) is_mixing: bool,
    /// Outputs that came otherwise than in one part for each row.
    pub(crate) off: Vec<bool>,
    /// Whether it may run where it is asked. Where it has loops a row says how long it runs.
    pub(crate) is_for_all_threads: bool,
    /// What runs that have a deadline are ended by.
    watchdog: Arc<Watchdog>,
    options: Arc<RunOptions>,
    /// Stands last, so that it is dropped once the session's memory has been given back.
    alive: Arc<()>,
}

/// Which model, and what runs it.
pub(crate) struct OnnxFile<'a> {
    pub(crate) path: &'a str,
    pub(crate) threads: usize,
    pub(crate) provider: Provider,
    pub(crate) ignored: &'a [String],
    pub(crate) timeout: Duration,
}

impl<'a> From<&'a Settings> for OnnxFile<'a> {
    fn from(settings: &'a Settings) -> Self {
        let Settings { path, threads, provider, ignored, timeout, .. } = settings;
        Self { path, threads: *threads, provider: *provider, ignored, timeout: *timeout }
    }
}

impl OnnxModel {
    /// Loads a file. One thread a run by default, and none that spins: other models and all hits need the cores, too.
    pub(crate) fn load(
        environment: &Environment,
        watchdog: Arc<Watchdog>,
        file: &OnnxFile<'_>,
    ) -> Result<Self, String> {
        let mut builder = builder(environment, file.threads).map_err(|error| error.to_string())?;
        if file.provider == Provider::Cuda {
            builder = on_cuda(builder)?;
        }
        for (name, whole) in contents::weights(Path::new(file.path))? {
            builder =
                builder.with_external_initializer_file_in_memory(name, whole).map_err(|error| error.to_string())?;
        }
        let session = builder.commit_from_file(file.path).map_err(|error| error.to_string())?;
        let (signature, axis) = Signature::of(&session)?;
        let signature = signature.ignoring(file.ignored)?;
        let off = vec![false; signature.outputs.len()];
        let options = Arc::new(RunOptions::new().map_err(|error| error.to_string())?);
        let alive = Arc::new(());
        let mut model =
            Self { session, signature, is_mixing: false, off, is_for_all_threads: false, watchdog, options, alive };
        if model.signature.is_batched || axis == Axis::Unknown {
            probe(&mut model, axis, Instant::now() + file.timeout.min(PROBE_TIME));
        }
        Ok(model)
    }

    pub(crate) fn signature(&self) -> &Signature {
        &self.signature
    }

    /// Runs rows that have one form, in one call, which is ended at the deadline.
    pub(crate) fn run_together(
        &mut self,
        rows: &[Tensors<'_>],
        deadline: Option<Instant>,
    ) -> Result<Vec<Vec<u8>>, Failed> {
        if rows.len() > 1 && !self.signature.is_batched {
            return Err(said("its rows cannot share a run"));
        }
        let mut inputs = Vec::with_capacity(self.signature.inputs.len());
        for (at, port) in self.signature.inputs.iter().enumerate() {
            let tensors = rows.iter().map(|row| row.get(at)).collect::<Option<Vec<_>>>();
            let tensors = tensors.ok_or_else(|| said("a row has fewer tensors than the model inputs"))?;
            let value = input(port, &tensors).map_err(said)?;
            inputs.push((port.name.as_str(), SessionInputValue::from(value)));
        }
        let outputs = match deadline {
            None => self.session.run(inputs),
            Some(deadline) => {
                let watch = self.watchdog.watch(deadline, &self.options);
                let outputs = self.session.run_with_options(inputs, &self.options);
                if watch.was_ended() {
                    // It may have been done just before; it was late all the same.
                    self.options.unterminate().map_err(said)?;
                    return Err(Failed::Late);
                }
                outputs
            }
        };
        let outputs = outputs.map_err(said)?;
        let mut records = vec![Vec::new(); rows.len()];
        let mut came = Ok(());
        for (port, is_off) in self.signature.outputs.iter().zip(&mut self.off) {
            came = came.and_then(|()| split(&outputs, port, is_off, &mut records));
        }
        drop(outputs);
        if self.signature.is_batched && self.off.contains(&true) {
            // Its first axis is not the batch after all. Of several rows it cannot be said whose a part is, now or later.
            (self.signature.is_batched, self.is_mixing) = (false, true);
        }
        came.map_err(said)?;
        Ok(records)
    }
}

fn said(what: impl ToString) -> Failed {
    Failed::Said(what.to_string())
}

fn builder(environment: &Environment, n_threads: usize) -> ort::Result<SessionBuilder> {
    let builder = Session::builder(environment)?
        .with_intra_threads(n_threads)?
        .with_inter_threads(1)?
        .with_intra_op_spinning(false)?
        .with_inter_op_spinning(false)?
        // What it would log of a run that failed may hold what a client sent.
        .with_log_level(LogLevel::Fatal)?;
    Ok(builder)
}

/// Has the first CUDA device compute. Where that cannot be the model is not loaded: a processor in its place would be
/// slower than anybody planned for, and nothing would say so.
fn on_cuda(builder: SessionBuilder) -> Result<SessionBuilder, String> {
    if !CUDA::is_available().unwrap_or(false) {
        return Err(
            "provider = \"cuda\": this library of ONNX Runtime has no CUDA; install `onnxruntime-gpu` in place \
                    of `onnxruntime`, or write provider = \"cpu\""
                .to_owned(),
        );
    }
    builder.with_execution_providers([CUDA::default().build().error_on_failure()]).map_err(|error| {
        format!("provider = \"cuda\": no device, or not its libraries: {error}; or write provider = \"cpu\"")
    })
}

impl Runner for OnnxModel {
    fn alive(&self) -> Weak<()> {
        Arc::downgrade(&self.alive)
    }

    fn run(&mut self, rows: &[&[u8]]) -> Vec<Outputs> {
        self.run_until(rows, None)
    }

    fn run_within(&mut self, rows: &[&[u8]], deadline: Instant) -> Vec<Outputs> {
        self.run_until(rows, Some(deadline))
    }

    fn is_mixing(&self) -> bool {
        self.is_mixing
    }

    fn is_local(&self) -> bool {
        self.is_for_all_threads
    }
}

impl OnnxModel {
    fn run_until(&mut self, rows: &[&[u8]], deadline: Option<Instant>) -> Vec<Outputs> {
        let read = rows.iter().map(|row| record::read(row)).collect::<Option<Vec<_>>>();
        let Some(read) = read else { return vec![Err(said("a row is no record")); rows.len()] };
        let mut results = Vec::with_capacity(rows.len());
        let is_batched = self.signature.is_batched;
        // What lies together and has one form goes in one run.
        for group in read.chunk_by(|one, other| is_batched && have_one_form(one, other)) {
            match self.run_together(group, deadline) {
                Ok(records) => results.extend(records.into_iter().map(Ok)),
                // One row that fails takes none of the others with it.
                Err(Failed::Said(_)) if group.len() > 1 => {
                    for row in group {
                        let alone = self.run_together(std::slice::from_ref(row), deadline);
                        results.push(alone.map(|records| records.into_iter().next().unwrap_or_default()));
                    }
                }
                Err(failed) => results.extend(group.iter().map(|_| Err(failed.clone()))),
            }
        }
        results
    }
}

pub(crate) fn have_one_form(one: &[Tensor<'_>], other: &[Tensor<'_>]) -> bool {
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
        Element::Float16 => numbers(axes, rows, f16::from_le_bytes),
        Element::Bfloat16 => numbers(axes, rows, bf16::from_le_bytes),
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

/// Appends to each record its row of an output, and says if that has not one part for each.
fn split(outputs: &SessionOutputs<'_>, port: &Port, is_off: &mut bool, records: &mut [Vec<u8>]) -> Result<(), String> {
    let value = outputs.get(&port.name).ok_or_else(|| format!("the output `{}` did not come", port.name))?;
    match port.element {
        Element::Float16 => split_numbers(value, port, is_off, records, |float: &f16| float.to_le_bytes()),
        Element::Bfloat16 => split_numbers(value, port, is_off, records, |float: &bf16| float.to_le_bytes()),
        Element::Float32 => split_numbers(value, port, is_off, records, |float: &f32| float.to_le_bytes()),
        Element::Float64 => split_numbers(value, port, is_off, records, |float: &f64| float.to_le_bytes()),
        Element::Int8 => split_numbers(value, port, is_off, records, |whole: &i8| whole.to_le_bytes()),
        Element::Int16 => split_numbers(value, port, is_off, records, |whole: &i16| whole.to_le_bytes()),
        Element::Int32 => split_numbers(value, port, is_off, records, |whole: &i32| whole.to_le_bytes()),
        Element::Int64 => split_numbers(value, port, is_off, records, |whole: &i64| whole.to_le_bytes()),
        Element::Uint8 => split_numbers(value, port, is_off, records, |whole: &u8| whole.to_le_bytes()),
        Element::Uint16 => split_numbers(value, port, is_off, records, |whole: &u16| whole.to_le_bytes()),
        Element::Uint32 => split_numbers(value, port, is_off, records, |whole: &u32| whole.to_le_bytes()),
        Element::Uint64 => split_numbers(value, port, is_off, records, |whole: &u64| whole.to_le_bytes()),
        Element::Bool => split_numbers(value, port, is_off, records, |flag: &bool| [u8::from(*flag)]),
        Element::String => {
            let (shape, strings) = value.try_extract_strings().map_err(|error| error.to_string())?;
            let (axes, n_elements) = of_a_row(shape, port, is_off, records.len())?;
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
    is_off: &mut bool,
    records: &mut [Vec<u8>],
    write: impl Fn(&T) -> [u8; N],
) -> Result<(), String> {
    let (shape, elements) = value.try_extract_tensor::<T>().map_err(|error| error.to_string())?;
    let (axes, n_elements) = of_a_row(shape, port, is_off, records.len())?;
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
fn of_a_row(shape: &[i64], port: &Port, is_off: &mut bool, n_rows: usize) -> Result<(Axes, usize), String> {
    let axes = shape.iter().map(|axis| usize::try_from(*axis).ok()).collect::<Option<Axes>>();
    let mut axes = axes.ok_or_else(|| format!("the output `{}` has no shape", port.name))?;
    if port.has_axis && axes.first() == Some(&n_rows) {
        axes.remove(0);
    } else {
        *is_off |= port.has_axis;
        if n_rows > 1 {
            // Nothing says which part is whose.
            return Err(format!("the output `{}` has {shape:?} for {n_rows} rows", port.name));
        }
    }
    let n_elements = axes.iter().product();
    Ok((axes, n_elements))
}

fn too_large() -> String {
    "an output is too large".to_owned()
}

/// How long it may be tried whether rows can share a run: what takes longer gains little from that.
const PROBE_TIME: Duration = Duration::from_secs(5);
