//! Auditing tables.

use crate::{
    audit::{self, Options},
    engine::Database,
    error::Result,
};

impl Database {
    /// Says what is to be audited; at most once, before [`start`](Self::start), which begins with it.
    ///
    /// Closes the database and fails with `invalid_argument` for tables that can't be audited or hold the log.
    pub async fn audit(&self, options: Options) -> Result<()> {
        let inner = &*self.inner;
        match options.check() {
            Ok(()) => {
                inner.migrations.ignore_audit_table(&options.table);
                inner.audit.get_or_init(|| options);
                Ok(())
            }
            Err(error) => {
                inner.close_after_failure().await;
                Err(error)
            }
        }
    }

    /// The tables that are to be audited and don't exist.
    pub fn audit_missing(&self) -> Result<Vec<String>> {
        let Some(options) = self.inner.audit.get() else { return Ok(Vec::new()) };
        audit::missing(&*self.inner.connection()?, options)
    }

    /// Sets the actor that the log records with the changes that follow. The caller must hold the connection: a transaction
    /// has one actor.
    pub fn set_actor(&self, actor: Option<&str>) -> Result<()> {
        let connection = self.inner.connection()?;
        if self.inner.audit.get().is_some() { audit::set_actor(&connection, actor) } else { Ok(()) }
    }
}
