//! A hostile remote: redirects, endless answers, and answers that repeat secrets of the requests. A hostile outbox.

use tidelock::{ErrorCode, sync::outbox::entries};

use crate::{
    sync::host::{World, fails, only},
    sync::model::Fault,
    sync::model_writes::Rules,
};

const ITEMS: &str = "CREATE TABLE items(id INTEGER PRIMARY KEY, name TEXT)";

/// Creates a database of `items` with these additional remote options.
fn world(options: &str) -> World {
    World::with(
        ITEMS,
        &format!(r#"{{"url":"http://server","key":"the-publishable-key","tables":[{{"table":"items"}}]{options}}}"#),
    )
}

fn put(world: &World, ids: std::ops::Range<u64>, name: &str) {
    let name = format!("\"{name}\"");
    for id in ids {
        world.server.put("items", &[("id", &id.to_string()), ("name", &name)]);
    }
}

/// Returns how many rows the requests since the last call asked for, without requests for the end of a span.
fn limits(world: &World) -> Vec<String> {
    let limit = |url: &str| url.rsplit_once("limit=").map(|(_, limit)| limit.to_owned());
    world.server.take_requests().iter().filter_map(|request| limit(&request.url)).collect()
}

#[test]
fn a_redirect_is_not_followed_and_says_where_the_remote_is() {
    for (location, says, hint) in [
        (
            Some("https://www.server/rest/v1/items"),
            "https://www.server/rest/v1/items",
            "remote.url to https://www.server:",
        ),
        (Some("https://login.example/sign-in"), "https://login.example/sign-in", "Open remote.url"),
        (None, "another address", "Open remote.url"),
    ] {
        let mut world = world("");
        put(&world, 1..2, "a");
        world.exec("INSERT INTO items(id, name) VALUES (7, 'mine')");
        let headers: Vec<_> = location.map(|location| ("location", location.to_owned())).into_iter().collect();
        for status in [301, 302, 303, 307, 308] {
            world.server.fault(Fault::Status(status, headers.clone(), "[]".to_owned()));
            let error = fails(world.pull("{}"), ErrorCode::SyncProtocol);
            assert!(error.message.ends_with(&format!("remote redirects to {says}")), "{error}");
            assert!(error.hint.as_ref().unwrap().contains(hint), "{error}");
            world.server.fault(Fault::Status(status, headers.clone(), "[]".to_owned()));
            fails(world.push(), ErrorCode::SyncProtocol);
        }
        assert_eq!(world.server.take_requests().len(), 10, "each once");
        assert_eq!(world.rows("SELECT id FROM items"), ["7"]);
        assert_eq!(world.outbox().len(), 1, "what a redirect swallowed is not pushed");
        world.push().unwrap();
        assert_eq!(only(&world.pull("{}").unwrap()), "1/0/0/1/0/0/0");
    }
}

#[test]
fn pages_that_are_too_large_are_asked_for_again_smaller() {
    let mut world = world(r#","maxResponseBytes":100000"#);
    put(&world, 0..500, &"x".repeat(1000));
    let before = world.server.now();
    assert_eq!(only(&world.pull("{}").unwrap()), "500/0/0/0/0/0/0");
    let mut asked = limits(&world);
    asked.retain(|limit| !limit.contains("offset"));
    assert_eq!(asked[..4], ["1000", "500", "250", "125"], "{asked:?}");
    assert!(asked[4..].iter().all(|limit| limit == "62"), "{asked:?}");
    assert!(world.server.now().since(before) < 1_000, "nobody has to wait for that");
}

#[test]
fn a_row_that_is_too_large_is_an_error_with_the_limit() {
    let mut world = world(r#","maxResponseBytes":5000"#);
    put(&world, 0..20, "small");
    put(&world, 20..21, &"x".repeat(6_000));
    let error = fails(world.pull("{}"), ErrorCode::SyncProtocol);
    assert!(error.message.contains("remote.maxResponseBytes"), "{error}");
    assert_eq!((&error.details["limit"], &error.details["table"]), (&5000_u64.into(), &"items".into()));
    assert!(limits(&world).contains(&"1".to_owned()));
    assert!(world.sync.status(&world.host.connection).unwrap()[0].last_error.is_some());
    // Once that row is small, the other rows are pulled.
    put(&world, 20..21, "small");
    world.pull("{}").unwrap();
    assert_eq!(world.rows("SELECT count(*) FROM items"), ["21"]);
}

#[test]
fn an_answer_to_a_push_that_is_too_large_holds_up_its_row_alone() {
    let mut world = world(r#","maxResponseBytes":5000"#);
    world.server.table("items");
    let text = "x".repeat(1000);
    world.exec(&format!(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 40)
         INSERT INTO items(id, name) SELECT i, '{text}' FROM n; INSERT INTO items(id, name) VALUES (99, hex(zeroblob(4000)))"
    ));
    world.push().unwrap();
    assert_eq!(world.server.rows("items").len(), 41);
    let waiting = world.rows("SELECT key, reason, error LIKE '%maxResponseBytes%' FROM tidelock_outbox");
    assert_eq!(waiting, ["[99]|retrying|1"]);
}

#[test]
fn what_goes_out_in_confidence_is_kept_nowhere() {
    let secrets = ["the-publishable-key", "the.opaque.token", "s3cr3t-header"];
    let mut world = world(r#","hasAccessToken":true,"headers":{"x-key":"Basic s3cr3t-header"}"#);
    *world.host.token.borrow_mut() = Some(secrets[1].to_owned());
    let echo = format!(r#"{{"code":"22000","message":"got {}"}}"#, secrets.join(", "));
    world.exec("INSERT INTO items(id, name) VALUES (7, 'mine')");
    put(&world, 1..2, "a");
    world.server.fault(Fault::Status(400, vec![], echo.clone()));
    let error = fails(world.pull("{}"), ErrorCode::SyncRejected);
    assert_eq!(error.message, "The remote answered 400 for table items: got ***, ***, ***");
    let kept = |world: &World| {
        let stored = "SELECT coalesce(group_concat(coalesce(pull_error, '') || coalesce(push_error, '')), '') FROM tidelock_tables
                      UNION ALL SELECT coalesce(group_concat(error), '') FROM tidelock_outbox";
        let event = world.host.events.borrow().iter().map(|event| serde_json::to_string(event).unwrap()).collect();
        [world.rows(stored), event, vec![serde_json::to_string(&world.sync.last_error()).unwrap()]].concat().join("\n")
    };
    let after_pull = kept(&world);
    world.server.fault(Fault::Status(400, vec![], echo));
    world.push().unwrap();
    for text in [after_pull, kept(&world)] {
        assert!(text.contains("got ***"), "{text}");
        assert!(secrets.iter().all(|secret| !text.contains(secret)), "{text}");
    }
}

#[test]
fn a_token_that_no_header_can_have_or_a_page_must_not_have_is_never_sent() {
    // {"role":"service_role"}, unsigned.
    let service = "eyJhbGciOiJIUzI1NiJ9.eyJyb2xlIjoic2VydmljZV9yb2xlIn0.x";
    for token in ["two\nlines", "sb_secret_abc", service] {
        let mut world = world(r#","hasAccessToken":true"#);
        put(&world, 1..2, "a");
        *world.host.token.borrow_mut() = Some(token.to_owned());
        let error = fails(world.pull("{}"), ErrorCode::InvalidArgument);
        assert!(!serde_json::to_string(&error).unwrap().contains(token), "{error}");
        assert_eq!(world.server.take_requests().len(), 0);
        *world.host.token.borrow_mut() = Some("fine".to_owned());
        world.pull("{}").unwrap();
    }
}

#[test]
fn a_change_without_a_key_of_its_table_is_rejected_and_stops_nothing() {
    let mut world = World::new(ITEMS, r#"[{"table":"items"}]"#);
    world.server.define("items", &["id", "name"], Rules::default());
    world.pull("{}").unwrap();
    for (id, key) in ["x", "{}", "[]", "null", "[1,2]"].into_iter().enumerate() {
        for op in ["insert", "update", "delete"] {
            world.exec(&format!(
                "INSERT OR REPLACE INTO items VALUES ({id}, '{op}'); \
                 INSERT INTO tidelock_outbox(tbl, key, op, time) VALUES ('items', '{key}', '{op}', '')"
            ));
            world.push().unwrap();
            world.pull("{}").unwrap();
            assert_eq!(world.server.rows("items")[id]["name"], format!("\"{op}\""), "{key}");
            for entry in entries::rejected(&world.host.connection).unwrap() {
                world.discard(entry.id).unwrap();
            }
            assert_eq!(world.outbox(), Vec::<String>::new(), "{key} {op}");
        }
    }
}
