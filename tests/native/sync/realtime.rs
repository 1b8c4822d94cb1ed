//! Realtime of an open database: connections, hints, tokens and gaps, over sockets whose other end the test controls.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use tidelock::{
    Result,
    engine::Database,
    ports::{Clock, LifecycleEvent, Socket, SocketEvent, Sockets},
    sync::schedule::rounds::backoff_ms,
};

use crate::{
    sync::keep::{heard, names, options, with_server},
    sync::model::{Fault, Server},
    world::{Tab, TestPage},
};

const FOLLOWS: &str = r#"{"topic":"realtime:tidelock","event":"system","payload":{"status":"ok","message":"Subscribed to PostgreSQL"},"ref":null}"#;
const HINT: &str = r#"{"topic":"realtime:tidelock","event":"postgres_changes","payload":{"data":{"schema":"public","table":"items"}},"ref":null}"#;

type Listener = Rc<dyn Fn(SocketEvent)>;

#[derive(Default)]
struct TestSockets {
    said: Rc<RefCell<Vec<String>>>,
    opened: Cell<u32>,
    heard: RefCell<Option<Listener>>,
    live: Rc<Cell<u32>>,
}

struct TestSocket {
    said: Rc<RefCell<Vec<String>>>,
    live: Rc<Cell<u32>>,
}

impl Sockets for TestSockets {
    fn open(&self, url: &str, heard: Box<dyn Fn(SocketEvent)>) -> Result<Box<dyn Socket>> {
        assert_eq!(url, "ws://server/realtime/v1/websocket?apikey=k&vsn=1.0.0");
        self.opened.set(self.opened.get() + 1);
        self.live.set(self.live.get() + 1);
        self.heard.replace(Some(heard.into()));
        Ok(Box::new(TestSocket { said: self.said.clone(), live: self.live.clone() }))
    }
}

impl Socket for TestSocket {
    fn send(&self, text: &str) {
        self.said.borrow_mut().push(text.to_owned());
    }
}

impl Drop for TestSocket {
    fn drop(&mut self) {
        self.live.set(self.live.get() - 1);
    }
}

impl TestSockets {
    fn tell(&self, news: SocketEvent) {
        let heard = self.heard.borrow().clone().expect("a socket was opened");
        heard(news);
    }

    fn say(&self, text: &str) {
        self.tell(SocketEvent::Said(text.to_owned()));
    }

    /// Returns the messages since the last call.
    fn said(&self) -> Vec<String> {
        self.said.take()
    }

    fn answer(&self, number: u32, status: &str, response: &str) {
        self.say(&format!(
            r#"{{"topic":"realtime:tidelock","event":"phx_reply","payload":{{"status":"{status}","response":{response}}},"ref":"{number}"}}"#
        ));
    }

    /// Opens the newest socket.
    async fn open_up(&self, clock: &dyn Clock) {
        self.tell(SocketEvent::Opened);
        clock.sleep(1).await;
    }

    /// Accepts the join of the newest connection, and returns its message.
    async fn join(&self, clock: &dyn Clock) -> Vec<String> {
        self.open_up(clock).await;
        let said = self.said();
        self.answer(1, "ok", "{}");
        clock.sleep(500).await;
        said
    }

    /// Returns the milliseconds until the next connection attempt.
    async fn reconnects_after(&self, clock: &dyn Clock) -> u64 {
        let (opened, since) = (self.opened.get(), clock.monotonic_ms());
        while self.opened.get() == opened {
            clock.sleep(10).await;
        }
        (clock.monotonic_ms() - since) as u64
    }
}

struct Scene {
    tab: Tab,
    server: Server,
    page: Rc<TestPage>,
    sockets: Rc<TestSockets>,
    clock: Rc<dyn Clock>,
    database: Database,
}

/// Runs a scenario with a database that has begun to connect. Rounds are an hour apart, so that all other pulls come
/// from hints.
fn listening<F: Future<Output = Scene> + 'static>(scenario: impl FnOnce(Scene) -> F + 'static) {
    with_server(|tab, server, page| async move {
        let clock = tab.ports.platform.clock.clone();
        let sockets = Rc::new(TestSockets::default());
        let mut ports = tab.ports.clone();
        ports.sockets = sockets.clone();
        let tab = Tab { ports, ..tab };
        tab.token.replace(Some("t1".to_owned()));
        let remote = r#","realtime":true,"hasAccessToken":true,"userId":"a""#;
        let database = tab.open(&options("local", remote)).await.unwrap();
        database.sync_start(3_600_000).unwrap();
        assert_eq!(sockets.opened.get(), 0, "first it must be known whose data it is");
        clock.sleep(500).await;
        assert_eq!(sockets.opened.get(), 1);
        let scene = scenario(Scene { tab, server, page, sockets, clock, database }).await;
        scene.database.close().await.unwrap();
        scene.clock.sleep(0).await;
        assert_eq!(scene.sockets.live.get(), 0);
        let opened = scene.sockets.opened.get();
        scene.sockets.tell(SocketEvent::Closed);
        scene.clock.sleep(300_000).await;
        assert_eq!(scene.sockets.opened.get(), opened, "a closed one rests");
    });
}

