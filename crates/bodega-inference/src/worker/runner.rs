//! A model that runs in a worker: rows in, rows out, and what is wrong with what came.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bodega_snapshot::{Model as Settings, Provider};
use serde_json::json;

use super::Workers;
use super::frame::{self, Column, Kind};
use super::keeper::{Kept, Shared, Wanted};
use super::memory::{Half, SharedMemory};
use super::process::{self, Limits, Process};
use crate::batch::{Failed, Outputs, Runner};
use crate::record::{self, Tensors};
use crate::session::have_one_form;
use crate::signature::{Signature, written};

/// A model in a process of its own.
pub(crate) struct WorkerRunner {
    kept: Kept,
    signature: Signature,
    limits: Limits,
    number: u64,
    looked: Instant,
}

/// How a worker does, for whoever asks from another thread.
#[derive(Clone)]
pub(crate) struct WorkerWatch(Arc<Shared>);

impl WorkerWatch {
    /// How often it was started again.
    pub(crate) fn n_restarts(&self) -> u64 {
        self.0.n_restarts()
    }

    /// The number of its process.
    #[cfg(test)]
    pub(crate) fn pid(&self) -> Option<i32> {
        self.0.process().map(|process| process.pid())
    }

    /// What it has in memory.
    pub(crate) fn memory_bytes(&self) -> Option<u64> {
        self.0.process()?.memory_bytes()
    }

    /// The most it has had in memory.
    pub(crate) fn peak_memory_bytes(&self) -> Option<u64> {
        self.0.process()?.peak_memory_bytes()
    }
}

impl WorkerRunner {
    /// Starts the worker, and waits until it is ready.
    pub(crate) fn start(workers: &Workers, settings: &Settings) -> Result<Self, String> {
        let what = if settings.runner.is_some() { "runner" } else { "onnx" };
        let hello = json!({
            "name": settings.name,
            "path": settings.path,
            "runner": settings.runner,
            "library": workers.library,
            "threads": settings.threads,
            "is_on_cuda": settings.provider == Provider::Cuda,
            "ignored": settings.ignored,
            "timeout_seconds": settings.timeout.as_secs_f64(),
        });
        let kept = Kept::start(Wanted {
            name: settings.name.clone(),
            python: workers.python()?.to_owned(),
            what,
            hello: hello.to_string(),
            threads: settings.threads,
            report: Arc::clone(&workers.report),
        })?;
        let limits = Limits { timeout: settings.timeout, max_memory_bytes: settings.max_memory_bytes };
        let signature = kept.declared.signature.clone().ignoring(&settings.ignored)?;
        Ok(Self { kept, signature, limits, number: 0, looked: Instant::now() })
    }

    pub(crate) fn signature(&self) -> &Signature {
        &self.signature
    }

    /// What tells its code apart from other code, if it has any.
    pub(crate) fn code(&self) -> Option<&str> {
        self.kept.declared.code.as_deref()
    }

    pub(crate) fn watch(&self) -> WorkerWatch {
        WorkerWatch(self.kept.shared())
    }

    /// Runs rows of one form in one call.
    fn run_together(&mut self, process: &Process, rows: &[Tensors<'_>]) -> Result<Vec<Vec<u8>>, Failed> {
        let gone = |error: std::io::Error| Failed::Gone(process.kill(&format!("the memory shared with it: {error}")));
        let memory = &process.memory;
        let signature = &self.signature;
        let (columns, n_bytes) = write_inputs(memory, signature, rows).map_err(gone)?.map_err(Failed::Said)?;
        let asked = frame::write_columns(rows.len(), &columns);
        let asked = asked.ok_or_else(|| Failed::Said("a row is too large".to_owned()))?;
        self.number += 1;
        let answer = process.ask(self.number, &asked, self.limits);
        memory.give_back(Half::Inputs, n_bytes);
        let answer = answer.map_err(Failed::Gone)?;
        match answer.kind {
            Kind::Error => return Err(Failed::Said(process::text(&answer.payload))),
            Kind::Answer => {}
            _ => return Err(Failed::Gone(process.kill("it says what no worker says"))),
        }
        let columns = frame::read_columns(&answer.payload).filter(|(n_rows, _)| *n_rows == rows.len());
        let Some((_, columns)) = columns else {
            return Err(Failed::Gone(process.kill("it answers for other rows than it was asked for")));
        };
        let records = read_outputs(memory, signature, rows.len(), &columns).map_err(gone)?.map_err(Failed::Said);
        memory.give_back(Half::Outputs, columns.iter().map(|column| column.n_bytes).fold(0, u64::saturating_add));
        records
    }

    /// Ends a worker that has grown too large, now that it has answered.
    fn look(&mut self, process: &Process) {
        if self.limits.max_memory_bytes.is_some() && self.looked.elapsed() >= LOOK_EVERY {
            self.looked = Instant::now();
            if let Some(why) = process.is_too_large(self.limits, false) {
                process.replace(&why);
            }
        }
    }
}

impl Runner for WorkerRunner {
    fn is_mixing(&self) -> bool {
        self.kept.declared.is_mixing
    }

