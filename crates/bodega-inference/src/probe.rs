//! Whether first axes count rows: it is tried when a model is loaded, also where the names in the graph say so.
//!
//! Three rows are run, each alone and then two and three together. What has to hold is that every output has as many
//! parts as there are rows, and that each row gets what it gets alone: else the answer to one would hold another's.

use std::time::Instant;

use crate::batch::Failed;
use crate::element::Element;
use crate::golden::are_same;
use crate::record;
use crate::session::OnnxModel;
use crate::signature::{Axis, Signature};

/// What the elements of a row are.
#[derive(Clone, Copy)]
pub(crate) enum Filled {
    Zeros,
    Ones,
    Mixed,
}

/// Tries a model whose graph leaves first axes free. What cannot be tried until the deadline is as the names say: where
/// they are not alike rows run alone.
pub(crate) fn probe(model: &mut OnnxModel, axis: Axis, deadline: Instant) {
    let could_be_batched = model.signature.is_batched;
    let (rows, alone) = alone(model, deadline);
    let is_whole = model.off.iter().any(|is_off| *is_off);
    for (port, is_off) in model.signature.outputs.iter_mut().zip(&mut model.off) {
        // Not even one row has one part: the axis counts something else.
        if std::mem::take(is_off) {
            port.has_axis = false;
            port.row.insert(0, None);
        }
    }
    let tolerance = if axis == Axis::Rows { ROUNDING } else { TOLERANCE };
    let do_agree = could_be_batched && !is_whole && {
        agree(model, &rows, &alone, (tolerance, deadline)).unwrap_or(axis == Axis::Rows)
    };
    model.signature.is_batched = do_agree;
    model.is_mixing = could_be_batched && !model.signature.is_batched;
}

/// Rows that the model takes, and what it says to each alone.
fn alone(model: &mut OnnxModel, deadline: Instant) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let (mut rows, mut alone) = (Vec::new(), Vec::new());
    for free in FREE_AXES {
        for filled in [Filled::Zeros, Filled::Ones, Filled::Mixed] {
            let Some(row) = row(&model.signature, filled, free) else { continue };
            match run(model, &[&row], deadline) {
                Ok(mut outputs) => {
                    alone.append(&mut outputs);
                    rows.push(row);
                }
                Err(Failed::Late) => return (Vec::new(), Vec::new()),
                // It may well have something against these.
                Err(_) => {}
            }
        }
        if rows.len() >= 2 {
            return (rows, alone);
        }
        rows.clear();
        alone.clear();
    }
    (rows, alone)
}

/// Whether rows get together what they get alone; `None` if that cannot be tried.
fn agree(
    model: &mut OnnxModel,
    rows: &[Vec<u8>],
    alone: &[Vec<u8>],
    (tolerance, deadline): (f64, Instant),
) -> Option<bool> {
    let last = rows.len().checked_sub(1).filter(|last| *last > 0)?;
    for order in [&[0, 1][..], &[last, 1, 0]] {
        let together: Vec<&[u8]> = order.iter().map(|at| rows[*at].as_slice()).collect();
        let outputs = match run(model, &together, deadline) {
            Ok(outputs) => outputs,
            Err(Failed::Late) => return None,
            Err(_) => return Some(false),
        };
        let is_same = |(at, output): (&usize, &Vec<u8>)| are_same(&alone[*at], output, tolerance);
        if outputs.len() != order.len() || !order.iter().zip(&outputs).all(is_same) {
            return Some(false);
        }
    }
    Some(true)
}

fn run(model: &mut OnnxModel, rows: &[&[u8]], deadline: Instant) -> Result<Vec<Vec<u8>>, Failed> {
    let read = rows.iter().map(|row| record::read(row)).collect::<Option<Vec<_>>>();
    let read = read.ok_or_else(|| Failed::Said("a row is no record".to_owned()))?;
    model.run_together(&read, Some(deadline))
}

