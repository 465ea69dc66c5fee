//! How records stand in the database: a table or view, its columns in order, and Go's zero values as NULL.
//! The records themselves are in `records` and `views`.

use rusqlite::types::{FromSqlError, Value, ValueRef};
use rusqlite::{Connection, OptionalExtension as _, Row, params_from_iter};

use super::Result;
use crate::registry::time::Time;

/// What a column holds: decides how the text of a filter is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// 32 bits in the real database: ids and the like.
    Integer,
    /// 64 bits: sizes and counts.
    Bigint,
    Text,
    Bool,
    Time,
}

#[derive(Debug, Clone, Copy)]
pub struct Column {
    pub name: &'static str,
    pub kind: Kind,
}

/// One row of a table or view.
pub trait Record: Sized {
    /// The table or view.
    const TABLE: &'static str;
    const COLUMNS: &'static [Column];

    /// From a row whose columns stand as in `COLUMNS`.
    fn read(row: &Row<'_>) -> rusqlite::Result<Self>;

    /// As `COLUMNS`; zero values are NULL.
    fn values(&self) -> Vec<Value>;
}

/// A field of a record.
pub(super) trait Field: Sized {
    const KIND: Kind;

    fn store(&self) -> Value;
    fn load(value: ValueRef<'_>) -> Result<Self, FromSqlError>;
}

impl Field for i64 {
    const KIND: Kind = Kind::Integer;

    fn store(&self) -> Value {
        if *self == 0 { Value::Null } else { Value::Integer(*self) }
    }

    fn load(value: ValueRef<'_>) -> Result<Self, FromSqlError> {
        value.as_i64_or_null().map(Option::unwrap_or_default)
    }
}

impl Field for String {
    const KIND: Kind = Kind::Text;

    fn store(&self) -> Value {
        if self.is_empty() { Value::Null } else { Value::Text(self.clone()) }
    }

    fn load(value: ValueRef<'_>) -> Result<Self, FromSqlError> {
        value.as_str_or_null().map(|text| text.unwrap_or_default().to_owned())
    }
}

impl Field for bool {
    const KIND: Kind = Kind::Bool;

    fn store(&self) -> Value {
        Value::Integer(i64::from(*self))
    }

    fn load(value: ValueRef<'_>) -> Result<Self, FromSqlError> {
        value.as_i64_or_null().map(|flag| flag == Some(1))
    }
}

impl Field for Time {
    const KIND: Kind = Kind::Time;

    fn store(&self) -> Value {
        if self.is_none() { Value::Null } else { Value::Text(self.to_column()) }
    }

