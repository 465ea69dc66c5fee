//! The loop of a program that looks for work by itself: pass after pass, or one. Each part of a pass is made by one process at a
//! time, under a lease (rulings B.13, H.52), and only for as long as it gets on.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Error, Result, anyhow, bail};
use failing::chain;
use redis_store::{LeaseName, LeaseTaken, Owner, Store};
use tokio::task::{JoinError, JoinHandle};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::process::health::Heartbeat;
use crate::process::host;
use crate::process::metrics::{Metric, Metrics};
use crate::process::program::Context;
use crate::scan::scanner::{ScanPlan, Schedule};

/// The main loop's signs of life.
const BEAT: Duration = Duration::from_secs(10);
/// How long a pass may take to notice that it is cancelled.
const GRACE: Duration = Duration::from_secs(20);

/// How long things may take.
#[derive(Debug, Clone, Copy)]
struct Limits {
    /// How long a lease lasts without its holder. The next run of the schedule must find it free.
    lease: Duration,
    /// Without any progress for so long, a part is ended: its lease would be renewed for ever, and each later run would find
    /// somebody at work.
    stall: Duration,
    /// A part as a whole. ECS does not stop a task of a schedule, however long it runs.
    part: Duration,
}

const LIMITS: Limits =
    Limits { lease: Duration::from_mins(1), stall: Duration::from_mins(15), part: Duration::from_hours(6) };

/// What a scanner does in one pass.
pub trait Scan: Send + Sync + 'static {
    /// What a pass consists of, asked anew for each.
    fn parts(&self) -> impl Future<Output = Result<Vec<Part>>> + Send {
        async { Ok(vec![Part::Whole]) }
    }

    /// Looks at everything of a part once. Soon returns after `pass.cancelled`, and finds the rest the next time. It calls
    /// [`Pass::progress`] after each thing that it did.
    fn pass(&self, part: &Part, pass: &Pass) -> impl Future<Output = Result<()>> + Send;
}

/// What is looked at by one process at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    Whole,
    /// One receiving bucket.
    Bucket(String),
}

/// A part being looked at.
#[derive(Debug)]
pub struct Pass {
    /// The process ends, the lease was lost, or the pass takes too long.
    pub cancelled: CancellationToken,
    progress: Mutex<Instant>,
}

impl Pass {
    /// It gets on.
    pub fn progress(&self) {
        *self.progress.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// One that nobody watches.
    pub fn new(cancelled: CancellationToken) -> Self {
        Self { cancelled, progress: Mutex::new(Instant::now()) }
    }

    /// Completes when there was no progress for so long.
    async fn stalled(&self, limit: Duration) {
        loop {
            let last = *self.progress.lock().unwrap_or_else(PoisonError::into_inner);
            if last.elapsed() >= limit {
                return;
            }
            sleep_until(last + limit).await;
        }
    }
}

impl<S> Context<ScanPlan, S> {
    /// The life of a scanner: makes passes until the process is asked to stop, or one. In a loop a failed pass is logged, and the
    /// next one is made.
    pub async fn run(self, scan: impl Scan) -> Result<()> {
        let Self { service, plan, shutdown, heartbeat, .. } = self;
        let store = plan.store()?;
        let schedule = plan.schedule;
        Scans { store, heartbeat, shutdown, service, scan: Arc::new(scan), limits: LIMITS }.run(schedule).await
    }
}

/// What a scanner stands on.
struct Scans<S> {
    store: Store,
    heartbeat: Heartbeat,
    shutdown: CancellationToken,
    service: &'static str,
    scan: Arc<S>,
    limits: Limits,
}

/// How a pass ended.
#[derive(Debug, PartialEq, Eq)]
enum Passed {
    Done,
    /// Another process was making one.
    Elsewhere,
}

impl<S: Scan> Scans<S> {
    async fn run(self, schedule: Schedule) -> Result<()> {
        let metrics = Metrics::of(self.service).await;
        loop {
            let passed = self.alive(self.pass()).await;
            if let (Ok(Passed::Done), Some(metrics)) = (&passed, &metrics) {
                metrics.write(Metric::CompletedRuns(1));
            }
            let Schedule::Every(pause) = schedule else { return passed.map(drop) };
            if let Err(error) = passed {
                tracing::error!("this pass failed, the next follows in {} s: {error:#}", pause.as_secs());
            }
            tokio::select! {
                () = self.shutdown.cancelled() => return Ok(()),
                () = self.alive(tokio::time::sleep(pause)) => {}
            }
        }
    }

