//! The data between two runs: a file of requests that make it again, which `redis-cli --pipe` would give to any Redis.

use std::fs::{self, File};
use std::io::{BufWriter, Read as _, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use bytes::{Buf as _, BytesMut};

use super::keyspace::{DATABASES, Keyspace, Value};
use super::parse::{Parser, Sender};
use super::reply::Reply;
use super::server::Server;

/// How much of the file is read at once.
const CHUNK: usize = 1 << 20;

/// Fields of a hash that one request sets.
const FIELDS: usize = 128;

/// A folder that belongs to one server.
#[derive(Debug)]
pub(super) struct Snapshot {
    path: PathBuf,
    /// Locked as long as the server runs.
    _lock: File,
}

impl Snapshot {
    pub(super) fn open(folder: &Path) -> anyhow::Result<Self> {
        let shown = folder.display();
        fs::create_dir_all(folder).with_context(|| format!("Redis cannot make its folder {shown}"))?;
        let lock = File::create(folder.join("redis.lock")).with_context(|| format!("Redis cannot write to {shown}"))?;
        lock.try_lock().with_context(|| format!("another Redis keeps its data in {shown}"))?;
        Ok(Self { path: folder.join("redis.resp"), _lock: lock })
    }

    /// Reads the data, if there is any.
    pub(super) fn load(&self, server: &mut Server) -> anyhow::Result<()> {
        let shown = self.path.display();
        let mut file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error).with_context(|| format!("Redis cannot read {shown}")),
        };
        let mut client = server.connect(server.address);
        client.authenticated = true;
        let (mut parser, mut reply, mut input) = (Parser::default(), Reply::new(), BytesMut::new());
        loop {
            match parser.advance(&input, Sender::Known) {
                Ok(Some(length)) => {
                    let arguments: Vec<&[u8]> = parser.arguments().iter().map(|place| &input[place.clone()]).collect();
                    server.execute(&mut client, &arguments, &mut reply);
                    if reply.bytes.first() == Some(&b'-') {
                        bail!("Redis cannot take the data of {shown}: {}", reply.bytes.escape_ascii());
                    }
                    reply.bytes.clear();
                    input.advance(length);
                }
                Ok(None) => {
                    input.reserve(CHUNK);
                    let mut piece = (&mut file).take(CHUNK as u64);
                    let mut chunk = Vec::with_capacity(CHUNK);
                    piece.read_to_end(&mut chunk).with_context(|| format!("Redis cannot read {shown}"))?;
                    if chunk.is_empty() {
                        break;
                    }
                    input.extend_from_slice(&chunk);
                }
                Err(failure) => bail!("{shown} is no data of Redis: {}", failure.0),
            }
        }
        server.disconnect(&mut client);
        if parser.is_within() || !input.is_empty() {
            bail!("{shown} breaks off; remove it to start without data");
        }
        Ok(())
    }

    /// Writes the data in place of what the file had. What fails leaves the file as it was.
    pub(super) fn save(&self, keyspace: &Keyspace) -> anyhow::Result<()> {
        let new = self.path.with_extension("new");
        let write = || -> std::io::Result<()> {
            let mut file = BufWriter::new(File::create(&new)?);
            for index in 0..DATABASES {
                save_database(&mut file, keyspace, index)?;
            }
            file.into_inner()?.sync_all()?;
            fs::rename(&new, &self.path)
        };
        write().with_context(|| format!("cannot write {}", self.path.display())).inspect_err(|_| {
            let _ = fs::remove_file(&new);
        })
    }
}

fn save_database(file: &mut impl Write, keyspace: &Keyspace, index: usize) -> std::io::Result<()> {
    if keyspace.database(index).keys.is_empty() {
        return Ok(());
    }
    request(file, &[b"SELECT", index.to_string().as_bytes()])?;
    for (key, entry) in keyspace.database(index).keys.iter() {
        match &entry.value {
            Value::Text(text) => request(file, &[b"SET", key, text])?,
            Value::Hash(hash) => {
                let mut parts: Vec<&[u8]> = Vec::new();
                hash.for_each(|field, value| parts.extend([field, value]));
                for parts in parts.chunks(FIELDS * 2) {
                    let head: [&[u8]; 2] = [b"HSET", key];
                    request(file, &[&head, parts].concat())?;
                }
            }
        }
        if let Some(dies) = entry.dies {
            request(file, &[b"PEXPIREAT", key, dies.to_string().as_bytes()])?;
        }
    }
    Ok(())
}

fn request(file: &mut impl Write, arguments: &[&[u8]]) -> std::io::Result<()> {
    write!(file, "*{}\r\n", arguments.len())?;
    for argument in arguments {
        write!(file, "${}\r\n", argument.len())?;
        file.write_all(argument)?;
        file.write_all(b"\r\n")?;
    }
    Ok(())
}
