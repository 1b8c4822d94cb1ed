//! Replaces tables by exactly the remote's rows, as a difference, in one transaction.
//!
//! Clearing and refilling a parent would fire its children's ON DELETE CASCADE, even with deferred keys. So foreign
//! keys are off meanwhile and checked before the commit. Equal rows aren't touched, and columns that aren't synced keep
//! their values.

use super::{compare, guard};
use crate::{
    error::{Error, ErrorCode, Result},
    sqlite::{Connection, FkViolation},
    sync::{
        apply::{key_lists::KeyList, staged::ApplyTarget, writer::Care},
        outbox::capture,
        schema::{plan::Rows, table::LocalTable},
        state::{progress, tables},
        values::encode::{decode_key, key_sql, quote},
    },
    value::Value,
};

/// The limits of a replace.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Discard unpushed changes.
    pub discard_unpushed: bool,
    /// The part of a table that may vanish (0 to 1); `None`: all of it.
    pub max_delete_ratio: Option<f64>,
}

/// Fails with `unpushed_changes` if any of the tables has pending or rejected changes.
pub fn check_unpushed<'t>(connection: &Connection, tables: impl Iterator<Item = &'t str>) -> Result<()> {
    let (mut pending, mut rejected) = (0, 0);
    for table in tables {
        let counts = crate::sync::outbox::entries::unpushed(connection, table)?;
        pending += counts.0;
        rejected += counts.1;
    }
    let text = match pending + rejected {
        0 => return Ok(()),
        1 => "1 local change is not pushed and would be lost".to_owned(),
        count => format!("{count} local changes are not pushed and would be lost"),
    };
    Err(Error::new(ErrorCode::UnpushedChanges, text)
        .hint("Push them first (pending() says what they wait for), or pull with discardUnpushed")
        .detail("pending", pending)
        .detail("rejected", rejected))
}

/// Fails with `remote_empty` if too many rows would vanish. Fills `temp.tidelock_seen` with the remote's keys.
pub fn check_vanishing(
    connection: &Connection,
    targets: &[ApplyTarget],
    pages: &[Vec<Rows>],
    limits: Limits,
) -> Result<()> {
    compare::begin(connection)?;
    for (target, pages) in targets.iter().zip(pages) {
        for rows in pages {
            target.writer.note_keys(connection, rows, KeyList::Seen, true)?;
        }
        if let Some(max_ratio) = limits.max_delete_ratio {
            let (vanishing, rows) = guarded(connection, target)?;
            guard::check(target.plan.name(), vanishing, rows, max_ratio)?;
        }
    }
    Ok(())
}

/// Replaces the rows of each table: `pages[i]` has all rows of `targets[i]`. `finish` runs at the end of the
/// transaction. Must be called outside of a transaction. If it fails, the old data stays.
///
/// Fails with `unpushed_changes`, `remote_empty`, or `sqlite_constraint` if a row or a reference violates the schema.
pub fn apply(
    connection: &Connection,
    targets: &mut [ApplyTarget],
    pages: &[Vec<Rows>],
    limits: Limits,
    finish: impl FnOnce(&Connection) -> Result<()>,
) -> Result<()> {
    // The pragma has no effect inside a transaction.
    connection.exec("PRAGMA foreign_keys = OFF")?;
    let result = connection.atomically(|connection| {
        capture::without_capture(connection, |connection| {
            if !limits.discard_unpushed {
                check_unpushed(connection, targets.iter().map(|target| target.plan.name()))?;
            }
            let before = connection.foreign_key_check(usize::MAX)?;
            check_vanishing(connection, targets, pages, limits)?;
            for target in targets.iter() {
                connection.run("DELETE FROM tidelock_outbox WHERE tbl = ?1", &[Value::from(target.plan.name())])?;
            }
            for target in targets.iter_mut().rev() {
                delete_vanishing(connection, target)?;
            }
            for (target, pages) in targets.iter_mut().zip(pages) {
                write(connection, target, pages)?;
            }
            repair_references(connection, targets, &before, limits.discard_unpushed)?;
            for (target, pages) in targets.iter_mut().zip(pages) {
                connection.run("DELETE FROM tidelock_staged WHERE tbl = ?1", &[Value::from(target.plan.name())])?;
                remember_keys(connection, target)?;
                let structured: Vec<usize> = pages.iter().flat_map(|rows| rows.structured.iter().copied()).collect();
                if target.plan.learn_structured(&structured) {
                    progress::save_structured(connection, target.plan.name(), &target.plan.structured())?;
                }
            }
            connection.run("DELETE FROM temp.tidelock_seen", &[])?;
            finish(connection)
        })
    });
    connection.exec("PRAGMA foreign_keys = ON")?;
    result
}

