//! What an error of Redis is about: the connection, the server behind it, or the request.

use redis::{ErrorKind, RedisError};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verdict {
    /// The request, or our settings: asking again is of no use.
    Refused,
    /// The server is the right one, but does not do this now.
    Busy,
    /// The server is not one to talk to: a replica, as after a failover, or one that has no data yet. The address may lead
    /// to another by now, so the connection is left. Nothing was done.
    Unfit,
    /// There was no answer, or none of Redis. So may a password be that is refused: the crate says that too when there are
    /// too many clients.
    Broken,
}

impl Verdict {
    /// Of several answers, the one that says most about the server.
    pub(crate) fn of(error: &RedisError) -> Self {
        match error.kind() {
            ErrorKind::Io | ErrorKind::Parse | ErrorKind::AuthenticationFailed => Self::Broken,
            // All that the crate tells of an EXEC that was refused, as by a server that became a replica after MULTI.
            ErrorKind::UnexpectedReturnType => Self::Unfit,
            _ => {
                let answers = error.clone().into_server_errors();
                let answers = answers.iter().flat_map(|answers| answers.iter());
                let of_answers = answers.map(|(_, answer)| of_answer(answer.code(), answer.details())).max();
                of_answers.unwrap_or_else(|| of_answer(error.code().unwrap_or_default(), error.detail()))
            }
        }
    }
}

/// By the first word of an answer, and the rest.
fn of_answer(code: &str, detail: Option<&str>) -> Verdict {
    let detail = detail.unwrap_or_default();
    match code {
        // UNBLOCKED is said when a server becomes a replica.
        "READONLY" | "LOADING" | "MASTERDOWN" | "CLUSTERDOWN" | "UNBLOCKED" => Verdict::Unfit,
        "OOM" | "MISCONF" | "BUSY" | "NOREPLICAS" | "TRYAGAIN" => Verdict::Busy,
        _ if detail.contains("max number of clients") => Verdict::Unfit,
        _ => Verdict::Refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_answer_is_about_the_server_or_about_the_request() {
        for (answer, verdict) in [
            ("READONLY You can't write against a read only replica.", Verdict::Unfit),
            ("LOADING Redis is loading the dataset in memory", Verdict::Unfit),
            ("MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.", Verdict::Unfit),
            ("CLUSTERDOWN The cluster is down", Verdict::Unfit),
            (
                "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)",
                Verdict::Unfit,
            ),
            ("ERR max number of clients reached", Verdict::Unfit),
            ("OOM command not allowed when used memory > 'maxmemory'.", Verdict::Busy),
            (
                "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.",
                Verdict::Busy,
            ),
            ("BUSY Redis is busy running a script.", Verdict::Busy),
            ("NOREPLICAS Not enough good replicas to write.", Verdict::Busy),
            ("TRYAGAIN Multiple keys request during rehashing of slot", Verdict::Busy),
            ("WRONGTYPE Operation against a key holding the wrong kind of value", Verdict::Refused),
            ("NOAUTH Authentication required.", Verdict::Refused),
            ("NOPERM this user has no permissions to run the 'hset' command", Verdict::Refused),
            ("ERR unknown command 'HGET'", Verdict::Refused),
            ("MOVED 3999 127.0.0.1:6381", Verdict::Refused),
        ] {
            let (code, detail) = answer.split_once(' ').unwrap();
            assert_eq!(of_answer(code, Some(detail)), verdict, "{answer}");
        }
    }
}
