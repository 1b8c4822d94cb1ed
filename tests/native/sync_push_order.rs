//! The push machine with answers in any order, twice, late, lost or refused: each change is settled exactly once, and the same is
//! sent in the same way.

use std::collections::BTreeMap;

use proptest::prelude::*;
use tidelock::{
    Timestamp, Value,
    ports::{HttpFailure, HttpRequest, HttpResponse, Method},
    sqlite::{Connection, PageFile},
    sync::{
        config::{Config, TableSync},
        job::{Job, Outcome, Work},
        plan::Plan,
        push::{Event, Instruction, Push},
        schema::Table,
    },
};

/// What happens next: which of the requests under way it is about, and how it ends.
#[derive(Clone, Debug)]
struct Turn {
    which: usize,
    fate: Fate,
}

#[derive(Clone, Debug)]
enum Fate {
    Answered,
    /// The same answer comes once more.
    AnsweredTwice,
    Dropped,
    Busy,
    Smaller,
    Refused,
    TokenRefused,
}

fn turn() -> impl Strategy<Value = Turn> {
    let fate = prop_oneof![
        6 => Just(Fate::Answered),
        2 => Just(Fate::AnsweredTwice),
        1 => Just(Fate::Dropped),
        1 => Just(Fate::Busy),
        1 => Just(Fate::Smaller),
        1 => Just(Fate::Refused),
        1 => Just(Fate::TokenRefused),
    ];
    (any::<usize>(), fate).prop_map(|(which, fate)| Turn { which, fate })
}