    fn run(&mut self, rows: &[&[u8]]) -> Vec<Outputs> {
        let process = match self.kept.ready(self.limits.timeout) {
            Ok(process) => process,
            Err(why) => return vec![Err(Failed::Gone(format!("{why}; it is being started again"))); rows.len()],
        };
        let read = rows.iter().map(|row| record::read(row)).collect::<Option<Vec<_>>>();
        let Some(read) = read else { return vec![Err(Failed::Said("a row is no record".to_owned())); rows.len()] };
        let mut results: Vec<Outputs> = Vec::with_capacity(rows.len());
        let is_batched = self.signature.is_batched;
        for group in read.chunk_by(|one, other| is_batched && have_one_form(one, other)) {
            match self.run_together(&process, group) {
                Ok(records) => results.extend(records.into_iter().map(Ok)),
                // One row that fails takes none of the others with it.
                Err(Failed::Said(_)) if group.len() > 1 => {
                    for row in group {
                        let alone = self.run_together(&process, std::slice::from_ref(row));
                        results.push(alone.map(|records| records.into_iter().next().unwrap_or_default()));
                    }
                }
                Err(failed) => results.extend(group.iter().map(|_| Err(failed.clone()))),
            }
        }
        self.look(&process);
        results
    }
}

/// What is wrong with what came, said to the one who asked; or what went wrong with the memory.
type Checked<T> = std::io::Result<Result<T, String>>;

/// Writes the rows' tensors one behind the other.
fn write_inputs(memory: &SharedMemory, signature: &Signature, rows: &[Tensors<'_>]) -> Checked<(Vec<Column>, u64)> {
    let mut columns = Vec::with_capacity(signature.inputs.len());
    let mut at = Half::Inputs.begin();
    let mut data = Vec::new();
    for (index, port) in signature.inputs.iter().enumerate() {
        data.clear();
        let mut axes = None;
        for row in rows {
            let Some(tensor) = row.get(index).filter(|tensor| tensor.element == port.element) else {
                return Ok(Err("a row has other tensors than the model inputs".to_owned()));
            };
            data.extend_from_slice(tensor.data);
            axes = Some(&tensor.axes);
        }
        let axes = axes.cloned().unwrap_or_default();
        let Some(next) = memory.write(Half::Inputs, at, &data)? else {
            return Ok(Err(format!("the inputs of {} rows are too large", rows.len())));
        };
        columns.push(Column { element: port.element, axes, offset: at, n_bytes: data.len() as u64 });
        at = next;
    }
    Ok(Ok((columns, at)))
}

/// Reads the outputs into a record for each row.
fn read_outputs(
    memory: &SharedMemory,
    signature: &Signature,
    n_rows: usize,
    columns: &[Column],
) -> Checked<Vec<Vec<u8>>> {
    if columns.len() != signature.outputs.len() {
        let (declared, came) = (signature.outputs.len(), columns.len());
        return Ok(Err(format!("{declared} outputs are declared, and {came} came")));
    }
    let mut records = vec![Vec::new(); n_rows];
    for (port, column) in signature.outputs.iter().zip(columns) {
        let wrong = || {
            let came = written(column.element.name(), &column.axes);
            format!("the output `{}` is declared as {port}, and {came} came", port.name)
        };
        if column.element != port.element || !port.takes(&column.axes) {
            return Ok(Err(wrong()));
        }
        let Some(n_elements) = column.axes.iter().try_fold(1_usize, |product, axis| product.checked_mul(*axis)) else {
            return Ok(Err(wrong()));
        };
        let Some(data) = memory.read(Half::Outputs, column.offset, column.n_bytes)? else {
            return Ok(Err(format!("the output `{}` is not where outputs are", port.name)));
        };
        let Some(of_rows) = record::of_rows(&data, port.element, n_elements, n_rows) else { return Ok(Err(wrong())) };
        for (record, of_row) in records.iter_mut().zip(of_rows) {
            if record::write(record, port.element, &column.axes, of_row).is_none() {
                return Ok(Err(format!("the output `{}` is too large", port.name)));
            }
        }
    }
    Ok(Ok(records))
}

/// How often the memory of one that answers is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);
