//! Records of outputs as JSON.

use half::{bf16, f16};

use crate::element::Element;
use crate::record::{self, Tensor};
use crate::signature::{Port, Signature};

/// Appends the prediction of a row: the value of the one output, or an object of all. False if it is no record of them.
pub(crate) fn prediction(out: &mut Vec<u8>, signature: &Signature, bytes: &[u8]) -> bool {
    let Some(tensors) = record::read(bytes).filter(|tensors| tensors.len() == signature.outputs.len()) else {
        return false;
    };
    if let ([port], [tensor]) = (signature.outputs.as_slice(), tensors.as_slice()) {
        return value(out, port, tensor).is_some();
    }
    out.push(b'{');
    for (at, (port, tensor)) in signature.outputs.iter().zip(&tensors).enumerate() {
        if at > 0 {
            out.push(b',');
        }
        text(out, &port.name);
        out.push(b':');
        if value(out, port, tensor).is_none() {
            return false;
        }
    }
    out.push(b'}');
    true
}

/// Appends a string of JSON.
pub(crate) fn text(out: &mut Vec<u8>, text: &str) {
    json(out, &text);
}

/// A tensor that always has one element is that element. Not one that happens to have one: whoever reads it would have to
/// tell the two apart.
fn value(out: &mut Vec<u8>, port: &Port, tensor: &Tensor<'_>) -> Option<()> {
    let is_one = port.row == [Some(1)] && tensor.axes.as_slice() == [1];
    typed(out, if is_one { &[] } else { &tensor.axes }, tensor)
}

fn typed(out: &mut Vec<u8>, axes: &[usize], tensor: &Tensor<'_>) -> Option<()> {
    match tensor.element {
        Element::String => {
            let strings = tensor.strings()?;
            let mut strings = strings.iter();
            nested(out, axes, &mut |out| {
                text(out, strings.next()?);
                Some(())
            })
        }
        Element::Float16 => numbers(out, axes, tensor.data, |bytes| f16::from_le_bytes(*bytes).to_f32()),
        Element::Bfloat16 => numbers(out, axes, tensor.data, |bytes| bf16::from_le_bytes(*bytes).to_f32()),
        Element::Float32 => numbers(out, axes, tensor.data, |bytes| f32::from_le_bytes(*bytes)),
        Element::Float64 => numbers(out, axes, tensor.data, |bytes| f64::from_le_bytes(*bytes)),
        Element::Int8 => numbers(out, axes, tensor.data, |bytes| i8::from_le_bytes(*bytes)),
        Element::Int16 => numbers(out, axes, tensor.data, |bytes| i16::from_le_bytes(*bytes)),
        Element::Int32 => numbers(out, axes, tensor.data, |bytes| i32::from_le_bytes(*bytes)),
        Element::Int64 => numbers(out, axes, tensor.data, |bytes| i64::from_le_bytes(*bytes)),
        Element::Uint8 => numbers(out, axes, tensor.data, |bytes| u8::from_le_bytes(*bytes)),
        Element::Uint16 => numbers(out, axes, tensor.data, |bytes| u16::from_le_bytes(*bytes)),
        Element::Uint32 => numbers(out, axes, tensor.data, |bytes| u32::from_le_bytes(*bytes)),
        Element::Uint64 => numbers(out, axes, tensor.data, |bytes| u64::from_le_bytes(*bytes)),
        Element::Bool => numbers(out, axes, tensor.data, |bytes: &[u8; 1]| bytes[0] != 0),
    }
}

