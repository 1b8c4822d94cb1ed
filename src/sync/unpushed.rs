//! A pulled row meets an unpushed local change of the same key.
//!
//! A conflict is a remote row that differs from the change's base. Under `keep-local` the columns that were changed locally
//! stay and the others come from the remote; the base becomes the remote's row, so that the same row is no conflict twice.
//! What can't be merged (deleted on one side, or two rows under one new key) goes to the rejected changes.

use super::{
    config::Conflict,
    encode::{decode_row, key_sql, quote, row_sql},
    outbox::ChangeOp,
    plan::Plan,
    schema::key_condition,
};
use crate::{
    error::{ErrorCode, Result},
    sqlite::Connection,
    value::Value,
};

/// What to do with the pulled row.
#[derive(Debug, PartialEq)]
pub enum Decision {
    /// Nothing stands in its way.
    Apply,
    /// It replaces the local change.
    ApplyConflict,
    /// The local change stays.
    Keep {
        /// The row differed from the change's base.
        conflict: bool,
        /// The change was set aside.
        rejected: bool,
    },
    /// The local change turned out to be the remote's too: there is nothing left to push.
    Settled {
        /// The local row was changed for it.
        updated: bool,
    },
    /// A constraint is in the way.
    Held(String),
}

/// The statements of one table.
pub struct Unpushed {
    name: String,
    columns: Vec<String>,
    key: Vec<usize>,
    pending: String,
    rejected: String,
    local: String,
    update: String,
    rebase: String,
}

struct Entry {
    id: i64,
    op: ChangeOp,
    base: Vec<(String, Value)>,
    rejected: bool,
}

impl Unpushed {
    /// The statements of a plan.
    pub fn new(plan: &Plan) -> Self {
        let entry = format!(
            "SELECT id, op, base FROM tidelock_outbox WHERE tbl = ?1 AND key = {}",
            key_sql((0..plan.key.len()).map(|at| format!("?{}", at + 2)))
        );
        let columns: Vec<String> = plan.columns.iter().map(|column| column.name.clone()).collect();
        let key: Vec<String> = plan.key.iter().map(|at| columns[*at].clone()).collect();
        let quoted: Vec<String> = columns.iter().map(|column| quote(column)).collect();
        let set: Vec<String> = quoted.iter().enumerate().map(|(at, name)| format!("{name} = ?{}", at + 1)).collect();
        let own: Vec<String> = plan.key.iter().map(|at| format!("{} = ?{}", quoted[*at], at + 1)).collect();
        let members = columns.iter().enumerate().map(|(at, name)| (name.as_str(), format!("?{}", at + 2)));
        Self {
            pending: format!("{entry} AND reason IS NULL"),
            rejected: format!("{entry} AND reason IS NOT NULL AND reason <> 'restored' ORDER BY id DESC LIMIT 1"),
            local: format!(
                "SELECT {} FROM main.{} WHERE {}",
                quoted.join(", "),
                quote(&plan.table.name),
                key_condition(&key, 1)
            ),
            update: format!(
                "UPDATE main.{} SET {} WHERE {}",
                quote(&plan.table.name),
                set.join(", "),
                own.join(" AND ")
            ),
            rebase: format!("UPDATE tidelock_outbox SET base = {} WHERE id = ?1", row_sql(members)),
            name: plan.name().to_owned(),
            key: plan.key.clone(),
            columns,
        }
    }

    /// Decides about a pulled row, and does what the decision means for outbox and local row.
    pub fn meet(&self, connection: &Connection, row: &[Value], deleted: bool, policy: Conflict) -> Result<Decision> {
        let Some(entry) = self.entry(connection, row)? else { return Ok(Decision::Apply) };
        let differs = deleted || self.differs(&entry.base, row);
        if policy == Conflict::RemoteWins && differs {
            self.drop(connection, &entry)?;
            return Ok(Decision::ApplyConflict);
        }
        match (entry.op, deleted) {
            (ChangeOp::Delete, true) => {
                self.drop(connection, &entry)?;
                Ok(Decision::Settled { updated: false })
            }
            (ChangeOp::Insert | ChangeOp::Update, true) => {
                self.set_aside(connection, &entry, None, "it was deleted remotely")
            }
            (ChangeOp::Delete, false) if differs => {
                self.set_aside(connection, &entry, Some(row), "it was changed remotely and deleted here")
            }
            (ChangeOp::Update, false) if differs => self.merge(connection, &entry, row),
            (ChangeOp::Delete | ChangeOp::Update, false) => Ok(Decision::Keep { conflict: false, rejected: false }),
            (ChangeOp::Insert, false) => {
                if self.local(connection, row)?.as_deref() == Some(row) {
                    self.drop(connection, &entry)?;
                    return Ok(Decision::Settled { updated: false });
                }
                if !differs {
                    return Ok(Decision::Keep { conflict: false, rejected: false });
                }
                self.set_aside(connection, &entry, Some(row), "the remote has another row with this key")
            }
        }
    }

