//! What a worker says when it is ready: what its model takes and gives.

use serde::{Deserialize, Serialize};

use crate::element::Element;
use crate::signature::{MAX_PORTS, Port, Signature};

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Hello {
    inputs: Vec<PortText>,
    outputs: Vec<PortText>,
    is_batched: bool,
    /// Whether it is not since rows mixed when it was tried.
    #[serde(default)]
    is_mixing: bool,
    #[serde(default)]
    left_out: Vec<String>,
    /// The digest of a runner's own code.
    #[serde(default)]
    code: Option<String>,
}

/// What a worker says of its model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Declared {
    pub(super) signature: Signature,
    pub(super) is_mixing: bool,
    /// What tells its code apart from other code, if it has any.
    pub(super) code: Option<String>,
}

impl Declared {
    /// Whether one that was started again takes and gives the same. Whether its rows share runs it says of each run.
    pub(super) fn is_as(&self, now: &Self) -> bool {
        self.signature.inputs == now.signature.inputs && self.signature.outputs == now.signature.outputs
    }
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct PortText {
    name: String,
    element: String,
    /// `null` where an axis is free.
    row: Vec<Option<u32>>,
    has_axis: bool,
}

/// What a worker wrote, within bounds.
pub(super) fn read(payload: &[u8]) -> Result<Declared, String> {
    let wrong = |what: &str| format!("it says of itself what no worker says: {what}");
    let hello: Hello = serde_json::from_slice(payload).map_err(|error| wrong(&error.to_string()))?;
    let read = |ports: Vec<PortText>| {
        if ports.is_empty() || ports.len() > MAX_PORTS {
            return Err(wrong(&format!("{} inputs or outputs", ports.len())));
        }
        let ports = ports.into_iter().map(|port| {
            let element = Element::from_name(&port.element).ok_or_else(|| wrong(&port.element))?;
            if port.row.len() > MAX_AXES || port.name.is_empty() || port.name.len() > MAX_NAME_BYTES {
                return Err(wrong(&port.name));
            }
            let row = port.row.iter().map(|axis| axis.and_then(|axis| usize::try_from(axis).ok())).collect();
            Ok(Port { name: port.name, element, row, has_axis: port.has_axis })
        });
        ports.collect::<Result<Vec<_>, _>>()
    };
    let (inputs, outputs) = (read(hello.inputs)?, read(hello.outputs)?);
    let code = hello.code.filter(|code| code.len() <= MAX_NAME_BYTES);
    let mut left_out = hello.left_out;
    if left_out.iter().any(|each| each.len() > 2 * MAX_NAME_BYTES || each.chars().any(char::is_control)) {
        left_out.clear();
    }
    left_out.truncate(MAX_PORTS);
    let signature = Signature { inputs, outputs, is_batched: hello.is_batched, left_out, ..Signature::default() };
    Ok(Declared { signature, is_mixing: hello.is_mixing, code })
}

/// The same, for the other side.
pub(super) fn write(signature: &Signature, is_mixing: bool) -> Result<Vec<u8>, String> {
    let ports = |ports: &[Port]| {
        let port = |port: &Port| PortText {
            name: port.name.clone(),
            element: port.element.name().to_owned(),
            row: port.row.iter().map(|axis| axis.and_then(|axis| u32::try_from(axis).ok())).collect(),
            has_axis: port.has_axis,
        };
        ports.iter().map(port).collect()
    };
    let Signature { inputs, outputs, is_batched, left_out, .. } = signature;
    let (inputs, outputs) = (ports(inputs), ports(outputs));
    let hello = Hello { inputs, outputs, is_batched: *is_batched, is_mixing, left_out: left_out.clone(), code: None };
    serde_json::to_vec(&hello).map_err(|error| error.to_string())
}

const MAX_AXES: usize = 32;
const MAX_NAME_BYTES: usize = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_read_as_it_was_written() {
        let port = |name: &str, element, row: &[Option<usize>]| Port {
            name: name.to_owned(),
            element,
            row: row.to_vec(),
            has_axis: true,
        };
        let signature = Signature {
            inputs: vec![port("x", Element::Float32, &[Some(3), None]), port("words", Element::String, &[])],
            outputs: vec![port("y", Element::Int64, &[])],
            is_batched: true,
            left_out: vec!["all (Sequence<Map<Int64, Float32>>)".to_owned()],
            ..Signature::default()
        };
        let read = read(&write(&signature, true).unwrap());
        assert_eq!(read, Ok(Declared { signature, is_mixing: true, code: None }));
    }

    #[test]
    fn what_is_no_signature_is_refused() {
        for payload in [
            &b"\xff"[..],
            b"{}",
            br#"{"inputs": [], "outputs": [], "is_batched": true}"#,
            br#"{"inputs": [{"name": "x", "element": "float33", "row": [], "has_axis": true}], "outputs": [], "is_batched": true}"#,
            br#"{"inputs": [{"name": "", "element": "int8", "row": [], "has_axis": true}], "outputs": [], "is_batched": true}"#,
            br#"{"inputs": [{"name": "x", "element": "int8", "row": [-1], "has_axis": true}], "outputs": [], "is_batched": true}"#,
        ] {
            assert!(read(payload).is_err(), "{}", String::from_utf8_lossy(payload));
        }
    }
}
