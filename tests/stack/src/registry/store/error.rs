//! What can go wrong in the store, in the words that a client of the Registry receives.

/// An error, with the text and the status of spec 05 §3.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// One line per field.
    #[error("{}", .0.join("\n"))]
    Invalid(Vec<String>),
    #[error("resource or institution id mismatch")]
    Mismatch,
    #[error("invalid token")]
    Token,
    #[error("one or more object ids is invalid")]
    ObjectIds,
    #[error("invalid requestor id")]
    Requestor,
    #[error("permission denied")]
    Denied,
    #[error("pg: no rows in result set")]
    NoRows,
    #[error("operation not supported")]
    Unsupported,
    #[error("task cannot be completed because this object has pending work items")]
    Pending,
    #[error("{0}")]
    Conflict(&'static str),
    /// Everything else, the database's errors among it.
    #[error("{0}")]
    Other(String),
}

impl Error {
    pub fn status(&self) -> u16 {
        match self {
            Self::Invalid(_) | Self::Mismatch | Self::Token | Self::ObjectIds | Self::Requestor => 400,
            Self::Denied => 403,
            Self::NoRows => 404,
            Self::Unsupported => 405,
            Self::Pending | Self::Conflict(_) => 409,
            Self::Other(_) => 500,
        }
    }

    pub fn other(text: impl Into<String>) -> Self {
        Self::Other(text.into())
    }
}

impl From<rusqlite::Error> for Error {
    /// As the driver of the real server words it.
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode;
        if matches!(error, rusqlite::Error::QueryReturnedNoRows) {
            return Self::NoRows;
        }
        let rusqlite::Error::SqliteFailure(failure, text) = &error else { return Self::Other(error.to_string()) };
        let text = text.as_deref().unwrap_or_default();
        let column = text.rsplit_once(": ").map(|(_, column)| column).unwrap_or_default();
        let (table, column) = column.split_once('.').unwrap_or((column, ""));
        let told = match (failure.code, text) {
            (ErrorCode::ConstraintViolation, text) if text.starts_with("UNIQUE") => {
                format!("ERROR #23505 duplicate key value violates unique constraint \"index_{table}_on_{column}\"")
            }
            (ErrorCode::ConstraintViolation, text) if text.starts_with("NOT NULL") => {
                format!(
                    "ERROR #23502 null value in column \"{column}\" of relation \"{table}\" violates not-null constraint"
                )
            }
            (ErrorCode::ConstraintViolation, _) => {
                // The only key that a request can break; SQLite does not say which one it was.
                "ERROR #23503 insert or update on table \"work_items\" violates foreign key constraint \
                 \"fk_work_items_deletion_request_id\""
                    .to_owned()
            }
            (ErrorCode::DiskFull, _) => "ERROR #53100 could not extend file: No space left on device".to_owned(),
            _ => error.to_string(),
        };
        Self::Other(told)
    }
}

pub type Result<T, E = Error> = std::result::Result<T, E>;
