//! Deletions of rows with a column that no pull has read yet: one that a migration added and the remote has had all
//! along, one that the options list now, or any column of a table that was only pushed.

use crate::{
    error::Result,
    sqlite::Connection,
    sync::{schema::plan::Plan, state::progress, values::json},
    value::Value,
};

/// Takes such columns out of the bases of a table's deletions: the remote's values are no changes of another client.
/// Those that have a value were written here, and stay.
pub fn leave_out(connection: &Connection, plan: &Plan) -> Result<()> {
    let Some(read) = progress::read_columns(connection, plan.name())? else { return Ok(()) };
    let is_read = |name: &str| read.iter().any(|column| column.eq_ignore_ascii_case(name));
    if plan.columns.iter().all(|column| is_read(&column.name)) {
        return Ok(());
    }
    let sql = "SELECT id, base FROM tidelock_outbox WHERE tbl = ?1 AND op = 'delete' AND state <> 'restored'";
    for row in connection.rows(sql, &[Value::from(plan.name())])? {
        let Some(members) = row[1].as_text().and_then(|base| json::members(base).ok()) else { continue };
        let mut base = String::from("{");
        for (name, value) in members.into_iter().filter(|(name, value)| *value != "null" || is_read(name)) {
            base.push_str(if base.len() > 1 { "," } else { "" });
            json::push_string(&mut base, &name);
            base.push(':');
            base.push_str(value);
        }
        base.push('}');
        let sql = "UPDATE tidelock_outbox SET base = ?2 WHERE id = ?1 AND base <> ?2";
        connection.run(sql, &[row[0].clone(), Value::from(base)])?;
    }
    Ok(())
}
