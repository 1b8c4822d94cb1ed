//! Maintenance: each step on a permit of the mutex, long steps in slices, so that other calls run between them.

use serde::Deserialize;

use crate::{
    audit::Log,
    engine::{
        Database, Event,
        database::{Changed, Inner},
    },
    error::{Result, Warning, WarningCode},
    health::AlertCode,
    sqlite::Connection,
    time::{DAY_MS, Timestamp},
    upkeep::{self, Expired, Expiry, Failed, MaintenanceReport, MaintenanceStep, Sweep},
    value::Value,
};

/// How much of what is wrong is told.
const TOLD: usize = 100;
/// Rows of one slice: a few milliseconds.
const ROWS: u32 = 1000;
/// Pages that are given back in one slice.
const PAGES: u32 = 256;

/// The options of [`Database::maintain`].
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct MaintainOptions {
    /// The tables whose rows expire.
    pub expires: Vec<Expiry>,
}

impl Database {
    /// Checks the file and its foreign keys, deletes what has expired and old rows of the audit log, gives back free pages, and
    /// gathers statistics for the query planner. What is found, and which steps failed, is in the report; the next
    /// [`health`](Self::health) has it as alerts. What is deleted goes as any other row does. May be dropped between any two slices.
    ///
    /// Fails with `closed` and `lock_lost`, and when what it wrote can't be stored.
    pub async fn maintain(&self, options: MaintainOptions) -> Result<MaintenanceReport> {
        let inner = &*self.inner;
        inner.connection()?;
        let clock = inner.ports.platform.clock.clone();
        let (started, now) = (clock.monotonic_ms(), clock.now());
        let mut report = MaintenanceReport::default();

        match inner.read_slice(|connection| connection.integrity_check(TOLD)).await {
            Ok(found) => report.integrity = found,
            Err(error) => report.failed(MaintenanceStep::Integrity, None, error),
        }
        match inner.read_slice(|connection| connection.foreign_key_check(TOLD)).await {
            Ok(found) => report.foreign_keys = found,
            Err(error) => report.failed(MaintenanceStep::ForeignKeys, None, error),
        }
        inner.remember(&report);
        // Whatever wrote to a damaged file might damage more.
        if report.integrity.is_empty() {
            for expiry in &options.expires {
                let mut deleted = 0;
                if let Err(error) = inner.expire(expiry, now, &mut deleted).await {
                    report.failed(MaintenanceStep::Expires, Some(&expiry.table), error);
                }
                report.expired.push(Expired { table: expiry.table.clone(), deleted });
            }
            if let Err(error) = inner.forget_audited(now, &mut report.audit_deleted).await {
                report.failed(MaintenanceStep::Audit, None, error);
            }
            if let Err(error) = inner.vacuum(&mut report).await {
                report.failed(MaintenanceStep::Vacuum, None, error);
            }
            match inner.write_slice(|_, connection| upkeep::analyze(connection)).await {
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
        self.errors.push(Failed { step, table: table.map(str::to_owned), error });
    }
}

impl Inner {
    /// Reads under one lock of the connection, then yields to the event loop.
    async fn read_slice<T>(&self, work: fn(&Connection) -> Result<T>) -> Result<T> {
        let result = {
            let _guard = self.acquire().await?;
            work(&*self.connection()?)
        };
        self.yield_to_event_loop().await;
        result
    }

    /// Runs one slice of a step that writes, as one commit under one lock of the connection, then yields to the event loop.
    async fn write_slice<T>(&self, work: impl FnOnce(&Inner, &Connection) -> Result<T>) -> Result<T> {
        let result = {
            let _guard = self.acquire().await?;
            let connection = self.connection()?;
            self.flusher.admit_write()?;
            let result = work(self, &connection);
            if !self.transaction_ended(true) {
                // A change of the file that changes no rows is a commit, too.
                self.publish_commit(&Changed::default());
            }
            result
        };
        self.yield_to_event_loop().await;
        result
    }

    /// Lets waiting tasks of the page run.
    async fn yield_to_event_loop(&self) {
        self.ports.platform.clock.sleep(0).await;
    }

    /// Deletes rows like a user: live queries and `change` events are notified.
    fn delete(&self, connection: &Connection, sql: &str, params: &[Value]) -> Result<u64> {
        let mut statement = connection.statement(sql)?;
        statement.bind_all(params)?;
        let deleted = statement.finish()?;
        if deleted > 0 {
            self.note(&statement.facts());
        }
        Ok(deleted)
    }

    async fn expire(&self, expiry: &Expiry, now: Timestamp, deleted: &mut u64) -> Result<()> {
        let mut sweep = Sweep::begin(&*self.connection()?, expiry, now)?;
        loop {
            let slice = self.write_slice(|inner, connection| match sweep.next(connection, ROWS)? {
                Some((sql, params)) => inner.delete(connection, &sql, &params).map(Some),
                None => Ok(None),
            });
            match slice.await? {
                Some(rows) => *deleted += rows,
                None => return Ok(()),
            }
        }
    }

    async fn forget_audited(&self, now: Timestamp, deleted: &mut u64) -> Result<()> {
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
                let (sql, params, last) = log.old_rows(connection, cutoff, from, ROWS)?;
                Ok((inner.delete(connection, &sql, &params)?, last))
            });
            let (rows, last) = slice.await?;
            *deleted += rows;
            after = last;
        }
        Ok(())
    }

    async fn vacuum(&self, report: &mut MaintenanceReport) -> Result<()> {
        let (mut left, size) = upkeep::free_pages(&*self.connection()?)?;
        while left > 0 {
            let slice = self.write_slice(|_, connection| {
                upkeep::give_back(connection, PAGES)?;
                upkeep::free_pages(connection)
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

    /// What was found stays an alert until the next time.
    fn remember(&self, report: &MaintenanceReport) {
        let mut found = Vec::new();
        if let Some(first) = report.integrity.first() {
            let message = format!("The database file is damaged: {first}");
            found.push((AlertCode::IntegrityFailed, WarningCode::IntegrityFailed, message));
        }
        if let Some(first) = report.foreign_keys.first() {
            let count = report.foreign_keys.len();
            let message = format!("{count} rows lack their parent, the first one in the table {}.", first.table);
            found.push((AlertCode::ForeignKeysViolated, WarningCode::ForeignKeysViolated, message));
        }
        for (_, code, message) in &found {
            self.events.emit(Event::Warning(Warning { code: *code, message: message.clone() }));
        }
        self.found.replace(found.into_iter().map(|(alert, _, message)| (alert, message)).collect());
    }
}
