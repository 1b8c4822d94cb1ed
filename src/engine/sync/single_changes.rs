//! What users do with single changes: retry a rejected one, discard one, enqueue existing rows of a table. Each can be dropped until
//! its commit; its caller then waits until that is stored.

use super::{
    driver::Sync,
    host::SyncHost,
    lacking_columns::{columns_outside_key, local_table},
};
use crate::{
    error::{Error, ErrorCode, Result},
    ports::HttpResponse,
    sync::{
        apply::{
            key_lists::KeyList,
            staged::{self, ApplyTarget},
            writer::RowWriter,
        },
        config::options::{SyncDirection, TableSync},
        jobs::{job::RemoteRow, retry, unsent},
        outbox::{capture, unapplied, waiting::forget},
        postgrest::{
            keyed,
            remote::{Refusal, Remote},
            request::Requester,
            response::NOT_POSTGREST,
        },
        pull::{
            compare,
            page::{PullReadOptions, PullSource},
            reader::Pull,
        },
        report::TableReport,
        schema::{plan::Plan, table::LocalTable},
        state::progress,
        values::same_key,
    },
    value::Value,
};

impl Sync {
    /// Queues a rejected change again. A change that already waits stays as it is. Fails with `invalid_argument` for an
    /// unknown id, and with `sqlite_constraint` if the change of a restored image doesn't fit the present rows.
    pub async fn retry(&self, host: &dyn SyncHost, id: i64) -> Result<()> {
        let _flight = self.flight.acquire().await?;
        if unapplied::is_unapplied(id) {
            return self.try_row(host, id, true).await;
        }
        {
            let _guard = host.lock_connection().await?;
            let connection = host.connection()?;
            host.admit_write()?;
            let change = retry::find(&connection, id)?;
            if change.key.is_empty() {
                let text = "The key of this change's row isn't known since the table has another key";
                return Err(Error::invalid(text)
                    .hint("Discard the change, and make it again")
                    .detail("table", change.table));
            }
            let config = self.known(&change.table)?;
            let plan = self.push_plan(&connection, config, local_table(&connection, config)?)?;
            connection.atomically(|connection| retry::retry(connection, &plan, &change))?;
            self.unwritten.borrow_mut().forget(plan.name());
            host.committed(&[&plan.table.name]);
        }
        Ok(())
    }

    /// Discards a change: the local row becomes the remote's, or is deleted if the remote has none. If other rows
    /// prevent that, the remote's row waits like a pulled one. For a dropped table, only the change is
    /// removed, as for a column that isn't synced any more.
    ///
    /// A remote row that waits because it didn't fit is tried again. If it still doesn't fit, the local row stays, and the
    /// remote's row is removed until the remote sends it again.
    ///
    /// Fails with `invalid_argument` for an unknown id, and with `sync_*` if the remote can't be read. Then nothing
    /// changes.
    pub async fn discard(&self, host: &dyn SyncHost, id: i64) -> Result<()> {
        let _flight = self.flight.acquire().await?;
        if unapplied::is_unapplied(id) {
            return self.try_row(host, id, false).await;
        }
        let client = self.remote(host).await?;
        let found = {
            let _guard = host.lock_connection().await?;
            let connection = host.connection()?;
            let change = retry::find(&connection, id)?;
            let table = LocalTable::read(&connection, &change.table)?.filter(|_| !change.key.is_empty());
            let plan = table.map(|table| self.push_plan(&connection, self.known(&change.table)?, table)).transpose()?;
            if let Some(plan) = plan.filter(|plan| change.unlisted_column(plan).is_none()) {
                let writer = RowWriter::new(&connection, &plan)?;
                Some((change, plan, writer))
            } else {
                host.admit_write()?;
                forget(&connection, change.id)?;
                host.committed(&[]);
                None
            }
        };
        // The table or its column isn't synced any more, so there is no row to read.
        let Some((change, mut plan, mut writer)) = found else { return Ok(()) };
        // A push-only table can't be read, so the row returns to its base.
        let remote = if plan.options.direction == SyncDirection::Push {
            None
        } else {
            let mut read = read_row(&client, &plan, &change.key).await;
            if let (Err(Refusal::UnknownColumn(_)), None) = (&read, &plan.options.columns) {
                let lacks = self
                    .find_lacking_columns(&client, &plan, &columns_outside_key(&plan))
                    .await
                    .map_err(Refusal::into_error)?;
                {
                    let _guard = host.lock_connection().await?;
                    let connection = host.connection()?;
                    plan = self.exclude_columns(&connection, &plan.options, lacks)?;
                    writer = RowWriter::new(&connection, &plan)?;
                }
                read = read_row(&client, &plan, &change.key).await;
            }
            match read {
                Err(Refusal::Failed(error)) if keyed::are_too_long(std::iter::once(&change.key[..]), &error) => None,
                read => Some(read.map_err(Refusal::into_error)?),
            }
        };
        {
            let _guard = host.lock_connection().await?;
            let connection = host.connection()?;
            host.admit_write()?;
            connection.atomically(|connection| {
                capture::without_capture(connection, |connection| {
                    retry::discard(connection, &plan, &writer, &change, remote.as_ref())
                })
            })?;
            host.committed(&[&plan.table.name]);
        }
        Ok(())
    }

