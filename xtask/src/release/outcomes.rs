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
    let next = if exit == Exit::Unavailable {
        "log in, then run the release again"
    } else {
        "mend that, then run the release again: it finishes only what is missing"
    };
    Err(exit.stop(format!("{doing}: {} of {total} failed\n{}", failures.len(), by_trouble(&failures)), next))
}

/// A line for each trouble, after the names of all that have it: one registry that is away is one trouble.
pub(crate) fn by_trouble(failures: &[(&String, anyhow::Error)]) -> String {
    let mut troubles: Vec<(String, String, Vec<&str>)> = Vec::new();
    for (name, error) in failures {
        let text = format!("{error:#}");
        let kind = text.replace(name.as_str(), "<service>");
        match troubles.iter_mut().find(|(known, ..)| *known == kind) {
            Some((.., names)) => names.push(name),
            None => troubles.push((kind, text, vec![name])),
        }
    }
    let lines = troubles.iter().map(|(kind, text, names)| match names[..] {
        [name] => format!("  {name}: {text}"),
        _ => format!("  {}: {kind}", names.join(", ")),
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_trouble_of_many_is_one_line() {
        let names = ["alpha", "beta", "gamma"].map(str::to_owned);
        let away = |name: &str| Err(anyhow::anyhow!("asking for r/{name}:1: no route to host"));
        let results: Vec<Result<()>> = vec![away("alpha"), Err(anyhow::anyhow!("disk full")), away("gamma")];
        let error = all_or_list("asking", &names, results).unwrap_err().to_string();
        let expected =
            "asking: 3 of 3 failed\n  alpha, gamma: asking for r/<service>:1: no route to host\n  beta: disk full";
        assert_eq!(error, expected);
    }
}
