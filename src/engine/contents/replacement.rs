//! The one way to replace the contents: by a file's, a snapshot's, or by nothing.

use crate::{
    engine::{
        connection::{fts5, mutex::MutexPermit},
        database::Inner,
        migrations::host::MigrationsHost,
    },
    error::{Error, ErrorCode, Result},
    ports::{LocalFuture, Part},
    sqlite::{Connection, Deadline, Foreign, PageFile},
    sync::{outbox::entries, state::metadata},
};

/// A file, or an SQL text, may take so long to be checked, and so much longer for each mebibyte.
const CHECK_MS: f64 = 5_000.0;
const CHECK_MS_PER_MIB: f64 = 200.0;

impl Inner {
    /// Refuses to replace what was changed here and isn't pushed yet.
    pub(in crate::engine) fn check_unpushed(&self, connection: &Connection, force: bool, verb: &str) -> Result<()> {
        let (pending, _) = entries::counts(connection, None)?;
        if pending == 0 || force {
            return Ok(());
        }
        Err(Error::new(ErrorCode::UnpushedChanges, format!("{pending} local changes were not pushed yet"))
            .hint(format!(
                "Push them first, or {verb} with {{ force: true }}: they then are only in the safety snapshot"
            ))
            .detail("pending", pending))
    }

    /// Checks a file from outside, in its scratch database. Fails as [`Foreign::check`] does, and with `timeout`.
    pub(in crate::engine) async fn check_file(&self, foreign: Foreign) -> Result<(Connection, PageFile)> {
        let platform = &self.ports.platform;
        fts5::load_if_used(platform, foreign.scratch()).await?;
        foreign.scratch().set_deadline(Some(self.check_deadline(foreign.bytes())));
        let (scratch, file) = foreign.check()?;
        scratch.set_deadline(None);
        Ok((scratch, file))
    }

    /// Returns the deadline, from now, for checking a file or text of that many bytes.
    pub(in crate::engine) fn check_deadline(&self, bytes: u64) -> Deadline {
        let clock = self.ports.platform.clock.clone();
        let mebibytes = bytes as f64 / f64::from(1 << 20);
        let end = clock.monotonic_ms() + CHECK_MS + CHECK_MS_PER_MIB * mebibytes;
        Box::new(move || end - clock.monotonic_ms())
    }

    /// Makes what sync keeps in contents from elsewhere fit for this build; what is to be done with it follows.
    pub(in crate::engine) async fn remake_sync(&self, scratch: &Connection) -> Result<()> {
        if !metadata::drop_others(scratch)? {
            return Ok(());
        }
        self.ports.platform.parts.load(Part::Sync).await?;
        metadata::remake(scratch)
    }

    /// Makes the contents those of another database, as one commit, and does what is left to do. When anything of it fails, they become
    /// again what they were: those of the snapshot `before`, or none.
    pub(in crate::engine) async fn replace(
        &self,
        connection: &Connection,
        source: Connection,
        before: Option<&str>,
        then: LocalFuture<'_, Result<()>>,
    ) -> Result<()> {
        let mut replaced = self.take_over(connection, &source).await;
        drop(source);
        if replaced.is_ok() {
            replaced = then.await;
        }
        let Err(error) = replaced else { return Ok(()) };
        match (self.restore_previous(connection, before).await, before) {
            (Err(_), Some(before)) => Err(error.detail("snapshotId", before)),
            _ => Err(error),
        }
    }

    async fn take_over(&self, connection: &Connection, source: &Connection) -> Result<()> {
        connection.restore_from(source)?;
        // The pages may have another size.
        connection.limit_size(self.options.max_bytes)?;
        fts5::load_if_used(&self.ports.platform, connection).await?;
        self.start_capture(connection).await?;
        MigrationsHost::committed(self);
        Ok(())
    }

    async fn restore_previous(&self, connection: &Connection, before: Option<&str>) -> Result<()> {
        let file = match before {
            Some(snapshot) => PageFile::new(self.snapshots.load(snapshot).await?),
            None => PageFile::default(),
        };
        self.take_over(connection, &Connection::open(&file)?).await?;
        self.migrations.refresh(connection)
    }

    /// Runs the migrations that the new contents lack, like an opening.
    pub(in crate::engine) async fn run_missing_migrations(
        &self,
        connection: &Connection,
        permit: MutexPermit,
    ) -> Result<()> {
        if self.options.migrations.is_some() && self.options.migrate {
            return self.migrations.run_pending(self, permit).await.map(drop);
        }
        self.migrations.refresh(connection)
    }
}
