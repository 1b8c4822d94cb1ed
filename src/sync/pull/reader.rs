//! Reads the remote by concurrent requests, and queues pages in the order in which they are applied.
//!
//! Tables are read in sequence, parents first. A table with a cursor that was read before: first the rows whose cursor
//! is NULL, then the rows in the order of cursor and key. Other tables are read whole, in the order of the key. Once
//! the number of rows is known, the remote is asked for the ends of several spans, which are read concurrently. The
//! rows that changed since the beginning follow, by the cursor.
//!
//! A pass ends with an empty page, with the row that ends its span, or with the last of the rows that the remote
//! counted. It never ends with a short page, which may be due to the server's row limit.

use std::cell::RefCell;

use super::{
    page::{Count, Page, PullReadOptions, PullSource},
    pulled_table::{PassedPlaces, PulledTable},
    window::{self, First},
};
use crate::{
    error::{Error, Result},
    ports::HttpResponse,
    sync::{
        postgrest::{
            query::{Range, Selection},
            queue::Queue,
            remote::{Answer, Refusal, Remote, Tries},
            request::{Request, Requester},
            response::{Unreadable, counted_rows},
        },
        schema::plan::{Plan, Rows},
        state::spans::{RemoteKey, Span},
        values::json,
    },
};

/// A pull: reads tables, and queues their pages.
pub struct Pull<'a> {
    pub(super) remote: &'a Remote<'a>,
    pub(super) options: PullReadOptions,
    pub(super) tables: Vec<PulledTable>,
    /// The name of the table that is being read.
    pub(super) present: &'a RefCell<String>,
    /// The tables that couldn't be read, by their index, while the pull continued.
    errors: RefCell<Vec<(usize, Error)>>,
    /// The pages that aren't applied yet.
    pub pages: Queue<Box<Page>>,
}

/// A page as it was answered.
pub(super) struct Read {
    pub(super) rows: Rows,
    /// Number of rows without the limit, if it was requested.
    pub(super) count: Option<u64>,
    pub(super) answer: Answer,
}

impl<'a> Pull<'a> {
    /// Creates a pull of these tables, in this order. `present` receives the name of the table that is being read.
    pub fn new(
        remote: &'a Remote<'a>,
        sources: Vec<PullSource>,
        options: PullReadOptions,
        present: &'a RefCell<String>,
    ) -> Self {
        let tables =
            sources.into_iter().enumerate().map(|(at, source)| PulledTable::new(at, source, options.page_size));
        Self { remote, options, tables: tables.collect(), present, errors: RefCell::default(), pages: Queue::default() }
    }

