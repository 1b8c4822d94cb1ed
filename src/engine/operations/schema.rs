//! Drift, generated scripts and lint, for an open database: see `migrations::schema`.

use crate::{
    engine::{Database, connection::fts5},
    error::Result,
    migrate::Lint,
    schema::{Drift, Generated, script::Script},
    sqlite::{Connection, Image, PageFile, mentions},
};

impl Database {
    /// See [`Migrations::drift`](crate::engine::migrations::driver::Migrations::drift).
    /// `made` is a database file in which the app has run the applied migrations, functions included.
    pub async fn migrations_drift(&self, made: Option<Image>) -> Result<Drift> {
        let inner = &*self.inner;
        let Some(image) = made else { return inner.migrations.drift(inner, None).await };
        let made = Connection::open(&PageFile::new(image))?;
        fts5::load_if_used(&inner.ports.platform, &made).await?;
        inner.migrations.drift(inner, Some(&made)).await
    }

    /// See [`Migrations::generate`](crate::engine::migrations::driver::Migrations::generate). Pairs of old and new names are renames.
    pub async fn migrations_generate(&self, sql: &str, renames: &[(String, String)]) -> Result<Generated> {
        fts5::load_if_named(&self.inner.ports.platform, sql).await?;
        self.inner.migrations.generate(&*self.inner, sql, renames).await
    }

    /// See [`Migrations::sync`](crate::engine::migrations::driver::Migrations::sync).
    pub async fn migrations_sync(&self, sql: &str) -> Result<Script> {
        let inner = &*self.inner;
        let platform = &inner.ports.platform;
        fts5::load_if_named(platform, sql).await?;
        let result = {
            let guard = inner.acquire().await?;
            // What was loaded before this connection was opened it has; what comes now is to be given to it.
            if mentions(sql, "fts5") {
                fts5::load(platform, &*inner.connection()?).await?;
            }
            inner.flusher.admit_write()?;
            inner.migrations.sync(inner, guard.permit(), sql).await
        };
        let stored = inner.flusher.flush().await;
        result.and_then(|script| stored.map(|()| script))
    }

    /// See [`Migrations::lint`](crate::engine::migrations::driver::Migrations::lint).
    pub fn migrations_lint(&self) -> Result<Vec<Lint>> {
        self.inner.migrations.lint()
    }
}
