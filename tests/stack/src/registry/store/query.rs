//! Lists: conditions, order and page, given by a program or read from the parameters of a request, turned into SQL in
//! which every value is bound. Which filters a list takes stands with its record in `views`.

use rusqlite::types::Value;

use super::record::{Column, Kind};
use super::views::Listed;
use super::{Error, Result};
use crate::registry::time::Time;

/// No page is longer, unless it has no limit at all.
const LONGEST_PAGE: i64 = 1000;
const PAGE: i64 = 20;

/// What is selected of a list, in which order.
#[derive(Debug, Clone)]
pub struct Query {
    conditions: Vec<Condition>,
    /// Column, and whether it falls.
    order: Vec<(String, bool)>,
    pub(super) paging: Paging,
}

/// Where in a list a page lies.
#[derive(Debug, Clone, Copy)]
pub struct Paging {
    pub page: i64,
    /// Zero or less for no limit.
    pub per_page: i64,
    pub offset: i64,
}

#[derive(Debug, Clone)]
struct Condition {
    column: String,
    test: Test,
}

#[derive(Debug, Clone)]
enum Test {
    /// An operator of SQL and its right side.
    Compare(&'static str, String),
    /// A pattern of LIKE, in either case.
    Like(String),
    In(Vec<String>),
    Null(bool),
}

impl Paging {
    /// Page `page`, from 1. The offset is worked out before the length is lowered, as on the real server.
    pub fn new(page: i64, per_page: i64) -> Self {
        let offset = if page > 1 { (page - 1).saturating_mul(per_page).max(0) } else { 0 };
        Self { page, per_page: per_page.min(LONGEST_PAGE), offset }
    }
}

impl Default for Query {
    fn default() -> Self {
        Self { conditions: Vec::new(), order: Vec::new(), paging: Paging::new(1, PAGE) }
    }
}

impl Query {
    pub fn new() -> Self {
        Self::default()
    }

    /// From a request's parameters, of which any that the list does not take is an error.
    pub fn from_params<R: Listed>(params: &[(String, String)]) -> Result<Self> {
        let known = |name: &str| R::FILTERS.contains(&name) || ["page", "per_page", "sort"].contains(&name);
        let mut unknown: Vec<&str> = params.iter().map(|(name, _)| name.as_str()).filter(|name| !known(name)).collect();
        unknown.dedup();
        if !unknown.is_empty() {
            return Err(Error::other(format!("Invalid query params: {}", unknown.join(", "))));
        }
        let mut query = Self::new();
        for filter in R::FILTERS {
            let values: Vec<&str> =
                params.iter().filter(|(name, _)| name == filter).map(|(_, value)| value.as_str()).collect();
            if values.iter().any(|value| !value.is_empty()) {
                query.add(filter, &values);
            }
        }
        for (_, sort) in params.iter().filter(|(name, _)| name == "sort") {
            let parts: Vec<&str> = sort.split("__").collect();
            query.order.push((parts[0].to_owned(), parts.len() == 2 && parts[1] == "desc"));
        }
        let number = |name: &str, default: i64| {
            let given = params.iter().find(|(param, _)| param == name);
            given.map_or(default, |(_, value)| value.parse().unwrap_or(0))
        };
        query.paging = Paging::new(number("page", 1), number("per_page", PAGE));
        Ok(query)
    }

    /// Adds a filter by its name, as requests spell it: `state`, `updated_at__gteq`, `stage__in`, `node__is_null`.
    #[must_use]
    pub fn filter(mut self, name: &str, value: impl AsRef<str>) -> Self {
        self.add(name, &[value.as_ref()]);
        self
    }

    /// The column holds one of the values.
    #[must_use]
    pub fn any_of(mut self, column: &str, values: &[&str]) -> Self {
        self.add(&format!("{column}__in"), values);
        self
    }

    /// Adds a column to the order, smallest first.
    #[must_use]
    pub fn ascending(mut self, column: &str) -> Self {
        self.order.push((column.to_owned(), false));
        self
    }

    /// Adds a column to the order, largest first.
    #[must_use]
    pub fn descending(mut self, column: &str) -> Self {
        self.order.push((column.to_owned(), true));
        self
    }

    #[must_use]
    pub fn page(mut self, page: i64, per_page: i64) -> Self {
        self.paging = Paging::new(page, per_page);
        self
    }

    pub fn paging(&self) -> Paging {
        self.paging
    }

