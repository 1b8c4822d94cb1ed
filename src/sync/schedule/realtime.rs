//! The messages of Supabase Realtime: builds those of the client, and parses those of the server.
//!
//! The protocol is Phoenix's, version 1: each text is an object `{ topic, event, payload, ref, join_ref }`. One channel
//! carries all tables. A change message is only a hint: it may be missing, duplicate or truncated, so the rows are
//! pulled the usual way. Each connection numbers its messages from 1, the one that joins.

use std::borrow::Cow;

use crate::sync::{
    config::{checked::Config, jwt, options::SyncDirection},
    postgrest::query::percent,
    values::json,
};

const TOPIC: &str = "realtime:tidelock";

/// The number of the message that joins the channel, the first one of a connection.
pub const JOIN: u64 = 1;

/// A message of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RealtimeMessage {
    /// The channel is joined.
    Joined,
    /// The server reports changes of the tables from now on.
    Following,
    /// The server answered the later message with this number.
    Answered(u64),
    /// This local table changed remotely.
    Changed(String),
    /// The server refused the subscription, for this reason.
    Refused(String),
    /// The channel was closed.
    Closed,
}

/// A table with its remote and its local name.
#[derive(Clone, Debug)]
struct Watched {
    remote: String,
    local: String,
}

/// The channel of one database, with all tables that are pulled.
#[derive(Clone, Debug)]
pub struct RealtimeChannel {
    url: String,
    schema: String,
    /// The token without a signed-in user: the key, if it is a JWT.
    key: Option<String>,
    tables: Vec<Watched>,
}

impl RealtimeChannel {
    /// Creates the channel of the tables of this `remote`.
    pub fn new(config: &Config) -> Self {
        let options = &config.options;
        let pulled = options.tables.iter().filter(|table| table.direction != SyncDirection::Push);
        Self {
            url: url(config),
            schema: options.schema.clone(),
            key: Some(options.key.clone()).filter(|key| jwt::is_jwt(key)),
            tables: pulled
                .map(|table| Watched { remote: table.remote().to_owned(), local: table.table.clone() })
                .collect(),
        }
    }

