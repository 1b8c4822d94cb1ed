//! Supabase Realtime as a machine: texts of a socket and the time go in, what to send and which tables to read come out.
//!
//! The protocol is Phoenix's, version 1: each text is an object `{ topic, event, payload, ref, join_ref }`. One channel carries all
//! tables. What comes is a hint and nothing more: it may be missing, come twice or be cut short, so the rows are read the usual way.

use std::borrow::Cow;

use super::{
    config::{Config, Direction},
    json, jwt,
    query::percent,
    schedule::backoff_ms,
};

const TOPIC: &str = "realtime:tidelock";
/// How long a connection, and then a channel, may take.
const PATIENCE_MS: u64 = 10_000;
/// From one sign of life to the next.
const HEARTBEAT_MS: u64 = 25_000;

/// What happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The time of [`Realtime::due`] has come.
    Due,
    /// The socket is open.
    Opened,
    /// The server said a text.
    Said(String),
    /// The socket is closed, or couldn't be opened.
    Closed,
    /// There is a network again.
    Online,
    /// Who is signed in now.
    Token(Option<String>),
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Open a socket to [`Realtime::url`].
    Open,
    /// Close it.
    Close,
    /// Say this.
    Send(String),
    /// These tables changed remotely; none named: any may have.
    Stale(Vec<String>),
    /// The server doesn't want this: why.
    Refused(String),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Apart,
    Connecting,
    /// The channel's number is on its way.
    Joining(u64),
    /// In the channel; a heartbeat that wasn't answered yet.
    Joined(Option<u64>),
}

/// A table as both sides call it.
#[derive(Clone, Debug)]
struct Watched {
    remote: String,
    local: String,
}

/// The connection of one database.
#[derive(Clone, Debug)]
pub struct Realtime {
    url: String,
    schema: String,
    /// What is said for who isn't signed in.
    key: Option<String>,
    tables: Vec<Watched>,
    token: Option<String>,
    state: State,
    due: u64,
    /// The number of the last message.
    last: u64,
    /// The number of the channel.
    join: u64,
    /// Failures since it last worked.
    failures: u32,
}

impl Realtime {
    /// The channel of all tables that are pulled; it begins at the first [`Event::Due`].
    pub fn new(config: &Config) -> Self {
        let options = &config.options;
        let pulled = options.tables.iter().filter(|table| table.direction != Direction::Push);
        Self {
            url: url(config),
            schema: options.schema.clone(),
            key: Some(options.key.clone()).filter(|key| jwt::is_jwt(key)),
            tables: pulled
                .map(|table| Watched { remote: table.remote().to_owned(), local: table.table.clone() })
                .collect(),
            token: None,
            state: State::Apart,
            due: 0,
            last: 0,
            join: 0,
            failures: 0,
        }
    }

    /// Where the socket goes to; the key is in it.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// When to come with [`Event::Due`], in milliseconds of the clock that `handle` gets.
    pub fn due(&self) -> u64 {
        self.due
    }