    fn add(&mut self, name: &str, values: &[&str]) {
        let (column, operator) = name.split_once("__").unwrap_or((name, ""));
        // The driver of the real server leaves NUL out of every text.
        let first = values.first().copied().unwrap_or_default().replace('\0', "");
        let compare = |operator| Test::Compare(operator, first.clone());
        let test = match operator {
            "ne" => compare("<>"),
            "gt" => compare(">"),
            "gteq" => compare(">="),
            "lt" => compare("<"),
            "lteq" => compare("<="),
            "starts_with" => Test::Like(format!("{first}%")),
            "contains" => Test::Like(format!("%{first}%")),
            "in" => Test::In(values.iter().map(|value| value.replace('\0', "")).collect()),
            "is_null" | "not_null" => match first.as_str() {
                "true" => Test::Null(operator == "is_null"),
                "false" => Test::Null(operator == "not_null"),
                _ => return,
            },
            _ => compare("="),
        };
        self.conditions.push(Condition { column: column.to_owned(), test });
    }

    /// ` WHERE …`, or nothing, and what its places hold.
    pub(super) fn condition<R: Listed>(&self) -> Result<(String, Vec<Value>)> {
        let mut clauses = Vec::new();
        let mut values = Vec::new();
        for Condition { column, test } in &self.conditions {
            let Column { name, kind } = column_of::<R>(column)?;
            // The real server does not quote the name, which then stands for the database's own user: nothing is ever
            // found by it.
            if name == "user" {
                clauses.push("FALSE".to_owned());
                continue;
            }
            match test {
                Test::Compare(operator, value) => {
                    clauses.push(format!("\"{name}\" {operator} ?"));
                    values.push(cast(value, kind)?);
                }
                Test::Like(pattern) => {
                    clauses.push(format!("ipattern(?, \"{name}\")"));
                    values.push(Value::Text(pattern.clone()));
                }
                Test::In(all) => {
                    clauses.push(format!("\"{name}\" IN (SELECT value FROM json_each(?))"));
                    values.push(Value::Text(
                        serde_json::to_string(all).map_err(|error| Error::other(error.to_string()))?,
                    ));
                }
                Test::Null(null) => clauses.push(format!("\"{name}\" IS {}NULL", if *null { "" } else { "NOT " })),
            }
        }
        let clause = if clauses.is_empty() { String::new() } else { format!(" WHERE {}", clauses.join(" AND ")) };
        Ok((clause, values))
    }

    /// ` ORDER BY …`
    pub(super) fn order<R: Listed>(&self) -> Result<String> {
        let default = [(R::ORDER.0.to_owned(), R::ORDER.1)];
        let order = if self.order.is_empty() { &default[..] } else { &self.order };
        let mut parts = Vec::new();
        for (column, falling) in order {
            let name = column_of::<R>(column)?.name;
            // NULL counts as largest in PostgreSQL and as smallest in SQLite.
            let nulls = match (["id", "created_at", "updated_at", "last_fixity_check"].contains(&name), falling) {
                (true, _) => "",
                (false, true) => " NULLS FIRST",
                (false, false) => " NULLS LAST",
            };
            parts.push(format!("\"{name}\"{}{nulls}", if *falling { " DESC" } else { "" }));
        }
        Ok(format!(" ORDER BY {}", parts.join(", ")))
    }
}

fn column_of<R: Listed>(name: &str) -> Result<Column> {
    let column = R::COLUMNS.iter().find(|column| column.name == name).copied();
    column.ok_or_else(|| Error::other(format!("ERROR #42703 column \"{name}\" does not exist")))
}

/// The text of a filter as the column's type, or the error of a database that cannot cast it.
fn cast(text: &str, kind: Kind) -> Result<Value> {
    let error = |code, what| Error::other(format!("ERROR #{code} invalid input syntax for type {what}: \"{text}\""));
    let wrong = |what| error("22P02", what);
    let value = match kind {
        Kind::Text => Value::Text(text.to_owned()),
        Kind::Integer => Value::Integer(text.trim().parse::<i32>().map_err(|_| wrong("integer"))?.into()),
        Kind::Bigint => Value::Integer(text.trim().parse().map_err(|_| wrong("bigint"))?),
        Kind::Bool => match text.trim().to_ascii_lowercase().as_str() {
            "t" | "true" | "y" | "yes" | "on" | "1" => Value::Integer(1),
            "f" | "false" | "n" | "no" | "off" | "0" => Value::Integer(0),
            _ => return Err(wrong("boolean")),
        },
        Kind::Time => Value::Text(Time::from_filter(text).ok_or_else(|| error("22007", "timestamp"))?.to_column()),
    };
    Ok(value)
}
