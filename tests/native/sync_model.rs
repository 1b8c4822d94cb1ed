//! A model of PostgREST in memory: tables of JSON rows, the filters and orders that tidelock asks with, a cap on rows, and
//! faults on demand. It shares no code with what it tests.

use std::{
    cell::RefCell,
    cmp::Ordering,
    collections::{BTreeMap, VecDeque},
    rc::Rc,
};

use tidelock::{
    Timestamp,
    ports::{Clock, Http, HttpFailure, HttpRequest, HttpResponse, LocalFuture, Method},
};

use crate::sync_model_writes::Rules;

/// A row: column and JSON text.
pub type Row = BTreeMap<String, String>;

/// What a request meets instead of an answer.
#[derive(Clone, Debug)]
pub enum Fault {
    /// An answer with this status, headers and body.
    Status(u16, Vec<(&'static str, String)>, String),
    /// A dropped connection.
    Drop,
    /// No answer in time.
    Timeout,
    /// The right answer, cut after this part of its body.
    Cut(f64),
    /// The request is carried out, and the connection dropped before the answer.
    Lost,
    /// The right answer.
    None,
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) tables: BTreeMap<String, Vec<Row>>,
    pub(crate) rules: BTreeMap<String, Rules>,
    /// What writes changed: `insert id`, `delete id`, `id column value`.
    pub(crate) history: Vec<String>,
    /// The last stamp that was given, in microseconds.
    pub(crate) stamped: i64,
    under_way: usize,
    most_under_way: usize,
    faults: VecDeque<Fault>,
    requests: Vec<HttpRequest>,
    max_rows: usize,
    hides: bool,
    date: bool,
    helpers: Option<String>,
    helpers_after: Option<String>,
    helper_calls: Vec<String>,
}

/// The server. Cheap to clone: a handle.
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

