//! Reading, deciding and writing at one moment, by WATCH and EXEC: atomic without a script.

use redis::{FromRedisValue, Pipeline, Value};

use crate::connection::{Access, Connection, is_cut};
use crate::error::Error;

/// What it comes to once the key was read.
pub(crate) enum Decision<T> {
    /// Send this, if nobody changed the key meanwhile; the outcome is then this.
    Write(Pipeline, T),
    Leave(T),
}

/// How often it is begun again after somebody changed the key.
const TRIES: u32 = 50;

/// Reads and decides again until nobody changed the key in between, or the decision is to leave it. The connection must
/// be nobody else's meanwhile.
///
/// An EXEC whose answer is lost may have been carried out, and is then decided about anew: a decision must see by what it
/// reads that it was.
pub(crate) async fn transaction<R: FromRedisValue, T>(
    connection: &Connection,
    key: &str,
    doing: impl Fn() -> String,
    read: &Pipeline,
    mut decide: impl FnMut(R) -> Result<Decision<T>, Error>,
) -> Result<T, Error> {
    let failed = |source| Error::from_redis(doing(), source);
    let mut watch = Pipeline::new();
    // A caller that gave up may have left a WATCH behind.
    watch.cmd("UNWATCH").ignore().cmd("WATCH").arg(key).ignore();
    for command in read.cmd_iter() {
        watch.add_command(command.clone());
    }
    for _ in 0..TRIES {
        match decide(connection.query(&watch, Access::Reading).await.map_err(failed)?)? {
            Decision::Leave(outcome) => return Ok(outcome),
            Decision::Write(mut commands, outcome) => {
                match connection.query_once(commands.atomic(), Access::Writing).await {
                    Ok(Value::Nil) => {}
                    Ok(_) => return Ok(outcome),
                    Err(error) if is_cut(&error) => {}
                    Err(error) => return Err(failed(error)),
                }
            }
        }
    }
    Err(Error::Contended { key: key.to_owned(), doing: doing() })
}
