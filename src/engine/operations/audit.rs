//! The audit log of an open database.

use crate::{
    audit::{self, AuditOptions, Missing},
    engine::Database,
    error::Result,
};

impl Database {
    /// Sets the audit options: at most once, before [`start`](Self::start), which starts the audit.
    ///
    /// Fails with `invalid_argument` for tables that can't be audited or hold the log; this closes the database.
    pub async fn audit(&self, options: AuditOptions) -> Result<()> {
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

    /// Returns what the audit options name and the database doesn't have.
    pub fn audit_missing(&self) -> Result<Missing> {
        let Some(options) = self.inner.audit.get() else { return Ok(Missing::default()) };
        audit::missing(&*self.inner.connection()?, options)
    }

    /// Sets the actor that the log records for later changes. The caller must have locked the connection, since a
    /// transaction has one actor.
    pub fn set_actor(&self, actor: Option<&str>) -> Result<()> {
        let connection = self.inner.connection()?;
        if self.inner.audit.get().is_some() { audit::set_actor(&connection, actor) } else { Ok(()) }
    }
}
