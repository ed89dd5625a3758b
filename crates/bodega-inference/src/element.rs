//! The types of a tensor's elements: what ONNX calls them, their size, how one is read from JSON.

use std::fmt;

use ort::value::TensorElementType;

/// The type of a tensor's elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Element {
    Float32,
    Float64,
    Int8,
    Int16,
    Int32,
    Int64,
    Uint8,
    Uint16,
    Uint32,
    Uint64,
    Bool,
    String,
}

/// All of them; a record holds the place in this list.
const ALL: [Element; 12] = [
    Element::Float32,
    Element::Float64,
    Element::Int8,
    Element::Int16,
    Element::Int32,
    Element::Int64,
    Element::Uint8,
    Element::Uint16,
    Element::Uint32,
    Element::Uint64,
    Element::Bool,
    Element::String,
];

impl Element {
    /// What ONNX Runtime calls it; `None` for types that are not taken.
    pub(crate) fn of(element: TensorElementType) -> Option<Self> {
        Some(match element {
            TensorElementType::Float32 => Self::Float32,
            TensorElementType::Float64 => Self::Float64,
            TensorElementType::Int8 => Self::Int8,
            TensorElementType::Int16 => Self::Int16,
            TensorElementType::Int32 => Self::Int32,
            TensorElementType::Int64 => Self::Int64,
            TensorElementType::Uint8 => Self::Uint8,
            TensorElementType::Uint16 => Self::Uint16,
            TensorElementType::Uint32 => Self::Uint32,
            TensorElementType::Uint64 => Self::Uint64,
            TensorElementType::Bool => Self::Bool,
            TensorElementType::String => Self::String,
            _ => return None,
        })
    }

    pub(crate) fn from_code(code: u8) -> Option<Self> {
        ALL.get(usize::from(code)).copied()
    }

    pub(crate) fn code(self) -> u8 {
        ALL.iter().position(|element| *element == self).and_then(|at| u8::try_from(at).ok()).unwrap_or(u8::MAX)
    }

    /// As numpy writes it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Float32 => "float32",
            Self::Float64 => "float64",
            Self::Int8 => "int8",
            Self::Int16 => "int16",
            Self::Int32 => "int32",
            Self::Int64 => "int64",
            Self::Uint8 => "uint8",
            Self::Uint16 => "uint16",
            Self::Uint32 => "uint32",
            Self::Uint64 => "uint64",
            Self::Bool => "bool",
            Self::String => "string",
        }
    }

    /// The bytes of one; `None` for strings, which have each their own length.
    pub(crate) const fn n_bytes(self) -> Option<usize> {
        Some(match self {
            Self::Int8 | Self::Uint8 | Self::Bool => 1,
            Self::Int16 | Self::Uint16 => 2,
            Self::Float32 | Self::Int32 | Self::Uint32 => 4,
            Self::Float64 | Self::Int64 | Self::Uint64 => 8,
            Self::String => return None,
        })
    }

    /// Appends a number as the element it is; false if it is none of these: a fraction where whole numbers are
    /// expected, or out of range. A number is what it means, however it is written: `1`, `1.0` and `1e0` are one, and
    /// so are 0 and -0, whose bytes differ.
    pub(crate) fn push_number(self, number: Number, out: &mut Vec<u8>) -> bool {
        match self {
            Self::Float32 => push_float32(number, out),
            Self::Float64 => {
                out.extend_from_slice(&(number.as_f64() + 0.0).to_le_bytes());
                true
            }
            Self::Int8 => push(number.as_whole().and_then(|whole| i8::try_from(whole).ok()).map(i8::to_le_bytes), out),
            Self::Int16 => {
                push(number.as_whole().and_then(|whole| i16::try_from(whole).ok()).map(i16::to_le_bytes), out)
            }
            Self::Int32 => {
                push(number.as_whole().and_then(|whole| i32::try_from(whole).ok()).map(i32::to_le_bytes), out)
            }
            Self::Int64 => {
                push(number.as_whole().and_then(|whole| i64::try_from(whole).ok()).map(i64::to_le_bytes), out)
            }
            Self::Uint8 => push(number.as_whole().and_then(|whole| u8::try_from(whole).ok()).map(u8::to_le_bytes), out),
            Self::Uint16 => {
                push(number.as_whole().and_then(|whole| u16::try_from(whole).ok()).map(u16::to_le_bytes), out)
            }
            Self::Uint32 => {
                push(number.as_whole().and_then(|whole| u32::try_from(whole).ok()).map(u32::to_le_bytes), out)
            }
            Self::Uint64 => {
                push(number.as_whole().and_then(|whole| u64::try_from(whole).ok()).map(u64::to_le_bytes), out)
            }
            Self::Bool | Self::String => false,
        }
    }
}

