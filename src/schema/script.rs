//! The generated script of a schema change.

use serde::Serialize;

use crate::sqlite::statement_end;

/// A script that changes a schema.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct SchemaScript {
    /// The statements, with comments.
    pub sql: String,
    /// Descriptions of the data that the script deletes.
    pub destructive: Vec<String>,
}

impl SchemaScript {
    pub(super) fn statement(&mut self, sql: &str) {
        self.sql.push_str(sql);
        self.sql.push_str(statement_end(sql));
        self.sql.push('\n');
    }

    pub(super) fn comment(&mut self, text: &str) {
        self.sql.push_str("-- ");
        // A name may have line ends, which would end the comment.
        self.sql.push_str(&text.replace(['\n', '\r'], " "));
        self.sql.push('\n');
    }

    pub(super) fn destructive(&mut self, what: String) {
        self.comment(&format!("destructive: {what}"));
        self.destructive.push(what);
    }
}
