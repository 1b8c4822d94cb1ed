//! The hot path: one synchronous call per statement, with parameters and rows as flat buffers in wasm memory.

use wasm_bindgen::prelude::*;

use super::{
    buffers::{Buffers, Header},
    convert::{Thrown, to_js},
    handle::Core,
};
use crate::{
    engine::Call,
    error::{Error, Result},
    live::{Difference, LiveRead, Window},
    memory::no_memory,
    sqlite::{FlatParams, FlatRows, Op, Outcome},
};

/// A parameter area larger than this, in bytes, is freed before the next one is reserved.
const KEEP_BYTES: usize = 16 << 20;

/// Set in [`Header::flags`] if the statement wrote data that must be stored.
const WROTE: u32 = 1;

/// A result of [`Core::again`]: the statement succeeded.
const DONE: u32 = 0;
/// A result of [`Core::again`]: the statement failed, see [`Core::failure`].
const FAILED: u32 = 1;
/// A result of [`Core::again`]: another call holds the mutex.
const BUSY: u32 = 2;
/// A result of [`Core::again`]: the statement is no longer cached.
const UNKNOWN: u32 = 3;

#[wasm_bindgen]
impl Core {
    /// Returns the address of a parameter area of at least `bytes` bytes, a multiple of 8.
    pub fn reserve(&self, bytes: usize) -> Result<usize, JsValue> {
        let buffers = &mut *self.buffers.borrow_mut();
        let needed = bytes.saturating_add(8);
        let had = buffers.params.len();
        if had < needed || had > KEEP_BYTES && needed <= KEEP_BYTES {
            // Freed first, since both areas together may exceed the memory.
            buffers.params = Vec::new();
            let length = if needed <= KEEP_BYTES { needed.next_power_of_two() } else { needed };
            buffers.params.try_reserve_exact(length).map_err(|_| no_memory("for the parameters")).thrown()?;
            buffers.params.resize(length, 0);
            buffers.offset = buffers.params.as_ptr().align_offset(8);
        }
        Ok(buffers.params.as_ptr().addr() + buffers.offset)
    }

    /// Returns the address of the result header.
    pub fn header(&self) -> usize {
        std::ptr::from_ref(&*self.buffers.borrow().header).addr()
    }

    /// Returns the column names of a shape.
    pub fn columns(&self, shape: u32) -> Vec<String> {
        self.database.columns(shape).to_vec()
    }

    /// Runs one statement; its rows are in the result header's areas until the next call.
    pub fn execute(
        &self,
        permit: u32,
        op: u32,
        sql: &str,
        bytes: usize,
        names: &str,
        timeout_ms: f64,
    ) -> Result<(), JsValue> {
        let Buffers { params, offset, rows, header, .. } = &mut *self.buffers.borrow_mut();
        let params = params_of(&params[*offset..], bytes).thrown()?;
        let op = op_of(op).thrown()?;
        let call = Call { op, sql, params: params.as_ref(), names, timeout_ms };
        let outcome = self.database.execute(permit, &call, rows).thrown()?;
        header.fill(rows, &outcome, self.database.is_logged());
        Ok(())
    }

    /// Runs a statement again by the id in its last result's header, with parameters of the same names. This is the
    /// shortest path of a call. Permit 0 locks the mutex for this call, if it is free. Returns [`DONE`], or the code of
    /// the failure.
    pub fn again(&self, permit: u32, op: u32, statement: u32, bytes: usize) -> u32 {
        let mutex = self.database.mutex();
        let own = if permit != 0 {
            permit
        } else if let Some(own) = mutex.try_acquire() {
            own
        } else {
            return BUSY;
        };
        let buffers = &mut *self.buffers.borrow_mut();
        let status = match self.run_again(own, op, statement, bytes, buffers) {
            Ok(true) => DONE,
            Ok(false) => UNKNOWN,
            Err(error) => {
                buffers.failure = Some(error);
                FAILED
            }
        };
        if permit == 0 {
            mutex.release(own);
        }
        status
    }

    /// Returns the error of a failed [`again`](Self::again), as `execute` would throw it.
    pub fn failure(&self) -> JsValue {
        self.buffers.borrow_mut().failure.take().map_or(JsValue::UNDEFINED, |error| to_js(&error))
    }

    /// Begins a transaction or a savepoint → its depth.
    pub fn begin(&self, permit: u32, immediate: bool) -> Result<u32, JsValue> {
        self.database.begin(permit, immediate).thrown()
    }

    /// Commits or releases → whether the database was written.
    pub fn commit(&self, permit: u32, depth: u32) -> Result<bool, JsValue> {
        self.database.commit(permit, depth).thrown()
    }

    /// Rolls back.
    pub fn rollback(&self, permit: u32, depth: u32) -> Result<(), JsValue> {
        self.database.rollback(permit, depth).thrown()
    }

