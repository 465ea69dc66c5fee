//! The operator's file with the facts of each environment. It is never committed; `deploy/config.example.toml` explains it. Both
//! `cargo xtask`, which looks at it before anything is compiled, and the deployer read it here.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::cli::deploy::Environment;
use crate::exit::Exit;
use anyhow::{Context, Result};
use serde::Deserialize;

/// What the operator says about one environment.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Facts {
    /// The account that the credentials must be of: twelve digits.
    pub account: String,
    pub region: String,
    /// Where templates go; the archive for rollbacks.
    pub template_bucket: Option<String>,
    /// A profile of the AWS configuration.
    pub profile: Option<String>,
    /// The service role that CloudFormation works with.
    pub role_arn: Option<String>,
    /// How a deployment is confirmed; for prod the name is always typed.
    #[serde(default)]
    pub confirm: Confirm,
    /// Capabilities that need no `--capability` any more.
    #[serde(default)]
    pub capabilities: Vec<String>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Confirm {
    /// y/N, or `--yes`.
    #[default]
    Yes,
    /// The stack's full name, or `--confirm`.
    StackName,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    environments: BTreeMap<String, Facts>,
}

/// The environment variable that names the file.
pub const VARIABLE: &str = "XTASK_CONFIG";

/// Reads what the file says about `environment`: the file `given`, or the one that [`VARIABLE`] names. Ends with [`Exit::Refused`] where there is
/// none, or it says nothing that can be used.
pub fn read(given: Option<&Path>, environment: Environment) -> Result<Facts> {
    let variable = || std::env::var_os(VARIABLE).filter(|value| !value.is_empty()).map(PathBuf::from);
    let Some(path) = given.map(Path::to_owned).or_else(variable) else {
        return Err(Exit::Refused.stop(
            format!("no file says which account and region {environment} is"),
            format!("copy xtask/deploy/config.example.toml to a place of your own, fill it in, and name it with --config or {VARIABLE}"),
        ));
    };
    let text = std::fs::read_to_string(&path);
    let text = text.with_context(|| format!("reading the configuration file {}", path.display()));
    let text = text.map_err(|error| Exit::Refused.stop(format!("{error:#}"), "give --config the right path"))?;
    parse(&text, environment).map_err(|why| {
        Exit::Refused.stop(format!("{}: {why}", path.display()), "compare it with xtask/deploy/config.example.toml")
    })
}

fn parse(text: &str, environment: Environment) -> Result<Facts, String> {
    const KNOWN: [&str; 3] = ["staging", "demo", "prod"];
    let file: File = toml::from_str(text).map_err(|error| error.to_string())?;
    if let Some(unknown) = file.environments.keys().find(|name| !KNOWN.contains(&name.as_str())) {
        return Err(format!("there is no environment `{unknown}`"));
    }
    let Some(facts) = file.environments.get(environment.name()).cloned() else {
        return Err(format!("it says nothing about {environment}"));
    };
    if facts.account.len() != 12 || !facts.account.chars().all(|c| c.is_ascii_digit()) {
        return Err(format!("the account of {environment}, `{}`, is not twelve digits", facts.account));
    }
    Ok(facts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_is_valid_but_for_the_accounts_that_one_fills_in() {
        let example = include_str!("../deploy/config.example.toml");
        for environment in [Environment::Staging, Environment::Demo, Environment::Prod] {
            let error = parse(example, environment).unwrap_err();
            assert!(error.contains("is not twelve digits"), "{error}");
            let facts = parse(&example.replace("<12 digits>", "123456789012"), environment).unwrap();
            assert_eq!(facts.confirm == Confirm::StackName, environment == Environment::Prod);
        }
    }

    #[test]
    fn what_is_misspelt_is_refused() {
        let table = [
            ("[environments.staging]\naccount = '123456789012'", "region"),
            ("[environments.staging]\naccount = '123456789012'\nregion = 'r'\nbucket = 'b'", "bucket"),
            ("[environments.stage]\naccount = '123456789012'\nregion = 'r'", "`stage`"),
            ("[environments.demo]\naccount = '123456789012'\nregion = 'r'", "nothing about staging"),
        ];
        for (text, why) in table {
            let error = parse(text, Environment::Staging).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }
}
