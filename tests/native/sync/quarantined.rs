//! Edge cases of rows that must neither be lost nor reappear: restored and imported images, quarantined rows, children
//! of a replaced parent.

use std::rc::Rc;

use tidelock::{ErrorCode, sync::outbox::entries};

use crate::{
    sync::host::{World, fails, only},
    sync::model::{Fault, Row},
    sync::model_writes::Rules,
};

const ITEMS: &str = "CREATE TABLE items(id INTEGER PRIMARY KEY, name TEXT, updated_at TEXT)";
const CURSOR: &str = r#"[{"table":"items","cursor":"updated_at","overlapMs":0}]"#;

fn world(tables: &str, count: u32) -> World {
    let mut world = World::new(ITEMS, tables);
    let rules = Rules { stamp: Some("updated_at".to_owned()), ..Rules::default() };
    world.server.define("items", &["id", "name", "updated_at"], rules);
    for id in 1..=count {
        world.server.change("items", &id.to_string(), &[("name", "\"remote\"")]);
    }
    world.pull("{}").unwrap();
    world.sim.advance(600_000);
    world
}

#[test]
fn rows_that_an_image_had_changed_follow_the_remote_at_the_next_pull() {
    for imported in [false, true] {
        let mut world = world(CURSOR, 4);
        world.exec("UPDATE items SET name = 'mine' WHERE id = 1; DELETE FROM items WHERE id = 2");
        if imported {
            entries::forget_origin(&world.host.connection).unwrap();
        } else {
            entries::quarantine_restored(&world.host.connection).unwrap();
        }
        let report = world.pull("{}").unwrap();
        assert_eq!(world.rows("SELECT id, name FROM items"), ["1|remote", "2|remote", "3|remote", "4|remote"]);
        assert_eq!(only(&report), "1/1/0/2/0/0/0");
        assert_eq!(only(&world.pull("{}").unwrap()), "0/0/0/0/0/0/0", "the cursor is there again");
        assert_eq!(world.outbox().len(), if imported { 0 } else { 2 });
    }
}

