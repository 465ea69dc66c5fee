//! ECS as it is: services, their deployments and tasks, why tasks stopped, and what they logged last.

use std::collections::BTreeMap;

use aws_sdk_ecs::types::{DesiredStatus, Service, Task};

use crate::aws::{Aws, Trouble};
use crate::stack::time;
use crate::verdict::{Seen, SeenDeployment, SeenTask};

/// A service as ECS describes it.
#[derive(Clone, Debug)]
pub(crate) struct LiveService {
    pub(crate) name: String,
    pub(crate) seen: Seen,
    /// Id, RFC 3339 time and text of what ECS says about it, newest first.
    pub(crate) events: Vec<(String, String, String)>,
    /// RFC 3339, of the primary deployment.
    pub(crate) deployed: Option<String>,
}

/// A task that stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoppedTask {
    pub(crate) arn: String,
    pub(crate) task_definition: String,
    /// One line: what ECS says, and how the containers ended.
    pub(crate) reason: String,
    /// It was not stopped because somebody asked for it.
    pub(crate) is_bad: bool,
    /// The container that gave the reason, where one did.
    pub(crate) container: Option<String>,
}

/// The services of these names or ARNs, by what ECS calls them. One that is not there is left out.
pub(crate) async fn services(
    aws: &Aws<'_>,
    cluster: &str,
    names: &[String],
) -> Result<BTreeMap<String, LiveService>, Trouble> {
    let mut found = BTreeMap::new();
    for ten in names.chunks(10) {
        let answer = aws
            .attempt("describing the services", async || {
                aws.ecs.describe_services().cluster(cluster).set_services(Some(ten.to_vec())).send().await
            })
            .await;
        let answer = match answer {
            Ok(answer) => answer,
            Err(trouble) if trouble.is_missing() => continue,
            Err(trouble) => return Err(trouble),
        };
        for service in answer.services().iter().filter(|service| service.status() != Some("INACTIVE")) {
            let service = live(service);
            found.insert(service.name.clone(), service);
        }
    }
    Ok(found)
}

fn live(service: &Service) -> LiveService {
    let mut deployments: Vec<_> = service.deployments().iter().collect();
    deployments.sort_by_key(|deployment| deployment.status() != Some("PRIMARY"));
    LiveService {
        name: service.service_name().unwrap_or_default().to_owned(),
        deployed: deployments.first().and_then(|deployment| time(deployment.created_at())),
        events: service
            .events()
            .iter()
            .map(|event| {
                let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
                (text(event.id()), time(event.created_at()).unwrap_or_default(), text(event.message()))
            })
            .collect(),
        seen: Seen {
            desired: service.desired_count(),
            running: service.running_count(),
            deployments: deployments
                .into_iter()
                .map(|deployment| SeenDeployment {
                    task_definition: deployment.task_definition().unwrap_or_default().to_owned(),
                    rollout: deployment.rollout_state().map(|state| state.as_str().to_owned()).unwrap_or_default(),
                    failed_tasks: deployment.failed_tasks(),
                })
                .collect(),
            tasks: Vec::new(),
        },
    }
}

/// The running tasks of a service, with the digest of `container`.
pub(crate) async fn running(
    aws: &Aws<'_>,
    cluster: &str,
    service: &str,
    container: &str,
) -> Result<Vec<SeenTask>, Trouble> {
    let tasks = tasks(aws, cluster, service, DesiredStatus::Running).await?;
    Ok(tasks.iter().filter(|task| task.last_status() == Some("RUNNING")).map(|task| seen(task, container)).collect())
}

/// The tasks of a service that stopped lately.
pub(crate) async fn stopped(aws: &Aws<'_>, cluster: &str, service: &str) -> Result<Vec<StoppedTask>, Trouble> {
    let tasks = tasks(aws, cluster, service, DesiredStatus::Stopped).await?;
    Ok(tasks.iter().map(stopped_task).collect())
}

/// One task, whatever its state.
pub(crate) async fn task(aws: &Aws<'_>, cluster: &str, arn: &str) -> Result<Option<Task>, Trouble> {
    let answer = aws
        .attempt("describing a task", async || aws.ecs.describe_tasks().cluster(cluster).tasks(arn).send().await)
        .await?;
    Ok(answer.tasks.unwrap_or_default().into_iter().next())
}

async fn tasks(aws: &Aws<'_>, cluster: &str, service: &str, status: DesiredStatus) -> Result<Vec<Task>, Trouble> {
    let mut arns = Vec::new();
    let mut token = None;
    loop {
        let answer = aws
            .attempt("listing tasks", async || {
                aws.ecs
                    .list_tasks()
                    .cluster(cluster)
                    .service_name(service)
                    .desired_status(status.clone())
                    .set_next_token(token.clone())
                    .send()
                    .await
            })
            .await?;
        arns.extend(answer.task_arns.unwrap_or_default());
        token = answer.next_token;
        if token.is_none() {
            break;
        }
    }
    let mut found = Vec::new();
    for hundred in arns.chunks(100) {
        let answer = aws
            .attempt("describing tasks", async || {
                aws.ecs.describe_tasks().cluster(cluster).set_tasks(Some(hundred.to_vec())).send().await
            })
            .await?;
        found.extend(answer.tasks.unwrap_or_default());
    }
    Ok(found)
}

