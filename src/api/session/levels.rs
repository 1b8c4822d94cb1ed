//! The open transaction, and the savepoints in it.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use super::limit::Limit;
use crate::{
    engine::{
        Database as Core,
        connection::mutex::{Mutex, MutexGuard, MutexPermit},
    },
    error::{Error, ErrorCode, Result},
};

/// The id of a transaction or savepoint. Never reused.
pub type LevelId = u64;

/// A transaction or savepoint.
struct Level {
    id: LevelId,
    /// Holds the connection, or the level around this one; `None` for the function of a migration, whose run holds it.
    _guard: Option<MutexGuard>,
    permit: MutexPermit,
    /// The depth that the engine knows it by; `None` for the function of a migration, whose run ends it.
    depth: Option<u32>,
    /// Held by each call in it, and by a savepoint in it until that ends.
    mutex: Rc<Mutex>,
    end: LevelEnd,
}

/// How a level ends.
pub enum LevelEnd {
    /// With its function, within the time that the call may take.
    Within(Limit),
    /// As its owner says; [`ThreadState::close`](super::ThreadState::close) rolls it back.
    Manual,
    /// With the run of the migration whose function it is.
    Migration,
}

/// The open levels, outermost first.
#[derive(Default)]
pub struct Levels {
    open: RefCell<Vec<Level>>,
    last_id: Cell<LevelId>,
}

impl Levels {
    fn push(&self, guard: Option<MutexGuard>, permit: MutexPermit, depth: Option<u32>, end: LevelEnd) -> LevelId {
        let id = self.last_id.get() + 1;
        self.last_id.set(id);
        let level = Level { id, _guard: guard, permit, depth, mutex: Rc::default(), end };
        self.open.borrow_mut().push(level);
        id
    }

    /// Adds the transaction that has begun with this depth.
    pub fn add(&self, guard: MutexGuard, permit: MutexPermit, depth: u32, end: LevelEnd) -> LevelId {
        self.push(Some(guard), permit, Some(depth), end)
    }

    /// Adds the function of a migration, which runs under this permit.
    pub fn add_migration(&self, permit: MutexPermit) -> LevelId {
        self.push(None, permit, None, LevelEnd::Migration)
    }

    /// Waits for the calls before this one in a level. Returns the level's permit of the connection, and a guard that
    /// later calls wait for. Fails with `transaction_closed` after its end.
    pub async fn enter(&self, id: LevelId) -> Result<(MutexPermit, MutexGuard)> {
        let mutex = self.find(id, |level| level.mutex.clone())?;
        let guard = mutex.acquire().await?;
        // It may have ended meanwhile.
        let permit = self.find(id, |level| level.permit)?;
        Ok((permit, guard))
    }

    fn find<T>(&self, id: LevelId, get: impl FnOnce(&Level) -> T) -> Result<T> {
        self.open.borrow().iter().find(|level| level.id == id).map(get).ok_or_else(has_ended)
    }

    /// Commits a level after the calls in it. Returns whether the commit wrote anything, and the level's guards, which
    /// the caller drops when it has asked for what is stored. A failed commit rolls back, and so does a late one (`timeout`).
    pub async fn commit(&self, core: &Core, id: LevelId) -> Result<(bool, impl Sized + use<>)> {
        let (permit, _calls) = self.enter(id).await?;
        let depth = self.find(id, |level| level.depth)?.ok_or_else(has_ended)?;
        let in_time = self.find(id, |level| match &level.end {
            LevelEnd::Within(limit) => limit.check(),
            LevelEnd::Manual | LevelEnd::Migration => Ok(()),
        })?;
        let result = in_time.and_then(|()| core.commit(permit, depth));
        if result.is_err() {
            let _ = core.rollback(permit, depth);
        }
        let ended = self.remove(id);
        result.map(|wrote| (wrote, ended))
    }

    /// Rolls a level back, if it has not ended. Calls that wait in it fail with `transaction_closed`.
    pub fn roll_back(&self, core: &Core, id: LevelId) {
        if let Ok((permit, depth)) = self.find(id, |level| (level.permit, level.depth)) {
            if let Some(depth) = depth {
                // A failure can't be reported here; SQLite has then rolled back itself.
                let _ = core.rollback(permit, depth);
            }
            drop(self.remove(id));
        }
    }

    /// Removes a level without ending it in the engine: the function of a migration.
    pub fn forget(&self, id: LevelId) {
        drop(self.remove(id));
    }

    /// Rolls back the transaction, if its owner is to end it.
    pub fn roll_back_manual(&self, core: &Core) {
        let manual =
            self.open.borrow().first().filter(|level| matches!(level.end, LevelEnd::Manual)).map(|level| level.id);
        if let Some(id) = manual {
            self.roll_back(core, id);
        }
    }

    /// Removes a level and those in it.
    fn remove(&self, id: LevelId) -> Vec<Level> {
        let mut open = self.open.borrow_mut();
        let Some(at) = open.iter().position(|level| level.id == id) else { return Vec::new() };
        let mut ended = open.split_off(at);
        drop(open);
        ended.iter().for_each(|level| level.mutex.close(has_ended()));
        // The innermost guard first.
        ended.reverse();
        ended
    }
}

/// Returns the error of a call on a transaction that has ended.
fn has_ended() -> Error {
    Error::new(ErrorCode::TransactionClosed, "This transaction has ended")
        .hint("Await everything inside its function before it returns")
}
