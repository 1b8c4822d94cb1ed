//! Recorded exchanges of the push machine: what it sends for which changes, and what becomes of each answer, as text that can be
//! read and reviewed.
//!
//! A script begins with the options of the table `items`, then one change a line: `insert`, `update` or `delete`, the key, the row as
//! JSON, and, of an update or deletion, the row before it. `> 1 PATCH ...` is request 1, `< 1 200 ...` its answer, `= delete 7: ...` what
//! becomes of a change; other lines are the events and instructions of the same names. Quotes show as `'`.

use tidelock::{
    Result, Timestamp, Value,
    ports::{HttpFailure, HttpRequest, HttpResponse},
    sqlite::{Connection, PageFile},
    sync::{
        config::{Config, TableSync},
        job::{Job, Outcome, Remote, Work},
        plan::Plan,
        push::{Event, Instruction, Push},
        schema::Table,
    },
};

macro_rules! exchanges {
    ($($name:ident)*) => { $(
        #[test]
        fn $name() {
            replay(include_str!(concat!("exchanges/push/", stringify!($name), ".txt")));
        }
    )* };
}
exchanges! {
    in_bulk a_guarded_update a_lost_reply a_bulk_with_one_that_is_refused a_conflict without_a_cursor deletions soft_deletions
    push_only_rows an_identity a_token_that_expired a_column_that_is_unknown trouble_that_stays no_unique_key
}

fn replay(script: &str) {
    let mut lines = script.lines().filter(|line| !line.starts_with('#')).peekable();
    let options: TableSync =
        serde_json::from_str(lines.next().unwrap().strip_prefix("table ").unwrap()).expect("the options of the table");
    let remote = lines.next_if(|line| line.starts_with("remote ")).map_or("{}", |line| &line[7..]);
    let plan = plan(&options);
    let mut jobs = Vec::new();
    while let Some(line) =
        lines.next_if(|line| ["insert ", "update ", "delete ", "look "].iter().any(|start| line.starts_with(start)))
    {
        jobs.push(job(&plan, jobs.len() as i64 + 1, line));
    }
    let mut remote: serde_json::Map<String, serde_json::Value> = serde_json::from_str(remote).unwrap();
    remote.entry("url").or_insert("http://host/root".into());
    remote.entry("key").or_insert("k".into());
    remote.insert("tables".to_owned(), serde_json::json!([{"table": "items"}]));
    let token = remote.remove("token").map(|token| token.as_str().unwrap().to_owned());
    let config = Config::new(serde_json::from_value(remote.into()).unwrap()).unwrap();
    let mut push = Push::new(&config, None, vec![plan], token);

    let begun = push.begin(jobs.clone());
    let mut said = show(&push, &jobs, Ok(begun));
    loop {
        let mut expected = Vec::new();
        while let Some(line) = lines.next_if(|line| said_by_machine(line)) {
            expected.push(line);
        }
        assert_eq!(said.join("\n"), expected.join("\n"));
        let Some(line) = lines.next() else { return };
        let result = push.handle(read_event(line));
        said = show(&push, &jobs, result);
    }
}

fn said_by_machine(line: &str) -> bool {
    ["> ", "= ", "wait ", "refresh", "error "].iter().any(|start| line.starts_with(start))
}

fn plan(options: &TableSync) -> Plan {
    let connection = Connection::open(&PageFile::default()).unwrap();
    connection
        .exec("CREATE TABLE items(id INTEGER PRIMARY KEY, name TEXT, price NUMERIC TEXT, updated_at TEXT)")
        .unwrap();
    Plan::new(options, Table::read(&connection, "items").unwrap().unwrap(), &[]).unwrap()
}

/// `update 1 {"name":"x"} {"name":"a","updated_at":"t"}`.
fn job(plan: &Plan, id: i64, line: &str) -> Job {
    let mut words = line.splitn(3, ' ');
    let (op, key, rest) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap_or("{}"));
    let mut objects =
        serde_json::Deserializer::from_str(rest).into_iter::<serde_json::Map<String, serde_json::Value>>();
    let mut row = |default: Option<&[Value]>| -> Option<Vec<Value>> {
        let cells = objects.next().map(|object| object.unwrap());
        let cells = match (cells, default) {
            (None, None) => return None,
            (cells, _) => cells.unwrap_or_default(),
        };
        let value = |at: usize| match cells.get(&plan.columns[at].name) {
            _ if at == plan.key[0] => Value::Integer(key.parse().unwrap()),
            Some(text) => text.as_str().map_or(Value::Null, Value::from),
            None => default.map_or(Value::Null, |row| row[at].clone()),
        };
        Some((0..plan.columns.len()).map(value).collect())
    };
    let first = row(None);
    let base = row(None).or_else(|| if op == "delete" { first.clone() } else { None });
    // What an update doesn't name is as it was.
    let mut local = if op == "delete" { Vec::new() } else { first.unwrap_or_default() };
    if let (Some(base), "update") = (&base, op) {
        local.iter_mut().zip(base).filter(|(value, _)| value.is_null()).for_each(|(value, base)| *value = base.clone());
    }
    let (work, columns) = match op {
        "insert" => (Work::Insert, (0..local.len()).filter(|at| !local[*at].is_null()).collect()),
        "update" => {
            let base = base.as_ref().unwrap();
            (Work::Update, (0..local.len()).filter(|at| local[*at] != base[*at]).collect())
        }
        "delete" => (Work::Delete, vec![]),
        _ => (Work::Look, vec![]),
    };
    let cursor = plan.stored_cursor().and_then(|at| Some(base.as_ref()?[at].as_text().unwrap_or_default().to_owned()));
    let base = base.map(|base| base.into_iter().map(Some).collect());
    Job { id, table: 0, work, key: vec![Value::Integer(key.parse().unwrap())], row: local, columns, base, cursor }
}