/// Returns whether a delay is that after `failures` failures.
fn is_backoff(wait: u64, failures: u32) -> bool {
    let ends = [backoff_ms(failures, 0.0), backoff_ms(failures, 1.0)];
    (ends[0].min(ends[1])..=ends[0].max(ends[1]) + 20).contains(&wait)
}

#[test]
fn hints_are_followed_and_gaps_are_pulled() {
    listening(|scene| async move {
        let Scene { server, sockets, clock, database, .. } = &scene;
        server.change("items", "1", &[("name", "\"before\"")]);
        sockets.join(&**clock).await;
        assert_eq!(names(database).await, "1 before", "what happened while nobody listened");
        server.change("items", "1", &[("name", "\"meanwhile\"")]);
        sockets.say(FOLLOWS);
        clock.sleep(500).await;
        assert_eq!(names(database).await, "1 meanwhile", "the channel is open before the server follows");
        server.change("items", "1", &[("name", "\"theirs\"")]);
        server.take_requests();
        (0..50).for_each(|_| sockets.say(HINT));
        clock.sleep(700).await;
        assert_eq!(names(database).await, "1 theirs");
        let requests = server.take_requests();
        assert!(requests.len() <= 2 && requests.iter().all(|request| request.url.contains("items")), "{requests:?}");
        // The connection breaks, a row is written, and the connection is restored.
        sockets.tell(SocketEvent::Closed);
        server.change("items", "1", &[("name", "\"missed\"")]);
        assert!(is_backoff(sockets.reconnects_after(&**clock).await, 1));
        assert_eq!(sockets.live.get(), 1);
        sockets.join(&**clock).await;
        assert_eq!(names(database).await, "1 missed");
        database.sync_stop();
        clock.sleep(0).await;
        assert_eq!(sockets.live.get(), 0);
        sockets.say(HINT);
        database.sync_start(30_000).unwrap();
        clock.sleep(500).await;
        assert_eq!(sockets.live.get(), 1);
        scene
    });
}

