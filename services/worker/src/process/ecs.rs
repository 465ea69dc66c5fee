//! What Amazon ECS offers to a task from inside it: which cluster it runs in, and protection from being ended while work is in
//! hand. Outside ECS there is neither, and nothing here does anything.
//!
//! Protection: <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-scale-in-protection-endpoint.html>.
//! Metadata: <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-metadata-endpoint-v4-fargate.html>.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Where the ECS agent answers; set by ECS in every container.
const AGENT: &str = "ECS_AGENT_URI";
/// Where the task's metadata are; set by ECS in every container.
const METADATA: &str = "ECS_CONTAINER_METADATA_URI_V4";
/// The agent is on the same host: what takes longer than this does not come.
const LIMIT: Duration = Duration::from_secs(5);
/// Protection is asked for in steps: should this process hang, scaling waits no longer than this.
const STEP: Duration = Duration::from_mins(30);
/// A third of a step: two renewals may fail.
const RENEWAL: Duration = Duration::from_mins(10);
/// Between two messages protection is kept for this long, so that short ones do not ask the agent twice each.
const GRACE: Duration = Duration::from_secs(10);

/// Protects this task from scale-in and deployments while any [`Protected`] lives.
#[derive(Debug)]
pub(crate) struct Protection {
    in_work: watch::Sender<usize>,
    keeper: Option<JoinHandle<()>>,
}

/// Work in hand, until it is dropped.
#[derive(Debug)]
#[must_use]
pub(crate) struct Protected(watch::Sender<usize>);

impl Protection {
    /// Asks the agent of the environment; outside ECS, nobody.
    pub(crate) fn from_environment() -> Self {
        Self::with_agent(std::env::var(AGENT).ok(), RENEWAL, GRACE)
    }

    fn with_agent(agent: Option<String>, renewal: Duration, grace: Duration) -> Self {
        let (in_work, counted) = watch::channel(0);
        let keeper = agent.map(|agent| tokio::spawn(keep(agent, counted, renewal, grace)));
        Self { in_work, keeper }
    }

    pub(crate) fn hold(&self) -> Protected {
        self.in_work.send_modify(|count| *count += 1);
        Protected(self.in_work.clone())
    }

    /// Gives the protection back, so that ECS does not wait for a task that has nothing to do.
    pub(crate) async fn end(self) {
        let Self { in_work, keeper } = self;
        drop(in_work);
        if let Some(keeper) = keeper
            && tokio::time::timeout(2 * LIMIT, keeper).await.is_err()
        {
            tracing::warn!("the ECS agent did not take the task's protection back in time; it ends by itself");
        }
    }
}

