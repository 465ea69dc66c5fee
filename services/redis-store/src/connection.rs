//! One connection to one database that comes back by itself.
//!
//! Why not the crate's `ConnectionManager`: it keeps for good a first connection that failed with anything but an I/O
//! error, so a worker that starts while Redis has too many clients would never get one.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use failing::{Backoff, Streak};
use redis::aio::MultiplexedConnection;
use redis::io::tcp::TcpSettings;
use redis::{AsyncConnectionConfig, Client, ErrorKind, FromRedisValue, IntoConnectionInfo as _, Pipeline};
use redis::{RedisConnectionInfo, RedisError, RedisResult};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, timeout};

use crate::verdict::Verdict;

/// Where a database is, and how to get in.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) password: Option<String>,
    pub(crate) database: u32,
}

/// The connection. Requests of several tasks go over it at once, in their order.
pub(crate) struct Connection {
    client: Client,
    config: AsyncConnectionConfig,
    state: Mutex<State>,
    /// Failures to get an answer from a server that can give one.
    answers: Streak,
    /// Failures to write. Reading may work all the time: a replica answers.
    writes: Streak,
}

/// What a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Reading,
    Writing,
}

#[derive(Default)]
struct State {
    open: Option<Open>,
    failed: Option<(Instant, RedisError)>,
    count: u64,
}

#[derive(Clone)]
struct Open {
    connection: MultiplexedConnection,
    number: u64,
}

/// For a new connection, name resolution included.
const CONNECT: Duration = Duration::from_secs(5);
/// For an answer. Redis is one thread: somebody else's command may keep it for a while.
const ANSWER: Duration = Duration::from_secs(10);
/// When the other side's kernel takes nothing for so long, the connection is dead.
const DEAD: Duration = Duration::from_secs(20);
/// Who comes within this time after a failed attempt gets its error, so that a crowd does not try one by one.
const PAUSE: Duration = Duration::from_millis(200);
/// How often a request is sent, and how long to wait in between.
const TRIES: u32 = 4;
const BACKOFF: Backoff = Backoff { first: Duration::from_millis(150), longest: Duration::from_secs(1) };

impl Connection {
    /// Opens nothing yet.
    pub(crate) fn new(place: &Place) -> RedisResult<Arc<Self>> {
        let mut info = RedisConnectionInfo::default().set_db(place.database.into()).set_skip_set_lib_name();
        if let Some(password) = &place.password {
            info = info.set_password(password);
        }
        let tcp = TcpSettings::default().set_nodelay(true).set_user_timeout(DEAD);
        let address = (place.host.as_str(), place.port).into_connection_info()?;
        let client = Client::open(address.set_redis_settings(info).set_tcp_settings(tcp))?;
        let config =
            AsyncConnectionConfig::new().set_connection_timeout(Some(CONNECT)).set_response_timeout(Some(ANSWER));
        Ok(Arc::new(Self {
            client,
            config,
            state: Mutex::default(),
            answers: Streak::default(),
            writes: Streak::default(),
        }))
    }

    /// Sends the commands in one go and reads the answers. What can be repeated without harm is, when the connection
    /// breaks or leads to the wrong server; every command that is sent through here must be of that kind.
    pub(crate) async fn query<T: FromRedisValue>(&self, commands: &Pipeline, access: Access) -> RedisResult<T> {
        let mut tries = 1;
        loop {
            match self.query_once(commands, access).await {
                Err(error) if tries < TRIES && (is_cut(&error) || Verdict::of(&error) == Verdict::Unfit) => {
                    sleep(BACKOFF.after(tries)).await;
                    tries += 1;
                }
                answer => return answer,
            }
        }
    }

    /// The same without repetition.
    pub(crate) async fn query_once<T: FromRedisValue>(&self, commands: &Pipeline, access: Access) -> RedisResult<T> {
        let answer = self.send(commands).await;
        match answer.as_ref().err().map(Verdict::of) {
            Some(Verdict::Broken) => self.answers.failed(),
            Some(Verdict::Unfit | Verdict::Busy) if access == Access::Reading => self.answers.failed(),
            Some(Verdict::Unfit | Verdict::Busy) => self.writes.failed(),
            Some(Verdict::Refused) => self.answers.succeeded(),
            None => {
                self.answers.succeeded();
                if access == Access::Writing {
                    self.writes.succeeded();
                }
            }
        }
        answer
    }

    /// For how long it has not got what it asked for, from the first failure to the latest.
    pub(crate) fn failing_for(&self) -> Option<Duration> {
        self.answers.length().max(self.writes.length())
    }

    async fn send<T: FromRedisValue>(&self, commands: &Pipeline) -> RedisResult<T> {
        let Open { mut connection, number } = self.open().await?;
        let answer = commands.query_async(&mut connection).await;
        if let Err(error) = &answer
            && (error.is_unrecoverable_error() || Verdict::of(error) == Verdict::Unfit)
        {
            let mut state = self.state.lock().await;
            if state.open.as_ref().is_some_and(|open| open.number == number) {
                state.open = None;
            }
        }
        answer
    }

    async fn open(&self) -> RedisResult<Open> {
        let mut state = self.state.lock().await;
        if let Some(open) = &state.open {
            return Ok(open.clone());
        }
        if let Some((when, error)) = &state.failed
            && when.elapsed() < PAUSE
        {
            return Err(error.clone());
        }
        let connecting = self.client.get_multiplexed_async_connection_with_config(&self.config);
        let connected = timeout(CONNECT, connecting).await;
        match connected.unwrap_or_else(|_elapsed| Err((ErrorKind::Io, "connecting took too long").into())) {
            Ok(connection) => {
                state.count += 1;
                state.failed = None;
                let open = Open { connection, number: state.count };
                state.open = Some(open.clone());
                Ok(open)
            }
            Err(error) => {
                state.failed = Some((Instant::now(), error.clone()));
                Err(error)
            }
        }
    }
}

/// Whether the connection is gone. An answer that does not come may come yet, on the same connection: asking again would
/// only add to what the server has to do.
pub(crate) fn is_cut(error: &RedisError) -> bool {
    error.is_io_error() && !error.is_timeout()
}

/// Without the password.
impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let info = self.client.get_connection_info();
        f.debug_struct("Connection")
            .field("address", &info.addr().to_string())
            .field("database", &info.redis_settings().db())
            .finish_non_exhaustive()
    }
}
