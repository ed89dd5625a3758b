//! What a model takes and gives, from its graph: names, types, shapes, and which axis is the batch.
//!
//! A *row* is what one prediction is made of: an input without its batch axis. The first axis is the batch where the
//! graph leaves it free, in all inputs and outputs under one name; under others, or none, it is tried (`probe`). Where it
//! is fixed at 1 rows go one at a time; otherwise a tensor is a row as it is.

use std::fmt;

use ort::session::Session;
use ort::value::{Outlet, ValueType};

use crate::element::Element;

/// The most inputs of a model, and the most outputs.
pub(crate) const MAX_PORTS: usize = 1_024;

/// What is said of an output that is left out may name it, at any length.
const MAX_TOLD_CHARS: usize = 250;

/// What a model takes and gives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Signature {
    pub(crate) inputs: Vec<Port>,
    /// Those that are tensors, in the graph's order.
    pub(crate) outputs: Vec<Port>,
    /// Whether several rows can go in one run.
    pub(crate) is_batched: bool,
    /// Names in a row that its prediction does not depend on: inputs, which stand last, and others, which are passed over.
    pub(crate) ignored: Vec<String>,
    /// Outputs that are no part of an answer since they are no tensors, and what they are.
    pub(crate) left_out: Vec<String>,
}

/// One input or output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Port {
    pub(crate) name: String,
    pub(crate) element: Element,
    /// The axes of a row; `None` where the graph leaves one free.
    pub(crate) row: Vec<Option<usize>>,
    /// Whether an axis stands before those of a row.
    pub(crate) has_axis: bool,
}

/// What a graph says of its first axes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Axis {
    /// Those that are free all count rows.
    Rows,
    /// They may, or something else.
    Unknown,
}

impl Signature {
    /// Reads the graph.
    pub(crate) fn of(session: &Session) -> Result<(Self, Axis), String> {
        let mut inputs = Vec::new();
        let mut names = Vec::new();
        let mut are_free = true;
        for outlet in session.inputs() {
            let (port, name) = Port::of(outlet)
                .ok_or_else(|| format!("its input `{}` is {}, which is not taken", outlet.name(), outlet.dtype()))?;
            are_free &= name.is_some();
            names.extend(name);
            inputs.push(port);
        }
        if inputs.is_empty() {
            return Err("it has no inputs: there is nothing to predict from".to_owned());
        }
        for (n_ports, what) in [(inputs.len(), "inputs"), (session.outputs().len(), "outputs")] {
            if n_ports > MAX_PORTS {
                return Err(format!("it has {n_ports} {what}: at most {MAX_PORTS} are taken; join them in one tensor"));
            }
        }
        let has_rows = inputs.iter().any(|port| port.has_axis);
        let (mut outputs, mut left_out) = (Vec::new(), Vec::new());
        let mut is_known = true;
        for outlet in session.outputs() {
            // What is no tensor (the sequence of maps that a classifier of scikit-learn ends with, for instance) is not
            // part of an answer.
            let Some((mut port, name)) = Port::of(outlet) else {
                let what = format!("{} ({})", outlet.name(), outlet.dtype());
                left_out.push(what.chars().filter(|c| !c.is_control()).take(MAX_TOLD_CHARS).collect());
                continue;
            };
            are_free &= name.is_some();
            if let Some(name) = name {
                if has_rows {
                    is_known &= !name.is_empty() && names.iter().all(|other| *other == name) && !names.is_empty();
                } else {
                    // It counts something else, since there are no rows.
                    (port.has_axis, port.row) = (false, std::iter::once(None).chain(port.row).collect());
                }
            }
            outputs.push(port);
        }
        if outputs.is_empty() {
            return Err("none of its outputs is a tensor of numbers, booleans or strings".to_owned());
        }
        let axis = if is_known { Axis::Rows } else { Axis::Unknown };
        Ok((Self { inputs, outputs, is_batched: are_free, ignored: Vec::new(), left_out }, axis))
    }

    /// The same with names that are ignored. What a key is made of is the beginning of a record, so that inputs which
    /// are ignored go behind the others; a session takes them by their names.
    pub(crate) fn ignoring(mut self, ignored: &[String]) -> Result<Self, String> {
        self.ignored = ignored.to_vec();
        if self.n_keyed() == 0 {
            return Err("`ignored` names all of its inputs: nothing is left to tell rows apart by".to_owned());
        }
        self.inputs.sort_by_key(|port| ignored.contains(&port.name));
        Ok(self)
    }

    /// Whether an answer to several rows has their axis before those of this port: an output without one of its own gets
    /// it where rows have one in every input.
    pub(crate) fn has_axis_before(&self, port: &Port) -> bool {
        port.has_axis || self.inputs.iter().all(|input| input.has_axis)
    }

    /// How many of the inputs a prediction depends on; they stand first.
    pub(crate) fn n_keyed(&self) -> usize {
        self.inputs.iter().filter(|port| !self.ignored.contains(&port.name)).count()
    }
}

impl Port {
    /// With the name of its first axis, if that is free; empty if it has none.
    fn of(outlet: &Outlet) -> Option<(Self, Option<&str>)> {
        let ValueType::Tensor { ty, shape, dimension_symbols } = outlet.dtype() else { return None };
        let element = Element::of(*ty)?;
        let axes: Vec<Option<usize>> = shape.iter().map(|axis| usize::try_from(*axis).ok()).collect();
        let is_free = axes.first().is_some_and(Option::is_none);
        let has_axis = is_free || (axes.len() > 1 && axes.first() == Some(&Some(1)));
        let row = if has_axis { axes.get(1..).unwrap_or_default().to_vec() } else { axes };
        let name = is_free.then(|| dimension_symbols.first().map_or("", String::as_str));
        Some((Self { name: outlet.name().to_owned(), element, row, has_axis }, name))
    }

    /// The axes of a row as they are written: `[30]`, with `?` for one that is free.
    pub(crate) fn axes(&self) -> String {
        let axes: Vec<String> = self.row.iter().map(|axis| axis.map_or("?".to_owned(), |n| n.to_string())).collect();
        format!("[{}]", axes.join(", "))
    }

    /// Whether a row may have these axes.
    pub(crate) fn takes(&self, axes: &[usize]) -> bool {
        self.row.len() == axes.len()
            && self.row.iter().zip(axes).all(|(expected, given)| expected.is_none_or(|expected| expected == *given))
    }
}

impl fmt::Display for Port {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}{}", self.element, self.axes())
    }
}

/// How a shape is written: `float32[2, 30]`.
pub(crate) fn written(element: &str, axes: &[usize]) -> String {
    let axes: Vec<String> = axes.iter().map(ToString::to_string).collect();
    format!("{element}[{}]", axes.join(", "))
}