    /// Returns the URL of the socket. It contains the key.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns the message that joins the channel, with the user's token if there is one.
    pub fn join(&self, token: Option<&str>) -> String {
        let schema = string(&self.schema);
        let change =
            |table: &Watched| format!(r#"{{"event":"*","schema":{schema},"table":{}}}"#, string(&table.remote));
        let changes: Vec<String> = self.tables.iter().map(change).collect();
        let token = self.bearer(token).map(|token| format!(r#","access_token":{}"#, string(token))).unwrap_or_default();
        let payload = format!(
            r#"{{"config":{{"broadcast":{{"ack":false,"self":false}},"presence":{{"key":""}},"postgres_changes":[{}],"private":false}}{token}}}"#,
            changes.join(",")
        );
        message("phx_join", &payload, JOIN)
    }

    /// Returns the message that replaces the token, or `None` without a token.
    pub fn access_token(&self, token: Option<&str>, number: u64) -> Option<String> {
        let payload = format!(r#"{{"access_token":{}}}"#, string(self.bearer(token)?));
        Some(message("access_token", &payload, number))
    }

    /// Parses a text of the server. Returns `None` for messages without a meaning here.
    pub fn parse(&self, text: &str) -> Option<RealtimeMessage> {
        let message = json::members(text).ok()?;
        let payload = member(&message, "payload").and_then(|raw| json::members(raw).ok()).unwrap_or_default();
        let ours = word(&message, "topic").as_deref() == Some(TOPIC);
        let ok = word(&payload, "status").as_deref() == Some("ok");
        let refused =
            |why: Option<String>| RealtimeMessage::Refused(why.unwrap_or_else(|| "it gave no reason".to_owned()));
        match &*word(&message, "event")? {
            "phx_reply" => match word(&message, "ref")?.parse().ok()? {
                JOIN if ok => Some(RealtimeMessage::Joined),
                JOIN => Some(refused(member(&payload, "response").and_then(reason))),
                number => Some(RealtimeMessage::Answered(number)),
            },
            "system" if ours && ok => Some(RealtimeMessage::Following),
            "system" if ours => Some(refused(word(&payload, "message").map(Cow::into_owned))),
            "phx_error" | "phx_close" if ours => Some(RealtimeMessage::Closed),
            "postgres_changes" if ours => {
                let data = json::members(member(&payload, "data")?).ok()?;
                let table = word(&data, "table")?;
                let watched = self.tables.iter().find(|watched| watched.remote == table)?;
                Some(RealtimeMessage::Changed(watched.local.clone()))
            }
            _ => None,
        }
    }

    fn bearer<'a>(&'a self, token: Option<&'a str>) -> Option<&'a str> {
        token.or(self.key.as_deref())
    }
}

/// Returns the heartbeat message, which the server answers.
pub fn heartbeat(number: u64) -> String {
    format!(r#"{{"topic":"phoenix","event":"heartbeat","payload":{{}},"ref":"{number}"}}"#)
}

fn message(event: &str, payload: &str, number: u64) -> String {
    format!(r#"{{"topic":"{TOPIC}","event":"{event}","payload":{payload},"ref":"{number}","join_ref":"{JOIN}"}}"#)
}

/// Returns the socket's URL: `https://<project>/rest/v1` → `wss://<project>/realtime/v1/websocket`. For a bare
/// PostgREST, the path is appended to its root.
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

/// Returns the reason in a response: a text, or an object with one.
fn reason(response: &str) -> Option<String> {
    let text = json::text(response);
    let text = text.or_else(|| json::members(response).ok().and_then(|members| word(&members, "reason")));
    text.map(Cow::into_owned)
}

fn string(text: &str) -> String {
    let mut out = String::new();
    json::push_string(&mut out, text);
    out
}

#[cfg(test)]
mod tests {
    use super::{Config, RealtimeChannel, RealtimeMessage, heartbeat};

    const JOINED: &str = r#"{"ref":"1","event":"phx_reply","payload":{"status":"ok","response":{"postgres_changes":[{"id":1}]}},"topic":"realtime:tidelock"}"#;
    const FOLLOWS: &str = r#"{"ref":null,"event":"system","payload":{"message":"Subscribed to PostgreSQL","status":"ok","extension":"postgres_changes","channel":"tidelock"},"topic":"realtime:tidelock"}"#;

    fn channel_of(remote: &str) -> RealtimeChannel {
        RealtimeChannel::new(&Config::new(serde_json::from_str(remote).unwrap()).unwrap())
    }

    fn channel() -> RealtimeChannel {
        channel_of(
            r#"{"url":"https://x.supabase.co","key":"sb_publishable_+a","schema":"shop","tables":[{"table":"items","remoteTable":"things"},{"table":"out","direction":"push"},{"table":"b\"c"}]}"#,
        )
    }

    #[test]
    fn the_socket_is_the_projects_own() {
        assert_eq!(channel().url(), "wss://x.supabase.co/realtime/v1/websocket?apikey=sb_publishable_%2Ba&vsn=1.0.0");
        for (url, expected) in [
            ("http://127.0.0.1:54321/rest/v1", "ws://127.0.0.1:54321/realtime/v1/websocket?apikey=k&vsn=1.0.0"),
            ("HTTPS://a.b/c/rest/v1/", "wss://a.b/c/realtime/v1/websocket?apikey=k&vsn=1.0.0"),
            ("http://localhost:3000", "ws://localhost:3000/realtime/v1/websocket?apikey=k&vsn=1.0.0"),
        ] {
            let channel = channel_of(&format!(r#"{{"url":"{url}","key":"k","tables":[{{"table":"t"}}]}}"#));
            assert_eq!(channel.url(), expected);
        }
    }

    #[test]
    fn the_join_names_the_pulled_tables_and_the_users_token() {
        let config = r#"{"topic":"realtime:tidelock","event":"phx_join","payload":{"config":{"broadcast":{"ack":false,"self":false},"presence":{"key":""},"postgres_changes":[{"event":"*","schema":"shop","table":"things"},{"event":"*","schema":"shop","table":"b\"c"}],"private":false}"#;
        let numbers = r#""ref":"1","join_ref":"1"}"#;
        assert_eq!(channel().join(None), format!("{config}}},{numbers}"));
        assert_eq!(channel().join(Some("a.b\"")), format!(r#"{config},"access_token":"a.b\""}},{numbers}"#));
    }

    #[test]
    fn later_messages_are_numbered() {
        let text = r#"{"topic":"realtime:tidelock","event":"access_token","payload":{"access_token":"t1"},"ref":"2","join_ref":"1"}"#;
        assert_eq!(channel().access_token(Some("t1"), 2).as_deref(), Some(text));
        assert_eq!(channel().access_token(None, 2), None, "the key is no JWT");
        assert_eq!(heartbeat(3), r#"{"topic":"phoenix","event":"heartbeat","payload":{},"ref":"3"}"#);
    }

    #[test]
    fn messages_of_the_server_are_parsed() {
        let parse = |text: &str| channel().parse(text);
        assert_eq!(parse(JOINED), Some(RealtimeMessage::Joined));
        assert_eq!(parse(FOLLOWS), Some(RealtimeMessage::Following));
        let alive = r#"{"ref":"2","event":"phx_reply","payload":{"status":"ok","response":{}},"topic":"phoenix"}"#;
        assert_eq!(parse(alive), Some(RealtimeMessage::Answered(2)));
        let change = |table: &str| {
            format!(
                r#"{{"ref":null,"event":"postgres_changes","payload":{{"data":{{"table":"{table}","type":"INSERT","record":{{"id":1,"table":"x"}},"schema":"public"}},"ids":[1]}},"topic":"realtime:tidelock"}}"#
            )
        };
        assert_eq!(parse(&change("things")), Some(RealtimeMessage::Changed("items".to_owned())));
        assert_eq!(parse(&change("out")), None, "it isn't pulled");
        assert_eq!(parse(&change("things").replace("realtime:tidelock", "realtime:other")), None);
        for event in ["phx_close", "phx_error"] {
            let text = format!(r#"{{"ref":null,"event":"{event}","payload":{{}},"topic":"realtime:tidelock"}}"#);
            assert_eq!(parse(&text), Some(RealtimeMessage::Closed));
        }
        for nonsense in [
            "",
            "{",
            "[]",
            "null",
            r#"{"event":5}"#,
            r#"{"event":"postgres_changes","topic":"realtime:tidelock"}"#,
            r#"{"event":"phx_reply","ref":"x","topic":"realtime:tidelock"}"#,
        ] {
            assert_eq!(parse(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn refusals_have_their_reason() {
        let refused = |why: &str| Some(RealtimeMessage::Refused(why.to_owned()));
        for (reply, why) in
            [(r#"{"reason":"Unauthorized: no"}"#, "Unauthorized: no"), (r#""bad""#, "bad"), ("{}", "it gave no reason")]
        {
            let text = format!(
                r#"{{"ref":"1","event":"phx_reply","payload":{{"status":"error","response":{reply}}},"topic":"realtime:tidelock"}}"#
            );
            assert_eq!(channel().parse(&text), refused(why));
        }
        let text = FOLLOWS.replace(r#""status":"ok""#, r#""status":"error""#);
        assert_eq!(channel().parse(&text), refused("Subscribed to PostgreSQL"));
    }
}
