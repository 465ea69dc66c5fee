//! The metrics that scaling and alarms stand on, written as lines in CloudWatch's embedded metric format. What they mean is a
//! contract with the template: cloudformation/README.md. Outside ECS there is nobody to read them, and none are written.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::json;

use crate::process::{ecs, stdout};

/// Where this task's metrics belong.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    cluster: String,
    service: &'static str,
}

/// What there is to tell, and how it is called.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Metric {
    /// How much waits, divided by the tasks that could do it.
    BacklogPerTask(f64),
    /// Runs of a scheduled job that did their work.
    CompletedRuns(u32),
    /// Lines that nobody took in time.
    DroppedLogLines(u64),
}

impl Metrics {
    /// None outside ECS.
    pub(crate) async fn of(service: &'static str) -> Option<Self> {
        Some(Self { cluster: ecs::cluster_name().await?, service })
    }

    /// Writes the metric's line to stdout, between the log's.
    pub(crate) fn write(&self, metric: Metric) {
        stdout::write(&self.line(metric, SystemTime::now()));
    }

    fn line(&self, metric: Metric, at: SystemTime) -> String {
        let (name, value) = match metric {
            Metric::BacklogPerTask(value) => ("BacklogPerTask", json!(value)),
            Metric::CompletedRuns(value) => ("CompletedRuns", json!(value)),
            Metric::DroppedLogLines(value) => ("DroppedLogLines", json!(value)),
        };
        let milliseconds = at.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let definition = json!({
            "Namespace": "Preserv",
            "Dimensions": [["ClusterName", "Service"]],
            "Metrics": [{ "Name": name, "Unit": "Count" }],
        });
        json!({
            "_aws": { "Timestamp": u64::try_from(milliseconds).unwrap_or(u64::MAX), "CloudWatchMetrics": [definition] },
            "ClusterName": self.cluster,
            "Service": self.service,
            name: value,
        })
        .to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::time::Duration;

    use serde_json::Value;

    #[test]
    fn a_line_is_what_the_contract_says() {
        let metrics = Metrics { cluster: "ecs-preserv-staging".to_owned(), service: "apt_delete" };
        let at = UNIX_EPOCH + Duration::from_millis(1_700_000_000_123);
        let line = metrics.line(Metric::BacklogPerTask(3.5), at);
        assert!(!line.contains('\n'));
        let expected = json!({
            "_aws": {
                "Timestamp": 1_700_000_000_123_u64,
                "CloudWatchMetrics": [{
                    "Namespace": "Preserv",
                    "Dimensions": [["ClusterName", "Service"]],
                    "Metrics": [{ "Name": "BacklogPerTask", "Unit": "Count" }],
                }],
            },
            "ClusterName": "ecs-preserv-staging",
            "Service": "apt_delete",
            "BacklogPerTask": 3.5,
        });
        assert_eq!(serde_json::from_str::<Value>(&line).unwrap(), expected);
        for (metric, name) in
            [(Metric::CompletedRuns(1), "CompletedRuns"), (Metric::DroppedLogLines(1), "DroppedLogLines")]
        {
            let line: Value = serde_json::from_str(&metrics.line(metric, at)).unwrap();
            let named = &line["_aws"]["CloudWatchMetrics"][0]["Metrics"][0]["Name"];
            assert_eq!((&line[name], named), (&json!(1), &json!(name)));
        }
    }
}
