//! The drop folder, and the program that watches it.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use stack::Inbox;
use stack::s3::{Options, S3};

use crate::support::wait_for;

const INSTITUTION: &str = "test.edu";

fn drop_into(folder: &Path, name: &str, text: &str) {
    std::fs::write(folder.join("drop").join(INSTITUTION).join(name), text).unwrap();
}

#[tokio::test]
async fn what_cannot_be_sent_is_told_once_and_holds_nothing_up() {
    let folder = tempfile::tempdir().unwrap();
    let bucket = "aptrust.receiving.test.test.edu";
    let s3 = S3::start(Options { buckets: vec![bucket.into()], ..Options::default() }).await.unwrap();
    let mut inbox = Inbox::new(folder.path(), &[INSTITUTION]).unwrap();
    // It cannot be moved to where what was sent is kept.
    std::fs::create_dir_all(folder.path().join("sent/refused.tar/in-the-way")).unwrap();
    drop_into(folder.path(), "refused.tar", "x");
    drop_into(folder.path(), "taken.tar", "y");
    assert!(inbox.look(&s3).await.unwrap().is_empty(), "both may still grow");
    let mut told = inbox.look(&s3).await.unwrap();
    told.sort_by_key(|line| line.contains("refused"));
    let [taken, refused] = &told[..] else { panic!("{told:#?}") };
    assert!(taken.contains("taken.tar is in the receiving bucket"), "{taken}");
    assert!(refused.contains("refused.tar") && refused.contains("tried again when it changes"), "{refused}");
    for _ in 0..3 {
        assert!(inbox.look(&s3).await.unwrap().is_empty(), "it was told already");
    }
    std::fs::remove_dir_all(folder.path().join("sent/refused.tar")).unwrap();
    drop_into(folder.path(), "refused.tar", "changed");
    assert!(inbox.look(&s3).await.unwrap().is_empty());
    let told = inbox.look(&s3).await.unwrap();
    assert!(told[0].contains("refused.tar is in the receiving bucket"), "{told:#?}");
}

/// Killed if the test fails.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Sending half a tebibyte takes longer than the test waits.
#[tokio::test]
async fn ctrl_c_does_not_wait_for_a_large_bag() {
    let below = tempfile::tempdir().unwrap();
    let command = &mut Command::new(env!("CARGO_BIN_EXE_preserv-stack"));
    let command = command.arg("--below").arg(below.path()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut program = Program(command.spawn().unwrap());
    let folder = below.path().join(format!("stack-{}", program.0.id()));
    let inbox = folder.join("drop").join(INSTITUTION);
    wait_for("the drop folder", || async { inbox.exists().then_some(()).ok_or_else(|| "not there".to_owned()) }).await;
    let bag = std::fs::File::create(inbox.join("large.tar")).unwrap();
    bag.set_len(512 << 30).unwrap();
    wait_for("the sending to begin", || async {
        data_file(&folder.join("s3/data")).ok_or_else(|| "no data".to_owned())
    })
    .await;
    assert!(Command::new("kill").args(["-INT", &program.0.id().to_string()]).status().unwrap().success());
    let mut ended = || program.0.try_wait().unwrap().ok_or_else(|| "it still runs".to_owned());
    let status = wait_for("the program to end", || std::future::ready(ended())).await;
    assert!(status.success(), "{status}");
    assert!(!folder.exists(), "what it kept goes with it");
}

/// Whether there is a data file, which may have no name any more in a moment.
fn data_file(folder: &Path) -> Option<()> {
    let groups = std::fs::read_dir(folder).ok()?.flatten();
    groups.flat_map(|group| std::fs::read_dir(group.path()).into_iter().flatten().flatten()).next().map(|_| ())
}
