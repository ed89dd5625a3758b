//! Prometheus' text exposition format, version 0.0.4.

use std::fmt::Write as _;

use crate::histogram::Recorded;
use crate::names::{LATENCY_BOUNDS, Metric};

/// Text under construction.
#[derive(Default)]
pub struct Text(String);

impl Text {
    /// Begins a metric. All its samples follow.
    pub fn begin(&mut self, metric: &Metric) {
        let _ = writeln!(self.0, "# HELP {} {}\n# TYPE {} {}", metric.name, metric.help, metric.name, metric.kind.name());
    }

    /// A sample; `values` in the order of the metric's labels.
    pub fn sample(&mut self, metric: &Metric, values: &[&str], value: u64) {
        self.line(metric.name, "", metric.labels, values, None, &value.to_string());
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

    /// The whole text.
    #[must_use]
    pub fn finish(self) -> String {
        self.0
    }

    fn line(&mut self, name: &str, suffix: &str, labels: &[&str], values: &[&str], bound: Option<&str>, value: &str) {
        let _ = write!(self.0, "{name}{suffix}{{");
        for (at, (label, value)) in labels.iter().zip(values).chain(bound.iter().map(|bound| (&"le", bound))).enumerate() {
            let comma = if at == 0 { "" } else { "," };
            let _ = write!(self.0, "{comma}{label}=\"{}\"", escaped(value));
        }
        let _ = writeln!(self.0, "}} {value}");
    }
}

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
    fn every_name_follows_the_conventions() {
        for metric in names::ALL {
            assert!(metric.name.starts_with("cdn_"), "{}", metric.name);
            assert_eq!(metric.name.ends_with("_total"), metric.kind == names::Kind::Counter, "{}", metric.name);
        }
    }
}
