//! The same calls against the simulator and against moto, through boto3: `moto/compare.py` asks and compares.

use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use aws_sim::{Options, Pace, Simulator};

/// moto takes seconds to import itself.
const PATIENCE: Duration = Duration::from_mins(1);

/// A moto server that ends with the value.
struct Moto(Child);

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Says that a test was skipped, and why, where `test-all` collects it.
fn skip(test: &str, reason: &str) {
    println!("skipped: {test}: {reason}");
    if let Some(path) = std::env::var_os("XTASK_SKIPPED") {
        let mut file = std::fs::File::options().append(true).create(true).open(path).unwrap();
        writeln!(file, "{test}: {reason}").unwrap();
    }
}

fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// What is missing for the comparison.
fn missing() -> Option<String> {
    for program in ["python3", "moto_server"] {
        if on_path(program).is_none() {
            return Some(format!("no {program} on PATH"));
        }
    }
    for module in ["boto3", "moto.server"] {
        let import = Command::new("python3").args(["-c", &format!("import {module}")]).stderr(Stdio::null()).status();
        if !import.is_ok_and(|status| status.success()) {
            return Some(format!("python3 has no {module} (pip install boto3 'moto[server]')"));
        }
    }
    None
}

fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

#[test]
fn moto_and_the_simulator_give_the_same_answers() {
    if let Some(reason) = missing() {
        return skip("moto_and_the_simulator_give_the_same_answers", &reason);
    }
    let port = free_port();
    let mut command = Command::new("moto_server");
    command.args(["--port", &port.to_string()]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut moto = Moto(command.spawn().unwrap());
    let deadline = Instant::now() + PATIENCE;
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(moto.0.try_wait().unwrap().is_none(), "moto_server ended before it listened");
        assert!(Instant::now() < deadline, "moto_server does not listen after {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
    // Time passes with each call, so that the script only has to ask until all is done.
    let options = Options {
        pace: Pace::PerCall(Duration::from_secs(10)),
        account: "123456789012".to_owned(),
        ..Options::default()
    };
    let simulator = Simulator::start(options).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("moto/compare.py");
    let run =
        Command::new("python3").arg(script).arg(format!("http://127.0.0.1:{port}")).arg(simulator.endpoint()).output();
    let run = run.unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert!(run.status.success(), "{said}");
    assert_eq!(said.matches(": the same").count(), 14, "{said}");
}