/// Appends the elements of some tensors as one list, without their axes.
pub(crate) fn flat(out: &mut Vec<u8>, tensors: &[&Tensor<'_>]) -> Option<()> {
    let mut is_begun = false;
    for tensor in tensors {
        let n_elements = tensor.axes.iter().product::<usize>();
        if n_elements == 0 {
            continue;
        }
        let begin = out.len();
        typed(out, &[n_elements], tensor)?;
        // Each comes in brackets: what opens the first opens the list.
        out.pop();
        if is_begun {
            *out.get_mut(begin)? = b',';
        }
        is_begun = true;
    }
    if !is_begun {
        out.push(b'[');
    }
    out.push(b']');
    Some(())
}

fn numbers<T: serde::Serialize, const N: usize>(
    out: &mut Vec<u8>,
    axes: &[usize],
    data: &[u8],
    read: impl Fn(&[u8; N]) -> T,
) -> Option<()> {
    let mut elements = data.as_chunks::<N>().0.iter();
    // What JSON has no number for (NaN, infinities) is written as null.
    nested(out, axes, &mut |out| {
        json(out, &read(elements.next()?));
        Some(())
    })
}

fn nested(out: &mut Vec<u8>, axes: &[usize], element: &mut dyn FnMut(&mut Vec<u8>) -> Option<()>) -> Option<()> {
    let Some((n_elements, inner)) = axes.split_first() else { return element(out) };
    out.push(b'[');
    for at in 0..*n_elements {
        if at > 0 {
            out.push(b',');
        }
        nested(out, inner, element)?;
    }
    out.push(b']');
    Some(())
}

fn json<T: serde::Serialize>(out: &mut Vec<u8>, value: &T) {
    // Writing a number or a text into memory cannot fail.
    drop(serde_json::to_writer(out, value));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(name: &str, element: Element, axes: &[usize]) -> Port {
        let row = axes.iter().map(|axis| Some(*axis)).collect();
        Port { name: name.to_owned(), element, row, has_axis: true }
    }

    fn written(tensors: &[(Element, &[usize], Vec<u8>)]) -> String {
        let outputs = tensors.iter().map(|(element, axes, _)| port(element.name(), *element, axes)).collect();
        let signature = Signature { inputs: Vec::new(), outputs, is_batched: true, ..Signature::default() };
        let mut bytes = Vec::new();
        for (element, axes, data) in tensors {
            record::write(&mut bytes, *element, axes, data).unwrap();
        }
        let mut out = Vec::new();
        assert!(prediction(&mut out, &signature, &bytes));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn values_of_every_shape() {
        let floats = |floats: &[f32]| floats.iter().flat_map(|float| float.to_le_bytes()).collect::<Vec<u8>>();
        for (axes, data, expected) in [
            (&[][..], floats(&[0.1]), "0.1"),
            (&[1], floats(&[-1.0]), "-1.0"),
            (&[2], floats(&[0.25, 3e10]), "[0.25,3e10]"),
            (&[2, 1], floats(&[1.5, 2.5]), "[[1.5],[2.5]]"),
            (&[0], vec![], "[]"),
            (&[2], floats(&[f32::NAN, f32::INFINITY]), "[null,null]"),
        ] {
            let text = written(&[(Element::Float32, axes, data)]);
            let (text, expected): (serde_json::Value, serde_json::Value) =
                (serde_json::from_str(&text).unwrap(), serde_json::from_str(expected).unwrap());
            assert_eq!(text, expected);
        }
        assert_eq!(written(&[(Element::Int64, &[], (-1_i64).to_le_bytes().to_vec())]), "-1");
        assert_eq!(written(&[(Element::Bool, &[2], vec![1, 0])]), "[true,false]");
        let mut strings = Vec::new();
        record::write_string(&mut strings, "a\"b").unwrap();
        assert_eq!(written(&[(Element::String, &[1], strings)]), r#""a\"b""#);
    }

    #[test]
    fn several_outputs_are_an_object() {
        let label = (Element::Int64, &[][..], 1_i64.to_le_bytes().to_vec());
        let flag = (Element::Bool, &[][..], vec![0]);
        assert_eq!(written(&[label, flag]), r#"{"int64":1,"bool":false}"#);
    }

    #[test]
    fn elements_of_several_tensors_are_one_list() {
        let data = [1.5_f64, -0.1, 1e300].map(f64::to_le_bytes).concat();
        let of = |range: std::ops::Range<usize>, axes: &[usize]| Tensor {
            element: Element::Float64,
            axes: record::Axes::from_slice(axes),
            data: &data[8 * range.start..8 * range.end],
        };
        let list = |tensors: &[Tensor<'_>]| {
            let mut out = b"{".to_vec();
            flat(&mut out, &tensors.iter().collect::<Vec<_>>()).unwrap();
            String::from_utf8(out).unwrap()
        };
        assert_eq!(list(&[of(0..1, &[1, 1]), of(1..3, &[2])]), "{[1.5,-0.1,1e+300]");
        assert_eq!(list(&[of(0..0, &[0]), of(0..1, &[])]), "{[1.5]");
        assert_eq!(list(&[of(0..1, &[]), of(0..0, &[2, 0])]), "{[1.5]");
        assert_eq!((list(&[]).as_str(), list(&[of(0..0, &[0])]).as_str()), ("{[]", "{[]"));
    }
}
