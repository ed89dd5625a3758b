//! Examples that a model has to answer as expected before it is put in force; and whether rows may share a run.
//!
//! That a graph's first axis is free says that several rows fit, not that each is computed as if it were alone: a model
//! may normalize over all that it is given. Where there are examples it is tried. Each run has the time that any other has.

use std::time::{Duration, Instant};

use bodega_snapshot::Golden;
use half::{bf16, f16};
use serde_json::Value;

use crate::batch::{Failed, Runner};
use crate::element::Element;
use crate::features::{self, Form};
use crate::record::{self, Tensor};
use crate::render;
use crate::signature::Signature;

/// An example as the model takes it.
struct Example<'a> {
    row: Vec<u8>,
    golden: &'a Golden,
}

/// Runs the examples, alone and together. Returns whether rows agree in both; true if there are no examples, since
/// nothing speaks against it.
///
/// # Errors
/// If an example cannot be read, fails, or has another prediction than is expected.
pub(crate) fn check(
    runner: &mut impl Runner,
    signature: &Signature,
    golden: &[Golden],
    timeout: Duration,
) -> Result<bool, String> {
    let mut examples = Vec::with_capacity(golden.len());
    for (number, golden) in golden.iter().enumerate() {
        let body = format!(r#"{{"features":{}}}"#, golden.features_json);
        let read = features::rows(body.as_bytes(), signature, Form::Row);
        let rows = read.map_err(|problem| format!("golden[{number}]: {}: {}", problem.field, problem.message))?;
        examples.extend(rows.into_iter().map(|row| Example { row, golden }));
    }
    let mut alone = Vec::with_capacity(examples.len());
    for (number, example) in examples.iter().enumerate() {
        let outputs =
            run_alone(runner, &example.row, timeout).map_err(|why| format!("golden[{number}]: it fails: {why}"))?;
        expect(signature, example.golden, &outputs).map_err(|why| format!("golden[{number}]: {why}"))?;
        alone.push(outputs);
    }
    Ok(!signature.is_batched || agree(runner, &examples, &alone, timeout))
}

fn run_alone(runner: &mut impl Runner, row: &[u8], timeout: Duration) -> Result<Vec<u8>, String> {
    match runner.run_within(&[row], Instant::now() + timeout).pop() {
        Some(Ok(outputs)) => Ok(outputs),
        Some(Err(Failed::Said(why) | Failed::Gone(why))) => Err(why),
        Some(Err(Failed::Late)) => Err(format!("it did not answer within {} s", timeout.as_secs_f64())),
        None => Err("nothing came".to_owned()),
    }
}

/// Whether outputs are what an example expects.
fn expect(signature: &Signature, golden: &Golden, outputs: &[u8]) -> Result<(), String> {
    let mut written = Vec::new();
    let is_written = render::prediction(&mut written, signature, outputs);
    let given: Option<Value> = serde_json::from_slice(&written).ok().filter(|_| is_written);
    let given = given.ok_or("what it gave is no prediction")?;
    let Some(expected) = &golden.prediction_json else { return Ok(()) };
    let expected: Value = serde_json::from_str(expected).map_err(|error| format!("`prediction`: {error}"))?;
    if is_near(&expected, &given, golden.tolerance) {
        return Ok(());
    }
    let features = shortened(&golden.features_json);
    let (expected, given) = (shortened(&expected.to_string()), shortened(&given.to_string()));
    Err(format!("for {features} expected {expected}, got {given} (tolerance {})", golden.tolerance))
}

fn shortened(text: &str) -> String {
    if text.chars().count() <= MAX_SHOWN_CHARS {
        return text.to_owned();
    }
    format!("{}...", text.chars().take(MAX_SHOWN_CHARS).collect::<String>())
}

fn is_near(expected: &Value, given: &Value, tolerance: f64) -> bool {
    match (expected, given) {
        (Value::Number(expected), Value::Number(given)) => {
            expected == given
                || expected.as_f64().zip(given.as_f64()).is_some_and(|(one, other)| are_near(one, other, tolerance))
        }
        (Value::Array(expected), Value::Array(given)) => {
            expected.len() == given.len()
                && expected.iter().zip(given).all(|(expected, given)| is_near(expected, given, tolerance))
        }
        (Value::Object(expected), Value::Object(given)) => {
            expected.len() == given.len()
                && expected
                    .iter()
                    .all(|(name, expected)| given.get(name).is_some_and(|given| is_near(expected, given, tolerance)))
        }
        _ => expected == given,
    }
}

fn are_near(expected: f64, given: f64, tolerance: f64) -> bool {
    (expected - given).abs() <= tolerance * expected.abs().max(1.0)
}

/// Whether the examples have the same outputs together as they had alone. One that is the only one of its form goes
/// together with a row of zeros, if the model takes that.
fn agree(runner: &mut impl Runner, examples: &[Example<'_>], alone: &[Vec<u8>], timeout: Duration) -> bool {
    let forms = |at: usize| record::read(&examples[at].row).map(|row| form(&row));
    let mut rest: Vec<usize> = (0..examples.len()).collect();
    while let Some(&first) = rest.first() {
        let (together, others): (Vec<usize>, Vec<usize>) = rest.iter().partition(|at| forms(**at) == forms(first));
        rest = others;
        let zeros = zeros(&examples[first].row).filter(|zeros| run_alone(runner, zeros, timeout).is_ok());
        let mut rows: Vec<&[u8]> = together.iter().map(|at| examples[*at].row.as_slice()).collect();
        rows.extend(zeros.as_deref());
        let outputs = runner.run_within(&rows, Instant::now() + timeout);
        for (at, outputs) in together.iter().zip(outputs) {
            let tolerance = examples[*at].golden.tolerance;
            if !outputs.is_ok_and(|outputs| are_same(&alone[*at], &outputs, tolerance)) {
                return false;
            }
        }
    }
    true
}

fn form(row: &[Tensor<'_>]) -> Vec<(Element, record::Axes)> {
    row.iter().map(|tensor| (tensor.element, tensor.axes.clone())).collect()
}

/// A row of the same form with nothing in it.
fn zeros(row: &[u8]) -> Option<Vec<u8>> {
    let mut zeros = Vec::with_capacity(row.len());
    for tensor in record::read(row)? {
        let n_bytes = match tensor.element.n_bytes() {
            Some(_) => tensor.data.len(),
            // An empty string is its length.
            None => 4 * tensor.axes.iter().product::<usize>(),
        };
        record::write(&mut zeros, tensor.element, &tensor.axes, &vec![0; n_bytes])?;
    }
    Some(zeros)
}

pub(crate) fn are_same(one: &[u8], other: &[u8], tolerance: f64) -> bool {
    let (Some(one), Some(other)) = (record::read(one), record::read(other)) else { return false };
    one.len() == other.len()
        && one.iter().zip(&other).all(|(one, other)| {
            one.element == other.element && one.axes == other.axes && are_same_elements(one, other, tolerance)
        })
}

fn are_same_elements(one: &Tensor<'_>, other: &Tensor<'_>, tolerance: f64) -> bool {
    let near = |one: f64, other: f64| are_near(one, other, tolerance) || (one.is_nan() && other.is_nan());
    let element = one.element;
    match element {
        Element::Float32 => {
            let (one, other) = (one.data.as_chunks::<4>().0, other.data.as_chunks::<4>().0);
            let read = |bytes: &[u8; 4]| f64::from(f32::from_le_bytes(*bytes));
            one.iter().zip(other).all(|(one, other)| one == other || near(read(one), read(other)))
        }
        Element::Float16 | Element::Bfloat16 => {
            let (one, other) = (one.data.as_chunks::<2>().0, other.data.as_chunks::<2>().0);
            let read = |bytes: &[u8; 2]| match element {
                Element::Float16 => f16::from_le_bytes(*bytes).to_f64(),
                _ => bf16::from_le_bytes(*bytes).to_f64(),
            };
            one.iter().zip(other).all(|(one, other)| one == other || near(read(one), read(other)))
        }
        Element::Float64 => {
            let (one, other) = (one.data.as_chunks::<8>().0, other.data.as_chunks::<8>().0);
            let read = |bytes: &[u8; 8]| f64::from_le_bytes(*bytes);
            one.iter().zip(other).all(|(one, other)| one == other || near(read(one), read(other)))
        }
        _ => one.data == other.data,
    }
}

const MAX_SHOWN_CHARS: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signature::Port;

    const TIMEOUT: Duration = Duration::from_secs(60);

    /// Gives each row's number back; with `mixes` the sum of all that it was given at once.
    struct Sums {
        mixes: bool,
    }

    impl Runner for Sums {
        fn run(&mut self, rows: &[&[u8]]) -> Vec<Result<Vec<u8>, Failed>> {
            let numbers: Vec<f32> = rows
                .iter()
                .map(|row| f32::from_le_bytes(*record::read(row).unwrap()[0].data.first_chunk().unwrap()))
                .collect();
            let sum: f32 = numbers.iter().sum::<f32>() + if self.mixes && rows.len() > 1 { 1.0 } else { 0.0 };
            let answer = |number: &f32| {
                if *number == 13.0 {
                    return Err(Failed::Said("thirteen".to_owned()));
                }
                let mut record = Vec::new();
                let number = if self.mixes { sum } else { *number };
                record::write(&mut record, Element::Float32, &[1], &number.to_le_bytes()).unwrap();
                Ok(record)
            };
            numbers.iter().map(answer).collect()
        }
    }

    fn signature() -> Signature {
        let port =
            |name: &str| Port { name: name.to_owned(), element: Element::Float32, row: vec![Some(1)], has_axis: true };
        Signature { inputs: vec![port("x")], outputs: vec![port("y")], is_batched: true, ..Signature::default() }
    }

    fn golden(features: &str, prediction: Option<&str>) -> Golden {
        Golden {
            features_json: features.to_owned(),
            prediction_json: prediction.map(ToOwned::to_owned),
            tolerance: 1e-5,
        }
    }

    #[test]
    fn an_example_says_what_was_expected_and_what_came() {
        for (example, words) in [
            (golden("[2]", Some("2.5")), &["golden[0]", "for [2] expected 2.5, got 2.0", "0.00001"][..]),
            (golden("[2]", Some("\"two\"")), &["expected \"two\", got 2.0"]),
            (golden("[1, 2]", None), &["golden[0]: features", "float32[1]", "float32[2]"]),
            (golden("[13]", None), &["it fails: thirteen"]),
        ] {
            let error = check(&mut Sums { mixes: false }, &signature(), &[example], TIMEOUT).unwrap_err();
            for word in words {
                assert!(error.contains(word), "{error}");
            }
        }
        for (features, prediction) in [("[2]", Some("2")), ("[2]", Some("2.00001")), ("[7]", None)] {
            assert_eq!(
                check(&mut Sums { mixes: false }, &signature(), &[golden(features, prediction)], TIMEOUT),
                Ok(true)
            );
        }
    }

    #[test]
    fn rows_that_disagree_together_are_found_with_one_example_or_more() {
        for examples in [vec![golden("[2]", None)], vec![golden("[2]", None), golden("[0]", None)]] {
            assert_eq!(check(&mut Sums { mixes: true }, &signature(), &examples, TIMEOUT), Ok(false));
            assert_eq!(check(&mut Sums { mixes: false }, &signature(), &examples, TIMEOUT), Ok(true));
        }
        let alone = Signature { is_batched: false, ..signature() };
        assert_eq!(check(&mut Sums { mixes: true }, &alone, &[golden("[2]", None)], TIMEOUT), Ok(true));
        assert_eq!(check(&mut Sums { mixes: true }, &signature(), &[], TIMEOUT), Ok(true));
    }
}
