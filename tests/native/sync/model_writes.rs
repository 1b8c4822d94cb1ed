//! The model server's INSERT, UPDATE and DELETE: with constraints, defaults, triggers that stamp rows, and row
//! security.

use std::{collections::BTreeMap, rc::Rc};

use serde_json::value::RawValue;
use tidelock::{
    Timestamp,
    ports::{HttpRequest, HttpResponse, Method},
};

use crate::sync::model::{
    Query, Row, Server, State, compare, refusal, show,
    values::{Kind, plain, string},
};

type Predicate = Rc<dyn Fn(&Row) -> bool>;

/// Returns the value that a trigger stores instead of the given one.
pub type Rewrite = fn(&str) -> String;

/// Returns the value that the server generates from a row.
pub type Generate = fn(&Row) -> String;

/// The rules of a table.
#[derive(Clone, Default)]
pub struct Rules {
    /// Its columns; if empty, the columns of its first row.
    pub columns: Vec<String>,
    /// The primary key; none: `id`.
    pub key: Vec<String>,
    /// A column that a trigger sets to the current time with each write.
    pub stamp: Option<String>,
    /// Current times are without a time zone, and so many hours later than those of UTC.
    pub zone: Option<i64>,
    pub defaults: Vec<(String, String)>,
    pub unique: Vec<String>,
    /// Whether the unique constraints are deferrable.
    pub deferrable: bool,
    /// The foreign keys: a column, and the table whose `id` it references; deletions don't cascade.
    pub parents: Vec<(String, String)>,
    /// A check constraint.
    pub check: Option<Predicate>,
    /// Rows that can be read, but not changed or deleted.
    pub frozen: Option<Predicate>,
    /// Rows that row security hides.
    pub hidden: Option<Predicate>,
    /// A boolean column, which refuses other values.
    pub flag: Option<String>,
    /// The types of its columns; a column without a type accepts every value.
    pub kinds: BTreeMap<String, Kind>,
    /// The triggers that change the values of columns.
    pub rewrites: Vec<(String, Rewrite)>,
    /// Columns that only the server writes.
    pub generated: Vec<(String, Generate)>,
    /// Columns that can't be NULL.
    pub required: Vec<String>,
    /// The methods that the role may not use. With `Get` among them, rows can't be read, returned or compared either.
    pub refuses: Vec<Method>,
    /// Rows whose writes fail in a trigger.
    pub breaks: Option<Predicate>,
    /// Rows whose text a firewall before the server refuses.
    pub blocks: Option<Predicate>,
    /// Columns that no tested client may send.
    pub never_sent: Vec<String>,
}

impl Rules {
    fn key(&self) -> Vec<String> {
        if self.key.is_empty() { vec!["id".to_owned()] } else { self.key.clone() }
    }

    /// Returns the stored form of a value.
    fn store(&self, column: &str, json: &str) -> Result<String, HttpResponse> {
        let kind = self.kinds.get(column).copied().unwrap_or_default();
        let stored = kind.store(json).ok_or_else(|| refusal(400, "22P02", &format!("invalid input for {column}")))?;
        let rewrite = self.rewrites.iter().find(|(name, _)| name == column).filter(|_| stored != "null");
        Ok(rewrite.map_or(stored.clone(), |(_, rewrite)| rewrite(&stored)))
    }

    fn generate(&self, row: &mut Row) {
        for (column, generate) in &self.generated {
            let value = generate(row);
            row.insert(column.clone(), value);
        }
    }

    /// Returns a time in microseconds as JSON.
    fn spelled_time(&self, micros: i64) -> String {
        let hours = self.zone.unwrap_or_default();
        let text = Timestamp(micros.div_euclid(1000)).plus_ms(hours * 3_600_000).to_string();
        let zone = if self.zone.is_some() { "" } else { "+00:00" };
        format!("\"{}{:03}{zone}\"", text.trim_end_matches('Z'), micros.rem_euclid(1000))
    }

    /// Returns a new row with its defaults.
    fn blank(&self, stamp: &str) -> Row {
        let mut row: Row = self.columns.iter().map(|column| (column.clone(), "null".to_owned())).collect();
        let default = |value: &String| if value == NOW { stamp.to_owned() } else { value.clone() };
        row.extend(self.defaults.iter().map(|(column, value)| (column.clone(), default(value))));
        row
    }
}

/// The value that stands for the current time, as a default or as a sent value.
pub const NOW: &str = "\"now\"";

