//! Reading the remote: requests side by side, pages in the order in which they are to be applied.
//!
//! Tables are read one after the other, parents first. What has a cursor and was read before: first the rows whose cursor is
//! NULL, then the rows in the order of cursor and key. All else is read whole, in the order of the key: as soon as the remote
//! has told how many rows there are, in several spans side by side, whose ends it is asked for; and then, by the cursor, what
//! changed since the beginning.
//!
//! A pass ends with an empty page, with the row that ends its span, or with the last of the rows that the remote has counted,
//! never with a short page: that may be the server's cap.

use std::cell::{Cell, RefCell};

use super::{
    page::{Count, Page, PagePace, PullSource, Reading},
    window::{self, First},
};
use crate::{
    collections::Set,
    error::{Error, ErrorCode, Result},
    ports::HttpResponse,
    sync::{
        postgrest::{
            query::{Range, Selection},
            queue::Queue,
            remote::{Answer, Refusal, Remote, Tries},
            request::{Request, Requester},
            response::Unreadable,
        },
        schema::plan::{Plan, Rows},
        state::{
            metadata::ReadPosition,
            spans::{RemoteKey, Span},
        },
        values::json,
    },
    time::Timestamp,
};

/// Reads tables, and hands over their pages.
pub struct Pull<'a> {
    pub(super) remote: &'a Remote<'a>,
    pub(super) reading: Reading,
    tables: Vec<PulledTable>,
    /// The table that is being read.
    present: &'a RefCell<String>,
    /// The tables that couldn't be read, while others could.
    troubles: RefCell<Vec<(usize, Error)>>,
    /// What was read and isn't applied yet.
    pub pages: Queue<Box<Page>>,
}

/// One table while it is read.
pub(super) struct PulledTable {
    pub(super) at: usize,
    pub(super) source: RefCell<PullSource>,
    pub(super) pace: RefCell<PagePace>,
    /// A number for each of the spans of the progress.
    pub(super) spans: RefCell<Vec<u32>>,
    pub(super) last_span: Cell<u32>,
    /// The rows come from the beginning on: together they are all rows.
    whole: Cell<bool>,
    /// The keys of all its rows were handed over.
    listed: Cell<bool>,
    resumed: Cell<bool>,
    /// The server's time before the table's first page.
    server_time: Cell<Option<Timestamp>>,
    pub(super) total: Cell<Option<u64>>,
}

/// An answer with rows.
pub(super) struct Read {
    pub(super) rows: Rows,
    /// How many rows the request would have brought without a limit.
    pub(super) count: Option<u64>,
    pub(super) answer: Answer,
}

impl PulledTable {
    pub(super) fn new(at: usize, source: PullSource, page_size: u32) -> Self {
        Self {
            at,
            source: RefCell::new(source),
            pace: RefCell::new(PagePace::new(page_size)),
            spans: RefCell::default(),
            last_span: Cell::default(),
            whole: Cell::default(),
            listed: Cell::default(),
            resumed: Cell::default(),
            server_time: Cell::default(),
            total: Cell::default(),
        }
    }

    pub(super) fn name(&self) -> String {
        self.source.borrow().plan.name().to_owned()
    }

    pub(super) fn has_cursor(&self) -> bool {
        self.source.borrow().plan.selection.cursor.is_some()
    }

    fn compares(&self) -> bool {
        self.source.borrow().plan.options.compares()
    }

    /// Notes that a pull begins, once, with the place of its first page.
    pub(super) fn begin(&self, place: Option<&ReadPosition>) {
        let PullSource { progress, plan, .. } = &mut *self.source.borrow_mut();
        window::begin(progress, plan, self.server_time.get(), place);
    }

    /// Notes how far it was read.
    pub(super) fn moved(&self, place: &ReadPosition) {
        let PullSource { progress, plan, .. } = &mut *self.source.borrow_mut();
        window::moved(progress, plan, place, self.server_time.get());
    }

