//! The real nsqd and nsqlookupd, where they are on PATH.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use stack::testing::{PATIENCE, program};

use super::Limits;

pub(crate) struct Binaries {
    nsqd: PathBuf,
    nsqlookupd: PathBuf,
}

/// A program that runs; killed at the end.
pub(crate) struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Binaries {
    pub(crate) fn find() -> Option<Self> {
        Some(Self { nsqd: program("nsqd")?, nsqlookupd: program("nsqlookupd")? })
    }

    /// The process, and its TCP and HTTP addresses.
    pub(crate) fn nsqlookupd(&self, tcp: &str, http: &str) -> (Process, String, String) {
        let mut command = Command::new(&self.nsqlookupd);
        command.arg("--broadcast-address=127.0.0.1");
        command.arg(format!("--tcp-address={tcp}")).arg(format!("--http-address={http}"));
        run(&mut command)
    }

    pub(crate) fn nsqd(
        &self,
        tcp: &str,
        http: &str,
        lookupd: &str,
        data: &Path,
        limits: Limits,
    ) -> (Process, String, String) {
        fs::create_dir_all(data).unwrap();
        let milliseconds = |time: Duration| format!("{}ms", time.as_millis());
        let mut command = Command::new(&self.nsqd);
        command.arg("--broadcast-address=127.0.0.1").arg(format!("--lookupd-tcp-address={lookupd}"));
        command.arg(format!("--tcp-address={tcp}")).arg(format!("--http-address={http}"));
        command.arg("--data-path").arg(data);
        command.arg(format!("--msg-timeout={}", milliseconds(limits.message_timeout)));
        command.arg(format!("--max-msg-timeout={}", milliseconds(limits.max_message_timeout)));
        run(&mut command)
    }
}

/// Both log where they listen, which is how one learns it.
fn run(command: &mut Command) -> (Process, String, String) {
    let mut process =
        Process(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap());
    let lines = BufReader::new(process.0.stderr.take().unwrap()).lines();
    let (sender, addresses) = mpsc::channel();
    std::thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            if let Some((start, address)) = line.split_once(": listening on ") {
                let _ = sender.send((start.ends_with("HTTP"), address.to_owned()));
            }
        }
    });
    let (mut tcp, mut http) = (None, None);
    while tcp.is_none() || http.is_none() {
        let (is_http, address) = addresses.recv_timeout(PATIENCE).expect("the server to say where it listens");
        if is_http { http = Some(address) } else { tcp = Some(address) }
    }
    (process, tcp.unwrap(), http.unwrap())
}