/// A change of a table, with what a rollback restores.
pub(crate) enum Undo {
    /// A row was added at the end.
    Added { table: String },
    /// The row at this index was another one.
    Replaced { table: String, at: usize, row: Row },
    /// Rows were deleted from these ones.
    Deleted { table: String, rows: Vec<Row> },
}

impl State {
    /// Replaces the row at this index.
    fn replace(&mut self, table: &str, at: usize, row: Row) {
        let row = std::mem::replace(&mut self.tables.get_mut(table).unwrap()[at], row);
        self.undo.push(Undo::Replaced { table: table.to_owned(), at, row });
    }

    /// Begins the changes that a rollback undoes. Returns how long the history is.
    fn begin_changes(&mut self) -> usize {
        self.undo.clear();
        self.history.len()
    }

    /// Undoes the changes since the beginning, when the history had this length.
    fn roll_back(&mut self, history: usize, transaction: u64) {
        while let Some(undo) = self.undo.pop() {
            match undo {
                Undo::Added { table } => _ = self.tables.get_mut(&table).unwrap().pop(),
                Undo::Replaced { table, at, row } => self.tables.get_mut(&table).unwrap()[at] = row,
                Undo::Deleted { table, rows } => _ = self.tables.insert(table, rows),
            }
        }
        self.history.truncate(history);
        self.helped.roll_back(transaction);
    }
}

/// A transaction of another client.
pub struct Transaction {
    number: u64,
    began: Timestamp,
}

impl Transaction {
    pub fn began(&self) -> Timestamp {
        self.began
    }
}

impl Server {
    /// Defines a table with these columns and rules.
    pub fn define(&self, table: &str, columns: &[&str], rules: Rules) {
        let columns = columns.iter().map(|column| (*column).to_owned()).collect();
        let mut state = self.state.borrow_mut();
        state.tables.entry(table.to_owned()).or_default();
        state.rules.insert(table.to_owned(), Rules { columns, ..rules });
    }

    /// Returns a value in the spelling of the column's type.
    pub fn spelled(&self, table: &str, column: &str, text: &str) -> String {
        let kind = self.state.borrow().rules.get(table).and_then(|rules| rules.kinds.get(column).copied());
        kind.and_then(|kind| kind.store(&string(text))).map_or(text.to_owned(), |json| plain(&json))
    }

