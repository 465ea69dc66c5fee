//! `preserv-stack`: the embedded servers as a program, and the services beside them if asked for. `cargo xtask up` runs it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Parser;
use serde_json::json;
use stack::registry::Fixtures;
use stack::{Folder, Inbox, Options, Ports, Service, Services, Stack};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Interval, MissedTickBehavior, interval, sleep};

/// The servers that the preservation services need, on loopback: NSQ, Redis, S3, the Registry.
#[derive(Debug, Parser)]
#[command(name = "preserv-stack", version)]
#[expect(clippy::struct_excessive_bools, reason = "flags of a command line")]
struct Arguments {
    /// Keep what is stored in this folder, and go on with what is there.
    #[arg(long, value_name = "FOLDER", conflicts_with = "below")]
    keep: Option<PathBuf>,
    /// Use a folder below this one, which goes away at the end.
    #[arg(long, value_name = "FOLDER")]
    below: Option<PathBuf>,
    /// Listen where upstream's test settings expect the servers.
    #[arg(long)]
    fixed_ports: bool,
    /// Load the records of upstream's tests into the Registry, not only its institutions and users.
    #[arg(long)]
    upstream_fixtures: bool,
    /// Run this service too.
    #[arg(long = "service", value_name = "EXECUTABLE")]
    services: Vec<PathBuf>,
    /// Say what goes on as JSON, a line each on stdout.
    #[arg(long)]
    json: bool,
    /// Nothing but the addresses.
    #[arg(long)]
    quiet: bool,
    /// End by itself after so many seconds.
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u64>,
}

