//! Live queries: registering them, and loading the part of the code that analyses them.

use std::rc::Rc;

use crate::{
    engine::{Database, connection::mutex::MutexPermit, database::Inner},
    error::Result,
    live::{Difference, LiveRead},
    ports::Part,
    sqlite::{FlatParams, FlatRows, Op},
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

    /// Reads the difference from the result of a live query that was read last to this window of the present one; `out` then has the inserted
    /// rows. `None`: run the query. Fails with `transaction_closed` unless the permit holds the connection.
    pub fn read_difference(
        &self,
        permit: MutexPermit,
        id: u32,
        read: LiveRead,
        timeout_ms: f64,
        out: &mut FlatRows,
    ) -> Result<Option<Difference>> {
        let inner = &*self.inner;
        let connection = inner.permitted_connection(permit)?;
        let integers = inner.options.integers.into();
        let mut work = || {
            inner.with_timeout(&connection, timeout_ms, || {
                Ok(inner.live.borrow_mut().read_difference(&connection, id, read, integers, out))
            })
        };
        let runs = inner.live.borrow().runs(id, read);
        match runs {
            Some(sql) => inner.measure(&connection, Op::Query, &sql, work),
            None => work(),
        }
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
