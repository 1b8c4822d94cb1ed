//! Drift, generated migrations and lint for an open database; see `migrations::schema`.

use crate::{
    engine::{Database, connection::fts5},
    error::Result,
    migrate::LintFinding,
    schema::{Drift, GeneratedMigration, script::SchemaScript},
    sqlite::{Connection, Image, PageFile, mentions},
};

impl Database {
    /// Returns the drift of the schema; see
    /// [`Migrations::drift`](crate::engine::migrations::driver::Migrations::drift). `made` is a database file in which
    /// the app has run the applied migrations, functions included.
    pub async fn migrations_drift(&self, made: Option<Image>) -> Result<Drift> {
        let inner = &*self.inner;
        let Some(image) = made else { return inner.migrations.drift(inner, None, self.limits.ends_ms).await };
        let made = Connection::open(&PageFile::new(image))?;
        fts5::load_if_used(&inner.ports.platform, &made).await?;
        inner.migrations.drift(inner, Some(&made), self.limits.ends_ms).await
    }

    /// Generates migration scripts; see
    /// [`Migrations::generate`](crate::engine::migrations::driver::Migrations::generate). `renames` are pairs of old
    /// and new names.
    pub async fn migrations_generate(&self, sql: &str, renames: &[(String, String)]) -> Result<GeneratedMigration> {
        fts5::load_if_named(&self.inner.ports.platform, sql).await?;
        self.inner.migrations.generate(&*self.inner, sql, renames, self.limits.ends_ms).await
    }

    /// Changes the schema; see [`Migrations::sync`](crate::engine::migrations::driver::Migrations::sync).
    pub async fn migrations_sync(&self, sql: &str) -> Result<SchemaScript> {
        let inner = &*self.inner;
        self.until_stored(Box::pin(async {
            let platform = &inner.ports.platform;
            fts5::load_if_named(platform, sql).await?;
            let guard = inner.acquire().await?;
            // A connection has FTS5 only if it was loaded before the connection was opened, or is added to it.
            if mentions(sql, "fts5") {
                fts5::load(platform, &*inner.connection()?).await?;
            }
            inner.flusher.admit_write()?;
            inner.migrations.sync(inner, guard.permit(), sql, self.limits.ends_ms).await
        }))
        .await
    }

    /// Returns lint findings; see [`Migrations::lint`](crate::engine::migrations::driver::Migrations::lint).
    pub fn migrations_lint(&self) -> Result<Vec<LintFinding>> {
        self.inner.migrations.lint()
    }
}
