//! Adapts pending changes to a changed schema, in the transaction that changes it. So an entry of the outbox always
//! matches the present schema, and needs no version of its own.
//!
//! An update changed the columns that differ from its base. A new column gets a base, too: what the migration put into
//! it, so that a default doesn't count as a change. A renamed column keeps its base. The new value of a column that was
//! dropped, or that the option `columns` doesn't list any more, becomes a change of its own, which is never sent without
//! the user and keeps the row as it was: the rest of the change doesn't wait for it. (A new row is sent without the
//! column.) Of changes that were refused or restored, a retry sends the rest.

use super::entries::keep_rows;
use crate::{
    error::Result,
    sqlite::Connection,
    sync::{
        schema::table::key_condition,
        state::tables::Registered,
        values::{
            encode::{decode_key, decode_row, literal, quote, row_sql},
            json,
        },
    },
    value::Value,
};

type Named = Vec<(String, Value)>;

/// The changes that follow the columns of their rows. A refused one does, too, since a retry sends it.
const FOLLOWS: &str = "state IN ('pending', 'rejected')";

/// Returns whether a change waits that follows the columns of its row.
pub fn any_follows(connection: &Connection) -> Result<bool> {
    let sql = format!("SELECT 1 FROM tidelock_outbox WHERE {FOLLOWS} AND op = 'update' LIMIT 1");
    connection.value(&sql, &[]).map(|found| found.is_some())
}

/// Keeps the present rows with the updates that wait, before the schema changes.
pub fn begin(connection: &Connection, synced: &[Registered]) -> Result<()> {
    if !any_follows(connection)? {
        return Ok(());
    }
    // Rows that are kept already wait for the columns that the options list.
    let which = format!("{FOLLOWS} AND local IS NULL");
    synced.iter().try_for_each(|registered| keep_rows(connection, registered, &which))
}

/// Keeps the present rows with the pending changes of a table, if any of them is about a column that isn't captured any
/// more. `synced` are those that are.
pub fn begin_unlisted(
    connection: &Connection,
    registered: &Registered,
    present: &[String],
    synced: &[String],
) -> Result<()> {
    let Some(unlisted) = has_unlisted(present, synced) else { return Ok(()) };
    let sql = format!(
        "SELECT 1 FROM tidelock_outbox WHERE tbl = ?1 AND state = 'pending' AND op = 'update' AND {unlisted} LIMIT 1"
    );
    match connection.value(&sql, &[Value::from(&*registered.table)])? {
        Some(_) => keep_rows(connection, registered, "state = 'pending' AND local IS NULL"),
        None => Ok(()),
    }
}

/// Takes the columns that aren't captured any more out of the refused and restored changes of a table. New values of
/// theirs become changes of their own, since a retry is only about what is synced.
pub fn split_unlisted(
    connection: &Connection,
    registered: &str,
    (table, present): (&str, &[String]),
    key: &[String],
    synced: &[String],
) -> Result<()> {
    let Some(unlisted) = has_unlisted(present, synced) else { return Ok(()) };
    let sql = format!(
        "SELECT id, key, base, local FROM tidelock_outbox \
         WHERE tbl = ?1 AND state <> 'pending' AND op = 'update' AND {unlisted}"
    );
    let now = row_sql(present.iter().map(|column| (column.as_str(), quote(column))));
    let find = format!("SELECT {now} FROM main.{} WHERE {}", quote(table), key_condition(key, 1));
    for row in connection.rows(&sql, &[Value::from(registered)])? {
        let base = decode_row(row[2].as_text().unwrap_or_default());
        // A change of a single column is one that was split off before.
        if base.len() == 1 {
            continue;
        }
        // A restored change has the row of its image.
        let local = match row[3].as_text() {
            Some(image) => Some(Value::from(image)),
            None => connection.value(&find, &decode_key(row[1].as_text().unwrap_or_default()))?,
        };
        let Some(local) = local else { continue };
        let now = decode_row(local.as_text().unwrap_or_default());
        let is_changed = |(name, was): &(String, Value)| now.iter().any(|(known, now)| known == name && now != was);
        let (rest, dropped): (Named, Named) =
            base.into_iter().partition(|(name, _)| synced.contains(name) || !present.contains(name));
        let id = row[0].as_integer().unwrap_or_default();
        for (column, was) in dropped.into_iter().filter(is_changed) {
            quarantine_column(connection, id, (&column, UNLISTED), was, &local)?;
        }
        let members = rest.iter().enumerate().map(|(at, (name, _))| (name.as_str(), format!("?{}", at + 2)));
        let save = format!("UPDATE tidelock_outbox SET base = {} WHERE id = ?1", row_sql(members));
        let is_done = !rest.iter().any(is_changed);
        let parameters: Vec<Value> =
            [Value::Integer(id)].into_iter().chain(rest.into_iter().map(|(_, was)| was)).collect();
        connection.run(&save, &parameters)?;
        if is_done {
            forget_unsent(connection, id)?;
        }
    }
    Ok(())
}