    /// The server's time, by the first answer about this table.
    pub(super) fn note_time(&self, answer: &Answer) {
        self.server_time.set(self.server_time.get().or(answer.server_time));
    }
}

/// The places that a pass has come to: a remote that ignores the filter sends one of them again.
pub(super) struct PassedPlaces {
    pub(super) table: String,
    places: Set<String>,
}

impl PassedPlaces {
    pub(super) fn of(table: &PulledTable) -> Self {
        Self { table: table.name(), places: Set::new() }
    }

    pub(super) fn moves(&mut self, cursor: Option<&str>, key: &RemoteKey) -> Result<(), Refusal> {
        let place = json::string_array(cursor.into_iter().chain(key.iter().map(String::as_str)));
        if self.places.insert(place) {
            return Ok(());
        }
        let text = "The remote sends the same page again: it ignores the filters of the request";
        let error = Error::new(ErrorCode::SyncProtocol, text).hint(crate::sync::postgrest::response::NOT_POSTGREST);
        Err(error.detail("table", self.table.as_str()).into())
    }
}

impl<'a> Pull<'a> {
    /// A pull of these tables, in this order.
    pub fn new(
        remote: &'a Remote<'a>,
        sources: Vec<PullSource>,
        reading: Reading,
        present: &'a RefCell<String>,
    ) -> Self {
        let tables =
            sources.into_iter().enumerate().map(|(at, source)| PulledTable::new(at, source, reading.page_size));
        Self {
            remote,
            reading,
            tables: tables.collect(),
            present,
            troubles: RefCell::default(),
            pages: Queue::default(),
        }
    }

