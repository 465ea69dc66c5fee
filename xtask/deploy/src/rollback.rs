//! `rollback <env>`: an archived template by the path of `deploy`, with the evidence that was recorded when it ran.

use anyhow::Result;
use serde_json::json;
use xtask::cli::deploy::Rollback;
use xtask::exit::Exit;
use xtask::ui::table;

use crate::archive::{Archive, Entry};
use crate::aws::Trouble;
use crate::deploy;
use crate::interrupt::Interrupts;
use crate::job::{Job, Mode};
use crate::record::Evidence;
use crate::session::Session;
use crate::stack;

pub(crate) async fn run(args: &Rollback, session: &Session<'_>, interrupts: &mut Interrupts) -> Result<Exit> {
    let _lock = if session.dry_run || args.list { None } else { Some(session.lock()?) };
    let chosen = interrupts.guard(choose(args, session)).await?;
    let Some((entry, text, evidence)) = chosen else { return Ok(Exit::Done) };
    let (Some(origin), Some(tests)) = (evidence.origin, evidence.tests) else {
        return Err(Exit::Refused
            .stop(format!("the record of {} does not say what was released", entry.tag), "choose another with --to"));
    };
    let images = if origin.whole().is_some() { String::new() } else { format!(": {}", origin.text()) };
    session.ui.say(&format!("going back to {}, which ran at {}{images}", entry.tag, entry.deployed));
    let job = Job {
        command: "rollback",
        mode: if args.preview { Mode::Preview } else { Mode::Whole },
        checks: &args.checks,
        note: Some("rollback"),
        template: Some((text, format!("the archived template of {}", entry.tag))),
        from: &[],
        evidence: Some((origin, tests)),
        creation: None,
    };
    Box::pin(deploy::deploy(session, interrupts, &job)).await
}

/// The template to go back to with its evidence; none when only the list was wanted.
async fn choose(args: &Rollback, session: &Session<'_>) -> Result<Option<(Entry, String, Evidence)>> {
    let caller = session.identify().await?;
    let Some(bucket) = args.checks.bucket.clone().or_else(|| session.facts.template_bucket.clone()) else {
        return Err(Exit::Refused.stop(
            "no bucket with archived templates is named",
            "name template_bucket in the configuration file, or --bucket",
        ));
    };
    let archive = Archive::new(&session.aws, bucket, &caller.account, session.environment);
    let entries = archive.entries().await?;
    let name = session.stack_name();
    let current = match stack::describe(&session.aws, &name).await.map_err(Trouble::stop)? {
        Some(stack) => Some(stack::template(&session.aws, &stack.id).await?.sha256),
        None => None,
    };
    let is_current = |entry: &&Entry| Some(&entry.sha256) == current.as_ref();
    if args.list {
        let mut rows = vec![["RELEASE", "LAST DEPLOYED", "TEMPLATE", ""].map(str::to_owned).to_vec()];
        for entry in &entries {
            let mark = if is_current(&entry) { "runs now" } else { "" };
            session.ui.record("archived", &json!({ "tag": entry.tag, "sha256": entry.sha256, "deployed": entry.deployed, "current": is_current(&entry) }));
            rows.push(vec![
                entry.tag.clone(),
                entry.deployed.clone(),
                entry.sha256.chars().take(12).collect(),
                mark.to_owned(),
            ]);
        }
        session.ui.answer(&table(&rows));
        return Ok(None);
    }
    let found = match &args.to {
        Some(tag) => entries.iter().find(|entry| entry.tag == *tag),
        None => entries.iter().find(|entry| !is_current(entry)),
    };
    let Some(entry) = found else {
        let what = args.to.as_ref().map_or_else(|| "nothing else".to_owned(), |tag| format!("no release {tag}"));
        return Err(Exit::Refused.stop(
            format!("{what} in the archive was deployed and verified in {}", session.environment),
            format!("cargo xtask rollback {} --list shows what there is", session.environment),
        ));
    };
    let text = archive.template(entry).await?;
    let record = archive.record(entry).await?;
    let evidence = serde_json::from_str(&record).map_err(|error| {
        Exit::Refused.stop(format!("the record of {} cannot be read: {error}", entry.tag), "choose another with --to")
    })?;
    Ok(Some((entry.clone(), text, evidence)))
}
