//! Automatic sync of an open database, on virtual time, against the model server.

use std::rc::Rc;

use tidelock::{ErrorCode, engine::Database, ports::LifecycleEvent, sync::report::PullOptions};

use crate::{
    sync::model::{Fault, Server},
    sync::model_writes::Rules,
    world::{Tab, World, text},
};

const MIGRATION: &str = r#"{ "version": "1", "name": "items", "checksum": null, "transaction": true, "upIsFunction": false, "downIsFunction": false,
    "up": "CREATE TABLE items(id INTEGER PRIMARY KEY, name TEXT); CREATE TABLE parts(id INTEGER PRIMARY KEY, item INTEGER, name TEXT)" }"#;

/// The time in milliseconds within which a database syncs after the network has returned.
const RETURN_MS: u64 = 12_500;

/// Returns the options of a database in this mode, with additional remote options.
pub fn options(mode: &str, more: &str) -> String {
    format!(
        r#"{{ "migrations": [{MIGRATION}], "mode": "{mode}", "remote": {{ "url": "http://server", "key": "k", "retries": 0,
            "tables": [{{ "table": "items" }}, {{ "table": "parts" }}]{more} }} }}"#
    )
}

fn cloud() -> String {
    options("cloud", "")
}

fn online(tab: Tab, server: &Server) -> Tab {
    let mut ports = tab.ports.clone();
    ports.http = Rc::new(server.clone());
    Tab { ports, ..tab }
}

fn server(world: &World) -> Server {
    let server = Server::new(world.sim.platform().clock);
    server.define("items", &["id", "name"], Rules::default());
    let parents = vec![("item".to_owned(), "items".to_owned())];
    server.define("parts", &["id", "item", "name"], Rules { parents, ..Rules::default() });
    server.put("items", &[("id", "1"), ("name", "\"remote\"")]);
    server
}

async fn run(database: &Database, sql: &str) {
    crate::world::run(database, sql).await;
}

pub async fn names(database: &Database) -> String {
    text(database, "SELECT coalesce(group_concat(id || ' ' || name), '') FROM (SELECT * FROM items ORDER BY id)").await
}

fn there(server: &Server, table: &str) -> Vec<String> {
    let mut rows: Vec<_> = server.rows(table).iter().map(|row| format!("{} {}", row["id"], row["name"])).collect();
    rows.sort();
    rows
}

pub fn heard(tab: &Tab, what: &str) -> usize {
    tab.heard.borrow().iter().filter(|event| event.contains(what)).count()
}

/// Runs a scenario with a server.
pub fn with_server<F: Future<Output = ()> + 'static>(
    scenario: impl FnOnce(Tab, Server, Rc<crate::world::TestPage>) -> F,
) {
    let mut world = World::new();
    let (server, page) = (server(&world), world.page.clone());
    world.run(|tab| scenario(online(tab, &server), server, page));
}