    /// What follows from an event. `chance` (0 to 1) spreads many clients.
    pub fn handle(&mut self, event: Event, now: u64, chance: f64) -> Vec<Action> {
        match event {
            Event::Due if now < self.due => Vec::new(),
            Event::Due => match self.state {
                State::Apart => {
                    self.state = State::Connecting;
                    self.due = now + PATIENCE_MS;
                    vec![Action::Open]
                }
                State::Joined(None) => {
                    let heartbeat = self.next();
                    self.state = State::Joined(Some(heartbeat));
                    self.due = now + HEARTBEAT_MS;
                    let text =
                        format!(r#"{{"topic":"phoenix","event":"heartbeat","payload":{{}},"ref":"{heartbeat}"}}"#);
                    vec![Action::Send(text)]
                }
                // No answer: a connection can be dead for a long time before it closes.
                _ => self.fail(now, chance),
            },
            Event::Opened if self.state == State::Connecting => {
                self.join = self.next();
                self.state = State::Joining(self.join);
                self.due = now + PATIENCE_MS;
                vec![Action::Send(self.joining())]
            }
            Event::Closed if self.state != State::Apart => self.fail(now, chance),
            Event::Online if self.state == State::Apart => {
                self.due = now;
                Vec::new()
            }
            Event::Token(token) => {
                if self.token == token {
                    return Vec::new();
                }
                self.token = token;
                match (self.state, self.bearer()) {
                    (State::Joined(_), Some(token)) => {
                        let payload = format!(r#"{{"access_token":{}}}"#, string(token));
                        vec![Action::Send(self.message("access_token", &payload))]
                    }
                    _ => Vec::new(),
                }
            }
            Event::Said(text) => self.said(&text, now, chance),
            Event::Opened | Event::Closed | Event::Online => Vec::new(),
        }
    }

    fn said(&mut self, text: &str, now: u64, chance: f64) -> Vec<Action> {
        let Ok(message) = json::members(text) else { return Vec::new() };
        let payload = member(&message, "payload").and_then(|raw| json::members(raw).ok()).unwrap_or_default();
        let reference = word(&message, "ref").and_then(|number| number.parse().ok());
        let event = word(&message, "event").unwrap_or_default();
        let ours = word(&message, "topic").as_deref() == Some(TOPIC);
        let fine = word(&payload, "status").as_deref() == Some("ok");
        match (&*event, self.state) {
            ("phx_reply", State::Joining(join)) if reference == Some(join) => {
                if fine {
                    self.state = State::Joined(None);
                    self.due = now + HEARTBEAT_MS;
                    // What happened while nobody listened.
                    return vec![Action::Stale(Vec::new())];
                }
                self.refused(member(&payload, "response").and_then(reason), now, chance)
            }
            ("phx_reply", State::Joined(Some(heartbeat))) if reference == Some(heartbeat) => {
                self.state = State::Joined(None);
                self.failures = 0;
                Vec::new()
            }
            // The channel is open before the server follows the tables.
            ("system", State::Joined(_)) if ours && fine => {
                self.failures = 0;
                vec![Action::Stale(Vec::new())]
            }
            ("system", _) if ours => self.refused(word(&payload, "message").map(|text| text.into_owned()), now, chance),
            ("phx_error" | "phx_close", _) if ours => self.fail(now, chance),
            ("postgres_changes", State::Joined(_)) if ours => {
                let data = member(&payload, "data").and_then(|raw| json::members(raw).ok()).unwrap_or_default();
                let table = word(&data, "table").unwrap_or_default();
                let known = self.tables.iter().find(|watched| watched.remote == table);
                known.map(|watched| Action::Stale(vec![watched.local.clone()])).into_iter().collect()
            }
            _ => Vec::new(),
        }
    }

    fn refused(&mut self, why: Option<String>, now: u64, chance: f64) -> Vec<Action> {
        let why = why.unwrap_or_else(|| "it gave no reason".to_owned());
        let mut actions = vec![Action::Refused(why)];
        actions.append(&mut self.fail(now, chance));
        actions
    }

    /// Lets go of the socket, and comes again later.
    fn fail(&mut self, now: u64, chance: f64) -> Vec<Action> {
        self.state = State::Apart;
        self.failures += 1;
        self.due = now + backoff_ms(self.failures, chance);
        vec![Action::Close]
    }

    fn next(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    fn bearer(&self) -> Option<&str> {
        self.token.as_deref().or(self.key.as_deref())
    }

    fn joining(&self) -> String {
        let schema = string(&self.schema);
        let change =
            |table: &Watched| format!(r#"{{"event":"*","schema":{schema},"table":{}}}"#, string(&table.remote));
        let changes: Vec<String> = self.tables.iter().map(change).collect();
        let token = self.bearer().map(|token| format!(r#","access_token":{}"#, string(token))).unwrap_or_default();
        let payload = format!(
            r#"{{"config":{{"broadcast":{{"ack":false,"self":false}},"presence":{{"key":""}},"postgres_changes":[{}],"private":false}}{token}}}"#,
            changes.join(",")
        );
        let join = self.join;
        format!(r#"{{"topic":"{TOPIC}","event":"phx_join","payload":{payload},"ref":"{join}","join_ref":"{join}"}}"#)
    }

    fn message(&mut self, event: &str, payload: &str) -> String {
        let (number, join) = (self.next(), self.join);
        format!(r#"{{"topic":"{TOPIC}","event":"{event}","payload":{payload},"ref":"{number}","join_ref":"{join}"}}"#)
    }
}

/// `https://<project>/rest/v1` → `wss://<project>/realtime/v1/websocket`. Of a PostgREST without a project: beside it.
fn url(config: &Config) -> String {
    let root = config.other_root.as_deref().unwrap_or(&config.root);
    let project = root.strip_suffix("/rest/v1").unwrap_or(root);
    let rest = project.split_once("://").map_or(project, |(_, rest)| rest);
    let secure = project.get(..6).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https:"));
    let scheme = if secure { "wss" } else { "ws" };
    let key = percent(&config.options.key);
    format!("{scheme}://{rest}/realtime/v1/websocket?apikey={key}&vsn=1.0.0")
}

type Members<'a> = [(Cow<'a, str>, &'a str)];

fn member<'a>(members: &Members<'a>, name: &str) -> Option<&'a str> {
    members.iter().rev().find(|(key, _)| key == name).map(|(_, raw)| *raw)
}

fn word<'a>(members: &Members<'a>, name: &str) -> Option<Cow<'a, str>> {
    member(members, name).and_then(json::text)
}

/// Why: a text, or an object that has one.
fn reason(response: &str) -> Option<String> {
    let text = json::text(response);
    let text = text.or_else(|| json::members(response).ok().and_then(|members| word(&members, "reason")));
    text.map(|text| text.into_owned())
}

fn string(text: &str) -> String {
    let mut out = String::new();
    json::push_string(&mut out, text);
    out
}
