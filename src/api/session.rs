//! The engine's thread: its state beside the engine, and the calls that run there.

mod calls;
mod levels;
mod limit;
mod reports;

use std::{
    cell::{OnceCell, RefCell},
    collections::HashMap,
    rc::Rc,
    sync::Arc,
};

pub(super) use calls::{Reply, SqlCall};
pub(super) use levels::LevelId;
pub(super) use limit::Limit;
pub(super) use reports::{LevelFn, LiveSignal, ProgramFunctions, Reports};

use levels::Levels;

use crate::{
    engine::{Database as Core, connection::mutex::closed},
    error::Result,
    ports::Platform,
};

/// The state of the engine's thread.
pub(super) struct ThreadState {
    pub platform: Platform,
    /// The open database; empty while it opens.
    pub core: OnceCell<Core>,
    /// What the engine reports to.
    pub reports: Rc<Reports>,
    /// The open transaction and its savepoints.
    pub levels: Rc<Levels>,
    /// The names of columns by the shape of their result, to share them.
    columns: RefCell<HashMap<u32, Arc<[String]>>>,
}

impl ThreadState {
    /// Creates a session without a database.
    pub fn new(platform: Platform, functions: ProgramFunctions) -> Self {
        let levels = Rc::default();
        let reports = Rc::new(Reports::new(functions, &levels));
        Self { platform, core: OnceCell::new(), reports, levels, columns: RefCell::default() }
    }

    /// Returns the database. Fails with `closed` when it could not be opened.
    pub fn core(&self) -> Result<&Core> {
        self.core.get().ok_or_else(closed)
    }

    /// Returns the database for a call that doesn't wait for the connection. Fails with the reason why it is closed.
    pub fn open_core(&self) -> Result<&Core> {
        let core = self.core()?;
        core.check_open()?;
        Ok(core)
    }

    /// Returns the names of the columns of a shape.
    fn columns(&self, core: &Core, shape: u32) -> Arc<[String]> {
        if let Some(known) = self.columns.borrow().get(&shape) {
            return known.clone();
        }
        let names: Arc<[String]> = core.columns(shape).iter().cloned().collect();
        if shape != 0 && !names.is_empty() {
            self.columns.borrow_mut().insert(shape, names.clone());
        }
        names
    }

    /// Rolls back a transaction that its owner has not ended, and closes the database.
    pub async fn close(self: Rc<Self>) -> Result<()> {
        let Some(core) = self.core.get() else { return Ok(()) };
        self.levels.roll_back_manual(core);
        let closed = core.close().await;
        self.reports.set_closed();
        closed
    }
}
