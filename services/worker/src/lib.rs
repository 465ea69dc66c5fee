//! What every service shares: its command line, its settings, telemetry, signals, health, and the `main` that puts them
//! in order. It knows nothing of bags; what a service does is its stage.
//!
//! An executable is a [`Program`] declared in `services/apps/src/bin`, and `main` is [`Program::main`]:
//! command line → settings → telemetry → signals → one startup line → the stage → drain with a deadline → exit code.
//!
//! **An eighteenth service** is four things; `examples/witness.rs` of this package is one in full, about forty lines of it:
//!
//! 1. A [`Program`]: its name, what it waits for ([`QueueWorker`] with a topic, or [`Scanner`] with an interval), and the
//!    [`settings`] that it reads, a tuple of sections.
//! 2. Its [`Rules`], which say what WorkItems it takes up and where they go next.
//! 3. An [`ItemStage`] whose `run` does the work for one [`Task`] and returns [`Done`] or [`Stop`]. It may be run again after it
//!    was cut off anywhere, so it looks for what is done already. It returns soon after `task.cancelled`.
//! 4. A `run` that makes clients from the settings (`registry.client()?`, `redis.store()?`) and gives all of it to [`Items`].
//!
//! Messages that are no WorkItems go to a [`Handler`] by way of [`Messages`]; what looks for work by itself is a [`Scan`] for
//! [`Scans`].
//!
//! | Exit code | Meaning |
//! |---|---|
//! | 0 | done: drained after a signal, a single run finished, or a question was answered |
//! | 1 | the stage failed or panicked, or the process could not start; `--health`: unhealthy |
//! | 64 | wrong command line or settings (`EX_USAGE`); every problem is on stderr, one per line |
//! | 69 | the program's stage is not built yet (`EX_UNAVAILABLE`); no connection was opened |
//! | 75 | work was left behind: the drain missed its deadline or a second signal cut it short (`EX_TEMPFAIL`) |

mod items;
mod process;
mod queue;
mod scan;

pub use items::admission::{Admission, Admit};
pub use items::rules::Rules;
pub use items::task::{Done, ItemStage, Stop, Task};
pub use items::worker::{Clients, ItemPlan, ItemWorker};
pub use process::command_line::{Arguments, Flag, Operand, Takes};
pub use process::health::{Heartbeat, InWork};
pub use process::identity::Identity;
pub use process::limits::Limits;
pub use process::memory::Memory;
pub use process::program::{Context, Kind, Program, Stage, StageFuture};
pub use process::settings;
pub use queue::messages::{Answer, Delivery, Handler};
pub use queue::worker::{Numbers, QueuePlan, QueueWorker};
pub use scan::passes::{Part, Pass, Scan};
pub use scan::scanner::{ScanPlan, Scanner, Schedule};
pub use scan::sweeper::{Sweep, Sweeper};
/// Cancelled when the process is asked to stop.
pub use tokio_util::sync::CancellationToken;
