//! What all connections share, and the way of a request from its arguments to its reply: lookup, arity, password,
//! memory, transaction, then the command itself.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use super::commands::{self, Command, flags};
use super::keyspace::Keyspace;
use super::push::{Hub, Outbox};
use super::reply::{Failure, Protocol, Reply};

/// The most that a transaction may hold back, in bytes; more ends the connection.
const LARGEST_TRANSACTION: usize = 1 << 30;

const OUT_OF_MEMORY: Failure = Failure::of("OOM command not allowed when used memory > 'maxmemory'.");

/// The state of the server, behind one lock: a command runs alone, as in the real one.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) keyspace: Keyspace,
    pub(super) hub: Hub,
    pub(super) password: Option<Vec<u8>>,
    pub(super) max_memory: usize,
    pub(super) address: SocketAddr,
    pub(super) started: Instant,
    /// The clients that are connected, as others see them.
    pub(super) clients: BTreeMap<u64, Sight>,
    pub(super) connections: u64,
    pub(super) commands: u64,
    pub(super) hits: u64,
    pub(super) misses: u64,
    /// The most that the keys and values have taken.
    pub(super) peak: usize,
    /// Tells this server from those before it: 40 hexadecimal digits.
    pub(super) run_id: String,
    /// Bytes of requests that are not complete yet, over all connections.
    pub(super) pending: usize,
}

impl Server {
    pub(super) fn new(address: SocketAddr, password: Option<String>, max_memory: usize) -> Self {
        Self {
            keyspace: Keyspace::default(),
            hub: Hub::default(),
            password: password.map(String::into_bytes),
            max_memory,
            address,
            started: Instant::now(),
            clients: BTreeMap::new(),
            connections: 0,
            commands: 0,
            hits: 0,
            misses: 0,
            peak: 0,
            run_id: format!("{:032x}{:08x}", fastrand::u128(..), fastrand::u32(..)),
            pending: 0,
        }
    }

    pub(super) fn connect(&mut self, address: SocketAddr) -> Client {
        self.connections += 1;
        let client = Client::new(self.connections, address, self.password.is_none());
        self.clients.insert(client.id, client.sight());
        client
    }

    pub(super) fn disconnect(&mut self, client: &mut Client) {
        self.leave(client);
        self.clients.remove(&client.id);
    }

    /// Ends what the client has under way: transaction, watches, subscriptions.
    pub(super) fn leave(&mut self, client: &mut Client) {
        client.transaction = None;
        self.unwatch(client);
        self.hub.leave(client);
    }

    pub(super) fn unwatch(&mut self, client: &mut Client) {
        for (database, key) in std::mem::take(&mut client.watches) {
            self.keyspace.unwatch(database, &key, &client.touched);
        }
        client.touched.store(false, Ordering::Relaxed);
    }

    /// Answers one request.
    pub(super) fn execute(&mut self, client: &mut Client, arguments: &[&[u8]], reply: &mut Reply) {
        let Some(name) = arguments.first() else { return };
        let now = milliseconds();
        self.keyspace.expire(now);
        self.commands += 1;
        let before = reply.bytes.len();
        let found = commands::find(name, arguments);
        let admitted = found.and_then(|command| self.admit(client, command, arguments, reply).map(|()| command));
        let command = match admitted {
            Ok(command) => command,
            Err(failure) => {
                if let Some(transaction) = &mut client.transaction {
                    transaction.broken = true;
                }
                if name.eq_ignore_ascii_case(b"exec") {
                    self.leave_transaction(client);
                    let cause = failure.0.strip_prefix("ERR ").unwrap_or(&failure.0);
                    reply.error(&Failure::from(format!("EXECABORT Transaction discarded because of: {cause}")));
                } else {
                    reply.error(&failure);
                }
                return;
            }
        };
        client.last_command = command.name;
        if let Some(transaction) = &mut client.transaction
            && !command.is(flags::IN_TRANSACTION)
        {
            transaction.bytes +=
                arguments.iter().map(|argument| argument.len() + size_of::<Box<[u8]>>()).sum::<usize>();
            transaction.commands.push((command, arguments.iter().map(|argument| Box::from(*argument)).collect()));
            client.closing |= transaction.bytes > LARGEST_TRANSACTION;
            reply.simple("QUEUED");
            return;
        }
        self.run(client, command, arguments, reply, now);
        debug_assert!(reply.bytes.len() > before, "{} says nothing", command.name);
    }

    /// Runs a command that was let in.
    pub(super) fn run(
        &mut self,
        client: &mut Client,
        command: &'static Command,
        arguments: &[&[u8]],
        reply: &mut Reply,
        now: u64,
    ) {
        let before = reply.bytes.len();
        let mut call = Call { server: self, client, arguments, reply, now };
        if let Err(failure) = (command.run)(&mut call) {
            reply.bytes.truncate(before);
            reply.error(&failure);
        }
        self.peak = self.peak.max(self.keyspace.used());
        self.hub.show_to_monitors(client, command, arguments);
    }

    /// Ends a transaction and its watches; without one, watches stay.
    pub(super) fn leave_transaction(&mut self, client: &mut Client) -> Option<Transaction> {
        let transaction = client.transaction.take()?;
        self.unwatch(client);
        Some(transaction)
    }