/// A row of a model's; axes that are free are `free` long. `None` if it is too large for a trial.
pub(crate) fn row(signature: &Signature, filled: Filled, free: usize) -> Option<Vec<u8>> {
    let mut row = Vec::new();
    for port in &signature.inputs {
        let axes: Vec<usize> = port.row.iter().map(|axis| axis.unwrap_or(free)).collect();
        let n_elements = axes.iter().try_fold(1_usize, |product, axis| product.checked_mul(*axis))?;
        if n_elements > MAX_ELEMENTS {
            return None;
        }
        let mut data = Vec::new();
        for at in 0..n_elements {
            element(&mut data, port.element, filled, at);
        }
        record::write(&mut row, port.element, &axes, &data)?;
    }
    Some(row)
}

/// Appends an element: 0, 1, or one of several numbers in turn, some of them negative where that is likely to be taken.
fn element(out: &mut Vec<u8>, element: Element, filled: Filled, at: usize) {
    let whole: u8 = match filled {
        Filled::Zeros => 0,
        Filled::Ones => 1,
        Filled::Mixed => [2, 0, 1][at % 3],
    };
    let float: f32 = match filled {
        Filled::Mixed => [-1.25, 2.5, 0.0, -0.5][at % 4],
        _ => f32::from(whole),
    };
    match element {
        Element::Float16 => out.extend_from_slice(&half::f16::from_f32(float).to_le_bytes()),
        Element::Bfloat16 => out.extend_from_slice(&half::bf16::from_f32(float).to_le_bytes()),
        Element::Float32 => out.extend_from_slice(&float.to_le_bytes()),
        Element::Float64 => out.extend_from_slice(&f64::from(float).to_le_bytes()),
        Element::Bool => out.push(u8::from(whole == 1)),
        // As many letters: the length, and the letters.
        Element::String => {
            out.extend_from_slice(&u32::from(whole).to_le_bytes());
            out.resize(out.len() + usize::from(whole), b'a');
        }
        // Little-endian: the first byte, and zeros.
        _ => {
            out.push(whole);
            out.resize(out.len() + element.n_bytes().map_or(0, |n_bytes| n_bytes - 1), 0);
        }
    }
}

/// How long axes are that the graph leaves free, one after the other until rows are taken: an image may have to have some
/// size.
const FREE_AXES: [usize; 4] = [2, 1, 64, 224];
/// Of an input on trial.
const MAX_ELEMENTS: usize = 16 << 20;
const TOLERANCE: f64 = 1e-5;
/// Where the names say that rows are rows: several are added up in another order, in a deep network many times. Rows that
/// reach into each other differ by more.
const ROUNDING: f64 = 1e-2;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::element::ALL;
    use crate::signature::Port;

    #[test]
    fn rows_of_all_types_are_records_and_differ() {
        for element in ALL {
            let port = Port { name: "x".to_owned(), element, row: vec![Some(3), None], has_axis: true };
            let signature =
                Signature { inputs: vec![port], outputs: Vec::new(), is_batched: true, ..Signature::default() };
            let rows = [Filled::Zeros, Filled::Ones, Filled::Mixed].map(|filled| row(&signature, filled, 2).unwrap());
            for row in &rows {
                let tensors = record::read(row).unwrap();
                assert_eq!(tensors[0].axes[..], [3, 2], "{element}");
                if element == Element::String {
                    assert_eq!(tensors[0].strings().unwrap().len(), 6);
                }
            }
            assert!(rows[0] != rows[1] && rows[1] != rows[2] && rows[0] != rows[2], "{element}");
        }
    }

    #[test]
    fn what_is_too_large_is_not_made() {
        let port = Port { name: "x".to_owned(), element: Element::Int8, row: vec![None; 4], has_axis: true };
        let signature = Signature { inputs: vec![port], outputs: Vec::new(), is_batched: true, ..Signature::default() };
        assert_eq!(row(&signature, Filled::Zeros, usize::MAX), None);
        assert_eq!(row(&signature, Filled::Zeros, 224), None);
    }
}