    /// Changes a row as another client, including the effects of triggers.
    pub fn change(&self, table: &str, id: &str, cells: &[(&str, &str)]) {
        let now = self.now();
        let mut state = self.state.borrow_mut();
        let rules = state.rules.get(table).cloned().unwrap_or_default();
        let stamp = stamp(&mut state, &rules, now);
        let rows = state.tables.get_mut(table).unwrap();
        let at = rows.iter().position(|row| row["id"] == id);
        let mut row = at.map_or_else(|| rules.blank(&stamp), |at| rows[at].clone());
        row.insert("id".to_owned(), id.to_owned());
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

    pub fn begin(&self) -> Transaction {
        Transaction { number: self.state.borrow_mut().helped.begin(), began: self.now() }
    }

    pub fn end(&self, transaction: Transaction) {
        self.state.borrow_mut().helped.end(transaction.number);
    }

    /// Writes the row of this key as another client. Returns whether the server accepted it. Triggers stamp the row
    /// with the start of the transaction; without a stamp trigger, the client sets the column `by_hand`.
    pub fn write_row(
        &self,
        table: &str,
        key: &Row,
        cells: &Row,
        by_hand: Option<&str>,
        transaction: &Transaction,
    ) -> bool {
        let now = self.now();
        let mut state = self.state.borrow_mut();
        let rules = state.rules.get(table).cloned().unwrap_or_default();
        let late = now.since(transaction.began) > 0;
        let stamp = if late {
            rules.spelled_time(transaction.began.0 * 1000 + 500 + (transaction.number % 500) as i64)
        } else {
            stamp(&mut state, &rules, now)
        };
        let Ok(cells) = cells
            .iter()
            .map(|(name, value)| Ok((name.clone(), rules.store(name, value)?)))
            .collect::<Result<Row, HttpResponse>>()
        else {
            return false;
        };
        let rows = &state.tables[table];
        let at = rows.iter().position(|row| key.iter().all(|(name, value)| row[name] == *value));
        let before = at.map(|at| rows[at].clone());
        let mut row = before.clone().unwrap_or_else(|| rules.blank(&stamp));
        row.extend(key.clone());
        row.extend(cells);
        row.extend(
            rules.stamp.iter().map(String::as_str).chain(by_hand).map(|column| (column.to_owned(), stamp.clone())),
        );
        rules.generate(&mut row);
        state.helped.stamp(table, &mut row, transaction.number);
        let rows = state.tables.get_mut(table).unwrap();
        match at {
            Some(at) => rows[at] = row.clone(),
            None => rows.push(row.clone()),
        }
        let taken = check(&state, table, &rules, &[row], Method::Post).is_ok();
        if !taken {
            let rows = state.tables.get_mut(table).unwrap();
            match at.zip(before) {
                Some((at, before)) => rows[at] = before,
                None => _ = rows.pop(),
            }
        }
        taken
    }

    /// Deletes the row of this key as another client. Returns whether it existed and no row references it.
    pub fn delete_row(&self, table: &str, key: &Row, transaction: &Transaction) -> bool {
        let mut state = self.state.borrow_mut();
        let rules = state.rules.get(table).cloned().unwrap_or_default();
        let before = state.tables[table].clone();
        let is = |row: &Row| key.iter().all(|(name, value)| row[name] == *value);
        let (gone, kept): (Vec<Row>, Vec<Row>) = before.iter().cloned().partition(is);
        state.tables.insert(table.to_owned(), kept);
        let taken = !gone.is_empty() && check(&state, table, &rules, &gone, Method::Delete).is_ok();
        if taken {
            gone.iter().for_each(|row| state.helped.bury(table, &rules.key(), row, transaction.number));
        } else {
            state.tables.insert(table.to_owned(), before);
        }
        taken
    }

    /// Changes the rules and rows of a table.
    pub fn alter(&self, table: &str, alter: impl FnOnce(&mut Rules, &mut Vec<Row>)) {
        let State { tables, rules, .. } = &mut *self.state.borrow_mut();
        alter(rules.get_mut(table).unwrap(), tables.get_mut(table).unwrap());
    }

    /// Runs the helpers' SQL for a table.
    pub fn install_helpers(&self, table: &str) {
        let State { tables, helped, .. } = &mut *self.state.borrow_mut();
        helped.install(table, tables.get_mut(table).unwrap());
    }

    /// Runs `tidelock_push` of the helpers: applies all updates if each row still equals its base, otherwise none.
    pub(crate) fn push(&self, request: &HttpRequest) -> HttpResponse {
        let now = self.clock.now();
        let mut state = self.state.borrow_mut();
        if !state.helped.any() {
            return refusal(404, "PGRST202", "Could not find the function");
        }
        let body: Pushed = serde_json::from_slice(request.body.as_deref().unwrap_or_default()).unwrap();
        let transaction = state.helped.begin();
        let before = state.begin_changes();
        let Changes { changes, deferred } = body.push;
        let mut written = Vec::new();
        let mut failed = None;
        for change in changes {
            let table = change.table.clone();
            match change.apply(&mut state, now, transaction, deferred) {
                Some(row) => written.push((table, row)),
                None => {
                    failed = Some(written.len());
                    break;
                }
            }
        }
        let is_valid = |(table, row): &(String, Row)| {
            check(&state, table, &state.rules[table], std::slice::from_ref(row), Method::Patch).is_ok()
        };
        if failed.is_none() && deferred && !written.iter().all(is_valid) {
            failed = Some(written.len() - 1);
        }
        if let Some(failed) = failed {
            state.roll_back(before, transaction);
            state.helped.end(transaction);
            let body = format!(r#"{{"applied":false,"results":[],"failed":{failed}}}"#);
            return HttpResponse { status: 200, headers: vec![], body: body.into_bytes() };
        }
        let results: Vec<String> = written
            .iter()
            .map(|(_, row)| format!(r#"{{"status":"done","row":{}}}"#, show(row, &["*".to_owned()])))
            .collect();
        state.helped.end(transaction);
        let body = format!(r#"{{"applied":true,"results":[{}]}}"#, results.join(","));
        HttpResponse { status: 200, headers: vec![], body: body.into_bytes() }
    }

    pub(crate) fn write(&self, request: &HttpRequest, table: &str, query: &str) -> HttpResponse {
        let now = self.clock.now();
        let mut state = self.state.borrow_mut();
        if !state.tables.contains_key(table) {
            return HttpResponse { status: 404, headers: vec![], body: b"{}".to_vec() };
        }
        let transaction = state.helped.begin();
        // A failed statement has no effect.
        let before = state.begin_changes();
        let answer = match run(&mut state, request, table, query, now, transaction) {
            Ok(response) => response,
            Err(refused) => {
                state.roll_back(before, transaction);
                refused
            }
        };
        state.helped.end(transaction);
        answer
    }
}

/// The arguments of `tidelock_push`.
#[derive(serde::Deserialize)]
struct Pushed {
    push: Changes,
}

#[derive(serde::Deserialize)]
struct Changes {
    changes: Vec<Change>,
    #[serde(default)]
    deferred: bool,
}

type Object = BTreeMap<String, Box<RawValue>>;

#[derive(serde::Deserialize)]
struct Change {
    op: String,
    table: String,
    key: Object,
    row: Object,
    #[serde(default)]
    base: Object,
}

impl Change {
    /// Applies the update. Returns the new row, or `None` if it is refused. `deferred`: whether deferrable constraints are
    /// checked later.
    fn apply(self, state: &mut State, now: Timestamp, transaction: u64, deferred: bool) -> Option<Row> {
        assert_eq!(self.op, "update");
        let mut rules = state.rules.get(&self.table)?.clone();
        if deferred && rules.deferrable {
            rules.unique.clear();
        }
        if rules.refuses.iter().any(|method| matches!(method, Method::Get | Method::Patch)) {
            return None;
        }
        let stamp = stamp(state, &rules, now);
        let statement = Statement { rules: &rules, key: rules.key(), prefer: "", stamp, transaction };
        let stored = |object: Object| -> Option<Row> {
            let store = |(column, value): (String, Box<RawValue>)| {
                Some((column.clone(), rules.store(&column, value.get()).ok()?))
            };
            object.into_iter().map(store).collect()
        };
        let (key, base) = (stored(self.key)?, stored(self.base)?);
        let cells = statement.sent(self.row).ok()?;
        let is = |predicate: &Option<Predicate>, row: &Row| predicate.as_ref().is_some_and(|predicate| predicate(row));
        let same = |row: &Row| {
            let all = key.iter().chain(&base).all(|(column, value)| compare(&row[column], value).is_eq());
            all && !is(&rules.frozen, row) && !is(&rules.hidden, row)
        };
        let rows = state.tables.get(&self.table)?;
        let at = rows.iter().position(same)?;
        let mut row = rows[at].clone();
        row.extend(cells);
        statement.stamped(state, &self.table, &mut row);
        state.replace(&self.table, at, row.clone());
        check(state, &self.table, &rules, std::slice::from_ref(&row), Method::Patch).ok()?;
        Some(row)
    }
}

/// Returns a new timestamp, later than all previous ones.
fn stamp(state: &mut State, rules: &Rules, now: Timestamp) -> String {
    state.stamped = (state.stamped + 1).max(now.0 * 1000);
    rules.spelled_time(state.stamped)
}

/// The context of a statement that writes.
struct Statement<'a> {
    rules: &'a Rules,
    key: Vec<String>,
    prefer: &'a str,
    stamp: String,
    transaction: u64,
}

fn run(
    state: &mut State,
    request: &HttpRequest,
    table: &str,
    query: &str,
    now: Timestamp,
    transaction: u64,
) -> Result<HttpResponse, HttpResponse> {
    let rules = state.rules.get(table).cloned().unwrap_or_default();
    let header =
        |name: &str| request.headers.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value.as_str());
    assert_eq!(header("content-type"), "application/json");
    let prefer = header("prefer");
    let query = Query::read(query, &rules.kinds)?;
    let minimal = prefer.contains("return=minimal");
    let compares = query.on_conflict.is_some() || request.method != Method::Post;
    let blind = rules.refuses.contains(&Method::Get) && (compares || !minimal);
    if blind || rules.refuses.contains(&request.method) {
        let status = if header("authorization").is_empty() { 401 } else { 403 };
        return Err(refusal(status, "42501", &format!("permission denied for table {table}")));
    }
    let columns = state.helped.with_stamp(table, rules.columns.clone());
    if let Some(unknown) = query.unknown(&columns).filter(|_| !columns.is_empty()) {
        return Err(refusal(400, "42703", &format!("column {table}.{unknown} does not exist")));
    }
    let body = std::str::from_utf8(request.body.as_deref().unwrap_or_default()).unwrap();
    let stamp = stamp(state, &rules, now);
    let statement = Statement { rules: &rules, key: rules.key(), prefer, stamp, transaction };
    let touched = match request.method {
        Method::Post => statement.insert(state, table, &query, body)?,
        Method::Patch => statement.update(state, table, &query, body)?,
        Method::Delete => statement.delete(state, table, &query),
        _ => panic!("{:?}", request.method),
    };
    check(state, table, &rules, &touched, request.method)?;
    if minimal {
        let counted = prefer.contains("count=exact").then(|| format!("*/{}", touched.len()));
        return Ok(HttpResponse {
            status: if request.method == Method::Post { 201 } else { 204 },
            headers: counted.map(|range| ("content-range".to_owned(), range)).into_iter().collect(),
            body: vec![],
        });
    }
    let rows: Vec<String> = touched.iter().map(|row| show(row, &query.select)).collect();
    let status = if request.method == Method::Post && !touched.is_empty() { 201 } else { 200 };
    Ok(HttpResponse { status, headers: vec![], body: format!("[{}]", rows.join(",\n ")).into_bytes() })
}

impl Statement<'_> {
    /// Returns the stored form of the values of an object.
    fn sent(&self, object: BTreeMap<String, Box<RawValue>>) -> Result<Row, HttpResponse> {
        let columns = &self.rules.columns;
        if let Some(unknown) = object.keys().find(|column| !columns.is_empty() && !columns.contains(column)) {
            return Err(refusal(400, "PGRST204", &format!("column {unknown} is not in the schema cache")));
        }
        if let Some(column) = object.keys().find(|column| self.rules.never_sent.contains(column)) {
            panic!("{column} was sent");
        }
        if let Some((column, _)) = self.rules.generated.iter().find(|(column, _)| object.contains_key(column)) {
            // What PostgreSQL says of an INSERT has the word "a", which may be a column, too.
            let message = format!("cannot insert a non-DEFAULT value into column \"{column}\"");
            return Err(refusal(400, "428C9", &message));
        }
        if let Some(flag) = &self.rules.flag
            && object.get(flag).is_some_and(|value| !matches!(value.get(), "true" | "false"))
        {
            return Err(refusal(400, "22P02", "invalid input syntax for type boolean"));
        }
        let stored = |value: &str, column: &String| match value {
            NOW => Ok(self.stamp.clone()),
            value => self.rules.store(column, value),
        };
        object.into_iter().map(|(column, value)| Ok((column.clone(), stored(value.get(), &column)?))).collect()
    }

    fn stamped(&self, state: &State, table: &str, row: &mut Row) {
        self.rules.generate(row);
        if let Some(column) = &self.rules.stamp {
            row.insert(column.clone(), self.stamp.clone());
        }
        state.helped.stamp(table, row, self.transaction);
    }

    fn insert(&self, state: &mut State, table: &str, query: &Query, body: &str) -> Result<Vec<Row>, HttpResponse> {
        let columns = query.columns.as_ref().expect("`columns` says which are sent");
        if let Some(conflict) = &query.on_conflict {
            assert_eq!(conflict, &self.key, "on_conflict names the key");
        }
        if let Some(unknown) =
            columns.iter().find(|column| !self.rules.columns.is_empty() && !self.rules.columns.contains(column))
        {
            return Err(refusal(400, "PGRST204", &format!("column {unknown} is not in the schema cache")));
        }
        let defaults = self.prefer.contains("missing=default");
        let sent: Vec<BTreeMap<String, Box<RawValue>>> = serde_json::from_str(body).unwrap();
        let mut touched = Vec::new();
        for object in sent {
            assert!(object.keys().all(|column| columns.contains(column)), "what isn't in `columns` is ignored");
            assert!(defaults || object.len() == columns.len(), "what is missing becomes NULL");
            let cells = self.sent(object)?;
            let mut row = self.rules.blank(&self.stamp);
            row.extend(cells.clone());
            let same = |known: &Row| self.key.iter().all(|column| compare(&known[column], &row[column]).is_eq());
            match state.tables[table].iter().position(same) {
                Some(_) if self.prefer.contains("resolution=ignore-duplicates") => continue,
                Some(at) if self.prefer.contains("resolution=merge-duplicates") => {
                    row = state.tables[table][at].clone();
                    row.extend(cells);
                    self.stamped(state, table, &mut row);
                    state.replace(table, at, row.clone());
                }
                Some(_) => return Err(duplicate(table, "pkey")),
                None => {
                    self.stamped(state, table, &mut row);
                    state.history.push(format!("insert {}", row[&self.key[0]]));
                    state.tables.get_mut(table).unwrap().push(row.clone());
                    state.undo.push(Undo::Added { table: table.to_owned() });
                }
            }
            touched.push(row);
        }
        Ok(touched)
    }

    fn may(&self, query: &Query, row: &Row) -> bool {
        let is = |predicate: &Option<Predicate>| predicate.as_ref().is_some_and(|predicate| predicate(row));
        query.holds(row) && !is(&self.rules.frozen) && !is(&self.rules.hidden)
    }

    fn update(&self, state: &mut State, table: &str, query: &Query, body: &str) -> Result<Vec<Row>, HttpResponse> {
        assert!(self.key.iter().all(|column| query.pins(column)), "a write without its key");
        let cells = self.sent(serde_json::from_str(body).unwrap())?;
        let may = |(at, row): (usize, &Row)| self.may(query, row).then_some(at);
        let found: Vec<usize> = state.tables[table].iter().enumerate().filter_map(may).collect();
        let mut touched = Vec::new();
        for at in found {
            let mut row = state.tables[table][at].clone();
            let id = row[&self.key[0]].clone();
            for (column, value) in &cells {
                if row.insert(column.clone(), value.clone()).as_ref() != Some(value) {
                    state.history.push(format!("{id} {column} {value}"));
                }
            }
            self.stamped(state, table, &mut row);
            state.replace(table, at, row.clone());
            touched.push(row);
        }
        Ok(touched)
    }

    fn delete(&self, state: &mut State, table: &str, query: &Query) -> Vec<Row> {
        assert!(self.key.iter().all(|column| query.pins(column)), "a write without its key");
        if !state.tables[table].iter().any(|row| self.may(query, row)) {
            return Vec::new();
        }
        let rows = state.tables.remove(table).unwrap();
        state.undo.push(Undo::Deleted { table: table.to_owned(), rows: rows.clone() });
        let (gone, kept): (Vec<Row>, Vec<Row>) = rows.into_iter().partition(|row| self.may(query, row));
        state.tables.insert(table.to_owned(), kept);
        for row in &gone {
            state.history.push(format!("delete {}", row[&self.key[0]]));
            state.helped.bury(table, &self.key, row, self.transaction);
        }
        gone
    }
}

fn duplicate(table: &str, constraint: &str) -> HttpResponse {
    refusal(409, "23505", &format!("duplicate key value violates unique constraint \"{table}_{constraint}\""))
}

/// Checks the constraints at the end of a statement.
fn check(state: &State, table: &str, rules: &Rules, touched: &[Row], method: Method) -> Result<(), HttpResponse> {
    if rules.breaks.as_ref().is_some_and(|breaks| touched.iter().any(|row| breaks(row))) {
        return Err(refusal(500, "XX000", "a trigger broke"));
    }
    if rules.blocks.as_ref().is_some_and(|blocks| touched.iter().any(|row| blocks(row))) {
        let body = b"<html>Sorry, you have been blocked</html>".to_vec();
        return Err(HttpResponse { status: 403, headers: vec![], body });
    }
    let key_of = |parent: &str| state.rules.get(parent).map_or("id".to_owned(), |rules| rules.key()[0].clone());
    if method == Method::Delete {
        let key = rules.key()[0].clone();
        for (child, child_rules) in &state.rules {
            for (column, _) in child_rules.parents.iter().filter(|(_, parent)| parent == table) {
                let orphan = |row: &Row| touched.iter().any(|gone| gone[&key] == row[column]);
                if state.tables[child].iter().any(orphan) {
                    return Err(refusal(409, "23503", "is still referenced"));
                }
            }
        }
        return Ok(());
    }
    for row in touched {
        if let Some(column) = rules.required.iter().find(|column| row[*column] == "null") {
            return Err(refusal(400, "23502", &format!("null value in column {column} violates not-null constraint")));
        }
        if rules.check.as_ref().is_some_and(|check| !check(row)) {
            return Err(refusal(400, "23514", "violates check constraint"));
        }
        for (column, parent) in &rules.parents {
            let key = key_of(parent);
            if row[column] != "null" && !state.tables[parent].iter().any(|known| known[&key] == row[column]) {
                return Err(refusal(409, "23503", "violates foreign key constraint"));
            }
        }
        for column in &rules.unique {
            let same = state.tables[table].iter().filter(|known| known[column] == row[column]).count();
            if row[column] != "null" && same > 1 {
                return Err(duplicate(table, &format!("{column}_key")));
            }
        }
    }
    Ok(())
}