    /// How far the tables were read.
    pub fn sources(&self) -> impl Iterator<Item = std::cell::Ref<'_, PullSource>> {
        self.tables.iter().map(|table| table.source.borrow())
    }

    /// The tables that couldn't be read, by their index, since the last call.
    pub fn take_troubles(&self) -> Vec<(usize, Error)> {
        self.troubles.take()
    }

    /// Goes on behind a table that can't be read, where the others go on by themselves.
    fn go_on(&self, table: &PulledTable, refusal: Refusal) -> Result<(), Refusal> {
        if !self.reading.alone || !refusal.is_about_one_table() {
            return Err(refusal);
        }
        self.troubles.borrow_mut().push((table.at, refusal.into_error().detail("table", table.name())));
        Ok(())
    }

    /// Reads all tables. What was read until then is in the pages, whether it succeeds or fails.
    pub async fn read(&self) -> Result<()> {
        let read = self.read_tables().await;
        self.pages.end();
        read.map_err(Refusal::into_error)
    }

    /// Reads nothing but the keys of all tables. `expected`: of each how many there should be; where the remote has just as many, they
    /// aren't read.
    pub async fn read_keys(&self, expected: &[Option<u64>]) -> Result<()> {
        let read = self.list_all_keys(expected).await;
        self.pages.end();
        read.map_err(Refusal::into_error)
    }

    /// Whether all keys of a table were listed.
    pub fn listed(&self, table: usize) -> bool {
        self.tables.get(table).is_some_and(|table| table.listed.get())
    }

    async fn list_all_keys(&self, expected: &[Option<u64>]) -> Result<(), Refusal> {
        for (table, expected) in self.tables.iter().zip(expected) {
            self.present.replace(table.name());
            if expected.is_some() && self.count(table).await? == *expected {
                continue;
            }
            match self.list_keys(table).await {
                Ok(()) => table.listed.set(true),
                Err(refusal) => self.go_on(table, refusal)?,
            }
        }
        Ok(())
    }

    /// How many rows the remote has; `None`: it doesn't tell.
    pub(super) async fn count(&self, table: &PulledTable) -> Result<Option<u64>, Refusal> {
        let name = table.name();
        let make = |requester: &Requester| {
            let source = table.source.borrow();
            let (key, range) = (source.plan.selection.key.clone(), Range::Keys(Span::default()));
            let selection = Selection { columns: key, ..source.plan.selection.clone() };
            Request { selection: &selection, range: &range, limit: 1, count: Count::Exact.prefer() }.head(requester)
        };
        match self.remote.send(&name, &mut self.remote.tries(), &make).await {
            Ok(answer) => Ok(counted_rows(&answer.response)),
            // Counting is what it does badly: the keys tell, too.
            Err(Refusal::TooMuch(_) | Refusal::Trouble(_) | Refusal::Rejected(_)) => Ok(None),
            Err(refusal) => Err(refusal),
        }
    }

    async fn read_tables(&self) -> Result<(), Refusal> {
        for table in &self.tables {
            self.present.replace(table.name());
            if let Err(refusal) = self.read_table(table).await {
                self.go_on(table, refusal)?;
            }
        }
        Ok(())
    }

    /// Reads a table; once more when the remote turned out to lack columns.
    async fn read_table(&self, table: &PulledTable) -> Result<(), Refusal> {
        let named = |error| table.source.borrow().plan.naming(error);
        match self.read_rows(table).await {
            Err(Refusal::UnknownColumn(error)) => {
                // The user's own list: nothing to find out.
                let listed = table.source.borrow().plan.options.columns.is_some();
                if listed {
                    return Err(Refusal::UnknownColumn(named(error)));
                }
                if !self.learn_columns(table).await? {
                    return Ok(());
                }
            }
            read => return read,
        }
        match self.read_rows(table).await {
            Err(Refusal::UnknownColumn(error)) => Err(Refusal::UnknownColumn(named(error))),
            read => read,
        }
    }

    async fn read_rows(&self, table: &PulledTable) -> Result<(), Refusal> {
        table.server_time.set(None);
        table.total.set(None);
        let start = {
            let PullSource { progress, plan, .. } = &mut *table.source.borrow_mut();
            window::start(progress, plan, self.reading.full)
        };
        table.resumed.set(start.resumed);
        table.whole.set(start.first == First::All);
        // A stamp is never NULL.
        let stamped = table.source.borrow().plan.ceiling.is_some();
        match start.first {
            First::All => self.read_all(table).await,
            First::Spans => self.read_spans(table).await,
            First::Rows(range) => self.read_changed(table, range, !stamped, self.reading.count).await,
        }
    }

    /// The rows by the cursor. `nulls`: before them those whose cursor is NULL; `counts`: these are all that the pull brings.
    pub(super) async fn read_changed(
        &self,
        table: &PulledTable,
        rows: Range,
        nulls: bool,
        counts: bool,
    ) -> Result<(), Refusal> {
        let (mut tries, mut way) = (self.remote.tries(), PassedPlaces::of(table));
        let mut range = if nulls { Range::WithNulls(Box::new(rows.clone())) } else { rows.clone() };
        // What changed is little as a rule: counted at once, it needs no empty page to end.
        let mut count = Count::Exact;
        loop {
            let read = self.page(table, &mut tries, &range, &mut count).await?;
            let exact = std::mem::take(&mut count) == Count::Exact;
            if exact && counts {
                table.total.set(read.count);
            }
            let all = exact && read.count.is_some_and(|count| count <= read.rows.len() as u64);
            let last = read.rows.last.clone();
            let mut page = self.make(table, read);
            table.begin(last.as_ref());
            if let Some(last) = &last {
                table.moved(last);
            }
            // A pull that is cut goes on behind the place that is stored: only where this page has come to it. Among rows without a
            // cursor, or with one to come, it begins anew, before the place of the pull before.
            page.progress = Some(table.source.borrow().progress.clone()).filter(|progress| progress.position == last);
            let Some(last) = last.filter(|_| !all) else {
                self.complete(table, page);
                return Ok(());
            };
            way.moves(last.cursor.as_deref(), &last.key)?;
            self.pages.put(page);
            range = match last.cursor {
                Some(_) => Range::Behind(last),
                // More of them than a page has.
                None => {
                    self.read_nulls(table, last.key).await?;
                    rows.clone()
                }
            };
        }
    }

    async fn read_nulls(&self, table: &PulledTable, after: RemoteKey) -> Result<(), Refusal> {
        let (mut tries, mut way, mut after) = (self.remote.tries(), PassedPlaces::of(table), Some(after));
        loop {
            let read = self.page(table, &mut tries, &Range::Nulls(after), &mut Count::No).await?;
            let Some(last) = read.rows.last.clone() else { return Ok(()) };
            way.moves(None, &last.key)?;
            after = Some(last.key);
            self.pages.put(self.make(table, read));
        }
    }

    async fn list_keys(&self, table: &PulledTable) -> Result<(), Refusal> {
        table.pace.replace(PagePace::new(self.reading.page_size));
        let (mut tries, mut way, mut span) = (self.remote.tries(), PassedPlaces::of(table), Span::default());
        loop {
            let range = Range::Keys(span);
            let key = Some(table.source.borrow().plan.selection.key.clone());
            let parse = |response: &HttpResponse| table.source.borrow().plan.read_keys(&response.body);
            let read = self.ask(table, &mut tries, key.as_deref(), &range, &mut Count::No, &parse).await?;
            let Some(last) = read.rows.last.clone() else { return Ok(()) };
            way.moves(None, &last.key)?;
            span = Span { after: Some(last.key), upto: None };
            self.pages.put(self.make(table, read));
        }
    }

    /// The columns of any remote row tell which of ours are missing. `false`: there is no row, and nothing to read either.
    async fn learn_columns(&self, table: &PulledTable) -> Result<bool, Refusal> {
        let parse = |response: &HttpResponse| {
            let text = std::str::from_utf8(&response.body).map_err(|_| Unreadable::Cut)?;
            let rows = json::elements(text)?;
            let Some(row) = rows.first() else { return Ok(None) };
            let names = json::members(row)?.into_iter().map(|(name, _)| name.into_owned());
            Ok(Some(names.collect::<Vec<String>>()))
        };
        let range = Range::Keys(Span::default());
        let name = table.name();
        let (remote_has, _) = {
            let make = self.request(table, Some(&[]), &range, 1, Count::No);
            self.remote.read(&name, &mut self.remote.tries(), &make, &parse).await?
        };
        let Some(remote_has) = remote_has else {
            table.whole.set(true);
            table.listed.set(self.reading.compare && table.compares());
            let mut page = self.empty(table);
            let has_cursor = table.has_cursor();
            window::complete(&mut table.source.borrow_mut().progress, has_cursor);
            page.complete = true;
            page.missing = Some(table.source.borrow().missing.clone());
            self.pages.put(page);
            return Ok(false);
        };
        let (plan, missing) = {
            let mut source = table.source.borrow_mut();
            let lacks = |column: &&String| !remote_has.contains(column);
            let wanted = source.plan.selection.columns.iter().chain(&source.missing);
            let missing: Vec<String> = wanted.filter(lacks).cloned().collect();
            let plan = Plan::new(&source.plan.options, source.plan.table.clone(), &missing);
            let mut plan = plan.map_err(Refusal::Mismatch)?;
            if let Some(ceiling) = source.plan.ceiling.take() {
                plan.read_by_ceiling(ceiling);
            }
            source.plan = plan.clone();
            source.missing.clone_from(&missing);
            (plan, missing)
        };
        let mut page = self.empty(table);
        (page.plan, page.missing) = (Some(plan), Some(missing));
        self.pages.put(page);
        Ok(true)
    }

    /// Reads one page of whole rows.
    pub(super) async fn page(
        &self,
        table: &PulledTable,
        tries: &mut Tries,
        range: &Range,
        count: &mut Count,
    ) -> Result<Read, Refusal> {
        let parse = |response: &HttpResponse| table.source.borrow().plan.read(&response.body);
        self.ask(table, tries, None, range, count, &parse).await
    }

    /// Reads one page: a smaller one, and less counted, when that was too much. `columns`: others than those of the plan.
    async fn ask(
        &self,
        table: &PulledTable,
        tries: &mut Tries,
        columns: Option<&[String]>,
        range: &Range,
        count: &mut Count,
        parse: &dyn Fn(&HttpResponse) -> Result<Rows, Unreadable>,
    ) -> Result<Read, Refusal> {
        let name = table.name();
        loop {
            let limit = table.pace.borrow().size();
            let make = self.request(table, columns, range, limit, *count);
            match self.remote.read(&name, tries, &make, parse).await {
                Ok((rows, answer)) => {
                    *tries = self.remote.tries();
                    table.pace.borrow_mut().came(limit);
                    table.note_time(&answer);
                    let count = counted_rows(&answer.response).filter(|_| *count != Count::No);
                    return Ok(Read { rows, count, answer });
                }
                Err(Refusal::TooMuch(_)) => {
                    *count = count.cheaper();
                    table.pace.borrow_mut().too_many(limit);
                }
                Err(Refusal::TooLarge(_)) if limit > 1 => table.pace.borrow_mut().too_many(limit),
                Err(refusal) => return Err(refusal),
            }
        }
    }

    pub(super) fn request<'r>(
        &self,
        table: &'r PulledTable,
        columns: Option<&'r [String]>,
        range: &'r Range,
        limit: u32,
        count: Count,
    ) -> impl Fn(&Requester) -> crate::ports::HttpRequest + use<'r> {
        move |requester| {
            let source = table.source.borrow();
            let selection = &source.plan.selection;
            let count = count.prefer();
            match columns {
                Some(columns) => {
                    let selection = Selection { columns: columns.to_vec(), ..selection.clone() };
                    Request { selection: &selection, range, limit, count }.build(requester)
                }
                None => Request { selection, range, limit, count }.build(requester),
            }
        }
    }

    /// A page of what was read.
    pub(super) fn make(&self, table: &PulledTable, read: Read) -> Box<Page> {
        let mut page = self.empty(table);
        page.bytes = read.answer.response.body.len() as u64;
        page.lists_keys |= read.rows.keys_only;
        page.rows = read.rows;
        page.permit = Some(read.answer.permit);
        page
    }

    pub(super) fn empty(&self, table: &PulledTable) -> Box<Page> {
        Box::new(Page {
            table: table.at,
            rows: Rows::default(),
            lists_keys: table.whole.get() && self.reading.compare && table.compares(),
            progress: None,
            complete: false,
            plan: None,
            missing: None,
            resumed: table.resumed.get(),
            bytes: 0,
            total: table.total.get(),
            permit: None,
        })
    }

    /// The table was read with this page.
    pub(super) fn complete(&self, table: &PulledTable, mut page: Box<Page>) {
        let has_cursor = table.has_cursor();
        let mut source = table.source.borrow_mut();
        window::complete(&mut source.progress, has_cursor);
        page.complete = true;
        table.listed.set(page.lists_keys);
        page.progress = Some(source.progress.clone());
        page.missing = Some(source.missing.clone());
        drop(source);
        self.pages.put(page);
    }
}

/// Cursor and key.
pub(super) fn place_columns(selection: &Selection) -> Vec<String> {
    selection.cursor.iter().filter(|cursor| !selection.key.contains(cursor)).chain(&selection.key).cloned().collect()
}

/// The number after the slash of `0-999/25000`.
pub(super) fn counted_rows(response: &HttpResponse) -> Option<u64> {
    response.header("content-range")?.rsplit_once('/')?.1.parse().ok()
}
