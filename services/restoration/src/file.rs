//! `file_restorer`: one file goes into its depositor's restoration bucket (03 §3), under its whole identifier and compared with the
//! Registry's digest on the way.

use digests::{Algorithm, Algorithms};
use model::{note, topic::e2e};
use storage::{Length, Put};
use worker::settings::EndToEnd;
use worker::{Done, ItemStage, Stop, Task};

use crate::contents::{Contents, Copies, Failure, Notices, registered};
use crate::ground::{Ground, asked, asked_file, attributes};
use crate::pour::pour;

/// The stage.
#[derive(Debug, Clone)]
pub struct FileRestorer {
    ground: Ground,
    end_to_end: EndToEnd,
}

/// One of them is enough, the first that is registered.
const TRUSTED: [Algorithm; 4] = [Algorithm::Sha256, Algorithm::Sha512, Algorithm::Md5, Algorithm::Sha1];

impl FileRestorer {
    pub fn new(ground: Ground, end_to_end: EndToEnd) -> Self {
        Self { ground, end_to_end }
    }
}

impl ItemStage for FileRestorer {
    async fn run(&self, task: &Task) -> Result<Done, Stop> {
        if self.end_to_end == EndToEnd::On {
            task.announce_end(e2e::RESTORATION, task.item.id.to_string());
        }
        Box::pin(task.until_cancelled(self.restore(task))).await?
    }
}

impl FileRestorer {
    async fn restore(&self, task: &Task) -> Result<Done, Stop> {
        let (restoration, _) = asked(task).await?;
        let file = asked_file(task).await?;
        let known = registered(&file);
        let wanted: Algorithms = TRUSTED.into_iter().filter(|trusted| known.contains(*trusted)).take(1).collect();
        let notices = Notices::default();
        let mut copies = Copies::of(&self.ground, file, &notices)?;
        let target = self.ground.target(&restoration)?;
        let key = restoration.key();
        let put = Put { attributes: attributes(), length: Length::Known(copies.size()?), digest: None };
        loop {
            let mut contents = Contents::new(&self.ground.lanes, copies.clone(), wanted)?;
            let poured = pour(&target, &key, &put, async |outlet| {
                while let Some(bytes) = contents.chunk().await? {
                    outlet.send(bytes).await?;
                }
                Ok(())
            });
            match poured.await {
                Ok(()) => break,
                Err(Failure::Wrong { bucket, text, .. }) => copies.without(&bucket, text),
                Err(Failure::Stop(stop)) => return Err(stop),
                Err(Failure::Unwanted) => {
                    return Err(Stop::failed(&restoration.identifier, "The upload ended before its bytes did"));
                }
            }
        }
        let said = note::file_restored(&restoration.identifier, &restoration.public_url());
        Ok(Done { note: Some(notices.before(&said)), outcome: Some(note::FILE_RESTORED.to_owned()), ..Done::default() })
    }
}
