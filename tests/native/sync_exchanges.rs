//! Recorded exchanges: what the pull machine says to each event, as text that can be read and reviewed.
//!
//! `>` a request, `<` its answer (status, headers, body), `=` a page to apply, `applied` when that is done; other lines are the
//! events and instructions of the same names. A number behind the sign is the request's, when it isn't 0. Quotes show as `'`.

use tidelock::{
    Result, Timestamp, Value,
    ports::{HttpFailure, HttpRequest, HttpResponse},
    sqlite::{Connection, PageFile},
    sync::{
        config::{Config, TableSync},
        plan::Plan,
        pull::Pull,
        schema::Table,
        spans::{self, Span},
        state::{Position, Progress},
        steps::{Event, Instruction, Page, Reading, Source},
    },
};

macro_rules! exchanges {
    ($($name:ident)*) => { $(
        #[test]
        fn $name() {
            replay(include_str!(concat!("exchanges/", stringify!($name), ".txt")));
        }
    )* };
}
exchanges! { cap_and_ties changed_meanwhile compare cut_body other_root overlap spans spans_asked spans_by_last_key spans_guessed spans_resumed token_refused too_much_at_once }

fn replay(script: &str) {
    let mut lines = script.lines().filter(|line| !line.starts_with('#')).peekable();
    let table = lines.next().unwrap().strip_prefix("table ").unwrap();
    let progress = lines.next_if(|line| line.starts_with("progress ")).map_or_else(Progress::default, progress);
    let options = json(lines.next().unwrap().strip_prefix("pull ").unwrap());
    let mut pull = machine(table, progress, &options);

    let mut expected: Vec<&str> = Vec::new();
    let mut event = Event::Start;
    loop {
        while let Some(line) = lines.next_if(|line| said_by_machine(line)) {
            expected.push(line);
        }
        let said = show(pull.handle(event));
        assert_eq!(said.join("\n"), expected.join("\n"));
        expected.clear();
        match lines.next() {
            Some(line) => event = read_event(line),
            None => return,
        }
    }
}

fn said_by_machine(line: &str) -> bool {
    [">", "=", "wait", "refresh", "finish", "error "]
        .iter()
        .any(|start| line.starts_with(start) && !line.starts_with("waited"))
}

fn json(text: &str) -> serde_json::Map<String, serde_json::Value> {
    serde_json::from_str(text).unwrap()
}

fn machine(table: &str, progress: Progress, options: &serde_json::Map<String, serde_json::Value>) -> Pull {
    let connection = Connection::open(&PageFile::default()).unwrap();
    connection.exec("CREATE TABLE items(id INTEGER PRIMARY KEY, name TEXT, updated_at TEXT)").unwrap();
    let text = |name: &str| options.get(name).map(|value| value.as_str().unwrap().to_owned());
    let flag = |name: &str| options.contains_key(name);
    let remote = format!(
        r#"{{"url":"{}","key":"k","retries":{},"hasAccessToken":{},"tables":[{table}]}}"#,
        text("url").unwrap_or_else(|| "http://host/root".to_owned()),
        options.get("retries").map_or(5, |retries| retries.as_u64().unwrap()),
        flag("hasAccessToken"),
    );
    let config = Config::new(serde_json::from_str(&remote).unwrap()).unwrap();
    let options: TableSync = serde_json::from_str(table).unwrap();
    let plan = Plan::new(&options, Table::read(&connection, "items").unwrap().unwrap(), &[]).unwrap();
    let reading = Reading { full: false, count: flag("count"), compare: true, keys_only: false };
    Pull::new(&config, None, vec![Source { plan, progress, missing: vec![] }], reading, text("token"))
}

fn progress(line: &str) -> Progress {
    let facts = json(line.strip_prefix("progress ").unwrap());
    let text = |name: &str| facts.get(name).and_then(|value| value.as_str()).map(str::to_owned);
    let list = |name: &str| -> Option<Vec<String>> { serde_json::from_value(facts.get(name)?.clone()).unwrap() };
    Progress {
        selected: list("selected"),
        position: list("key").map(|key| Position { cursor: text("cursor"), key }),
        started: text("started"),
        watermark: text("watermark"),
        spans: text("spans").map(|spans| spans::decode(&spans).unwrap()),
    }
}

/// What follows a sign: the number of the request, and the rest.
fn numbered(text: &str) -> (usize, &str) {
    let (number, rest) = text.split_once(' ').unwrap_or((text, ""));
    (if number.is_empty() { 0 } else { number.parse().unwrap() }, rest)
}