    /// Runs a script, whose UTF-8 is the first `bytes` bytes of the parameter area → whether the database was written.
    pub fn script(&self, permit: u32, bytes: usize, timeout_ms: f64) -> Result<bool, JsValue> {
        let Buffers { params, offset, .. } = &*self.buffers.borrow();
        let sql = params[*offset..].get(..bytes).and_then(|script| std::str::from_utf8(script).ok());
        let sql = sql.ok_or_else(|| Error::internal("The script isn't UTF-8")).thrown()?;
        self.database.script(permit, sql, timeout_ms).thrown()
    }

    /// Returns the plan of a statement: `{ id, parent, detail }[]`.
    pub fn explain(&self, permit: u32, sql: &str) -> Result<JsValue, JsValue> {
        self.database.explain(permit, sql).map(|rows| to_js(&rows)).thrown()
    }

    /// Registers a live query with one row of parameters → its id.
    pub fn watch(&self, sql: &str, bytes: usize, names: &str) -> Result<u32, JsValue> {
        let Buffers { params, offset, .. } = &*self.buffers.borrow();
        let params = params_of(&params[*offset..], bytes).thrown()?;
        self.database.watch(sql, params.as_ref(), names).thrown()
    }

    /// Reads how a window of the result of a live query differs from the one that was read last: how many rows the result has, how many rows
    /// of the window are removed, their positions, and the positions of the inserted rows, which are in the result header's areas until the
    /// next call. `undefined`: run the query.
    #[expect(clippy::too_many_arguments, reason = "plain numbers cross the boundary without an object")]
    pub fn difference(
        &self,
        permit: u32,
        id: u32,
        reads: u32,
        count: u32,
        offset: f64,
        limit: Option<f64>,
        timeout_ms: f64,
    ) -> Result<Option<Vec<u32>>, JsValue> {
        let Buffers { rows, header, .. } = &mut *self.buffers.borrow_mut();
        // More rows than fit into 32 bits don't exist.
        let window = Window { offset: offset as u32, limit: limit.map(|limit| limit as u32) };
        let read = LiveRead { reads, rows: count, window };
        let difference = self.database.read_difference(permit, id, read, timeout_ms, rows).thrown()?;
        Ok(difference.map(|difference| {
            header.fill(rows, &Outcome::default(), false);
            let Difference { removed, inserted, total } = difference;
            [vec![total, removed.len() as u32], removed, inserted].concat()
        }))
    }

    /// Removes a live query.
    pub fn unwatch(&self, id: u32) {
        self.database.unwatch(id);
    }
}

impl Core {
    fn run_again(&self, permit: u32, op: u32, statement: u32, bytes: usize, buffers: &mut Buffers) -> Result<bool> {
        let Buffers { params, offset, rows, header, .. } = buffers;
        let params = params_of(&params[*offset..], bytes)?;
        let outcome = self.database.execute_known(permit, op_of(op)?, statement, params.as_ref(), rows)?;
        if let Some(outcome) = &outcome {
            header.fill(rows, outcome, self.database.is_logged());
        }
        Ok(outcome.is_some())
    }
}

impl Header {
    fn fill(&mut self, rows: &FlatRows, outcome: &Outcome, logged: bool) {
        *self = Self {
            rows: rows.rows as u32,
            columns: rows.columns as u32,
            shape: rows.shape,
            tags: rows.tags.as_ptr().addr() as u32,
            slots: rows.slots.as_ptr().addr() as u32,
            text: rows.text.as_ptr().addr() as u32,
            text_bytes: rows.text.len() as u32,
            wide: rows.wide.as_ptr().addr() as u32,
            wide_bytes: rows.wide.len() as u32,
            blobs: rows.blobs.as_ptr().addr() as u32,
            blob_bytes: rows.blobs.len() as u32,
            flags: if outcome.wrote && logged { WROTE } else { 0 },
            statement: outcome.statement,
            reserved: 0,
            changes: outcome.changes as f64,
            last_insert_rowid: outcome.last_insert_rowid,
        };
    }
}

/// Reads the parameters from the first bytes of their area; `None` if the statement has none.
fn params_of(area: &[u8], bytes: usize) -> Result<Option<FlatParams<'_>>> {
    match bytes {
        0 => Ok(None),
        _ => FlatParams::parse(&area[..bytes]).map(Some),
    }
}

fn op_of(op: u32) -> Result<Op> {
    match op {
        0 => Ok(Op::Query),
        1 => Ok(Op::Get),
        2 => Ok(Op::Run),
        3 => Ok(Op::RunMany),
        4 => Ok(Op::RunPart),
        _ => Err(Error::internal("Unknown kind of statement")),
    }
}
