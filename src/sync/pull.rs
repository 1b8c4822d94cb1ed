//! Reading the remote as a state machine: events in, instructions out, no I/O.
//!
//! Tables are read one after the other, parents first. What has a cursor and was read before: first the rows whose cursor is
//! NULL, then the rows in the order of cursor and key. All else is read whole, in the order of the key: as soon as the remote
//! has told how many rows there are, in several spans side by side, whose ends it is asked for; and then, by the cursor, what
//! changed since the beginning. After all tables come the keys of those whose deletions are found by comparing.
//!
//! A pass ends with an empty page only, a span also with the row that ends it: a short page may be the server's cap. The next
//! page is asked for before the present one is applied, as long as not too many are under way or held.

mod whole;

use super::{
    config::Config,
    json,
    lanes::{Ask, Count, Lanes, Pace, place_columns},
    plan::{Plan, Rows, Unreadable},
    query::Range,
    request::Requester,
    response::{Verdict, backoff_ms, http_date, judge},
    spans::Key,
    steps::{Event, Instruction, Page, Reading, Source},
    window::{self, First},
};
use crate::{
    error::{Error, ErrorCode, Result},
    ports::{HttpFailure, HttpResponse},
    time::Timestamp,
};

/// The machine.
pub struct Pull {
    requester: Requester,
    sources: Vec<Source>,
    reading: Reading,
    at: usize,
    lanes: Lanes,
    pace: Pace,
    /// The lane of each span in the progress of the table.
    span_lanes: Vec<usize>,
    /// The ends of spans, as far as they are known.
    ends: Vec<Option<Key>>,
    ends_asked: usize,
    /// How many rows the first span may still read before its end is known.
    room: u64,
    /// The rows of this table come from its beginning on: together they are all rows.
    whole: bool,
    /// What is read by the cursor, after the rows without.
    rows: Range,
    whole_tables: Vec<bool>,
    resumed: bool,
    probed: Vec<bool>,
    /// The server's time before the table's first page.
    server_time: Option<Timestamp>,
    total: Option<u64>,
    /// The number of the present token.
    token: u32,
    /// Pages given out that aren't applied.
    held: usize,
    finished: bool,
}

impl Pull {
    /// A pull of these tables, in this order. `token`: what the access token function gave.
    pub fn new(
        config: &Config,
        root: Option<String>,
        sources: Vec<Source>,
        reading: Reading,
        token: Option<String>,
    ) -> Self {
        let count = sources.len();
        Self {
            requester: Requester::new(config, root, token),
            sources,
            reading,
            at: 0,
            lanes: Lanes::default(),
            pace: Pace::new(config.options.page_size),
            span_lanes: Vec::new(),
            ends: Vec::new(),
            ends_asked: 0,
            room: 0,
            whole: true,
            rows: Range::Cursors,
            whole_tables: vec![false; count],
            resumed: false,
            probed: vec![false; count],
            server_time: None,
            total: None,
            token: 0,
            held: 0,
            finished: false,
        }
    }

    /// The tables.
    pub fn sources(&self) -> &[Source] {
        &self.sources
    }

    /// The root that answered, to begin with the next time.
    pub fn root(&self) -> &str {
        self.requester.root()
    }

    /// The table that is being read; after the last one, the last.
    pub fn table(&self) -> &str {
        let at = self.at.min(self.sources.len().saturating_sub(1));
        self.sources.get(at).map_or("", |source| source.plan.name())
    }

    /// What to do about an event. An error ends the pull.
    pub fn handle(&mut self, event: Event) -> Result<Vec<Instruction>> {
        let mut instructions = Vec::new();
        match event {
            Event::Start if self.reading.keys_only => self.begin_keys(0),
            Event::Start => self.begin_table(0),
            Event::Waited(lane) => match self.lanes.get(lane).map(|lane| lane.ask == Ask::Nothing) {
                Some(true) => self.lanes.end(lane),
                _ => self.lanes.again(lane),
            },
            Event::Token(token) => {
                self.requester.renewed(token);
                self.token += 1;
                self.lanes.admit();
            }
            Event::Applied => self.held = self.held.saturating_sub(1),
            Event::Answer { lane, answer, now, elapsed_ms, chance } => {
                instructions.extend(self.answered(lane, &answer, now, elapsed_ms, chance)?);
            }
        }
        let pages = instructions.iter().filter(|instruction| matches!(instruction, Instruction::Apply(_)));
        self.held += pages.count();
        self.send_ready(&mut instructions);
        if self.lanes.is_empty() && !std::mem::replace(&mut self.finished, true) {
            instructions.push(Instruction::Finish);
        }
        Ok(instructions)
    }

