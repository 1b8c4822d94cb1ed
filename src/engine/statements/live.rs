//! Live queries: registering them, and loading the part of the code that analyses them.

use std::rc::Rc;

use crate::{
    engine::{Database, database::Inner},
    error::Result,
    ports::Part,
    sqlite::FlatParams,
};

impl Database {
    /// Registers a live query with the parameters of its runs. Returns its id. The first one starts to load the analysis in the background.
    pub fn watch(&self, sql: &str, params: Option<&FlatParams<'_>>, names: &str) -> Result<u32> {
        let inner = &self.inner;
        let connection = inner.connection()?;
        let id = inner.live.borrow_mut().watch(&connection, sql, params, names)?;
        if !inner.refining.replace(true) {
            let weak = Rc::downgrade(inner);
            let loaded = inner.ports.platform.parts.load(Part::Live);
            inner.ports.platform.spawner.spawn(Box::pin(async move {
                let loaded = loaded.await;
                let Some(inner) = weak.upgrade() else { return };
                // Without the part, live queries run more often than they must. The next one tries to load it again.
                if loaded.is_err() || inner.refine_live().await.is_err() {
                    inner.refining.set(false);
                }
            }));
        }
        Ok(id)
    }

    /// Removes a live query.
    pub fn unwatch(&self, id: u32) {
        let connection = self.inner.connection.borrow();
        self.inner.live.borrow_mut().unwatch(connection.as_deref(), id);
    }
}

impl Inner {
    /// Analyses the live queries from now on, when the open transaction has ended: of its rows, some have changed unnoticed.
    async fn refine_live(&self) -> Result<()> {
        let _guard = self.acquire().await?;
        self.live.borrow_mut().refine(&*self.connection()?);
        Ok(())
    }
}