/// The number of a request, as it is written.
fn number(lane: usize) -> String {
    if lane == 0 { String::new() } else { lane.to_string() }
}

fn read_event(line: &str) -> Event {
    if let Some(text) = line.strip_prefix("waited") {
        return Event::Waited(numbered(text).0);
    }
    if line == "applied" {
        return Event::Applied;
    }
    if let Some(token) = line.strip_prefix("token ") {
        return Event::Token(Some(token.to_owned()));
    }
    let (lane, text) = numbered(line.strip_prefix('<').unwrap());
    let answer = match text {
        "drop" => Err(HttpFailure::Network("reset".to_owned())),
        "timeout" => Err(HttpFailure::Timeout),
        text => {
            let (status, mut rest) = text.split_once(' ').unwrap_or((text, ""));
            let mut headers = Vec::new();
            while let Some((name, tail)) =
                rest.split_once('=').filter(|(name, _)| name.bytes().all(|b| b == b'-' || b.is_ascii_lowercase()))
            {
                let (value, tail) = tail.split_once(' ').unwrap_or((tail, ""));
                headers.push((name.to_owned(), value.replace('_', " ")));
                rest = tail;
            }
            Ok(HttpResponse { status: status.parse().unwrap(), headers, body: rest.as_bytes().to_vec() })
        }
    };
    Event::Answer { lane, answer, now: Timestamp(0), elapsed_ms: 20, chance: 0.0 }
}

fn show(result: Result<Vec<Instruction>>) -> Vec<String> {
    match result {
        Err(error) => vec![format!("error {}: {}", error.code, error.message)],
        Ok(instructions) => instructions.into_iter().flat_map(show_instruction).collect(),
    }
}

fn show_instruction(instruction: Instruction) -> Vec<String> {
    match instruction {
        Instruction::Send(lane, request) => vec![show_request(lane, &request)],
        Instruction::Wait(lane, ms) => vec![format!("wait{} {ms}", number(lane))],
        Instruction::RefreshToken => vec!["refresh".to_owned()],
        Instruction::Finish => vec!["finish".to_owned()],
        Instruction::Apply(page) => show_page(&page),
    }
}

fn show_request(lane: usize, request: &HttpRequest) -> String {
    let path = request.url.strip_prefix("http://host/").unwrap();
    let mut line = format!(">{} {}", number(lane), path.replace("%22", "'"));
    for (name, value) in &request.headers {
        match name.as_str() {
            "authorization" => line.push_str(&format!(" ({value})")),
            "prefer" => line.push_str(&format!(" ({value})")),
            _ => {}
        }
    }
    line
}

fn show_page(page: &Page) -> Vec<String> {
    let value = |value: &Value| match value {
        Value::Null => "∅".to_owned(),
        Value::Integer(value) => value.to_string(),
        Value::Text(text) => text.clone(),
        other => format!("{other:?}"),
    };
    let mut lines = Vec::new();
    if !page.rows.is_empty() {
        let rows = (0..page.rows.len()).map(|at| page.rows.row(at).iter().map(value).collect::<Vec<_>>().join(" "));
        let rows: String = rows.map(|row| format!(" [{row}]")).collect();
        lines.push(format!("= {}{rows}", if page.rows.keys_only { "keys" } else { "rows" }));
    }
    if let Some(missing) = page.missing.as_ref().filter(|_| page.plan.is_some()) {
        lines.push(format!("= missing {}", missing.join(",")));
    }
    if let Some(progress) = &page.progress {
        let mut facts = Vec::new();
        if let Some(Position { cursor, key }) = &progress.position {
            facts.push(format!("at {}", cursor.iter().chain(key).cloned().collect::<Vec<_>>().join(" ")));
        }
        let span = |span: &Span| {
            let key = |key: &Option<Vec<String>>| key.as_ref().map_or_else(String::new, |key| key.join(" "));
            format!("({}..{}]", key(&span.after), key(&span.upto))
        };
        let left = progress.spans.as_ref().map(|spans| spans.iter().map(span).collect::<String>());
        facts.extend(left.map(|left| format!("left {}", if left.is_empty() { "what changed" } else { &left })));
        facts.extend(progress.started.as_ref().map(|started| format!("started '{started}'")));
        facts.extend(page.complete.then(|| "complete".to_owned()));
        facts.extend(progress.watermark.as_ref().filter(|_| page.complete).map(|time| format!("watermark {time}")));
        lines.push(format!("= {}", facts.join(", ")));
    }
    lines
}
