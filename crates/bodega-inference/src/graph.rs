//! What is read of a graph before it is loaded: which other files it is made of, and whether it may run for ever.
//!
//! The messages are those of `onnx.proto` with the few fields that say so. Weights are none of them, and are skipped.

use prost::Message;

/// What is known of a graph.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Graph {
    /// Files beside it that hold weights, as it names them, each once and in order.
    pub(crate) locations: Vec<Vec<u8>>,
    /// Whether it has loops: how long a run takes may then depend on the numbers of a row.
    pub(crate) has_loops: bool,
}

impl Graph {
    /// Reads a model's file.
    ///
    /// # Errors
    /// If it is none.
    pub(crate) fn read(file: &[u8]) -> Result<Self, String> {
        // The library's own format names no files. Of its graph nothing is known.
        if file.get(4..8) == Some(b"ORTM") {
            return Ok(Self { locations: Vec::new(), has_loops: true });
        }
        let model = ModelProto::decode(file).map_err(|error| format!("it is no ONNX model: {error}"))?;
        let no_graph = || "it is no ONNX model: it has no graph".to_owned();
        check_inputs(model.graph.as_ref().ok_or_else(no_graph)?)?;
        let mut graph = Self::default();
        model.graph.iter().for_each(|it| graph.add_graph(it));
        model.functions.iter().flat_map(|function| &function.node).for_each(|node| graph.add_node(node));
        graph.locations.sort_unstable();
        graph.locations.dedup();
        Ok(graph)
    }

    fn add_graph(&mut self, graph: &GraphProto) {
        graph.initializer.iter().for_each(|tensor| self.add_tensor(tensor));
        graph.sparse_initializer.iter().for_each(|sparse| self.add_sparse(sparse));
        graph.node.iter().for_each(|node| self.add_node(node));
    }

    fn add_node(&mut self, node: &NodeProto) {
        self.has_loops |= LOOPS.contains(&node.op_type.as_slice());
        for attribute in &node.attribute {
            attribute.t.iter().chain(&attribute.tensors).for_each(|tensor| self.add_tensor(tensor));
            attribute.sparse_tensor.iter().chain(&attribute.sparse_tensors).for_each(|sparse| self.add_sparse(sparse));
            attribute.g.iter().chain(&attribute.graphs).for_each(|graph| self.add_graph(graph));
        }
    }

    fn add_sparse(&mut self, sparse: &SparseTensorProto) {
        sparse.values.iter().chain(&sparse.indices).for_each(|tensor| self.add_tensor(tensor));
    }

    fn add_tensor(&mut self, tensor: &TensorProto) {
        let location = tensor.external_data.iter().filter(|entry| entry.key == b"location");
        self.locations.extend(location.map(|entry| entry.value.clone()));
    }
}

/// Of an input without a shape the library says what it says of a number alone, no axes, and it takes any shape for
/// either: such a model would be asked for numbers only.
fn check_inputs(graph: &GraphProto) -> Result<(), String> {
    let is_unranked = |input: &&ValueInfoProto| {
        let tensor = input.r#type.as_ref().and_then(|of| of.tensor.as_ref());
        // One that stands among the weights is not asked for.
        tensor.is_some_and(|tensor| tensor.shape.is_none())
            && graph.initializer.iter().all(|each| each.name != input.name)
    };
    match graph.input.iter().find(is_unranked) {
        None => Ok(()),
        Some(input) => {
            let name = String::from_utf8_lossy(&input.name);
            Err(format!("its input `{name}` has no shape: give it one, with names for axes that are free"))
        }
    }
}

/// Those with a body that runs as often as a row says.
const LOOPS: [&[u8]; 3] = [b"Loop", b"Scan", b"SequenceMap"];

#[derive(Message)]
struct ModelProto {
    #[prost(message, optional, tag = "7")]
    graph: Option<GraphProto>,
    #[prost(message, repeated, tag = "25")]
    functions: Vec<FunctionProto>,
}

#[derive(Message)]
struct FunctionProto {
    #[prost(message, repeated, tag = "7")]
    node: Vec<NodeProto>,
}

#[derive(Message)]
struct GraphProto {
    #[prost(message, repeated, tag = "1")]
    node: Vec<NodeProto>,
    #[prost(message, repeated, tag = "5")]
    initializer: Vec<TensorProto>,
    #[prost(message, repeated, tag = "11")]
    input: Vec<ValueInfoProto>,
    #[prost(message, repeated, tag = "15")]
    sparse_initializer: Vec<SparseTensorProto>,
}

#[derive(Message)]
struct ValueInfoProto {
    #[prost(bytes = "vec", tag = "1")]
    name: Vec<u8>,
    #[prost(message, optional, tag = "2")]
    r#type: Option<TypeProto>,
}

#[derive(Message)]
struct TypeProto {
    #[prost(message, optional, tag = "1")]
    tensor: Option<TensorTypeProto>,
}

