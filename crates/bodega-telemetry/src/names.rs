//! Every metric: name, type, labels, meaning. Prometheus' conventions; all begin with `cdn_`.

/// What kind of metric it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// A distribution.
    Histogram,
}

impl Kind {
    /// As the text format names it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// A metric.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub kind: Kind,
    /// Its labels.
    pub labels: &'static [&'static str],
    /// What it counts.
    pub help: &'static str,
}

macro_rules! metrics {
    ($($constant:ident = $name:literal, $kind:ident, [$($label:literal),*], $help:literal;)*) => {
        $(#[doc = $help] pub const $constant: Metric =
            Metric { name: $name, kind: Kind::$kind, labels: &[$($label),*], help: $help };)*
        /// All of them.
        pub const ALL: &[Metric] = &[$($constant,)*];
    };
}

metrics! {
    REQUESTS = "cdn_requests_total", Counter, ["region", "outcome"], "Requests by outcome.";
    REQUEST_REASONS = "cdn_request_reasons_total", Counter, ["region", "outcome", "reason"], "Requests by outcome and reason.";
    REQUEST_LATENCY = "cdn_request_latency_seconds", Histogram, ["region", "level"], "From the request's head to the last byte of the answer, by cache level.";
    SENT_BYTES = "cdn_sent_bytes_total", Counter, ["region"], "Bytes sent to clients, heads included.";
    RECEIVED_BYTES = "cdn_received_bytes_total", Counter, ["region"], "Bytes of request bodies received from clients.";
    ORIGIN_REQUESTS = "cdn_origin_requests_total", Counter, ["region", "origin", "result"], "Requests to origins by result (ok or error).";
    ORIGIN_BYTES = "cdn_origin_received_bytes_total", Counter, ["region", "origin"], "Bytes of bodies received from origins.";
    ORIGIN_UP = "cdn_origin_up", Gauge, ["region", "origin"], "1 while an origin answers, 0 from several failures in a row to its next answer.";
    ORIGIN_FAILOVERS = "cdn_origin_failovers_total", Counter, ["region", "origin"], "Requests to a group of origins for which another member than the first was asked.";
    STORE_USED_BYTES = "cdn_store_used_bytes", Gauge, ["region", "level"], "Bytes of entries, index and lists.";
    STORE_RESERVED_BYTES = "cdn_store_reserved_bytes", Gauge, ["region", "level"], "Bytes set aside by fills under way.";
    STORE_CAPACITY_BYTES = "cdn_store_capacity_bytes", Gauge, ["region", "level"], "The bound of the store.";
    STORE_ENTRIES = "cdn_store_entries", Gauge, ["region", "level"], "Entries in the store.";
    STORE_EVICTIONS = "cdn_store_evictions_total", Counter, ["region", "level"], "Entries let go for room.";
    DISK_UP = "cdn_disk_up", Gauge, ["region"], "1 while the disk tier is in use, 0 while the disk is unwell and memory does alone.";
    DISK_READ_BYTES = "cdn_disk_read_bytes_total", Counter, ["region"], "Bytes read from the disk tier.";
    DISK_WRITTEN_BYTES = "cdn_disk_written_bytes_total", Counter, ["region", "kind"], "Bytes written to segments and to slots, what was written again included.";
    DISK_WAITS = "cdn_disk_waits_total", Counter, ["region"], "Reads that had to wait for the disk.";
    DISK_QUEUE_BYTES = "cdn_disk_queue_bytes", Gauge, ["region"], "Bytes that wait to be written to disk.";
    DISK_DROPPED = "cdn_disk_dropped_total", Counter, ["region"], "Objects and slices that were not written because too much waited or the disk failed.";
    DISK_CHECKSUM_FAILURES = "cdn_disk_checksum_failures_total", Counter, ["region"], "Records and slices that were forgotten because their checksum was wrong.";
    DISK_ERRORS = "cdn_disk_errors_total", Counter, ["region"], "Errors of the system in reading and writing the disk tier.";
    CONNECTIONS = "cdn_connections", Gauge, ["region"], "Open connections of clients.";
    CONNECTIONS_REFUSED = "cdn_connections_refused_total", Counter, ["region", "limit"], "Connections refused by the limit in all or for one client.";
    TLS_HANDSHAKES = "cdn_tls_handshakes_total", Counter, ["region", "version", "resumed"], "Finished TLS handshakes by version, and whether a session was resumed.";
    TLS_HANDSHAKE_FAILURES = "cdn_tls_handshake_failures_total", Counter, ["region", "reason"], "Connections that came to nothing before HTTP: limit, timeout, refused, client_gone, proxy_header.";
    HTTP2_MISUSES = "cdn_http2_misuses_total", Counter, ["region", "kind"], "HTTP/2 connections (and stalled streams) that were ended for what the client did.";
    LOG_DROPPED = "cdn_log_dropped_total", Counter, ["region"], "Access log lines that did not fit into the queue.";
    INVALIDATION_SEQUENCE = "cdn_invalidation_sequence", Gauge, ["region"], "The number of the last applied event.";
    CONTROL_UP = "cdn_control_up", Gauge, ["region"], "1 while the control process that is followed is heard, 0 while the edge is cut off from it.";
    CONTROL_LEVEL_AGE = "cdn_control_level_age_seconds", Gauge, ["region"], "How long ago, in whole seconds rounded up, the edge had applied all that the control process had acknowledged.";
    JOURNAL_POSITION = "cdn_journal_position", Gauge, ["region"], "The position of the last event of the journal that was applied.";
    JOURNAL_BEHIND = "cdn_journal_behind", Gauge, ["region"], "Events of the journal that are known to be there and not applied yet.";
    MODEL_INFO = "cdn_model_info", Gauge, ["region", "model", "version", "digest"], "Always 1 for a model that is loaded; `digest` is the SHA-256 of its file.";
    MODEL_ROWS = "cdn_model_rows_total", Counter, ["region", "model", "version"], "Rows that the model has computed; those from the store are not among them.";
    MODEL_RUN = "cdn_model_run_seconds", Histogram, ["region", "model", "version"], "How long runs of the model took, each of one row or of several.";
    MODEL_QUEUE = "cdn_model_queue_rows", Gauge, ["region", "model", "version"], "Rows that wait for a run.";
    MODEL_REJECTED = "cdn_model_rejected_total", Counter, ["region", "model", "version", "reason"], "Rows that were not answered: too many waited (queue_full), or their time was over (deadline).";
    MODEL_FAILURES = "cdn_model_failures_total", Counter, ["region", "model", "version", "reason"], "Rows that failed: the model said so (model), or what runs it was gone (gone).";
    MODEL_FILE_BYTES = "cdn_model_file_bytes", Gauge, ["region", "model", "version"], "The length of the model's file.";
    MODEL_LOAD_SECONDS = "cdn_model_load_seconds", Gauge, ["region", "model", "version"], "How long it took to load the model, its golden examples included.";
    MODEL_WORKER_RESTARTS = "cdn_model_worker_restarts_total", Counter, ["region", "model", "version"], "How often the model's process was started again, where it has one.";
    MODEL_WORKER_MEMORY_BYTES = "cdn_model_worker_memory_bytes", Gauge, ["region", "model", "version"], "What the model's process has in memory.";
    MODEL_TRIAL_BYTES = "cdn_model_trial_memory_bytes", Gauge, ["region", "model", "version"], "The most memory of the process in which the model was tried, where it has none of its own.";
    SNAPSHOT_REVISION = "cdn_snapshot_revision", Gauge, ["region"], "The revision of the configuration in force.";
    BUILD_INFO = "cdn_build_info", Gauge, ["version"], "Always 1; the version is a label.";
}

/// Upper bounds of the latency metric's buckets, in seconds.
pub const LATENCY_BOUNDS: &[f64] =
    &[0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// Upper bounds of the buckets of a model's runs, in seconds: a small one takes microseconds.
pub const MODEL_RUN_BOUNDS: &[f64] = &[
    0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25,
    0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
];
