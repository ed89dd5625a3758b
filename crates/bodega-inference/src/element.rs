//! The types of a tensor's elements: what ONNX calls them, their size, how one is read from JSON.

use std::fmt;

use half::{bf16, f16};
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
    Float16,
    Bfloat16,
}

/// All of them; a record holds the place in this list.
pub(crate) const ALL: [Element; 14] = [
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
    Element::Float16,
    Element::Bfloat16,
];

impl Element {
    /// What ONNX Runtime calls it; `None` for types that are not taken.
    pub(crate) fn of(element: TensorElementType) -> Option<Self> {
        Some(match element {
            TensorElementType::Float16 => Self::Float16,
            TensorElementType::Bfloat16 => Self::Bfloat16,
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

    /// The one that is written so.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        ALL.into_iter().find(|element| element.name() == name)
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
            Self::Float16 => "float16",
            Self::Bfloat16 => "bfloat16",
        }
    }

    /// The bytes of one; `None` for strings, which have each their own length.
    pub(crate) const fn n_bytes(self) -> Option<usize> {
        Some(match self {
            Self::Int8 | Self::Uint8 | Self::Bool => 1,
            Self::Int16 | Self::Uint16 | Self::Float16 | Self::Bfloat16 => 2,
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
            Self::Float16 => push_half(f16::from_f32(to_odd(number.as_f64())), f16::is_finite, f16::to_le_bytes, out),
            Self::Bfloat16 => {
                push_half(bf16::from_f32(to_odd(number.as_f64())), bf16::is_finite, bf16::to_le_bytes, out)
            }
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

    /// A float from 2^53 on may have been rounded to what it is: another number was meant, and nobody can tell.
    #[expect(clippy::cast_possible_truncation, reason = "a whole number below 2^53 in size is one of i128 exactly")]
    fn as_whole(self) -> Option<i128> {
        match self {
            Self::Whole(whole) => Some(whole),
            Self::Float(float) if float.fract() == 0.0 && float.abs() < ROUNDED => Some(float as i128),
            Self::Float(_) => None,
        }
    }
}

/// 2^53: all whole numbers below it are doubles, and 2^53 + 1 is read as this.
const ROUNDED: f64 = 9_007_199_254_740_992.0;

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

/// The number as a float of 32 bits, of two that are near the one that is odd: rounded again, to half as many bits, it
/// becomes what the number itself is nearest to (Boldo and Melquiond 2008, "Emulation of FMA and correctly rounded sums").
#[expect(clippy::cast_possible_truncation, reason = "what is lost is put right")]
fn to_odd(number: f64) -> f32 {
    let near = number as f32;
    let (back, bits) = (f64::from(near), near.to_bits());
    if back == number || !near.is_finite() || bits & 1 == 1 {
        return near;
    }
    f32::from_bits(if back.abs() < number.abs() { bits + 1 } else { bits - 1 })
}

/// As `push_float32`: rounded to the nearest, none beyond the largest, and no -0.
fn push_half<T: Copy>(half: T, is_finite: fn(T) -> bool, to_bytes: fn(T) -> [u8; 2], out: &mut Vec<u8>) -> bool {
    let fits = is_finite(half);
    if fits {
        out.extend_from_slice(&without_sign_of_zero(to_bytes(half)));
    }
    fits
}

/// The bytes of a float of 16 bits, of either kind; those of 0 for -0.
pub(crate) const fn without_sign_of_zero(bytes: [u8; 2]) -> [u8; 2] {
    if matches!(bytes, [0, 0x80]) { [0, 0] } else { bytes }
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
            (Element::Float16, Number::Float(65_504.0), true),
            (Element::Float16, Number::Float(65_520.0), false),
            (Element::Bfloat16, Number::Float(3e38), true),
            (Element::Bfloat16, Number::Float(3.4e38), false),
            (Element::Int8, Number::Whole(-128), true),
            (Element::Int8, Number::Whole(128), false),
            (Element::Uint8, Number::Whole(-1), false),
            (Element::Int64, Number::Whole(i128::from(i64::MAX)), true),
            (Element::Int64, Number::Whole(i128::from(i64::MAX) + 1), false),
            (Element::Uint64, Number::Whole(i128::from(u64::MAX)), true),
            (Element::Int64, Number::Float(1.5), false),
            (Element::Int64, Number::Float(1e30), false),
            // What a reader of JSON makes of -9223372036854775809.
            (Element::Int64, Number::Float(-9_223_372_036_854_775_808.0), false),
            // What it makes of 2^53, and of the next one.
            (Element::Int64, Number::Float(ROUNDED), false),
            (Element::Int64, Number::Float(ROUNDED - 1.0), true),
            (Element::Bool, Number::Whole(1), false),
            (Element::String, Number::Whole(1), false),
        ] {
            assert_eq!(bytes(element, number).is_some(), fits, "{element} {number}");
        }
    }

    #[test]
    fn floats_of_16_bits_are_rounded_to_the_nearest() {
        for (element, number, expected) in [
            (Element::Float16, 1.0, [0x00, 0x3c]),
            (Element::Float16, 0.1, [0x66, 0x2e]),
            (Element::Float16, -2.5, [0x00, 0xc1]),
            (Element::Bfloat16, 1.0, [0x80, 0x3f]),
            (Element::Bfloat16, 0.1, [0xcd, 0x3d]),
        ] {
            assert_eq!(bytes(element, Number::Float(number)), Some(expected.to_vec()), "{element} {number}");
        }
    }

    #[test]
    fn what_lies_between_two_floats_of_16_bits_goes_to_the_nearer() {
        let next_up = |float: f64| f64::from_bits(float.to_bits() + 1);
        let next_down = |float: f64| f64::from_bits(float.to_bits() - 1);
        type Halves = (Element, fn([u8; 2]) -> f64, u16);
        let kinds: [Halves; 2] = [
            (Element::Float16, |bytes| f16::from_le_bytes(bytes).to_f64(), 0x7bff),
            (Element::Bfloat16, |bytes| bf16::from_le_bytes(bytes).to_f64(), 0x7f7f),
        ];
        for (element, value, last) in kinds {
            for low in (0..last).step_by(37).chain([0, 1, last - 1]) {
                let (below, above) = (value(low.to_le_bytes()), value((low + 1).to_le_bytes()));
                let middle = f64::midpoint(below, above);
                let even = if low % 2 == 0 { low } else { low + 1 };
                for (number, expected) in [(middle, even), (next_down(middle), low), (next_up(middle), low + 1)] {
                    for (sign, bit) in [(1.0, 0), (-1.0, 0x8000)] {
                        let expected = if expected == 0 { 0 } else { expected | bit };
                        let given = bytes(element, Number::Float(sign * number));
                        assert_eq!(given, Some(expected.to_le_bytes().to_vec()), "{element} {number:e}");
                    }
                }
            }
        }
    }

    #[test]
    fn codes_are_the_places_in_the_list() {
        for element in ALL {
            assert_eq!(Element::from_code(element.code()), Some(element));
            assert_eq!(Element::from_name(element.name()), Some(element));
        }
        assert_eq!(Element::from_code(14), None);
    }
}
