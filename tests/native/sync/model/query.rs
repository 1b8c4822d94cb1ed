//! The part of PostgREST's URLs that the model supports: its own parameters, and filters for all others.

use std::{cmp::Ordering, collections::BTreeMap};

use tidelock::ports::HttpResponse;

use super::{
    Row,
    values::{Kind, compare},
};

/// The query of a URL.
#[derive(Default)]
pub(crate) struct Query {
    pub(crate) select: Vec<String>,
    pub(crate) order: Vec<Order>,
    pub(crate) limit: Option<usize>,
    pub(crate) offset: usize,
    pub(crate) columns: Option<Vec<String>>,
    pub(crate) on_conflict: Option<Vec<String>>,
    pub(crate) conditions: Vec<Condition>,
}

/// Returns the answer to an invalid URL, value or column.
pub(crate) fn refusal(status: u16, code: &str, message: &str) -> HttpResponse {
    let message = message.replace('"', "'");
    let body = format!(r#"{{"code":"{code}","message":"{message}"}}"#);
    HttpResponse { status, headers: vec![], body: body.into_bytes() }
}

impl Query {
    /// Parses a query like PostgREST: a reserved parameter is never a column's filter.
    pub(crate) fn read(query: &str, kinds: &BTreeMap<String, Kind>) -> Result<Self, HttpResponse> {
        let mut read = Self::default();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap();
            let (name, value) = (unescape(name), unescape(value));
            let unclear = || refusal(400, "PGRST100", "failed to parse the query");
            match name.as_str() {
                "select" if value == "*" => read.select = vec![value],
                "select" => read.select = names(&value).ok_or_else(unclear)?,
                "columns" => read.columns = Some(names(&value).ok_or_else(unclear)?),
                "on_conflict" => read.on_conflict = Some(names(&value).ok_or_else(unclear)?),
                "order" => read.order = orders(&value).ok_or_else(unclear)?,
                "limit" => read.limit = value.parse().ok().or(read.limit),
                "offset" => read.offset = value.parse().unwrap_or(read.offset),
                _ => {
                    let condition = Condition::read(&name, &value).ok_or_else(unclear)?;
                    let invalid = || refusal(400, "22P02", "invalid input syntax");
                    read.conditions.push(condition.typed(kinds).ok_or_else(invalid)?);
                }
            }
        }
        Ok(read)
    }

    /// Returns the first column in the query that isn't one of `columns`.
    pub(crate) fn unknown(&self, columns: &[String]) -> Option<String> {
        let mut named: Vec<&String> = self.select.iter().filter(|name| *name != "*").collect();
        named.extend(self.order.iter().map(|order| &order.column));
        self.conditions.iter().for_each(|condition| condition.columns(&mut named));
        named.into_iter().find(|name| !columns.contains(name)).cloned()
    }

    pub(crate) fn holds(&self, row: &Row) -> bool {
        self.conditions.iter().all(|condition| condition.holds(row))
    }

    /// Returns whether the filters restrict this column to a set of values.
    pub(crate) fn pins(&self, column: &str) -> bool {
        self.conditions.iter().any(|condition| condition.pins(column))
    }

    pub(crate) fn sort(&self, rows: &mut [&Row]) {
        rows.sort_by(|a, b| {
            let mut orders = self.order.iter().map(|order| order.compare(a, b));
            orders.find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
        });
    }
}

/// A column of `order=`. NULL sorts last in either direction, unless `nullsfirst` is set.
pub(crate) struct Order {
    column: String,
    descending: bool,
    nulls_first: bool,
}

impl Order {
    fn compare(&self, a: &Row, b: &Row) -> Ordering {
        let (a, b) = (&a[&self.column], &b[&self.column]);
        let order = compare(a, b);
        if self.nulls_first && (a == "null") != (b == "null") {
            return (b == "null").cmp(&(a == "null"));
        }
        if self.descending && a != "null" && b != "null" { order.reverse() } else { order }
    }
}

#[derive(Debug)]
pub(crate) enum Condition {
    And(Vec<Condition>),
    Or(Vec<Condition>),
    Not(Box<Condition>),
    Null(String),
    In(String, Vec<String>),
    Compare(String, String, String),
}

