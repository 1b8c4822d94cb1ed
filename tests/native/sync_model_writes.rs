//! How the model server takes INSERT, UPDATE and DELETE: with constraints, defaults, triggers that stamp rows, and row security.

use std::{collections::BTreeMap, rc::Rc};

use serde_json::value::RawValue;
use tidelock::{
    Timestamp,
    ports::{HttpRequest, HttpResponse, Method},
};

use crate::sync_model::{Condition, Row, Server, State, compare, show, unescape};

type Predicate = Rc<dyn Fn(&Row) -> bool>;

/// What a table demands of its rows.
#[derive(Clone, Default)]
pub struct Rules {
    /// Its columns; none: those of its first row.
    pub columns: Vec<String>,
    /// The primary key; none: `id`.
    pub key: Vec<String>,
    /// A column that a trigger sets to the present moment with each write.
    pub stamp: Option<String>,
    pub defaults: Vec<(String, String)>,
    pub unique: Vec<String>,
    /// Column and the table whose `id` it refers to; deletions don't cascade.
    pub parents: Vec<(String, String)>,
    /// A check constraint.
    pub check: Option<Predicate>,
    /// Rows that may be read, but neither changed nor deleted.
    pub frozen: Option<Predicate>,
    /// Rows that can't be seen.
    pub hidden: Option<Predicate>,
    /// A boolean column, which refuses anything else.
    pub flag: Option<String>,
}

impl Server {
    /// A table with these columns and rules.
    pub fn define(&self, table: &str, columns: &[&str], rules: Rules) {
        let columns = columns.iter().map(|column| (*column).to_owned()).collect();
        let mut state = self.state.borrow_mut();
        state.tables.entry(table.to_owned()).or_default();
        state.rules.insert(table.to_owned(), Rules { columns, ..rules });
    }

    /// Another client changes a row, with all that a trigger does.
    pub fn change(&self, table: &str, id: &str, cells: &[(&str, &str)]) {
        let now = self.now();
        let mut state = self.state.borrow_mut();
        let rules = state.rules.get(table).cloned().unwrap_or_default();
        let stamp = stamp(&mut state, now);
        let rows = state.tables.get_mut(table).unwrap();
        let at = rows.iter().position(|row| row["id"] == id);
        let mut row = at.map_or_else(|| blank(&rules, &[("id", id)]), |at| rows[at].clone());
        for (column, value) in cells {
            row.insert((*column).to_owned(), (*value).to_owned());
        }
        if let Some(column) = &rules.stamp {
            row.insert(column.clone(), stamp);
        }
        match at {
            Some(at) => rows[at] = row,
            None => rows.push(row),
        }
    }

    pub(crate) fn write(&self, request: &HttpRequest, table: &str, query: &str) -> HttpResponse {
        let now = self.clock.now();
        let mut state = self.state.borrow_mut();
        if !state.tables.contains_key(table) {
            return error(404, "", "{}");
        }
        // A statement that fails leaves nothing.
        let before = (state.tables.clone(), state.history.len());
        match run(&mut state, request, table, query, now) {
            Ok(response) => response,
            Err(refused) => {
                state.tables = before.0;
                state.history.truncate(before.1);
                refused
            }
        }
    }
}