fn read_event(line: &str) -> Event {
    if let Some(id) = line.strip_prefix("waited ") {
        return Event::Waited(id.parse().unwrap());
    }
    if let Some(token) = line.strip_prefix("token ") {
        return Event::Token(Some(token.to_owned()));
    }
    let (id, text) = line.strip_prefix("< ").unwrap_or_else(|| panic!("no event: {line}")).split_once(' ').unwrap();
    let answer = match text {
        "drop" => Err(HttpFailure::Network("reset".to_owned())),
        "timeout" => Err(HttpFailure::Timeout),
        text => {
            let (status, body) = text.split_once(' ').unwrap_or((text, ""));
            Ok(HttpResponse { status: status.parse().unwrap(), headers: vec![], body: body.as_bytes().to_vec() })
        }
    };
    Event::Answer { id: id.parse().unwrap(), answer, now: Timestamp(0), chance: 0.0 }
}

fn show(push: &Push, jobs: &[Job], result: Result<Vec<Instruction>>) -> Vec<String> {
    match result {
        Err(error) => vec![format!("error {}: {}", error.code, error.message)],
        Ok(instructions) => instructions.into_iter().flat_map(|one| show_instruction(push, jobs, one)).collect(),
    }
}

fn show_instruction(push: &Push, jobs: &[Job], instruction: Instruction) -> Vec<String> {
    match instruction {
        Instruction::Send(id, request) => vec![show_request(id, &request)],
        Instruction::Wait(id, ms) => vec![format!("wait {id} {ms}")],
        Instruction::RefreshToken => vec!["refresh".to_owned()],
        Instruction::Settle(outcomes) => {
            let line = |(at, outcome): (usize, Outcome)| {
                assert_eq!(push.job(at), &jobs[at]);
                let Value::Integer(key) = jobs[at].key[0] else { panic!("keys are numbers") };
                format!("= {key}: {}", show_outcome(outcome))
            };
            outcomes.into_iter().map(line).collect()
        }
    }
}

fn show_outcome(outcome: Outcome) -> String {
    let row = |row: Vec<Value>| {
        let cell = |value: Value| match value {
            Value::Null => "∅".to_owned(),
            Value::Integer(value) => value.to_string(),
            Value::Text(text) => text,
            other => format!("{other:?}"),
        };
        row.into_iter().map(cell).collect::<Vec<_>>().join(" ")
    };
    match outcome {
        Outcome::Written(written) => format!("written [{}]", row(written)),
        Outcome::Taken => "taken".to_owned(),
        Outcome::Deleted => "deleted".to_owned(),
        Outcome::Met(Remote::Row(met, _)) => format!("met [{}]", row(met)),
        Outcome::Met(Remote::Deleted) => "met a deleted row".to_owned(),
        Outcome::Met(Remote::Absent) => "met nothing".to_owned(),
        Outcome::Refused { error, later } => {
            format!("refused{}: {}: {}", if later { ", perhaps for now" } else { "" }, error.code, error.message)
        }
        Outcome::Held(error) => format!("held: {}: {}", error.code, error.message),
    }
}

fn show_request(id: u32, request: &HttpRequest) -> String {
    let path = request.url.strip_prefix("http://host/root/").unwrap().replace("%22", "'");
    let mut line = format!("> {id} {} {path}", request.method.as_str());
    for (name, value) in &request.headers {
        match name.as_str() {
            "authorization" => line.push_str(&format!(" ({value})")),
            "prefer" if value.contains("ignore-duplicates") => line.push_str(" (or leave it)"),
            _ => {}
        }
    }
    if let Some(body) = &request.body {
        line.push_str(&format!(" {}", String::from_utf8_lossy(body)));
    }
    line
}
