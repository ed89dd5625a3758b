//! What a model takes and gives, from its graph: names, types, shapes, and which axis is the batch.
//!
//! A *row* is what one prediction is made of: an input without its batch axis. The first axis is the batch where the
//! graph leaves it free; where it is fixed at 1 rows go one at a time; otherwise a tensor is a row as it is.

use std::fmt;

use ort::session::Session;
use ort::value::{Outlet, ValueType};

use crate::element::Element;

/// What a model takes and gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Signature {
    pub(crate) inputs: Vec<Port>,
    /// Those that are tensors, in the graph's order.
    pub(crate) outputs: Vec<Port>,
    /// Whether several rows can go in one run.
    pub(crate) is_batched: bool,
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

impl Signature {
    /// Reads the graph.
    pub(crate) fn of(session: &Session) -> Result<Self, String> {
        let mut inputs = Vec::new();
        let mut are_free = true;
        for outlet in session.inputs() {
            let (port, is_free) = Port::of(outlet)
                .ok_or_else(|| format!("its input `{}` is {}, which is not taken", outlet.name(), outlet.dtype()))?;
            are_free &= is_free;
            inputs.push(port);
        }
        if inputs.is_empty() {
            return Err("it has no inputs: there is nothing to predict from".to_owned());
        }
        let mut outputs = Vec::new();
        for outlet in session.outputs() {
            // What is no tensor (the sequence of maps that a classifier of scikit-learn ends with, for instance) is not
            // part of an answer.
            let Some((port, is_free)) = Port::of(outlet) else { continue };
            are_free &= is_free;
            outputs.push(port);
        }
        if outputs.is_empty() {
            return Err("none of its outputs is a tensor of numbers, booleans or strings".to_owned());
        }
        Ok(Self { inputs, outputs, is_batched: are_free })
    }
}

impl Port {
    fn of(outlet: &Outlet) -> Option<(Self, bool)> {
        let ValueType::Tensor { ty, shape, .. } = outlet.dtype() else { return None };
        let element = Element::of(*ty)?;
        let axes: Vec<Option<usize>> = shape.iter().map(|axis| usize::try_from(*axis).ok()).collect();
        let is_free = axes.first().is_some_and(Option::is_none);
        let has_axis = is_free || (axes.len() > 1 && axes.first() == Some(&Some(1)));
        let row = if has_axis { axes.get(1..).unwrap_or_default().to_vec() } else { axes };
        Some((Self { name: outlet.name().to_owned(), element, row, has_axis }, is_free))
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
