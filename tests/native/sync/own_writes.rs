//! Answers that are lost, where another client changes the row before the own write is recognized.

use super::altered::{POLICIES, at_rest, conflicts, push_in_vain, world};
use crate::sync::{host::World, model::Fault};

/// A server that stores what is sent.
fn plain(policy: &str) -> World {
    world(policy, str::to_owned, 0, true)
}

#[test]
fn what_another_client_wrote_since_vanishes_never_without_a_trace() {
    let made = ["UPDATE items SET name = 'first'", "INSERT INTO items(id, name) VALUES (2, 'first')"];
    let edits = ["UPDATE items SET body = 'mine' WHERE name = 'first'", "DELETE FROM items WHERE name = 'first'"];
    for (policy, made) in POLICIES.into_iter().flat_map(|policy| made.map(|made| (policy, made))) {
        for (edit, wait_ms, pull_first) in
            edits.into_iter().flat_map(|edit| [(edit, 0, false), (edit, 0, true), (edit, 120_000, false)])
        {
            let case = format!("{policy}, {made}, {edit}, after {wait_ms} ms, pull first: {pull_first}");
            let (is_new, is_late) = (made.starts_with("INSERT"), wait_ms > 0);
            let id = if is_new { "2" } else { "1" };
            let mut world = plain(policy);
            world.exec(made);
            push_in_vain(&mut world, || Fault::Lost);
            world.sim.advance(wait_ms);
            world.server.change("items", id, &[("body", "\"theirs\"")]);
            world.sim.advance(5_000);
            world.exec(edit);
            if pull_first {
                world.pull("{}").unwrap();
            }
            let theirs_win = policy == "remote-wins" && (is_late || !is_new && !edit.starts_with("DELETE"));
            if edit.starts_with("DELETE") && is_late && !theirs_win {
                world.push().unwrap();
                assert!(world.outbox()[0].ends_with("(conflict)"), "{case}: {:?}", world.outbox());
                assert!(world.server.rows("items").iter().any(|row| row["body"] == "\"theirs\""), "{case}");
            } else {
                let shown = format!("{id}|first|{}", if theirs_win { "theirs" } else { "mine" });
                let is_there = theirs_win || !edit.starts_with("DELETE");
                let rows = at_rest(&mut world, &case);
                assert_eq!(rows.contains(&shown), is_there, "{case}: {rows:?}");
            }
            assert_eq!(conflicts(&world), 1, "{case}");
        }
    }
}

#[test]
fn a_row_that_was_made_again_after_the_deletion_is_not_deleted_twice() {
    for policy in POLICIES {
        let mut world = plain(policy);
        world.exec("DELETE FROM items");
        push_in_vain(&mut world, || Fault::Lost);
        assert_eq!(world.server.rows("items").len(), 0, "{policy}: the deletion took effect");
        world.server.change("items", "1", &[("name", "\"one\""), ("body", "\"old\"")]);
        world.push().unwrap();
        assert_eq!(world.server.rows("items").len(), 1, "{policy}");
        let is_here = if policy == "remote-wins" { "1" } else { "0" };
        assert_eq!(world.rows("SELECT count(*) FROM items"), [is_here], "{policy}");
        assert_eq!(conflicts(&world), 1, "{policy}");
    }
}

#[test]
fn an_edit_that_was_undone_since_is_a_change() {
    for (policy, expected) in POLICIES.into_iter().zip(["1|one|old", "1|theirs|old", "1|one|old"]) {
        let mut world = plain(policy);
        world.exec("UPDATE items SET name = 'first'");
        push_in_vain(&mut world, || Fault::Lost);
        world.sim.advance(120_000);
        world.server.change("items", "1", &[("name", "\"theirs\"")]);
        world.sim.advance(5_000);
        world.exec("UPDATE items SET name = 'one'");
        assert_eq!(at_rest(&mut world, policy), [expected], "{policy}");
        assert_eq!(conflicts(&world), 1, "{policy}");
    }
}

#[test]
fn a_default_of_the_server_is_no_conflict_where_nothing_was_edited() {
    let mut world = plain("keep-local");
    world.exec("INSERT INTO items(id, name) VALUES (2, 'first')");
    push_in_vain(&mut world, || Fault::Lost);
    world.server.change("items", "2", &[("body", "\"default\"")]);
    assert_eq!(at_rest(&mut world, ""), ["1|one|old", "2|first|default"]);
    assert_eq!(conflicts(&world), 0);
}
