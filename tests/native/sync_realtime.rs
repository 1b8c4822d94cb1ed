//! Supabase Realtime: what is said to the server and what is made of its answers.

use tidelock::sync::{
    config::Config,
    realtime::{Action, Event, Realtime},
};

const JOINED: &str = r#"{"ref":"1","event":"phx_reply","payload":{"status":"ok","response":{"postgres_changes":[{"id":1}]}},"topic":"realtime:tidelock"}"#;
const FOLLOWS: &str = r#"{"ref":null,"event":"system","payload":{"message":"Subscribed to PostgreSQL","status":"ok","extension":"postgres_changes","channel":"tidelock"},"topic":"realtime:tidelock"}"#;

fn machine(rest: &str) -> Realtime {
    let remote = format!(
        r#"{{"url":"https://x.supabase.co","key":"sb_publishable_+a","tables":[{{"table":"items","remoteTable":"things"}},{{"table":"out","direction":"push"}},{{"table":"b\"c"}}]{rest}}}"#
    );
    Realtime::new(&Config::new(serde_json::from_str(&remote).unwrap()).unwrap())
}

/// Opened at 0, joined at 20.
fn joined() -> Realtime {
    let mut machine = machine("");
    assert_eq!(machine.handle(Event::Due, 0, 0.0), [Action::Open]);
    let said = machine.handle(Event::Opened, 10, 0.0);
    assert_eq!(said.len(), 1);
    assert_eq!(machine.handle(Event::Said(JOINED.to_owned()), 20, 0.0), [Action::Stale(Vec::new())]);
    machine
}

fn said(machine: &mut Realtime, text: &str) -> Vec<Action> {
    machine.handle(Event::Said(text.to_owned()), 30, 0.0)
}

fn send(text: &str) -> Vec<Action> {
    vec![Action::Send(text.to_owned())]
}

