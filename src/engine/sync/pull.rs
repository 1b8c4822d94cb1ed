//! Performs one pull, from the first request to the last row.

use super::{
    driver::{Caller, Sync},
    host::SyncHost,
    lacking_columns::no_local_table,
    pull_run::{PullRun, merge_page, note_outcomes},
};
use crate::{
    error::{Error, Result},
    sqlite::Connection,
    sync::{
        apply::{
            parents::Synced,
            staged::{self, ApplyTarget},
            writer::RowWriter,
        },
        config::options::{Names, SyncDirection, TableSync},
        outbox::{capture, rekey, unread},
        pull::{
            compare,
            helpers::{self, Helpers},
            page::{Page, PullReadOptions, PullSource},
            reader::Pull,
            replace::{self, Limits},
        },
        report::{PullMode, PullOptions, PullProgress, PullReport, TableReport},
        schema::{
            plan::Plan,
            table::{LocalTable, parents_first},
        },
        state::{
            filter,
            progress::{self, TableProgress},
            tables,
        },
        status::SyncPhase,
        values::encode::quote,
    },
};

/// Milliseconds after which columns that the remote lacks are read again, since it may have them by now. A pull that changes
/// rows lets the next one read them at once.
const TRY_COLUMNS_AGAIN_MS: f64 = 600_000.0;

/// The tables of a pull with their local schema, and the errors of tables without one.
type Local<'a> = (Vec<(&'a TableSync, LocalTable)>, Vec<(String, Error)>);

impl Sync {
    pub(super) async fn pull_alone(
        &self,
        caller: Caller,
        host: &dyn SyncHost,
        options: PullOptions,
        progress: Option<&dyn Fn(PullProgress)>,
    ) -> Result<PullReport> {
        let clock = &*self.platform.clock;
        let started = clock.monotonic_ms();
        host.admit_write()?;
        let replacing = options.mode == PullMode::Replace;
        let selected = self.selected(&options)?;
        if replacing && !options.discard_unpushed {
            // Checked before any request, and again in the transaction of the replace.
            let _guard = host.lock_connection().await?;
            replace::check_unpushed(&*host.connection()?, selected.iter().map(|config| &*config.table))?;
        }
        let remote = self.remote(host).await?;
        let (selected, unfiltered) = self.with_filters(host, selected, replacing).await?;
        let selected: Vec<&TableSync> = selected.iter().collect();
        let (mut tables, mut absent, since) = {
            let _guard = host.lock_connection().await?;
            let connection = host.connection()?;
            let (mut tables, mut absent) = local_tables(&connection, &selected, replacing)?;
            absent.extend(unfiltered);
            tables.retain(|(config, _)| {
                let why = self.resting_error(&self.unread, caller, &config.table);
                absent.extend(why.iter().map(|error| (config.table.clone(), error.clone())));
                why.is_none()
            });
            let mut progress = Vec::new();
            for (table, local) in &tables {
                let any = format!("SELECT 1 FROM main.{} LIMIT 1", quote(&local.name));
                let read = match options.full {
                    // All rows are read, so tombstones of all times apply.
                    true => TableProgress::default(),
                    false => progress::progress(&connection, &table.table)?,
                };
                let numbered = read.watermark.as_deref().and_then(helpers::split).is_some();
                if numbered || connection.value(&any, &[])?.is_some() {
                    progress.push(read);
                }
            }
            (tables, absent, helpers::since(&progress))
        };
        let helpers =
            if tables.is_empty() { None } else { self.request_helpers(host, &remote, since, options.full).await? };
        let unlisted = self.learn_keys(host, &remote, &tables).await?;
        if let Some((_, error)) = unlisted.first().filter(|_| replacing) {
            return Err(error.clone());
        }
        tables.retain(|(config, _)| unlisted.iter().all(|(table, _)| *table != config.table));
        absent.extend(unlisted);
        let (sources, mut run) = {
            let _guard = host.lock_connection().await?;
            host.admit_write()?;
            let begun = self.begin(&*host.connection()?, (tables, absent), &options, helpers.as_ref())?;
            host.committed(&[]);
            begun
        };
        if let Some(helpers) = helpers.filter(|_| !replacing) {
            self.store_tombstones(host, &sources, &helpers, options.full).await?;
        }
        let read_options = PullReadOptions {
            full: options.full || replacing,
            count: progress.is_some(),
            compare: !replacing,
            alone: !replacing,
            page_size: self.config.options.page_size,
        };
        let pull = Pull::new(&remote, sources, read_options, &self.current_table);
        let mut since = clock.monotonic_ms();
        let read = self
            .consume_pages(&pull, pull.read(), async |page| {
                let at = page.table;
                run.began[at].get_or_insert(since);
                self.handle_page(host, &mut run, page, progress).await?;
                since = clock.monotonic_ms();
                run.targets[at].report.ms = since - run.began[at].unwrap_or_default();
                Ok(())
            })
            .await;
        let errors = pull.take_table_errors();
        let unread = |at: usize| errors.iter().any(|(table, _)| *table == at);
        run.targets.iter_mut().enumerate().for_each(|(at, target)| target.read = !unread(at));
        run.note_table_errors(errors);
        if let Err(error) = read {
            for (table, error) in &run.errors {
                self.note_failure(host, SyncPhase::Pulling, table, error).await;
            }
            return Err(error);
        }
        if run.mode == PullMode::Merge {
            self.compare_keys(host, &remote, &pull, &mut run).await?;
        }
        self.finish(host, &pull, &mut run, &options).await?;
        for at in 0..run.targets.len() {
            self.resolve_table_conflicts(host, &mut run, at).await?;
        }
        host.stored().await?;
        for target in &run.targets {
            let name = target.plan.name();
            let failed = run.errors.iter().find(|(table, _)| table == name);
            self.note_attempt(&self.unread, name, failed.map(|(_, error)| error));
        }
        if let Some(error) = run.errors.into_iter().map(|(_, error)| error).next().or(run.undecided) {
            return Err(self.note_partial_failure(error));
        }
        let tables = run.targets.into_iter().map(|target| target.report).collect();
        Ok(PullReport { mode: options.mode, tables, ms: clock.monotonic_ms() - started })
    }

