//! Answers that are lost, where the server stores other values than those sent: the own write is recognized all the same.

use tidelock::{ErrorCode, sync::outbox::entries};

use crate::{
    sample::Sample,
    sync::host::{World, fails},
    sync::model::{Fault, Row},
    sync::model_writes::{Rewrite, Rules},
};

const ITEMS: &str = "CREATE TABLE items(id INTEGER PRIMARY KEY, name TEXT, body TEXT, updated_at TEXT)";
const COLUMNS: [&str; 4] = ["id", "name", "body", "updated_at"];
pub const POLICIES: [&str; 3] = ["keep-local", "remote-wins", "last-write-wins"];

/// What the server does with each text: it appends to it, stores another one, or keeps the old one.
const ALTERED: [Rewrite; 3] = [appended, |_| "\"hidden\"".to_owned(), |_| "\"old\"".to_owned()];

/// Appends to a text that the server doesn't have already.
fn appended(json: &str) -> String {
    if json.ends_with("!\"") || json == "\"old\"" || json == "\"other\"" {
        return json.to_owned();
    }
    format!("{}!\"", json.trim_end_matches('"'))
}

/// Both sides have one row.
pub fn world(policy: &str, rewrite: Rewrite, retries: u32, cursor: bool) -> World {
    let cursor = if cursor { r#""cursor":"updated_at","# } else { "" };
    let table = format!(r#"{{"table":"items",{cursor}"conflict":"{policy}"}}"#);
    let mut world =
        World::with(ITEMS, &format!(r#"{{"url":"http://server","key":"k","retries":{retries},"tables":[{table}]}}"#));
    let stamp = Some("updated_at".to_owned());
    let rewrites = vec![("body".to_owned(), rewrite)];
    world.server.define("items", &COLUMNS, Rules { stamp, rewrites, ..Rules::default() });
    world.server.change("items", "1", &[("name", "\"one\""), ("body", "\"old\"")]);
    world.pull("{}").unwrap();
    world.sim.advance(600_000);
    world
}

/// Pushes while each request, or each answer, is lost.
pub fn push_in_vain(world: &mut World, fault: fn() -> Fault) {
    (0..40).for_each(|_| world.server.fault(fault()));
    fails(world.push(), ErrorCode::SyncNetwork);
    world.server.clear_faults();
}

/// Syncs, and returns the rows that both sides then have.
pub fn at_rest(world: &mut World, case: &str) -> Vec<String> {
    for _ in 0..2 {
        world.push().unwrap();
        world.pull("{}").unwrap();
    }
    assert_eq!(world.outbox(), Vec::<String>::new(), "{case}");
    let show = |row: &Row| format!("{}|{}|{}", row["id"], row["name"], row["body"]).replace('"', "");
    let mut rows: Vec<String> = world.server.rows("items").iter().map(show).collect();
    rows.sort();
    assert_eq!(world.rows("SELECT id, name, body FROM items ORDER BY id"), rows, "{case}");
    rows
}

pub fn conflicts(world: &World) -> usize {
    entries::conflicts(&world.host.connection, 10).unwrap().len()
}

#[test]
fn what_was_edited_since_is_sent() {
    let made = [
        "UPDATE items SET name = 'first', body = 'B'",
        "DELETE FROM items; INSERT INTO items(id, name, body) VALUES (1, 'first', 'B')",
        "INSERT INTO items(id, name, body) VALUES (2, 'first', 'B')",
    ];
    let edits = ["", "UPDATE items SET name = 'second' WHERE name = 'first'", "DELETE FROM items WHERE name = 'first'"];
    // The number has no factor in common with those of policies, histories and cursors: each of them is in some cases with each other.
    let mut sample = Sample::every(5);
    for (at, rewrite) in ALTERED.into_iter().enumerate() {
        for (policy, tries, pull_first) in
            POLICIES.into_iter().flat_map(|policy| [(policy, 1, true), (policy, 1, false), (policy, 2, false)])
        {
            let histories = made.into_iter().flat_map(|made| edits.map(|edit| (made, edit)));
            let cursors = if policy == "last-write-wins" { &[true][..] } else { &[true, false] };
            for ((made, edit), &cursor) in histories
                .flat_map(|history| cursors.iter().map(move |cursor| (history, cursor)))
                .filter(|_| sample.takes())
            {
                let case = format!("rewrite {at}, {policy}, {tries} tries, pull first: {pull_first}, {made}, {edit}");
                let case = format!("{case}, cursor: {cursor}");
                let mut world = world(policy, rewrite, 0, cursor);
                world.exec(made);
                for _ in 0..tries {
                    push_in_vain(&mut world, || Fault::Lost);
                    world.sim.advance(120_000);
                }
                world.exec(edit);
                if pull_first {
                    world.pull("{}").unwrap();
                }
                let id = if made.contains("(2,") { 2 } else { 1 };
                let mut expected: Vec<String> = Vec::new();
                if id == 2 {
                    expected.push("1|one|old".to_owned());
                }
                if !edit.starts_with("DELETE") {
                    let name = if edit.is_empty() { "first" } else { "second" };
                    expected.push(format!("{id}|{name}|{}", ["B!", "hidden", "old"][at]));
                }
                assert_eq!(at_rest(&mut world, &case), expected, "{case}");
                assert!(conflicts(&world) <= 1, "{case}");
            }
        }
    }
}

#[test]
fn an_edit_of_the_only_sent_column_is_sent_too() {
    for policy in POLICIES {
        let mut world = world(policy, appended, 0, true);
        world.exec("UPDATE items SET body = 'C'");
        push_in_vain(&mut world, || Fault::Lost);
        world.exec("UPDATE items SET body = 'D'");
        assert_eq!(at_rest(&mut world, policy), ["1|one|D!"], "{policy}");
        assert_eq!(conflicts(&world), 1, "{policy}: nothing shows whose write it was");
    }
}

#[test]
fn a_write_of_another_client_is_still_a_conflict() {
    for (policy, retries, lost, before_ms, after_ms, theirs, expected) in [
        // Written before ours was sent, which never arrived.
        ("remote-wins", 0, true, 60_000, 0, "first", "1|first|other"),
        ("last-write-wins", 0, true, 60_000, 0, "first", "1|third|D!"),
        ("keep-local", 0, true, 60_000, 0, "first", "1|third|D!"),
        // Written long after.
        ("remote-wins", 0, true, 0, 120_000, "one", "1|one|other"),
        // The server has answered that it wrote nothing.
        ("remote-wins", 0, false, 0, 0, "first", "1|first|other"),
        ("remote-wins", 0, false, 0, 0, "one", "1|one|other"),
        ("remote-wins", 3, false, 0, 0, "first", "1|first|other"),
        ("keep-local", 0, false, 0, 0, "first", "1|third|D!"),
    ] {
        let case = format!("{policy} {lost} {before_ms} {after_ms}");
        let mut world = world(policy, appended, retries, true);
        let theirs = format!("\"{theirs}\"");
        let other = |world: &World| {
            world.server.change("items", "1", &[("name", &theirs), ("body", "\"other\"")]);
        };
        world.exec("UPDATE items SET name = 'first', body = 'C'");
        if after_ms == 0 {
            other(&world);
            world.sim.advance(before_ms);
        }
        if lost {
            push_in_vain(&mut world, || Fault::Drop);
        }
        if after_ms > 0 {
            world.sim.advance(after_ms);
            other(&world);
        }
        world.exec("UPDATE items SET name = 'third', body = 'D'");
        assert_eq!(at_rest(&mut world, &case), [expected], "{case}");
        assert_eq!(conflicts(&world), 1, "{case}");
    }
}

#[test]
fn a_new_row_of_another_client_with_the_same_key_stays_a_conflict() {
    let schema = "CREATE TABLE lists(id INTEGER PRIMARY KEY);
        CREATE TABLE items(id INTEGER PRIMARY KEY, list INTEGER REFERENCES lists, name TEXT, done INTEGER, updated_at TEXT)";
    for cursor in [r#","cursor":"updated_at""#, ""] {
        let tables = format!(r#"[{{"table":"lists"}},{{"table":"items"{cursor}}}]"#);
        let mut world =
            World::with(schema, &format!(r#"{{"url":"http://server","key":"k","retries":0,"tables":{tables}}}"#));
        let stamp = Some("updated_at".to_owned());
        world.server.define("lists", &["id"], Rules::default());
        world.server.change("lists", "9", &[]);
        let columns = ["id", "list", "name", "done", "updated_at"];
        world.server.define("items", &columns, Rules { stamp, ..Rules::default() });
        world.pull("{}").unwrap();
        world.exec("INSERT INTO items(id, list, name, done) VALUES (1, 9, 'mine', 0)");
        push_in_vain(&mut world, || Fault::Drop);
        world.server.change("items", "1", &[("list", "9"), ("name", "\"theirs\""), ("done", "0")]);
        world.push().unwrap();
        assert_eq!(world.rows("SELECT name FROM items"), ["mine"], "a reference and a flag show nothing {cursor}");
        assert_eq!(world.outbox(), ["insert items Integer(1) id,list,name,done,updated_at (conflict)"], "{cursor}");
    }
}
