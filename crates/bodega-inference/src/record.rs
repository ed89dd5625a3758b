//! A row's tensors as bytes: what a key is made of, what a model's thread is handed, what is stored.
//!
//! ```text
//! for each tensor, in the graph's order:
//!   u8   element        its place in `element::ALL`
//!   u8   axes
//!   u32  length         of each axis, little-endian
//!   u32  bytes          of what follows
//!   ...  elements       little-endian; a string is a u32 length and its bytes
//! ```
//!
//! One row has one form: numbers are written as what they mean (`element`), and nothing is left open.

use crate::element::Element;

/// One tensor of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tensor<'a> {
    pub(crate) element: Element,
    pub(crate) axes: Vec<usize>,
    pub(crate) data: &'a [u8],
}

impl Tensor<'_> {
    /// Its strings, if that is what it holds.
    pub(crate) fn strings(&self) -> Option<Vec<&str>> {
        let mut rest = self.data;
        let mut strings = Vec::new();
        while !rest.is_empty() {
            let n_bytes = take_length(&mut rest)?;
            strings.push(std::str::from_utf8(take(&mut rest, n_bytes)?).ok()?);
        }
        Some(strings)
    }
}

/// Appends a tensor. `None` if it is too large to be written so.
pub(crate) fn write(out: &mut Vec<u8>, element: Element, axes: &[usize], data: &[u8]) -> Option<()> {
    out.push(element.code());
    out.push(u8::try_from(axes.len()).ok()?);
    for axis in axes {
        out.extend_from_slice(&u32::try_from(*axis).ok()?.to_le_bytes());
    }
    out.extend_from_slice(&u32::try_from(data.len()).ok()?.to_le_bytes());
    out.extend_from_slice(data);
    Some(())
}

/// Appends a string as an element.
pub(crate) fn write_string(out: &mut Vec<u8>, text: &str) -> Option<()> {
    out.extend_from_slice(&u32::try_from(text.len()).ok()?.to_le_bytes());
    out.extend_from_slice(text.as_bytes());
    Some(())
}

/// The tensors of a record; `None` if it is none.
pub(crate) fn read(mut bytes: &[u8]) -> Option<Vec<Tensor<'_>>> {
    let mut tensors = Vec::new();
    while !bytes.is_empty() {
        let [code, n_axes] = *take(&mut bytes, 2)?.first_chunk()?;
        let element = Element::from_code(code)?;
        let mut axes = Vec::with_capacity(usize::from(n_axes));
        for _ in 0..n_axes {
            axes.push(take_length(&mut bytes)?);
        }
        let n_bytes = take_length(&mut bytes)?;
        let data = take(&mut bytes, n_bytes)?;
        let n_elements = axes.iter().try_fold(1_usize, |product, axis| product.checked_mul(*axis))?;
        if element.n_bytes().is_some_and(|each| n_elements.checked_mul(each) != Some(data.len())) {
            return None;
        }
        tensors.push(Tensor { element, axes, data });
    }
    Some(tensors)
}

fn take_length(bytes: &mut &[u8]) -> Option<usize> {
    usize::try_from(u32::from_le_bytes(*take(bytes, 4)?.first_chunk()?)).ok()
}

fn take<'a>(bytes: &mut &'a [u8], n_bytes: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(n_bytes)?;
    *bytes = rest;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut record = Vec::new();
        write(&mut record, Element::Float32, &[2], &[0, 0, 128, 63, 0, 0, 0, 64]).unwrap();
        let mut strings = Vec::new();
        write_string(&mut strings, "ä").unwrap();
        write_string(&mut strings, "").unwrap();
        write(&mut record, Element::String, &[2, 1], &strings).unwrap();
        let tensors = read(&record).unwrap();
        assert_eq!(tensors[0].axes, [2]);
        assert_eq!(tensors[0].data, [0, 0, 128, 63, 0, 0, 0, 64]);
        assert_eq!(tensors[1].strings().unwrap(), ["ä", ""]);
        assert_eq!(tensors[1].axes, [2, 1]);
    }

    #[test]
    fn a_record_that_was_cut_is_none() {
        let mut record = Vec::new();
        write(&mut record, Element::Int64, &[1], &7_i64.to_le_bytes()).unwrap();
        for n_bytes in 1..record.len() {
            assert_eq!(read(&record[..n_bytes]), None, "{n_bytes}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Some(tensors) = read(&bytes) {
                for tensor in tensors {
                    drop(tensor.strings());
                }
            }
        }
    }
}
