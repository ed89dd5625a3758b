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

use smallvec::SmallVec;

use crate::element::Element;

/// The length of each axis. Few tensors have more than four.
pub(crate) type Axes = SmallVec<[usize; 4]>;

/// The tensors of a row. Most have one.
pub(crate) type Tensors<'a> = SmallVec<[Tensor<'a>; 1]>;

/// A thread keeps no more memory than this to put the next record together.
pub(crate) const MAX_KEPT_BYTES: usize = 64 << 10;

/// One tensor of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tensor<'a> {
    pub(crate) element: Element,
    pub(crate) axes: Axes,
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
    out.reserve_exact(n_bytes_before(axes.len()) + data.len());
    let open = Open::begin(out, element, axes.len());
    out.extend_from_slice(data);
    open.end(out, axes)
}

/// A tensor that is being written: its elements go behind what is there.
pub(crate) struct Open {
    at: usize,
    n_axes: usize,
}

impl Open {
    /// Leaves room for what stands before the elements.
    pub(crate) fn begin(out: &mut Vec<u8>, element: Element, n_axes: usize) -> Self {
        let at = out.len();
        out.push(element.code());
        out.resize(at + n_bytes_before(n_axes), 0);
        Self { at, n_axes }
    }

    /// Writes how long the axes turned out to be, which are as many as were said. `None` if it is too large.
    pub(crate) fn end(self, out: &mut [u8], axes: &[usize]) -> Option<()> {
        let n_bytes = out.len().checked_sub(self.at + n_bytes_before(self.n_axes))?;
        let (_, tensor) = out.split_at_mut_checked(self.at)?;
        let (head, rest) = tensor.split_at_mut_checked(2)?;
        head[1] = u8::try_from(axes.len()).ok().filter(|_| axes.len() == self.n_axes)?;
        let lengths = axes.iter().chain([&n_bytes]);
        for (place, length) in rest.as_chunks_mut::<4>().0.iter_mut().zip(lengths) {
            *place = u32::try_from(*length).ok()?.to_le_bytes();
        }
        Some(())
    }
}

/// How much stands before the elements.
const fn n_bytes_before(n_axes: usize) -> usize {
    2 + 4 * n_axes + 4
}

/// Appends a string as an element.
pub(crate) fn write_string(out: &mut Vec<u8>, text: &str) -> Option<()> {
    out.extend_from_slice(&u32::try_from(text.len()).ok()?.to_le_bytes());
    out.extend_from_slice(text.as_bytes());
    Some(())
}

/// The tensors of a record; `None` if it is none.
pub(crate) fn read(mut bytes: &[u8]) -> Option<Tensors<'_>> {
    let mut tensors = Tensors::new();
    while !bytes.is_empty() {
        let [code, n_axes] = *take(&mut bytes, 2)?.first_chunk()?;
        let element = Element::from_code(code)?;
        let mut axes = Axes::with_capacity(usize::from(n_axes));
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

/// How many bytes the first `n` tensors take; `None` if there are fewer.
pub(crate) fn n_bytes_of_first(record: &[u8], n: usize) -> Option<usize> {
    let mut rest = record;
    for _ in 0..n {
        let [_, n_axes] = *take(&mut rest, 2)?.first_chunk()?;
        take(&mut rest, 4 * usize::from(n_axes))?;
        let n_bytes = take_length(&mut rest)?;
        take(&mut rest, n_bytes)?;
    }
    Some(record.len() - rest.len())
}

/// The part of each row, of a tensor whose rows lie one behind the other. `None` if that is not what they are.
pub(crate) fn of_rows(data: &[u8], element: Element, n_elements: usize, n_rows: usize) -> Option<Vec<&[u8]>> {
    let mut rest = data;
    let mut of_rows = Vec::new();
    for _ in 0..n_rows {
        let begin = rest;
        match element.n_bytes() {
            Some(n_bytes) => {
                take(&mut rest, n_elements.checked_mul(n_bytes)?)?;
            }
            None => {
                for _ in 0..n_elements {
                    let n_bytes = take_length(&mut rest)?;
                    std::str::from_utf8(take(&mut rest, n_bytes)?).ok()?;
                }
            }
        }
        of_rows.push(&begin[..begin.len() - rest.len()]);
    }
    rest.is_empty().then_some(of_rows)
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
        assert_eq!(tensors[0].axes.as_slice(), [2]);
        assert_eq!(tensors[0].data, [0, 0, 128, 63, 0, 0, 0, 64]);
        assert_eq!(tensors[1].strings().unwrap(), ["ä", ""]);
        assert_eq!(tensors[1].axes.as_slice(), [2, 1]);
        let first = n_bytes_of_first(&record, 1).unwrap();
        assert_eq!(read(&record[..first]).unwrap().len(), 1);
        assert_eq!(n_bytes_of_first(&record, 2), Some(record.len()));
        assert_eq!(n_bytes_of_first(&record, 3), None);
    }

    #[test]
    fn rows_that_lie_one_behind_the_other() {
        let mut strings = Vec::new();
        for text in ["a", "", "äb", "c"] {
            write_string(&mut strings, text).unwrap();
        }
        for (data, element, n_elements, n_rows, expected) in [
            (&b"abcdef"[..], Element::Int8, 2, 3, Some(vec![&b"ab"[..], b"cd", b"ef"])),
            (b"abcdef", Element::Int16, 1, 3, Some(vec![&b"ab"[..], b"cd", b"ef"])),
            (b"", Element::Int16, 0, 2, Some(vec![&b""[..], b""])),
            (b"abcdef", Element::Int8, 2, 2, None),
            (b"abcde", Element::Int8, 2, 3, None),
            (b"abcdef", Element::Int64, usize::MAX, 3, None),
            (&strings, Element::String, 2, 2, Some(vec![&strings[..9], &strings[9..]])),
            (&strings, Element::String, 1, 2, None),
            (&strings, Element::String, 3, 2, None),
            (b"\x01\0\0\0\xff", Element::String, 1, 1, None),
        ] {
            assert_eq!(of_rows(data, element, n_elements, n_rows), expected, "{data:?}");
        }
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