#[test]
fn a_table_in_trouble_does_not_keep_it_from_connecting() {
    with_server(|tab, server, _| async move {
        let clock = tab.ports.platform.clock.clone();
        let sockets = Rc::new(TestSockets::default());
        let mut ports = tab.ports.clone();
        ports.sockets = sockets.clone();
        let tab = Tab { ports, ..tab };
        let body = r#"{"code":"PGRST205","message":"Could not find the table"}"#;
        server.trouble("parts", Some(Fault::Status(404, vec![], body.to_owned())));
        let database = tab.open(&options("local", r#","realtime":true"#)).await.unwrap();
        database.sync_start(3_600_000).unwrap();
        clock.sleep(500).await;
        assert_eq!(sockets.opened.get(), 1);
        sockets.join(&*clock).await;
        sockets.say(FOLLOWS);
        server.change("items", "1", &[("name", "\"theirs\"")]);
        clock.sleep(500).await;
        assert_eq!(names(&database).await, "1 theirs");
        server.change("items", "1", &[("name", "\"again\"")]);
        sockets.say(HINT);
        clock.sleep(700).await;
        assert_eq!(names(&database).await, "1 again");
        database.close().await.unwrap();
    });
}

#[test]
fn it_joins_as_who_is_signed_in_and_tells_each_new_token() {
    listening(|scene| async move {
        let Scene { tab, sockets, page, clock, .. } = &scene;
        let signs_in = async |token: Option<&str>| {
            tab.token.replace(token.map(str::to_owned));
            // The next round pulls the change.
            page.happens(LifecycleEvent::Shown);
            clock.sleep(2000).await;
        };
        let told = |token: &str, number: u32| {
            [format!(
                r#"{{"topic":"realtime:tidelock","event":"access_token","payload":{{"access_token":"{token}"}},"ref":"{number}","join_ref":"1"}}"#
            )]
        };
        // The token changes before the join, and during it.
        signs_in(Some("t2")).await;
        sockets.open_up(&**clock).await;
        let join = sockets.said();
        assert_eq!(join.len(), 1);
        assert!(join[0].contains(r#""event":"phx_join""#) && join[0].contains(r#""access_token":"t2""#), "{join:?}");
        signs_in(Some("t3")).await;
        assert!(sockets.said().is_empty());
        sockets.answer(1, "ok", "{}");
        clock.sleep(1).await;
        assert_eq!(sockets.said(), told("t3", 2));
        signs_in(Some("t3")).await;
        assert!(sockets.said().is_empty());
        signs_in(Some("t4")).await;
        assert_eq!(sockets.said(), told("t4", 3));
        scene
    });
}

#[test]
fn a_dead_connection_is_noticed() {
    listening(|scene| async move {
        let Scene { server, sockets, clock, database, .. } = &scene;
        sockets.join(&**clock).await;
        let heartbeat =
            |number: u32| [format!(r#"{{"topic":"phoenix","event":"heartbeat","payload":{{}},"ref":"{number}"}}"#)];
        clock.sleep(24_000).await;
        // Further hints don't delay the pull.
        sockets.say(HINT);
        assert!(sockets.said().is_empty());
        clock.sleep(1000).await;
        assert_eq!(sockets.said(), heartbeat(2));
        sockets.answer(2, "ok", "{}");
        clock.sleep(25_000).await;
        assert_eq!(sockets.said(), heartbeat(3));
        sockets.answer(2, "ok", "{}");
        clock.sleep(23_000).await;
        assert_eq!(sockets.live.get(), 1);
        server.change("items", "1", &[("name", "\"missed\"")]);
        clock.sleep(2000).await;
        assert_eq!(sockets.live.get(), 0, "nobody answered");
        sockets.reconnects_after(&**clock).await;
        sockets.join(&**clock).await;
        assert_eq!(names(database).await, "1 missed");
        scene
    });
}

#[test]
fn it_comes_again_later_and_later() {
    listening(|scene| async move {
        let Scene { sockets, page, clock, .. } = &scene;
        for failures in 1..8 {
            // Joining alone doesn't shorten the next wait.
            sockets.join(&**clock).await;
            sockets.tell(SocketEvent::Closed);
            let wait = sockets.reconnects_after(&**clock).await;
            assert!(is_backoff(wait, failures), "{wait} after {failures}");
        }
        sockets.tell(SocketEvent::Closed);
        clock.sleep(15_000).await;
        page.happens(LifecycleEvent::Online);
        assert!(sockets.reconnects_after(&**clock).await <= 12_100, "a network is there again");
        // A connection that isn't opened in time, and one whose join isn't answered.
        clock.sleep(9000).await;
        assert_eq!(sockets.live.get(), 1);
        clock.sleep(1100).await;
        assert_eq!(sockets.live.get(), 0);
        sockets.reconnects_after(&**clock).await;
        clock.sleep(9000).await;
        sockets.open_up(&**clock).await;
        clock.sleep(9000).await;
        assert_eq!(sockets.live.get(), 1);
        clock.sleep(1100).await;
        assert_eq!(sockets.live.get(), 0);
        // After a success, the delays start from the first one again.
        sockets.reconnects_after(&**clock).await;
        sockets.join(&**clock).await;
        sockets.say(FOLLOWS);
        clock.sleep(1).await;
        sockets.tell(SocketEvent::Closed);
        assert!(is_backoff(sockets.reconnects_after(&**clock).await, 1));
        scene
    });
}

#[test]
fn refusals_are_told_once_with_their_reason() {
    listening(|scene| async move {
        let Scene { tab, sockets, clock, .. } = &scene;
        for _ in 0..3 {
            sockets.open_up(&**clock).await;
            sockets.answer(1, "error", r#"{"reason":"Unauthorized: eyJhbGciOiJIUzI1NiJ9.eyJyb2xlIjoiYW5vbiJ9.x"}"#);
            clock.sleep(0).await;
            assert_eq!(sockets.live.get(), 0);
            sockets.reconnects_after(&**clock).await;
        }
        assert_eq!(heard(tab, "realtime_unavailable"), 1);
        assert_eq!(heard(tab, "refused the subscription: Unauthorized: ***"), 1, "without the token");
        // After the join, too, the server may end the channel.
        for text in [
            FOLLOWS.replace("ok", "error"),
            r#"{"topic":"realtime:tidelock","event":"phx_close","payload":{},"ref":null}"#.to_owned(),
        ] {
            sockets.join(&**clock).await;
            assert_eq!(sockets.live.get(), 1);
            sockets.say(&text);
            clock.sleep(0).await;
            assert_eq!(sockets.live.get(), 0, "{text}");
            sockets.reconnects_after(&**clock).await;
        }
        scene
    });
}

#[test]
fn where_nobody_tells_the_interval_finds() {
    with_server(|tab, server, _| async move {
        let clock = tab.ports.platform.clock.clone();
        let database = tab.open(&options("cloud", r#","realtime":true"#)).await.unwrap();
        clock.sleep(200_000).await;
        assert_eq!(heard(&tab, "realtime_unavailable"), 1, "said once");
        server.change("items", "1", &[("name", "\"theirs\"")]);
        clock.sleep(34_000).await;
        assert_eq!(names(&database).await, "1 theirs");
        database.close().await.unwrap();
    });
}
