//! The state of one table of a pull, and the positions that a pass over it has reached.

use std::cell::{Cell, RefCell};

use super::{page::PullSource, page_size::AdaptivePageSize, window};
use crate::{
    collections::Set,
    error::{Error, ErrorCode},
    sync::{
        postgrest::{
            remote::{Answer, Refusal},
            response::NOT_POSTGREST,
        },
        state::{progress::ReadPosition, spans::RemoteKey},
        values::json,
    },
    time::Timestamp,
};

/// The state of one table of a pull.
pub(super) struct PulledTable {
    pub(super) at: usize,
    pub(super) source: RefCell<PullSource>,
    pub(super) page_size: RefCell<AdaptivePageSize>,
    /// A number for each span of the progress, which stays the same while other spans end.
    pub(super) spans: RefCell<Vec<u32>>,
    pub(super) last_span: Cell<u32>,
    /// The pull reads all rows of the table.
    pub(super) whole: Cell<bool>,
    /// The keys of all its rows were queued.
    pub(super) listed: Cell<bool>,
    pub(super) resumed: Cell<bool>,
    /// The server's time before the table's first page.
    pub(super) server_time: Cell<Option<Timestamp>>,
    /// That of the latest page.
    latest_time: Cell<Option<Timestamp>>,
    pub(super) total: Cell<Option<u64>>,
}

impl PulledTable {
    pub(super) fn new(at: usize, source: PullSource, page_size: u32) -> Self {
        Self {
            at,
            source: RefCell::new(source),
            page_size: RefCell::new(AdaptivePageSize::new(page_size)),
            spans: RefCell::default(),
            last_span: Cell::default(),
            whole: Cell::default(),
            listed: Cell::default(),
            resumed: Cell::default(),
            server_time: Cell::default(),
            latest_time: Cell::default(),
            total: Cell::default(),
        }
    }

    pub(super) fn name(&self) -> String {
        self.source.borrow().plan.name().to_owned()
    }

    pub(super) fn has_cursor(&self) -> bool {
        self.source.borrow().plan.selection.cursor.is_some()
    }

    pub(super) fn compares(&self) -> bool {
        self.source.borrow().plan.options.compares()
    }

    /// Notes the beginning of the pull, once. `place` is a position of its first page.
    pub(super) fn begin(&self, place: Option<&ReadPosition>) {
        let PullSource { progress, plan, .. } = &mut *self.source.borrow_mut();
        window::begin(progress, plan, self.server_time.get(), place);
    }

    /// Notes the position up to which the table was read.
    pub(super) fn moved(&self, place: &ReadPosition) {
        let PullSource { progress, plan, .. } = &mut *self.source.borrow_mut();
        window::moved(progress, plan, place, self.server_time.get(), self.latest_time.get());
    }

    /// Notes the server's time, by the first and by the latest answer about this table.
    pub(super) fn note_time(&self, answer: &Answer) {
        self.server_time.set(self.server_time.get().or(answer.server_time));
        self.latest_time.set(answer.server_time);
    }
}

/// The positions that a pass has reached. A remote that ignores the filter sends one of them again.
pub(super) struct PassedPlaces {
    pub(super) table: String,
    positions: Set<String>,
}

impl PassedPlaces {
    pub(super) fn of(table: &PulledTable) -> Self {
        Self { table: table.name(), positions: Set::new() }
    }

    /// Adds a position. Fails with `sync_protocol` if the pass has reached it before.
    pub(super) fn visit(&mut self, cursor: Option<&str>, key: &RemoteKey) -> Result<(), Refusal> {
        let position = json::string_array(cursor.into_iter().chain(key.iter().map(String::as_str)));
        if self.positions.insert(position) {
            return Ok(());
        }
        let text = "The remote sends the same page again: it ignores the filters of the request";
        let error = Error::new(ErrorCode::SyncProtocol, text).hint(NOT_POSTGREST);
        Err(error.detail("table", self.table.as_str()).into())
    }
}
