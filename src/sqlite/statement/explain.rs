//! Query plans.

use serde::Serialize;

use crate::{
    error::{Detail, Result},
    sqlite::{Authority, Connection, Step, sql::text::first_word},
};

/// One step of a query plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct PlanRow {
    /// The step's number.
    pub id: i64,
    /// The step that it is part of; 0 at the top.
    pub parent: i64,
    /// The operation, in SQLite's words.
    pub detail: String,
}

impl Connection {
    /// Returns SQLite's EXPLAIN QUERY PLAN of a user's statement, whose parameters need no values; empty for statements without a
    /// plan. Fails as compiling the statement does.
    pub fn explain_query_plan(&self, sql: &str) -> Result<Vec<PlanRow>> {
        const PREFIX: &str = "EXPLAIN QUERY PLAN ";
        // Compiling a pragma runs it.
        if first_word(sql).eq_ignore_ascii_case("PRAGMA") {
            return Ok(Vec::new());
        }
        let text = format!("{PREFIX}{sql}");
        let mut statement = self.statement_for(&text, Authority::User).map_err(|mut error| {
            if let Some(Detail::Int(offset)) = error.details.get_mut("offset") {
                *offset = (*offset - PREFIX.len() as i64).max(0);
            }
            error
        })?;
        let mut rows = Vec::new();
        while statement.step()? == Step::Row {
            rows.push(PlanRow {
                id: statement.column_i64(0),
                parent: statement.column_i64(1),
                detail: statement.column_text(3).unwrap_or_default().to_owned(),
            });
        }
        Ok(rows)
    }
}
