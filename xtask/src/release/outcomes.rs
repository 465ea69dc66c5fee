//! What becomes of work that was done for many services at once.

use anyhow::Result;

use crate::exit::Exit;

/// All values, or one error that lists every failure by name, with their exit code if they agree on one.
pub(crate) fn all_or_list<T>(doing: &str, names: &[String], results: Vec<Result<T>>) -> Result<Vec<T>> {
    let total = results.len();
    let mut values = Vec::with_capacity(total);
    let mut failures = Vec::new();
    for (name, result) in names.iter().zip(results) {
        match result {
            Ok(value) => values.push(value),
            Err(error) => failures.push((name, error)),
        }
    }
    let Some((_, first)) = failures.first() else { return Ok(values) };
    let exit = Exit::of(first);
    let exit = if failures.iter().all(|(_, error)| Exit::of(error) == exit) { exit } else { Exit::Failed };
    let lines: Vec<String> = failures.iter().map(|(name, error)| format!("  {name}: {error:#}")).collect();
    let next = if exit == Exit::Unavailable {
        "log in, then run the release again"
    } else {
        "mend that, then run the release again: it finishes only what is missing"
    };
    Err(exit.stop(format!("{doing}: {} of {total} failed\n{}", failures.len(), lines.join("\n")), next))
}
