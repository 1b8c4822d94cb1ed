//! Reading the remote as a state machine: events in, instructions out, no I/O.
//!
//! Tables are read one after the other, parents first, each in up to three passes: the rows whose cursor is NULL, the rows
//! in the order of cursor and key, and, after all tables, the keys of those tables whose deletions are found by comparing.
//! A pass ends with an empty page only: a short one may be the server's cap.
//!
//! The next page is asked for before the present one is applied; both instructions come together.

use super::{
    config::Config,
    json,
    plan::{Plan, Rows, Unreadable},
    query::{Range, Selection},
    request::{Request, Requester},
    response::{Verdict, backoff_ms, http_date, judge},
    steps::{Event, Instruction, Page, Reading, Source},
    window,
};
use crate::{
    error::{Error, ErrorCode, Result},
    ports::{HttpFailure, HttpResponse},
    time::Timestamp,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pass {
    Nulls,
    Rows,
    /// What columns does the remote have? Asked when it refused one.
    Probe,
    Keys,
}

/// The machine.
pub struct Pull {
    requester: Requester,
    sources: Vec<Source>,
    reading: Reading,
    at: usize,
    pass: Pass,
    range: Range,
    /// The rows of this pass come from its beginning on: together they are all rows.
    whole: bool,
    resumed: Vec<bool>,
    whole_tables: Vec<bool>,
    probed: Vec<bool>,
    /// The server's time before the table's first page.
    server_time: Option<Timestamp>,
    total: Option<u64>,
    attempt: u32,
    page_size: u32,
    counting: bool,
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
            pass: Pass::Nulls,
            range: Range::Cursors,
            whole: true,
            resumed: vec![false; count],
            whole_tables: vec![false; count],
            probed: vec![false; count],
            server_time: None,
            total: None,
            attempt: 0,
            page_size: 0,
            counting: false,
        }
    }

    /// The tables.
    pub fn sources(&self) -> &[Source] {
        &self.sources
    }

    /// Whether the table went on where an earlier pull was cut.
    pub fn resumed(&self, table: usize) -> bool {
        self.resumed[table]
    }

    /// The root that answered, to begin with the next time.
    pub fn root(&self) -> &str {
        self.requester.root()
    }

    /// The index of the table that is being read; the number of tables when all are.
    pub fn table_index(&self) -> usize {
        self.at
    }

    /// The table that is being read; after the last one, the last.
    pub fn table(&self) -> &str {
        let at = self.at.min(self.sources.len().saturating_sub(1));
        self.sources.get(at).map_or("", |source| source.plan.name())
    }

    /// What to do about an event. An error ends the pull.
    pub fn handle(&mut self, event: Event) -> Result<Vec<Instruction>> {
        match event {
            Event::Start if self.reading.keys_only => Ok(vec![self.begin_keys(0)]),
            Event::Start => Ok(vec![self.begin_table(0)]),
            Event::Waited => Ok(vec![self.send()]),
            Event::Token(token) => {
                self.requester.renewed(token);
                Ok(vec![self.send()])
            }
            Event::Answer { answer, now, elapsed_ms, chance } => self.answered(&answer, now, elapsed_ms, chance),
        }
    }

    fn answered(
        &mut self,
        answer: &Result<HttpResponse, HttpFailure>,
        now: Timestamp,
        elapsed_ms: u64,
        chance: f64,
    ) -> Result<Vec<Instruction>> {
        match (judge(self.table(), answer, now), answer) {
            (Verdict::Body, Ok(response)) => {
                self.requester.accepted();
                match self.body(response, elapsed_ms) {
                    Ok(instructions) => {
                        self.attempt = 0;
                        Ok(instructions)
                    }
                    Err(Unreadable::Failed(error)) => Err(error.detail("table", self.table())),
                    Err(Unreadable::Cut) => {
                        let text = format!("the remote's answer for table {} ended early", self.table());
                        let error = Error::new(ErrorCode::SyncProtocol, text).detail("table", self.table());
                        self.retry(None, error, chance)
                    }
                }
            }
            (Verdict::Unauthorized(error), _) => {
                if self.requester.may_refresh() {
                    Ok(vec![Instruction::RefreshToken])
                } else {
                    Err(error)
                }
            }
            (Verdict::Retry { after_ms, smaller, error }, _) => {
                if smaller {
                    self.page_size = (self.page_size / 2).max(1);
                    self.counting = false;
                }
                self.retry(after_ms, error, chance)
            }
            (Verdict::UnknownPath(error), _) => {
                if self.requester.try_other_root() {
                    Ok(vec![self.send()])
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
                self.pass = Pass::Probe;
                Ok(vec![self.send()])
            }
            (Verdict::Fail(error), _) => Err(error),
            (Verdict::Body, Err(_)) => Err(Error::internal("a failed request was taken for a page")),
        }
    }

    fn retry(&mut self, after_ms: Option<u64>, error: Error, chance: f64) -> Result<Vec<Instruction>> {
        if self.attempt >= self.requester.retries() {
            return Err(error.detail("attempts", self.attempt + 1));
        }
        let wait = after_ms.unwrap_or_else(|| backoff_ms(self.attempt, chance));
        self.attempt += 1;
        Ok(vec![Instruction::Wait(wait)])
    }

    fn body(&mut self, response: &HttpResponse, elapsed_ms: u64) -> Result<Vec<Instruction>, Unreadable> {
        if self.pass == Pass::Probe {
            return self.probed(&response.body);
        }
        if self.server_time.is_none() {
            // When the server began to answer, at the latest.
            let date = response.header("date").and_then(http_date);
            self.server_time = date.map(|date| date.plus_ms(-i64::try_from(elapsed_ms).unwrap_or(i64::MAX)));
        }
        let source = &self.sources[self.at];
        let keys_only = self.pass == Pass::Keys;
        let rows = if keys_only { source.plan.read_keys(&response.body)? } else { source.plan.read(&response.body)? };
        if std::mem::take(&mut self.counting) {
            self.total = total(response);
        }
        let end = rows.is_empty();
        let mut page = Page {
            table: self.at,
            lists_keys: keys_only || self.whole && self.reading.compare && source.plan.options.compares(),
            progress: None,
            complete: end && self.pass == Pass::Rows,
            missing: None,
            bytes: response.body.len() as u64,
            total: self.total,
            rows,
        };
        if self.pass == Pass::Rows {
            let source = &mut self.sources[self.at];
            window::advance(&mut source.progress, &source.plan, page.rows.last.as_ref(), self.server_time);
            page.progress = Some(source.progress.clone());
        }
        let next = if end {
            self.next_pass()
        } else {
            let range = match (self.pass, page.rows.last.clone()) {
                (Pass::Rows, Some(last)) if source_has_cursor(&self.sources[self.at]) => Range::Behind(last),
                (Pass::Nulls, Some(last)) => Range::Nulls(Some(last.key)),
                (_, last) => Range::Keys(last.map(|last| last.key)),
            };
            if self.range == range {
                let text = "the remote sends the same page again: it doesn't heed the filters of the request";
                return Err(Unreadable::Failed(Error::new(ErrorCode::SyncProtocol, text)));
            }
            self.range = range;
            self.send()
        };
        let nothing = page.rows.is_empty() && page.progress.is_none();
        Ok(if nothing { vec![next] } else { vec![Instruction::Apply(Box::new(page)), next] })
    }

    /// The columns of any remote row tell which of ours are missing.
    fn probed(&mut self, body: &[u8]) -> Result<Vec<Instruction>, Unreadable> {
        let text = std::str::from_utf8(body).map_err(|_| Unreadable::Cut)?;
        let rows = json::elements(text)?;
        let mut page = Page {
            table: self.at,
            rows: Rows::default(),
            lists_keys: false,
            progress: None,
            complete: false,
            missing: None,
            bytes: 0,
            total: None,
        };
        let Some(row) = rows.first() else {
            // Without a row to look at there is nothing to read either.
            page.complete = true;
            self.whole_tables[self.at] = true;
            self.pass = Pass::Rows;
            let next = self.next_pass();
            return Ok(vec![Instruction::Apply(Box::new(page)), next]);
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
        source.plan = plan;
        source.missing.clone_from(&missing);
        page.missing = Some(missing);
        let next = self.begin_table(self.at);
        Ok(vec![Instruction::Apply(Box::new(page)), next])
    }

    fn begin_table(&mut self, at: usize) -> Instruction {
        self.at = at;
        self.page_size = self.requester.page_size();
        self.server_time = None;
        self.total = None;
        let Some(source) = self.sources.get_mut(at) else { return self.begin_keys(0) };
        let start = window::start(&mut source.progress, &source.plan, self.reading.full);
        self.resumed[at] = start.resumed;
        self.whole = start.whole;
        self.whole_tables[at] = start.whole;
        // A stamp is never NULL.
        if source_has_cursor(source) && source.plan.ceiling.is_none() {
            (self.pass, self.range) = (Pass::Nulls, Range::Nulls(None));
        } else {
            (self.pass, self.range) = (Pass::Rows, start.range);
            self.counting = self.reading.count;
        }
        self.send()
    }

    fn next_pass(&mut self) -> Instruction {
        match self.pass {
            Pass::Nulls => {
                let source = &mut self.sources[self.at];
                self.range = window::start(&mut source.progress, &source.plan, self.reading.full).range;
                self.pass = Pass::Rows;
                self.counting = self.reading.count;
                self.send()
            }
            Pass::Rows | Pass::Probe => self.begin_table(self.at + 1),
            Pass::Keys => self.begin_keys(self.at + 1),
        }
    }

    /// The first table from `from` on whose keys have to be listed.
    fn begin_keys(&mut self, from: usize) -> Instruction {
        let compares =
            |at: usize| self.reading.compare && self.sources[at].plan.options.compares() && !self.whole_tables[at];
        let needs = |at: &usize| self.reading.keys_only || compares(*at);
        self.page_size = self.requester.page_size();
        self.pass = Pass::Keys;
        match (from..self.sources.len()).find(needs) {
            Some(at) => {
                self.at = at;
                self.range = Range::Keys(None);
                self.send()
            }
            None => {
                self.at = self.sources.len();
                Instruction::Finish
            }
        }
    }

    fn send(&mut self) -> Instruction {
        let selection = &self.sources[self.at].plan.selection;
        let request = match self.pass {
            Pass::Probe => {
                let all = Selection { columns: Vec::new(), ..selection.clone() };
                Request { selection: &all, range: &Range::Keys(None), limit: 1, count: false }.build(&self.requester)
            }
            Pass::Keys => {
                let keys = Selection { columns: selection.key.clone(), ..selection.clone() };
                Request { selection: &keys, range: &self.range, limit: self.page_size, count: false }
                    .build(&self.requester)
            }
            Pass::Nulls | Pass::Rows => {
                let count = self.counting;
                Request { selection, range: &self.range, limit: self.page_size, count }.build(&self.requester)
            }
        };
        Instruction::Send(request)
    }
}

fn source_has_cursor(source: &Source) -> bool {
    source.plan.selection.cursor.is_some()
}

/// The number after the slash of `0-999/25000`.
fn total(response: &HttpResponse) -> Option<u64> {
    response.header("content-range")?.rsplit('/').next()?.parse().ok()
}
