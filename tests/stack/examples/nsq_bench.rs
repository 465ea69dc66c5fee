//! Messages per second of one nsqd, or of two beside each other: `nsq_bench ours=127.0.0.1:4150 real=127.0.0.1:5150`.
//! Each round publishes while it consumes; rounds alternate between the servers, and the medians are compared.

#![expect(clippy::print_stdout, reason = "its output is the result")]

use std::io::{self, BufReader, BufWriter, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use clap::Parser;

/// Frame type of a message, and where its id stands in the frame.
const MESSAGE: u32 = 2;
const ID: std::ops::Range<usize> = 10..26;

#[derive(Debug, Clone, Parser)]
struct Arguments {
    /// NAME=ADDRESS of an nsqd's TCP port
    #[arg(required = true)]
    servers: Vec<String>,
    /// Messages per round
    #[arg(long, default_value_t = 200_000)]
    messages: usize,
    /// Bytes per message
    #[arg(long, default_value_t = 16)]
    size: usize,
    /// Messages per MPUB; 1 is PUB
    #[arg(long, default_value_t = 1)]
    batch: usize,
    /// Commands sent before an answer is awaited
    #[arg(long, default_value_t = 100)]
    window: usize,
    /// Connections that publish, and as many that consume
    #[arg(long, default_value_t = 1)]
    connections: usize,
    #[arg(long, default_value_t = 5)]
    rounds: usize,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let mut servers = Vec::new();
    for server in &arguments.servers {
        let (name, address) = server.split_once('=').with_context(|| format!("{server} is not NAME=ADDRESS"))?;
        let address: SocketAddr = address.parse().with_context(|| server.clone())?;
        servers.push((name, address, Vec::new()));
    }
    for round in 0..arguments.rounds {
        for (name, address, rates) in &mut servers {
            let seconds = run(&arguments, *address, round)?.as_secs_f64();
            #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
            let rate = arguments.messages as f64 / seconds;
            println!("{name}: {rate:.0} messages/s");
            rates.push(rate);
        }
    }
    let mut medians = Vec::new();
    for (name, _, mut rates) in servers {
        rates.sort_by(f64::total_cmp);
        let median = rates[rates.len() / 2];
        println!("{name}: median {median:.0} messages/s");
        medians.push((name, median));
    }
    if let [(first, one), (second, other)] = medians[..] {
        println!("{first}/{second}: {:.2}", one / other);
    }
    Ok(())
}

/// The time from the first publication until the last message is finished.
fn run(arguments: &Arguments, address: SocketAddr, round: usize) -> anyhow::Result<Duration> {
    let topic = format!("bench-{round}-{}", std::process::id());
    let each = arguments.messages / arguments.connections;
    let all = each * arguments.connections;
    let mut streams = Vec::new();
    for _ in 0..arguments.connections {
        let mut stream = connect(address)?;
        stream.write_all(format!("SUB {topic} bench\nRDY 2500\n").as_bytes())?;
        streams.push(stream);
    }
    let shared = Arc::new((streams, AtomicUsize::new(0)));
    let mut consumers = Vec::new();
    for index in 0..arguments.connections {
        let shared = Arc::clone(&shared);
        consumers.push(thread::spawn(move || consume(&shared.0, index, &shared.1, all)));
    }
    let started = Instant::now();
    let mut publishers = Vec::new();
    for _ in 0..arguments.connections {
        let (arguments, topic, stream) = (arguments.clone(), topic.clone(), connect(address)?);
        publishers.push(thread::spawn(move || publish(&arguments, &stream, &topic, each)));
    }
    for worker in publishers.into_iter().chain(consumers) {
        worker.join().map_err(|_| anyhow::anyhow!("a connection failed"))??;
    }
    Ok(started.elapsed())
}

fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.write_all(b"  V2")?;
    Ok(stream)
}

fn publish(arguments: &Arguments, stream: &TcpStream, topic: &str, messages: usize) -> anyhow::Result<()> {
    let (mut read, mut write) = (BufReader::new(stream), BufWriter::with_capacity(64 * 1024, stream));
    let mut command = Vec::new();
    let size = u32::try_from(arguments.size)?;
    if arguments.batch == 1 {
        command.extend(format!("PUB {topic}\n").bytes());
        command.extend(size.to_be_bytes());
        command.resize(command.len() + arguments.size, b'x');
    } else {
        command.extend(format!("MPUB {topic}\n").bytes());
        command.extend(u32::try_from(4 + arguments.batch * (4 + arguments.size))?.to_be_bytes());
        command.extend(u32::try_from(arguments.batch)?.to_be_bytes());
        for _ in 0..arguments.batch {
            command.extend(size.to_be_bytes());
            command.resize(command.len() + arguments.size, b'x');
        }
    }
    let mut left = messages / arguments.batch;
    let mut frame = Vec::new();
    while left > 0 {
        let window = left.min(arguments.window);
        for _ in 0..window {
            write.write_all(&command)?;
        }
        write.flush()?;
        for _ in 0..window {
            let kind = next(&mut read, &mut frame)?;
            ensure!(kind == 0 && frame == b"OK", "the server answered {}", frame.escape_ascii());
        }
        left -= window;
    }
    Ok(())
}

/// Finishes messages until all consumers together have finished `all`; the last one closes the connections.
fn consume(streams: &[TcpStream], index: usize, done: &AtomicUsize, all: usize) -> anyhow::Result<()> {
    let stream = &streams[index];
    let mut read = BufReader::with_capacity(64 * 1024, stream);
    let mut write = BufWriter::with_capacity(64 * 1024, stream);
    let mut frame = Vec::new();
    loop {
        if read.buffer().is_empty() {
            write.flush()?;
        }
        match next(&mut read, &mut frame) {
            Err(_) if done.load(Relaxed) >= all => return Ok(()),
            Ok(MESSAGE) => {
                write.write_all(b"FIN ")?;
                write.write_all(&frame[ID])?;
                write.write_all(b"\n")?;
                if done.fetch_add(1, Relaxed) + 1 == all {
                    write.flush()?;
                    return Ok(streams.iter().try_for_each(|stream| stream.shutdown(Shutdown::Both))?);
                }
            }
            Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Reads one frame: its type, and its body into the buffer.
fn next(read: &mut BufReader<&TcpStream>, frame: &mut Vec<u8>) -> io::Result<u32> {
    let mut head = [0; 8];
    read.read_exact(&mut head)?;
    let [size, kind] = [0, 4].map(|at| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]));
    frame.resize(usize::try_from(size).unwrap_or_default().saturating_sub(4), 0);
    read.read_exact(frame)?;
    Ok(kind)
}
