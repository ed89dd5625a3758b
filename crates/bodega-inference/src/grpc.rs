//! The Open Inference Protocol by gRPC: `inference.GRPCInferenceService`, over the edge's own HTTP/2.
//!
//! `frame` reads and writes messages as they travel, `messages` says what is in them, `inference` makes the same rows of
//! tensors as HTTP does, and `status` says what became of a call. A call is a request like any other to the machine; what is
//! its own are the trailers behind an answer.

mod frame;
mod inference;
mod messages;
mod status;

use std::time::Duration;

use bodega_edge::grpc;
use bodega_edge::predict::{Answered, Asked, NotRendered, Question, Refused, Rendered, Row};
use prost::Message;

use self::messages::{
    Config, ConfigResponse, ConfigTensor, Counted, DynamicBatching, Empty, Flag, IndexRequest, IndexResponse, Indexed,
    InferStatistics, ModelMetadata, Named, ServerMetadata, Statistics, StatisticsResponse, TensorMetadata,
};
use crate::coding::Coding;
use crate::group::Group;
use crate::kserve::{datatype, told};
use crate::model::Model;
use crate::problem::Problem;
use crate::signature::Port;
use crate::tally;

/// How many bytes stand before a message.
pub(crate) const HEAD_BYTES: u64 = frame::HEAD_BYTES as u64;

/// The method that a path names, if it is one of the service.
pub(crate) fn method(path: &str) -> Option<&str> {
    path.strip_prefix("/inference.GRPCInferenceService/")
}

/// Reads a call for one of `group`.
pub(crate) fn read(group: &Group, asked: &Asked<'_>, method: &str) -> Result<Box<dyn Question>, Refused> {
    // What is no call at all is answered as HTTP, for whoever it is reads that.
    check(asked).map_err(|problem| problem.refused())?;
    question(group, asked, method).map_err(|problem| status::refused(&problem))
}

fn check(asked: &Asked<'_>) -> Result<(), Problem> {
    if asked.method != "POST" {
        return Err(Problem::new(405, "", "this is gRPC: POST").allowing("POST"));
    }
    if !grpc::is_call(&asked.fields) {
        return Err(Problem::new(415, "Content-Type", "this is gRPC: application/grpc"));
    }
    if !matches!(asked.version, "2" | "3") {
        return Err(Problem::new(505, "", "gRPC needs HTTP/2"));
    }
    Ok(())
}

fn question(group: &Group, asked: &Asked<'_>, method: &str) -> Result<Box<dyn Question>, Problem> {
    let call = Call { timeout: frame::timeout(asked)?, coding: frame::answer_coding(asked) };
    let none = |message: &str| Problem::new(501, "", message);
    if !METHODS.contains(&method) {
        return Err(match method {
            "RepositoryModelLoad" | "RepositoryModelUnload" => {
                Problem::new(403, "", "models are loaded and unloaded at the admin listener")
            }
            "ModelStreamInfer" => none("streams are not offered: ask each inference by itself, by ModelInfer"),
            _ => none(&format!("there is no {method:?} here: there is {}", METHODS.join(", "))),
        });
    }
    let message = frame::read(asked, group.max_body_bytes())?;
    let message = &*message;
    if method == "ModelInfer" {
        return inference::read(group, message, call);
    }
    let model = || {
        let named: Named = decode(message)?;
        let version = Some(named.version.as_str()).filter(|version| !version.is_empty());
        group.find(&named.name, version).map(|model| (model, group.versions(&named.name)))
    };
    let told = match method {
        "ServerLive" => decode::<Empty>(message).map(|_| Flag { flag: true }.encode_to_vec())?,
        "ServerReady" => {
            let flag = group.check_ready().is_ok();
            decode::<Empty>(message).map(|_| Flag { flag }.encode_to_vec())?
        }
        "ServerMetadata" => decode::<Empty>(message).map(|_| server())?,
        "ModelReady" => match model() {
            Ok(_) => Flag { flag: true }.encode_to_vec(),
            Err(problem) if problem.status == 404 => Flag { flag: false }.encode_to_vec(),
            Err(problem) => return Err(problem),
        },
        "ModelMetadata" => model().map(|(model, versions)| metadata(model, &versions))?,
        "ModelConfig" => model().map(|(model, _)| config(model))?,
        "ModelStatistics" => statistics(group, &decode(message)?)?,
        _ => index(group, &decode(message)?),
    };
    Ok(Box::new(Told { message: told, call }))
}

fn decode<M: Message + Default>(message: &[u8]) -> Result<M, Problem> {
    M::decode(message).map_err(|error| Problem::new(400, "", format!("the message cannot be read: {error}")))
}

fn server() -> Vec<u8> {
    let (name, version) = ("bodega".to_owned(), env!("CARGO_PKG_VERSION").to_owned());
    // Tensors as bytes are part of the messages themselves.
    let extensions =
        told::EXTENSIONS.iter().filter(|name| **name != "binary_tensor_data").map(|name| (*name).to_owned());
    ServerMetadata { name, version, extensions: extensions.collect() }.encode_to_vec()
}

