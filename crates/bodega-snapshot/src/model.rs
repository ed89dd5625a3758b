//! Models as `bodega-inference` runs them.

use std::time::Duration;

/// A model that stands where an origin does.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// The origin's name in the configuration.
    pub origin: String,
    /// The file, in the ONNX format; what a runner is handed where there is one.
    pub path: String,
    /// What clients and invalidations call it.
    pub name: String,
    /// The version; `None`: made of the file's contents.
    pub version: Option<String>,
    /// How long a row may take, waiting included.
    pub timeout: Duration,
    /// The most rows of one run.
    pub max_batch: usize,
    /// The most rows that wait.
    pub max_queue: usize,
    /// The longest body of a request.
    pub max_body_bytes: u64,
    /// How long a prediction is fresh; `None`: as the behavior's policy says.
    pub ttl: Option<Duration>,
    /// How long a run waits for rows that may join it. Zero: not at all.
    pub batch_wait: Duration,
    /// What computes.
    pub provider: Provider,
    /// Threads of one run.
    pub threads: usize,
    /// Whether it runs in a process of its own.
    pub isolated: bool,
    /// What runs it instead of ONNX Runtime, as `package.module:Class`.
    pub runner: Option<String>,
    /// Inputs, and other members of a row, that its prediction does not depend on.
    pub ignored: Vec<String>,
    /// What it has to answer before it is put in force.
    pub golden: Vec<Golden>,
    /// The most memory of its process.
    pub max_memory_bytes: Option<u64>,
    /// Whether inputs stay in the region.
    pub region_only: bool,
}

/// Models that answer under the same paths, each under its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelGroup {
    /// The origin's name in the configuration.
    pub origin: String,
    /// The origins of its models. Of several that are versions of one model the first is asked where none is named.
    pub members: Vec<String>,
}

/// What computes a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provider {
    /// The processor.
    Cpu,
    /// The first device of NVIDIA's.
    Cuda,
}

/// A row, and what is expected of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Golden {
    /// The row, as `features` has it.
    pub features_json: String,
    /// Its prediction; `None`: whatever it is, so that it is one.
    pub prediction_json: Option<String>,
    /// How far a number may be from what is expected, relative to it where that is over 1.
    pub tolerance: f64,
}
