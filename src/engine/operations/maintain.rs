//! Maintenance. Each step locks the connection separately, long steps for each slice, so that other calls run between.

use serde::Deserialize;

use crate::{
    audit::Log,
    engine::{
        Database, Event,
        database::{Changed, Inner},
    },
    error::{ErrorCode, Result, Warning, WarningCode},
    health::AlertCode,
    maintain::{self, ExpiredRows, Expiry, MaintenanceFailure, MaintenanceReport, MaintenanceStep, Sweep},
    sqlite::Connection,
    time::{DAY_MS, Timestamp},
    value::Value,
};

/// The maximum number of findings in a list of the report.
const MAX_FINDINGS: usize = 100;
/// The rows of one slice, which takes a few milliseconds.
const SLICE_ROWS: u32 = 1000;
/// How many expired rows of a table may refuse their deletion, each in a slice of its own, before it ends.
const MAX_REFUSED: usize = 100;
/// The pages that one slice releases.
const SLICE_PAGES: u32 = 256;

/// The options of [`Database::maintain`].
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct MaintainOptions {
    /// The tables whose rows expire.
    pub expires: Vec<Expiry>,
}

impl Database {
    /// Checks the file and its foreign keys, deletes expired rows and old rows of the audit log, releases free pages,
    /// and updates the statistics of the query planner. The report has the findings and the failed steps;
    /// [`health`](Self::health) then has the findings as alerts. Deletions of rows are ordinary changes: they are
    /// captured and emit events. The future may be dropped between two slices.
    ///
    /// Fails with `closed`, `lock_lost`, and the storage's errors.
    pub async fn maintain(&self, options: MaintainOptions) -> Result<MaintenanceReport> {
        let inner = &*self.inner;
        inner.connection()?;
        let clock = inner.ports.platform.clock.clone();
        let (started, now) = (clock.monotonic_ms(), clock.now());
        let mut report = MaintenanceReport::default();

        match inner.read_slice(|connection| connection.integrity_check(MAX_FINDINGS)).await {
            Ok(findings) => report.integrity = findings,
            Err(error) => report.failed(MaintenanceStep::Integrity, None, error),
        }
        match inner.read_slice(|connection| connection.foreign_key_check(MAX_FINDINGS)).await {
            Ok(findings) => report.foreign_keys = findings,
            Err(error) => report.failed(MaintenanceStep::ForeignKeys, None, error),
        }
        inner.record_findings(&report);
        // A write to a damaged file could destroy more data.
        if report.integrity.is_empty() {
            for expiry in &options.expires {
                let mut deleted = 0;
                if let Err(error) = inner.expire(expiry, now, &mut deleted).await {
                    report.failed(MaintenanceStep::Expires, Some(&expiry.table), error);
                }
                report.expired.push(ExpiredRows { table: expiry.table.clone(), deleted });
            }
            if let Err(error) = inner.delete_old_audit_rows(now, &mut report.audit_deleted).await {
                report.failed(MaintenanceStep::Audit, None, error);
            }
            if let Err(error) = inner.vacuum(&mut report).await {
                report.failed(MaintenanceStep::Vacuum, None, error);
            }
            let analysis = inner.write_slice(|inner, connection| {
                let effects = maintain::analyze(connection)?;
                inner.record_effects(&effects);
                Ok(())
            });
            match analysis.await {
                Ok(()) => report.analyzed = true,
                Err(error) => report.failed(MaintenanceStep::Analyze, None, error),
            }
        }
        inner.connection()?;
        if let Some(stored) = self.stored() {
            stored.await?;
        }
        report.ok = report.integrity.is_empty() && report.foreign_keys.is_empty() && report.errors.is_empty();
        report.ms = clock.monotonic_ms() - started;
        Ok(report)
    }
}

impl MaintenanceReport {
    fn failed(&mut self, step: MaintenanceStep, table: Option<&str>, error: crate::Error) {
        self.errors.push(MaintenanceFailure { step, table: table.map(str::to_owned), error });
    }
}

impl Inner {
    /// Runs one reading step under a lock of the connection, then yields to the event loop.
    async fn read_slice<T>(&self, work: fn(&Connection) -> Result<T>) -> Result<T> {
        let result = {
            let _guard = self.acquire().await?;
            work(&*self.connection()?)
        };
        self.yield_to_event_loop().await;
        result
    }

