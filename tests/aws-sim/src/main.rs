//! The simulator as a program: it says on stdout how to reach it, and runs until it is ended or its stdin is closed.

use std::io::{self, Read as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use aws_sim::{Options, Pace, Scenario, Simulator};
use clap::Parser;

/// A simulator of the AWS services that the deployer talks to, on one loopback port
#[derive(Debug, Parser)]
#[command(version, about)]
struct Arguments {
    /// Port; 0 for any that is free
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Simulated seconds for each real second
    #[arg(long, default_value_t = 1.0, conflicts_with_all = ["manual", "per_call"])]
    speed: f64,
    /// Time passes only when the control endpoint says so
    #[arg(long, conflicts_with = "per_call")]
    manual: bool,
    /// Simulated seconds that pass with each call, and none in between
    #[arg(long, value_name = "SECONDS")]
    per_call: Option<f64>,
    /// A scenario file: what is there from the start, and what goes wrong
    #[arg(long, value_name = "FILE")]
    scenario: Option<PathBuf>,
    /// Account id
    #[arg(long, default_value = "111122223333")]
    account: String,
    /// Region
    #[arg(long, default_value = "us-east-1")]
    region: String,
    /// End when stdin is closed, so that a test that dies takes its simulator with it
    #[arg(long)]
    until_stdin_closes: bool,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            // Nowhere else to say it.
            let _ = writeln!(io::stderr(), "aws-sim: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), String> {
    let scenario = match &arguments.scenario {
        Some(path) => {
            let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
            Scenario::parse(&text)?
        }
        None => Scenario::default(),
    };
    let pace = match arguments.per_call {
        Some(seconds) => Pace::PerCall(Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())?),
        None if arguments.manual => Pace::Manual,
        None if arguments.speed.is_finite() && arguments.speed >= 0.0 => Pace::Scaled(arguments.speed),
        None => return Err("--speed is a number from 0 on".to_owned()),
    };
    let options = Options {
        port: arguments.port,
        pace,
        account: arguments.account.clone(),
        region: arguments.region.clone(),
        scenario,
    };
    let simulator = Simulator::start(options).map_err(|error| error.to_string())?;
    let environment: serde_json::Map<String, serde_json::Value> =
        simulator.environment().into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
    let mut stdout = io::stdout();
    writeln!(stdout, "{}", serde_json::Value::Object(environment)).map_err(|error| error.to_string())?;
    stdout.flush().map_err(|error| error.to_string())?;
    if arguments.until_stdin_closes {
        let mut nothing = Vec::new();
        // Whatever is written there is not read; the end counts.
        let _ = io::stdin().read_to_end(&mut nothing);
        return Ok(());
    }
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
    runtime.block_on(tokio::signal::ctrl_c()).map_err(|error| error.to_string())
}
