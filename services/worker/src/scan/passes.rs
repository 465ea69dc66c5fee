//! The loop of a program that looks for work by itself: pass after pass, or one. At any time one process of a program makes a
//! pass; it holds a lease for it (rulings H.52).

use std::time::Duration;

use anyhow::{Context as _, Result};
use redis_store::{LeaseName, LeaseTaken, Owner, Store};
use tokio::time::{MissedTickBehavior, interval};

use crate::process::health::Heartbeat;
use crate::process::host;
use crate::process::metrics::{Metric, Metrics};
use crate::scan::scanner::{ScanPlan, Schedule};
use tokio_util::sync::CancellationToken;

/// How long a lease lasts without its holder. The next run of the schedule must find it free.
const LEASE: Duration = Duration::from_mins(1);
/// The main loop's signs of life.
const BEAT: Duration = Duration::from_secs(10);

/// What a scanner does in one pass.
pub trait Scan: Send + Sync + 'static {
    /// Looks at everything once. Soon returns after `cancelled`, and finds the rest the next time.
    fn pass(&self, cancelled: &CancellationToken) -> impl Future<Output = Result<()>> + Send;
}

/// What a scanner stands on. [`run`](Self::run) is its life.
#[derive(Debug)]
pub struct Scans {
    pub plan: ScanPlan,
    pub store: Store,
    pub heartbeat: Heartbeat,
    pub shutdown: CancellationToken,
    /// The executable's name.
    pub service: &'static str,
}

/// How a pass ended.
enum Pass {
    Done,
    /// Another process is making one.
    Elsewhere,
}

impl Scans {
    /// Makes passes until the process is asked to stop, or one. In a loop a failed pass is logged, and the next one is made.
    pub async fn run(self, scan: impl Scan) -> Result<()> {
        let metrics = Metrics::of(self.service).await;
        loop {
            let passed = self.alive(self.pass(&scan)).await;
            if let (Ok(Pass::Done), Some(metrics)) = (&passed, &metrics) {
                metrics.write(Metric::CompletedRuns(1));
            }
            let Schedule::Every(pause) = self.plan.schedule else { return passed.map(drop) };
            if let Err(error) = passed {
                tracing::error!("this pass failed, the next follows in {} s: {error:#}", pause.as_secs());
            }
            tokio::select! {
                () = self.shutdown.cancelled() => return Ok(()),
                () = self.alive(tokio::time::sleep(pause)) => {}
            }
        }
    }

    async fn pass(&self, scan: &impl Scan) -> Result<Pass> {
        let name = LeaseName::Run(self.service);
        let taken = self.store.take_lease(name, Owner::holder(), &host::name(), LEASE).await;
        let lease = match taken.context("taking the lease for this run")? {
            LeaseTaken::Ours(lease) => lease,
            LeaseTaken::Theirs { host, .. } => {
                tracing::info!(host, "another process is making a pass; this one does nothing");
                return Ok(Pass::Elsewhere);
            }
        };
        let cancelled = self.shutdown.child_token();
        // On the heap: what a pass holds is large.
        let mut pass = Box::pin(scan.pass(&cancelled));
        let passed = tokio::select! {
            passed = &mut pass => passed,
            loss = lease.lost() => {
                cancelled.cancel();
                let _ = pass.await;
                Err(anyhow::Error::new(loss).context("the lease for this run was lost"))
            }
        };
        if let Err(error) = lease.release().await {
            tracing::warn!("the lease of this run could not be released and ends by itself: {error}");
        }
        passed.map(|()| Pass::Done)
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
