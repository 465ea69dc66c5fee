//! Messages a second that the consumer finishes: `consume_bench <nsqd host:port> <topic> <messages> [max in flight]`. The
//! topic must hold as many messages.

#![expect(clippy::print_stdout, reason = "what it measured")]

use std::time::{Duration, Instant};

use nsq::{BadName, Consumer, Options, Source};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BadName> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let argument = |index: usize, default: &str| arguments.get(index).map_or(default.to_owned(), Clone::clone);
    let source = Source::Nsqd(vec![argument(0, "127.0.0.1:4150")]);
    let count: u32 = argument(2, "100000").parse().unwrap_or(100_000);
    let mut options = Options::new(argument(1, "bench").parse()?, "bench".parse()?, source);
    options.max_in_flight = argument(3, "200").parse().unwrap_or(200);
    let mut consumer = Consumer::start(options);
    let mut begun = Instant::now();
    let mut bytes = 0;
    for number in 0..count {
        let Some(message) = consumer.next().await else { break };
        if number == 0 {
            begun = Instant::now();
        }
        bytes += message.body.len();
        let _ = message.finish();
    }
    let seconds = begun.elapsed().as_secs_f64();
    println!("{:.0} messages/s, {bytes} bytes in {seconds:.2} s", f64::from(count) / seconds);
    let _ = consumer.close(Duration::from_secs(10)).await;
    Ok(())
}
