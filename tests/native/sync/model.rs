//! An in-memory model of PostgREST: tables of JSON rows, the filters and orders that tidelock uses, a limit of rows,
//! and faults on request. It shares no code with the crate.

mod helped;
mod query;
pub mod values;
mod watchdog;

use std::{
    cell::RefCell,
    collections::{BTreeMap, VecDeque},
    rc::Rc,
};

use tidelock::{
    Timestamp,
    ports::{Clock, Http, HttpFailure, HttpRequest, HttpResponse, LocalFuture, Method},
};

use self::{helped::Helped, query::unescape, watchdog::Watchdog};
pub(crate) use self::{
    query::{Query, refusal},
    values::compare,
};
use crate::sync::model_writes::{Rules, Undo};

/// A row: column and JSON text.
pub type Row = BTreeMap<String, String>;

/// The path of the helpers' function that applies changes.
pub const PUSH: &str = "rpc/tidelock_push";

/// The fault of a request, instead of an answer.
#[derive(Clone, Debug)]
pub enum Fault {
    /// An answer with this status, headers and body.
    Status(u16, Vec<(&'static str, String)>, String),
    /// A dropped connection.
    Drop,
    /// No answer in time.
    Timeout,
    /// The correct answer, truncated after this share of its body.
    Cut(f64),
    /// Like `Cut`, but only for answers with a success status.
    CutRows(f64),
    /// The request is executed, and the connection drops before the answer.
    Lost,
    /// No answer in time, and a guarded write is executed after so many further requests.
    Late(usize),
    /// The correct answer.
    None,
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) tables: BTreeMap<String, Vec<Row>>,
    pub(crate) rules: BTreeMap<String, Rules>,
    /// The changes of writes: `insert id`, `delete id`, `id column value`.
    pub(crate) history: Vec<String>,
    /// What the running statement or call has changed, for a rollback: copies of all tables would take seconds.
    pub(crate) undo: Vec<Undo>,
    /// The last stamp that was assigned, in microseconds.
    pub(crate) stamped: i64,
    under_way: usize,
    most_under_way: usize,
    faults: VecDeque<Fault>,
    /// Requests that are executed later, each after so many further ones.
    late: Vec<(usize, HttpRequest)>,
    /// The faults of all requests about a table.
    troubles: BTreeMap<String, Fault>,
    requests: Vec<HttpRequest>,
    max_rows: usize,
    /// The longest URL that the gateway before the server accepts.
    longest_url: Option<usize>,
    hides: bool,
    date: bool,
    helpers: Option<String>,
    helpers_after: Option<String>,
    helper_calls: Vec<String>,
    helpers_fail: bool,
    pub(crate) helped: Helped,
    watchdog: Watchdog,
}

/// The server. A handle, cheap to clone.
#[derive(Clone)]
pub struct Server {
    pub(crate) state: Rc<RefCell<State>>,
    pub(crate) clock: Rc<dyn Clock>,
    prefix: &'static str,
}

impl Server {
    pub fn new(clock: Rc<dyn Clock>) -> Self {
        Self::under(clock, "/rest/v1/")
    }

