//! Replaces all contents of a database: with those of a file, of a snapshot, or with none.

use crate::{
    engine::{
        Database,
        connection::{
            fts5,
            mutex::{MutexGuard, MutexPermit},
        },
        database::Inner,
        migrations::host::MigrationsHost,
    },
    error::{Error, ErrorCode, Result},
    ports::{LocalFuture, Part},
    sqlite::{Connection, Deadline, ExternalFile, PageFile, Pin, check_ms},
    sync::{outbox::entries, state::tables},
};

/// Checked contents that will replace those of a database, and the lock on its connection. Until they do, nothing has changed.
pub struct Replacement {
    contents: Pin,
    guard: MutexGuard,
}

impl Database {
    /// Replaces the contents with prepared ones, as one commit, and runs the migrations that they lack. If one of them
    /// fails, or the call is cancelled meanwhile, the previous contents are restored.
    ///
    /// Fails with `out_of_memory`, as a migration does, and as storing does.
    pub async fn finish_replacement(&self, Replacement { contents, guard }: Replacement) -> Result<()> {
        let inner = &*self.inner;
        let connection = inner.connection()?;
        let migrating = inner.run_missing_migrations(&connection, guard.permit(), self.limits.ends_ms);
        let finish = Box::pin(self.limits.until_commit(migrating));
        let result = inner.replace(&connection, contents, finish).await;
        drop(guard);
        let stored = inner.flusher.flush().await;
        result.and(stored)
    }
}

impl Inner {
    /// Takes a safety snapshot of the contents that those of `scratch` will replace. Fails as a snapshot does.
    pub(in crate::engine) async fn replacement(&self, scratch: Connection, guard: MutexGuard) -> Result<Replacement> {
        self.snapshots.safety().await?;
        Ok(Replacement { contents: scratch.pin(), guard })
    }

    /// Fails with `unpushed_changes` if local changes were not pushed, unless `force`.
    pub(in crate::engine) fn check_unpushed(&self, connection: &Connection, force: bool) -> Result<()> {
        let (pending, _) = entries::counts(connection, None)?;
        let message = match pending {
            _ if force => return Ok(()),
            0 => return Ok(()),
            1 => "1 local change was not pushed yet".to_owned(),
            count => format!("{count} local changes were not pushed yet"),
        };
        Err(Error::new(ErrorCode::UnpushedChanges, message)
            .hint("Pass { force: true }: what was not pushed is then only in the safety snapshot. Or push first")
            .detail("pending", pending))
    }

    /// Checks an untrusted file in its scratch database. Fails as [`ExternalFile::check`] and [`Connection::check_kept`] do, and with
    /// `timeout`.
    pub(in crate::engine) async fn check_file(&self, foreign: ExternalFile) -> Result<(Connection, PageFile)> {
        // The time in which FTS5 is loaded doesn't count.
        let left = foreign.scratch().set_deadline(None).map(|mut left| left());
        fts5::load_if_used(&self.ports.platform, foreign.scratch()).await?;
        let left = left.unwrap_or_else(|| check_ms(foreign.bytes()));
        foreign.scratch().set_deadline(Some(self.deadline(left)));
        let (scratch, file) = foreign.check()?;
        scratch.set_deadline(None);
        let audited = self.audit.get().map(|options| options.table.as_str());
        let kept: Vec<&str> = audited.into_iter().chain([self.migrations.tracking_table()]).collect();
        scratch.check_kept(&kept)?;
        Ok((scratch, file))
    }

    /// Returns the deadline, from now, for checking a file or text of that many bytes.
    pub(in crate::engine) fn check_deadline(&self, bytes: u64) -> Deadline {
        self.deadline(check_ms(bytes))
    }

    /// Returns the deadline in so many milliseconds.
    pub(in crate::engine) fn deadline(&self, ms: f64) -> Deadline {
        let left = self.ports.platform.time_left(ms);
        Box::new(move || left())
    }

    /// Converts the sync state of imported contents to this build's form. The caller then adapts its values.
    pub(in crate::engine) async fn remake_sync(&self, scratch: &Connection) -> Result<()> {
        if !tables::drop_others(scratch)? {
            return Ok(());
        }
        self.ports.platform.parts.load(Part::Sync).await?;
        tables::remake(scratch)
    }

    /// Replaces the contents, as one commit, and awaits `finish`. If either fails, the contents are again what they were.
    pub(in crate::engine) async fn replace(
        &self,
        connection: &Connection,
        contents: Pin,
        finish: LocalFuture<'_, Result<()>>,
    ) -> Result<()> {
        let before = self.file.pin();
        let mut result = self.install(connection, &contents).await;
        drop(contents);
        if result.is_ok() {
            result = finish.await;
        }
        if result.is_err() {
            // The first error is more useful.
            let restored = self.install(connection, &before).await;
            let _ = restored.and_then(|()| self.migrations.summarize(connection));
        }
        result
    }

    async fn install(&self, connection: &Connection, contents: &Pin) -> Result<()> {
        // Without their tables, SQLite can no longer drop the triggers.
        self.drop_triggers(connection)?;
        connection.replace_with(contents)?;
        // The new contents may have another page size.
        connection.limit_size(self.file.max_bytes())?;
        fts5::load_if_used(&self.ports.platform, connection).await?;
        self.start_capture(connection).await?;
        MigrationsHost::committed(self);
        Ok(())
    }

    /// Runs the migrations that the new contents lack, as opening does.
    pub(in crate::engine) async fn run_missing_migrations(
        &self,
        connection: &Connection,
        permit: MutexPermit,
        ends_ms: Option<f64>,
    ) -> Result<()> {
        if self.options.migrations.is_some() && self.options.migrate {
            return self.migrations.run_pending(self, permit, ends_ms).await.map(drop);
        }
        self.migrations.summarize(connection)
    }
}