fn machine() -> Push {
    let connection = Connection::open(&PageFile::default()).unwrap();
    connection.exec("CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT)").unwrap();
    let options: TableSync = serde_json::from_str(r#"{"table":"t"}"#).unwrap();
    let plan = Plan::new(&options, Table::read(&connection, "t").unwrap().unwrap(), &[]).unwrap();
    let remote =
        r#"{"url":"http://host/root","key":"k","retries":1000000,"hasAccessToken":true,"tables":[{"table":"t"}]}"#;
    Push::new(&Config::new(serde_json::from_str(remote).unwrap()).unwrap(), None, vec![plan], Some("token".to_owned()))
}

fn job(id: i64, kind: u8) -> Job {
    let base = vec![Some(Value::Integer(id)), Some(Value::from("base"))];
    let row = vec![Value::Integer(id), Value::from("mine")];
    let (work, columns, base) = match kind {
        0 => (Work::Insert, vec![0, 1], None),
        1 => (Work::Update, vec![1], Some(base)),
        _ => (Work::Delete, vec![], Some(base)),
    };
    let row = if work == Work::Delete { vec![] } else { row };
    Job { id, table: 0, work, key: vec![Value::Integer(id)], row, columns, base, cursor: None }
}

/// A server that does what it is asked to.
fn answer(request: &HttpRequest) -> HttpResponse {
    let url = request.url.replace("%22", "'");
    let named = |text: &str| -> Vec<i64> {
        let ids = text.split(|c: char| !c.is_ascii_digit()).filter(|part| !part.is_empty());
        ids.map(|id| id.parse().unwrap()).collect()
    };
    let filter = url.split(['?', '&']).find_map(|pair| pair.strip_prefix("id=")).unwrap_or_default();
    let (ids, name) = match request.method {
        Method::Post => {
            let rows: Vec<serde_json::Value> = serde_json::from_slice(request.body.as_ref().unwrap()).unwrap();
            (rows.iter().map(|row| row["id"].as_i64().unwrap()).collect(), "mine")
        }
        Method::Patch => (named(filter), "mine"),
        _ => (named(filter), "base"),
    };
    let row = |id: &i64| {
        if request.method == Method::Delete {
            format!(r#"{{"id":{id}}}"#)
        } else {
            format!(r#"{{"id":{id},"name":"{name}"}}"#)
        }
    };
    let rows: Vec<String> = ids.iter().map(row).collect();
    HttpResponse { status: 200, headers: vec![], body: format!("[{}]", rows.join(",")).into_bytes() }
}

fn status(status: u16, body: &str) -> Result<HttpResponse, HttpFailure> {
    Ok(HttpResponse { status, headers: vec![], body: body.as_bytes().to_vec() })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn each_change_is_settled_exactly_once(
        kinds in prop::collection::vec(0..3_u8, 1..60),
        turns in prop::collection::vec(turn(), 0..120),
    ) {
        let jobs: Vec<Job> = kinds.iter().enumerate().map(|(at, kind)| job(at as i64 + 1, *kind)).collect();
        let mut push = machine();
        let mut flying: BTreeMap<u32, HttpRequest> = BTreeMap::new();
        let mut waiting: Vec<u32> = Vec::new();
        let (mut settled, mut refused) = (vec![0_u32; jobs.len()], 0);
        let mut tokens = 0;
        let mut turns = turns.into_iter();
        let mut events: Vec<Event> = Vec::new();
        let mut told = push.begin(jobs.clone());
        loop {
            for instruction in told {
                match instruction {
                    Instruction::Send(id, request) => {
                        prop_assert!(flying.insert(id, request).is_none());
                        prop_assert!(flying.len() + waiting.len() <= 6);
                    }
                    Instruction::Wait(id, ms) => {
                        prop_assert!(ms > 0);
                        waiting.push(id);
                    }
                    Instruction::RefreshToken => tokens += 1,
                    Instruction::Settle(outcomes) => {
                        for (at, outcome) in outcomes {
                            settled[at] += 1;
                            match outcome {
                                Outcome::Written(row) => prop_assert_eq!(&row, &jobs[at].row),
                                Outcome::Deleted => prop_assert_eq!(jobs[at].work, Work::Delete),
                                Outcome::Refused { .. } => refused += 1,
                                other => prop_assert!(false, "{:?}", other),
                            }
                        }
                    }
                }
            }
            if events.is_empty() {
                if tokens > 0 {
                    tokens -= 1;
                    events.push(Event::Token(Some("fresh".to_owned())));
                } else if flying.is_empty() && waiting.is_empty() {
                    break;
                } else {
                    // Without turns left, everything goes well.
                    let turn = turns.next().unwrap_or(Turn { which: 0, fate: Fate::Answered });
                    let at = turn.which % (flying.len() + waiting.len());
                    if at >= flying.len() {
                        events.push(Event::Waited(waiting.remove(at - flying.len())));
                    } else {
                        let id = *flying.keys().nth(at).unwrap();
                        let request = flying.remove(&id).unwrap();
                        let answers = match turn.fate {
                            Fate::Answered => vec![Ok(answer(&request))],
                            Fate::AnsweredTwice => vec![Ok(answer(&request)), Ok(answer(&request))],
                            Fate::Dropped => vec![Err(HttpFailure::Network("reset".to_owned()))],
                            Fate::Busy => vec![status(503, "")],
                            Fate::Smaller => vec![status(413, "")],
                            // A read that is refused would hold the whole table.
                            Fate::Refused if request.method == Method::Get => vec![Ok(answer(&request))],
                            Fate::Refused => vec![status(400, r#"{"code":"23514"}"#)],
                            // A second refusal in a row ends the push: that is told elsewhere.
                            Fate::TokenRefused if request.headers.iter().any(|(_, value)| value == "Bearer fresh") => {
                                vec![Ok(answer(&request))]
                            }
                            Fate::TokenRefused => vec![status(401, "")],
                        };
                        for answer in answers {
                            events.push(Event::Answer { id, answer, now: Timestamp(0), chance: 0.5 });
                        }
                    }
                }
            }
            told = push.handle(events.remove(0)).unwrap();
        }
        prop_assert_eq!(settled, vec![1; jobs.len()]);
        prop_assert!(refused <= jobs.len());
    }
}
