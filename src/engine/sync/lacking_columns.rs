//! Columns that the remote lacks: a push leaves them out, and their changes wait until the remote has them.

use super::{
    driver::{Caller, Sync},
    host::SyncHost,
    push_run::PushRun,
};
use crate::{
    error::{Error, ErrorCode, Result},
    sqlite::Connection,
    sync::{
        apply::writer::RowWriter,
        config::options::{SyncDirection, TableSync},
        jobs::dependencies::Dependencies,
        outbox::entries,
        postgrest::{
            remote::{Refusal, Remote},
            request::Requester,
        },
        push::{sender::Push, write},
        schema::{plan::Plan, table::LocalTable},
        state::progress,
    },
};

impl Sync {
    /// Checks whether the remote has added columns that changes wait for.
    pub(super) async fn check_lacking_columns(
        &self,
        caller: Caller,
        host: &dyn SyncHost,
        remote: &Remote<'_>,
    ) -> Result<()> {
        let mut waiting = Vec::new();
        {
            let _guard = host.lock_connection().await?;
            let connection = host.connection()?;
            for config in self.config.options.tables.iter().filter(|table| table.direction != SyncDirection::Pull) {
                if entries::lacking_columns(&connection, Some(&config.table))? > 0
                    && self.resting_error(&self.unwritten, caller, &config.table).is_none()
                    && let Some(table) = LocalTable::read(&connection, &config.table)?
                    && let Ok(plan) = self.push_plan(&connection, config, table)
                {
                    let missing = progress::missing(&connection, &config.table)?;
                    waiting.push((plan, missing));
                }
            }
        }
        for (plan, missing) in waiting {
            let still = match self.find_lacking_columns(remote, &plan, &missing).await {
                // The changes keep waiting; the table's other requests fail with the reason.
                Err(refusal) if refusal.is_about_one_table() => continue,
                still => still.map_err(Refusal::into_error)?,
            };
            if still.len() < missing.len() {
                let _guard = host.lock_connection().await?;
                let connection = host.connection()?;
                connection.atomically(|connection| progress::save_missing(connection, plan.name(), &still))?;
                host.committed(&[]);
            }
        }
        Ok(())
    }

    /// Returns those of the columns that the remote lacks.
    pub(super) async fn find_lacking_columns(
        &self,
        remote: &Remote<'_>,
        plan: &Plan,
        columns: &[String],
    ) -> Result<Vec<String>, Refusal> {
        let mut lacks = Vec::new();
        for column in columns {
            let make = |requester: &Requester| write::probe(requester, plan, column);
            match remote.send(plan.name(), &mut remote.tries(), &make).await {
                // A refusal means that the column exists, but can't be read.
                Ok(_) | Err(Refusal::Rejected(_)) => {}
                Err(Refusal::UnknownColumn(_)) => lacks.push(column.clone()),
                Err(refusal) => return Err(refusal),
            }
        }
        Ok(lacks)
    }

    /// Stores columns that the remote turned out to lack, and returns the plan without them. Fails, and stores nothing,
    /// if the plan requires one of them. The caller must have locked the connection.
    pub(super) fn exclude_columns(
        &self,
        connection: &Connection,
        config: &TableSync,
        lacks: Vec<String>,
    ) -> Result<Plan> {
        let mut missing = progress::missing(connection, &config.table)?;
        missing.extend(lacks);
        Plan::new(config, local_table(connection, config)?, &missing)?;
        connection.atomically(|connection| progress::save_missing(connection, &config.table, &missing))?;
        self.push_plan(connection, config, local_table(connection, config)?)
    }

    /// Replaces the plans of tables for which the remote turned out to lack columns.
    pub(super) async fn learn_lacking_columns(
        &self,
        host: &dyn SyncHost,
        push: &Push<'_>,
        run: &mut PushRun,
    ) -> Result<()> {
        for at in 0..run.targets.len() {
            if !push.take_unknown_column(at) {
                continue;
            }
            let plan = &run.targets[at].plan;
            let lacks = match self.find_lacking_columns(push.remote, plan, &columns_outside_key(plan)).await {
                // The table is held already, with its error.
                Err(refusal) if refusal.is_about_one_table() => continue,
                lacks => lacks.map_err(Refusal::into_error)?,
            };
            if lacks.is_empty() {
                continue;
            }
            let _guard = host.lock_connection().await?;
            let connection = host.connection()?;
            let config = run.targets[at].plan.options.clone();
            let plan = match self.exclude_columns(&connection, &config, lacks) {
                Err(error) if error.is(ErrorCode::SyncSchemaMismatch) => {
                    run.errors[at] = Some(error);
                    continue;
                }
                plan => plan?,
            };
            push.set_plan(at, plan.clone());
            run.targets[at].writer = RowWriter::new(&connection, &plan)?;
            run.targets[at].plan = plan;
            let plans: Vec<&Plan> = run.targets.iter().map(|target| &target.plan).collect();
            run.dependencies = Dependencies::new(&plans);
            run.dependencies.start(&connection, self.platform.clock.now().0)?;
            run.errors[at] = None;
            let held = std::mem::take(&mut run.held[at]);
            run.skip.retain(|id| !held.contains(id));
        }
        Ok(())
    }

    pub(super) fn push_plan(&self, connection: &Connection, config: &TableSync, table: LocalTable) -> Result<Plan> {
        let mut missing = progress::missing(connection, &config.table)?;
        // What the options name now may have come since: a request shows whether it did.
        missing.retain(|column| !config.requires(column));
        let mut plan = Plan::new(config, table, &missing)?;
        plan.set_structured(&progress::structured(connection, &config.table)?);
        Ok(plan)
    }
}

/// Returns the local table of an option. Fails with `sync_schema_mismatch` if it doesn't exist.
pub(super) fn local_table(connection: &Connection, config: &TableSync) -> Result<LocalTable> {
    LocalTable::read(connection, &config.table)?.ok_or_else(|| no_local_table(config))
}

/// Returns the error for a missing local table.
pub(super) fn no_local_table(config: &TableSync) -> Error {
    let text = format!("There is no local table {}", config.table);
    Error::new(ErrorCode::SyncSchemaMismatch, text)
        .hint("Create it in a migration, or take it out of remote.tables")
        .detail("table", config.table.clone())
}

/// Returns the columns that a remote may lack: all except the key's.
pub(super) fn columns_outside_key(plan: &Plan) -> Vec<String> {
    let columns = plan.columns.iter().enumerate().filter(|(at, _)| !plan.key.contains(at));
    columns.map(|(_, column)| column.name.clone()).collect()
}