    /// Returns the tables to read, and the initial state. The caller must have locked the connection.
    fn begin(
        &self,
        connection: &Connection,
        (tables, mut errors): Local<'_>,
        options: &PullOptions,
        helpers: Option<&Helpers>,
    ) -> Result<(Vec<PullSource>, PullRun)> {
        compare::begin(connection)?;
        let order = parents_first(&tables.iter().map(|(_, table)| table).collect::<Vec<_>>());
        let replacing = options.mode == PullMode::Replace;
        let synced = Synced::all(connection)?;
        let now = self.platform.clock.monotonic_ms();
        let (mut sources, mut targets) = (Vec::new(), Vec::new());
        let (mut stored_missing, mut left_out) = (Vec::new(), Vec::new());
        for at in order {
            let (config, table) = &tables[at];
            let stored = progress::missing(connection, &config.table)?;
            let tried = self.tried.borrow().get(&config.table).is_some_and(|at| now - at < TRY_COLUMNS_AGAIN_MS);
            let missing = if tried && !options.full { stored.clone() } else { Vec::new() };
            let mut plan = match Plan::new(config, table.clone(), &missing) {
                Err(error) if !replacing => {
                    errors.push((config.table.clone(), error));
                    continue;
                }
                plan => plan?,
            };
            plan.set_structured(&progress::structured(connection, &config.table)?);
            if let Some(helpers) = helpers {
                helpers.apply(&mut plan);
            }
            rekey::adapt(connection, &config.table, &plan.table, &plan.key_columns())?;
            filter::change(connection, config, &self.config.source(config))?;
            unread::leave_out(connection, &plan)?;
            let progress = progress::progress(connection, &config.table)?;
            if !replacing && (options.full || config.cursor.is_none() && progress.started.is_none()) {
                // The pull reads all rows again, the staged ones too.
                staged::forget(connection, &plan)?;
            }
            let writer = RowWriter::among(connection, &plan, &synced)?;
            let report = TableReport { table: config.table.clone(), ..TableReport::default() };
            targets.push(ApplyTarget { plan: plan.clone(), writer, report, listed: false, read: false });
            left_out.push(!missing.is_empty());
            sources.push(PullSource { plan, progress, missing });
            stored_missing.push(stored);
        }
        let count = sources.len();
        let run = PullRun {
            targets,
            mode: options.mode,
            gathered: vec![Vec::new(); count],
            stored_missing,
            left_out,
            began: vec![None; count],
            rows: vec![0; count],
            errors,
            undecided: None,
        };
        Ok((sources, run))
    }