/// Returns the condition that the base of a change has a column that isn't captured; `None` if all are.
fn has_unlisted(present: &[String], synced: &[String]) -> Option<String> {
    let unlisted = present.iter().filter(|column| !synced.contains(column));
    let bases: Vec<String> = unlisted.map(|column| format!("instr(base, {})", literal(&member(column)))).collect();
    (!bases.is_empty()).then(|| format!("({})", bases.join(" OR ")))
}

/// Deletes a change that is about nothing any more, unless it was sent.
fn forget_unsent(connection: &Connection, id: i64) -> Result<()> {
    let sql = "DELETE FROM tidelock_outbox WHERE id = ?1 AND sent_op IS NULL";
    connection.run(sql, &[Value::Integer(id)]).map(drop)
}

/// Returns the beginning of a column's member in an encoded row.
fn member(column: &str) -> String {
    let mut member = String::new();
    json::push_string(&mut member, column);
    member + ":"
}

/// Adapts the changes of a table to its present columns. `synced` are those that are captured.
pub fn finish(
    connection: &Connection,
    registered: &str,
    (table, present): (&str, &[String]),
    key: &[String],
    synced: &[String],
) -> Result<()> {
    let name = Value::from(registered);
    let kept = format!(
        "SELECT id, key, base, local, state = 'pending' FROM tidelock_outbox \
         WHERE tbl = ?1 AND {FOLLOWS} AND op = 'update' AND base IS NOT NULL AND local IS NOT NULL"
    );
    let kept = connection.rows(&kept, std::slice::from_ref(&name))?;
    let columns: Vec<String> = synced.iter().map(|column| quote(column)).collect();
    let find = format!("SELECT {} FROM main.{} WHERE {}", columns.join(", "), quote(table), key_condition(key, 1));
    for row in kept {
        let text = |at: usize| row[at].as_text().unwrap_or_default();
        let (base, before) = (decode_row(text(2)), decode_row(text(3)));
        if base.iter().map(|(column, _)| column).eq(synced) {
            continue;
        }
        let Some(now) = connection.rows(&find, &decode_key(text(1)))?.into_iter().next() else { continue };
        let moved = adapt(&base, &before, (synced, present), &now);
        let id = row[0].as_integer().unwrap_or_default();
        // A refused change is decided about by the user already: a retry sends the rest.
        let pending = row[4] == Value::Integer(1);
        for column in moved.lost.iter().filter(|_| pending) {
            let was = base.iter().find(|(name, _)| name == column).map(|(_, was)| was.clone());
            let why = if present.contains(column) { UNLISTED } else { DROPPED };
            quarantine_column(connection, id, (column, why), was.unwrap_or_default(), &row[3])?;
        }
        let is_changed = |(was, now): (&Option<Value>, &Value)| was.as_ref().unwrap_or(&Value::Null) != now;
        if pending && !moved.base.iter().zip(&now).any(is_changed) && !moved.lost.is_empty() {
            forget_unsent(connection, id)?;
        }
        let known = || synced.iter().zip(&moved.base).filter_map(|(column, was)| Some((column, was.as_ref()?)));
        let members = known().enumerate().map(|(at, (column, _))| (column.as_str(), format!("?{}", at + 2)));
        let save = format!("UPDATE tidelock_outbox SET base = {} WHERE id = ?1", row_sql(members));
        let parameters: Vec<Value> = [row[0].clone()].into_iter().chain(known().map(|(_, was)| was.clone())).collect();
        connection.run(&save, &parameters)?;
    }
    let done = format!("UPDATE tidelock_outbox SET local = NULL WHERE tbl = ?1 AND {FOLLOWS} AND local IS NOT NULL");
    connection.run(&done, &[name]).map(drop)
}