    /// Returns the tables with their progress.
    pub fn sources(&self) -> impl Iterator<Item = std::cell::Ref<'_, PullSource>> {
        self.tables.iter().map(|table| table.source.borrow())
    }

    /// Returns the tables that couldn't be read since the last call, by their index.
    pub fn take_table_errors(&self) -> Vec<(usize, Error)> {
        self.errors.take()
    }

    /// Notes that a table can't be read, so that the pull continues. Fails with `refusal` if it concerns all tables, or
    /// if the pull is all or nothing.
    pub(super) fn skip_table(&self, table: &PulledTable, refusal: Refusal) -> Result<(), Refusal> {
        if !self.options.alone || !refusal.is_about_one_table() {
            return Err(refusal);
        }
        self.errors.borrow_mut().push((table.at, refusal.into_error().detail("table", table.name())));
        Ok(())
    }

    /// Reads all tables. If it fails, the pages read until then are in the queue all the same.
    pub async fn read(&self) -> Result<()> {
        let read = self.read_tables().await;
        self.pages.end();
        read.map_err(Refusal::into_error)
    }

    async fn read_tables(&self) -> Result<(), Refusal> {
        for table in &self.tables {
            self.present.replace(table.name());
            if let Err(refusal) = self.read_table(table).await {
                self.skip_table(table, refusal)?;
            }
        }
        Ok(())
    }

    /// Reads a table, and again without the missing columns if the remote turned out to lack some.
    async fn read_table(&self, table: &PulledTable) -> Result<(), Refusal> {
        let named = |refusal| match refusal {
            Refusal::UnknownColumn(error) => Refusal::UnknownColumn(table.source.borrow().plan.naming(error)),
            other => other,
        };
        let progress = table.source.borrow().progress.clone();
        match self.read_rows(table).await {
            Err(refusal @ Refusal::UnknownColumn(_)) => {
                // The user listed the columns, so the table isn't read without one.
                let listed = table.source.borrow().plan.options.columns.is_some();
                if listed {
                    return Err(named(refusal));
                }
                if !self.learn_columns(table).await.map_err(named)? {
                    return Ok(());
                }
                // Where it lacks what it lacked before, it goes on where it was.
                table.source.borrow_mut().progress = progress;
            }
            read => return read,
        }
        self.read_rows(table).await.map_err(named)
    }

    async fn read_rows(&self, table: &PulledTable) -> Result<(), Refusal> {
        table.server_time.set(None);
        table.total.set(None);
        let start = {
            let PullSource { progress, plan, .. } = &mut *table.source.borrow_mut();
            window::start(progress, plan, self.options.full)
        };
        table.resumed.set(start.resumed);
        table.whole.set(start.first == First::All);
        // A stamp is never NULL.
        let stamped = table.source.borrow().plan.ceiling.is_some();
        match start.first {
            First::All => self.read_all(table).await,
            First::Spans => self.read_spans(table).await,
            First::Rows(range) => self.read_changed(table, range, !stamped, self.options.count).await,
        }
    }

    /// Reads rows by the cursor. `nulls` reads the rows whose cursor is NULL before them; `counts` reports their number
    /// as the total of the pull.
    pub(super) async fn read_changed(
        &self,
        table: &PulledTable,
        rows: Range,
        nulls: bool,
        counts: bool,
    ) -> Result<(), Refusal> {
        let (mut tries, mut visited) = (self.remote.tries(), PassedPlaces::of(table));
        let mut range = if nulls { Range::WithNulls(Box::new(rows.clone())) } else { rows.clone() };
        // Usually few rows have changed: with their number, the pass needs no empty page to end.
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
            // An interrupted pull continues behind the stored position, so it is stored only if this page ends there.
            // Pages that end with a NULL or future cursor store none: the next pull then begins again at the previous
            // position.
            page.progress = Some(table.source.borrow().progress.clone()).filter(|progress| progress.position == last);
            let Some(last) = last.filter(|_| !all) else {
                self.complete(table, page);
                return Ok(());
            };
            visited.visit(last.cursor.as_deref(), &last.key)?;
            self.pages.put(page);
            range = match last.cursor {
                Some(_) => Range::Behind(last),
                // The rows with a NULL cursor need further pages.
                None => {
                    self.read_nulls(table, last.key).await?;
                    rows.clone()
                }
            };
        }
    }

    async fn read_nulls(&self, table: &PulledTable, after: RemoteKey) -> Result<(), Refusal> {
        let (mut tries, mut visited, mut after) = (self.remote.tries(), PassedPlaces::of(table), Some(after));
        loop {
            let read = self.page(table, &mut tries, &Range::Nulls(after), &mut Count::No).await?;
            let Some(last) = read.rows.last.clone() else { return Ok(()) };
            visited.visit(None, &last.key)?;
            after = Some(last.key);
            self.pages.put(self.make(table, read));
        }
    }

    /// Reads any remote row to find the missing columns, and removes them from the plan. Returns `false` if there is no
    /// row, which completes the table.
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
            // Without one of these columns, the table couldn't be read once it has rows.
            let needed = needed_columns(&table.source.borrow().plan);
            let make = self.request(table, Some(&needed), &range, 1, Count::No);
            self.remote.send(&name, &mut self.remote.tries(), &make).await?;
            table.whole.set(true);
            table.listed.set(self.options.compare && table.compares());
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
        self.request_page(table, tries, None, range, count, &parse).await
    }

    /// Reads one page. If that is too much for the remote, it tries a smaller page with a cheaper count. `columns`
    /// replaces the columns of the plan.
    pub(super) async fn request_page(
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
            let limit = table.page_size.borrow().size();
            let make = self.request(table, columns, range, limit, *count);
            match self.remote.read(&name, tries, &make, parse).await {
                Ok((rows, answer)) => {
                    *tries = self.remote.tries();
                    table.page_size.borrow_mut().succeed(limit);
                    table.note_time(&answer);
                    let count = counted_rows(&answer.response).filter(|_| *count != Count::No);
                    return Ok(Read { rows, count, answer });
                }
                Err(Refusal::TooMuch(_)) => {
                    *count = count.cheaper();
                    table.page_size.borrow_mut().shrink(limit);
                }
                Err(Refusal::TooLarge(_)) if limit > 1 => table.page_size.borrow_mut().shrink(limit),
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

    /// Creates the page of an answer.
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
            lists_keys: table.whole.get() && self.options.compare && table.compares(),
            progress: None,
            complete: false,
            plan: None,
            missing: None,
            resumed: table.resumed.get(),
            bytes: 0,
            skew_ms: self.remote.skew_ms(),
            total: table.total.get(),
            permit: None,
        })
    }

    /// Queues a page as the table's last one.
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

/// Returns the columns without which a table can't be read: cursor, key, and the mark of deleted rows.
pub(super) fn needed_columns(plan: &Plan) -> Vec<String> {
    let Selection { cursor, key, .. } = &plan.selection;
    let mut columns: Vec<String> = cursor.iter().filter(|cursor| !key.contains(cursor)).chain(key).cloned().collect();
    let mark = plan.options.soft_delete().map(str::to_owned);
    columns.extend(mark.filter(|mark| !columns.contains(mark)));
    columns
}