    /// Runs one slice of a writing step, as one commit under a lock of the connection, then yields to the event loop.
    async fn write_slice<T>(&self, work: impl FnOnce(&Inner, &Connection) -> Result<T>) -> Result<T> {
        let result = {
            let _guard = self.acquire().await?;
            let connection = self.connection()?;
            self.flusher.admit_write()?;
            let result = work(self, &connection);
            if !self.transaction_ended(true) {
                // A slice may change pages without changing rows, which is a commit, too.
                self.publish_commit(&Changed::default());
            }
            result
        };
        self.yield_to_event_loop().await;
        result
    }

    /// Yields to the event loop, so that other tasks of the page run.
    async fn yield_to_event_loop(&self) {
        self.ports.platform.clock.sleep(0).await;
    }

    /// Runs a DELETE like a user's: updates live queries and emits a `change` event. Returns the number of deleted
    /// rows.
    fn delete(&self, connection: &Connection, sql: &str, params: &[Value]) -> Result<u64> {
        let mut statement = connection.statement(sql)?;
        statement.bind_all(params)?;
        let deleted = statement.finish()?;
        if deleted > 0 {
            self.record_effects(&statement.effects());
        }
        Ok(deleted)
    }

    async fn expire(&self, expiry: &Expiry, now: Timestamp, deleted: &mut u64) -> Result<()> {
        let mut sweep = Sweep::begin(&*self.connection()?, expiry, now)?;
        let mut rows = SLICE_ROWS;
        let mut refused = Vec::new();
        while !sweep.is_done() {
            let before = sweep.clone();
            let slice = self.write_slice(|inner, connection| {
                let (sql, params) = sweep.next(connection, rows)?;
                inner.delete(connection, &sql, &params)
            });
            match slice.await {
                Ok(count) => {
                    *deleted += count;
                    rows = (rows * 2).min(SLICE_ROWS);
                }
                // One row that another one still refers to keeps the others of its slice: smaller slices, down to itself.
                Err(error) if error.code == ErrorCode::SqliteConstraint && refused.len() < MAX_REFUSED => {
                    if rows == 1 {
                        refused.push(error);
                    } else {
                        sweep = before;
                        rows = (rows / 8).max(1);
                    }
                }
                Err(error) => return Err(error),
            }
        }
        refused.into_iter().next().map_or(Ok(()), Err)
    }

    async fn delete_old_audit_rows(&self, now: Timestamp, deleted: &mut u64) -> Result<()> {
        let Some(options) = self.audit.get() else { return Ok(()) };
        let Some(days) = options.retention_days else { return Ok(()) };
        let log = Log(&options.table);
        if !log.exists(&*self.connection()?)? {
            return Ok(());
        }
        let cutoff = now.plus_ms(-((days * DAY_MS as f64) as i64));
        let mut after = Some(0);
        while let Some(from) = after {
            let slice = self.write_slice(|inner, connection| {
                let (sql, params, last) = log.old_rows(connection, cutoff, from, SLICE_ROWS)?;
                Ok((inner.delete(connection, &sql, &params)?, last))
            });
            let (rows, last) = slice.await?;
            *deleted += rows;
            after = last;
        }
        Ok(())
    }

    async fn vacuum(&self, report: &mut MaintenanceReport) -> Result<()> {
        let (mut left, size) = maintain::free_pages(&*self.connection()?)?;
        while left > 0 {
            let slice = self.write_slice(|_, connection| {
                maintain::give_back(connection, SLICE_PAGES)?;
                maintain::free_pages(connection)
            });
            let (now_left, _) = slice.await?;
            let freed = left.saturating_sub(now_left);
            report.freed_pages += freed;
            report.freed_bytes += freed * size;
            if freed == 0 {
                break;
            }
            left = now_left;
        }
        Ok(())
    }

    /// Emits the findings as warnings, and keeps them as alerts until the next maintenance.
    fn record_findings(&self, report: &MaintenanceReport) {
        let mut findings = Vec::new();
        if let Some(first) = report.integrity.first() {
            let message = format!("The database file is damaged: {first}");
            findings.push((AlertCode::IntegrityFailed, WarningCode::IntegrityFailed, message));
        }
        if let Some(first) = report.foreign_keys.first() {
            let count = report.foreign_keys.len();
            let violations = if count == 1 { "violation" } else { "violations" };
            let message = format!("{count} foreign key {violations}, the first one in the table {}", first.table);
            findings.push((AlertCode::ForeignKeysViolated, WarningCode::ForeignKeysViolated, message));
        }
        for (_, code, message) in &findings {
            self.events.emit(Event::Warning(Warning { code: *code, message: message.clone() }));
        }
        self.maintenance_findings.replace(findings.into_iter().map(|(alert, _, message)| (alert, message)).collect());
    }
}
