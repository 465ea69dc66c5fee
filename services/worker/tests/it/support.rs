//! The programs under test, each run in a folder of its own with nothing in its environment but what the test puts there.

use std::fs::{self, File};
use std::io::{PipeReader, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// An example of this package. `test-all` has compiled it and says where; in a run by hand it is built, where it is not, when the
/// first test asks for it.
pub(crate) fn example(name: &str) -> PathBuf {
    static BUILT: OnceLock<()> = OnceLock::new();
    if let Some(programs) = std::env::var_os("XTASK_PROGRAMS") {
        return PathBuf::from(programs).join("examples").join(name);
    }
    // This executable is <target>/<profile>/deps/it-…; the examples are beside its folder.
    let executable = std::env::current_exe().unwrap();
    let folder = executable.parent().unwrap().parent().unwrap();
    BUILT.get_or_init(|| {
        let profile = match folder.file_name().unwrap().to_str().unwrap() {
            "debug" => "dev",
            profile => profile,
        };
        let status = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--package", "worker", "--examples", "--profile", profile, "--target-dir"])
            .arg(folder.parent().unwrap())
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .status();
        assert!(status.unwrap().success(), "the examples do not build");
    });
    folder.join("examples").join(name)
}

/// A folder to run a program in, and the environment that it will see.
pub(crate) struct Place {
    folder: tempfile::TempDir,
    variables: Vec<(String, String)>,
}

/// What a program printed, and how it ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A program that runs; killed when the test is over.
pub(crate) struct Running {
    child: Child,
    stdout: PathBuf,
    stderr: PathBuf,
}

/// The values of the secrets among the settings of [`Place::complete`].
pub(crate) const SECRETS: [&str; 6] = ["geheim-1", "geheim-2", "geheim-3", "geheim-4", "geheim-5", "geheim-6"];

impl Place {
    /// Nothing is set but where temporary files go.
    pub(crate) fn empty() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_str().unwrap().to_owned();
        Self { folder, variables: vec![("TMPDIR".to_owned(), path)] }
    }

    /// Everything that the examples need is set.
    pub(crate) fn complete() -> Self {
        Self::empty()
            .set("NSQ_LOOKUPD", "lookupd.local:4161")
            .set("NSQ_URL", "http://nsqd.local:4151")
            .set("PRESERV_REGISTRY_URL", "https://registry.local")
            .set("PRESERV_REGISTRY_API_USER", "system@registry.local")
            .set("PRESERV_REGISTRY_API_KEY", SECRETS[0])
            .set("REDIS_URL", "redis.local:6379")
            .set("REDIS_PASSWORD", SECRETS[1])
            .set("S3_AWS_HOST", "s3.local")
            .set("S3_AWS_KEY", SECRETS[2])
            .set("S3_AWS_SECRET", SECRETS[3])
            .set("S3_WASABI_HOST_OR", "or.local")
            .set("S3_WASABI_HOST_TX", "tx.local")
            .set("S3_NEWSTORAGEOPTION_HOST_VA", "va.local")
            .set("S3_WASABI_KEY", SECRETS[4])
            .set("S3_NEWSTORAGEOPTION_SECRET", SECRETS[5])
            .set("BUCKET_STANDARD_VA", "standard-va")
            .set("BUCKET_STANDARD_OR", "standard-or")
            .set("BUCKET_GLACIER_OH", "glacier-oh")
            .set("BUCKET_GLACIER_OR", "glacier-or")
            .set("BUCKET_GLACIER_VA", "glacier-va")
            .set("BUCKET_GLACIER_DEEP_OH", "deep-oh")
            .set("BUCKET_GLACIER_DEEP_OR", "deep-or")
            .set("BUCKET_GLACIER_DEEP_VA", "deep-va")
            .set("BUCKET_WASABI_OR", "wasabi-or")
            .set("BUCKET_NEWSTORAGEOPTION_TX", "wasabi-tx")
            .set("BUCKET_WASABI_VA", "wasabi-va")
            .set("INGEST_TEMP_DIR", "./scratch/ingest")
            .set("MAX_FIXITY_ITEMS_PER_RUN", "2500")
    }

    pub(crate) fn set(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn file(self, name: &str, text: &str) -> Self {
        fs::write(self.folder.path().join(name), text).unwrap();
        self
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts a program without waiting for anything.
    pub(crate) fn start(&self, program: &str, arguments: &[&str]) -> Running {
        self.start_with(program, arguments, File::create(self.path("stdout")).unwrap().into())
    }

    /// The same with a pipe as stdout, which nobody drains unless the test does; [`Running::log`] stays empty.
    pub(crate) fn start_into_pipe(&self, program: &str, arguments: &[&str]) -> (Running, PipeReader) {
        let (reader, writer) = std::io::pipe().unwrap();
        (self.start_with(program, arguments, writer.into()), reader)
    }

    /// The same with a pipe that is full from the start.
    pub(crate) fn start_unheard(&self, program: &str, arguments: &[&str]) -> (Running, PipeReader) {
        let (reader, writer) = std::io::pipe().unwrap();
        let flags = rustix::fs::fcntl_getfl(&writer).unwrap();
        rustix::fs::fcntl_setfl(&writer, flags | rustix::fs::OFlags::NONBLOCK).unwrap();
        while (&writer).write(&[b'\n'; 4096]).is_ok() {}
        rustix::fs::fcntl_setfl(&writer, flags).unwrap();
        (self.start_with(program, arguments, writer.into()), reader)
    }

    fn start_with(&self, program: &str, arguments: &[&str], to: Stdio) -> Running {
        let (stdout, stderr) = (self.path("stdout"), self.path("stderr"));
        let mut command = self.command(program, arguments);
        let child = command.stdout(to).stderr(File::create(&stderr).unwrap()).spawn().unwrap();
        Running { child, stdout, stderr }
    }

    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(example(program));
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env_clear()
            .envs(self.variables.clone())
            .stdin(Stdio::null());
        command
    }

    /// Waits for the program's main loop to beat once more than it has.
    pub(crate) fn beats(&self, program: &str) {
        let read = || fs::read_to_string(self.path(&format!("{program}.health"))).map_err(|error| error.to_string());
        let before = until(read);
        until(|| read().and_then(|now| if now == before { Err(format!("no beat since {now}")) } else { Ok(()) }));
    }

    /// Runs a program to its end; for questions that are answered at once.
    pub(crate) fn run(&self, program: &str, arguments: &[&str]) -> Ended {
        let output = self.command(program, arguments).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Ended { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}

impl Running {
    /// As the machine does that runs out of memory.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// The log lines so far.
    pub(crate) fn log(&self) -> Vec<Value> {
        let text = fs::read_to_string(&self.stdout).unwrap();
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        whole.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Waits for a log line whose message holds this text.
    pub(crate) fn logged(&self, text: &str) -> Value {
        let says = |line: &Value| line["message"].as_str().is_some_and(|message| message.contains(text));
        until(|| {
            let log = self.log();
            log.iter().find(|line| says(line)).cloned().ok_or_else(|| {
                format!("no line says `{text}`: {log:#?}\nstderr: {}", fs::read_to_string(&self.stderr).unwrap())
            })
        })
    }

    /// Waits for the end; the log stays readable. The number of a signal that ended it is below zero.
    pub(crate) fn ended(&mut self) -> i32 {
        let status = until(|| match self.child.try_wait().unwrap() {
            Some(status) => Ok(status),
            None => Err("it still runs".to_owned()),
        });
        status.code().unwrap_or_else(|| -status.signal().unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended; what counts is that nothing is left behind.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asks again and again until the answer is good, and tells the last bad one if that never happens.
pub(crate) fn until<T>(mut ask: impl FnMut() -> Result<T, String>) -> T {
    let deadline = Instant::now() + Duration::from_mins(1);
    loop {
        match ask() {
            Ok(answer) => return answer,
            Err(state) => assert!(Instant::now() < deadline, "gave up waiting; last: {state}"),
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The SHA-256 of a file in hexadecimal digits.
pub(crate) fn sha256(path: &Path) -> String {
    use sha2::Digest as _;
    let digest = sha2::Sha256::digest(fs::read(path).unwrap());
    digest.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
}
