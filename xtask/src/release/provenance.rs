//! Where an executable comes from: an in-toto statement with SLSA's predicate, one for each executable. It is not signed: it says what
//! this release knows, for whoever signs or compares.
//!
//! Pages: "in-toto Statement v1", "SLSA Provenance v1".

use serde_json::{Value, json};

use crate::release::SOURCE;
use crate::release::build::Executable;
use crate::release::manifest::{Build, Manifest};

/// What is common to all executables of a release.
#[derive(Debug)]
pub(crate) struct Provenance<'a> {
    pub(crate) manifest: &'a Manifest,
    /// In hexadecimal, of Cargo.lock, which fixes all other sources.
    pub(crate) lock_sha256: String,
    pub(crate) run_id: &'a str,
    /// RFC 3339.
    pub(crate) started: String,
    pub(crate) finished: String,
}

impl Provenance<'_> {
    /// The statement about one executable, which was made by `build`.
    pub(crate) fn statement(
        &self,
        service: &str,
        executable: &Executable,
        build: &Build,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Value {
        let Manifest { commit, branch, tag, dirty, .. } = self.manifest;
        let at = branch.as_ref().map(|branch| format!("@refs/heads/{branch}")).unwrap_or_default();
        json!({
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{ "name": service, "digest": { "sha256": executable.sha256 } }],
            "predicateType": "https://slsa.dev/provenance/v1",
            "predicate": {
                "buildDefinition": {
                    "buildType": format!("{SOURCE}#cargo-xtask-release"),
                    "externalParameters": { "tag": tag, "platform": build.platform, "target": build.target, "dirty": dirty },
                    "internalParameters": { "rustc": build.rustc, "linker": build.linker, "libc": build.libc },
                    "resolvedDependencies": [
                        { "uri": format!("git+{SOURCE}{at}"), "digest": { "gitCommit": commit } },
                        { "name": "Cargo.lock", "digest": { "sha256": self.lock_sha256 } },
                    ],
                },
                "runDetails": {
                    "builder": { "id": builder(variable), "version": { "xtask": env!("CARGO_PKG_VERSION") } },
                    "metadata": { "invocationId": self.run_id, "startedOn": self.started, "finishedOn": self.finished },
                },
            },
        })
    }
}

/// Who built it: the job of a CI that says who it is, else a person.
fn builder(variable: impl Fn(&str) -> Option<String>) -> String {
    let github = || Some(format!("{}/{}", variable("GITHUB_SERVER_URL")?, variable("GITHUB_WORKFLOW_REF")?));
    let gitlab = || Some(format!("{}/-/runners/{}", variable("CI_PROJECT_URL")?, variable("CI_RUNNER_ID")?));
    github().or_else(gitlab).unwrap_or_else(|| format!("{SOURCE}#by-hand"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_builder_is_the_job_of_a_ci_or_a_person() {
        let of = |set: &[(&str, &str)]| {
            let set: Vec<(String, String)> =
                set.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
            builder(|name| set.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone()))
        };
        let github =
            [("GITHUB_SERVER_URL", "https://hub"), ("GITHUB_WORKFLOW_REF", "a/b/.github/workflows/c.yml@main")];
        assert_eq!(of(&github), "https://hub/a/b/.github/workflows/c.yml@main");
        assert_eq!(of(&[("CI_PROJECT_URL", "https://lab/a/b"), ("CI_RUNNER_ID", "7")]), "https://lab/a/b/-/runners/7");
        assert!(of(&[("CI_RUNNER_ID", "7")]).ends_with("#by-hand"));
    }
}
