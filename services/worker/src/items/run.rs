//! The stage at work, and what can happen to its item meanwhile: the process is asked to stop, the claim is lost, an
//! administrator takes the item away.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use model::WorkItem;
use redis_store::{Held, Loss};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::outcome::Outcome;
use super::{Case, ItemLoop};
use crate::items::admission::Admission;
use crate::items::task::{Done, ItemStage, Stop, Task};

/// How long a stage may take to notice that it is cancelled.
const GRACE: Duration = Duration::from_secs(20);

impl<S: ItemStage, A: Admission> ItemLoop<S, A> {
    pub(super) async fn watch(self: &Arc<Self>, task: Task, case: &Case, shutdown: &CancellationToken) -> Outcome {
        let (id, name, cancelled) = (task.item.id, task.item.name.clone(), task.cancelled.clone());
        let items = Arc::clone(self);
        // A task of its own, so that a panic ends there.
        let mut stage = tokio::spawn(async move { items.stage.run(&task).await });
        // A look at the Registry may take minutes, in which all else is still seen.
        let mut look: Pin<Box<dyn Future<Output = Option<String>> + Send>> = self.next_look(case);
        loop {
            tokio::select! {
                returned = &mut stage => {
                    let returned = returned.unwrap_or_else(|error| Err(Stop::failed(&*name, broken(&error))));
                    return match returned {
                        Err(Stop::Cancelled) if shutdown.is_cancelled() => Outcome::PutAway,
                        returned => Outcome::Returned(returned),
                    };
                }
                loss = lost(&case.claim, case.lock.as_ref()) => {
                    tracing::warn!(work_item_id = id, "the claim or lock of WorkItem {id} was lost, so it stops: {loss}");
                    end(&mut stage, &cancelled).await;
                    return Outcome::PutAway;
                }
                () = shutdown.cancelled(), if !cancelled.is_cancelled() => cancelled.cancel(),
                taken = &mut look => {
                    if let Some(reason) = taken {
                        end(&mut stage, &cancelled).await;
                        return Outcome::TakenAway(reason);
                    }
                    look = self.next_look(case);
                }
            }
        }
    }

    /// After a while, why the item is not ours any more. A Registry that does not answer takes nothing away.
    fn next_look<'a>(&'a self, case: &'a Case) -> Pin<Box<dyn Future<Output = Option<String>> + Send + 'a>> {
        Box::pin(async move {
            sleep(self.plan.claim_ttl / 4).await;
            match self.look(case.item.id).await {
                Ok(current) => taken_away(case, current.as_ref()),
                Err(_) => None,
            }
        })
    }
}

/// Compares the item that was marked as started with what the Registry has now (rulings A.4).
pub(super) fn taken_away(case: &Case, current: Option<&WorkItem>) -> Option<String> {
    let Some(current) = current else { return Some("the Registry does not have it any more".to_owned()) };
    let is = |known: &WorkItem| current.stage == known.stage && current.node == known.node && current.pid == known.pid;
    if !current.retry {
        Some("its retry was set to false".to_owned())
    } else if is(&case.item) || case.marked.as_ref().is_some_and(is) {
        None
    } else if current.stage != case.item.stage {
        Some(format!("it was moved from stage {} to {}", case.item.stage, current.stage))
    } else {
        Some(format!("it is in the hands of `{}` with process {}", current.node, current.pid))
    }
}

async fn lost(claim: &Held, lock: Option<&Held>) -> Loss {
    let lock = async {
        match lock {
            Some(lock) => lock.lost().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        loss = claim.lost() => loss,
        loss = lock => loss,
    }
}

/// Cancels a stage, and ends one that does not notice.
async fn end(stage: &mut JoinHandle<Result<Done, Stop>>, cancelled: &CancellationToken) {
    cancelled.cancel();
    if timeout(GRACE, &mut *stage).await.is_err() {
        tracing::error!("the stage did not notice in {} s that it is cancelled, and is cut off", GRACE.as_secs());
        stage.abort();
        // Returns when it is really gone.
        let _ = stage.await;
    }
}

fn broken(error: &tokio::task::JoinError) -> String {
    if error.is_panic() {
        "The worker has a defect: it panicked. Its log says where.".to_owned()
    } else {
        "The work was cut off.".to_owned()
    }
}