#[derive(Message)]
struct TensorTypeProto {
    #[prost(message, optional, tag = "2")]
    shape: Option<TensorShapeProto>,
}

/// That there is one.
#[derive(Message)]
struct TensorShapeProto {}

#[derive(Message)]
struct NodeProto {
    #[prost(bytes = "vec", tag = "4")]
    op_type: Vec<u8>,
    #[prost(message, repeated, tag = "5")]
    attribute: Vec<AttributeProto>,
}

#[derive(Message)]
struct AttributeProto {
    #[prost(message, optional, tag = "5")]
    t: Option<TensorProto>,
    #[prost(message, optional, tag = "6")]
    g: Option<GraphProto>,
    #[prost(message, repeated, tag = "10")]
    tensors: Vec<TensorProto>,
    #[prost(message, repeated, tag = "11")]
    graphs: Vec<GraphProto>,
    #[prost(message, optional, tag = "22")]
    sparse_tensor: Option<SparseTensorProto>,
    #[prost(message, repeated, tag = "23")]
    sparse_tensors: Vec<SparseTensorProto>,
}

#[derive(Message)]
struct SparseTensorProto {
    #[prost(message, optional, tag = "1")]
    values: Option<TensorProto>,
    #[prost(message, optional, tag = "2")]
    indices: Option<TensorProto>,
}

#[derive(Message)]
struct TensorProto {
    #[prost(bytes = "vec", tag = "8")]
    name: Vec<u8>,
    #[prost(message, repeated, tag = "13")]
    external_data: Vec<StringStringEntryProto>,
}

#[derive(Message)]
struct StringStringEntryProto {
    #[prost(bytes = "vec", tag = "1")]
    key: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(location: &str) -> TensorProto {
        let entry = |key: &str, value: &str| StringStringEntryProto { key: key.into(), value: value.into() };
        TensorProto { external_data: vec![entry("location", location), entry("offset", "0")], ..TensorProto::default() }
    }

    fn node(op_type: &str, attribute: AttributeProto) -> NodeProto {
        NodeProto { op_type: op_type.into(), attribute: vec![attribute] }
    }

    #[test]
    fn files_and_loops_are_found_wherever_they_stand() {
        let sparse = |values, indices| SparseTensorProto { values: Some(values), indices: Some(indices) };
        let inner = GraphProto {
            node: vec![node("Loop", AttributeProto::default())],
            initializer: vec![tensor("inner")],
            sparse_initializer: vec![sparse(tensor("values"), tensor("indices"))],
            ..GraphProto::default()
        };
        let attribute = AttributeProto {
            t: Some(tensor("t")),
            g: Some(inner),
            tensors: vec![tensor("tensors"), tensor("t")],
            sparse_tensor: Some(sparse(tensor("s"), TensorProto::default())),
            ..AttributeProto::default()
        };
        let graph = GraphProto {
            node: vec![node("If", attribute)],
            initializer: vec![TensorProto::default(), tensor("weights")],
            ..GraphProto::default()
        };
        let of_function = AttributeProto { t: Some(tensor("function")), ..AttributeProto::default() };
        let functions = vec![FunctionProto { node: vec![node("Constant", of_function)] }];
        let read = Graph::read(&ModelProto { graph: Some(graph), functions }.encode_to_vec()).unwrap();
        let locations: Vec<&str> = read.locations.iter().map(|each| std::str::from_utf8(each).unwrap()).collect();
        assert_eq!(locations, ["function", "indices", "inner", "s", "t", "tensors", "values", "weights"]);
        assert!(read.has_loops);
    }

    #[test]
    fn what_is_no_graph_is_said_and_of_another_format_nothing_is_known() {
        assert!(Graph::read(b"no model at all").unwrap_err().contains("no ONNX model"));
        assert!(Graph::read(b"\x20\0\0\0ORTM").unwrap().has_loops);
        assert!(Graph::read(b"").unwrap_err().contains("no graph"));
        assert_eq!(Graph::read(b"\x3a\0"), Ok(Graph::default()));
    }

    #[test]
    fn an_input_without_a_shape_is_refused() {
        let input = |name: &str, shape| {
            let tensor = Some(TensorTypeProto { shape });
            ValueInfoProto { name: name.into(), r#type: Some(TypeProto { tensor }) }
        };
        let weights = || TensorProto { name: "w".into(), ..TensorProto::default() };
        let read = |input| {
            let graph = GraphProto { input, initializer: vec![weights()], ..GraphProto::default() };
            Graph::read(&ModelProto { graph: Some(graph), functions: Vec::new() }.encode_to_vec())
        };
        let other = ValueInfoProto { name: "map".into(), r#type: Some(TypeProto { tensor: None }) };
        assert!(read(vec![input("number", Some(TensorShapeProto {})), input("w", None), other]).is_ok());
        let refused = read(vec![input("x", None)]).unwrap_err();
        assert_eq!(refused, "its input `x` has no shape: give it one, with names for axes that are free");
    }
}