    fn admit(&self, client: &Client, command: &Command, arguments: &[&[u8]], reply: &Reply) -> Result<(), Failure> {
        command.check_arity(arguments.len())?;
        if !client.authenticated && !command.is(flags::NO_AUTH) {
            return Err(Failure::of("NOAUTH Authentication required."));
        }
        let grows = match &client.transaction {
            None => command.is(flags::DENY_OOM),
            Some(transaction) if command.name == "exec" => {
                transaction.commands.iter().any(|(command, _)| command.is(flags::DENY_OOM))
            }
            Some(_) => !command.is(flags::ENDS_TRANSACTION),
        };
        if grows {
            let request: usize = arguments.iter().map(|argument| argument.len()).sum();
            if self.keyspace.used() + request > self.max_memory {
                return Err(OUT_OF_MEMORY);
            }
        }
        if reply.protocol == Protocol::Resp2 && client.is_subscribed() && !command.is(flags::WHILE_SUBSCRIBED) {
            return Err(Failure::from(format!(
                "ERR Can't execute '{}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context",
                command.name
            )));
        }
        Ok(())
    }
}

/// What a command works with.
#[derive(Debug)]
pub(super) struct Call<'a> {
    pub(super) server: &'a mut Server,
    pub(super) client: &'a mut Client,
    /// The whole request, the name of the command first.
    pub(super) arguments: &'a [&'a [u8]],
    pub(super) reply: &'a mut Reply,
    /// Milliseconds since 1970; one time for a whole transaction.
    pub(super) now: u64,
}

/// A client that is connected.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) id: u64,
    pub(super) address: SocketAddr,
    connected: Instant,
    pub(super) name: Vec<u8>,
    pub(super) database: usize,
    pub(super) authenticated: bool,
    pub(super) transaction: Option<Transaction>,
    pub(super) watches: Vec<(usize, Box<[u8]>)>,
    /// Raised when something that is watched has changed.
    pub(super) touched: Arc<AtomicBool>,
    pub(super) outbox: Arc<Outbox>,
    pub(super) channels: Vec<Vec<u8>>,
    pub(super) patterns: Vec<Vec<u8>>,
    pub(super) monitors: bool,
    last_command: &'static str,
    /// The connection ends once the reply is sent.
    pub(super) closing: bool,
}

impl Client {
    fn new(id: u64, address: SocketAddr, authenticated: bool) -> Self {
        Self {
            id,
            address,
            connected: Instant::now(),
            name: Vec::new(),
            database: 0,
            authenticated,
            transaction: None,
            watches: Vec::new(),
            touched: Arc::default(),
            outbox: Arc::default(),
            channels: Vec::new(),
            patterns: Vec::new(),
            monitors: false,
            last_command: "NULL",
            closing: false,
        }
    }

    pub(super) fn is_subscribed(&self) -> bool {
        !self.channels.is_empty() || !self.patterns.is_empty()
    }

    /// Whether messages may come that answer no request.
    pub(super) fn listens(&self) -> bool {
        self.monitors || self.is_subscribed()
    }

    pub(super) fn sight(&self) -> Sight {
        Sight {
            address: self.address,
            connected: self.connected,
            active: Instant::now(),
            name: self.name.clone(),
            flags: match (self.transaction.is_some(), self.is_subscribed(), self.monitors) {
                (_, _, true) => "O",
                (true, _, _) => "x",
                (_, true, _) => "P",
                _ => "N",
            },
            database: self.database,
            channels: self.channels.len(),
            patterns: self.patterns.len(),
            queued: self.transaction.as_ref().map(|transaction| transaction.commands.len()),
            last_command: self.last_command,
        }
    }
}

/// The commands after MULTI.
#[derive(Debug, Default)]
pub(super) struct Transaction {
    pub(super) commands: Vec<(&'static Command, Vec<Box<[u8]>>)>,
    bytes: usize,
    /// A command was refused, so EXEC will be too.
    pub(super) broken: bool,
}

/// A client as CLIENT LIST shows it.
#[derive(Debug)]
pub(super) struct Sight {
    address: SocketAddr,
    connected: Instant,
    active: Instant,
    name: Vec<u8>,
    flags: &'static str,
    database: usize,
    channels: usize,
    patterns: usize,
    queued: Option<usize>,
    last_command: &'static str,
}

impl Sight {
    /// One line; what only the real server has, such as buffer sizes, is left out.
    pub(super) fn line(&self, id: u64, server: SocketAddr, protocol: Option<Protocol>) -> String {
        let queued = self.queued.map_or("-1".to_owned(), |queued| queued.to_string());
        let protocol = match protocol {
            Some(Protocol::Resp3) => " resp=3",
            Some(Protocol::Resp2) => " resp=2",
            None => "",
        };
        format!(
            "id={id} addr={} laddr={server} name={} age={} idle={} flags={} db={} sub={} psub={} ssub=0 multi={queued} cmd={} user=default{protocol}",
            self.address,
            String::from_utf8_lossy(&self.name),
            self.connected.elapsed().as_secs(),
            self.active.elapsed().as_secs(),
            self.flags,
            self.database,
            self.channels,
            self.patterns,
            self.last_command,
        )
    }
}

/// Milliseconds since 1970.
pub(super) fn milliseconds() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