fn error(status: u16, code: &str, body: &str) -> HttpResponse {
    let body = if code.is_empty() { body.to_owned() } else { format!(r#"{{"code":"{code}","message":"{body}"}}"#) };
    HttpResponse { status, headers: vec![], body: body.into_bytes() }
}

/// A moment that is later than all before it.
fn stamp(state: &mut State, now: Timestamp) -> String {
    state.stamped = (state.stamped + 1).max(now.0 * 1000);
    let text = Timestamp(state.stamped / 1000).to_string();
    format!("\"{}{:03}+00:00\"", text.trim_end_matches('Z'), state.stamped % 1000)
}

fn blank(rules: &Rules, cells: &[(&str, &str)]) -> Row {
    let mut row: Row = rules.columns.iter().map(|column| (column.clone(), "null".to_owned())).collect();
    row.extend(rules.defaults.iter().cloned());
    row.extend(cells.iter().map(|(column, value)| ((*column).to_owned(), (*value).to_owned())));
    row
}

fn run(
    state: &mut State,
    request: &HttpRequest,
    table: &str,
    query: &str,
    now: Timestamp,
) -> Result<HttpResponse, HttpResponse> {
    let rules = state.rules.get(table).cloned().unwrap_or_default();
    let key = if rules.key.is_empty() { vec!["id".to_owned()] } else { rules.key.clone() };
    let header =
        |name: &str| request.headers.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value.as_str());
    assert_eq!(header("content-type"), "application/json");
    let (mut select, mut columns, mut conditions) = (Vec::new(), None, Vec::new());
    for pair in query.split('&') {
        let (name, value) = pair.split_once('=').unwrap();
        let (name, value) = (unescape(name), unescape(value));
        let list = || value.split(',').map(str::to_owned).collect::<Vec<_>>();
        match name.as_str() {
            "select" => select = list(),
            "columns" => columns = Some(list()),
            "on_conflict" => assert_eq!(list(), key, "on_conflict names the key"),
            column => {
                let (op, value) = value.split_once('.').unwrap();
                conditions.push(Condition::Compare(column.to_owned(), op.to_owned(), value.to_owned()));
            }
        }
    }
    let knows = |column: &String| rules.columns.is_empty() || rules.columns.contains(column);
    if select.iter().any(|column| !knows(column)) {
        return Err(error(400, "42703", "column does not exist"));
    }
    let body = std::str::from_utf8(request.body.as_deref().unwrap_or_default()).unwrap();
    let stamp = stamp(state, now);
    let mut touched = Vec::new();
    match request.method {
        Method::Post => {
            let columns = columns.expect("`columns` says which are sent");
            if columns.iter().any(|column| !knows(column)) {
                return Err(error(400, "PGRST204", "column not in the schema cache"));
            }
            let sent: Vec<BTreeMap<String, Box<RawValue>>> = serde_json::from_str(body).unwrap();
            for object in sent {
                assert!(object.keys().all(|column| columns.contains(column)) && object.len() == columns.len());
                let mut row = blank(&rules, &[]);
                row.extend(object.into_iter().map(|(column, value)| (column, value.get().to_owned())));
                let rows = &state.tables[table];
                if rows.iter().any(|known| key.iter().all(|column| compare(&known[column], &row[column]).is_eq())) {
                    assert!(header("prefer").contains("resolution=ignore-duplicates"));
                    continue;
                }
                if let Some(column) = &rules.stamp {
                    row.insert(column.clone(), stamp.clone());
                }
                state.tables.get_mut(table).unwrap().push(row.clone());
                state.history.push(format!("insert {}", row[&key[0]]));
                touched.push(row);
            }
        }
        Method::Patch | Method::Delete => {
            assert!(
                key.iter().all(|column| conditions
                    .iter()
                    .any(|one| matches!(one, Condition::Compare(name, ..) if name == column))),
                "a write without its key"
            );
            let may = |row: &Row| {
                let is = |predicate: &Option<Predicate>| predicate.as_ref().is_some_and(|predicate| predicate(row));
                conditions.iter().all(|condition| condition.holds(row)) && !is(&rules.frozen) && !is(&rules.hidden)
            };
            if request.method == Method::Delete {
                let (gone, kept) = state.tables.remove(table).unwrap().into_iter().partition(|row| may(row));
                touched = gone;
                state.history.extend(touched.iter().map(|row| format!("delete {}", row[&key[0]])));
                state.tables.insert(table.to_owned(), kept);
            } else {
                let sent: BTreeMap<String, Box<RawValue>> = serde_json::from_str(body).unwrap();
                if sent.keys().any(|column| !knows(column)) {
                    return Err(error(400, "PGRST204", "column not in the schema cache"));
                }
                if let Some(flag) = &rules.flag
                    && sent.get(flag).is_some_and(|value| !matches!(value.get(), "true" | "false"))
                {
                    return Err(error(400, "22P02", "invalid input syntax for type boolean"));
                }
                let State { tables, history, .. } = state;
                for row in tables.get_mut(table).unwrap().iter_mut().filter(|row| may(row)) {
                    for (column, value) in &sent {
                        let value = if value.get() == "\"now\"" { &stamp } else { value.get() };
                        let id = row[&key[0]].clone();
                        if row.insert(column.clone(), value.to_owned()).as_deref() != Some(value) {
                            history.push(format!("{id} {column} {value}"));
                        }
                    }
                    if let Some(column) = &rules.stamp {
                        row.insert(column.clone(), stamp.clone());
                    }
                    touched.push(row.clone());
                }
            }
        }
        _ => panic!("{:?}", request.method),
    }
    check(state, table, &rules, &touched, request.method)?;
    if header("prefer").contains("return=minimal") {
        return Ok(HttpResponse {
            status: if request.method == Method::Post { 201 } else { 204 },
            ..HttpResponse::default()
        });
    }
    let rows: Vec<String> = touched.iter().map(|row| show(row, &select)).collect();
    let status = if request.method == Method::Post && !touched.is_empty() { 201 } else { 200 };
    Ok(HttpResponse { status, headers: vec![], body: format!("[{}]", rows.join(",\n ")).into_bytes() })
}

fn check(state: &State, table: &str, rules: &Rules, touched: &[Row], method: Method) -> Result<(), HttpResponse> {
    if method == Method::Delete {
        for (child, child_rules) in &state.rules {
            for (column, _) in child_rules.parents.iter().filter(|(_, parent)| parent == table) {
                let orphan = |row: &Row| touched.iter().any(|gone| gone["id"] == row[column]);
                if state.tables[child].iter().any(orphan) {
                    return Err(error(409, "23503", "is still referenced"));
                }
            }
        }
        return Ok(());
    }
    for row in touched {
        if rules.check.as_ref().is_some_and(|check| !check(row)) {
            return Err(error(400, "23514", "violates check constraint"));
        }
        for (column, parent) in &rules.parents {
            if row[column] != "null" && !state.tables[parent].iter().any(|known| known["id"] == row[column]) {
                return Err(error(409, "23503", "violates foreign key constraint"));
            }
        }
        for column in &rules.unique {
            if row[column] != "null"
                && state.tables[table].iter().filter(|known| known[column] == row[column]).count() > 1
            {
                return Err(error(409, "23505", "duplicate key value violates unique constraint"));
            }
        }
    }
    Ok(())
}
