//! The answer to an inference: outputs as JSON, or as bytes behind it.
//!
//! JSON is written as it goes out, numbers straight from the records: a tree of them would take many times the memory, and
//! as many allocations as there are numbers.

use bodega_edge::predict::{Answered, NotRendered, Rendered};

use super::body::Wanted;
use super::datatype;
use crate::model::Model;
use crate::record::{self, Tensor, Tensors};
use crate::render;
use crate::signature::{Port, Signature, written};

/// Writes the outputs of all rows.
pub(super) fn write(model: &Model, wanted: &Wanted, answers: &[Answered<'_>]) -> Result<Rendered, NotRendered> {
    let rows = records(answers)?;
    let (mut body, mut binary) = (vec![b'{'], Vec::new());
    if let Some(id) = &wanted.id {
        body.extend_from_slice(br#""id":"#);
        render::text(&mut body, id);
        body.push(b',');
    }
    body.extend_from_slice(br#""model_name":"#);
    render::text(&mut body, model.name());
    body.extend_from_slice(br#","model_version":"#);
    render::text(&mut body, model.version());
    body.extend_from_slice(br#","outputs":["#);
    for (n_before, &(at, is_binary)) in wanted.outputs.iter().enumerate() {
        if n_before > 0 {
            body.push(b',');
        }
        let (port, shape, tensors) = gathered(&model.signature, at, &rows)?;
        body.extend_from_slice(br#"{"name":"#);
        render::text(&mut body, &port.name);
        let shape: Vec<String> = shape.iter().map(ToString::to_string).collect();
        let (datatype, shape) = (datatype(port.element), shape.join(","));
        body.extend_from_slice(format!(r#","datatype":"{datatype}","shape":[{shape}],"#).as_bytes());
        if is_binary {
            let before = binary.len();
            tensors.iter().for_each(|tensor| binary.extend_from_slice(tensor.data));
            let n_bytes = binary.len() - before;
            body.extend_from_slice(format!(r#""parameters":{{"binary_data_size":{n_bytes}}}}}"#).as_bytes());
        } else {
            body.extend_from_slice(br#""data":"#);
            render::flat(&mut body, &tensors).ok_or_else(NotRendered::no_prediction)?;
            body.push(b'}');
        }
    }
    body.extend_from_slice(b"]}");
    if binary.is_empty() {
        return Ok(Rendered::json(body.into()));
    }
    let n_bytes = body.len();
    body.extend_from_slice(&binary);
    let fields = vec![("Inference-Header-Content-Length", n_bytes.to_string())];
    Ok(Rendered { fields, ..Rendered::new("application/octet-stream", body.into()) })
}

/// The tensors of all answers.
pub(crate) fn records<'a>(answers: &[Answered<'a>]) -> Result<Vec<Tensors<'a>>, NotRendered> {
    answers.iter().map(|answer| record::read(answer.body).ok_or_else(NotRendered::no_prediction)).collect()
}

/// One output of all rows, and its shape: with the axis of the rows before those of each, which are the same in all.
pub(crate) fn gathered<'s, 'r, 'a>(
    signature: &'s Signature,
    at: usize,
    rows: &'r [Tensors<'a>],
) -> Result<(&'s Port, Vec<usize>, Vec<&'r Tensor<'a>>), NotRendered> {
    let port = signature.outputs.get(at).ok_or_else(NotRendered::no_prediction)?;
    let tensors = rows.iter().map(|row| row.get(at)).collect::<Option<Vec<_>>>();
    let tensors = tensors.ok_or_else(NotRendered::no_prediction)?;
    let Some(first) = tensors.first() else {
        let row = port.row.iter().map(|axis| axis.unwrap_or(0));
        return Ok((port, std::iter::once(0).chain(row).collect(), tensors));
    };
    if let Some(row) = tensors.iter().position(|other| other.axes != first.axes) {
        let shape = |tensor: &Tensor<'_>| written(datatype(port.element), &tensor.axes);
        let what = format!(
            "`{}` has not one shape for these rows: {} of row 0, {} of row {row}. Ask for them one by one",
            port.name,
            shape(first),
            shape(tensors[row]),
        );
        return Err(NotRendered { status: 422, what });
    }
    let axis = signature.has_axis_before(port).then_some(rows.len());
    Ok((port, axis.into_iter().chain(first.axes.iter().copied()).collect(), tensors))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::element::Element;

    fn port(row: &[Option<usize>], has_axis: bool) -> Port {
        Port { name: "y".to_owned(), element: Element::Float32, row: row.to_vec(), has_axis }
    }

    fn row(axes: &[usize]) -> Vec<u8> {
        let mut out = Vec::new();
        record::write(&mut out, Element::Float32, axes, &vec![0; 4 * axes.iter().product::<usize>()]).unwrap();
        out
    }

    fn shape(signature: &Signature, rows: &[Vec<u8>]) -> Result<Vec<usize>, NotRendered> {
        let answers: Vec<_> = rows.iter().map(|row| Answered { body: row, is_cached: false }).collect();
        gathered(signature, 0, &records(&answers)?).map(|(_, shape, _)| shape)
    }

    /// A shape whose product is not the number of elements is one that no client reads.
    #[test]
    fn the_axis_of_rows_stands_before_an_output_that_has_none() {
        for (input_has_axis, output, axes, n_rows, expected) in [
            (true, port(&[], false), &[][..], 2, &[2][..]),
            (true, port(&[], false), &[], 1, &[1]),
            (true, port(&[], false), &[], 0, &[0]),
            (true, port(&[None], true), &[3], 2, &[2, 3]),
            (true, port(&[Some(4), None], false), &[4, 3], 2, &[2, 4, 3]),
            (true, port(&[Some(4), None], false), &[], 0, &[0, 4, 0]),
            // Then there is one row only.
            (false, port(&[], false), &[], 1, &[]),
            (false, port(&[Some(3)], true), &[3], 1, &[1, 3]),
        ] {
            let (inputs, outputs) = (vec![port(&[Some(3)], input_has_axis)], vec![output]);
            let signature = Signature { inputs, outputs, is_batched: false, ..Signature::default() };
            assert_eq!(shape(&signature, &vec![row(axes); n_rows]).unwrap(), expected);
        }
    }

    #[test]
    fn rows_of_several_shapes_are_told_with_what_to_do() {
        let (inputs, outputs) = (vec![port(&[Some(3)], true)], vec![port(&[None], true)]);
        let signature = Signature { inputs, outputs, is_batched: false, ..Signature::default() };
        let error = shape(&signature, &[row(&[1]), row(&[1]), row(&[2])]).unwrap_err();
        let what = "`y` has not one shape for these rows: FP32[1] of row 0, FP32[2] of row 2. Ask for them one by one";
        assert_eq!((error.status, error.what.as_str()), (422, what));
        let broken = shape(&signature, &[vec![200, 1]]).unwrap_err();
        assert_eq!((broken.status, broken.what.as_str()), (500, "what is stored is no prediction of this model"));
    }
}