    /// Puts a row, by the column `id`, `cells` being `column: json`.
    pub fn put(&self, table: &str, cells: &[(&str, &str)]) {
        let row: Row = cells.iter().map(|(name, json)| ((*name).to_owned(), (*json).to_owned())).collect();
        self.put_row(table, row);
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

    pub fn max_rows(&self, max_rows: usize) {
        self.state.borrow_mut().max_rows = max_rows;
    }

    /// Row security hides everything.
    pub fn hide(&self, hides: bool) {
        self.state.borrow_mut().hides = hides;
    }

    /// Whether the page can read the `Date` header.
    pub fn shows_date(&self, shows: bool) {
        self.state.borrow_mut().date = shows;
    }

    /// Everything that writes have changed: `insert id`, `delete id`, `id column value`.
    pub fn history(&self) -> Vec<String> {
        self.state.borrow().history.clone()
    }

    /// How many requests were ever under way at once.
    pub fn most_under_way(&self) -> usize {
        self.state.borrow().most_under_way
    }

    /// The requests since the last call.
    pub fn take_requests(&self) -> Vec<HttpRequest> {
        std::mem::take(&mut self.state.borrow_mut().requests)
    }

    fn answer(&self, request: &HttpRequest) -> Result<HttpResponse, HttpFailure> {
        let fault = self.state.borrow_mut().faults.pop_front().unwrap_or(Fault::None);
        match fault {
            Fault::None => Ok(self.respond(request)),
            Fault::Drop => Err(HttpFailure::Network("connection reset".to_owned())),
            Fault::Timeout => Err(HttpFailure::Timeout),
            Fault::Status(status, headers, body) => {
                let headers = headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
                Ok(HttpResponse { status, headers, body: body.into_bytes() })
            }
            Fault::Lost => {
                self.respond(request);
                Err(HttpFailure::Network("connection reset".to_owned()))
            }
            Fault::Cut(part) => {
                let mut response = self.respond(request);
                let length = ((response.body.len() as f64) * part) as usize;
                response.body.truncate(length.min(response.body.len().saturating_sub(1)));
                Ok(response)
            }
        }
    }

    /// The answer of the helpers' function, where there is one.
    fn helpers(&self, call: &str) -> HttpResponse {
        let mut state = self.state.borrow_mut();
        state.helper_calls.push(call.to_owned());
        let later = if call.contains("&after=") { state.helpers_after.as_ref() } else { None };
        match later.or(state.helpers.as_ref()) {
            Some(answer) => HttpResponse { status: 200, headers: vec![], body: answer.clone().into_bytes() },
            None => HttpResponse { status: 404, headers: vec![], body: br#"{"code":"PGRST202"}"#.to_vec() },
        }
    }

    /// What the helpers' function answers from now on.
    pub fn set_helpers(&self, answer: Option<&str>) {
        self.state.borrow_mut().helpers = answer.map(str::to_owned);
    }

    /// The same, with another answer to the question for more.
    pub fn set_helpers_after(&self, first: &str, after: &str) {
        self.set_helpers(Some(first));
        self.state.borrow_mut().helpers_after = Some(after.to_owned());
    }

    /// How the helpers' function was called since the last call of this.
    pub fn take_helper_calls(&self) -> Vec<String> {
        std::mem::take(&mut self.state.borrow_mut().helper_calls)
    }

    fn respond(&self, request: &HttpRequest) -> HttpResponse {
        let error = |status: u16, body: &str| HttpResponse { status, headers: vec![], body: body.as_bytes().to_vec() };
        if !request.headers.iter().any(|(name, _)| name == "apikey") {
            return error(401, r#"{"message":"No API key found in request"}"#);
        }
        let (_, rest) = request.url.split_once("://").unwrap();
        let path = &rest[rest.find('/').unwrap()..];
        let (path, query) = path.split_once('?').unwrap();
        let Some(table) = path.strip_prefix(self.prefix).filter(|table| !table.contains('/')) else {
            return error(404, "{}");
        };
        if request.method != Method::Get {
            return self.write(request, table, query);
        }
        let state = self.state.borrow();
        let Some(rows) = state.tables.get(table) else {
            return error(404, r#"{"code":"42P01","message":"relation does not exist"}"#);
        };
        let named = state.rules.get(table).map(|rules| &rules.columns).filter(|columns| !columns.is_empty());
        let columns: Vec<&String> = named
            .map(|columns| columns.iter().collect())
            .or_else(|| rows.first().map(|row| row.keys().collect()))
            .unwrap_or_default();
        let mut found: Vec<&Row> = if state.hides { vec![] } else { rows.iter().collect() };
        let (mut select, mut order, mut limit, mut offset) = (Vec::new(), Vec::new(), usize::MAX, 0);
        for pair in query.split('&') {
            let (key, value) = pair.split_once('=').unwrap();
            let (key, value) = (unescape(key), unescape(value));
            match key.as_str() {
                "select" => select = value.split(',').map(str::to_owned).collect(),
                "order" => order = value.split(',').map(Order::read).collect(),
                "limit" => limit = value.parse().unwrap(),
                "offset" => offset = value.parse().unwrap(),
                "or" => {
                    let condition = parse(&mut Tokens(&format!("or{value}")));
                    found.retain(|row| condition.holds(row));
                }
                column => {
                    if !columns.is_empty() && !columns.iter().any(|known| *known == column) {
                        return error(400, r#"{"code":"42703"}"#);
                    }
                    let (op, value) = value.split_once('.').unwrap();
                    let condition = Condition::Compare(column.to_owned(), op.to_owned(), value.to_owned());
                    found.retain(|row| condition.holds(row));
                }
            }
        }
        if select != ["*"]
            && let Some(unknown) = select.iter().find(|name| !columns.is_empty() && !columns.contains(name))
        {
            let body = format!(r#"{{"code":"42703","message":"column {table}.{unknown} does not exist"}}"#);
            return error(400, &body);
        }
        found.sort_by(|a, b| {
            order.iter().map(|order| order.compare(a, b)).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
        });
        let total = found.len();
        found.drain(..offset.min(total));
        found.truncate(limit.min(state.max_rows));
        let body: Vec<String> = found.iter().map(|row| show(row, &select)).collect();
        let counted = request.headers.iter().any(|(name, value)| name == "prefer" && value.starts_with("count="));
        let mut headers = Vec::new();
        if counted {
            headers.push(("content-range".to_owned(), format!("0-{}/{total}", found.len())));
        }
        if state.date {
            headers.push(("date".to_owned(), http_date(self.clock.now())));
        }
        let status = if counted && found.len() < total { 206 } else { 200 };
        HttpResponse { status, headers, body: format!("[{}]", body.join(",\n ")).into_bytes() }
    }
}

impl Http for Server {
    fn send(&self, request: HttpRequest) -> LocalFuture<'static, Result<HttpResponse, HttpFailure>> {
        // Whether the project has helpers is no part of what most tests count.
        if let Some((_, call)) = request.url.split_once("/rpc/tidelock_state") {
            return Box::pin(std::future::ready(Ok(self.helpers(call))));
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
            let answer = server.answer(&request);
            drop(landing);
            answer
        })
    }
}

/// A request under way, also one that nobody waits for any more.
struct Landing(Server);

impl Drop for Landing {
    fn drop(&mut self) {
        self.0.state.borrow_mut().under_way -= 1;
    }
}

pub(crate) fn show(row: &Row, select: &[String]) -> String {
    let cell = |(name, json): (&String, &String)| format!("\"{name}\":{json}");
    let cells: Vec<String> = if select == ["*"] {
        row.iter().map(cell).collect()
    } else {
        select.iter().map(|name| cell((name, &row[name]))).collect()
    };
    format!("{{{}}}", cells.join(","))
}

/// A column of `order=`; NULL comes last in either direction.
struct Order {
    column: String,
    descending: bool,
}

impl Order {
    fn read(term: &str) -> Self {
        let term = term.strip_suffix(".nullslast").unwrap_or(term);
        let (column, direction) = term.rsplit_once('.').unwrap();
        assert!(matches!(direction, "asc" | "desc"));
        Self { column: column.to_owned(), descending: direction == "desc" }
    }

    fn compare(&self, a: &Row, b: &Row) -> Ordering {
        let (a, b) = (&a[&self.column], &b[&self.column]);
        let order = compare(a, b);
        if self.descending && a != "null" && b != "null" { order.reverse() } else { order }
    }
}

pub(crate) enum Condition {
    And(Vec<Condition>),
    Or(Vec<Condition>),
    Compare(String, String, String),
}

impl Condition {
    pub(crate) fn holds(&self, row: &Row) -> bool {
        match self {
            Self::And(all) => all.iter().all(|condition| condition.holds(row)),
            Self::Or(any) => any.iter().any(|condition| condition.holds(row)),
            Self::Compare(column, op, value) => {
                let cell = &row[column];
                match (op.as_str(), value.as_str()) {
                    ("is", "null") => cell == "null",
                    ("not", "is.null") => cell != "null",
                    _ if cell == "null" => false,
                    ("gt", _) => compare(cell, value).is_gt(),
                    ("gte", _) => compare(cell, value).is_ge(),
                    ("lt", _) => compare(cell, value).is_lt(),
                    ("lte", _) => compare(cell, value).is_le(),
                    ("eq", _) => compare(cell, value).is_eq(),
                    ("in", _) => listed(value).iter().any(|value| compare(cell, value).is_eq()),
                    other => panic!("unknown filter {other:?}"),
                }
            }
        }
    }
}

/// Numbers as numbers, everything else by its text; NULL last.
pub(crate) fn compare(a: &str, b: &str) -> Ordering {
    match (a.parse::<i64>(), b.parse::<i64>()) {
        (Ok(a), Ok(b)) => a.cmp(&b),
        _ => (a == "null").cmp(&(b == "null")).then_with(|| moment(&plain(a)).cmp(&moment(&plain(b)))),
    }
}

/// The text of a JSON string, or the text as it is.
fn plain(json: &str) -> String {
    match json.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(inner) => inner.replace("\\\"", "\"").replace("\\\\", "\\"),
        None => json.to_owned(),
    }
}

/// A timestamp in one form, to the microsecond; other text as it is.
fn moment(text: &str) -> String {
    match Timestamp::parse(text) {
        Some(time) => {
            let fraction =
                text.split_once('.').map_or("", |(_, rest)| rest).trim_end_matches(|c: char| !c.is_ascii_digit());
            let digits: String = fraction.chars().take_while(char::is_ascii_digit).collect();
            format!("{:020} {digits:0<6}", time.0.div_euclid(1000))
        }
        None => text.to_owned(),
    }
}

/// The values of `("a","b")`.
fn listed(list: &str) -> Vec<String> {
    let mut rest = list.strip_prefix('(').unwrap();
    let mut values = Vec::new();
    loop {
        let mut tokens = Tokens(rest);
        values.push(tokens.value());
        match tokens.0.strip_prefix(',') {
            Some(more) => rest = more,
            None => {
                assert_eq!(tokens.0, ")");
                return values;
            }
        }
    }
}

struct Tokens<'a>(&'a str);

/// `or(a.gt."x",and(a.eq."x",b.gt."y"))`
fn parse(tokens: &mut Tokens<'_>) -> Condition {
    for word in ["or(", "and("] {
        if let Some(rest) = tokens.0.strip_prefix(word) {
            tokens.0 = rest;
            let mut parts = vec![parse(tokens)];
            while let Some(rest) = tokens.0.strip_prefix(',') {
                tokens.0 = rest;
                parts.push(parse(tokens));
            }
            tokens.0 = tokens.0.strip_prefix(')').unwrap();
            return if word == "or(" { Condition::Or(parts) } else { Condition::And(parts) };
        }
    }
    let (column, rest) = tokens.0.split_once('.').unwrap();
    let (op, rest) = rest.split_once('.').unwrap();
    tokens.0 = rest;
    Condition::Compare(column.to_owned(), op.to_owned(), tokens.value())
}

impl Tokens<'_> {
    /// A quoted value.
    fn value(&mut self) -> String {
        let rest = self.0.strip_prefix('"').expect("a quoted value");
        let mut value = String::new();
        let mut chars = rest.char_indices();
        loop {
            match chars.next().unwrap() {
                (_, '\\') => value.push(chars.next().unwrap().1),
                (at, '"') => {
                    self.0 = &rest[at + 1..];
                    return value;
                }
                (_, other) => value.push(other),
            }
        }
    }
}

pub(crate) fn unescape(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((byte, tail)) = rest.split_first() {
        match byte {
            b'%' => {
                bytes.push(u8::from_str_radix(std::str::from_utf8(&tail[..2]).unwrap(), 16).unwrap());
                rest = &tail[2..];
                continue;
            }
            b'+' => bytes.push(b' '),
            other => bytes.push(*other),
        }
        rest = tail;
    }
    String::from_utf8(bytes).unwrap()
}

fn http_date(time: Timestamp) -> String {
    let text = time.to_string();
    let month = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
        [text[5..7].parse::<usize>().unwrap() - 1];
    format!("Day, {} {month} {} {} GMT", &text[8..10], &text[..4], &text[11..19])
}
