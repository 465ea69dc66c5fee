//! Which files of an item are readable in S3 after they were in Glacier, so that nobody asks for them again (03 §4). A field for each
//! file, since an object may have a million and come back over two days.

use model::Time;
use redis::{ErrorKind, Pipeline};

use crate::documents::{Batch, parse, several};
use crate::error::Error;
use crate::store::Store;

impl Store {
    /// Until when copies of these files can be relied on, in this order; `None` for one that nobody has seen yet.
    pub async fn thawed(&self, item: i64, files: &[i64]) -> Result<Vec<Option<Time>>, Error> {
        if files.is_empty() {
            return Ok(Vec::new());
        }
        let fields: Vec<String> = files.iter().copied().map(field).collect();
        let doing = || format!("read {} of `{item}`", several(&fields[0], fields.len()));
        let mut commands = Pipeline::with_capacity(1);
        commands.cmd("HMGET").arg(item).arg(&fields);
        let (values,): (Vec<Option<Vec<u8>>>,) = self.read(&commands, doing).await?;
        if values.len() != fields.len() {
            // What is missing in an answer is not absent.
            let strange = (ErrorKind::Parse, "it answered for another number of fields");
            return Err(Error::from_redis(doing(), strange.into()));
        }
        let read = |(field, value): (&String, Option<Vec<u8>>)| value.map(|json| parse(item, field, &json)).transpose();
        fields.iter().zip(values).map(read).collect()
    }

    /// Only who holds the claim on the item says so.
    pub async fn save_thawed(&self, item: i64, files: &[i64], until: Time) -> Result<(), Error> {
        let mut batch = Batch::new(item);
        for file in files {
            batch.add(field(*file), &until)?;
        }
        batch.send(self).await
    }
}

fn field(file: i64) -> String {
    format!("thawed:{file}")
}