    fn load(value: ValueRef<'_>) -> Result<Self, FromSqlError> {
        let Some(text) = value.as_str_or_null()? else { return Ok(Self::NONE) };
        Self::from_column(text).ok_or(FromSqlError::InvalidType)
    }
}

pub(super) const fn column(name: &'static str, kind: Kind) -> Column {
    let bytes = name.as_bytes();
    // `size`, `payload_size`, `file_count` and their like are wider than ids.
    let wide = matches!(kind, Kind::Integer) && (ends_with(bytes, b"size") || ends_with(bytes, b"_count"));
    Column { name, kind: if wide { Kind::Bigint } else { kind } }
}

const fn ends_with(text: &[u8], end: &[u8]) -> bool {
    if text.len() < end.len() {
        return false;
    }
    let mut at = 0;
    while at < end.len() {
        if text[text.len() - end.len() + at] != end[at] {
            return false;
        }
        at += 1;
    }
    true
}

/// A record with its columns. `as "name"` where the column is called differently; what follows `with` is JSON only.
macro_rules! record {
    (
        $(#[$meta:meta])*
        pub struct $name:ident in $table:literal {
            $( $(#[$field_meta:meta])* $field:ident : $type:ty $(as $column:literal)? ),* $(,)?
        }
        $( with { $( $(#[$extra_meta:meta])* $extra:ident : $extra_type:ty ),* $(,)? } )?
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(default)]
        pub struct $name {
            $( $(#[$field_meta])* pub $field: $type, )*
            $( $( $(#[$extra_meta])* pub $extra: $extra_type, )* )?
        }

        impl $crate::registry::store::record::Record for $name {
            const TABLE: &'static str = $table;
            const COLUMNS: &'static [$crate::registry::store::record::Column] = &[
                $( $crate::registry::store::record::column(
                    $crate::registry::store::record::column_name!($field $($column)?),
                    <$type as $crate::registry::store::record::Field>::KIND,
                ), )*
            ];

            fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
                let mut place = 0;
                let mut next = || { place += 1; place - 1 };
                Ok(Self {
                    $( $field: $crate::registry::store::record::field(row, next())?, )*
                    $( $( $extra: Default::default(), )* )?
                })
            }

            fn values(&self) -> Vec<rusqlite::types::Value> {
                vec![ $( $crate::registry::store::record::Field::store(&self.$field), )* ]
            }
        }
    };
}
pub(super) use record;

macro_rules! column_name {
    ($field:ident) => {
        stringify!($field)
    };
    ($field:ident $column:literal) => {
        $column
    };
}
pub(super) use column_name;

pub(super) fn field<T: Field>(row: &Row<'_>, place: usize) -> rusqlite::Result<T> {
    let value = row.get_ref(place)?;
    T::load(value).map_err(|error| rusqlite::Error::FromSqlConversionFailure(place, value.data_type(), Box::new(error)))
}

/// `"id", "name", …`
pub(super) fn columns<R: Record>() -> String {
    let names: Vec<String> = R::COLUMNS.iter().map(|column| format!("\"{}\"", column.name)).collect();
    names.join(", ")
}

/// The records that a condition selects, in the order it gives.
pub(super) fn select<R: Record>(db: &Connection, rest: &str, values: &[Value]) -> Result<Vec<R>> {
    let mut statement = db.prepare_cached(&format!("SELECT {} FROM {} {rest}", columns::<R>(), R::TABLE))?;
    let rows = statement.query_map(params_from_iter(values), R::read)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// The first record that a condition selects.
pub(super) fn find<R: Record>(db: &Connection, rest: &str, values: &[Value]) -> Result<Option<R>> {
    let mut statement = db.prepare_cached(&format!("SELECT {} FROM {} {rest}", columns::<R>(), R::TABLE))?;
    Ok(statement.query_row(params_from_iter(values), R::read).optional()?)
}

pub(super) fn by_id<R: Record>(db: &Connection, id: i64) -> Result<Option<R>> {
    find(db, "WHERE id = ?", &[Value::Integer(id)])
}

/// Inserts a record, under its own id if it has one, and gives the id.
pub(in crate::registry) fn insert<R: Record>(db: &Connection, record: &R) -> Result<i64> {
    let places = vec!["?"; R::COLUMNS.len()].join(", ");
    let sql = format!("INSERT INTO {} ({}) VALUES ({places})", R::TABLE, columns::<R>());
    Ok(db.prepare_cached(&sql)?.insert(params_from_iter(fitting(record)?))?)
}

/// Overwrites every column of the row with the record's id, which is its first column.
pub(super) fn update<R: Record>(db: &Connection, record: &R) -> Result<()> {
    let set: Vec<String> = R::COLUMNS
        .iter()
        .enumerate()
        .skip(1)
        .map(|(at, column)| format!("\"{}\" = ?{}", column.name, at + 1))
        .collect();
    let mut statement = db.prepare_cached(&format!("UPDATE {} SET {} WHERE id = ?1", R::TABLE, set.join(", ")))?;
    match statement.execute(params_from_iter(fitting(record)?))? {
        0 => Err(super::Error::NoRows),
        _ => Ok(()),
    }
}

/// A record's values, if each number has room in its column.
fn fitting<R: Record>(record: &R) -> Result<Vec<Value>> {
    let values = record.values();
    let too_large = |(column, value): (&Column, &Value)| {
        column.kind == Kind::Integer && matches!(value, Value::Integer(number) if i32::try_from(*number).is_err())
    };
    if R::COLUMNS.iter().zip(&values).any(too_large) {
        return Err(super::Error::other("ERROR #22003 integer out of range"));
    }
    Ok(values)
}