/// Returns how many local rows would vanish, and how many there are: without those that are outside of the filter.
fn guarded(connection: &Connection, target: &ApplyTarget) -> Result<(u64, u64)> {
    let encoded = key_sql(target.plan.key.iter().map(|at| quote(&target.plan.columns[*at].name)));
    let sql = format!(
        "SELECT total({encoded} NOT IN (SELECT key FROM temp.tidelock_seen WHERE tbl = ?1)), count(*) FROM main.{} \
         WHERE {encoded} NOT IN (SELECT key FROM tidelock_known WHERE tbl = ?1 AND outside IS NOT NULL)",
        quote(&target.plan.table.name)
    );
    let rows = connection.rows(&sql, &[Value::from(target.plan.name())])?;
    let count = |value: &Value| match value {
        Value::Integer(count) => *count as u64,
        Value::Real(count) => *count as u64,
        _ => 0,
    };
    Ok(rows.first().map_or((0, 0), |row| (count(&row[0]), count(&row[1]))))
}

/// Returns the keys of local rows that the remote doesn't have.
fn vanishing(connection: &Connection, target: &ApplyTarget) -> Result<Vec<Vec<Value>>> {
    let encoded = key_sql(target.plan.key.iter().map(|at| quote(&target.plan.columns[*at].name)));
    let sql = format!(
        "SELECT {encoded} FROM main.{} WHERE {encoded} NOT IN (SELECT key FROM temp.tidelock_seen WHERE tbl = ?1)",
        quote(&target.plan.table.name)
    );
    let rows = connection.rows(&sql, &[Value::from(target.plan.name())])?;
    Ok(rows.iter().map(|row| decode_key(row[0].as_text().unwrap_or_default())).collect())
}

fn delete_vanishing(connection: &Connection, target: &mut ApplyTarget) -> Result<()> {
    for key in vanishing(connection, target)? {
        target.writer.remove(connection, &key)?;
        target.report.deleted += 1;
    }
    Ok(())
}

/// Writes all pages of a table, and then again the rows that were in conflict, since rows of different pages may
/// exchange values.
fn write(connection: &Connection, target: &mut ApplyTarget, pages: &[Rows]) -> Result<()> {
    let mut waiting = Rows { width: target.plan.columns.len(), ..Rows::default() };
    let mut why = String::new();
    for rows in pages {
        for held in target.writer.write(connection, rows, Care::Bare, &mut target.report)? {
            waiting.values.extend_from_slice(rows.row(held.row));
            waiting.deleted.push(rows.deleted[held.row]);
            why = held.error;
        }
    }
    if waiting.is_empty() || target.writer.write(connection, &waiting, Care::Bare, &mut target.report)?.is_empty() {
        return Ok(());
    }
    let text = format!("A remote row of table {} violates the local schema: {why}", target.plan.name());
    Err(Error::new(ErrorCode::SqliteConstraint, text)
        .hint("Fix the local schema or the remote's data; nothing was changed")
        .detail("table", target.plan.name()))
}

