//! What the edge says of its models, as Prometheus text and as JSON. What was unloaded is in neither.

use bodega_inference::ModelCounts;
use bodega_telemetry::names;
use bodega_telemetry::text::Text;
use serde_json::{Value, json};

/// Writes the samples of all models; nothing where there are none.
pub(crate) fn metrics(text: &mut Text, region: &str, models: &[ModelCounts]) {
    if models.is_empty() {
        return;
    }
    text.begin(&names::MODEL_INFO);
    for ModelCounts { name, version, digest, .. } in models {
        text.sample(&names::MODEL_INFO, &[region, name, version, digest], 1);
    }
    let mut each = |metric: &names::Metric, value: fn(&ModelCounts) -> u64| {
        text.begin(metric);
        for model in models {
            text.sample(metric, &[region, &model.name, &model.version], value(model));
        }
    };
    each(&names::MODEL_ROWS, |model| model.n_rows);
    each(&names::MODEL_QUEUE, |model| model.n_waiting);
    each(&names::MODEL_FILE_BYTES, |model| model.file_bytes);
    // Of those that have a process, or have none.
    for (metric, value) in [
        (&names::MODEL_WORKER_RESTARTS, (|model| model.n_restarts) as fn(&ModelCounts) -> Option<u64>),
        (&names::MODEL_WORKER_MEMORY_BYTES, |model| model.memory_bytes),
        (&names::MODEL_TRIAL_BYTES, |model| model.trial_bytes),
    ] {
        let mut has_begun = false;
        for model in models {
            let Some(value) = value(model) else { continue };
            if !has_begun {
                text.begin(metric);
                has_begun = true;
            }
            text.sample(metric, &[region, &model.name, &model.version], value);
        }
    }
    text.begin(&names::MODEL_RUN);
    for model in models {
        let labels = [region, &model.name, &model.version];
        text.buckets(&names::MODEL_RUN, &labels, names::MODEL_RUN_BOUNDS, &model.runs, model.run_seconds);
    }
    text.begin(&names::MODEL_LOAD_SECONDS);
    for model in models {
        text.sample_seconds(&names::MODEL_LOAD_SECONDS, &[region, &model.name, &model.version], model.load_seconds);
    }
    for (metric, counts) in [
        (
            &names::MODEL_REJECTED,
            [("queue_full", (|model| model.n_full) as fn(&ModelCounts) -> u64), ("deadline", |model| model.n_late)],
        ),
        (&names::MODEL_FAILURES, [("model", |model| model.n_failed), ("gone", |model| model.n_gone)]),
    ] {
        text.begin(metric);
        for model in models {
            for (reason, count) in counts {
                text.sample(metric, &[region, &model.name, &model.version, reason], count(model));
            }
        }
    }
}

/// The same for people and programs.
pub(crate) fn stats(models: &[ModelCounts]) -> Value {
    let told = |model: &ModelCounts| {
        json!({
            "model": model.name,
            "version": model.version,
            "digest": model.digest,
            "file_bytes": model.file_bytes,
            "load_seconds": model.load_seconds,
            "waiting": model.n_waiting,
            "rows": model.n_rows,
            "runs": model.n_runs(),
            "run_seconds": model.run_seconds,
            "rejected": { "queue_full": model.n_full, "deadline": model.n_late },
            "failures": { "model": model.n_failed, "gone": model.n_gone },
            "worker_restarts": model.n_restarts,
            "worker_memory_bytes": model.memory_bytes,
            "trial_bytes": model.trial_bytes,
        })
    };
    models.iter().map(told).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_models_nothing_is_said() {
        let mut text = Text::default();
        metrics(&mut text, "eu", &[]);
        assert_eq!((text.finish(), stats(&[])), (String::new(), json!([])));
    }

    #[test]
    fn each_model_and_version_has_its_samples_and_every_metric_is_there() {
        let one = ModelCounts {
            name: "fraud".to_owned(),
            version: "v1".to_owned(),
            digest: "ab".to_owned(),
            n_rows: 7,
            runs: vec![0; names::MODEL_RUN_BOUNDS.len() + 1],
            n_late: 2,
            load_seconds: 0.25,
            n_restarts: Some(3),
            memory_bytes: Some(4_096),
            trial_bytes: None,
            ..ModelCounts::default()
        };
        let other = ModelCounts {
            version: "v2".to_owned(),
            n_rows: 9,
            n_restarts: None,
            memory_bytes: None,
            trial_bytes: Some(8_192),
            ..one.clone()
        };
        let mut text = Text::default();
        metrics(&mut text, "eu", &[one, other]);
        let text = text.finish();
        for sample in [
            "cdn_model_info{region=\"eu\",model=\"fraud\",version=\"v1\",digest=\"ab\"} 1",
            "cdn_model_rows_total{region=\"eu\",model=\"fraud\",version=\"v1\"} 7",
            "cdn_model_rows_total{region=\"eu\",model=\"fraud\",version=\"v2\"} 9",
            "cdn_model_rejected_total{region=\"eu\",model=\"fraud\",version=\"v1\",reason=\"deadline\"} 2",
            "cdn_model_worker_restarts_total{region=\"eu\",model=\"fraud\",version=\"v1\"} 3",
            "cdn_model_worker_memory_bytes{region=\"eu\",model=\"fraud\",version=\"v1\"} 4096",
            "cdn_model_trial_memory_bytes{region=\"eu\",model=\"fraud\",version=\"v2\"} 8192",
            "cdn_model_load_seconds{region=\"eu\",model=\"fraud\",version=\"v1\"} 0.25",
        ] {
            assert!(text.lines().any(|line| line == sample), "{sample}\n{text}");
        }
        for metric in names::ALL.iter().filter(|metric| metric.name.starts_with("cdn_model_")) {
            assert_eq!(text.matches(&format!("# TYPE {} ", metric.name)).count(), 1, "{}", metric.name);
        }
    }
}