    fn send_ready(&mut self, instructions: &mut Vec<Instruction>) {
        while let Some(at) = self.lanes.take(self.held) {
            let (Some(lane), Some(source)) = (self.lanes.get(at), self.sources.get(self.at)) else { return };
            let span = self.span_lanes.iter().position(|lane| *lane == at);
            let span = span.and_then(|index| source.progress.spans.as_ref()?.get(index).cloned()).unwrap_or_default();
            lane.token = self.token;
            let request = lane.request(&self.requester, &source.plan.selection, span, self.pace.size());
            instructions.push(Instruction::Send(at, request));
        }
    }

    fn answered(
        &mut self,
        at: usize,
        answer: &Result<HttpResponse, HttpFailure>,
        now: Timestamp,
        elapsed_ms: u64,
        chance: f64,
    ) -> Result<Option<Instruction>> {
        let Some(lane) = self.lanes.get(at) else { return Ok(None) };
        let (limit, old_token, refreshed) = (lane.limit, lane.token != self.token, lane.refreshed);
        if lane.ask == Ask::Nothing {
            self.lanes.end(at);
            return Ok(None);
        }
        match (judge(self.table(), answer, now), answer) {
            (Verdict::Body, Ok(response)) => {
                self.requester.accepted();
                match self.body(at, response, elapsed_ms) {
                    Ok(page) => {
                        self.pace.came(limit);
                        Ok(page.map(Instruction::Apply))
                    }
                    Err(Unreadable::Failed(error)) => Err(error.detail("table", self.table())),
                    Err(Unreadable::Cut) => {
                        let text = format!("The remote's answer for table {} ended early", self.table());
                        let error = Error::new(ErrorCode::SyncProtocol, text)
                            .hint(super::response::CUT)
                            .detail("table", self.table());
                        self.retry(at, None, error, chance)
                    }
                }
            }
            (Verdict::Unauthorized(_), _) if old_token => {
                self.lanes.again(at);
                Ok(None)
            }
            (Verdict::Unauthorized(error), _) => {
                if refreshed || !self.requester.has_access_token() {
                    return Err(error);
                }
                Ok(self.lanes.refuse(at).then_some(Instruction::RefreshToken))
            }
            (Verdict::Retry { after_ms, smaller, error }, _) => {
                if smaller && let Some(lane) = self.lanes.get(at) {
                    // It can do without.
                    match lane.ask {
                        Ask::End(index, ..) => {
                            self.lanes.end(at);
                            self.end_found(index, None);
                            return Ok(None);
                        }
                        Ask::Last(rows) => {
                            self.last_found(at, rows, None);
                            return Ok(None);
                        }
                        _ => {}
                    }
                    lane.count = lane.count.cheaper();
                    self.pace.too_many(limit);
                }
                self.retry(at, after_ms, error, chance)
            }
            (Verdict::UnknownPath(error), _) => {
                if self.requester.try_other_root() {
                    self.lanes.again(at);
                    Ok(None)
                } else {
                    Err(error)
                }
            }
            (Verdict::UnknownColumn(error), _) => {
                let named = self.sources[self.at].plan.options.columns.is_some();
                // Asked already, or the user's own list: nothing to find out.
                if named || std::mem::replace(&mut self.probed[self.at], true) {
                    return Err(self.sources[self.at].plan.naming(error));
                }
                self.lanes.end(at);
                self.lanes.give_up(|_| true);
                self.lanes.add(Ask::Columns, Count::No);
                Ok(None)
            }
            (Verdict::Fail(error), _) => Err(error),
            (Verdict::Body, Err(_)) => Err(Error::internal("A failed request was taken for a page")),
        }
    }

    fn retry(&mut self, at: usize, after_ms: Option<u64>, error: Error, chance: f64) -> Result<Option<Instruction>> {
        let retries = self.requester.retries();
        let Some(lane) = self.lanes.get(at) else { return Ok(None) };
        if lane.attempt >= retries {
            return Err(error.detail("attempts", lane.attempt + 1));
        }
        let wait = after_ms.unwrap_or_else(|| backoff_ms(lane.attempt, chance));
        lane.attempt += 1;
        self.lanes.rest(at);
        Ok(Some(Instruction::Wait(at, wait)))
    }