/// How often the drop folder and the queues are looked at.
const LOOK: Duration = Duration::from_secs(1);

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let log = tracing_subscriber::fmt().with_writer(io::stderr).with_max_level(tracing::Level::WARN).with_target(false);
    log.init();
    match run(&arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The narrative goes to stderr, where nobody may be reading.
            let _ = writeln!(io::stderr(), "preserv-stack: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments) -> Result<()> {
    let mut signals = Signals::install()?;
    let folder = match &arguments.keep {
        Some(folder) => Folder::kept(folder)?,
        None => Folder::below(&arguments.below.clone().unwrap_or_else(std::env::temp_dir))?,
    };
    let stack = Stack::start(Options {
        folder: folder.path().to_owned(),
        ports: if arguments.fixed_ports { Ports::Fixed } else { Ports::Free },
        fixtures: if arguments.upstream_fixtures { Fixtures::Upstream } else { Fixtures::People },
        archived: BTreeMap::new(),
    })
    .await?;
    let mut inbox = Inbox::new(folder.path(), stack.institutions())?;
    let mut services = Services::start(arguments.services.iter().cloned().map(Service::from), folder.path()).await?;
    let screen = Screen { json: arguments.json, quiet: arguments.quiet };
    screen.ready(&stack, &inbox, &services);
    let limit = async {
        match arguments.timeout {
            Some(seconds) => sleep(Duration::from_secs(seconds)).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = signals.any() => {}
        () = limit => {}
        // Beside the rest: a large bag takes minutes, and its sending ends with the program.
        () = take_in(&mut inbox, &stack, &screen) => {}
        () = tell(&mut services, &stack, &screen) => {}
    }
    screen.event("ending");
    services.stop().await;
    drop(stack);
    screen.done();
    Ok(())
}

/// Sends what is dropped, for ever.
async fn take_in(inbox: &mut Inbox, stack: &Stack, screen: &Screen) {
    let (mut look, mut trouble) = (every_look(), String::new());
    loop {
        look.tick().await;
        match inbox.look(&stack.s3).await {
            Ok(told) => told.iter().for_each(|line| screen.event(line)),
            Err(error) if format!("{error:#}") != trouble => {
                trouble = format!("{error:#}");
                screen.event(&trouble);
            }
            Err(_) => {}
        }
    }
}

/// Says what goes on, for ever.
async fn tell(services: &mut Services, stack: &Stack, screen: &Screen) {
    let (mut look, mut shown) = (every_look(), String::new());
    loop {
        look.tick().await;
        services.ended().iter().for_each(|line| screen.event(line));
        let activity = activity(stack).await;
        if activity != shown {
            screen.activity(&activity);
            shown = activity;
        }
    }
}

fn every_look() -> Interval {
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    look
}

/// What waits, and how the work stands, in a line.
async fn activity(stack: &Stack) -> String {
    let mut line = String::from("queues:");
    let queues = stack.nsqd.waiting();
    if queues.is_empty() {
        line.push_str(" empty");
    }
    for (topic, messages) in queues {
        let _ = write!(line, " {topic} {messages}");
    }
    let store = stack.registry.store().clone();
    let counts = tokio::task::spawn_blocking(move || store.item_counts()).await;
    line.push_str("; work items:");
    match counts {
        Ok(Ok(counts)) if counts.is_empty() => line.push_str(" none"),
        Ok(Ok(counts)) => {
            for (action, status, items) in counts {
                let _ = write!(line, " {action} {status} {items},");
            }
            line.pop();
        }
        _ => line.push_str(" unknown"),
    }
    line
}

/// What ends the program.
struct Signals([Signal; 3]);

impl Signals {
    fn install() -> Result<Self> {
        let one = |kind| signal(kind).context("installing a signal handler");
        Ok(Self([one(SignalKind::interrupt())?, one(SignalKind::terminate())?, one(SignalKind::hangup())?]))
    }

    async fn any(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

/// Where the reader looks: addresses to stdout, the rest to stderr; in JSON, all to stdout.
struct Screen {
    json: bool,
    quiet: bool,
}

impl Screen {
    fn ready(&self, stack: &Stack, inbox: &Inbox, services: &Services) {
        let access = stack.access();
        let settings = stack.settings_file();
        if self.json {
            return print(
                &json!({
                    "type": "ready",
                    "registry": format!("http://{}", access.registry),
                    "registry_user": access.registry_user,
                    "registry_key": access.registry_key,
                    "s3": format!("http://{}", access.s3),
                    "s3_access_key": access.s3_key,
                    "s3_secret_key": access.s3_secret,
                    "nsqd_tcp": stack.nsqd.tcp().to_string(),
                    "nsqd_http": format!("http://{}", access.nsqd_http),
                    "nsqlookupd_http": format!("http://{}", access.lookupd_http),
                    "redis": access.redis.to_string(),
                    "settings_file": settings,
                    "drop_folder": inbox.folder(),
                    "services": services.names().collect::<Vec<_>>(),
                })
                .to_string(),
            );
        }
        let mut text = String::new();
        for (what, value) in [
            ("Registry", format!("http://{}   ({}, {})", access.registry, access.registry_user, access.registry_key)),
            ("S3", format!("http://{}   ({}, {})", access.s3, access.s3_key, access.s3_secret)),
            ("nsqd", format!("http://{}   (TCP {})", access.nsqd_http, stack.nsqd.tcp())),
            ("nsqlookupd", format!("http://{}", access.lookupd_http)),
            ("Redis", access.redis.to_string()),
            ("Settings", settings.display().to_string()),
            ("Drop bags in", format!("{}/<institution>", inbox.folder().display())),
        ] {
            let _ = writeln!(text, "{what:<14}{value}");
        }
        let names: Vec<&str> = services.names().collect();
        if !names.is_empty() {
            let _ = writeln!(text, "{:<14}{}", "Services", names.join(", "));
        }
        if !services.unfinished.is_empty() {
            let _ = writeln!(text, "{:<14}{}", "Not built yet", services.unfinished.join(", "));
        }
        print(text.trim_end());
        self.event("ready; Ctrl-C ends it");
    }

    /// The last record of every command of xtask.
    fn done(&self) {
        if self.json {
            print(&json!({ "type": "result", "status": "done", "exit_code": 0 }).to_string());
        }
    }

    fn event(&self, text: &str) {
        if self.json {
            print(&json!({ "type": "event", "text": text }).to_string());
        } else if !self.quiet {
            clear();
            complain(text);
        }
    }

    /// On a terminal one line that changes; otherwise a line for each change.
    fn activity(&self, text: &str) {
        if self.json {
            print(&json!({ "type": "activity", "text": text }).to_string());
        } else if !self.quiet && io::stderr().is_terminal() {
            clear();
            let _ = write!(io::stderr(), "{text}");
        } else if !self.quiet {
            complain(text);
        }
    }
}

/// Whoever closed the pipe does not want the rest.
fn print(text: &str) {
    let _ = writeln!(io::stdout(), "{text}");
    let _ = io::stdout().flush();
}

fn complain(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Makes room where the line of activity stands.
fn clear() {
    if io::stderr().is_terminal() {
        let _ = write!(io::stderr(), "\r\x1b[K");
    }
}
