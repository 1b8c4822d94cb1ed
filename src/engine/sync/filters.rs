//! Filters that the user's function gives, and filters that a table gets after it was read without one.

use super::{driver::Sync, host::SyncHost};
use crate::{
    error::{Error, Result},
    sync::{
        apply::{key_lists::KeyList, writer::RowWriter},
        config::{checked::check_filter, options::TableSync},
        outbox::capture,
        postgrest::remote::Remote,
        pull::{
            page::{PullReadOptions, PullSource},
            reader::Pull,
        },
        schema::{plan::Plan, table::LocalTable},
        state::{
            filter,
            progress::{self, TableProgress},
        },
    },
};

/// The tables of a pull with their filters, and the errors of those whose function gives none.
pub(super) type Filtered = (Vec<TableSync>, Vec<(String, Error)>);

impl Sync {
    /// Returns the tables with the filters that hold now. A table whose function fails is left out, with its error: what
    /// is stored about its last filter stays. `all` fails with that error instead.
    pub(super) async fn with_filters(
        &self,
        host: &dyn SyncHost,
        tables: Vec<&TableSync>,
        all: bool,
    ) -> Result<Filtered> {
        let (mut filtered, mut failed) = (Vec::new(), Vec::new());
        for table in tables {
            let mut table = table.clone();
            if table.has_filter_function {
                let what = format!("The filter function of table {}", table.table);
                let hint = "Settle its promise earlier, or raise remote.timeoutMs; the next pull calls it again";
                let given = self.within_time(host.filter(&table.table), &what, hint).await;
                match given.and_then(|filter| {
                    table.filter = filter;
                    check_filter(&table)
                }) {
                    Ok(()) => {}
                    Err(error) => {
                        let error = error.detail("table", table.table.clone());
                        if all {
                            return Err(error);
                        }
                        failed.push((table.table, error));
                        continue;
                    }
                }
            }
            filtered.push(table);
        }
        Ok((filtered, failed))
    }

    /// Notes which rows the remote has, for tables that were read without a filter and get one now: those that it leaves
    /// out are then removed, and those that exist only locally stay. Returns the tables that can't be read, with their
    /// errors.
    pub(super) async fn learn_keys(
        &self,
        host: &dyn SyncHost,
        remote: &Remote<'_>,
        tables: &[(&TableSync, LocalTable)],
    ) -> Result<Vec<(String, Error)>> {
        let mut failed = Vec::new();
        for (table, local) in tables {
            let (plan, writer) = {
                let _guard = host.lock_connection().await?;
                let connection = host.connection()?;
                let missing = progress::missing(&connection, &table.table)?;
                // The pull reports why a table can't be planned.
                let Ok(plan) = Plan::new(table, local.clone(), &missing) else { continue };
                if !filter::is_new(&connection, table)? {
                    continue;
                }
                let writer = RowWriter::new(&connection, &plan)?;
                (plan, writer)
            };
            let mut unfiltered = plan;
            unfiltered.selection.filter.clear();
            let source = PullSource { plan: unfiltered, progress: TableProgress::default(), missing: Vec::new() };
            let read_options =
                PullReadOptions { alone: true, page_size: self.config.options.page_size, ..PullReadOptions::default() };
            let listing = Pull::new(remote, vec![source], read_options, &self.current_table);
            self.consume_pages(&listing, listing.read_keys(&[None]), async |page| {
                let _guard = host.lock_connection().await?;
                let connection = host.connection()?;
                host.admit_write()?;
                connection.atomically(|connection| {
                    capture::without_capture(connection, |connection| {
                        writer.note_keys(connection, &page.rows, KeyList::Known, true)
                    })
                })?;
                host.committed(&[]);
                Ok(())
            })
            .await?;
            failed.extend(listing.take_table_errors().into_iter().map(|(_, error)| (table.table.clone(), error)));
        }
        Ok(failed)
    }
}
