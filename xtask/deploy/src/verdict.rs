//! Does ECS run what was shipped? Decided from what was seen of one service or one scheduled task.

use std::collections::BTreeSet;

use serde::Serialize;

/// What was seen of a service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Seen {
    pub(crate) desired: i32,
    pub(crate) running: i32,
    /// Task definition and state of each deployment, the primary first.
    pub(crate) deployments: Vec<SeenDeployment>,
    pub(crate) tasks: Vec<SeenTask>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct SeenDeployment {
    pub(crate) task_definition: String,
    /// `COMPLETED`, `IN_PROGRESS`, `FAILED`; empty where ECS does not say.
    pub(crate) rollout: String,
    pub(crate) failed_tasks: i32,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct SeenTask {
    pub(crate) id: String,
    pub(crate) task_definition: String,
    /// Of the container that runs the executable; none where ECS does not say (yet).
    pub(crate) digest: Option<String>,
}

/// What must be seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shipped {
    pub(crate) task_definition: String,
    /// The digest in the template and those of the platforms that it stands for; empty if the template pins a tag that nobody
    /// could resolve.
    pub(crate) digests: BTreeSet<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "verdict", content = "reason")]
pub(crate) enum Verdict {
    /// With what else was noticed, and is no fault of the release.
    Verified(Option<String>),
    /// It may still become right: seen too early.
    Settling(String),
    /// Its rollout is completed, and there is no task to look at just now: the one of before was interrupted, say.
    Unseen(String),
    /// Nothing runs that could be looked at.
    NotVerified(String),
    /// It runs something else.
    Wrong(String),
}

/// Judges one service by its rollout, its task definition and the digests of its tasks. How many of them run is a note: a scale-in that
/// waits for protected tasks, a scale-out or a lost Spot task says nothing of the release.
pub(crate) fn judge(seen: &Seen, shipped: &Shipped) -> Verdict {
    let Some(primary) = seen.deployments.first() else {
        return Verdict::Wrong("the service has no deployment".to_owned());
    };
    if primary.task_definition != shipped.task_definition {
        return Verdict::Wrong(format!(
            "its deployment is of {}, and {} was shipped: ECS went back by itself",
            revision(&primary.task_definition),
            revision(&shipped.task_definition)
        ));
    }
    if primary.rollout == "FAILED" {
        return Verdict::Wrong(format!("the rollout of {} failed", revision(&shipped.task_definition)));
    }
    if seen.desired == 0 {
        return Verdict::NotVerified("no task is wanted".to_owned());
    }
    if seen.deployments.len() > 1 || primary.rollout == "IN_PROGRESS" {
        return Verdict::Settling(format!(
            "{} deployments, the rollout is {}",
            seen.deployments.len(),
            primary.rollout
        ));
    }
    let counts = format!("{} of {} tasks run", seen.running, seen.desired);
    let mut verified = 0;
    for task in &seen.tasks {
        if task.task_definition != shipped.task_definition {
            return Verdict::Settling(format!("task {} still runs {}", task.id, revision(&task.task_definition)));
        }
        match &task.digest {
            // It has just come.
            None => {}
            Some(digest) if shipped.digests.contains(digest) => verified += 1,
            Some(digest) if shipped.digests.is_empty() => {
                return Verdict::NotVerified(format!("{digest} runs, and the template pins no digest"));
            }
            Some(digest) => {
                return Verdict::Wrong(format!("task {} runs {digest}, which was not shipped", task.id));
            }
        }
    }
    match verified {
        0 => Verdict::Unseen(format!("{counts}, and none says its digest yet")),
        _ => Verdict::Verified((seen.running != seen.desired).then_some(counts)),
    }
}

/// The last part of an ARN: `family:7`.
pub(crate) fn revision(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or(arn)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: &str = "arn:aws:ecs:us-east-1:1:task-definition/a:2";
    const OLD: &str = "arn:aws:ecs:us-east-1:1:task-definition/a:1";

    fn deployment(task_definition: &str, rollout: &str) -> SeenDeployment {
        SeenDeployment { task_definition: task_definition.to_owned(), rollout: rollout.to_owned(), failed_tasks: 0 }
    }

    fn task(task_definition: &str, digest: &str) -> SeenTask {
        SeenTask {
            id: "t".to_owned(),
            task_definition: task_definition.to_owned(),
            digest: (!digest.is_empty()).then(|| digest.to_owned()),
        }
    }

    #[test]
    fn each_way_to_be_right_or_wrong() {
        let shipped = Shipped {
            task_definition: OURS.to_owned(),
            digests: ["sha256:index".to_owned(), "sha256:amd64".to_owned()].into(),
        };
        let good = Seen {
            desired: 1,
            running: 1,
            deployments: vec![deployment(OURS, "COMPLETED")],
            tasks: vec![task(OURS, "sha256:amd64")],
        };
        let with = |change: fn(&mut Seen)| {
            let mut seen = good.clone();
            change(&mut seen);
            seen
        };
        let table = [
            (good.clone(), "verified"),
            (with(|seen| seen.tasks[0].digest = Some("sha256:index".to_owned())), "verified"),
            // The silent rollback: the stack is complete, and ECS runs the old one.
            (with(|seen| seen.deployments = vec![deployment(OLD, "COMPLETED")]), "wrong"),
            (with(|seen| seen.deployments = vec![deployment(OURS, "FAILED")]), "wrong"),
            (with(|seen| seen.tasks[0].digest = Some("sha256:other".to_owned())), "wrong"),
            (with(|seen| seen.deployments.clear()), "wrong"),
            (with(|seen| seen.deployments.push(deployment(OLD, ""))), "settling"),
            (with(|seen| seen.deployments = vec![deployment(OURS, "IN_PROGRESS")]), "settling"),
            (with(|seen| (seen.running, seen.tasks) = (0, Vec::new())), "unseen"),
            // A scale-in waits for protected tasks; a scale-out, or a Spot task that is replaced.
            (
                with(|seen| (seen.desired, seen.running, seen.tasks) = (1, 3, vec![task(OURS, "sha256:amd64"); 3])),
                "noted",
            ),
            (with(|seen| (seen.desired, seen.running) = (2, 1)), "noted"),
            (with(|seen| seen.tasks.push(task(OURS, ""))), "verified"),
            (with(|seen| seen.tasks.push(task(OURS, "sha256:other"))), "wrong"),
            (with(|seen| seen.tasks.clear()), "unseen"),
            (with(|seen| seen.tasks = vec![task(OLD, "sha256:amd64")]), "settling"),
            (with(|seen| seen.tasks[0].digest = None), "unseen"),
            (with(|seen| (seen.desired, seen.running) = (0, 0)), "not verified"),
        ];
        for (seen, expected) in table {
            let word = match judge(&seen, &shipped) {
                Verdict::Verified(None) => "verified",
                Verdict::Verified(Some(_)) => "noted",
                Verdict::Settling(_) => "settling",
                Verdict::Unseen(_) => "unseen",
                Verdict::NotVerified(_) => "not verified",
                Verdict::Wrong(_) => "wrong",
            };
            assert_eq!(word, expected, "{seen:?}");
        }
        let unknown = Shipped { digests: BTreeSet::new(), ..shipped };
        assert!(matches!(judge(&good, &unknown), Verdict::NotVerified(_)));
    }
}