    /// Whether the key of a row has an unpushed change.
    pub fn has(&self, connection: &Connection, row: &[Value]) -> Result<bool> {
        Ok(self.entry(connection, row)?.is_some())
    }

    fn merge(&self, connection: &Connection, entry: &Entry, row: &[Value]) -> Result<Decision> {
        let Some(local) = self.local(connection, row)? else {
            // The row went without a trace (a cascade of a pull): so does its change.
            self.drop(connection, entry)?;
            return Ok(Decision::ApplyConflict);
        };
        let changed = |at: usize| {
            let base = entry.base.iter().find(|(name, _)| *name == self.columns[at]);
            base.is_some_and(|(_, base)| *base != local[at])
        };
        let merged: Vec<Value> =
            (0..row.len()).map(|at| if changed(at) { local[at].clone() } else { row[at].clone() }).collect();
        let updated = merged != local;
        if updated && let Err(error) = connection.run(&self.update, &merged) {
            return if error.is(ErrorCode::SqliteConstraint) {
                Ok(Decision::Held(error.into_parts().message))
            } else {
                Err(error)
            };
        }
        if merged == row {
            self.drop(connection, entry)?;
            return Ok(Decision::Settled { updated });
        }
        self.rebase(connection, entry, row)?;
        Ok(Decision::Keep { conflict: true, rejected: false })
    }

    /// Moves the change to the rejected ones; one that is there already stays.
    fn set_aside(&self, connection: &Connection, entry: &Entry, row: Option<&[Value]>, why: &str) -> Result<Decision> {
        if let Some(row) = row {
            self.rebase(connection, entry, row)?;
        }
        if entry.rejected {
            return Ok(Decision::Keep { conflict: row.is_some(), rejected: false });
        }
        connection.run(
            "UPDATE tidelock_outbox SET reason = 'conflict', error = ?2 WHERE id = ?1",
            &[Value::Integer(entry.id), Value::from(why)],
        )?;
        Ok(Decision::Keep { conflict: true, rejected: true })
    }

    fn entry(&self, connection: &Connection, row: &[Value]) -> Result<Option<Entry>> {
        let mut parameters = vec![Value::from(&*self.name)];
        parameters.extend(self.key.iter().map(|at| row[*at].clone()));
        for (sql, rejected) in [(&self.pending, false), (&self.rejected, true)] {
            if let Some(found) = connection.rows(sql, &parameters)?.into_iter().next() {
                return Ok(Some(Entry {
                    id: found[0].as_integer().unwrap_or_default(),
                    op: ChangeOp::from_name(found[1].as_text().unwrap_or_default()),
                    base: found[2].as_text().map(decode_row).unwrap_or_default(),
                    rejected,
                }));
            }
        }
        Ok(None)
    }

    /// Whether the row differs from the base in a column that both know; a change without a base knows no row at all.
    fn differs(&self, base: &[(String, Value)], row: &[Value]) -> bool {
        let other = |(name, value): (&String, &Value)| {
            base.iter().find(|(known, _)| known == name).is_some_and(|(_, known)| known != value)
        };
        base.is_empty() || self.columns.iter().zip(row).any(other)
    }

    fn local(&self, connection: &Connection, row: &[Value]) -> Result<Option<Vec<Value>>> {
        let key: Vec<Value> = self.key.iter().map(|at| row[*at].clone()).collect();
        Ok(connection.rows(&self.local, &key)?.into_iter().next())
    }

    fn rebase(&self, connection: &Connection, entry: &Entry, row: &[Value]) -> Result<()> {
        let mut parameters = vec![Value::Integer(entry.id)];
        parameters.extend_from_slice(row);
        connection.run(&self.rebase, &parameters).map(drop)
    }

    fn drop(&self, connection: &Connection, entry: &Entry) -> Result<()> {
        connection.run("DELETE FROM tidelock_outbox WHERE id = ?1", &[Value::Integer(entry.id)]).map(drop)
    }
}
