//! Prometheus' text exposition format, version 0.0.4.

use std::fmt::Write as _;

use crate::histogram::Recorded;
use crate::names::{LATENCY_BOUNDS, Metric};

/// Text under construction, bounded: origins are labels, and a configuration may name very many of them.
#[derive(Default)]
pub struct Text {
    written: String,
    n_left_out: usize,
}

impl Text {
    /// Begins a metric. All its samples follow.
    pub fn begin(&mut self, metric: &Metric) {
        let Metric { name, help, kind, .. } = metric;
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
        let _ = writeln!(self.written, "# HELP {name} {help}\n# TYPE {name} {}", kind.name());
    }

    /// A sample; `values` in the order of the metric's labels.
    pub fn sample(&mut self, metric: &Metric, values: &[&str], value: u64) {
        self.line(metric.name, "", metric.labels, values, None, &value.to_string());
    }

    /// A sample that is no whole number.
    pub fn sample_seconds(&mut self, metric: &Metric, values: &[&str], seconds: f64) {
        self.line(metric.name, "", metric.labels, values, None, &seconds.to_string());
    }

    /// A distribution that was counted by `bounds`, in seconds; `counts` has one more, for what is beyond them all.
    pub fn buckets(&mut self, metric: &Metric, values: &[&str], bounds: &[f64], counts: &[u64], sum_seconds: f64) {
        let mut so_far = 0;
        for (bound, count) in bounds.iter().zip(counts) {
            so_far += count;
            self.line(metric.name, "_bucket", metric.labels, values, Some(&bound.to_string()), &so_far.to_string());
        }
        let all = counts.iter().sum::<u64>().to_string();
        self.line(metric.name, "_bucket", metric.labels, values, Some("+Inf"), &all);
        self.line(metric.name, "_sum", metric.labels, values, None, &sum_seconds.to_string());
        self.line(metric.name, "_count", metric.labels, values, None, &all);
    }

    /// A distribution.
    pub fn histogram(&mut self, metric: &Metric, values: &[&str], recorded: &Recorded) {
        for bound in LATENCY_BOUNDS {
            let count = recorded.count_up_to(*bound).to_string();
            self.line(metric.name, "_bucket", metric.labels, values, Some(&bound.to_string()), &count);
        }
        let count = recorded.count().to_string();
        self.line(metric.name, "_bucket", metric.labels, values, Some("+Inf"), &count);
        self.line(metric.name, "_sum", metric.labels, values, None, &recorded.sum_seconds().to_string());
        self.line(metric.name, "_count", metric.labels, values, None, &count);
    }

    /// The whole text. If samples were left out, a comment at the end says how many.
    #[must_use]
    pub fn finish(mut self) -> String {
        if self.n_left_out > 0 {
            let _ = writeln!(self.written, "# {} lines left out: more than {MAX_BYTES} bytes", self.n_left_out);
        }
        self.written
    }

    fn line(&mut self, name: &str, suffix: &str, labels: &[&str], values: &[&str], bound: Option<&str>, value: &str) {
        if self.written.len() >= MAX_BYTES {
            self.n_left_out += 1;
            return;
        }
        let _ = write!(self.written, "{name}{suffix}{{");
        for (at, (label, value)) in
            labels.iter().zip(values).chain(bound.iter().map(|bound| (&"le", bound))).enumerate()
        {
            let comma = if at == 0 { "" } else { "," };
            let _ = write!(self.written, "{comma}{label}=\"{}\"", escaped(value));
        }
        let _ = writeln!(self.written, "}} {value}");
    }
}

/// No sample is begun past this; scrapers refuse far less.
const MAX_BYTES: usize = 16 << 20;

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names;

    #[test]
    fn samples_carry_their_labels_and_values_are_escaped() {
        let mut text = Text::default();
        text.begin(&names::REQUESTS);
        text.sample(&names::REQUESTS, &["a\"b", "hit"], 3);
        let text = text.finish();
        assert!(text.starts_with("# HELP cdn_requests_total "));
        assert!(text.ends_with("cdn_requests_total{region=\"a\\\"b\",outcome=\"hit\"} 3\n"), "{text}");
    }

    #[test]
    fn buckets_are_cumulative_and_end_with_all_of_them() {
        let mut text = Text::default();
        let metric = &names::MODEL_RUN;
        text.buckets(metric, &["eu", "fraud", "v1"], &[0.000_01, 0.5], &[2, 3, 1], 1.25);
        let label = "{region=\"eu\",model=\"fraud\",version=\"v1\"";
        let expected = [
            format!("cdn_model_run_seconds_bucket{label},le=\"0.00001\"}} 2"),
            format!("cdn_model_run_seconds_bucket{label},le=\"0.5\"}} 5"),
            format!("cdn_model_run_seconds_bucket{label},le=\"+Inf\"}} 6"),
            format!("cdn_model_run_seconds_sum{label}}} 1.25"),
            format!("cdn_model_run_seconds_count{label}}} 6"),
        ];
        assert_eq!(text.finish().lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_histogram_is_cumulative_and_ends_with_all_of_it() {
        let histogram = crate::Histogram::default();
        for milliseconds in [1, 20, 20, 60_000] {
            histogram.record(std::time::Duration::from_millis(milliseconds));
        }
        let mut recorded = Recorded::default();
        histogram.add_to(&mut recorded);
        let mut text = Text::default();
        text.begin(&names::REQUEST_LATENCY);
        text.histogram(&names::REQUEST_LATENCY, &["here", "l1"], &recorded);
        let text = text.finish();
        let count = |line: &str| line.rsplit(' ').next().and_then(|count| count.parse::<u64>().ok());
        let buckets: Vec<u64> = text.lines().filter(|line| line.contains("_bucket{")).filter_map(count).collect();
        assert_eq!(buckets.len(), LATENCY_BOUNDS.len() + 1);
        assert!(buckets.is_sorted(), "{text}");
        let label = "{region=\"here\",level=\"l1\"";
        for line in [
            format!("cdn_request_latency_seconds_bucket{label},le=\"0.025\"}} 3"),
            format!("cdn_request_latency_seconds_bucket{label},le=\"30\"}} 3"),
            format!("cdn_request_latency_seconds_bucket{label},le=\"+Inf\"}} 4"),
            format!("cdn_request_latency_seconds_sum{label}}} 60.041"),
            format!("cdn_request_latency_seconds_count{label}}} 4"),
        ] {
            assert!(text.lines().any(|other| other == line), "{line}\n{text}");
        }
    }

    #[test]
    fn a_text_is_bounded_and_says_what_is_missing() {
        let mut text = Text::default();
        let origin = "o".repeat(1 << 20);
        for _ in 0..20 {
            text.sample(&names::ORIGIN_REQUESTS, &["here", &origin, "ok"], 1);
        }
        let text = text.finish();
        assert!(text.len() < MAX_BYTES + (2 << 20));
        assert!(text.ends_with("# 4 lines left out: more than 16777216 bytes\n"), "{}", &text[text.len() - 100..]);
    }

    #[test]
    fn every_name_follows_the_conventions() {
        for (at, metric) in names::ALL.iter().enumerate() {
            assert!(names::ALL[..at].iter().all(|other| other.name != metric.name), "{} twice", metric.name);
            assert!(metric.name.starts_with("cdn_"), "{}", metric.name);
            assert_eq!(metric.name.ends_with("_total"), metric.kind == names::Kind::Counter, "{}", metric.name);
        }
    }
}
