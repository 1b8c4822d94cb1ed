//! Filters that change: rows that no longer match are deleted, matching ones are pulled, and unpushed changes stay.

use tidelock::{Error, ErrorCode, collections::Map};

use crate::{
    sync::host::{World, fails, only},
    sync::model::Fault,
    sync::model_writes::Rules,
};

const TASKS: &str = "CREATE TABLE tasks(id INTEGER PRIMARY KEY, project INTEGER, name TEXT, updated_at TEXT)";
const FUNCTION: &str = r#"[{"table":"tasks","hasFilterFunction":true,"cursor":"updated_at"}]"#;

/// Returns the options of tables with a filter on `project`; 0: no filter.
fn options(project: u64, cursor: bool) -> String {
    let cursor = if cursor { r#","cursor":"updated_at""# } else { "" };
    let filter = if project == 0 { String::new() } else { format!(r#","filter":{{"project":"eq.{project}"}}"#) };
    format!(r#"{{"url":"http://server","key":"k","tables":[{{"table":"tasks"{cursor}{filter}}}]}}"#)
}

fn put(world: &World, id: u64, project: u64) {
    let (name, at) = (format!("\"n{id}\""), format!("\"2025-12-01T00:00:{:02}+00:00\"", id % 60));
    let (id, project) = (id.to_string(), project.to_string());
    world.server.put("tasks", &[("id", &id), ("project", &project), ("name", &name), ("updated_at", &at)]);
}

/// A server whose clock sets `updated_at`.
fn define(world: &World) {
    let rules = Rules { stamp: Some("updated_at".to_owned()), ..Rules::default() };
    world.server.define("tasks", &["id", "project", "name", "updated_at"], rules);
}

/// Creates 30 tasks in each of two projects: 1..=30 and 101..=130.
fn two_projects(world: &World) {
    define(world);
    (1..=30).for_each(|id| put(world, id, 1));
    (101..=130).for_each(|id| put(world, id, 2));
}

fn show_project(world: &World, project: u64) {
    let mut filter = Map::default();
    if project > 0 {
        filter.insert("project".to_owned(), format!("eq.{project}"));
    }
    world.host.filters.borrow_mut().insert("tasks".to_owned(), Ok(filter));
}

fn projects(world: &World) -> Vec<String> {
    world.rows("SELECT project, count(*) FROM tasks GROUP BY project ORDER BY project")
}

#[test]
fn another_filter_in_the_options_brings_its_rows_and_removes_the_others() {
    for cursor in [true, false] {
        let mut world = World::with(TASKS, &options(1, cursor));
        two_projects(&world);
        assert_eq!(only(&world.pull("{}").unwrap()), "30/0/0/0/0/0/0");
        world.reopen(&options(2, cursor));
        assert_eq!(only(&world.pull("{}").unwrap()), "30/0/30/0/0/0/0", "all rows leave, which is no empty remote");
        assert_eq!(projects(&world), ["2|30"]);
        world.reopen(&options(0, cursor));
        assert_eq!(only(&world.pull("{}").unwrap()), "30/0/0/30/0/0/0");
        assert!(world.outbox().is_empty(), "rows that leave are not deleted at the remote");
        assert_eq!(world.server.rows("tasks").len(), 60);
    }
}

#[test]
fn the_error_about_a_filter_of_a_missing_column_names_the_filter() {
    for cursor in [true, false] {
        let mut world = World::with(TASKS, &options(1, cursor).replace("project", "projekt"));
        two_projects(&world);
        let error = fails(world.pull("{}"), ErrorCode::SyncSchemaMismatch);
        assert!(error.hint.as_ref().unwrap().contains("The filter names column projekt"), "{error:?}");
    }
}

#[test]
fn a_table_that_gets_a_filter_keeps_the_rows_that_exist_only_locally() {
    let schema = format!("{TASKS}; INSERT INTO tasks(id, project) VALUES (900, 1)");
    for cursor in [true, false] {
        let mut world = World::with(&schema, &options(0, cursor));
        two_projects(&world);
        assert_eq!(only(&world.pull("{}").unwrap()), "60/0/0/0/0/0/0");
        world.reopen(&options(2, cursor));
        assert_eq!(only(&world.pull("{}").unwrap()), "0/0/30/30/0/0/0");
        assert_eq!(projects(&world), ["1|1", "2|30"], "row 900 was never at the remote");
        assert_eq!(world.rows("SELECT id FROM tasks WHERE project = 1"), ["900"]);
    }
}

#[test]
fn rows_that_were_pushed_without_a_filter_leave_when_the_table_gets_one() {
    for cursor in [true, false] {
        let mut world = World::with(TASKS, &options(0, cursor));
        define(&world);
        world.exec("INSERT INTO tasks(id, project) VALUES (1, 1), (2, 2)");
        world.push().unwrap();
        world.reopen(&options(2, cursor));
        world.exec("INSERT INTO tasks(id, project) VALUES (900, 1)");
        world.pull("{}").unwrap();
        assert_eq!(world.rows("SELECT id FROM tasks"), ["2", "900"], "row 900 was never at the remote");
        // The filter is away for one push, without any pull.
        world.reopen(&options(0, cursor));
        world.push().unwrap();
        world.reopen(&options(2, cursor));
        world.pull("{}").unwrap();
        assert_eq!(world.rows("SELECT id FROM tasks"), ["2"]);
        assert_eq!(world.server.rows("tasks").len(), 3);
    }
}

#[test]
fn a_table_that_always_had_a_filter_is_never_read_without_it() {
    let function = format!(r#"{{"url":"http://server","key":"k","tables":{FUNCTION}}}"#);
    for remote in [options(1, true), options(1, false), function] {
        let mut world = World::with(TASKS, &remote);
        define(&world);
        show_project(&world, 1);
        world.exec("INSERT INTO tasks(id, project) VALUES (1, 1), (2, 2)");
        world.push().unwrap();
        world.server.take_requests();
        world.pull("{}").unwrap();
        assert_eq!(world.rows("SELECT id FROM tasks"), ["1"]);
        let requests = world.server.take_requests();
        let unfiltered = requests.iter().find(|request| !request.url.contains("project=eq.1"));
        assert_eq!(unfiltered.map(|request| &request.url), None);
    }
}

#[test]
fn a_function_gives_the_filter_before_each_pull() {
    let mut world = World::new(TASKS, FUNCTION);
    two_projects(&world);
    show_project(&world, 1);
    assert_eq!(only(&world.pull("{}").unwrap()), "30/0/0/0/0/0/0");
    assert_eq!(only(&world.pull("{}").unwrap()), "0/0/0/0/0/0/0", "the same filter reads nothing again");
    assert_eq!(world.host.filters_asked.get(), 2);
    show_project(&world, 2);
    assert_eq!(only(&world.pull("{}").unwrap()), "30/0/30/0/0/0/0");
    show_project(&world, 0);
    assert_eq!(only(&world.pull("{}").unwrap()), "30/0/0/30/0/0/0");
    show_project(&world, 2);
    assert_eq!(only(&world.pull("{}").unwrap()), "0/0/30/30/0/0/0");
    world.sim.advance(7 * 3_600_000);
    assert_eq!(only(&world.pull("{}").unwrap()), "0/0/0/0/0/0/0");
}

#[test]
fn rows_with_unpushed_changes_stay_until_they_are_pushed() {
    let mut world = World::new(TASKS, FUNCTION);
    two_projects(&world);
    show_project(&world, 1);
    world.pull("{}").unwrap();
    world.exec(
        "UPDATE tasks SET name = 'mine' WHERE id <= 25; INSERT INTO tasks(id, project, name) VALUES (500, 1, 'new')",
    );
    show_project(&world, 2);
    assert_eq!(only(&world.pull("{}").unwrap()), "30/0/5/0/25/0/0", "the kept rows are told");
    assert_eq!(world.rows("SELECT count(*), sum(name = 'mine') FROM tasks WHERE project = 1"), ["26|25"]);
    assert_eq!(world.outbox().len(), 26);
    // The rows were deleted because of the filter, not at the remote. Later pulls don't treat that as an empty remote.
    assert_eq!(only(&world.pull("{}").unwrap()), "0/0/0/0/0/0/0", "the keys are not listed again");
    assert_eq!(only(&world.pull(r#"{"full":true}"#).unwrap()), "0/0/0/30/25/0/0");
    world.push().unwrap();
    assert_eq!(only(&world.pull("{}").unwrap()), "0/0/26/0/0/0/0");
    assert_eq!(projects(&world), ["2|30"]);
    assert_eq!(world.server.rows("tasks").len(), 61);
}

#[test]
fn rows_that_a_push_put_outside_of_the_filter_leave_whatever_their_number() {
    let mut world = World::with(TASKS, &options(1, true));
    define(&world);
    (1..=30).for_each(|id| put(&world, id, 1));
    world.pull("{}").unwrap();
    world.exec("UPDATE tasks SET project = 2; INSERT INTO tasks(id, project, name) VALUES (500, 3, 'new')");
    world.push().unwrap();
    assert_eq!(only(&world.pull("{}").unwrap()), "0/0/31/0/0/0/0");
    assert_eq!(world.server.rows("tasks").len(), 31);
}

#[test]
fn a_row_that_no_pull_has_read_hides_no_row_that_leaves() {
    let mut world = World::with(TASKS, &options(1, true));
    define(&world);
    (1..=30).for_each(|id| put(&world, id, 1));
    world.pull("{}").unwrap();
    world.exec("UPDATE tasks SET project = 2 WHERE id = 7");
    world.push().unwrap();
    // Its time is before those that are read: the remote has as many rows as are known here.
    let old = [("id", "99"), ("project", "1"), ("name", "\"old\""), ("updated_at", "\"2020-01-01T00:00:00+00:00\"")];
    world.server.put("tasks", &old);
    world.pull("{}").unwrap();
    assert_eq!(world.rows("SELECT count(*), sum(id = 7), sum(id = 99) FROM tasks"), ["30|0|1"]);
}

#[test]
fn a_row_that_comes_marked_as_deleted_hides_no_row_that_leaves() {
    let remote = r#"{"url":"http://server","key":"k","tables":[
        {"table":"tasks","cursor":"updated_at","deleted":"gone","filter":{"project":"eq.1"}}]}"#;
    let mut world = World::with(TASKS, remote);
    let rules = Rules { stamp: Some("updated_at".to_owned()), ..Rules::default() };
    world.server.define("tasks", &["id", "project", "name", "updated_at", "gone"], rules);
    let change = |world: &World, id: &str, cells: &[(&str, &str)]| world.server.change("tasks", id, cells);
    ["1", "2"].iter().for_each(|id| change(&world, id, &[("project", "1")]));
    world.pull("{}").unwrap();
    change(&world, "1", &[("project", "2")]);
    change(&world, "3", &[("project", "1"), ("gone", "true")]);
    world.pull("{}").unwrap();
    assert_eq!(world.rows("SELECT id FROM tasks"), ["2"]);
    // Nor is a later mark a reason to list all keys.
    change(&world, "2", &[("gone", "true")]);
    world.server.take_requests();
    world.pull(r#"{"allowEmpty":true}"#).unwrap();
    assert_eq!(world.rows("SELECT id FROM tasks"), Vec::<String>::new());
    assert_eq!(world.server.take_requests().len(), 2, "the changed rows, and the number of rows");
}

#[test]
fn a_parent_that_comes_back_with_its_child_leaves_again_without_it() {
    let schema = format!(
        "{TASKS}; CREATE TABLE notes(id INTEGER PRIMARY KEY, task INTEGER REFERENCES tasks, text TEXT, updated_at TEXT)"
    );
    let remote = r#"{"url":"http://server","key":"k","tables":[
        {"table":"tasks","cursor":"updated_at","filter":{"project":"eq.1"}},
        {"table":"notes","cursor":"updated_at","conflict":"remote-wins"}]}"#;
    let mut world = World::with(&schema, remote);
    define(&world);
    let rules = Rules { stamp: Some("updated_at".to_owned()), ..Rules::default() };
    world.server.define("notes", &["id", "task", "text", "updated_at"], rules);
    ["1", "2"].iter().for_each(|id| world.server.change("tasks", id, &[("project", "1")]));
    world.server.change("notes", "1", &[("task", "1")]);
    world.pull("{}").unwrap();
    world.exec("DELETE FROM notes; DELETE FROM tasks WHERE id = 1");
    world.server.change("tasks", "1", &[("project", "2")]);
    world.pull("{}").unwrap();
    world.server.change("notes", "1", &[("text", "\"theirs\"")]);
    world.push().unwrap();
    let rows = |world: &World| world.rows("SELECT id, 'task' FROM tasks UNION ALL SELECT id, text FROM notes");
    assert_eq!(rows(&world), ["1|task", "2|task", "1|theirs"], "the note of the remote wins, and needs its task");
    world.server.change("notes", "1", &[("task", "null")]);
    world.pull("{}").unwrap();
    assert_eq!(rows(&world), ["2|task", "1|theirs"]);
    assert_eq!(world.server.rows("tasks").len(), 2);
}

#[test]
fn an_empty_remote_is_still_refused_under_the_new_filter() {
    let mut world = World::new(TASKS, FUNCTION);
    two_projects(&world);
    show_project(&world, 1);
    world.pull("{}").unwrap();
    show_project(&world, 2);
    world.pull("{}").unwrap();
    world.server.hide(true);
    fails(world.pull("{}"), ErrorCode::RemoteEmpty);
    assert_eq!(projects(&world), ["2|30"]);
}

#[test]
fn a_pull_that_was_cut_goes_on_and_another_filter_begins_anew() {
    let tables = r#"{"url":"http://server","key":"k","pageSize":5,"retries":0,"tables":[{"table":"tasks","hasFilterFunction":true,"cursor":"updated_at"}]}"#;
    let mut world = World::with(TASKS, tables);
    two_projects(&world);
    show_project(&world, 1);
    world.pull("{}").unwrap();
    show_project(&world, 2);
    let cut = |world: &mut World| {
        (0..6).for_each(|_| world.server.fault(Fault::None));
        (0..20).for_each(|_| world.server.fault(Fault::Drop));
        fails(world.pull("{}"), ErrorCode::SyncNetwork);
        world.server.clear_faults();
    };
    cut(&mut world);
    let rows = |world: &World| world.rows("SELECT project FROM tasks").len();
    assert!(rows(&world) >= 30, "nothing leaves before all is read");
    let report = world.pull("{}").unwrap();
    assert!(report.tables[0].resumed);
    assert_eq!((report.tables[0].deleted, projects(&world)), (30, vec!["2|30".to_owned()]));
    show_project(&world, 0);
    cut(&mut world);
    show_project(&world, 1);
    world.pull("{}").unwrap();
    assert_eq!(projects(&world), ["1|30"]);
}

#[test]
fn a_function_that_fails_stops_its_table_alone_and_its_filter_stays() {
    let schema = format!("{TASKS}; CREATE TABLE notes(id INTEGER PRIMARY KEY)");
    let tables = r#"[{"table":"tasks","hasFilterFunction":true,"cursor":"updated_at"},{"table":"notes"}]"#;
    let mut world = World::new(&schema, tables);
    two_projects(&world);
    show_project(&world, 1);
    world.server.table("notes");
    world.pull("{}").unwrap();
    world.server.put("notes", &[("id", "1")]);
    world.host.filters.borrow_mut().insert("tasks".to_owned(), Err(Error::invalid("The filter function failed")));
    let error = fails(world.pull("{}"), ErrorCode::InvalidArgument);
    assert_eq!(error.details.get("table").map(|table| format!("{table:?}")).as_deref(), Some("Text(\"tasks\")"));
    assert_eq!(world.rows("SELECT id FROM notes"), ["1"], "the other table is pulled");
    assert_eq!(projects(&world), ["1|30"]);
    fails(world.pull(r#"{"mode":"replace"}"#), ErrorCode::InvalidArgument);
    show_project(&world, 1);
    let report = world.pull("{}").unwrap();
    let tasks = report.tables.iter().find(|table| table.table == "tasks").unwrap();
    assert_eq!((tasks.unchanged, tasks.bytes), (0, 2), "the same filter reads nothing again");
}

#[test]
fn a_replace_takes_the_new_filter() {
    let mut world = World::new(TASKS, FUNCTION);
    two_projects(&world);
    show_project(&world, 1);
    world.pull("{}").unwrap();
    show_project(&world, 2);
    assert_eq!(only(&world.pull(r#"{"mode":"replace"}"#).unwrap()), "30/0/30/0/0/0/0");
    assert_eq!(only(&world.pull("{}").unwrap()), "0/0/0/0/0/0/0");
    world.server.hide(true);
    fails(world.pull(r#"{"mode":"replace"}"#), ErrorCode::RemoteEmpty);
    assert_eq!(projects(&world), ["2|30"]);
}
