//! `logs <env>`: the services' lines, interleaved by time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use anyhow::Result;
use serde_json::json;
use xtask::cli::deploy::Logs;
use xtask::exit::Exit;
use xtask::ui::Paint;

use crate::aws::Trouble;
use crate::interrupt::Interrupts;
use crate::recover::known;
use crate::session::Session;
use crate::stack;
use crate::template::facts::Facts;

const COLOURS: [Paint; 5] = [Paint::Cyan, Paint::Green, Paint::Yellow, Paint::Magenta, Paint::Blue];

pub(crate) async fn run(args: &Logs, session: &Session<'_>, interrupts: &mut Interrupts) -> Result<Exit> {
    let mut reader = interrupts.guard(Reader::open(args, session)).await?;
    loop {
        session.aws.begin_phase(session.limit);
        interrupts.guard(reader.read(session)).await?;
        if !args.follow {
            return Ok(Exit::Done);
        }
        tokio::select! {
            () = session.aws.between_looks() => {}
            exit = interrupts.next() => return Ok(exit),
        }
    }
}

#[derive(Debug)]
struct Reader {
    group: String,
    /// Executables by the name of their container; those that were asked for.
    containers: BTreeMap<String, String>,
    width: usize,
    /// Milliseconds since 1970.
    from: i64,
    /// Ids of the events at `from` or later, which come again with the next reading.
    seen: BTreeMap<String, i64>,
}

/// One line of a log.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Line {
    time: i64,
    executable: String,
    task: String,
    text: String,
}

impl Reader {
    async fn open(args: &Logs, session: &Session<'_>) -> Result<Self> {
        let caller = session.identify().await?;
        let name = session.stack_name();
        let found = stack::describe(&session.aws, &name).await.map_err(Trouble::stop)?;
        let Some(stack) = found else {
            return Err(Exit::Refused
                .stop(format!("there is no stack {name}"), "correct account and region in the configuration file"));
        };
        let (_, facts) = known(session, &stack, &caller).await?;
        let Some(group) = facts.log_group.clone() else {
            return Err(Exit::Refused
                .stop(format!("the template of {name} names no log group"), "look at the log groups in the console"));
        };
        let containers = chosen(&facts, &args.services)?;
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Ok(Self {
            group,
            width: containers.values().map(String::len).max().unwrap_or(0),
            containers,
            from: i64::try_from(now.saturating_sub(args.since).as_millis()).unwrap_or(0),
            seen: BTreeMap::new(),
        })
    }

    async fn read(&mut self, session: &Session<'_>) -> Result<()> {
        let aws = &session.aws;
        let mut lines = Vec::new();
        let mut token = None;
        loop {
            let answer = aws
                .call("reading the logs", async || {
                    aws.logs
                        .filter_log_events()
                        .log_group_name(&self.group)
                        .start_time(self.from)
                        .set_next_token(token.clone())
                        .send()
                        .await
                })
                .await?;
            for event in answer.events() {
                let time = event.timestamp().unwrap_or_default();
                let id = event.event_id().unwrap_or_default().to_owned();
                if self.seen.insert(id, time).is_some() {
                    continue;
                }
                let Some((container, task)) = source(event.log_stream_name().unwrap_or_default()) else { continue };
                let Some(executable) = self.containers.get(container) else { continue };
                lines.push(Line {
                    time,
                    executable: executable.clone(),
                    task: task.chars().take(8).collect(),
                    text: event.message().unwrap_or_default().trim_end().to_owned(),
                });
            }
            token = answer.next_token;
            if token.is_none() {
                break;
            }
        }
        lines.sort_by_key(|line| line.time);
        for line in &lines {
            self.show(session, line);
        }
        // The next reading begins a little earlier: streams arrive late and not in step.
        let newest = self.seen.values().max().copied().unwrap_or(self.from);
        self.from = self.from.max(newest - OVERLAP);
        self.seen.retain(|_, time| *time >= self.from);
        Ok(())
    }

    fn show(&self, session: &Session<'_>, line: &Line) {
        let since = std::time::Duration::from_millis(u64::try_from(line.time).unwrap_or(0));
        let time = humantime::format_rfc3339_millis(SystemTime::UNIX_EPOCH + since).to_string();
        let index = self.containers.values().collect::<BTreeSet<_>>().iter().position(|name| **name == line.executable);
        let colour = COLOURS[index.unwrap_or(0) % COLOURS.len()];
        let name = session.ui.paint(colour, &format!("{:<width$} {}", line.executable, line.task, width = self.width));
        session.ui.answer(&format!("{time} {name} {}", line.text));
        session
            .ui
            .record("log", &json!({ "time": time, "service": line.executable, "task": line.task, "line": line.text }));
    }
}

/// How far back each reading looks again, in milliseconds.
const OVERLAP: i64 = 10_000;

/// The containers of the executables that were asked for; all without any.
fn chosen(facts: &Facts, wanted: &[String]) -> Result<BTreeMap<String, String>> {
    let all: BTreeSet<&str> = facts.workloads.iter().map(|workload| workload.executable.as_str()).collect();
    let unknown: Vec<&str> = wanted.iter().map(String::as_str).filter(|name| !all.contains(name)).collect();
    if !unknown.is_empty() {
        return Err(Exit::Refused.stop(
            format!("the stack does not run {}", unknown.join(", ")),
            format!("it runs {}", all.into_iter().collect::<Vec<_>>().join(", ")),
        ));
    }
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|wanted| wanted == name);
    let chosen = facts.workloads.iter().filter(|workload| is_wanted(&workload.executable));
    Ok(chosen.map(|workload| (workload.container.clone(), workload.executable.clone())).collect())
}

/// Container and task of a stream `<prefix>/<container>/<task>`.
fn source(stream: &str) -> Option<(&str, &str)> {
    let (rest, task) = stream.rsplit_once('/')?;
    Some((rest.rsplit('/').next()?, task))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_names_container_and_task() {
        assert_eq!(source("aptqueue/queue/0123abcd"), Some(("queue", "0123abcd")));
        assert_eq!(source("nothing"), None);
    }
}