impl Drop for Protected {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

/// Follows the count until all who could raise it are gone.
async fn keep(agent: String, mut in_work: watch::Receiver<usize>, renewal: Duration, grace: Duration) {
    let agent = Agent { uri: format!("{}/task-protection/v1/state", agent.trim_end_matches('/')) };
    let mut failing = false;
    let mut report = |outcome: Result<()>| match outcome {
        Ok(()) => failing = false,
        // Said once; the work goes on all the same.
        Err(error) if !failing => {
            failing = true;
            tracing::warn!("the ECS agent does not protect this task, so scaling in may interrupt its work: {error:#}");
        }
        Err(_) => {}
    };
    while in_work.wait_for(|count| *count > 0).await.is_ok() {
        loop {
            report(agent.protect(true).await);
            if tokio::time::timeout(renewal, idle(&mut in_work, grace)).await.is_ok() {
                break;
            }
        }
        report(agent.protect(false).await);
    }
}

/// Returns when nothing has been in hand for this long, or when nothing can be any more.
async fn idle(in_work: &mut watch::Receiver<usize>, grace: Duration) {
    while in_work.wait_for(|count| *count == 0).await.is_ok() {
        let busy = tokio::time::timeout(grace, in_work.wait_for(|count| *count > 0)).await;
        if !matches!(busy, Ok(Ok(_))) {
            return;
        }
    }
}

#[derive(Debug)]
struct Agent {
    uri: String,
}

impl Agent {
    async fn protect(&self, protected: bool) -> Result<()> {
        let wanted = if protected {
            json!({ "ProtectionEnabled": true, "ExpiresInMinutes": STEP.as_secs() / 60 })
        } else {
            json!({ "ProtectionEnabled": false })
        };
        let answer = client()?.put(&self.uri).json(&wanted).send().await.context("asking it")?;
        let status = answer.status();
        let answer: Value = answer.json().await.with_context(|| format!("reading its answer ({status})"))?;
        if answer["protection"]["ProtectionEnabled"] == protected {
            return Ok(());
        }
        let reason = &answer["failure"]["Reason"];
        let reason = reason.as_str().or(answer["error"]["Message"].as_str()).unwrap_or("no reason given");
        bail!("it answered {status}: {reason}")
    }
}

/// The name of the cluster that this task runs in; none outside ECS.
pub(crate) async fn cluster_name() -> Option<String> {
    let uri = format!("{}/task", std::env::var(METADATA).ok()?.trim_end_matches('/'));
    let cluster = async {
        let answer: Value = client()?.get(&uri).send().await?.error_for_status()?.json().await?;
        let arn = answer["Cluster"].as_str().context("the task's metadata name no cluster")?;
        Ok::<_, anyhow::Error>(arn.rsplit('/').next().unwrap_or(arn).to_owned())
    };
    match cluster.await {
        Ok(name) => Some(name),
        Err(error) => {
            tracing::warn!("no metrics are written, since the task's metadata cannot be read: {error:#}");
            None
        }
    }
}

fn client() -> Result<reqwest::Client> {
    // Plain HTTP on the same host, past any proxy.
    reqwest::Client::builder().no_proxy().timeout(LIMIT).build().context("making an HTTP client")
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::sync::{Arc, Mutex};

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    /// An agent that notes what it is asked and answers each time with the next of these bodies, then with the last.
    async fn agent(answers: &'static [&'static str]) -> (String, Arc<Mutex<Vec<Value>>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri = format!("http://{}/api/x", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let notes = Arc::clone(&asked);
        tokio::spawn(async move {
            for number in 0.. {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = Vec::new();
                let body = loop {
                    let mut part = [0; 1024];
                    let length = stream.read(&mut part).await.unwrap();
                    request.extend_from_slice(&part[..length]);
                    let text = String::from_utf8_lossy(&request);
                    if let Some((head, body)) = text.split_once("\r\n\r\n")
                        && let Ok(body) = serde_json::from_str::<Value>(body)
                    {
                        assert!(head.starts_with("PUT /api/x/task-protection/v1/state HTTP/1.1"), "{head}");
                        break body;
                    }
                };
                notes.lock().unwrap().push(body);
                let answer = answers[number.min(answers.len() - 1)];
                let head = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", answer.len());
                stream.write_all((head + answer).as_bytes()).await.unwrap();
            }
        });
        (uri, asked)
    }

    async fn asked_for(asked: &Mutex<Vec<Value>>, count: usize) -> Vec<bool> {
        tokio::time::timeout(Duration::from_secs(20), async {
            while asked.lock().unwrap().len() < count {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await
        .expect("the agent was not asked often enough");
        asked.lock().unwrap().iter().map(|body| body["ProtectionEnabled"].as_bool().unwrap()).collect()
    }

    const REFUSAL: &str = r#"{"failure":{"Arn":"arn","Reason":"DEPLOYMENT_BLOCKED","Detail":null}}"#;
    const PROTECTED: &str = r#"{"protection":{"ProtectionEnabled":true,"TaskArn":"arn"}}"#;

    #[tokio::test]
    async fn a_task_with_work_in_hand_is_protected_and_the_protection_renewed() {
        crate::process::tls::install();
        let (uri, asked) = agent(&[PROTECTED]).await;
        let protection = Protection::with_agent(Some(uri), Duration::from_millis(20), Duration::from_millis(1));
        let work = protection.hold();
        assert_eq!(asked_for(&asked, 3).await[..3], [true, true, true]);
        assert_eq!(asked.lock().unwrap()[0], json!({ "ProtectionEnabled": true, "ExpiresInMinutes": 30 }));
        drop(work);
        protection.end().await;
        assert_eq!(asked.lock().unwrap().last().unwrap()["ProtectionEnabled"], false);
    }

    #[tokio::test]
    async fn between_short_messages_protection_is_kept() {
        crate::process::tls::install();
        let (uri, asked) = agent(&[PROTECTED]).await;
        let protection = Protection::with_agent(Some(uri), Duration::from_hours(1), Duration::from_hours(1));
        let work = protection.hold();
        assert_eq!(asked_for(&asked, 1).await, [true]);
        drop(work);
        drop(protection.hold());
        // Nobody can take up work any more: it is given back at once, whatever the grace.
        protection.end().await;
        assert_eq!(asked_for(&asked, 2).await, [true, false]);
    }

    #[tokio::test]
    async fn an_agent_that_refuses_is_asked_again_and_work_goes_on() {
        crate::process::tls::install();
        let agent = Agent { uri: format!("{}/task-protection/v1/state", self::agent(&[REFUSAL]).await.0) };
        let error = agent.protect(true).await.unwrap_err();
        assert!(error.to_string().contains("DEPLOYMENT_BLOCKED"), "{error}");
        let (uri, asked) = self::agent(&[REFUSAL, PROTECTED]).await;
        let protection = Protection::with_agent(Some(uri), Duration::from_millis(5), Duration::from_millis(1));
        let _work = protection.hold();
        assert_eq!(asked_for(&asked, 2).await[..2], [true, true]);
    }

    #[tokio::test]
    async fn outside_ecs_nobody_is_asked() {
        let protection = Protection::with_agent(None, RENEWAL, GRACE);
        drop(protection.hold());
        protection.end().await;
    }
}
