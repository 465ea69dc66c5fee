//! What was measured, for people as a table and for machines as records.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Write as _};

use serde_json::{Value, json};
use stack::s3::Operation;

use crate::bag::Bag;
use crate::stages::{Figures, SERVICES};

/// All of one latency.
#[derive(Debug)]
pub(crate) struct Round {
    pub(crate) milliseconds: u64,
    pub(crate) ours: Vec<Figures>,
    /// Seconds by service, where file by file was measured.
    pub(crate) file_by_file: BTreeMap<&'static str, f64>,
    /// The other system, if there is one.
    pub(crate) beside: Vec<Figures>,
}

/// Where the reader looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Text,
    Json,
}

impl Round {
    /// The stages whose time is the system's and not a pause of its own: all but the bucket reader, which waits for its next look.
    fn sum(figures: &[Figures]) -> f64 {
        figures.iter().filter(|one| one.service != SERVICES[0]).map(|one| one.seconds).sum()
    }

    /// How many times as long as ours the stages took that both have.
    fn times(&self, service: &str, theirs: Option<f64>) -> Option<f64> {
        let ours = self.ours.iter().find(|one| one.service == service)?.seconds;
        Some(theirs? / ours).filter(|times| times.is_finite())
    }

    fn beside(&self, service: &str) -> Option<f64> {
        self.beside.iter().find(|one| one.service == service).map(|one| one.seconds)
    }

    fn whole(&self) -> Option<f64> {
        (!self.beside.is_empty()).then(|| Self::sum(&self.beside) / Self::sum(&self.ours))
    }

    /// Of the stages that have requests for single files.
    fn whole_file_by_file(&self) -> Option<f64> {
        let ours = self.ours.iter().filter(|one| self.file_by_file.contains_key(one.service));
        let ours: f64 = ours.map(|one| one.seconds).sum();
        (!self.file_by_file.is_empty()).then(|| self.file_by_file.values().sum::<f64>() / ours)
    }

    pub(crate) fn text(&self, bag: &Bag) -> String {
        let mut text = format!(
            "{} files of {} bytes, {} ms for each request to S3\n{:<30}{:>9}{:>9}{:>8}{:>10}{:>7}{:>7}{:>7}{:>9}{:>7}{:>9}{:>7}\n",
            bag.files,
            bag.size,
            self.milliseconds,
            "stage",
            "seconds",
            "files/s",
            "MB/s",
            "S3/file",
            "Reg.",
            "Redis",
            "CPU s",
            "peak MiB",
            "1 by 1",
            "beside s",
            "times"
        );
        for one in &self.ours {
            let requests: u64 = one.requests.s3.values().sum();
            let _ = write!(
                text,
                "{:<30}{:>9.2}{:>9.0}{:>8.1}{:>10.3}{:>7}{:>7}{:>7.2}{:>9.0}",
                one.service,
                one.seconds,
                count(bag.files) / one.seconds,
                count(bag.bytes()) / 1e6 / one.seconds,
                count(requests) / count(bag.files),
                one.requests.registry,
                one.requests.redis,
                one.used.cpu,
                count(one.used.peak) / f64::from(1 << 20),
            );
            let by_file = self.file_by_file.get(one.service).copied();
            text.push_str(&cell(self.times(one.service, by_file), 7, 1));
            text.push_str(&cell(self.beside(one.service), 9, 2));
            text.push_str(&cell(self.times(one.service, self.beside(one.service)), 7, 1));
            let _ = writeln!(text, "   {}", kinds(&one.requests.s3));
        }
        let sum = Self::sum(&self.ours);
        let _ = write!(
            text,
            "{:<30}{:>9.2}{:>9.0}{:>8.1}{:>10.3}{:>30}",
            "all but the bucket reader",
            sum,
            count(bag.files) / sum,
            count(bag.bytes()) / 1e6 / sum,
            count(self.ours.iter().flat_map(|one| one.requests.s3.values()).sum()) / count(bag.files),
            "",
        );
        text.push_str(&cell(self.whole_file_by_file(), 7, 1));
        text.push_str(&cell(self.whole().map(|_| Self::sum(&self.beside)), 9, 2));
        text.push_str(&cell(self.whole(), 7, 1));
        text
    }

    pub(crate) fn records(&self) -> Vec<Value> {
        let of = |system: &str, figures: &[Figures]| {
            figures.iter().map(|one| record(self.milliseconds, system, one)).collect::<Vec<_>>()
        };
        let by_file = self.file_by_file.iter().map(|(service, seconds)| {
            json!({
                "type": "stage", "system": "file by file", "latency_ms": self.milliseconds, "service": service,
                "seconds": seconds,
            })
        });
        let ratio = json!({
            "type": "ratio", "latency_ms": self.milliseconds, "file_by_file": self.whole_file_by_file(),
            "beside": self.whole(),
        });
        [of("ours", &self.ours), of("beside", &self.beside), by_file.collect(), vec![ratio]].concat()
    }
}

fn record(milliseconds: u64, system: &str, one: &Figures) -> Value {
    json!({
        "type": "stage",
        "system": system,
        "latency_ms": milliseconds,
        "service": one.service,
        "seconds": one.seconds,
        "s3_requests": one.requests.s3,
        "registry_requests": one.requests.registry,
        "redis_commands": one.requests.redis,
        "cpu_seconds": one.used.cpu,
        "peak_bytes": one.used.peak,
    })
}

/// Such as `GetObject 1, PutObject 2005`.
fn kinds(requests: &BTreeMap<Operation, u64>) -> String {
    requests.iter().map(|(operation, count)| format!("{operation:?} {count}")).collect::<Vec<_>>().join(", ")
}

fn cell(number: Option<f64>, width: usize, places: usize) -> String {
    match number {
        Some(number) => format!("{number:>width$.places$}"),
        None => format!("{:>width$}", "-"),
    }
}

#[expect(clippy::cast_precision_loss, reason = "numbers for people")]
fn count(number: u64) -> f64 {
    number as f64
}

impl Format {
    /// The answer. Whoever closed the pipe does not want the rest.
    pub(crate) fn print(self, round: &Round, bag: &Bag) {
        match self {
            Self::Text => line(&round.text(bag)),
            Self::Json => round.records().iter().for_each(|record| line(&record.to_string())),
        }
    }

    /// The last record of every command of xtask.
    pub(crate) fn finish(self) {
        if self == Self::Json {
            line(&json!({ "type": "result", "status": "ok", "exit_code": 0 }).to_string());
        }
    }
}

fn line(text: &str) {
    let _ = writeln!(io::stdout(), "{text}");
    let _ = io::stdout().flush();
}