    /// A good answer: what it brings, and what its lane asks for next.
    fn body(&mut self, at: usize, response: &HttpResponse, elapsed_ms: u64) -> Result<Option<Box<Page>>, Unreadable> {
        let Some(lane) = self.lanes.get(at) else { return Ok(None) };
        let (ask, counted) = (lane.ask.clone(), lane.count);
        let body = &response.body;
        if ask == Ask::Columns {
            let page = self.columns(at, body)?;
            return Ok(Some(page));
        }
        if self.server_time.is_none() {
            // When the server began to answer, at the latest.
            let date = response.header("date").and_then(http_date);
            self.server_time = date.map(|date| date.plus_ms(-i64::try_from(elapsed_ms).unwrap_or(i64::MAX)));
        }
        let count = counted_rows(response).filter(|_| counted != Count::No);
        let plan = &self.sources[self.at].plan;
        let page = match ask {
            Ask::Newest => {
                let place = plan.read_place(body, &place_columns(&plan.selection))?;
                self.told(count, counted);
                return Ok(self.newest(at, place, count));
            }
            Ask::Last(rows) => {
                let place = plan.read_place(body, &plan.selection.key)?;
                self.last_found(at, rows, place.map(|place| place.key));
                return Ok(None);
            }
            Ask::End(index, ..) => {
                let place = plan.read_place(body, &plan.selection.key)?;
                self.lanes.end(at);
                self.end_found(index, place.map(|place| place.key));
                return Ok(None);
            }
            Ask::Keys(after) => {
                let rows = plan.read_keys(body)?;
                let last = rows.last.clone().map(|last| last.key);
                self.moves(&last, &after)?;
                // Before `begin_keys` moves on to another table, or behind the last one.
                let page = self.page(rows, body);
                match last {
                    Some(_) => self.lanes.next(at, Ask::Keys(last), Count::No),
                    None => {
                        self.lanes.end(at);
                        self.begin_keys(self.at + 1);
                    }
                }
                page
            }
            Ask::Nulls(after) => {
                let rows = plan.read(body)?;
                let last = rows.last.clone().map(|last| last.key);
                self.moves(&last, &after)?;
                match last {
                    Some(_) => self.lanes.next(at, Ask::Nulls(last), Count::No),
                    None => {
                        let count = if self.reading.count { Count::Exact } else { Count::No };
                        self.lanes.next(at, Ask::Rows(self.rows.clone()), count);
                    }
                }
                self.page(rows, body)
            }
            Ask::Rows(range) => {
                let rows = plan.read(body)?;
                let last = rows.last.clone();
                self.told(count, counted);
                let mut page = self.page(rows, body);
                let source = &mut self.sources[self.at];
                window::begin(&mut source.progress, &source.plan, self.server_time, last.as_ref());
                match last {
                    Some(last) => {
                        let next = Range::Behind(last.clone());
                        self.moves(&Some(&next), &Some(&range))?;
                        self.sources[self.at].progress.position = Some(last);
                        self.lanes.next(at, Ask::Rows(next), Count::No);
                        page.progress = Some(self.sources[self.at].progress.clone());
                    }
                    None => self.complete(at, &mut page),
                }
                page
            }
            _ => {
                let rows = plan.read(body)?;
                self.told(count, counted);
                return self.span_page(at, rows, body, count).map(Some);
            }
        };
        Ok(Some(page).filter(|page| !page.rows.is_empty() || page.progress.is_some()))
    }

    /// The columns of any remote row tell which of ours are missing.
    fn columns(&mut self, at: usize, body: &[u8]) -> Result<Box<Page>, Unreadable> {
        let text = std::str::from_utf8(body).map_err(|_| Unreadable::Cut)?;
        let rows = json::elements(text)?;
        let Some(row) = rows.first() else {
            // Without a row to look at there is nothing to read either.
            let mut page = self.page(Rows::default(), b"");
            self.whole_tables[self.at] = true;
            self.complete(at, &mut page);
            page.progress = None;
            return Ok(page);
        };
        let remote = json::members(row)?;
        let source = &mut self.sources[self.at];
        let lacks = |column: &&String| !remote.iter().any(|(name, _)| name == column.as_str());
        let wanted = source.plan.selection.columns.iter().chain(&source.missing);
        let missing: Vec<String> = wanted.filter(lacks).cloned().collect();
        let mut plan =
            Plan::new(&source.plan.options, source.plan.table.clone(), &missing).map_err(Unreadable::Failed)?;
        if let Some(ceiling) = source.plan.ceiling.take() {
            plan.read_by_ceiling(ceiling);
        }
        source.plan = plan.clone();
        source.missing.clone_from(&missing);
        let mut page = self.page(Rows::default(), b"");
        (page.plan, page.missing) = (Some(plan), Some(missing));
        self.lanes.end(at);
        self.begin_table(self.at);
        Ok(page)
    }

