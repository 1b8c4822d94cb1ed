//! The committed writes of other tabs, each with its reply. A reply is stored in the transaction of its write, so both
//! are stored or neither: the next leader knows which writes were committed, and can repeat their replies.

use crate::{error::Result, sqlite::Connection, value::Value};

/// Created at the first use: an exclusive database doesn't have it.
const TABLE: &str = "CREATE TABLE IF NOT EXISTS main.tidelock_applied(
  client TEXT NOT NULL, id INTEGER NOT NULL, reply BLOB, PRIMARY KEY(client, id)) WITHOUT ROWID";

/// One write of a tab.
#[derive(Clone, Copy, Debug)]
pub struct TabWrite<'a> {
    /// The tab's own id, which no other tab ever has.
    pub client: &'a str,
    /// The write id, growing with each write; below 2^53.
    pub id: u64,
    /// The tab has received the replies of its writes up to this id.
    pub acknowledged: u64,
    /// The tabs that may still ask for a reply, as a JSON array; `None`: unknown.
    pub keep: Option<&'a str>,
}

/// Stores a write's reply in its open transaction. Deletes replies that no tab can ask for any more.
pub fn note(connection: &Connection, write: &TabWrite<'_>, reply: &[u8]) -> Result<()> {
    connection.run(TABLE, &[])?;
    let client = Value::from(write.client);
    connection.run(
        "DELETE FROM main.tidelock_applied WHERE client = ?1 AND id <= ?2",
        &[client.clone(), integer(write.acknowledged)],
    )?;
    if let Some(keep) = write.keep {
        let sql = "DELETE FROM main.tidelock_applied WHERE client NOT IN (SELECT value FROM json_each(?1))";
        connection.run(sql, &[Value::from(keep)])?;
    }
    let values = [client, integer(write.id), Value::Blob(reply.to_vec())];
    connection.run("INSERT OR REPLACE INTO main.tidelock_applied(client, id, reply) VALUES (?1, ?2, ?3)", &values)?;
    Ok(())
}

/// Returns the reply of a write, if it was committed.
pub fn reply(connection: &Connection, client: &str, id: u64) -> Result<Option<Vec<u8>>> {
    if connection.is_table_of("tidelock_applied", "client,id,reply")? != Some(true) {
        return Ok(None);
    }
    let sql = "SELECT reply FROM main.tidelock_applied WHERE client = ?1 AND id = ?2";
    Ok(match connection.value(sql, &[Value::from(client), integer(id)])? {
        Some(Value::Blob(reply)) => Some(reply),
        _ => None,
    })
}

fn integer(id: u64) -> Value {
    Value::Integer(i64::try_from(id).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::{TabWrite, note, reply};
    use crate::sqlite::{Connection, PageFile};

    fn write<'a>(client: &'a str, id: u64, acknowledged: u64, keep: Option<&'a str>) -> TabWrite<'a> {
        TabWrite { client, id, acknowledged, keep }
    }

    #[test]
    fn a_reply_is_kept_until_it_is_acknowledged_or_its_tab_is_closed() {
        let connection = Connection::open(&PageFile::default()).unwrap();
        assert_eq!(reply(&connection, "a", 1).unwrap(), None);
        assert_eq!(connection.is_table_of("tidelock_applied", "").unwrap(), None, "reading creates no table");
        note(&connection, &write("a", 1, 0, None), b"one").unwrap();
        note(&connection, &write("a", 2, 0, None), b"").unwrap();
        note(&connection, &write("b", 1, 0, None), b"other").unwrap();
        assert_eq!(reply(&connection, "a", 1).unwrap().unwrap(), b"one");
        assert_eq!(reply(&connection, "a", 2).unwrap().unwrap(), b"");
        note(&connection, &write("a", 3, 1, Some(r#"["a"]"#)), b"three").unwrap();
        let left = connection.rows("SELECT client, id FROM tidelock_applied ORDER BY id", &[]).unwrap();
        assert_eq!(left, [["a".into(), 2.into()], ["a".into(), 3.into()]].map(Vec::from));
    }

    #[test]
    fn a_reply_is_rolled_back_with_its_transaction() {
        let connection = Connection::open(&PageFile::default()).unwrap();
        connection.run("BEGIN", &[]).unwrap();
        note(&connection, &write("a", 1, 0, None), b"one").unwrap();
        connection.run("ROLLBACK", &[]).unwrap();
        assert_eq!(reply(&connection, "a", 1).unwrap(), None);
    }
}