/// Applies the ON DELETE actions of tables outside of the replace to rows whose parents were deleted. Fails with
/// `sqlite_constraint` if a new foreign key violation remains.
fn repair_references(
    connection: &Connection,
    targets: &[ApplyTarget],
    before: &[FkViolation],
    discard_unpushed: bool,
) -> Result<()> {
    loop {
        let violations = connection.foreign_key_check(usize::MAX)?;
        let new: Vec<&FkViolation> = violations.iter().filter(|violation| !before.contains(violation)).collect();
        let Some(first) = new.first() else { return Ok(()) };
        let mut repaired = false;
        for violation in &new {
            let replaced = targets.iter().any(|target| target.plan.table.name.eq_ignore_ascii_case(&violation.table));
            if !replaced && !discard_unpushed {
                check_child(connection, violation)?;
            }
            repaired |= !replaced && apply_on_delete(connection, violation)?;
        }
        if !repaired {
            let text = format!("A row of table {} would refer to a missing row of table {}", first.table, first.parent);
            return Err(Error::new(ErrorCode::SqliteConstraint, text)
                .hint("Pull both tables together, and check the filters and the row security of the parent")
                .detail("table", first.table.clone())
                .detail("parent", first.parent.clone())
                .detail("sqliteCode", "SQLITE_CONSTRAINT_FOREIGNKEY"));
        }
    }
}

/// Fails with `unpushed_changes` if a row outside of the replace, whose parent is deleted, has an unpushed change.
fn check_child(connection: &Connection, violation: &FkViolation) -> Result<()> {
    let captured = tables::captured(connection)?;
    let Some(child) = captured.into_iter().find(|known| known.table.eq_ignore_ascii_case(&violation.table)) else {
        return Ok(());
    };
    let (Some(table), Some(rowid)) = (LocalTable::read(connection, &child.table)?, violation.rowid) else {
        return Ok(());
    };
    let key = child.primary_key.as_ref().unwrap_or(&table.primary_key);
    let sql = format!(
        "SELECT 1 FROM tidelock_outbox WHERE tbl = ?1 AND key = (SELECT {} FROM main.{} WHERE rowid = ?2)",
        key_sql(key.iter().map(|column| quote(column))),
        quote(&table.name)
    );
    if connection.value(&sql, &[Value::from(&*child.table), Value::Integer(rowid)])?.is_none() {
        return Ok(());
    }
    let text = format!("A row of table {} has an unpushed change, and its parent row would be deleted", table.name);
    Err(Error::new(ErrorCode::UnpushedChanges, text)
        .hint("Push first, pull both tables together, or pull with discardUnpushed")
        .detail("table", table.name))
}

/// Applies the ON DELETE action of a violated foreign key. Returns whether it changed a row.
fn apply_on_delete(connection: &Connection, violation: &FkViolation) -> Result<bool> {
    let Some(rowid) = violation.rowid else { return Ok(false) };
    let keys = connection.foreign_keys(&violation.table)?;
    let Some(key) = keys.iter().find(|key| key.id == violation.key) else { return Ok(false) };
    let table = quote(&violation.table);
    let sql = match key.on_delete.as_str() {
        "CASCADE" => format!("DELETE FROM main.{table} WHERE rowid = ?1"),
        "SET NULL" => {
            let set: Vec<String> = key.from.iter().map(|from| format!("{} = NULL", quote(from))).collect();
            format!("UPDATE main.{table} SET {} WHERE rowid = ?1", set.join(", "))
        }
        _ => return Ok(false),
    };
    Ok(connection.run(&sql, &[Value::Integer(rowid)])? > 0)
}

fn remember_keys(connection: &Connection, target: &ApplyTarget) -> Result<()> {
    let name = [Value::from(target.plan.name())];
    connection.run("DELETE FROM tidelock_known WHERE tbl = ?1", &name)?;
    if target.plan.options.compares() {
        connection.run(
            "INSERT INTO tidelock_known(tbl, key) SELECT tbl, key FROM temp.tidelock_seen WHERE tbl = ?1",
            &name,
        )?;
    }
    Ok(())
}
