//! The JUnit report: what CI servers read. Written by hand, since it is five elements.

use std::fmt::Write as _;

use crate::markup::escaped;

use super::report::{Report, StageReport, Verdict};

/// The whole document.
pub(crate) fn document(report: &Report) -> String {
    let mut xml = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_owned();
    let total = report.totals;
    let _ = writeln!(
        xml,
        "<testsuites name=\"test-all\" tests=\"{}\" failures=\"{}\" skipped=\"{}\" time=\"{:.3}\" timestamp=\"{}\">",
        total.passed + total.failed + total.skipped,
        total.failed,
        total.skipped,
        report.seconds,
        escaped(&report.started),
    );
    for stage in &report.stages {
        suite(&mut xml, stage);
    }
    xml.push_str("</testsuites>\n");
    xml
}

fn suite(xml: &mut String, stage: &StageReport) {
    let counts = stage.counts;
    let _ = writeln!(
        xml,
        "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" skipped=\"{}\" time=\"{:.3}\">",
        escaped(&stage.name),
        stage.cases.len(),
        counts.failed,
        counts.skipped,
        stage.seconds,
    );
    for case in &stage.cases {
        let open = format!("    <testcase classname=\"{}\" name=\"{}\"", escaped(&case.suite), escaped(&case.name));
        let _ = match &case.verdict {
            Verdict::Passed => writeln!(xml, "{open}/>"),
            Verdict::Skipped(reason) => writeln!(xml, "{open}><skipped message=\"{}\"/></testcase>", escaped(reason)),
            Verdict::Failed(output) | Verdict::Broken(output) => {
                let first = output.lines().find(|line| !line.trim().is_empty()).unwrap_or("failed");
                writeln!(
                    xml,
                    "{open}><failure message=\"{}\">{}</failure></testcase>",
                    escaped(first),
                    escaped(output).replace("&#10;", "\n")
                )
            }
        };
    }
    xml.push_str("  </testsuite>\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Stage;
    use crate::test_all::report::{Case, Counts, Host, SCHEMA};

    #[test]
    fn everything_is_escaped() {
        assert_eq!(
            escaped("a<b> & \"c\" 'd'\n\x1b[1m\u{fffe}é"),
            "a&lt;b&gt; &amp; &quot;c&quot; &apos;d&apos;&#10;\u{fffd}[1m\u{fffd}é"
        );
    }

    #[test]
    fn a_document() {
        let case = |name: &str, verdict| Case { suite: "demo <x>".to_owned(), name: name.to_owned(), verdict };
        let cases = vec![
            case("good", Verdict::Passed),
            case("bad", Verdict::Failed("left & right\nsecond".to_owned())),
            case("later", Verdict::Skipped("no \"docker\"".to_owned())),
        ];
        let report = Report {
            schema: SCHEMA.to_owned(),
            commit: None,
            dirty: false,
            complete: false,
            passed: false,
            real: false,
            started: "2026-11-24T00:00:00Z".to_owned(),
            seconds: 1.5,
            totals: Counts { passed: 1, failed: 1, skipped: 1 },
            stages: vec![StageReport::new(Stage::Unit, cases, 1.25)],
            versions: std::collections::BTreeMap::new(),
            host: Host { os: "linux".to_owned(), arch: "x86_64".to_owned() },
        };
        assert_eq!(
            document(&report),
            r#"<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="test-all" tests="3" failures="1" skipped="1" time="1.500" timestamp="2026-11-24T00:00:00Z">
  <testsuite name="unit" tests="3" failures="1" skipped="1" time="1.250">
    <testcase classname="demo &lt;x&gt;" name="good"/>
    <testcase classname="demo &lt;x&gt;" name="bad"><failure message="left &amp; right">left &amp; right
second</failure></testcase>
    <testcase classname="demo &lt;x&gt;" name="later"><skipped message="no &quot;docker&quot;"/></testcase>
  </testsuite>
</testsuites>
"#
        );
    }
}
