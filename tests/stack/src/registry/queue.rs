//! What the Registry sends to others: work item ids to nsqd over HTTP, and the deletion of a work item's hash to Redis.
//! Both over a connection of their own that is closed afterwards, and both bounded in time and size.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::store::{Error, Result};

const PATIENCE: Duration = Duration::from_secs(10);
const LONGEST_REPLY: u64 = 64 << 10;

/// Publishes the id of a work item.
pub(super) async fn publish(nsqd: SocketAddr, topic: &str, id: i64) -> Result<()> {
    let body = id.to_string();
    let request = format!(
        "POST /pub?topic={topic} HTTP/1.1\r\nHost: {nsqd}\r\nContent-Type: text/html\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{body}",
        body.len()
    );
    let failed = |error: String| Error::other(format!("Nsqd returned an error when queuing data: {error}"));
    let reply = timeout(PATIENCE, exchange(nsqd, request)).await;
    let reply =
        reply.map_err(|_| failed("no answer in time".to_owned()))?.map_err(|error| failed(error.to_string()))?;
    // `HTTP/1.1 200 OK`
    match reply.split(' ').nth(1).and_then(|status| status.parse::<u16>().ok()) {
        Some(200) => Ok(()),
        Some(status) => Err(Error::other(format!("nsqd returned status code {status} when attempting to queue data"))),
        None => Err(failed("the answer is not HTTP".to_owned())),
    }
}

/// Sends, and reads until the other side closes.
async fn exchange(address: SocketAddr, request: String) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut reply = Vec::new();
    stream.take(LONGEST_REPLY).read_to_end(&mut reply).await?;
    Ok(String::from_utf8_lossy(&reply).into_owned())
}

/// Deletes the hash that workers keep for a work item, whether it is there or not.
pub(super) async fn forget(redis: SocketAddr, database: u32, id: i64) -> Result<()> {
    let failed =
        |error: &dyn std::fmt::Display| Error::other(format!("Error deleting WorkItem {id} from Redis: {error}"));
    let outcome = timeout(PATIENCE, delete(redis, database, id)).await;
    outcome.map_err(|_| failed(&"no answer in time"))?.map_err(|error| failed(&error))
}

async fn delete(redis: SocketAddr, database: u32, id: i64) -> std::io::Result<()> {
    let mut stream = BufReader::new(TcpStream::connect(redis).await?.take(LONGEST_REPLY));
    for words in [["SELECT".to_owned(), database.to_string()], ["DEL".to_owned(), id.to_string()]] {
        let request =
            format!("*{}\r\n{}", words.len(), words.map(|word| format!("${}\r\n{word}\r\n", word.len())).concat());
        stream.get_mut().get_mut().write_all(request.as_bytes()).await?;
        let mut reply = String::new();
        stream.read_line(&mut reply).await?;
        if !reply.starts_with(['+', ':']) {
            return Err(std::io::Error::other(reply.trim_end().to_owned()));
        }
    }
    Ok(())
}
