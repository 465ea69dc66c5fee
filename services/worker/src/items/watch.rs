//! The stage at work, and what can happen to its item meanwhile: the process is asked to stop, the claim is lost, an
//! administrator takes the item away.

use std::sync::Arc;
use std::time::Duration;

use model::WorkItem;
use redis_store::{Held, Loss};
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::Desk;
use crate::items::task::{Done, ItemStage, Stop, Task};
use tokio_util::sync::CancellationToken;

/// How long a stage may take to notice that it is cancelled.
const GRACE: Duration = Duration::from_secs(20);

/// How the work on an item ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// The stage said so, by itself.
    Returned(Result<Done, Stop>),
    /// The process is to stop, and the stage did.
    PutAway,
    /// The claim or the lock was lost: it is not certain any more that nobody else works on the item or its object.
    Lost(Loss),
    /// The item is not this worker's any more.
    TakenAway(String),
}

impl<S: ItemStage> Desk<S> {
    pub(super) async fn watch(
        self: &Arc<Self>,
        task: Task,
        claim: &Held,
        lock: Option<&Held>,
        shutdown: &CancellationToken,
    ) -> Ended {
        let (item, cancelled) = (task.item.clone(), task.cancelled.clone());
        let desk = Arc::clone(self);
        // A task of its own, so that a panic ends there.
        let mut stage = tokio::spawn(async move { desk.stage.run(&task).await });
        let mut check = interval(self.claim_ttl / 4);
        check.set_missed_tick_behavior(MissedTickBehavior::Delay);
        check.reset();
        loop {
            tokio::select! {
                returned = &mut stage => {
                    let returned = returned.unwrap_or_else(|error| Err(Stop::failed(&*item.name, broken(&error))));
                    return match returned {
                        Err(Stop::Cancelled) if shutdown.is_cancelled() => Ended::PutAway,
                        returned => Ended::Returned(returned),
                    };
                }
                loss = claim.lost() => {
                    end(&mut stage, &cancelled).await;
                    return Ended::Lost(loss);
                }
                loss = lost(lock) => {
                    end(&mut stage, &cancelled).await;
                    return Ended::Lost(loss);
                }
                () = shutdown.cancelled(), if !cancelled.is_cancelled() => cancelled.cancel(),
                _ = check.tick() => if let Some(reason) = self.taken_away(&item).await {
                    end(&mut stage, &cancelled).await;
                    return Ended::TakenAway(reason);
                },
            }
        }
    }

    /// Why the item is not ours any more. A Registry that does not answer takes nothing away.
    async fn taken_away(&self, item: &WorkItem) -> Option<String> {
        match self.look(item.id).await {
            Ok(Some(current)) => self.no_longer_ours(item, &current),
            Ok(None) => Some("the Registry does not have it any more".to_owned()),
            Err(_) => None,
        }
    }

    /// Compares the item that was marked as started with what the Registry has now (rulings A.4).
    pub(super) fn no_longer_ours(&self, started: &WorkItem, current: &WorkItem) -> Option<String> {
        if !current.retry {
            Some("its retry was set to false".to_owned())
        } else if current.stage != started.stage {
            Some(format!("it was moved from stage {} to {}", started.stage, current.stage))
        } else if current.node != self.node || current.pid != self.pid {
            Some(format!("it is in the hands of `{}` with process {}", current.node, current.pid))
        } else {
            None
        }
    }
}

async fn lost(lock: Option<&Held>) -> Loss {
    match lock {
        Some(lock) => lock.lost().await,
        None => std::future::pending().await,
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
