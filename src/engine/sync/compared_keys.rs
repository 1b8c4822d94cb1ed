//! Lists the keys of remote tables, by which a pull finds their deletions, and rows that became visible.

use super::{driver::Sync, host::SyncHost, pull_run::PullRun};
use crate::{
    error::Result,
    sync::{
        postgrest::remote::Remote,
        pull::{compare, page::PullReadOptions, reader::Pull},
        state::progress,
    },
    value::Value,
};

/// Milliseconds after which all keys are compared, even if their number is the expected one.
const LIST_AGAIN_MS: i64 = 6 * 3_600_000;

/// Maximum number of unread rows of a table that are read by their keys. Of more, the next pull reads the whole table.
const MOST_UNREAD: usize = 2000;

impl Sync {
    /// Lists the keys of the tables whose deletions are found by comparison, unless their number is the expected one.
    /// It lists them at least every six hours, since the number may be right by chance.
    pub(super) async fn compare_keys(
        &self,
        host: &dyn SyncHost,
        remote: &Remote<'_>,
        pull: &Pull<'_>,
        run: &mut PullRun,
    ) -> Result<()> {
        let (mut places, mut sources, mut expected) = (Vec::new(), Vec::new(), Vec::new());
        let now = self.platform.clock.now();
        {
            let _guard = host.lock_connection().await?;
            let connection = host.connection()?;
            for (at, (target, source)) in
                run.targets.iter_mut().zip(pull.sources()).enumerate().filter(|(_, (target, _))| target.read)
            {
                target.listed = pull.listed(at);
                let name = target.plan.name();
                if target.listed {
                    progress::save_listed(&connection, name, now)?;
                } else if target.plan.options.compares() {
                    let listed = progress::listed_at(&connection, name)?;
                    let lately = listed.is_some_and(|listed| (0..LIST_AGAIN_MS).contains(&now.since(listed)));
                    expected.push(if lately { compare::expected(&connection, name)? } else { None });
                    places.push(at);
                    sources.push(source.clone());
                }
            }
        }
        if sources.is_empty() {
            return Ok(());
        }
        let read_options =
            PullReadOptions { alone: true, page_size: self.config.options.page_size, ..PullReadOptions::default() };
        let listing = Pull::new(remote, sources.clone(), read_options, &self.current_table);
        self.consume_pages(&listing, listing.read_keys(&expected), async |mut page| {
            page.table = places[page.table];
            self.handle_page(host, run, page, None).await
        })
        .await?;
        run.note_table_errors(
            listing.take_table_errors().into_iter().map(|(table, error)| (places[table], error)).collect(),
        );
        for (listed, (at, source)) in places.into_iter().zip(sources).enumerate() {
            if !listing.listed(listed) {
                continue;
            }
            let pull = Pull::new(remote, vec![source], read_options, &self.current_table);
            self.read_unread(host, run, at, pull).await?;
            let _guard = host.lock_connection().await?;
            run.targets[at].listed = true;
            progress::save_listed(&*host.connection()?, run.targets[at].plan.name(), now)?;
            host.committed(&[]);
        }
        Ok(())
    }

    /// Reads the listed rows of a table that no pull has read: a policy shows them from now on, and they are before the
    /// cursor.
    async fn read_unread(&self, host: &dyn SyncHost, run: &mut PullRun, at: usize, pull: Pull<'_>) -> Result<()> {
        let keys = {
            let _guard = host.lock_connection().await?;
            let (connection, name) = (host.connection()?, run.targets[at].plan.name());
            let keys = compare::unread_keys(&connection, name, MOST_UNREAD + 1)?;
            if keys.len() > MOST_UNREAD {
                progress::read_whole_next(&connection, &Value::from(name))?;
                return Ok(());
            }
            keys
        };
        self.consume_pages(&pull, pull.read_by_keys(0, &keys), async |mut page| {
            page.table = at;
            self.handle_page(host, run, page, None).await
        })
        .await?;
        run.note_table_errors(pull.take_table_errors().into_iter().map(|(_, error)| (at, error)).collect());
        Ok(())
    }
}