fn metadata(model: &Model, versions: &[&str]) -> Vec<u8> {
    let port = |port: &Port| TensorMetadata {
        name: port.name.clone(),
        datatype: datatype(port.element).to_owned(),
        shape: told::shape(&model.signature, port),
    };
    let told = ModelMetadata {
        name: model.name().to_owned(),
        versions: versions.iter().map(|version| (*version).to_owned()).collect(),
        platform: told::platform(model).0.to_owned(),
        inputs: model.signature.inputs.iter().map(port).collect(),
        outputs: model.signature.outputs.iter().map(port).collect(),
    };
    told.encode_to_vec()
}

fn config(model: &Model) -> Vec<u8> {
    let port = |port: &Port| ConfigTensor {
        name: port.name.clone(),
        data_type: told::data_type(port.element).1,
        ..ConfigTensor::default()
    };
    let input = |each: &Port| ConfigTensor { input_dims: told::config_dimensions(model, each), ..port(each) };
    let output = |each: &Port| ConfigTensor { output_dims: told::config_dimensions(model, each), ..port(each) };
    let count = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
    let (platform, backend) = told::platform(model);
    let config = Config {
        name: model.name().to_owned(),
        platform: platform.to_owned(),
        max_batch_size: count(told::max_batch_size(model)),
        input: model.signature.inputs.iter().map(input).collect(),
        output: model.signature.outputs.iter().map(output).collect(),
        dynamic_batching: model.signature.is_batched.then(|| DynamicBatching {
            preferred_batch_size: vec![count(model.settings.max_batch)],
            max_queue_delay_microseconds: 0,
        }),
        backend: backend.to_owned(),
    };
    ConfigResponse { config: Some(config) }.encode_to_vec()
}

/// Of one model, of all versions of a name, or of all.
fn statistics(group: &Group, named: &Named) -> Result<Vec<u8>, Problem> {
    let version = Some(named.version.as_str()).filter(|version| !version.is_empty());
    if !named.name.is_empty() {
        group.find(&named.name, version)?;
    }
    let is_asked = |model: &Model| {
        (named.name.is_empty() || model.name() == named.name)
            && version.is_none_or(|version| version == model.version())
    };
    let counted = |counted: tally::Counted| Some(Counted { count: counted.count, ns: counted.nanoseconds });
    let only = |count: u64| Some(Counted { count, ns: 0 });
    let of = |model: &Model| {
        let (computed, n_rows) = model.computed();
        let tallied = model.tally.read();
        Statistics {
            name: model.name().to_owned(),
            version: model.version().to_owned(),
            last_inference: tallied.last_millis,
            inference_count: n_rows,
            execution_count: computed.count,
            inference_stats: Some(InferStatistics {
                success: counted(tallied.answered),
                fail: counted(tallied.failed),
                compute_infer: counted(computed),
                cache_hit: only(tallied.n_found),
                cache_miss: only(tallied.n_computed),
            }),
        }
    };
    let model_stats = group.members().iter().filter(|model| is_asked(model)).map(|model| of(model)).collect();
    Ok(StatisticsResponse { model_stats }.encode_to_vec())
}

/// All are ready, so that it makes no difference whether only those are asked for. There is one repository.
fn index(group: &Group, asked: &IndexRequest) -> Vec<u8> {
    let is_other = !asked.repository_name.is_empty();
    let of = |model: &std::sync::Arc<Model>| Indexed {
        name: model.name().to_owned(),
        version: model.version().to_owned(),
        state: "READY".to_owned(),
    };
    let models = if is_other { Vec::new() } else { group.members().iter().map(of).collect() };
    IndexResponse { models }.encode_to_vec()
}

/// What calls have in common.
#[derive(Clone, Copy)]
struct Call {
    timeout: Option<Duration>,
    /// How the answer may be packed.
    coding: Option<Coding>,
}

impl Call {
    /// A message, and behind it that all went well.
    fn answer(self, message: &[u8]) -> Result<Rendered, NotRendered> {
        let too_long = || NotRendered { status: 413, what: "the answer is too long for a message".to_owned() };
        let (framed, coding) = frame::write(message, self.coding).ok_or_else(too_long)?;
        let mut rendered = Rendered::new(grpc::CONTENT_TYPE, framed.into());
        rendered.status = Some(200);
        rendered.fields.extend(coding.map(|coding| ("grpc-encoding", coding.name().to_owned())));
        rendered.trailers = vec![("grpc-status", "0".to_owned())];
        Ok(rendered)
    }
}

/// What needs no model.
struct Told {
    message: Vec<u8>,
    call: Call,
}

impl Question for Told {
    fn rows(&self) -> &[Row] {
        &[]
    }

    fn render(&self, _: &[Answered<'_>]) -> Result<Rendered, NotRendered> {
        self.call.answer(&self.message)
    }

    fn render_failure(&self, status: u16, what: &str, _: Option<usize>) -> Rendered {
        grpc::alone(status, what)
    }
}

const METHODS: [&str; 9] = [
    "ServerLive",
    "ServerReady",
    "ServerMetadata",
    "ModelReady",
    "ModelMetadata",
    "ModelInfer",
    "ModelConfig",
    "ModelStatistics",
    "RepositoryIndex",
];