    /// Every part, whatever becomes of the others.
    async fn pass(&self) -> Result<Passed> {
        let parts = self.scan.parts().await.context("finding out what there is to look at")?;
        let (count, mut failed, mut passed) = (parts.len(), 0, Passed::Elsewhere);
        for part in parts {
            if self.shutdown.is_cancelled() {
                break;
            }
            match self.part(&part).await {
                Ok(Passed::Done) => passed = Passed::Done,
                Ok(Passed::Elsewhere) => {}
                Err(error) if count == 1 => return Err(error),
                Err(error) => {
                    failed += 1;
                    tracing::error!(part = ?part, "a part of this pass failed: {error:#}");
                }
            }
        }
        if failed > 0 {
            bail!("{failed} of {count} parts failed; the lines above say why");
        }
        Ok(passed)
    }

    async fn part(&self, part: &Part) -> Result<Passed> {
        let name = match part {
            Part::Whole => LeaseName::Run(self.service),
            Part::Bucket(bucket) => LeaseName::Bucket(bucket),
        };
        let taken = self.store.take_lease(name, Owner::holder(), &host::name(), self.limits.lease).await;
        let lease = match taken.context("taking the lease for this run")? {
            LeaseTaken::Ours(lease) => lease,
            LeaseTaken::Theirs { host, .. } => {
                tracing::info!(host, part = ?part, "another process is making a pass; this one does nothing");
                return Ok(Passed::Elsewhere);
            }
        };
        let pass = Arc::new(Pass::new(self.shutdown.child_token()));
        let (scan, its, part) = (Arc::clone(&self.scan), Arc::clone(&pass), part.clone());
        // A task of its own: one that blocks its thread must not keep anybody from noticing.
        let mut passing = tokio::spawn(async move { scan.pass(&part, &its).await });
        let limits = self.limits;
        let ended: Result<(), Error> = tokio::select! {
            passed = &mut passing => passed.unwrap_or_else(|error| Err(broken(&error))),
            loss = lease.lost() => Err(Error::new(loss).context("the lease for this run was lost")),
            () = pass.stalled(limits.stall) => Err(anyhow!("it did not get on for {} s", limits.stall.as_secs())),
            () = tokio::time::sleep(limits.part) => Err(anyhow!("it took longer than {} s", limits.part.as_secs())),
        };
        end(&pass.cancelled, passing).await;
        if let Err(error) = lease.release().await {
            tracing::warn!("the lease of this run could not be released and ends by itself: {}", chain(&error));
        }
        ended.map(|()| Passed::Done)
    }

    /// Does something, with a sign of life now and then.
    async fn alive<T>(&self, what: impl Future<Output = T>) -> T {
        let mut beat = interval(BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut what = std::pin::pin!(what);
        loop {
            tokio::select! {
                done = &mut what => return done,
                _ = beat.tick() => self.heartbeat.beat(),
            }
        }
    }
}

/// Cancels what still runs, and leaves behind what does not notice.
async fn end(cancelled: &CancellationToken, mut passing: JoinHandle<Result<()>>) {
    if passing.is_finished() {
        return;
    }
    cancelled.cancel();
    if timeout(GRACE, &mut passing).await.is_err() {
        tracing::error!("the pass did not notice in {} s that it is cancelled, and is cut off", GRACE.as_secs());
        passing.abort();
    }
}

fn broken(error: &JoinError) -> Error {
    // The panic itself was logged where it happened.
    anyhow!("the pass was cut short: {error}")
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    /// One that gets on until the test says otherwise.
    #[tokio::test(start_paused = true)]
    async fn a_pass_stalls_when_it_makes_no_progress() {
        let pass = Arc::new(Pass::new(CancellationToken::new()));
        let gets_on = Arc::new(AtomicBool::new(true));
        let (its, going) = (Arc::clone(&pass), Arc::clone(&gets_on));
        tokio::spawn(async move {
            while going.load(Ordering::Relaxed) {
                its.progress();
                tokio::time::sleep(Duration::from_mins(5)).await;
            }
        });
        let limit = LIMITS.stall;
        assert!(timeout(Duration::from_hours(2), pass.stalled(limit)).await.is_err(), "it gets on");
        gets_on.store(false, Ordering::Relaxed);
        timeout(Duration::from_hours(2), pass.stalled(limit)).await.expect("it stalls");
    }
}
