//! An eighteenth service, whole: it takes ingests at the stage `Record` and witnesses each by an event in the Registry. The
//! crate's documentation points here; the tests kill it, take its servers away, and count the events.

use std::process::ExitCode;
use std::time::Duration;

use model::{EventType, PremisEvent, Time, Topic};
use worker::{Done, ItemStage, ItemWorker, Program, Rules, Stage, Stop, Task};

const PROGRAM: Program<ItemWorker, ()> = Program {
    name: "witness",
    about: "Witnesses that a bag was recorded.",
    kind: ItemWorker::new(Rules::ingest(Topic::IngestRecord, "Witnessed")).requeue_delay(Duration::from_millis(200)),
    stage: Stage::Run(|context| Box::pin(context.run(Witness))),
};

struct Witness;

impl ItemStage for Witness {
    async fn run(&self, task: &Task) -> Result<Done, Stop> {
        let item = &task.item;
        // What the tests ask for by the bag's name.
        assert!(!(item.name.starts_with("panics") && task.attempt == 1), "the bag is called {}", item.name);
        if item.name.starts_with("fails") {
            return Err(Stop::failed(&*item.name, "it cannot be witnessed today"));
        }
        if item.name.starts_with("fatal") {
            return Err(Stop::fatal(&*item.name, "it cannot be witnessed ever"));
        }
        let pause = Duration::from_millis(if item.name.starts_with("slow") { 5000 } else { 50 });
        task.until_cancelled(tokio::time::sleep(pause)).await?;
        // The event has the same identifier every time, so that a worker that died after it was recorded is found out.
        let event = PremisEvent {
            identifier: format!("{:08x}-0000-4000-8000-000000000000", item.id),
            event_type: EventType::Ingestion,
            date_time: Time::now(),
            institution_id: item.institution_id,
            detail: "Witnessed".to_owned(),
            ..PremisEvent::default()
        };
        task.registry.create_event_once(&event).await?;
        Ok(Done::default())
    }
}

fn main() -> ExitCode {
    PROGRAM.main()
}
