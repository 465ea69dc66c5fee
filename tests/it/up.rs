//! `cargo xtask up`: the servers answer, a bag that is dropped arrives, the services that are built work, and Ctrl-C leaves
//! nothing. What the servers do in detail is tested in `tests/stack`.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::release::run;
use crate::support::workspace::Workspace;
use crate::support::{Scratch, program, wait_for, xtask};

/// A stack that runs; it is killed when the test fails.
struct Up {
    child: Child,
    lines: BufReader<ChildStdout>,
    ready: Value,
}

impl Up {
    fn start(args: &[&str]) -> Self {
        let mut command = xtask();
        command.args(["up", "--format", "json"]).args(args);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        let mut up = Self { child, lines, ready: Value::Null };
        up.ready = up.record("ready", "");
        up
    }

    /// The next record of this type whose text contains this.
    fn record(&mut self, kind: &str, text: &str) -> Value {
        let mut said = Vec::new();
        loop {
            let mut line = String::new();
            assert!(self.lines.read_line(&mut line).unwrap() > 0, "no `{kind}` record with `{text}`: {said:#?}");
            let record: Value = serde_json::from_str(&line).unwrap();
            if record["type"] == kind && record["text"].as_str().unwrap_or_default().contains(text) {
                return record;
            }
            said.push(record);
        }
    }

    fn says(&self, name: &str) -> &str {
        self.ready[name].as_str().unwrap_or_else(|| panic!("{name} is not in {}", self.ready))
    }

    fn folder(&self) -> PathBuf {
        Path::new(self.says("settings_file")).parent().unwrap().to_owned()
    }

    /// Ctrl-C, and the exit code.
    fn interrupt(mut self) -> Option<i32> {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
        let status =
            wait_for("the stack to end", || self.child.try_wait().unwrap().ok_or_else(|| "it still runs".to_owned()));
        status.code()
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        // It has ended already, unless the test failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a server answers to these bytes, up to the end of the connection.
fn ask(address: &str, request: &str) -> String {
    let address = address.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).unwrap_or_else(|error| panic!("{address}: {error}"));
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

fn get(address: &str, path: &str, headers: &str) -> String {
    ask(address, &format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n"))
}

const ADMINISTRATOR: &str = "X-Pharos-API-User: system@aptrust.org\r\nX-Pharos-API-Key: password\r\n";

#[test]
fn the_servers_answer_a_bag_arrives_the_services_work_and_ctrl_c_leaves_nothing() {
    let mut up = Up::start(&["--services"]);
    let institutions = get(up.says("registry"), "/admin-api/v3/institutions", ADMINISTRATOR);
    assert!(institutions.contains("200 OK") && institutions.contains("test.edu"), "{institutions}");
    assert!(get(up.says("registry"), "/", "").contains("<html"));
    assert!(get(up.says("nsqd_http"), "/ping", "").ends_with("OK"));
    assert!(get(up.says("nsqlookupd_http"), "/topics", "").contains("ingest01_prefetch"));
    assert!(get(up.says("s3"), "/staging", "").contains("<Code>AccessDenied</Code>"));
    assert!(ask(up.says("redis"), "*1\r\n$4\r\nPING\r\n*1\r\n$4\r\nQUIT\r\n").starts_with("+PONG"));
    let running: Vec<&str> = up.ready["services"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(running.contains(&"apt_queue") && running.contains(&"apt_queue_fixity"), "{running:?}");

    let inbox = Path::new(up.says("drop_folder")).join("test.edu");
    std::fs::write(inbox.join("test.edu.bag.tar"), "not really a bag").unwrap();
    up.record("event", "test.edu.bag.tar is in the receiving bucket");

    let folder = up.folder();
    for service in ["apt_queue", "apt_queue_fixity"] {
        // The running one may hold the lease; then this one has nothing to do, which is success too.
        let mut command = Command::new(program(service));
        let ran = command.arg("--run-once").current_dir(&folder).env("APT_ENV", "dev").env("TMPDIR", &inbox).output();
        let ran = ran.unwrap();
        assert!(ran.status.success(), "{service}: {}", String::from_utf8_lossy(&ran.stderr));
        assert!(folder.join(format!("logs/{service}.log")).exists());
    }

    let (redis, address) = (up.says("redis").to_owned(), up.says("registry").trim_start_matches("http://").to_owned());
    assert_eq!(up.interrupt(), Some(0));
    assert!(!folder.exists(), "{} is left", folder.display());
    assert!(TcpStream::connect(redis).is_err() && TcpStream::connect(address).is_err(), "something still listens");
}

#[test]
fn a_folder_that_is_kept_is_taken_up_again_beside_another_stack() {
    let scratch = Scratch::new("up");
    let kept = scratch.path().join("kept");
    let up = Up::start(&["--keep", kept.to_str().unwrap()]);
    let other = Up::start(&[]);
    assert_ne!(up.says("registry"), other.says("registry"));
    let item = r#"{"name":"kept.tar","etag":"0123456789abcdef0123456789abcdef","institution_id":4,"bucket":"b","user":"system@aptrust.org","action":"Ingest","stage":"Receive","status":"Pending","bag_date":"2026-01-01T00:00:00Z","date_processed":"2026-01-01T00:00:00Z","retry":true}"#;
    let length = item.len();
    let request = format!(
        "POST /admin-api/v3/items/create/4 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{ADMINISTRATOR}Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{item}"
    );
    let created = ask(up.says("registry"), &request);
    assert!(created.contains("201 Created"), "{created}");
    let redis = "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$4\r\nkept\r\n*1\r\n$4\r\nQUIT\r\n";
    assert!(ask(up.says("redis"), redis).starts_with("+OK"));
    assert_eq!(up.interrupt(), Some(0));
    assert_eq!(other.interrupt(), Some(0));

    let up = Up::start(&["--keep", kept.to_str().unwrap()]);
    assert!(get(up.says("registry"), "/admin-api/v3/items", ADMINISTRATOR).contains("kept.tar"));
    let found = ask(up.says("redis"), "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n*1\r\n$4\r\nQUIT\r\n");
    assert!(found.contains("kept"), "{found}");
    assert_eq!(up.interrupt(), Some(0));
}

/// A target of the user's own configuration moves what cargo builds into a folder of that name.
#[test]
fn a_program_is_found_where_cargo_puts_it() {
    let workspace = Workspace::new();
    workspace.write("services/stack/Cargo.toml", "[package]\nname = \"stack\"\nversion = \"0.1.0\"\n");
    workspace.write("services/stack/src/bin/preserv-stack.rs", "fn main() { println!(\"started\") }\n");
    let triple = "x86_64-unknown-linux-gnu";
    let mut command = workspace.xtask(&["up"]);
    let ran = run(command.env("CARGO_BUILD_TARGET", triple).env_remove("XTASK_PROGRAMS")).succeeds();
    assert_eq!(ran.stdout, "started\n");
    assert!(workspace.root().join("target").join(triple).join("debug/preserv-stack").exists());
}

#[test]
fn a_port_that_is_taken_is_named() {
    // If it is taken by something else, so much the better.
    let _taken = std::net::TcpListener::bind("127.0.0.1:9899");
    let ran = xtask().args(["up", "--fixed-ports"]).output().unwrap();
    let said = String::from_utf8_lossy(&ran.stderr);
    assert_eq!(ran.status.code(), Some(1), "{said}");
    assert!(said.contains("127.0.0.1:") && said.contains("listen"), "{said}");
}