#[test]
fn the_socket_is_the_projects_own() {
    assert_eq!(machine("").url(), "wss://x.supabase.co/realtime/v1/websocket?apikey=sb_publishable_%2Ba&vsn=1.0.0");
    for (url, expected) in [
        ("http://127.0.0.1:54321/rest/v1", "ws://127.0.0.1:54321/realtime/v1/websocket?apikey=k&vsn=1.0.0"),
        ("HTTPS://a.b/c/rest/v1/", "wss://a.b/c/realtime/v1/websocket?apikey=k&vsn=1.0.0"),
        ("http://localhost:3000", "ws://localhost:3000/realtime/v1/websocket?apikey=k&vsn=1.0.0"),
    ] {
        let remote = format!(r#"{{"url":"{url}","key":"k","tables":[{{"table":"t"}}]}}"#);
        let config = Config::new(serde_json::from_str(&remote).unwrap()).unwrap();
        assert_eq!(Realtime::new(&config).url(), expected);
    }
}

#[test]
fn it_joins_for_the_tables_that_are_pulled_as_who_is_signed_in() {
    let mut machine = machine(r#","schema":"shop""#);
    assert_eq!(machine.handle(Event::Token(Some("a.b\"".to_owned())), 0, 0.0), []);
    machine.handle(Event::Due, 0, 0.0);
    assert_eq!(
        machine.handle(Event::Opened, 5, 0.0),
        send(
            r#"{"topic":"realtime:tidelock","event":"phx_join","payload":{"config":{"broadcast":{"ack":false,"self":false},"presence":{"key":""},"postgres_changes":[{"event":"*","schema":"shop","table":"things"},{"event":"*","schema":"shop","table":"b\"c"}],"private":false},"access_token":"a.b\""},"ref":"1","join_ref":"1"}"#
        )
    );
}

#[test]
fn it_reads_all_when_it_listens_and_then_what_is_named() {
    let mut machine = joined();
    assert_eq!(said(&mut machine, FOLLOWS), [Action::Stale(Vec::new())]);
    let change = |table: &str| {
        format!(
            r#"{{"ref":null,"event":"postgres_changes","payload":{{"data":{{"table":"{table}","type":"INSERT","record":{{"id":1,"table":"x"}},"schema":"public"}},"ids":[1]}},"topic":"realtime:tidelock"}}"#
        )
    };
    assert_eq!(said(&mut machine, &change("things")), [Action::Stale(vec!["items".to_owned()])]);
    assert_eq!(said(&mut machine, &change("out")), []);
    assert_eq!(said(&mut machine, &change("things").replace("realtime:tidelock", "realtime:other")), []);
    for nonsense in
        ["", "{", "[]", "null", r#"{"event":5}"#, r#"{"event":"postgres_changes","topic":"realtime:tidelock"}"#]
    {
        assert_eq!(said(&mut machine, nonsense), [], "{nonsense}");
    }
}

#[test]
fn a_token_is_told_when_it_changes() {
    let mut machine = joined();
    let token =
        |machine: &mut Realtime, token: Option<&str>| machine.handle(Event::Token(token.map(str::to_owned)), 40, 0.0);
    let text = r#"{"topic":"realtime:tidelock","event":"access_token","payload":{"access_token":"t1"},"ref":"2","join_ref":"1"}"#;
    assert_eq!(token(&mut machine, Some("t1")), send(text));
    assert_eq!(token(&mut machine, Some("t1")), []);
    assert_eq!(token(&mut machine, None), [], "there is nothing to say: the key is no JWT");
}

#[test]
fn a_dead_connection_is_noticed() {
    let mut machine = joined();
    assert_eq!(machine.due(), 25_020);
    assert_eq!(machine.handle(Event::Due, 25_019, 0.0), []);
    let heartbeat = |n| send(&format!(r#"{{"topic":"phoenix","event":"heartbeat","payload":{{}},"ref":"{n}"}}"#));
    assert_eq!(machine.handle(Event::Due, 25_020, 0.0), heartbeat(2));
    let alive = r#"{"ref":"2","event":"phx_reply","payload":{"status":"ok","response":{}},"topic":"phoenix"}"#;
    assert_eq!(machine.handle(Event::Said(alive.to_owned()), 25_100, 0.0), []);
    assert_eq!(machine.handle(Event::Due, 50_020, 0.0), heartbeat(3));
    assert_eq!(machine.handle(Event::Due, 75_020, 0.0), [Action::Close], "nobody answered");
    assert_eq!(machine.due(), 76_020);
    assert_eq!(machine.handle(Event::Due, 76_020, 0.0), [Action::Open]);
    assert_eq!(machine.handle(Event::Opened, 76_030, 0.0).len(), 1);
    let joined = JOINED.replace(r#""ref":"1""#, r#""ref":"4""#);
    assert_eq!(machine.handle(Event::Said(joined), 76_040, 0.0), [Action::Stale(Vec::new())], "after each gap");
}

#[test]
fn it_comes_again_later_and_later() {
    let mut machine = machine("");
    let mut now = 0;
    for wait in [1000, 2000, 4000, 8000] {
        assert_eq!(machine.handle(Event::Due, now, 0.0), [Action::Open]);
        assert_eq!(machine.handle(Event::Closed, now, 0.0), [Action::Close]);
        assert_eq!(machine.due(), now + wait);
        now += wait;
    }
    assert_eq!(machine.handle(Event::Online, now - 7000, 0.0), []);
    assert_eq!(machine.handle(Event::Due, now - 7000, 0.0), [Action::Open], "a network is there again");
    assert_eq!(machine.handle(Event::Due, now + 3000, 0.0), [Action::Close], "it takes too long");
    assert_eq!(machine.handle(Event::Closed, now + 3000, 0.0), [], "already known");
}

#[test]
fn refusals_are_told_with_their_reason() {
    for (reply, why) in
        [(r#"{"reason":"Unauthorized: no"}"#, "Unauthorized: no"), (r#""bad""#, "bad"), ("{}", "it gave no reason")]
    {
        let mut machine = machine("");
        machine.handle(Event::Due, 0, 0.0);
        machine.handle(Event::Opened, 0, 0.0);
        let text = format!(
            r#"{{"ref":"1","event":"phx_reply","payload":{{"status":"error","response":{reply}}},"topic":"realtime:tidelock"}}"#
        );
        assert_eq!(said(&mut machine, &text), [Action::Refused(why.to_owned()), Action::Close]);
    }
    let mut machine = joined();
    let text = FOLLOWS.replace(r#""status":"ok""#, r#""status":"error""#);
    assert_eq!(said(&mut machine, &text), [Action::Refused("Subscribed to PostgreSQL".to_owned()), Action::Close]);
    // Nothing has worked yet: joining alone doesn't shorten the next wait.
    assert_eq!(machine.due(), 1030);
    for event in ["phx_close", "phx_error"] {
        let mut machine = joined();
        let text = format!(r#"{{"ref":null,"event":"{event}","payload":{{}},"topic":"realtime:tidelock"}}"#);
        assert_eq!(said(&mut machine, &text), [Action::Close]);
    }
}