#[test]
fn a_cloud_database_pulls_when_it_opens_and_pushes_what_is_written() {
    with_server(|tab, server, _| async move {
        let clock = tab.ports.platform.clock.clone();
        let database = tab.open(&cloud()).await.unwrap();
        assert!(server.take_requests().is_empty(), "opening waits for no network");
        assert!(!database.sync_ready().await.unwrap());
        clock.sleep(500).await;
        assert_eq!(names(&database).await, "1 remote");
        assert!(database.sync_ready().await.unwrap());
        run(&database, "INSERT INTO items VALUES (2, 'mine')").await;
        clock.sleep(900).await;
        assert_eq!(there(&server, "items"), [r#"1 "remote""#, r#"2 "mine""#]);
        let health = database.health().await;
        assert_eq!((health.database, health.sync.phase, health.sync.pending), ("cloud", "idle", 0));
        // Writes of other clients arrive with the interval.
        server.change("items", "1", &[("name", "\"theirs\"")]);
        clock.sleep(34_000).await;
        assert_eq!(names(&database).await, "1 theirs,2 mine");
        // Nothing changes: no push, and a pull each half minute.
        server.take_requests();
        clock.sleep(300_000).await;
        let requests = server.take_requests();
        assert!((16..=44).contains(&requests.len()), "{}", requests.len());
        assert!(requests.iter().all(|request| request.method.as_str() == "GET"));
        database.close().await.unwrap();
        server.take_requests();
        clock.sleep(300_000).await;
        assert!(server.take_requests().is_empty(), "a closed one rests");
    });
}

#[test]
fn local_tables_are_no_reason_to_ask_the_remote() {
    with_server(|tab, server, _| async move {
        let clock = tab.ports.platform.clock.clone();
        let database = tab.open(&cloud()).await.unwrap();
        run(&database, "CREATE TABLE notes(id INTEGER PRIMARY KEY)").await;
        clock.sleep(1000).await;
        server.take_requests();
        let events = tab.heard.borrow().len();
        run(&database, "INSERT INTO notes VALUES (1)").await;
        clock.sleep(2000).await;
        assert!(server.take_requests().is_empty());
        let heard: Vec<String> = tab.heard.borrow()[events..].to_vec();
        assert!(heard.iter().all(|event| event.contains("change")), "{heard:?}");
        database.close().await.unwrap();
    });
}

#[test]
fn start_and_stop_by_hand() {
    with_server(|tab, server, _| async move {
        let clock = tab.ports.platform.clock.clone();
        let database = tab.open(&options("local", "")).await.unwrap();
        clock.sleep(60_000).await;
        assert!(server.take_requests().is_empty(), "a local one asks nobody");
        for _ in 0..3 {
            database.sync_start(1000).unwrap();
        }
        clock.sleep(10_500).await;
        let rounds = heard(&tab, r#""phase":"pulling""#);
        assert!((9..=12).contains(&rounds), "{rounds}: one at a time, about each second and what it takes");
        database.sync_start(100).unwrap();
        clock.sleep(1000).await;
        assert!(heard(&tab, r#""phase":"pulling""#) > 14);
        database.sync_stop();
        database.sync_stop();
        clock.sleep(0).await;
        server.take_requests();
        run(&database, "INSERT INTO items VALUES (2, 'mine')").await;
        clock.sleep(600_000).await;
        assert!(server.take_requests().is_empty());
        database.sync_start(1000).unwrap();
        clock.sleep(500).await;
        assert_eq!(there(&server, "items").len(), 2);
        database.close().await.unwrap();
        assert_eq!(database.sync_start(1000).unwrap_err().code, ErrorCode::Closed);
        database.sync_stop();
    });
    let mut world = World::new();
    world.run(|tab| async move {
        let database = tab.open("{}").await.unwrap();
        assert_eq!(database.sync_start(1000).unwrap_err().code, ErrorCode::InvalidArgument);
        database.sync_stop();
        database.close().await.unwrap();
        let error = tab.open(r#"{ "mode": "cloud" }"#).await.err().expect("refuses");
        assert_eq!(error.code, ErrorCode::InvalidArgument);
    });
}

#[test]
fn stopping_gives_up_what_is_under_way_unless_somebody_waits_for_it() {
    with_server(|tab, server, _| async move {
        let clock = tab.ports.platform.clock.clone();
        (10..3000).for_each(|id| server.put("items", &[("id", &id.to_string()), ("name", "\"x\"")]));
        let database = tab.open(&options("local", "")).await.unwrap();
        database.sync_start(1000).unwrap();
        clock.sleep(30).await;
        assert_eq!(database.health().await.sync.phase, "pulling");
        database.sync_stop();
        clock.sleep(1).await;
        assert_eq!(database.health().await.sync.phase, "idle");
        server.take_requests();
        clock.sleep(5000).await;
        assert!(server.take_requests().is_empty());
        database.sync_start(1000).unwrap();
        clock.sleep(30).await;
        let stop = async {
            clock.sleep(1).await;
            database.sync_stop();
        };
        let (pulled, ()) = futures_util::future::join(database.sync_pull(Default::default(), None), stop).await;
        let report = pulled.unwrap();
        assert!(report.tables[0].resumed, "it joined what goes on where the other one was cut");
        assert!(database.sync_ready().await.unwrap());
        database.close().await.unwrap();
    });
}

#[test]
fn nothing_waits_for_the_network_and_everything_leaves_when_there_is_one() {
    with_server(|tab, server, page| async move {
        let clock = tab.ports.platform.clock.clone();
        (0..1000).for_each(|_| server.fault(Fault::Drop));
        let database = tab.open(&cloud()).await.unwrap();
        run(&database, "INSERT INTO items VALUES (2, 'mine')").await;
        clock.sleep(600_000).await;
        let tries = server.take_requests().len();
        assert!((8..=20).contains(&tries), "{tries}");
        assert_eq!(database.health().await.sync.last_error.unwrap().code, ErrorCode::SyncNetwork);
        server.clear_faults();
        page.happens(LifecycleEvent::Online);
        clock.sleep(RETURN_MS).await;
        assert_eq!(there(&server, "items").len(), 2);
        assert_eq!(names(&database).await, "1 remote,2 mine");
        assert_eq!(database.health().await.sync.last_error, None);
        // A network that fails with an `offline` event.
        server.take_requests();
        page.happens(LifecycleEvent::Offline);
        run(&database, "INSERT INTO items VALUES (3, 'mine')").await;
        clock.sleep(60_000).await;
        assert!(server.take_requests().is_empty());
        page.happens(LifecycleEvent::Online);
        clock.sleep(RETURN_MS).await;
        assert_eq!(there(&server, "items").len(), 3);
        // A network that fails and recovers without lifecycle events.
        (0..4).for_each(|_| server.fault(Fault::Drop));
        run(&database, "INSERT INTO items VALUES (4, 'mine')").await;
        clock.sleep(60_000).await;
        assert_eq!(there(&server, "items").len(), 4, "it comes again by itself");
        // A call of the user doesn't wait for the delay of a round.
        page.happens(LifecycleEvent::Offline);
        run(&database, "INSERT INTO items VALUES (5, 'mine')").await;
        page.happens(LifecycleEvent::Online);
        database.sync_push(None).await.unwrap();
        assert_eq!(there(&server, "items").len(), 5);
        // Once all clients are back, writes are pushed at once.
        clock.sleep(RETURN_MS).await;
        run(&database, "INSERT INTO items VALUES (6, 'mine')").await;
        clock.sleep(300).await;
        assert_eq!(there(&server, "items").len(), 6);
        database.close().await.unwrap();
    });
}

#[test]
fn a_request_that_hangs_is_given_up_when_there_is_a_network_again() {
    with_server(|tab, server, page| async move {
        let clock = tab.ports.platform.clock.clone();
        let database = tab.open(&options("cloud", r#","retries":9"#).replace(r#""retries": 0,"#, "")).await.unwrap();
        clock.sleep(500).await;
        (0..100).for_each(|_| server.fault(Fault::Drop));
        run(&database, "INSERT INTO items VALUES (2, 'mine')").await;
        clock.sleep(20_000).await;
        page.happens(LifecycleEvent::Offline);
        server.clear_faults();
        page.happens(LifecycleEvent::Online);
        clock.sleep(RETURN_MS).await;
        assert_eq!(there(&server, "items").len(), 2, "not after the wait that had begun");
        database.close().await.unwrap();
    });
}

#[test]
fn a_server_that_asks_for_patience_gets_it() {
    with_server(|tab, server, page| async move {
        let clock = tab.ports.platform.clock.clone();
        let database = tab.open(&cloud()).await.unwrap();
        clock.sleep(500).await;
        server.take_requests();
        server.fault(Fault::Status(429, vec![("retry-after", "600".to_owned())], "{}".to_owned()));
        run(&database, "INSERT INTO items VALUES (2, 'mine')").await;
        clock.sleep(300_000).await;
        page.happens(LifecycleEvent::Shown);
        run(&database, "INSERT INTO items VALUES (3, 'mine')").await;
        clock.sleep(290_000).await;
        assert_eq!(server.take_requests().len(), 1);
        clock.sleep(10_000 + RETURN_MS).await;
        assert_eq!(there(&server, "items").len(), 3);
        // Rounds obey a `Retry-After` that a call of the user received, too.
        let asks = ("retry-after", "600".to_owned());
        server.fault(Fault::Status(503, vec![asks], "{}".to_owned()));
        assert_eq!(database.sync_pull(Default::default(), None).await.unwrap_err().code, ErrorCode::SyncServer);
        server.take_requests();
        page.happens(LifecycleEvent::Online);
        run(&database, "INSERT INTO items VALUES (4, 'mine')").await;
        clock.sleep(599_000).await;
        assert!(server.take_requests().is_empty());
        clock.sleep(1000 + RETURN_MS).await;
        assert_eq!(there(&server, "items").len(), 4);
        database.close().await.unwrap();
    });
}

#[test]
fn a_change_whose_parent_comes_later_is_sent_again_by_time() {
    with_server(|tab, server, _| async move {
        let clock = tab.ports.platform.clock.clone();
        let database = tab.open(&cloud()).await.unwrap();
        clock.sleep(500).await;
        run(&database, "INSERT INTO parts VALUES (1, 77, 'waits'), (2, 1, 'fine')").await;
        clock.sleep(900).await;
        assert_eq!(there(&server, "parts"), [r#"2 "fine""#], "the rest goes on");
        assert!(database.sync_rejected().await.unwrap().is_empty(), "it may still come");
        server.put("items", &[("id", "77"), ("name", "\"late\"")]);
        clock.sleep(5000).await;
        assert_eq!(there(&server, "parts").len(), 2);
        // A row whose parent never arrives is finally refused, and no other row has waited for it.
        run(&database, "INSERT INTO parts VALUES (3, 99, 'never')").await;
        clock.sleep(1000).await;
        run(&database, "INSERT INTO items VALUES (5, 'other')").await;
        clock.sleep(900).await;
        assert!(there(&server, "items").contains(&r#"5 "other""#.to_owned()));
        clock.sleep(240_000).await;
        let rejected = database.sync_rejected().await.unwrap();
        assert_eq!((rejected.len(), rejected[0].reason.map(|reason| reason.as_str())), (1, Some("refused")));
        // Without automatic sync, the remote's refusal is final at once.
        database.sync_stop();
        run(&database, "INSERT INTO parts VALUES (4, 98, 'by hand')").await;
        let report = database.sync_push(None).await.unwrap();
        assert_eq!(report.tables.iter().map(|table| table.rejected).sum::<u64>(), 1);
        database.close().await.unwrap();
    });
}

#[test]
fn what_is_refused_for_good_stops_nothing() {
    with_server(|tab, server, _| async move {
        let clock = tab.ports.platform.clock.clone();
        let check: Rc<dyn Fn(&crate::sync::model::Row) -> bool> = Rc::new(|row| row["name"] != "\"bad\"");
        server.define("items", &["id", "name"], Rules { check: Some(check), ..Rules::default() });
        let database = tab.open(&cloud()).await.unwrap();
        run(&database, "INSERT INTO items VALUES (2, 'bad'), (3, 'good')").await;
        clock.sleep(900).await;
        assert_eq!(there(&server, "items"), [r#"1 "remote""#, r#"3 "good""#]);
        let rejected = database.sync_rejected().await.unwrap();
        assert_eq!(rejected.len(), 1);
        run(&database, "UPDATE items SET name = 'better' WHERE id = 2").await;
        database.sync_retry(rejected[0].id).await.unwrap();
        clock.sleep(900).await;
        assert_eq!(there(&server, "items").len(), 3, "what is retried leaves soon");
        database.close().await.unwrap();
    });
}

#[test]
fn a_table_in_trouble_rests_and_the_others_keep_their_pace() {
    with_server(|tab, server, _| async move {
        let clock = tab.ports.platform.clock.clone();
        let body = r#"{"code":"XX000","message":"a view is broken"}"#;
        server.trouble("items", Some(Fault::Status(500, vec![], body.to_owned())));
        let database = tab.open(&cloud()).await.unwrap();
        clock.sleep(1000).await;
        run(&database, "INSERT INTO parts(id, name) VALUES (1, 'mine'); INSERT INTO items VALUES (2, 'mine')").await;
        clock.sleep(500).await;
        assert_eq!(there(&server, "parts"), [r#"1 "mine""#], "what is written leaves at once");
        server.take_requests();
        for round in 2..40 {
            let id = round.to_string();
            server.change("parts", &id, &[("name", "\"theirs\"")]);
            clock.sleep(34_000).await;
            let last = text(&database, "SELECT CAST(max(id) AS TEXT) FROM parts").await;
            assert_eq!(last, id, "the interval is 30 s, a tenth more or less");
        }
        let about = |requests: &[tidelock::ports::HttpRequest], table: &str| {
            requests.iter().filter(|request| request.url.contains(table)).count()
        };
        let requests = server.take_requests();
        assert!(about(&requests, "items") < 60, "{} requests in 20 minutes", about(&requests, "items"));
        assert!(about(&requests, "parts") >= 38);
        let status = database.sync_status().await.unwrap();
        assert!(status[0].last_error.is_some() && status[1].last_error.is_none(), "{status:?}");
        // A call of the user is tried at once.
        let error = database.sync_pull(PullOptions::default(), None).await.unwrap_err();
        assert!(error.is(ErrorCode::SyncServer) && about(&server.take_requests(), "items") > 0);
        server.trouble("items", None);
        clock.sleep(300_000).await;
        assert_eq!(names(&database).await, "1 remote,2 mine");
        assert_eq!(there(&server, "items").len(), 2);
        database.close().await.unwrap();
    });
}

#[test]
fn the_remote_wins_in_the_cloud_unless_the_table_says_otherwise() {
    for (mode, table, expected) in
        [("cloud", "", "1 theirs"), ("cloud", r#", "conflict": "keep-local""#, "1 mine"), ("local", "", "1 mine")]
    {
        with_server(move |tab, server, page| async move {
            let clock = tab.ports.platform.clock.clone();
            let options =
                options(mode, "").replace(r#"{ "table": "items" }"#, &format!(r#"{{ "table": "items"{table} }}"#));
            let database = tab.open(&options).await.unwrap();
            database.sync_start(30_000).unwrap();
            clock.sleep(500).await;
            page.happens(LifecycleEvent::Offline);
            run(&database, "UPDATE items SET name = 'mine' WHERE id = 1").await;
            server.change("items", "1", &[("name", "\"theirs\"")]);
            page.happens(LifecycleEvent::Online);
            clock.sleep(2000 + RETURN_MS).await;
            assert_eq!(names(&database).await, expected, "{mode} {table}");
            assert_eq!(there(&server, "items"), [expected.replace("1 ", "1 \"") + "\""]);
            database.close().await.unwrap();
        });
    }
}

#[test]
fn local_to_cloud_and_back_keeps_everything() {
    with_server(|tab, server, _| async move {
        let clock = tab.ports.platform.clock.clone();
        let database = tab.open(&options("local", "")).await.unwrap();
        run(&database, "INSERT INTO items VALUES (2, 'mine')").await;
        database.close().await.unwrap();
        assert!(server.take_requests().is_empty());
        let database = tab.open(&cloud()).await.unwrap();
        clock.sleep(500).await;
        assert_eq!(there(&server, "items").len(), 2);
        assert_eq!(names(&database).await, "1 remote,2 mine");
        database.close().await.unwrap();
        let database = tab.open(&options("local", "")).await.unwrap();
        assert!(database.sync_ready().await.unwrap(), "it is still known");
        run(&database, "DELETE FROM items WHERE id = 2").await;
        server.take_requests();
        clock.sleep(60_000).await;
        assert!(server.take_requests().is_empty());
        assert_eq!(database.sync_pending().await.unwrap().len(), 1);
        database.close().await.unwrap();
    });
}

#[test]
fn another_user_stops_it_before_any_request() {
    with_server(|tab, server, _| async move {
        let clock = tab.ports.platform.clock.clone();
        let database = tab.open(&options("cloud", r#","userId":"a""#)).await.unwrap();
        clock.sleep(500).await;
        database.close().await.unwrap();
        server.take_requests();
        let database = tab.open(&options("cloud", r#","userId":"b""#)).await.unwrap();
        run(&database, "INSERT INTO items VALUES (2, 'mine')").await;
        clock.sleep(600_000).await;
        assert!(server.take_requests().is_empty());
        let told = r#""phase":"idle","error":{"name":"TidelockError","code":"sync_user_mismatch""#;
        assert_eq!(heard(&tab, told), 1, "it stopped: {:?}", tab.heard.borrow());
        let health = database.health().await;
        assert_eq!(health.sync.last_error.unwrap().code, ErrorCode::SyncUserMismatch);
        let status = database.sync_status().await.unwrap();
        assert!(
            status
                .iter()
                .all(|table| table.last_error.as_ref().is_some_and(|error| error.is(ErrorCode::SyncUserMismatch)))
        );
        assert_eq!(names(&database).await, "1 remote,2 mine", "everything else works");
        database.close().await.unwrap();
        // Without a signed-in user, rounds are repeated without a request to the remote.
        let database = tab.open(&cloud()).await.unwrap();
        clock.sleep(100_000).await;
        assert!(server.take_requests().is_empty());
        assert!(heard(&tab, told) > 3);
        database.close().await.unwrap();
    });
}

/// Returns an unsigned token of a user.
fn token_of(user: &str) -> String {
    let claims = if user == "a" { "eyJzdWIiOiJhIn0" } else { "eyJzdWIiOiJiIn0" };
    format!("eyJhbGciOiJub25lIn0.{claims}.x")
}

#[test]
fn a_user_who_signs_out_sends_nothing_more_and_goes_on_after_signing_in() {
    with_server(|tab, server, _| async move {
        let clock = tab.ports.platform.clock.clone();
        tab.token.replace(Some(token_of("a")));
        let database = tab.open(&options("cloud", r#","hasAccessToken":true"#)).await.unwrap();
        clock.sleep(500).await;
        let change = |user: Option<&str>| {
            tab.token.replace(user.map(token_of));
            database.sync_user(user.is_some()).unwrap();
        };
        // The user changes during a push with a slow request.
        run(&database, "INSERT INTO items VALUES (2, 'mine')").await;
        server.take_requests();
        let push = database.sync_push(None);
        let (pushed, ()) = futures_util::future::join(push, async {
            clock.sleep(10).await;
            assert_eq!(server.take_requests().len(), 1);
            change(None);
        })
        .await;
        assert_eq!(pushed.unwrap_err().code, ErrorCode::SyncUnauthorized);
        assert_eq!(database.sync_pending().await.unwrap().len(), 1, "what was not sent stays");
        clock.sleep(600_000).await;
        assert!(server.take_requests().is_empty(), "no user is signed in");
        change(Some("a"));
        clock.sleep(1000).await;
        assert_eq!(there(&server, "items"), ["1 \"remote\"", "2 \"mine\""], "it goes on at once");
        assert!(database.sync_pending().await.unwrap().is_empty());
        // Another user's token stops the rounds until the first user signs in again.
        run(&database, "INSERT INTO items VALUES (3, 'again')").await;
        change(Some("b"));
        server.take_requests();
        clock.sleep(600_000).await;
        assert!(server.take_requests().is_empty());
        change(Some("a"));
        clock.sleep(1000).await;
        assert_eq!(there(&server, "items").len(), 3);
        // Automatic sync that the app has stopped stays stopped.
        database.sync_stop();
        change(None);
        change(Some("a"));
        server.take_requests();
        clock.sleep(600_000).await;
        assert!(server.take_requests().is_empty());
        database.close().await.unwrap();
    });
}

#[test]
fn a_database_made_for_one_user_is_never_synced_as_another() {
    with_server(|tab, server, _| async move {
        let clock = tab.ports.platform.clock.clone();
        let database = tab.open(&options("cloud", r#","hasAccessToken":true,"owner":"a""#)).await.unwrap();
        run(&database, "INSERT INTO items VALUES (2, 'mine')").await;
        for user in [None, Some("b")] {
            tab.token.replace(user.map(token_of));
            clock.sleep(600_000).await;
            assert!(server.take_requests().is_empty(), "{user:?}");
        }
        tab.token.replace(Some(token_of("a")));
        database.sync_user(true).unwrap();
        clock.sleep(1000).await;
        assert_eq!(there(&server, "items").len(), 2);
        database.close().await.unwrap();
        tab.token.replace(Some(token_of("b")));
        let database = tab.open(&options("local", r#","hasAccessToken":true"#)).await.unwrap();
        let refused = database.sync_push(None).await.unwrap_err();
        assert_eq!(refused.code, ErrorCode::SyncUserMismatch, "the owner is stored");
        database.close().await.unwrap();
    });
}

#[test]
fn calls_by_hand_and_rounds_are_one_flight() {
    with_server(|tab, server, _| async move {
        let clock = tab.ports.platform.clock.clone();
        let database = tab.open(&cloud()).await.unwrap();
        clock.sleep(500).await;
        run(&database, "INSERT INTO items VALUES (2, 'mine')").await;
        server.take_requests();
        clock.sleep(245).await;
        let pushes = (0..5).map(|_| database.sync_push(None));
        futures_util::future::try_join_all(pushes).await.unwrap();
        clock.sleep(900).await;
        let posts = server.take_requests().iter().filter(|request| request.method.as_str() == "POST").count();
        assert_eq!((posts, server.history()), (1, vec!["insert 2".to_owned()]));
        database.close().await.unwrap();
    });
}

#[test]
fn a_page_that_is_shown_again_is_up_to_date() {
    with_server(|tab, server, page| async move {
        let clock = tab.ports.platform.clock.clone();
        let database = tab.open(&options("local", "")).await.unwrap();
        database.sync_start(3_600_000).unwrap();
        clock.sleep(500).await;
        page.happens(LifecycleEvent::Hidden);
        server.change("items", "1", &[("name", "\"theirs\"")]);
        clock.sleep(60_000).await;
        assert_eq!(names(&database).await, "1 remote");
        page.happens(LifecycleEvent::Shown);
        clock.sleep(500).await;
        assert_eq!(names(&database).await, "1 theirs");
        database.close().await.unwrap();
    });
}

#[test]
fn a_hidden_page_asks_more_rarely_while_nothing_changes() {
    with_server(|tab, server, page| async move {
        let clock = tab.ports.platform.clock.clone();
        let database = tab.open(&cloud()).await.unwrap();
        clock.sleep(60_000).await;
        let rounds_in_an_hour = async || {
            let before = heard(&tab, r#""phase":"pulling""#);
            clock.sleep(3_600_000).await;
            heard(&tab, r#""phase":"pulling""#) - before
        };
        let usual = rounds_in_an_hour().await;
        assert!((108..=132).contains(&usual), "{usual}");
        page.happens(LifecycleEvent::Hidden);
        let before = heard(&tab, r#""phase":"pulling""#);
        for _ in 0..360 {
            clock.sleep(10_000).await;
            let lag_ms = database.health().await.sync.lag_ms;
            assert!(lag_ms < Some(5 * 60_000), "health would warn of {lag_ms:?}");
        }
        let hidden = heard(&tab, r#""phase":"pulling""#) - before;
        assert!((14..=20).contains(&hidden), "{hidden}");
        server.change("items", "1", &[("name", "\"theirs\"")]);
        clock.sleep(270_000).await;
        assert_eq!(names(&database).await, "1 theirs");
        clock.sleep(600_000).await;
        page.happens(LifecycleEvent::Shown);
        server.change("items", "1", &[("name", "\"shown\"")]);
        clock.sleep(1500).await;
        assert_eq!(names(&database).await, "1 shown");
        let usual = rounds_in_an_hour().await;
        assert!((108..=132).contains(&usual), "{usual}");
        database.close().await.unwrap();
    });
}

#[test]
fn lagging_behind_is_told() {
    with_server(|tab, server, _| async move {
        let clock = tab.ports.platform.clock.clone();
        let lags = async |database: &Database| {
            let health = database.health().await;
            let told = health.alerts.iter().any(|alert| serde_json::to_string(alert).unwrap().contains("sync_lag"));
            (health.sync.lag_ms.unwrap_or(-1) / 1000, told)
        };
        let database = tab.open(&cloud()).await.unwrap();
        clock.sleep(1000).await;
        assert_eq!(lags(&database).await, (0, false));
        (0..1000).for_each(|_| server.fault(Fault::Status(500, vec![], "{}".to_owned())));
        clock.sleep(400_000).await;
        assert_eq!(lags(&database).await, (400, true));
        server.clear_faults();
        clock.sleep(180_000).await;
        assert!(!lags(&database).await.1);
        database.close().await.unwrap();
        // The table has never existed at the remote.
        let database = tab.open(&cloud().replace(r#"{ "table": "parts" }"#, r#"{ "table": "gone" }"#)).await.unwrap();
        clock.sleep(400_000).await;
        assert_eq!(lags(&database).await, (400, true));
        database.close().await.unwrap();
    });
}