/// A task as the verdict looks at it.
pub(crate) fn seen(task: &Task, container: &str) -> SeenTask {
    let ours = task.containers().iter().find(|found| found.name() == Some(container));
    SeenTask {
        id: short(task.task_arn().unwrap_or_default()).to_owned(),
        task_definition: task.task_definition_arn().unwrap_or_default().to_owned(),
        digest: ours.and_then(|container| container.image_digest()).map(str::to_owned),
    }
}

/// Why and how a task stopped.
pub(crate) fn stopped_task(task: &Task) -> StoppedTask {
    let code = task.stop_code().map(aws_sdk_ecs::types::TaskStopCode::as_str).unwrap_or_default();
    let ended_badly = |container: &&aws_sdk_ecs::types::Container| {
        container.exit_code().is_some_and(|code| code != 0) || container.reason().is_some()
    };
    let containers: Vec<String> = task
        .containers()
        .iter()
        .filter(ended_badly)
        .map(|container| {
            let exit = container.exit_code().map(|code| format!(" exit code {code}")).unwrap_or_default();
            let reason = container.reason().map(|reason| format!(" {reason}")).unwrap_or_default();
            format!("{}:{exit}{reason}", container.name().unwrap_or_default())
        })
        .collect();
    let said = task.stopped_reason().unwrap_or_default();
    let mut parts = vec![if said.is_empty() { code.to_owned() } else { said.to_owned() }];
    parts.extend(containers);
    StoppedTask {
        arn: task.task_arn().unwrap_or_default().to_owned(),
        task_definition: task.task_definition_arn().unwrap_or_default().to_owned(),
        reason: parts.join("; "),
        is_bad: matches!(code, "TaskFailedToStart" | "EssentialContainerExited")
            || (code == "ServiceSchedulerInitiated" && said.contains("health check")),
        container: task.containers().iter().find(ended_badly).and_then(|container| container.name()).map(str::to_owned),
    }
}

/// The last part of an ARN: a task's id, a service's name.
pub(crate) fn short(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or(arn)
}

/// The last lines that a task's container logged, oldest first; none if it logged nothing or they cannot be read.
pub(crate) async fn last_lines(aws: &Aws<'_>, task: &StoppedTask, container: &str, count: i32) -> Vec<String> {
    let described = aws
        .attempt("describing a task definition", async || {
            aws.ecs.describe_task_definition().task_definition(&task.task_definition).send().await
        })
        .await;
    let Ok(described) = described else { return Vec::new() };
    let definitions =
        described.task_definition().map(aws_sdk_ecs::types::TaskDefinition::container_definitions).unwrap_or_default();
    let options = definitions
        .iter()
        .find(|definition| definition.name() == Some(container))
        .and_then(|definition| definition.log_configuration()?.options());
    let option = |name: &str| options.and_then(|options| options.get(name)).cloned();
    let (Some(group), Some(prefix)) = (option("awslogs-group"), option("awslogs-stream-prefix")) else {
        return Vec::new();
    };
    let stream = format!("{prefix}/{container}/{}", short(&task.arn));
    let answer = aws
        .attempt("reading a task's last log lines", async || {
            aws.logs
                .get_log_events()
                .log_group_name(&group)
                .log_stream_name(&stream)
                .limit(count)
                .start_from_head(false)
                .send()
                .await
        })
        .await;
    let Ok(answer) = answer else { return Vec::new() };
    answer.events().iter().filter_map(|event| event.message()).map(|line| line.trim_end().to_owned()).collect()
}

/// Tasks that ECS may not stop because they are in the middle of something, of these.
pub(crate) async fn protected(aws: &Aws<'_>, cluster: &str, service: &str) -> Result<Vec<String>, Trouble> {
    let running = tasks(aws, cluster, service, DesiredStatus::Running).await?;
    let arns: Vec<String> = running.iter().filter_map(|task| task.task_arn().map(str::to_owned)).collect();
    let mut found = Vec::new();
    for ten in arns.chunks(10) {
        let answer = aws
            .attempt("asking which tasks are protected", async || {
                aws.ecs.get_task_protection().cluster(cluster).set_tasks(Some(ten.to_vec())).send().await
            })
            .await?;
        let protected = answer.protected_tasks().iter().filter(|task| task.protection_enabled());
        found.extend(protected.filter_map(|task| {
            let until = time(task.expiration_date()).map(|time| format!(" until {time}")).unwrap_or_default();
            Some(format!("{}{until}", short(task.task_arn()?)))
        }));
    }
    Ok(found)
}
