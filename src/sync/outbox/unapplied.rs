//! Remote rows that the local schema refuses, as `rejected()` shows them beside the local changes that the remote
//! refuses. Each pull tries them again; this module reads why they wait. During a pull it lists none, since it is
//! unknown yet what will fit.

use super::change::{Change, ChangeOp, ChangeReason, local_row};
use crate::{
    error::Result,
    sqlite::Connection,
    sync::{
        report::Cells,
        schema::table::LocalTable,
        values::{
            encode::{decode_key, decode_row},
            json,
        },
    },
    value::Value,
};

/// The first id: far beyond the ids of the outbox.
const FIRST_ID: i64 = 1 << 62;

/// SQL that counts them in the table `?1`, or in all tables if that is NULL.
pub(super) const COUNT: &str = "(SELECT count(*) FROM tidelock_staged JOIN tidelock_tables USING (tbl) \
    WHERE started IS NULL AND error <> '' AND (?1 IS NULL OR tbl = ?1))";

/// Returns whether an id is that of a remote row.
pub fn is_unapplied(id: i64) -> bool {
    id >= FIRST_ID
}

/// Returns all of them, by table and key.
pub fn list(connection: &Connection) -> Result<Vec<Change>> {
    let rows = connection.rows(
        "SELECT tbl, staged.key, row, error, coalesce(pulled_at, ''), primary_key \
         FROM tidelock_staged AS staged JOIN tidelock_tables USING (tbl) \
         WHERE started IS NULL AND error <> '' ORDER BY 1, 2",
        &[],
    )?;
    let mut changes = Vec::with_capacity(rows.len());
    for row in rows {
        let text = |at: usize| row[at].as_text().unwrap_or_default();
        let Some(table) = LocalTable::read(connection, text(0))? else { continue };
        let key_columns =
            row[5].as_text().and_then(json::parse_string_array).unwrap_or_else(|| table.primary_key.clone());
        let key = decode_key(text(1));
        let there = local_row(connection, &table, &key_columns, &key)?.is_some();
        let (op, columns) = match row[2].as_text() {
            None => (ChangeOp::Delete, Vec::new()),
            Some(cells) => {
                let columns = decode_row(cells).into_iter().map(|(column, _)| column).collect();
                (if there { ChangeOp::Update } else { ChangeOp::Insert }, columns)
            }
        };
        changes.push(Change {
            id: id(text(0), text(1)),
            table: text(0).to_owned(),
            key: Cells(key_columns.into_iter().zip(key).collect()),
            op,
            columns,
            time: text(4).to_owned(),
            reason: Some(ChangeReason::Unapplied),
            error: Some(text(3).to_owned()),
        });
    }
    Ok(changes)
}

/// Returns the table and the encoded key of the row with this id; `None` when it no longer waits.
pub fn find(connection: &Connection, wanted: i64) -> Result<Option<(String, String)>> {
    let rows = connection.rows("SELECT tbl, key FROM tidelock_staged", &[])?;
    let names = rows.into_iter().filter_map(|row| Some((row[0].as_text()?.to_owned(), row[1].as_text()?.to_owned())));
    Ok(names.into_iter().find(|(table, key)| id(table, key) == wanted))
}

/// Deletes a waiting row, until the remote sends it again.
pub fn forget(connection: &Connection, table: &str, key: &str) -> Result<()> {
    let sql = "DELETE FROM tidelock_staged WHERE tbl = ?1 AND key = ?2";
    connection.run(sql, &[Value::from(table), Value::from(key)]).map(drop)
}

/// Returns the id of a row, which stays the same while the row waits (FNV-1a).
fn id(table: &str, key: &str) -> i64 {
    let bytes = table.bytes().chain([0]).chain(key.bytes());
    let hash =
        bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    FIRST_ID | (hash >> 2) as i64
}