#[test]
fn rows_that_are_only_spared_count_as_vanishing() {
    let mut world = world(r#"[{"table":"items","deleted":"compare"}]"#, 5);
    world.exec("UPDATE items SET name = 'mine' WHERE id = 1");
    (1..=5).for_each(|id| world.server.remove("items", &id.to_string()));
    fails(world.pull("{}"), ErrorCode::RemoteEmpty);
    assert_eq!(world.rows("SELECT count(*) FROM items"), ["5"]);
    world.pull(r#"{"allowEmpty":true}"#).unwrap();
    assert_eq!(world.rows("SELECT id FROM items"), ["1"]);
    // The pull deletes no local row, so it isn't refused.
    world.pull("{}").unwrap();
}

#[test]
fn a_vanished_parent_that_children_keep_is_shown_until_they_leave() {
    let schema = "CREATE TABLE parents(id INTEGER PRIMARY KEY, updated_at TEXT); \
        CREATE TABLE children(id INTEGER PRIMARY KEY, parent INTEGER REFERENCES parents(id), updated_at TEXT)";
    for comes_back in [false, true] {
        let tables = r#"[{"table":"parents","cursor":"updated_at","deleted":"compare"},
            {"table":"children","cursor":"updated_at"}]"#;
        let mut world = World::new(schema, tables);
        world.server.define("parents", &["id", "updated_at"], Rules::default());
        world.server.define("children", &["id", "parent", "updated_at"], Rules::default());
        let stamp = ("updated_at", "\"2025-12-01T00:00:00+00:00\"");
        ["1", "2", "3"].into_iter().for_each(|id| world.server.put("parents", &[("id", id), stamp]));
        world.server.put("children", &[("id", "1"), ("parent", "1"), stamp]);
        world.pull("{}").unwrap();
        world.server.remove("parents", "1");
        for _ in 0..2 {
            let report = world.pull("{}").unwrap();
            let parents = report.tables.iter().find(|table| table.table == "parents").unwrap();
            assert_eq!((parents.deleted, parents.kept_local, parents.rejected), (0, 0, 1));
            assert_eq!(world.outbox(), ["delete parents Integer(1)  (unapplied)"]);
            let error = entries::rejected(&world.host.connection).unwrap()[0].error.clone().unwrap();
            assert!(error.contains("children"), "{error}");
        }
        if comes_back {
            // With the stamp that it had.
            world.server.put("parents", &[("id", "1"), stamp]);
        } else {
            world.exec("DELETE FROM children");
            world.push().unwrap();
        }
        world.pull("{}").unwrap();
        assert_eq!(world.outbox(), Vec::<String>::new(), "{comes_back}");
        let expected: &[&str] = if comes_back { &["1", "2", "3"] } else { &["2", "3"] };
        assert_eq!(world.rows("SELECT id FROM parents"), expected);
    }
}

#[test]
fn a_row_that_a_discard_brought_goes_when_it_vanishes() {
    let mut world = world(r#"[{"table":"items","deleted":"compare"}]"#, 2);
    let check: std::rc::Rc<dyn Fn(&Row) -> bool> = std::rc::Rc::new(|row| row["name"] != "\"bad\"");
    world.server.alter("items", |rules, _| rules.check = Some(check));
    world.exec("INSERT INTO items(id, name) VALUES (5, 'bad')");
    world.push().unwrap();
    let refused = entries::rejected(&world.host.connection).unwrap();
    assert_eq!(refused[0].reason.map(|reason| reason.as_str()), Some("refused"));
    world.server.change("items", "5", &[("name", "\"theirs\"")]);
    world.discard(refused[0].id).unwrap();
    assert_eq!(world.rows("SELECT name FROM items WHERE id = 5"), ["theirs"]);
    world.server.remove("items", "5");
    world.pull("{}").unwrap();
    assert_eq!(world.rows("SELECT id FROM items"), ["1", "2"]);
}

#[test]
fn a_replace_loses_no_unpushed_child_of_a_parent_that_went() {
    let schema = "CREATE TABLE parents(id INTEGER PRIMARY KEY);
        CREATE TABLE children(id INTEGER PRIMARY KEY, parent INTEGER REFERENCES parents ON DELETE CASCADE)";
    let mut world = World::new(schema, r#"[{"table":"parents"},{"table":"children"}]"#);
    world.server.define("parents", &["id"], Rules::default());
    world.server.define("children", &["id", "parent"], Rules::default());
    (1..=3).for_each(|id| world.server.change("parents", &id.to_string(), &[]));
    world.server.change("children", "1", &[("parent", "2")]);
    world.pull("{}").unwrap();
    world.exec("INSERT INTO children VALUES (9, 2)");
    world.server.remove("children", "1");
    world.server.remove("parents", "2");
    let only_parents = r#"{"mode":"replace","tables":["parents"]}"#;
    let error = fails(world.pull(only_parents), ErrorCode::UnpushedChanges);
    assert!(error.message.contains("children"), "{error}");
    assert_eq!(world.rows("SELECT id FROM children"), ["1", "9"]);
    assert_eq!(world.rows("SELECT id FROM parents"), ["1", "2", "3"]);
    world.pull(r#"{"mode":"replace","tables":["parents"],"discardUnpushed":true}"#).unwrap();
    assert_eq!(world.rows("SELECT id FROM parents"), ["1", "3"]);
    assert_eq!(world.rows("SELECT id FROM children"), Vec::<String>::new());
}

#[test]
fn an_update_of_a_row_that_is_not_there_says_what_that_may_mean() {
    let mut world = world(CURSOR, 2);
    world.exec("UPDATE items SET name = 'mine' WHERE id = 1");
    world.server.remove("items", "1");
    assert_eq!(world.pushed(), ["items 0/0/0/1/1"]);
    let rejected = entries::rejected(&world.host.connection).unwrap();
    assert_eq!(rejected[0].reason.map(|reason| reason.as_str()), Some("conflict"));
    let error = rejected[0].error.as_deref().unwrap();
    assert!(error.contains("deleted") && error.contains("row security"), "{error}");
}

#[test]
fn a_refused_change_keeps_its_error_when_the_remote_row_changes() {
    let mut world = world(CURSOR, 1);
    let check: Rc<dyn Fn(&Row) -> bool> = Rc::new(|row| row["name"] != "\"bad\"");
    world.server.alter("items", |rules, _| rules.check = Some(check));
    world.exec("UPDATE items SET name = 'bad' WHERE id = 1");
    world.push().unwrap();
    let error = |world: &World| entries::rejected(&world.host.connection).unwrap()[0].error.clone();
    let refused = error(&world);
    assert!(refused.is_some());
    // Only its stamp is new.
    world.server.change("items", "1", &[("name", "\"remote\"")]);
    world.pull("{}").unwrap();
    assert_eq!(error(&world), refused);
}

#[test]
fn rows_that_the_local_schema_refuses_are_kept_with_the_reason_and_stop_nothing() {
    let schema = "CREATE TABLE items(id INTEGER PRIMARY KEY, name TEXT CHECK (name <> 'bad'), updated_at TEXT)";
    let mut world = World::new(schema, CURSOR);
    let rules = Rules { stamp: Some("updated_at".to_owned()), ..Rules::default() };
    world.server.define("items", &["id", "name", "updated_at"], rules);
    for (id, name) in [("1", "good"), ("2", "bad"), ("3", "good"), ("4", "bad")] {
        world.server.change("items", id, &[("name", &format!("\"{name}\""))]);
    }
    assert_eq!(only(&world.pull("{}").unwrap()), "2/0/0/0/0/0/2");
    let connection = world.host.connection.clone();
    let rejected = || entries::rejected(&connection).unwrap();
    let (first, second) = (rejected()[0].clone(), rejected()[1].clone());
    assert_eq!((first.op.as_str(), first.reason.map(|reason| reason.as_str())), ("insert", Some("unapplied")));
    assert_eq!((first.key.0[0].1.as_integer(), second.key.0[0].1.as_integer()), (Some(2), Some(4)));
    assert!(first.error.as_deref().unwrap().contains("CHECK") && !first.time.is_empty());
    assert_eq!(entries::counts(&world.host.connection, Some("items")).unwrap(), (0, 2));
    assert_eq!(world.sync.status(&world.host.connection).unwrap()[0].rejected, 2);
    // All rows must be read again. If a pull is interrupted before that, the next pull does it.
    (0..20).for_each(|_| world.server.fault(Fault::Drop));
    fails(world.pull(r#"{"full":true}"#), ErrorCode::SyncNetwork);
    world.server.clear_faults();
    world.pull("{}").unwrap();
    // The first entry is retried without success, the second one is discarded, and the pull stores its row once it is
    // valid.
    world.retry(first.id);
    assert_eq!(rejected().len(), 2);
    world.discard(second.id).unwrap();
    assert_eq!(rejected().len(), 1);
    // The entry no longer exists, so the second discard has no effect.
    world.discard(second.id).unwrap();
    fails(world.discard(1_000), ErrorCode::InvalidArgument);
    // These entries aren't unpushed changes, so they don't block a replace.
    fails(world.pull(r#"{"mode":"replace"}"#), ErrorCode::SqliteConstraint);
    world.server.change("items", "2", &[("name", "\"better\"")]);
    assert_eq!(only(&world.pull("{}").unwrap()), "1/0/0/0/0/0/0");
    assert_eq!(entries::rejected(&world.host.connection).unwrap(), []);
    assert_eq!(world.rows("SELECT id, name FROM items"), ["1|good", "2|better", "3|good"]);
}

#[test]
fn a_discard_applies_what_fits_now_and_otherwise_keeps_the_local_row() {
    for fits in [false, true] {
        let schema = "CREATE TABLE parents(id INTEGER PRIMARY KEY);
            CREATE TABLE local(id INTEGER PRIMARY KEY, parent INTEGER REFERENCES parents)";
        let mut world = World::new(schema, r#"[{"table":"parents","deleted":"compare"}]"#);
        world.server.define("parents", &["id"], Rules::default());
        for id in ["1", "2"] {
            world.server.change("parents", id, &[]);
        }
        world.pull("{}").unwrap();
        world.exec("INSERT INTO local VALUES (1, 1)");
        world.server.remove("parents", "1");
        world.pull("{}").unwrap();
        assert_eq!(world.outbox(), ["delete parents Integer(1)  (unapplied)"]);
        if fits {
            world.exec("DELETE FROM local");
        }
        world.discard(entries::rejected(&world.host.connection).unwrap()[0].id).unwrap();
        let left: &[&str] = if fits { &["2"] } else { &["1", "2"] };
        for _ in 0..2 {
            assert_eq!(world.outbox(), Vec::<String>::new(), "fits: {fits}");
            assert_eq!(world.rows("SELECT id FROM parents"), left, "fits: {fits}");
            world.pull("{}").unwrap();
        }
    }
}

#[test]
fn a_discard_removes_a_row_of_a_table_that_is_not_synced_any_more() {
    let schema = "CREATE TABLE items(id INTEGER PRIMARY KEY, name TEXT CHECK (name <> 'bad')); CREATE TABLE notes(id INTEGER PRIMARY KEY)";
    let mut world = World::new(schema, r#"[{"table":"items"}]"#);
    world.server.define("items", &["id", "name"], Rules::default());
    world.server.change("items", "1", &[("name", "\"bad\"")]);
    world.pull("{}").unwrap();
    let id = entries::rejected(&world.host.connection).unwrap()[0].id;
    world.reopen(r#"{"url":"http://server","key":"k","tables":[{"table":"notes"}]}"#);
    assert_eq!(world.outbox().len(), 1);
    world.discard(id).unwrap();
    assert_eq!(world.outbox(), Vec::<String>::new());
}

#[test]
fn a_loop_over_rejected_rows_meets_rows_that_the_first_retry_applied() {
    let schema = "CREATE TABLE parents(id INTEGER PRIMARY KEY);
        CREATE TABLE items(id INTEGER PRIMARY KEY, parent INTEGER REFERENCES parents(id), updated_at TEXT)";
    let mut world = World::new(schema, CURSOR);
    let rules = Rules { stamp: Some("updated_at".to_owned()), ..Rules::default() };
    world.server.define("items", &["id", "parent", "updated_at"], rules);
    for id in ["1", "2"] {
        world.server.change("items", id, &[("parent", "7")]);
    }
    world.pull("{}").unwrap();
    let rejected = entries::rejected(&world.host.connection).unwrap();
    assert_eq!(rejected.len(), 2);
    world.exec("INSERT INTO parents VALUES (7)");
    rejected.iter().for_each(|change| world.retry(change.id));
    assert_eq!(world.rows("SELECT id, parent FROM items"), ["1|7", "2|7"]);
    assert_eq!(entries::rejected(&world.host.connection).unwrap(), []);
}

#[test]
fn a_row_that_waits_stays_while_a_column_goes_and_comes_back() {
    let schema = "CREATE TABLE parents(id INTEGER PRIMARY KEY);
         CREATE TABLE items(id INTEGER PRIMARY KEY, name TEXT, parent INTEGER REFERENCES parents, updated_at TEXT)";
    let remote = r#"{"url":"http://server","key":"k","tables":[
        {"table":"parents"},{"table":"items","cursor":"updated_at","overlapMs":0}]}"#;
    let mut world = World::with(schema, remote);
    let rules = Rules { stamp: Some("updated_at".to_owned()), ..Rules::default() };
    world.server.define("parents", &["id"], Rules::default());
    world.server.define("items", &["id", "name", "parent", "updated_at"], rules);
    world.pull("{}").unwrap();
    world.server.change("items", "1", &[("name", "\"first\"")]);
    world.pull("{}").unwrap();
    world.server.alter("items", |rules, rows| {
        rules.columns.retain(|column| column != "name");
        rows.iter_mut().for_each(|row| _ = row.remove("name"));
    });
    world.server.change("items", "2", &[("parent", "7")]);
    world.pull("{}").unwrap();
    assert_eq!(world.outbox(), ["insert items Integer(2) id,parent,updated_at (unapplied)"]);
    world.server.alter("items", |rules, rows| {
        rules.columns.push("name".to_owned());
        rows.iter_mut().for_each(|row| _ = row.insert("name".to_owned(), "\"new\"".to_owned()));
    });
    world.reopen(remote);
    world.pull("{}").unwrap();
    assert_eq!(world.outbox(), ["insert items Integer(2) id,name,parent,updated_at (unapplied)"]);
    assert_eq!(world.rows("SELECT id, name FROM items"), ["1|new"]);
    world.server.change("parents", "7", &[]);
    world.pull("{}").unwrap();
    assert_eq!(world.rows("SELECT id, name, parent FROM items"), ["1|new|∅", "2|new|7"]);
    assert!(world.outbox().is_empty());
}

#[test]
fn a_row_that_waits_stays_when_the_first_pull_of_a_session_fails() {
    // Without `name`, which the remote lacks: the next session doesn't know that yet.
    let schema = "CREATE TABLE parents(id INTEGER PRIMARY KEY);
         CREATE TABLE items(id INTEGER PRIMARY KEY, name TEXT, parent INTEGER REFERENCES parents, updated_at TEXT)";
    let remote = r#"{"url":"http://server/rest/v1","key":"k","retries":0,"tables":[
        {"table":"parents"},{"table":"items","cursor":"updated_at","overlapMs":0}]}"#;
    let mut world = World::with(schema, remote);
    let rules = Rules { stamp: Some("updated_at".to_owned()), ..Rules::default() };
    world.server.define("parents", &["id"], Rules::default());
    world.server.define("items", &["id", "parent", "updated_at"], rules);
    world.server.change("items", "2", &[("parent", "7")]);
    world.pull("{}").unwrap();
    assert_eq!(world.outbox(), ["insert items Integer(2) id,parent,updated_at (unapplied)"]);
    world.sim.advance(120_000);
    world.reopen(remote);
    world.server.trouble("items", Some(Fault::Status(404, vec![], r#"{"code":"PGRST205"}"#.to_owned())));
    world.pull("{}").unwrap_err();
    world.server.trouble("items", None);
    world.server.change("parents", "7", &[]);
    world.pull("{}").unwrap();
    assert_eq!(world.rows("SELECT id, parent FROM items"), ["2|7"]);
}

#[test]
fn a_push_that_misses_a_column_does_not_hide_another_one_that_came() {
    let schema = "CREATE TABLE items(id INTEGER PRIMARY KEY, name TEXT, note TEXT, updated_at TEXT)";
    let remote = format!(r#"{{"url":"http://server","key":"k","tables":{CURSOR}}}"#);
    let mut world = World::with(schema, &remote);
    let rules = Rules { stamp: Some("updated_at".to_owned()), ..Rules::default() };
    world.server.define("items", &["id", "name", "updated_at"], rules);
    world.server.change("items", "1", &[]);
    world.pull("{}").unwrap();
    world.server.alter("items", |rules, rows| {
        rules.columns = vec!["id".to_owned(), "note".to_owned(), "updated_at".to_owned()];
        rows.iter_mut().for_each(|row| _ = (row.remove("name"), row.insert("note".to_owned(), "\"there\"".to_owned())));
    });
    world.reopen(&remote);
    world.exec("UPDATE items SET name = 'mine'");
    world.push().unwrap();
    world.pull("{}").unwrap();
    assert_eq!(world.rows("SELECT id, name, note FROM items"), ["1|mine|there"]);
    assert_eq!(world.outbox(), ["update items Integer(1) name (remote_column_missing)"]);
}

/// Creates parents, and an item without a parent; the remote has no column `note`. `conflict` is the conflict policy.
fn with_parents(conflict: &str) -> World {
    let schema = "CREATE TABLE parents(id INTEGER PRIMARY KEY);
         CREATE TABLE items(id INTEGER PRIMARY KEY, name TEXT, note TEXT, parent INTEGER REFERENCES parents, updated_at TEXT)";
    let remote = format!(
        r#"{{"url":"http://server","key":"k","tables":[
        {{"table":"parents"}},{{"table":"items","cursor":"updated_at","conflict":"{conflict}"}}]}}"#
    );
    let mut world = World::with(schema, &remote);
    let rules = Rules { stamp: Some("updated_at".to_owned()), ..Rules::default() };
    world.server.define("parents", &["id"], Rules::default());
    world.server.define("items", &["id", "name", "parent", "updated_at"], rules);
    world.server.change("items", "1", &[("name", "\"first\"")]);
    world.pull("{}").unwrap();
    world
}

#[test]
fn a_row_that_waits_is_forgotten_once_a_push_finds_it_gone() {
    let mut world = with_parents("remote-wins");
    world.server.change("items", "1", &[("parent", "7")]);
    world.pull("{}").unwrap();
    assert_eq!(world.outbox(), ["update items Integer(1) id,name,parent,updated_at (unapplied)"]);
    world.server.remove("items", "1");
    world.exec("DELETE FROM items");
    assert_eq!(world.pushed(), ["parents 0/0/0/0/0", "items 0/0/1/0/0"]);
    world.server.change("parents", "7", &[]);
    world.pull("{}").unwrap();
    assert_eq!(world.rows("SELECT id FROM items"), Vec::<String>::new());
}

#[test]
fn a_row_that_wins_and_waits_for_its_parent_leaves_what_only_this_client_has() {
    let mut world = with_parents("remote-wins");
    world.exec("UPDATE items SET name = 'mine', note = 'kept'");
    world.server.change("items", "1", &[("name", "\"theirs\""), ("parent", "7")]);
    world.sim.advance(600_000);
    for _ in 0..3 {
        world.pull("{}").unwrap();
        world.push().unwrap();
        assert_eq!(world.rows("SELECT name, note, parent FROM items"), ["first|kept|∅"]);
        assert_eq!(world.server.rows("items")[0]["name"], "\"theirs\"");
        let waits = [
            "update items Integer(1) note (remote_column_missing)",
            "update items Integer(1) id,name,parent,updated_at (unapplied)",
        ];
        assert_eq!(world.outbox(), waits);
        assert_eq!(entries::conflicts(&world.host.connection, 10).unwrap().len(), 1, "it is decided once");
    }
    world.server.change("parents", "7", &[]);
    world.pull("{}").unwrap();
    assert_eq!(world.rows("SELECT name, note, parent FROM items"), ["theirs|kept|7"]);
    assert_eq!(world.outbox(), ["update items Integer(1) note (remote_column_missing)"]);
}

#[test]
fn a_function_that_decides_for_a_row_without_its_parent_leaves_it_to_a_person() {
    for discarded in [false, true] {
        let mut world = with_parents("function");
        *world.host.decide.borrow_mut() = Some(std::rc::Rc::new(|conflict| conflict.remote));
        world.exec("UPDATE items SET name = 'mine'");
        world.server.change("items", "1", &[("name", "\"theirs\""), ("parent", "7")]);
        world.sim.advance(600_000);
        for _ in 0..2 {
            world.pull("{}").unwrap();
            world.push().unwrap();
            assert_eq!(world.outbox(), ["update items Integer(1) name,parent,updated_at (conflict)"]);
        }
        world.server.change("parents", "7", &[]);
        world.pull("{}").unwrap();
        let id = entries::rejected(&world.host.connection).unwrap()[0].id;
        if discarded {
            world.discard(id).unwrap();
        } else {
            world.retry(id);
            world.push().unwrap();
        }
        let kept = if discarded { "theirs|7" } else { "mine|∅" };
        assert_eq!(world.rows("SELECT name, parent FROM items"), [kept]);
        assert!(world.outbox().iter().all(|change| !change.contains("items")), "{:?}", world.outbox());
    }
}

#[test]
fn a_discarded_row_that_must_stay_is_new_again_once_it_is_edited() {
    let schema = "CREATE TABLE parents(id INTEGER PRIMARY KEY, name TEXT);
        CREATE TABLE children(id INTEGER PRIMARY KEY, parent INTEGER REFERENCES parents)";
    let mut world =
        World::new(schema, r#"[{"table":"parents","direction":"push"},{"table":"children","direction":"push"}]"#);
    let check: std::rc::Rc<dyn Fn(&Row) -> bool> = std::rc::Rc::new(|row| row["name"] != "\"bad\"");
    world.server.define("parents", &["id", "name"], Rules { check: Some(check), ..Rules::default() });
    world.server.define("children", &["id", "parent"], Rules::default());
    world.exec("INSERT INTO parents VALUES (1, 'bad'); INSERT INTO children VALUES (10, 1)");
    world.push().unwrap();
    let refused = entries::rejected(&world.host.connection).unwrap();
    world.discard(refused[0].id).unwrap();
    assert_eq!(world.rows("SELECT name FROM parents"), ["bad"], "its child refers to it");
    world.exec("UPDATE parents SET name = 'bad' || name");
    world.push().unwrap();
    assert_eq!(world.server.rows("parents")[0]["name"], "\"badbad\"");
    assert_eq!(world.server.rows("children").len(), 1);
    assert_eq!(world.outbox(), Vec::<String>::new());
    world.exec("DELETE FROM children; UPDATE parents SET name = 'stays'");
    world.push().unwrap();
    assert_eq!(world.server.rows("parents")[0]["name"], "\"stays\"");
    assert_eq!(world.rows("SELECT name FROM parents"), ["stays"]);
}

#[test]
fn a_discard_keeps_values_of_which_the_remotes_are_unknown() {
    let remote = r#"{"url":"http://server","key":"k","retries":0,"tables":[{"table":"log","direction":"push"}]}"#;
    let mut world = World::with("CREATE TABLE log(id INTEGER PRIMARY KEY, line TEXT NOT NULL)", remote);
    let check: std::rc::Rc<dyn Fn(&Row) -> bool> = std::rc::Rc::new(|row| row["line"] != "\"bad\"");
    world.server.define("log", &["id", "line"], Rules { check: Some(check), ..Rules::default() });
    world.exec("INSERT INTO log VALUES (1, 'first')");
    for line in ["second", "bad"] {
        world.server.fault(Fault::Lost);
        fails(world.push(), ErrorCode::SyncNetwork);
        world.exec(&format!("UPDATE log SET line = '{line}'"));
    }
    world.push().unwrap();
    let refused = entries::rejected(&world.host.connection).unwrap();
    assert_eq!(refused[0].op.as_str(), "update");
    world.discard(refused[0].id).unwrap();
    assert_eq!(world.rows("SELECT id, line FROM log"), ["1|bad"]);
    assert_eq!(world.outbox(), Vec::<String>::new());
}