    /// Returns the tables of this pull, without push-only ones.
    fn selected(&self, options: &PullOptions) -> Result<Vec<&TableSync>> {
        let readable = |table: &&TableSync| table.direction != SyncDirection::Push;
        let Some(names) = options.tables.clone().map(Names::into_vec) else {
            return Ok(self.config.options.tables.iter().filter(readable).collect());
        };
        let unknown = |name: &String| {
            Error::invalid(format!("Table {name} is not in remote.tables"))
                .hint("Add it there, or leave it out here")
                .detail("table", name.clone())
        };
        let tables = names.iter().map(|name| self.config.table(name).ok_or_else(|| unknown(name)));
        let mut tables = tables.collect::<Result<Vec<_>>>()?;
        tables.retain(readable);
        tables.dedup_by(|a, b| a.table == b.table);
        Ok(tables)
    }

    /// Handles a page: a merge applies it, a replace keeps it until the end.
    pub(super) async fn handle_page(
        &self,
        host: &dyn SyncHost,
        run: &mut PullRun,
        page: Box<Page>,
        progress: Option<&dyn Fn(PullProgress)>,
    ) -> Result<()> {
        let at = page.table;
        let report = &mut run.targets[at].report;
        report.resumed |= page.resumed;
        report.pages += u64::from(!page.rows.is_empty());
        report.bytes += page.bytes;
        if !page.rows.keys_only {
            run.rows[at] += page.rows.len() as u64;
        }
        if let (Some(notify), false) = (progress, page.rows.keys_only || page.rows.is_empty()) {
            let (table, rows, bytes) = (report.table.clone(), run.rows[at], report.bytes);
            notify(PullProgress { table, rows, total: page.total, bytes });
        }
        {
            let _guard = host.lock_connection().await?;
            let connection = host.connection()?;
            self.learn_columns(&connection, run, &page)?;
            if run.mode == PullMode::Merge {
                host.admit_write()?;
                let wrote = merge_page(&connection, &mut run.targets[at], &page)?;
                let target = &run.targets[at];
                let mut changed = target.writer.unpushed.take_restored();
                changed.extend(wrote.then(|| target.plan.table.name.clone()));
                host.committed(&changed.iter().map(String::as_str).collect::<Vec<_>>());
            }
        }
        self.resolve_table_conflicts(host, run, at).await?;
        if run.mode == PullMode::Replace {
            run.gathered[at].push(page.rows);
        }
        Ok(())
    }

    /// Calls the conflict function for a table's pending conflicts.
    async fn resolve_table_conflicts(&self, host: &dyn SyncHost, run: &mut PullRun, at: usize) -> Result<()> {
        let target = &mut run.targets[at];
        let answers = self.resolve_pending_conflicts(host, &target.plan, &target.writer).await?;
        target.report.rejected += answers.rejected;
        run.undecided = run.undecided.take().or(answers.failed);
        Ok(())
    }

    /// Stores which columns the remote lacks. The caller must have locked the connection.
    fn learn_columns(&self, connection: &Connection, run: &mut PullRun, page: &Page) -> Result<()> {
        let target = &mut run.targets[page.table];
        if let Some(plan) = &page.plan {
            target.plan = plan.clone();
            target.writer = RowWriter::new(connection, plan)?;
        }
        match &page.missing {
            Some(missing) => self.save_missing(connection, run, page.table, missing),
            None => Ok(()),
        }
    }

