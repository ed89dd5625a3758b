//! The worker's own side, where it runs an ONNX model: the session of this process, asked through shared memory, so that
//! what comes back is bit for bit what it is in the edge.

use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use bodega_snapshot::Provider;
use rustix::fs::{Mode, OFlags, open};
use rustix::process::{Signal, getppid, set_parent_process_death_signal};
use rustix::stdio::{dup2_stdin, dup2_stdout, stderr};
use serde::Deserialize;

use super::frame::{self, Column, Frame, Incoming, Kind, NoFrame};
use super::hello;
use super::memory::{Half, SharedMemory};
use crate::batch::Failed;
use crate::record::{self, Tensor, Tensors};
use crate::runtime;
use crate::session::{OnnxFile, OnnxModel};
use crate::signature::Signature;
use crate::watchdog::Watchdog;

/// What an edge says first.
#[derive(Deserialize)]
struct Start {
    path: String,
    library: Option<String>,
    threads: usize,
    is_on_cuda: bool,
    ignored: Vec<String>,
    timeout_seconds: f64,
}

/// Has this process die with its parent, whose number `edge` is: also where that is killed, and whatever a model does.
///
/// # Errors
/// If the parent has died already, or is another.
pub fn die_with_parent(edge: u32) -> Result<(), String> {
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(|error| error.to_string())?;
    // It may have died just before that.
    let parent = getppid().map_or(0, |parent| parent.as_raw_nonzero().get());
    if i64::from(parent) == i64::from(edge) { Ok(()) } else { Err("the edge that started this has ended".to_owned()) }
}

/// Runs an ONNX model for the edge that started this process, until that lets go of it. Standard input is the socket, and
/// standard output the memory.
///
/// # Errors
/// If it cannot be spoken to; what is wrong with the model is said to the edge.
pub fn serve_onnx() -> Result<(), String> {
    let (mut socket, memory) = descriptors().map_err(|error| error.to_string())?;
    let mut incoming = Incoming::default();
    let Some(start) = next(&mut socket, &mut incoming)? else { return Ok(()) };
    let mut model = match load(&start) {
        Ok(model) => model,
        Err(message) => return say(&mut socket, Kind::Error, 0, message.as_bytes()),
    };
    let signature = model.signature().clone();
    say(&mut socket, Kind::Hello, 0, &hello::write(&signature, model.is_mixing)?)?;
    while let Some(asked) = next(&mut socket, &mut incoming)? {
        if asked.kind != Kind::Run {
            break;
        }
        match answer(&mut model, &signature, &memory, &asked.payload) {
            Ok(payload) => say(&mut socket, Kind::Answer, asked.number, &payload)?,
            Err(message) => say(&mut socket, Kind::Error, asked.number, message.as_bytes())?,
        }
    }
    Ok(())
}

/// The socket and the memory. What is printed from here on goes where errors go.
fn descriptors() -> std::io::Result<(UnixStream, SharedMemory)> {
    let socket = UnixStream::from(std::io::stdin().as_fd().try_clone_to_owned()?);
    let memory = SharedMemory::of(std::io::stdout().as_fd().try_clone_to_owned()?)?;
    dup2_stdin(open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?)?;
    dup2_stdout(stderr())?;
    Ok((socket, memory))
}

fn load(start: &Frame) -> Result<OnnxModel, String> {
    let start: Start = serde_json::from_slice(&start.payload).map_err(|error| error.to_string())?;
    let environment = runtime::environment(start.library.as_deref())?;
    let provider = if start.is_on_cuda { Provider::Cuda } else { Provider::Cpu };
    let timeout = Duration::try_from_secs_f64(start.timeout_seconds).map_err(|error| error.to_string())?;
    let Start { path, threads, ignored, .. } = &start;
    let file = OnnxFile { path, threads: *threads, provider, ignored, timeout };
    OnnxModel::load(environment, Watchdog::start()?, &file)
}

/// The next frame; `None` at the end.
fn next(socket: &mut UnixStream, incoming: &mut Incoming) -> Result<Option<Frame>, String> {
    loop {
        match incoming.read(socket) {
            Ok(frame) => return Ok(Some(frame)),
            Err(NoFrame::Yet) => {}
            Err(NoFrame::Ended) => return Ok(None),
            Err(NoFrame::Garbage) => return Err("the edge says what no edge says".to_owned()),
        }
    }
}

fn say(socket: &mut UnixStream, kind: Kind, number: u64, payload: &[u8]) -> Result<(), String> {
    socket.write_all(&Frame::write(kind, number, payload)).map_err(|error| error.to_string())
}

fn answer(
    model: &mut OnnxModel,
    signature: &Signature,
    memory: &SharedMemory,
    payload: &[u8],
) -> Result<Vec<u8>, String> {
    let (n_rows, columns) = frame::read_columns(payload).ok_or("the edge asks for what no edge asks")?;
    let mut data = Vec::with_capacity(columns.len());
    for column in &columns {
        let read = memory.read(Half::Inputs, column.offset, column.n_bytes).map_err(|error| error.to_string())?;
        data.push(read.ok_or("an input is not where inputs are")?);
    }
    let rows = rows(n_rows, &columns, &data).ok_or("an input has not as many elements as it says")?;
    // The edge sees to the time.
    let records = model.run_together(&rows, None).map_err(|failed| match failed {
        Failed::Said(why) | Failed::Gone(why) => why,
        Failed::Late => "it was late".to_owned(),
    })?;
    let read = records.iter().map(|record| record::read(record)).collect::<Option<Vec<_>>>();
    let read = read.ok_or("an output is no record")?;
    let mut columns = Vec::with_capacity(signature.outputs.len());
    let mut at = Half::Outputs.begin();
    for (index, port) in signature.outputs.iter().enumerate() {
        let tensors = read.iter().map(|row| row.get(index)).collect::<Option<Vec<_>>>();
        let tensors = tensors.ok_or("an output is missing")?;
        let axes = tensors.first().map(|tensor| tensor.axes.clone()).unwrap_or_default();
        let data: Vec<u8> = tensors.iter().flat_map(|tensor| tensor.data).copied().collect();
        let next = memory.write(Half::Outputs, at, &data).map_err(|error| error.to_string())?;
        columns.push(Column { element: port.element, axes, offset: at, n_bytes: data.len() as u64 });
        at = next.ok_or("the outputs of these rows are too large")?;
    }
    frame::write_columns(n_rows, &columns).ok_or_else(|| "an output is too large".to_owned())
}

/// The rows that columns hold.
fn rows<'d>(n_rows: usize, columns: &[Column], data: &'d [Vec<u8>]) -> Option<Vec<Tensors<'d>>> {
    let mut rows: Vec<Tensors<'d>> = vec![Tensors::new(); n_rows];
    for (column, data) in columns.iter().zip(data) {
        let n_elements = column.axes.iter().try_fold(1_usize, |product, axis| product.checked_mul(*axis))?;
        for (row, data) in rows.iter_mut().zip(record::of_rows(data, column.element, n_elements, n_rows)?) {
            row.push(Tensor { element: column.element, axes: column.axes.clone(), data });
        }
    }
    Some(rows)
}