    /// Serves its tables under another path.
    pub fn under(clock: Rc<dyn Clock>, prefix: &'static str) -> Self {
        let state = State { max_rows: 1000, date: true, ..State::default() };
        Self { state: Rc::new(RefCell::new(state)), clock, prefix }
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Stores a row by its column `id`. `cells` are columns and JSON values.
    pub fn put(&self, table: &str, cells: &[(&str, &str)]) {
        let row: Row = cells.iter().map(|(name, json)| ((*name).to_owned(), (*json).to_owned())).collect();
        self.put_row(table, row);
    }

    /// Changes all rows of a table at once: one after the other, thousands take seconds.
    pub fn change_rows(&self, table: &str, change: impl FnOnce(&mut Vec<Row>)) {
        change(self.state.borrow_mut().tables.entry(table.to_owned()).or_default());
    }

    pub fn put_row(&self, table: &str, row: Row) {
        let mut state = self.state.borrow_mut();
        let rows = state.tables.entry(table.to_owned()).or_default();
        rows.retain(|known| known.get("id") != row.get("id"));
        rows.push(row);
    }

    pub fn table(&self, table: &str) {
        self.state.borrow_mut().tables.entry(table.to_owned()).or_default();
    }

    pub fn remove(&self, table: &str, id: &str) {
        let mut state = self.state.borrow_mut();
        state.tables.entry(table.to_owned()).or_default().retain(|row| row["id"] != id);
    }

    pub fn rows(&self, table: &str) -> Vec<Row> {
        self.state.borrow().tables.get(table).cloned().unwrap_or_default()
    }

    pub fn fault(&self, fault: Fault) {
        self.state.borrow_mut().faults.push_back(fault);
    }

    pub fn clear_faults(&self) {
        self.state.borrow_mut().faults.clear();
    }

    /// Sets the fault of all requests about a table, or of all calls of [`PUSH`], from now on; `None` removes it.
    pub fn trouble(&self, table: &str, fault: Option<Fault>) {
        let troubles = &mut self.state.borrow_mut().troubles;
        match fault {
            Some(fault) => troubles.insert(table.to_owned(), fault),
            None => troubles.remove(table),
        };
    }

    pub fn max_rows(&self, max_rows: usize) {
        self.state.borrow_mut().max_rows = max_rows;
    }

    /// Sets the longest URL that is accepted.
    pub fn limit_urls(&self, longest: usize) {
        self.state.borrow_mut().longest_url = Some(longest);
    }

    /// Sets whether row security hides all rows.
    pub fn hide(&self, hides: bool) {
        self.state.borrow_mut().hides = hides;
    }

    /// Sets whether the page can read the `Date` header.
    pub fn shows_date(&self, shows: bool) {
        self.state.borrow_mut().date = shows;
    }

    /// Returns all changes by writes: `insert id`, `delete id`, `id column value`.
    pub fn history(&self) -> Vec<String> {
        self.state.borrow().history.clone()
    }

    /// Returns the maximum number of concurrent requests so far.
    pub fn most_under_way(&self) -> usize {
        self.state.borrow().most_under_way
    }

    /// Returns the requests since the last call.
    pub fn take_requests(&self) -> Vec<HttpRequest> {
        std::mem::take(&mut self.state.borrow_mut().requests)
    }

    fn answer(&self, request: &HttpRequest) -> Result<HttpResponse, HttpFailure> {
        let fault = {
            let mut state = self.state.borrow_mut();
            let push = || request.url.ends_with(PUSH).then(|| PUSH.to_owned());
            let trouble = self.table_of(request).or_else(push).and_then(|about| state.troubles.get(&about).cloned());
            trouble.or_else(|| state.faults.pop_front()).unwrap_or(Fault::None)
        };
        if !matches!(fault, Fault::Late(_)) {
            self.wait_for_late(request);
        }
        match fault.clone() {
            Fault::None => Ok(self.respond(request)),
            Fault::Drop => Err(HttpFailure::Network("connection reset".to_owned())),
            Fault::Timeout => Err(HttpFailure::Timeout),
            Fault::Late(after) => {
                if self.is_guarded(request) {
                    self.state.borrow_mut().late.push((after, request.clone()));
                }
                Err(HttpFailure::Timeout)
            }
            Fault::Status(status, headers, body) => {
                let headers = headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
                Ok(HttpResponse { status, headers, body: body.into_bytes() })
            }
            Fault::Lost => {
                self.respond(request);
                Err(HttpFailure::Network("connection reset".to_owned()))
            }
            Fault::Cut(part) | Fault::CutRows(part) => {
                let mut response = self.respond(request);
                if matches!(fault, Fault::CutRows(_)) && response.status >= 400 {
                    return Ok(response);
                }
                let length = ((response.body.len() as f64) * part) as usize;
                response.body.truncate(length.min(response.body.len().saturating_sub(1)));
                Ok(response)
            }
        }
    }

    /// Whether a write that is executed late changes no row that was written since. Without a cursor, none has such a guard.
    fn is_guarded(&self, request: &HttpRequest) -> bool {
        let Some(table) = self.table_of(request) else { return false };
        let header = |text: &str| request.headers.iter().any(|(_, value)| value.contains(text));
        let stamp = self.state.borrow().rules.get(&table).and_then(|rules| rules.stamp.clone());
        let url = unescape(&request.url);
        let guards =
            |stamp: String| ["=eq.", "=is.", ".eq.", ".is."].iter().any(|test| url.contains(&format!("{stamp}{test}")));
        match request.method {
            Method::Post => header("ignore-duplicates") && header("return=representation"),
            Method::Patch | Method::Delete => stamp.is_some_and(guards),
            _ => false,
        }
    }

    /// Executes the late requests that are due, or all of them.
    pub fn execute_late(&self, all: bool) {
        self.execute(|after, _| all || after == 0);
        self.state.borrow_mut().late.iter_mut().for_each(|(after, _)| *after -= 1);
    }

    /// Executes the late requests that a write has to wait for: an insert for earlier ones of its table, and a change of
    /// rows for earlier changes. Others overtake them.
    fn wait_for_late(&self, request: &HttpRequest) {
        let kind = |request: &HttpRequest| match request.method {
            Method::Post => Some(true),
            Method::Patch | Method::Delete => Some(false),
            _ => None,
        };
        let same = |late: &HttpRequest| kind(late) == kind(request) && self.table_of(late) == self.table_of(request);
        self.execute(|_, late| same(late));
    }

    fn execute(&self, is_due: impl Fn(usize, &HttpRequest) -> bool) {
        let late = std::mem::take(&mut self.state.borrow_mut().late);
        let (due, waiting): (Vec<_>, Vec<_>) = late.into_iter().partition(|(after, late)| is_due(*after, late));
        self.state.borrow_mut().late = waiting;
        due.iter().for_each(|(_, request)| _ = self.respond(request));
    }

    /// Returns the table of a request.
    fn table_of(&self, request: &HttpRequest) -> Option<String> {
        let (_, rest) = request.url.split_once("://")?;
        let path = rest[rest.find('/')?..].split('?').next()?;
        path.strip_prefix(self.prefix).filter(|table| !table.contains('/')).map(unescape)
    }

    /// Returns the answer of the helpers' function, if it exists.
    fn helpers(&self, call: &str) -> HttpResponse {
        let mut state = self.state.borrow_mut();
        state.helper_calls.push(call.to_owned());
        if let Some(answer) = state.helped.answer(call) {
            return HttpResponse { status: 200, headers: vec![], body: answer.into_bytes() };
        }
        let later = if call.contains("&after=") { state.helpers_after.as_ref() } else { None };
        match later.or(state.helpers.as_ref()) {
            Some(answer) => HttpResponse { status: 200, headers: vec![], body: answer.clone().into_bytes() },
            None => HttpResponse { status: 404, headers: vec![], body: br#"{"code":"PGRST202"}"#.to_vec() },
        }
    }

    /// Sets the answer of the helpers' function from now on.
    pub fn set_helpers(&self, answer: Option<&str>) {
        self.state.borrow_mut().helpers = answer.map(str::to_owned);
    }

    /// Lets faults meet the calls of the helpers' function, too, as other requests.
    pub fn helpers_may_fail(&self) {
        self.state.borrow_mut().helpers_fail = true;
    }

    /// Sets the helpers' answers: `first` to the first request, `after` to requests for further pages.
    pub fn set_helpers_after(&self, first: &str, after: &str) {
        self.set_helpers(Some(first));
        self.state.borrow_mut().helpers_after = Some(after.to_owned());
    }

    /// Returns the calls of the helpers' function since the last call.
    pub fn take_helper_calls(&self) -> Vec<String> {
        std::mem::take(&mut self.state.borrow_mut().helper_calls)
    }

    fn respond(&self, request: &HttpRequest) -> HttpResponse {
        let error = |status: u16, body: &str| HttpResponse { status, headers: vec![], body: body.as_bytes().to_vec() };
        if !request.headers.iter().any(|(name, _)| name == "apikey") {
            return error(401, r#"{"message":"No API key found in request"}"#);
        }
        if self.state.borrow().longest_url.is_some_and(|longest| request.url.len() > longest) {
            return error(431, "");
        }
        let (_, rest) = request.url.split_once("://").unwrap();
        let path = &rest[rest.find('/').unwrap()..];
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        match path.strip_prefix(self.prefix) {
            Some(PUSH) => return self.push(request),
            Some("rpc/tidelock_state") => return self.helpers(query),
            _ => {}
        }
        let Some(table) = self.table_of(request) else { return error(404, "{}") };
        let table = table.as_str();
        match request.method {
            Method::Get | Method::Head => self.read(request, table, query).unwrap_or_else(|refused| refused),
            _ => self.write(request, table, query),
        }
    }

    fn read(&self, request: &HttpRequest, table: &str, query: &str) -> Result<HttpResponse, HttpResponse> {
        let state = self.state.borrow();
        let Some(rows) = state.tables.get(table) else {
            return Err(refusal(404, "42P01", "relation does not exist"));
        };
        let rules = state.rules.get(table).cloned().unwrap_or_default();
        let query = Query::read(query, &rules.kinds)?;
        let columns = match rows.first() {
            Some(row) if rules.columns.is_empty() => row.keys().cloned().collect(),
            _ => rules.columns.clone(),
        };
        let columns = state.helped.with_stamp(table, columns);
        if let Some(unknown) = query.unknown(&columns).filter(|_| !columns.is_empty()) {
            return Err(refusal(400, "42703", &format!("column {table}.{unknown} does not exist")));
        }
        // An unknown name is reported before missing rights.
        if rules.refuses.contains(&Method::Get) {
            return Err(refusal(401, "42501", "permission denied"));
        }
        let visible = |row: &&Row| {
            let hidden = rules.hidden.as_ref().is_some_and(|hidden| hidden(row));
            !state.hides && !hidden && query.holds(row)
        };
        let mut found: Vec<&Row> = rows.iter().filter(visible).collect();
        query.sort(&mut found);
        let total = found.len();
        found.drain(..query.offset.min(total));
        found.truncate(query.limit.unwrap_or(usize::MAX).min(state.max_rows));
        let body: Vec<String> = found.iter().map(|row| show(row, &query.select)).collect();
        let counted = request.headers.iter().any(|(name, value)| name == "prefer" && value.contains("count="));
        let mut headers = Vec::new();
        if counted {
            headers.push(("content-range".to_owned(), format!("0-{}/{total}", found.len())));
        }
        if state.date {
            headers.push(("date".to_owned(), http_date(self.clock.now())));
        }
        let status = if counted && found.len() < total { 206 } else { 200 };
        let body = if request.method == Method::Head { String::new() } else { format!("[{}]", body.join(",\n ")) };
        Ok(HttpResponse { status, headers, body: body.into_bytes() })
    }
}

impl Http for Server {
    fn send(&self, request: HttpRequest) -> LocalFuture<'static, Result<HttpResponse, HttpFailure>> {
        let now = self.clock.now();
        {
            let State { watchdog, tables, .. } = &mut *self.state.borrow_mut();
            watchdog.request(now, || tables.values().map(Vec::len).sum(), &request.url);
        }
        // Most tests don't count the request for helpers.
        if let Some((_, call)) = request.url.split_once("/rpc/tidelock_state") {
            let right = request
                .url
                .split_once("://")
                .is_some_and(|(_, rest)| rest[rest.find('/').unwrap()..].starts_with(&format!("{}rpc/", self.prefix)));
            let nothing = HttpResponse { status: 404, headers: vec![], body: br#"{"code":"PGRST125"}"#.to_vec() };
            if !right || !self.state.borrow().helpers_fail {
                return Box::pin(std::future::ready(Ok(if right { self.helpers(call) } else { nothing })));
            }
        }
        {
            let mut state = self.state.borrow_mut();
            state.requests.push(request.clone());
            state.under_way += 1;
            state.most_under_way = state.most_under_way.max(state.under_way);
        }
        let server = self.clone();
        let landing = Landing(self.clone());
        Box::pin(async move {
            server.clock.sleep(20).await;
            server.execute_late(false);
            let answer = server.answer(&request);
            drop(landing);
            answer.and_then(|answer| match answer.body.len() as u64 > request.max_bytes {
                true => Err(HttpFailure::TooLarge { limit: request.max_bytes }),
                false => Ok(answer),
            })
        })
    }
}

/// A running request, also after its caller has cancelled it.
struct Landing(Server);

impl Drop for Landing {
    fn drop(&mut self) {
        self.0.state.borrow_mut().under_way -= 1;
    }
}

pub(crate) fn show(row: &Row, select: &[String]) -> String {
    let cell = |(name, json): (&String, &String)| format!("{}:{json}", values::string(name));
    let cells: Vec<String> = if select == ["*"] {
        row.iter().map(cell).collect()
    } else {
        select.iter().map(|name| cell((name, &row[name]))).collect()
    };
    format!("{{{}}}", cells.join(","))
}

fn http_date(time: Timestamp) -> String {
    let text = time.to_string();
    let month = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
        [text[5..7].parse::<usize>().unwrap() - 1];
    format!("Day, {} {month} {} {} GMT", &text[8..10], &text[..4], &text[11..19])
}
