//! The report as one page that stands by itself: no script, nothing from elsewhere, every text escaped by the template's type. It is
//! well-formed XML too, so that any parser can read it.

use std::time::Duration;

use anyhow::{Context as _, Result};
use askama::Template;
use model::{Algorithm, Time};

use super::{Fared, Line, LineKind, Report, became, lines};
use crate::outcome::Outcome;
use crate::phase::{Phase, Span};
use crate::stored::{Stored, place};
use crate::words::{plain, size};

/// Marks on the axis of time, about.
const MARKS: f64 = 6.0;
/// Distances between them, in seconds.
const DISTANCES: [f64; 9] = [1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0];
/// Of the picture, in pixels; across it is as wide as there is room.
const ROW: u32 = 38;
const AXIS: u32 = 24;

#[derive(Template)]
#[template(path = "report.html")]
struct Page {
    verdict: String,
    is_well: bool,
    at: String,
    services: usize,
    picture: Picture,
    bags: Vec<Bag>,
}

/// Who was when in which part of its life.
struct Picture {
    height: u32,
    axis: u32,
    rows: Vec<Row>,
    marks: Vec<Mark>,
    /// Those that occur.
    phases: Vec<Phase>,
    names: Vec<String>,
    /// By phase, in the order of `phases`: seconds for each bag.
    table: Vec<(&'static str, Vec<String>)>,
}

struct Row {
    name: String,
    text_y: u32,
    bar_y: u32,
    bars: Vec<Bar>,
}

struct Bar {
    /// In hundredths of the width.
    x: String,
    width: String,
    phase: Phase,
    title: String,
}

struct Mark {
    x: String,
    anchor: &'static str,
    label: String,
}

struct Bag {
    name: String,
    became: String,
    class: &'static str,
    lines: Vec<Line>,
    files: Vec<File>,
    events: Vec<(String, i64)>,
}

/// A file as an example.
struct File {
    path: String,
    size: String,
    format: String,
    md5: String,
    copies: Vec<String>,
}

impl Report<'_> {
    pub(crate) fn html(&self) -> Result<String> {
        let page = Page {
            verdict: self.verdict(),
            is_well: self.as_expected() == self.outcomes.len(),
            at: Time::now().to_whole_second().to_string(),
            services: self.system.services(),
            picture: Picture::of(self.outcomes),
            bags: self.outcomes.iter().map(bag).collect(),
        };
        page.render().context("writing the report as a page")
    }
}

impl Line {
    fn time(&self) -> String {
        self.seconds.map(|seconds| format!("{seconds:.1} s")).unwrap_or_default()
    }

    fn is_wrong(&self) -> bool {
        self.kind == LineKind::Wrong
    }
}

fn bag(outcome: &Outcome) -> Bag {
    let (fared, became) = became(outcome);
    let class = match fared {
        Fared::Well => "well",
        Fared::Refused => "refused",
        Fared::Badly => "badly",
    };
    let stored = outcome.stored();
    Bag {
        name: plain(&outcome.name),
        became,
        class,
        lines: lines(outcome),
        files: stored.map(files).unwrap_or_default(),
        events: stored.map(|stored| stored.events.clone()).unwrap_or_default(),
    }
}

fn files(stored: &Stored) -> Vec<File> {
    let file = |file: &model::GenericFile| File {
        path: plain(file.path_in_bag().unwrap_or_default()),
        size: size(u64::try_from(file.size).unwrap_or_default()),
        format: plain(&file.file_format),
        md5: file.latest_checksum(&Algorithm::Md5).map(|checksum| checksum.digest.clone()).unwrap_or_default(),
        copies: file
            .storage_records
            .iter()
            .filter_map(|record| place(&record.url).ok())
            .map(|(bucket, key)| format!("{bucket}/{key}"))
            .collect(),
    };
    stored.examples.iter().map(file).collect()
}

impl Picture {
    fn of(outcomes: &[Outcome]) -> Self {
        let end = outcomes.iter().flat_map(Outcome::spans).map(|span| span.to).max().unwrap_or_default();
        let end = end.max(Duration::from_secs(1)).as_secs_f64();
        let part = |seconds: f64| format!("{:.2}", seconds * 100.0 / end);
        let rows = (0..).zip(outcomes).map(|(number, outcome)| {
            let bars = outcome.spans().map(|span| Bar {
                x: part(span.from.as_secs_f64()),
                width: part(span.seconds()),
                phase: span.phase,
                title: format!("{}: {}, {:.1} s", plain(&outcome.name), span.phase.label(), span.seconds()),
            });
            let y = number * ROW;
            Row { name: plain(&outcome.name), text_y: y + 14, bar_y: y + 19, bars: bars.collect() }
        });
        let rows: Vec<Row> = rows.collect();
        let distance = DISTANCES.into_iter().find(|distance| end / distance <= MARKS).unwrap_or(end);
        let marks = (0..).map(|number| f64::from(number) * distance).take_while(|at| *at <= end).map(|at| Mark {
            x: part(at),
            anchor: if at == 0.0 {
                "start"
            } else if at > end * 0.95 {
                "end"
            } else {
                "middle"
            },
            label: format!("{at:.0} s"),
        });
        let occurs = |phase: &Phase| outcomes.iter().flat_map(Outcome::spans).any(|span| span.phase == *phase);
        let phases: Vec<Phase> = Phase::ALL.into_iter().filter(occurs).collect();
        let axis = ROW * u32::try_from(rows.len()).unwrap_or(u32::MAX / ROW);
        Self {
            height: axis + AXIS,
            axis,
            marks: marks.collect(),
            table: phases.iter().map(|phase| (phase.label(), seconds(outcomes, *phase))).collect(),
            names: rows.iter().map(|row| row.name.clone()).collect(),
            rows,
            phases,
        }
    }
}

/// How long each bag was in a part of its life; nothing where it never was.
fn seconds(outcomes: &[Outcome], phase: Phase) -> Vec<String> {
    let of = |outcome: &Outcome| {
        let spans: Vec<&Span> = outcome.spans().filter(|span| span.phase == phase).collect();
        if spans.is_empty() {
            String::new()
        } else {
            format!("{:.1}", spans.iter().map(|it| it.seconds()).sum::<f64>())
        }
    };
    outcomes.iter().map(of).collect()
}
