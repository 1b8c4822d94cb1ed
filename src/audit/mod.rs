//! Audit: who changed what, written by TEMP triggers into a table of the database, in the transaction of the change
//! itself.
//!
//! | file | what |
//! |---|---|
//! | `log` | the table: its shape, and the deletion of old rows |
//! | `triggers` | the triggers that fill it |

mod log;
mod triggers;

use serde::Deserialize;

pub use log::Log;
pub use triggers::{Missing, resume, set_actor, suspend};

use crate::{
    error::{Error, Result},
    sqlite::is_reserved,
};

/// The default name of the table.
pub const TABLE: &str = "audit_log";

/// Which tables to audit, and how.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditOptions {
    /// The tables by name. One that doesn't exist (yet) is audited from its creation on.
    pub tables: Vec<String>,
    /// Columns whose values are never written.
    #[serde(default)]
    pub redact: Vec<Redacted>,
    /// Days after which rows of the log may be deleted; `None` keeps them.
    #[serde(default)]
    pub retention_days: Option<f64>,
    /// The name of the log's table.
    pub table: String,
}

/// A column whose values are never written.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Redacted {
    /// The table it applies to; `None`: every table.
    #[serde(default)]
    pub table: Option<String>,
    /// The column's name.
    pub column: String,
}

impl Redacted {
    /// Returns whether it applies to a table.
    fn is_of(&self, table: &str) -> bool {
        self.table.as_ref().is_none_or(|name| name.eq_ignore_ascii_case(table))
    }
}

impl AuditOptions {
    /// Fails with `invalid_argument` for options that can't be valid.
    pub fn check(&self) -> Result<()> {
        if self.table.is_empty() || is_reserved(&self.table) || self.table.chars().any(char::is_control) {
            return Err(Error::invalid(format!("`auditTable` can't be \"{}\"", self.table))
                .hint("Choose a table name that doesn't begin with sqlite_ or tidelock_"));
        }
        let wrong = self.tables.iter().find(|name| is_reserved(name) || name.eq_ignore_ascii_case(&self.table));
        match wrong {
            None => Ok(()),
            Some(name) => Err(Error::invalid(format!("The table \"{name}\" can't be audited"))
                .hint("Audit tables of your own")
                .detail("table", name.as_str())),
        }
    }

    fn hides(&self, table: &str, column: &str) -> bool {
        self.redact.iter().any(|redacted| redacted.column.eq_ignore_ascii_case(column) && redacted.is_of(table))
    }
}