impl fmt::Display for Element {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// A number of JSON.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Number {
    Whole(i128),
    Float(f64),
}

impl Number {
    #[expect(clippy::cast_precision_loss, reason = "what a float is rounded to is what a JSON reader makes of it")]
    fn as_f64(self) -> f64 {
        match self {
            Self::Whole(whole) => whole as f64,
            Self::Float(float) => float,
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "a whole number below 2^63 in size is one of i128 exactly")]
    fn as_whole(self) -> Option<i128> {
        match self {
            Self::Whole(whole) => Some(whole),
            Self::Float(float) if float.fract() == 0.0 && float.abs() < 9.3e18 => Some(float as i128),
            Self::Float(_) => None,
        }
    }
}

impl fmt::Display for Number {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(whole) => whole.fmt(formatter),
            Self::Float(float) => float.fmt(formatter),
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "rounding to the nearest is what the type is for")]
fn push_float32(number: Number, out: &mut Vec<u8>) -> bool {
    let float = number.as_f64() as f32;
    // A number beyond the largest would become infinite.
    let fits = float.is_finite();
    if fits {
        // Adding 0 makes 0 of -0, and changes nothing else.
        out.extend_from_slice(&(float + 0.0).to_le_bytes());
    }
    fits
}

fn push<const N: usize>(bytes: Option<[u8; N]>, out: &mut Vec<u8>) -> bool {
    bytes.map(|bytes| out.extend_from_slice(&bytes)).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(element: Element, number: Number) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        element.push_number(number, &mut out).then_some(out)
    }

    #[test]
    fn one_number_has_one_form() {
        for element in ALL {
            let (whole, float) = (bytes(element, Number::Whole(1)), bytes(element, Number::Float(1.0)));
            assert_eq!(whole, float, "{element}");
            assert_eq!(bytes(element, Number::Float(-0.0)), bytes(element, Number::Whole(0)), "{element}");
        }
    }

    #[test]
    fn what_fits_a_type() {
        for (element, number, fits) in [
            (Element::Float32, Number::Float(1e38), true),
            (Element::Float32, Number::Float(1e39), false),
            (Element::Float64, Number::Float(1e39), true),
            (Element::Int8, Number::Whole(-128), true),
            (Element::Int8, Number::Whole(128), false),
            (Element::Uint8, Number::Whole(-1), false),
            (Element::Int64, Number::Whole(i128::from(i64::MAX)), true),
            (Element::Int64, Number::Whole(i128::from(i64::MAX) + 1), false),
            (Element::Uint64, Number::Whole(i128::from(u64::MAX)), true),
            (Element::Int64, Number::Float(1.5), false),
            (Element::Int64, Number::Float(1e30), false),
            (Element::Bool, Number::Whole(1), false),
            (Element::String, Number::Whole(1), false),
        ] {
            assert_eq!(bytes(element, number).is_some(), fits, "{element} {number}");
        }
    }

    #[test]
    fn codes_are_the_places_in_the_list() {
        for element in ALL {
            assert_eq!(Element::from_code(element.code()), Some(element));
        }
        assert_eq!(Element::from_code(12), None);
    }
}