    /// A page of the present table, as far as any answer tells.
    fn page(&self, rows: Rows, body: &[u8]) -> Box<Page> {
        let compares = self.whole && self.reading.compare && self.sources[self.at].plan.options.compares();
        Box::new(Page {
            table: self.at,
            lists_keys: rows.keys_only || compares,
            progress: None,
            complete: false,
            plan: None,
            missing: None,
            resumed: self.resumed,
            bytes: body.len() as u64,
            total: self.total,
            rows,
        })
    }

    /// The table was read with this page: on to the next one.
    fn complete(&mut self, at: usize, page: &mut Page) {
        let has_cursor = self.has_cursor();
        let source = &mut self.sources[self.at];
        window::complete(&mut source.progress, has_cursor);
        page.complete = true;
        page.progress = Some(source.progress.clone());
        page.missing = Some(source.missing.clone());
        self.lanes.end(at);
        self.begin_table(self.at + 1);
    }

    fn begin_table(&mut self, at: usize) {
        self.at = at;
        self.pace = Pace::new(self.requester.page_size());
        (self.server_time, self.total) = (None, None);
        self.span_lanes.clear();
        let Some(source) = self.sources.get_mut(at) else { return self.begin_keys(0) };
        let start = window::start(&mut source.progress, &source.plan, self.reading.full);
        let stamped = source.plan.ceiling.is_some();
        let spans = source.progress.spans.as_ref().map_or(0, Vec::len);
        self.resumed = start.resumed;
        self.whole = start.first == First::All;
        self.whole_tables[at] = self.whole;
        match start.first {
            First::All if self.has_cursor() => {
                self.lanes.add(Ask::Newest, Count::Exact);
            }
            First::All => self.span_lanes = vec![self.lanes.add(Ask::Span, Count::Exact)],
            First::Spans => self.span_lanes = (0..spans).map(|_| self.lanes.add(Ask::Span, Count::No)).collect(),
            First::Rows(range) => {
                // A stamp is never NULL.
                self.rows = range.clone();
                self.lanes.add(if stamped { Ask::Rows(range) } else { Ask::Nulls(None) }, Count::No);
            }
        }
    }

    /// The first table from `from` on whose keys have to be listed.
    fn begin_keys(&mut self, from: usize) {
        let compares =
            |at: usize| self.reading.compare && self.sources[at].plan.options.compares() && !self.whole_tables[at];
        let needs = |at: &usize| self.reading.keys_only || compares(*at);
        let next = (from..self.sources.len()).find(needs);
        self.pace = Pace::new(self.requester.page_size());
        self.at = next.unwrap_or(self.sources.len());
        if next.is_some() {
            self.lanes.add(Ask::Keys(None), Count::No);
        }
    }

    fn has_cursor(&self) -> bool {
        self.sources[self.at].plan.selection.cursor.is_some()
    }

    /// A page must end elsewhere than the one before it.
    fn moves<T: PartialEq>(&self, last: &Option<T>, before: &Option<T>) -> Result<(), Unreadable> {
        if last.is_none() || last != before {
            return Ok(());
        }
        let text = "The remote sends the same page again: it doesn't heed the filters of the request";
        Err(Unreadable::Failed(Error::new(ErrorCode::SyncProtocol, text).hint(super::response::NOT_POSTGREST)))
    }

    /// How many rows there are, if that is more than a guess.
    fn told(&mut self, count: Option<u64>, counted: Count) {
        if counted == Count::Exact {
            self.total = count;
        }
    }
}

/// The number after the slash of `0-999/25000`.
fn counted_rows(response: &HttpResponse) -> Option<u64> {
    response.header("content-range")?.rsplit('/').next()?.parse().ok()
}
