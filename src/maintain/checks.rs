//! Statistics for the query planner, and freeing of unused pages.

use std::rc::Rc;

use crate::{
    error::Result,
    sqlite::{Connection, StatementEffects},
};

/// How many rows of an index are sampled for the statistics: enough for the planner, and quick for any size.
const ANALYZED_ROWS: u32 = 1000;

/// Updates the planner's statistics, which changes the schema the first time. Returns the effects.
pub fn analyze(connection: &Connection) -> Result<Rc<StatementEffects>> {
    let limit = |rows: i64| connection.exec(&format!("PRAGMA analysis_limit = {rows}"));
    let before = connection.value("PRAGMA analysis_limit", &[])?.and_then(|rows| rows.as_integer()).unwrap_or(0);
    limit(i64::from(ANALYZED_ROWS))?;
    let result = connection.statement("ANALYZE main").and_then(|mut statement| {
        statement.finish()?;
        Ok(statement.effects())
    });
    limit(before)?;
    result
}

/// Returns how many free pages can be released; and the page size.
pub fn free_pages(connection: &Connection) -> Result<(u64, u64)> {
    let number = |sql: &str| {
        let value = connection.value(sql, &[])?.and_then(|value| value.as_integer());
        Ok(value.map_or(0, i64::unsigned_abs))
    };
    let incremental = number("PRAGMA auto_vacuum")? == 2;
    let free = if incremental { number("PRAGMA freelist_count")? } else { 0 };
    Ok((free, number("PRAGMA page_size")?))
}

/// Releases at most `pages` free pages.
pub fn give_back(connection: &Connection, pages: u32) -> Result<()> {
    connection.rows(&format!("PRAGMA incremental_vacuum({pages})"), &[]).map(drop)
}