/// Why a change of a single column isn't sent.
const DROPPED: &str = "the column no longer exists";
const UNLISTED: &str = "`columns` no longer lists it";

/// Copies a change, as that of a single column: its state is that of a change of a restored image, which holds nothing
/// back and is sent only when the user retries it. `was` is the column's value before the change, `local` the row after
/// it.
fn quarantine_column(
    connection: &Connection,
    id: i64,
    (column, why): (&str, &str),
    was: Value,
    local: &Value,
) -> Result<()> {
    let base = row_sql([(column, "?2")]);
    let sql = format!(
        "INSERT INTO tidelock_outbox(tbl, key, op, base, time, state, reason, error, local) \
         SELECT tbl, key, op, {base}, time, 'restored', 'schema', ?3, ?4 FROM tidelock_outbox WHERE id = ?1"
    );
    let why = format!("The new value of {column} was never sent, and {why}");
    connection.run(&sql, &[Value::Integer(id), was, Value::from(why), local.clone()]).map(drop)
}

/// A base, adapted to the new columns.
struct Moved {
    /// `None` where it isn't known what the remote has, as before.
    base: Vec<Option<Value>>,
    /// The changed columns that no longer exist, or are no longer synced.
    lost: Vec<String>,
}

/// Adapts a base. `base` and `before` are the row before its change and before the change of the schema; `now` is the
/// row after that, one value for each of the synced `columns`; `present` are all of the table.
fn adapt(base: &Named, before: &Named, (columns, present): (&[String], &[String]), now: &[Value]) -> Moved {
    let value = |row: &Named, name: &str| row.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
    // A base has the columns that the remote lacks at its end; the row has all in the table's order.
    let places: Vec<&(String, Value)> = before.iter().filter(|(name, _)| value(base, name).is_some()).collect();
    // A renamed column has the same place, in the table or among the synced columns, and the same value.
    let renamed = |at: usize| {
        let in_table = present.iter().position(|name| *name == columns[at]).and_then(|place| before.get(place));
        let candidates = in_table.into_iter().chain(places.get(at).copied());
        let mut renamed = candidates.filter(|(old, before)| !present.contains(old) && *before == now[at]);
        renamed.find_map(|(old, _)| Some((old.clone(), value(base, old)?)))
    };
    let mut taken = Vec::new();
    let mut moved = Vec::with_capacity(columns.len());
    for (at, column) in columns.iter().enumerate() {
        moved.push(value(base, column).or_else(|| match renamed(at) {
            Some((old, was)) => {
                taken.push(old);
                Some(was)
            }
            // Only a new column has what the migration put into it.
            None => value(before, column).is_none().then(|| now[at].clone()),
        }));
    }
    let lost = base.iter().filter(|(name, was)| {
        !columns.contains(name) && !taken.contains(name) && value(before, name).is_some_and(|now| now != *was)
    });
    Moved { lost: lost.map(|(name, _)| name.clone()).collect(), base: moved }
}