    fn save_missing(&self, connection: &Connection, run: &mut PullRun, at: usize, missing: &[String]) -> Result<()> {
        let table = run.targets[at].plan.name();
        if !run.left_out[at] {
            self.tried.borrow_mut().insert(table.to_owned(), self.platform.clock.monotonic_ms());
        }
        if run.stored_missing[at] == missing {
            return Ok(());
        }
        connection.atomically(|connection| progress::save_missing(connection, table, missing))?;
        run.stored_missing[at] = missing.to_vec();
        Ok(())
    }

    /// Completes the pull after all pages: deletions in a merge, all changes in a replace.
    async fn finish(
        &self,
        host: &dyn SyncHost,
        pull: &Pull<'_>,
        run: &mut PullRun,
        options: &PullOptions,
    ) -> Result<()> {
        if run.mode == PullMode::Merge {
            self.apply_tombstones(host, &mut run.targets).await?;
        }
        let _guard = host.lock_connection().await?;
        let connection = host.connection()?;
        host.admit_write()?;
        let max_ratio = (!options.allow_empty).then_some(self.config.options.max_delete_ratio);
        let now = self.platform.clock.now();
        match run.mode {
            PullMode::Merge => {
                staged::resolve(&connection, &mut run.targets)?;
                let refused = connection.atomically(|connection| {
                    capture::without_capture(connection, |connection| {
                        compare::delete_vanished(connection, &mut run.targets, max_ratio)
                    })
                })?;
                run.note_table_errors(refused);
                staged::count_rejected(&connection, &mut run.targets)?;
                connection.atomically(|connection| note_outcomes(connection, run, now))?;
            }
            PullMode::Replace => {
                let limits = Limits { discard_unpushed: options.discard_unpushed, max_delete_ratio: max_ratio };
                replace::check_vanishing(&connection, &run.targets, &run.gathered, limits)?;
                host.safety_snapshot().await?;
                let names: Vec<String> = run.targets.iter().map(|target| target.plan.name().to_owned()).collect();
                let progress: Vec<_> = pull.sources().map(|source| source.progress.clone()).collect();
                replace::apply(&connection, &mut run.targets, &run.gathered, limits, |connection| {
                    for (table, progress) in names.iter().zip(&progress) {
                        progress::save_progress(connection, table, progress)?;
                        progress::save_pulled(connection, table, now, None)?;
                    }
                    Ok(())
                })?;
            }
        }
        let changed = |target: &&ApplyTarget| {
            let report = &target.report;
            report.inserted + report.updated + report.deleted > 0
        };
        for (target, _) in
            run.targets.iter().zip(&run.left_out).filter(|(target, left_out)| **left_out && changed(target))
        {
            // Another client may have written a column that the remote has by now.
            self.tried.borrow_mut().remove(target.plan.name());
        }
        let tables: Vec<&str> = run.targets.iter().filter(changed).map(|target| &*target.plan.table.name).collect();
        host.committed(&tables);
        Ok(())
    }

    /// Stores why a pull or push failed, if the database admits writes.
    pub(super) async fn note_failure(&self, host: &dyn SyncHost, phase: SyncPhase, table: &str, error: &Error) {
        let Ok(_guard) = host.lock_connection().await else { return };
        let Ok(connection) = host.connection() else { return };
        if host.admit_write().is_ok() && tables::exists(&connection).unwrap_or(false) {
            // The call fails with the original error, which matters more.
            let save = if phase == SyncPhase::Pushing { progress::save_pushed } else { progress::save_pulled };
            let _ = save(&connection, table, self.platform.clock.now(), Some(error));
            host.committed(&[]);
        }
    }
}

/// Returns the local tables. `all` fails with `sync_schema_mismatch` if one doesn't exist.
fn local_tables<'a>(connection: &Connection, configs: &[&'a TableSync], all: bool) -> Result<Local<'a>> {
    let (mut tables, mut absent) = (Vec::new(), Vec::new());
    for config in configs {
        match LocalTable::read(connection, &config.table)? {
            Some(table) => tables.push((*config, table)),
            None if all => return Err(no_local_table(config)),
            None => absent.push((config.table.clone(), no_local_table(config))),
        }
    }
    Ok((tables, absent))
}