    /// Queues the rows of a table that the remote doesn't have, as those that existed before the table was synced.
    /// Returns their number. Fails with `invalid_argument` for a table that isn't pushed, and with `sync_*` if the
    /// remote can't be read.
    pub async fn enqueue(&self, host: &dyn SyncHost, table: &str) -> Result<u64> {
        let _flight = self.flight.acquire().await?;
        let config = self.known(table)?;
        if config.direction == SyncDirection::Pull {
            return Err(Error::invalid(format!("Table {table} is never pushed: its direction is 'pull'"))
                .hint("Give it direction: 'both'")
                .detail("table", table));
        }
        host.admit_write()?;
        let client = self.remote(host).await?;
        let (plan, writer) = {
            let _guard = host.lock_connection().await?;
            let connection = host.connection()?;
            compare::begin(&connection)?;
            let plan = self.push_plan(&connection, config, local_table(&connection, config)?)?;
            let writer = RowWriter::new(&connection, &plan)?;
            (plan, writer)
        };
        if config.direction != SyncDirection::Push {
            self.list_keys(host, &client, &plan, &writer).await?;
        }
        let _guard = host.lock_connection().await?;
        let connection = host.connection()?;
        host.admit_write()?;
        let queued = connection.atomically(|connection| unsent::enqueue(connection, &plan))?;
        compare::begin(&connection)?;
        host.committed(&[]);
        Ok(queued)
    }

    /// Tries a remote row that could not be applied, and the other ones of its table. One that still doesn't fit goes on waiting with
    /// `keeps`; otherwise it is removed until the remote sends it again, and the local row stays. A row that no longer waits needs nothing:
    /// one row may let others fit, so that a loop over all rejected changes meets ids that are done already.
    async fn try_row(&self, host: &dyn SyncHost, id: i64, keeps: bool) -> Result<()> {
        let mut tried = Vec::new();
        {
            let _guard = host.lock_connection().await?;
            let connection = host.connection()?;
            host.admit_write()?;
            let Some((table, key)) = unapplied::find(&connection, id)? else { return Ok(()) };
            // A row of a table that isn't synced any more is only removed.
            if keeps || self.config.table(&table).is_some() {
                let config = self.known(&table)?;
                let plan = self.push_plan(&connection, config, local_table(&connection, config)?)?;
                let writer = RowWriter::new(&connection, &plan)?;
                tried.push(ApplyTarget { plan, writer, report: TableReport::default(), listed: false, read: false });
                staged::resolve(&connection, &mut tried)?;
            }
            if !keeps {
                unapplied::forget(&connection, &table, &key)?;
            }
            host.committed(&[&table]);
        }
        for target in &tried {
            let answers = self.resolve_pending_conflicts(host, &target.plan, &target.writer).await?;
            answers.failed.map_or(Ok(()), Err)?;
        }
        Ok(())
    }

    fn known(&self, table: &str) -> Result<&TableSync> {
        let unknown = || {
            Error::invalid(format!("Table {table} is not in remote.tables")).hint("Add it there").detail("table", table)
        };
        self.config.table(table).ok_or_else(unknown)
    }

    /// Reads all remote keys into `temp.tidelock_seen`.
    async fn list_keys(&self, host: &dyn SyncHost, client: &Remote<'_>, plan: &Plan, writer: &RowWriter) -> Result<()> {
        let source =
            PullSource { plan: plan.clone(), progress: progress::TableProgress::default(), missing: Vec::new() };
        let read_options = PullReadOptions { page_size: self.config.options.page_size, ..PullReadOptions::default() };
        let pull = Pull::new(client, vec![source], read_options, &self.current_table);
        self.consume_pages(&pull, pull.read_keys(&[None]), async |page| {
            let _guard = host.lock_connection().await?;
            let connection = host.connection()?;
            connection.atomically(|connection| writer.note_keys(connection, &page.rows, KeyList::Seen, false))
        })
        .await
    }
}

/// Reads the remote's row of a key. Fails with `sync_protocol` if the remote answers with a different row.
async fn read_row(client: &Remote<'_>, plan: &Plan, key: &[Value]) -> Result<RemoteRow, Refusal> {
    if key.iter().any(Value::is_null) {
        // No remote row has a NULL in its key.
        return Ok(RemoteRow::Absent);
    }
    let make = |requester: &Requester| keyed::read(requester, &plan.selection, &[key]);
    let parse = |response: &HttpResponse| plan.read(&response.body);
    let (rows, _) = client.read(plan.name(), &mut client.tries(), &make, &parse).await?;
    let keys: Vec<Vec<Value>> = (0..rows.len()).map(|at| plan.key_of(rows.row(at))).collect();
    let found = same_key::assign(&[key], &keys.iter().map(Vec::as_slice).collect::<Vec<_>>())[0];
    match found {
        None if rows.is_empty() => Ok(RemoteRow::Absent),
        None => {
            Err(Error::new(ErrorCode::SyncProtocol, "The remote answered with a different row than the requested one")
                .hint(NOT_POSTGREST)
                .detail("table", plan.name())
                .into())
        }
        Some(at) if rows.deleted[at] => Ok(RemoteRow::Deleted),
        Some(at) => Ok(RemoteRow::Row(rows.row(at).to_vec(), rows.cursors.get(at).cloned().flatten())),
    }
}
