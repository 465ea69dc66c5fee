//! The real redis-server, where it is on PATH.

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use stack::testing::PATIENCE;

/// A server that runs; killed at the end.
#[derive(Debug)]
pub(crate) struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Process {
    /// On this port, or on one that is free. It keeps nothing on disk.
    pub(crate) fn start(folder: &Path, port: Option<u16>) -> (Self, u16) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            // It cannot choose a port itself: another program may take the one that was free a moment ago.
            let free = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let port = port.unwrap_or_else(free);
            let mut command = Command::new("redis-server");
            command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--port", &port.to_string()]);
            command.arg("--dir").arg(folder).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            let mut process = Self(command.spawn().unwrap());
            while process.0.try_wait().unwrap().is_none() {
                if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                    return (process, port);
                }
                std::thread::sleep(Duration::from_millis(5));
                assert!(Instant::now() < deadline, "redis-server does not listen");
            }
            assert!(Instant::now() < deadline, "redis-server does not start");
        }
    }
}