impl Condition {
    /// Parses the filter of a parameter that isn't reserved.
    fn read(name: &str, value: &str) -> Option<Self> {
        let tree = |name: &str| {
            let text = format!("{name}{value}");
            let mut tokens = Tokens(&text);
            let tree = tokens.condition()?;
            tokens.0.is_empty().then_some(tree)
        };
        match name {
            "and" | "or" => tree(name),
            "not.and" | "not.or" => tree(&name[4..]).map(|tree| Self::Not(Box::new(tree))),
            _ => {
                let mut tokens = Tokens(name);
                let column = tokens.name()?;
                tokens.0.is_empty().then_some(())?;
                Self::operation(column, &mut Tokens(value), true)
            }
        }
    }

    /// Parses `eq.5`, `not.is.null`, `in.(1,2)`. At the top level a value extends to the end, in a tree to the next
    /// comma.
    fn operation(column: String, tokens: &mut Tokens<'_>, top: bool) -> Option<Self> {
        if tokens.take("not.") {
            return Some(Self::Not(Box::new(Self::operation(column, tokens, top)?)));
        }
        let (op, rest) = tokens.0.split_once('.')?;
        tokens.0 = rest;
        match op {
            "in" => {
                tokens.take("(").then_some(())?;
                let mut values = vec![tokens.value()?];
                while tokens.take(",") {
                    values.push(tokens.value()?);
                }
                tokens.take(")").then_some(Self::In(column, values))
            }
            "is" => (tokens.value()? == "null").then_some(Self::Null(column)),
            "gt" | "gte" | "lt" | "lte" | "eq" | "neq" => {
                let value = if top { std::mem::take(&mut tokens.0).to_owned() } else { tokens.value()? };
                Some(Self::Compare(column, op.to_owned(), value))
            }
            _ => None,
        }
    }

    /// Converts the values to the spelling of the columns' types; `None` if a value doesn't fit its column.
    fn typed(self, kinds: &BTreeMap<String, Kind>) -> Option<Self> {
        let kind = |column: &String| kinds.get(column).copied().unwrap_or_default();
        let all = |list: Vec<Self>| list.into_iter().map(|one| one.typed(kinds)).collect::<Option<Vec<_>>>();
        Some(match self {
            Self::And(list) => Self::And(all(list)?),
            Self::Or(list) => Self::Or(all(list)?),
            Self::Not(one) => Self::Not(Box::new(one.typed(kinds)?)),
            Self::Null(column) => Self::Null(column),
            Self::In(column, values) => {
                let values = values.iter().map(|value| kind(&column).filter(value)).collect::<Option<_>>()?;
                Self::In(column, values)
            }
            Self::Compare(column, op, value) => {
                let value = kind(&column).filter(&value)?;
                Self::Compare(column, op, value)
            }
        })
    }

    fn columns<'a>(&'a self, found: &mut Vec<&'a String>) {
        match self {
            Self::And(list) | Self::Or(list) => list.iter().for_each(|one| one.columns(found)),
            Self::Not(one) => one.columns(found),
            Self::Null(column) | Self::In(column, _) | Self::Compare(column, ..) => found.push(column),
        }
    }

    fn pins(&self, column: &str) -> bool {
        match self {
            Self::And(list) => list.iter().any(|one| one.pins(column)),
            Self::Or(list) => list.iter().all(|one| one.pins(column)),
            Self::In(name, _) => name == column,
            Self::Compare(name, op, _) => name == column && op == "eq",
            Self::Not(_) | Self::Null(_) => false,
        }
    }

    pub(crate) fn holds(&self, row: &Row) -> bool {
        match self {
            Self::And(all) => all.iter().all(|condition| condition.holds(row)),
            Self::Or(any) => any.iter().any(|condition| condition.holds(row)),
            Self::Not(one) => one.known(row) && !one.holds(row),
            Self::Null(column) => row[column] == "null",
            Self::In(column, values) => {
                row[column] != "null" && values.iter().any(|value| compare(&row[column], value).is_eq())
            }
            Self::Compare(column, op, value) => {
                let order = compare(&row[column], value);
                row[column] != "null"
                    && match op.as_str() {
                        "gt" => order.is_gt(),
                        "gte" => order.is_ge(),
                        "lt" => order.is_lt(),
                        "lte" => order.is_le(),
                        "neq" => order.is_ne(),
                        _ => order.is_eq(),
                    }
            }
        }
    }

    /// Returns whether no compared value is NULL: comparisons with NULL are neither true nor false.
    fn known(&self, row: &Row) -> bool {
        match self {
            Self::In(column, _) | Self::Compare(column, ..) => row[column] != "null",
            _ => true,
        }
    }
}

struct Tokens<'a>(&'a str);

impl Tokens<'_> {
    fn take(&mut self, text: &str) -> bool {
        match self.0.strip_prefix(text) {
            Some(rest) => {
                self.0 = rest;
                true
            }
            None => false,
        }
    }

    /// Parses a tree: `or(a.gt."x",and(a.eq."x",b.gt."y"))`.
    fn condition(&mut self) -> Option<Condition> {
        for word in ["or(", "and("] {
            if self.take(word) {
                let mut parts = vec![self.condition()?];
                while self.take(",") {
                    parts.push(self.condition()?);
                }
                self.take(")").then_some(())?;
                return Some(if word == "or(" { Condition::Or(parts) } else { Condition::And(parts) });
            }
        }
        let column = self.name()?;
        self.take(".").then_some(())?;
        Condition::operation(column, self, false)
    }

    /// Parses a column's name: quoted, or of letters, digits, `_`, `$` and blanks.
    fn name(&mut self) -> Option<String> {
        if self.0.starts_with('"') {
            return self.quoted();
        }
        let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '$' | ' ');
        let end = self.0.find(|c| !plain(c)).unwrap_or(self.0.len());
        let (name, rest) = self.0.split_at(end);
        self.0 = rest;
        (!name.is_empty()).then(|| name.to_owned())
    }

    /// Reads a value: quoted, or up to a delimiter.
    fn value(&mut self) -> Option<String> {
        if self.0.starts_with('"') {
            return self.quoted();
        }
        let end = self.0.find([',', ')']).unwrap_or(self.0.len());
        let (value, rest) = self.0.split_at(end);
        self.0 = rest;
        Some(value.to_owned())
    }

    fn quoted(&mut self) -> Option<String> {
        let rest = &self.0[1..];
        let mut value = String::new();
        let mut chars = rest.char_indices();
        loop {
            match chars.next()? {
                (_, '\\') => value.push(chars.next()?.1),
                (at, '"') => {
                    self.0 = &rest[at + 1..];
                    return Some(value);
                }
                (_, other) => value.push(other),
            }
        }
    }
}

fn names(list: &str) -> Option<Vec<String>> {
    let mut tokens = Tokens(list);
    let mut names = Vec::new();
    loop {
        names.push(tokens.name()?);
        if !tokens.take(",") {
            return tokens.0.is_empty().then_some(names);
        }
    }
}

fn orders(list: &str) -> Option<Vec<Order>> {
    let mut tokens = Tokens(list);
    let mut orders = Vec::new();
    loop {
        let column = tokens.name()?;
        let descending = !tokens.take(".asc") && tokens.take(".desc");
        let nulls_first = !tokens.take(".nullslast") && tokens.take(".nullsfirst");
        orders.push(Order { column, descending, nulls_first });
        if !tokens.take(",") {
            return tokens.0.is_empty().then_some(orders);
        }
    }
}

pub(super) fn unescape(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((byte, tail)) = rest.split_first() {
        match byte {
            b'%' => {
                bytes.push(u8::from_str_radix(std::str::from_utf8(&tail[..2]).unwrap(), 16).unwrap());
                rest = &tail[2..];
                continue;
            }
            b'+' => bytes.push(b' '),
            other => bytes.push(*other),
        }
        rest = tail;
    }
    String::from_utf8(bytes).unwrap()
}
