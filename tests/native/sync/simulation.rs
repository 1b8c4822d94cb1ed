//! Several clients and one server, random writes on all clients, and a network that loses requests and answers at any
//! step. When no changes are left, all sides have the same rows, no acknowledged write is lost, and none was applied
//! twice.
//!
//! Each client writes its own rows, and its own column in shared rows, so the expected result is known at every step.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use futures_util::future::{join_all, select};
use proptest::prelude::*;
use tidelock::{
    engine::sync::driver::Sync,
    ports::sim::Sim,
    sync::{
        outbox::{capture, entries},
        state::tables,
    },
};

use crate::{
    sample::draws,
    sync::host::{TestHost, config},
    sync::model::{Fault, Server},
    sync::model_writes::Rules,
};

const SCHEMA: &str = "CREATE TABLE t(id INTEGER PRIMARY KEY, c0 TEXT, c1 TEXT, c2 TEXT, updated_at TEXT)";
const COLUMNS: [&str; 5] = ["id", "c0", "c1", "c2", "updated_at"];
const CLIENTS: usize = 3;
const SHARED: u32 = 4;

#[derive(Clone, Debug)]
enum Action {
    /// A client inserts, changes or deletes one of its own rows.
    Own {
        client: usize,
        row: u32,
        delete: bool,
    },
    /// A client writes its column of a shared row.
    Shared {
        client: usize,
        row: u32,
    },
    /// A client undoes its last write of a shared row, by writing the previous value.
    Undo {
        client: usize,
        row: u32,
    },
    Wait(u32),
    /// These clients sync concurrently with these network faults. They are killed after this many milliseconds.
    Sync {
        clients: Vec<(usize, bool, bool)>,
        faults: Vec<u8>,
        killed_after: Option<u32>,
    },
    /// A client is opened again.
    Reopen(usize),
}

fn action() -> impl Strategy<Value = Action> {
    let client = || 0..CLIENTS;
    prop_oneof![
        5 => (client(), 0..4_u32, prop::bool::weighted(0.3)).prop_map(|(client, row, delete)| Action::Own { client, row, delete }),
        4 => (client(), 1..=SHARED).prop_map(|(client, row)| Action::Shared { client, row }),
        2 => (client(), 1..=SHARED).prop_map(|(client, row)| Action::Undo { client, row }),
        1 => (1..90_000_u32).prop_map(Action::Wait),
        6 => (
            prop::collection::vec((client(), any::<bool>(), any::<bool>()), 1..4),
            prop::collection::vec(0..12_u8, 0..10),
            prop::option::weighted(0.4, 0..300_u32),
        )
            .prop_map(|(clients, faults, killed_after)| Action::Sync { clients, faults, killed_after }),
        1 => client().prop_map(Action::Reopen),
    ]
}

fn fault(number: u8) -> Fault {
    match number {
        0 => Fault::Drop,
        1..=3 => Fault::Lost,
        4 => Fault::Timeout,
        5 => Fault::Cut(0.6),
        6 => Fault::Status(500, vec![], r#"{"code":"57014"}"#.to_owned()),
        7 => Fault::Status(503, vec![], String::new()),
        _ => Fault::None,
    }
}

struct Client {
    host: Rc<TestHost>,
    sync: Rc<Sync>,
    remote: String,
    /// The expected values of its own rows, by id.
    own: BTreeMap<u32, String>,
    made: u32,
    /// The values written to its column of the shared rows; the last one is expected.
    shared: BTreeMap<u32, Vec<String>>,
}

struct World {
    sim: Sim,
    server: Server,
    clients: Vec<Client>,
    values: u32,
    /// An intended defect: clients forget what they sent.
    forgets: bool,
    /// Values that were written more than once, so that their arrivals can't be counted.
    repeated: BTreeSet<String>,
}

impl World {
    fn new(policies: &[&str], cursor: bool) -> Self {
        let sim = Sim::new(11);
        let server = Server::new(sim.platform().clock);
        server.define("t", &COLUMNS, Rules { stamp: Some("updated_at".to_owned()), ..Rules::default() });
        for id in 1..=SHARED {
            server.change("t", &id.to_string(), &[]);
        }
        let client = |policy: &&str| {
            let cursor = if cursor { r#""cursor":"updated_at","# } else { "" };
            let remote = format!(
                r#"{{"url":"http://server/rest/v1","key":"k","retries":1,"tables":[{{"table":"t",{cursor}"deleted":"compare","conflict":"{policy}"}}]}}"#
            );
            let host = Rc::new(TestHost::new(SCHEMA));
            let sync = open(&host, &server, &sim, &remote);
            Client { host, sync, remote, own: BTreeMap::new(), made: 0, shared: BTreeMap::new() }
        };
        let clients = policies.iter().map(client).collect();
        let mut world = Self { sim, server, clients, values: 0, forgets: false, repeated: BTreeSet::new() };
        for client in 0..world.clients.len() {
            world.sync(&[(client, false, true)], None);
        }
        world
    }

    fn act(&mut self, action: &Action) {
        match action {
            Action::Own { client, row, delete } => {
                self.values += 1;
                let value = format!("v{}", self.values);
                let Client { host, own, made, .. } = &mut self.clients[*client];
                let alive: Vec<u32> = own.keys().copied().collect();
                match (alive.get(*row as usize), delete) {
                    (Some(id), true) => {
                        host.connection.exec(&format!("DELETE FROM t WHERE id = {id}")).unwrap();
                        own.remove(id);
                    }
                    (Some(id), false) => {
                        host.connection.exec(&format!("UPDATE t SET c0 = '{value}' WHERE id = {id}")).unwrap();
                        own.insert(*id, value);
                    }
                    (None, _) => {
                        *made += 1;
                        let id = 1000 * (*client as u32 + 1) + *made;
                        host.connection.exec(&format!("INSERT INTO t(id, c0) VALUES ({id}, '{value}')")).unwrap();
                        own.insert(id, value);
                    }
                }
            }
            Action::Shared { client, row } => {
                self.values += 1;
                let value = format!("v{}", self.values);
                self.write_shared(*client, *row, value);
            }
            Action::Undo { client, row } => {
                let written = self.clients[*client].shared.get(row).cloned().unwrap_or_default();
                if let [.., before, _] = written.as_slice() {
                    self.repeated.insert(before.clone());
                    self.write_shared(*client, *row, before.clone());
                }
            }
            Action::Wait(ms) => self.sim.advance(u64::from(*ms)),
            Action::Reopen(client) => {
                let client = &mut self.clients[*client];
                client.sync = open(&client.host, &self.server, &self.sim, &client.remote);
            }
            Action::Sync { clients, faults, killed_after } => {
                faults.iter().for_each(|number| self.server.fault(fault(*number)));
                self.sync(clients, *killed_after);
                self.server.clear_faults();
            }
        }
    }

    fn write_shared(&mut self, client: usize, row: u32, value: String) {
        let Client { host, shared, .. } = &mut self.clients[client];
        host.connection.exec(&format!("UPDATE t SET c{client} = '{value}' WHERE id = {row}")).unwrap();
        shared.entry(row).or_default().push(value);
    }

    /// Runs `(client, push, pull)` concurrently. Each may succeed, fail or be killed; it must leave a consistent state.
    fn sync(&mut self, clients: &[(usize, bool, bool)], killed_after: Option<u32>) {
        let clock = self.sim.platform().clock;
        let mut work = Vec::new();
        for (client, push, pull) in clients {
            let (host, sync, clock) =
                (self.clients[*client].host.clone(), self.clients[*client].sync.clone(), clock.clone());
            let (push, pull) = (*push, *pull);
            work.push(async move {
                let both = async {
                    if push {
                        let _ = sync.push(&*host, None).await;
                    }
                    if pull {
                        let options = serde_json::from_str(r#"{"allowEmpty":true}"#).unwrap();
                        let _ = sync.pull(&*host, options, None).await;
                    }
                };
                let limit = clock.sleep(killed_after.map_or(3_600_000, u64::from));
                let _ = select(std::pin::pin!(both), limit).await;
            });
        }
        self.sim.run(async move {
            join_all(work).await;
        });
        for client in &self.clients {
            assert!(!client.host.connection.in_transaction());
            if self.forgets {
                client.host.connection.exec("UPDATE tidelock_outbox SET sent_op = NULL, sent = NULL").unwrap();
            }
        }
    }

    /// Runs rounds until no client has changes left to exchange.
    fn run_until_idle(&mut self) {
        let mut quiet = 0;
        for round in 0.. {
            assert!(round < 24, "it never comes to rest: {:?}", self.outboxes());
            for client in 0..self.clients.len() {
                self.sync(&[(client, true, true)], None);
            }
            // A row on which the remote failed is retried after a delay.
            self.sim.advance(if round % 4 == 3 { 3_600_000 } else { 100 });
            quiet = if self.outboxes().iter().all(Vec::is_empty) { quiet + 1 } else { 0 };
            if quiet > 3 {
                return;
            }
        }
    }

    fn outboxes(&self) -> Vec<Vec<String>> {
        let entries = |client: &Client| {
            let connection = &client.host.connection;
            let all = entries::pending(connection).unwrap().into_iter().chain(entries::rejected(connection).unwrap());
            all.map(|change| {
                format!("{} {:?} {:?} {:?}", change.op.as_str(), change.key[0].1, change.columns, change.error)
            })
            .collect()
        };
        self.clients.iter().map(entries).collect()
    }

    fn check(&self) {
        let mut remote: Vec<Vec<String>> = self
            .server
            .rows("t")
            .iter()
            .map(|row| COLUMNS.iter().map(|column| row[*column].trim_matches('"').to_owned()).collect())
            .collect();
        remote.sort_by_key(|row| row[0].parse::<u32>().unwrap());
        for client in &self.clients {
            let rows =
                client.host.connection.rows("SELECT id, c0, c1, c2, updated_at FROM t ORDER BY id", &[]).unwrap();
            let local: Vec<Vec<String>> = rows
                .iter()
                .map(|row| {
                    row.iter()
                        .map(|value| {
                            value
                                .as_integer()
                                .map_or_else(|| value.as_text().unwrap_or("null").to_owned(), |id| id.to_string())
                        })
                        .collect()
                })
                .collect();
            assert_eq!(local, remote, "a client differs from the server");
        }
        let own: Vec<(u32, String)> = self.clients.iter().flat_map(|client| client.own.clone()).collect();
        let there: Vec<(u32, String)> =
            remote.iter().map(|row| (row[0].parse().unwrap(), row[1].clone())).filter(|(id, _)| *id > SHARED).collect();
        assert_eq!(there, own, "rows that only one client wrote");
        for (at, client) in self.clients.iter().enumerate() {
            for (id, written) in &client.shared {
                let row = remote.iter().find(|row| row[0] == id.to_string()).unwrap();
                assert_eq!(Some(&row[at + 1]), written.last(), "column {at} of row {id}");
            }
        }
        let mut seen = BTreeSet::new();
        for change in self.server.history() {
            let repeated = self.repeated.iter().any(|value| change.ends_with(&format!("\"{value}\"")));
            assert!(repeated || seen.insert(change.clone()), "applied twice: {change}");
        }
    }
}

fn open(host: &Rc<TestHost>, server: &Server, sim: &Sim, remote: &str) -> Rc<Sync> {
    let config = config(remote);
    tables::register(&host.connection, &config.options.tables).unwrap();
    capture::resume(&host.connection).unwrap();
    Rc::new(Sync::new(config, Rc::new(server.clone()), &sim.platform()))
}

fn simulate(policies: &[&str], cursor: bool, actions: &[Action]) {
    let mut world = World::new(policies, cursor);
    for action in actions {
        world.act(action);
    }
    world.run_until_idle();
    world.check();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: draws(30, 60), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn all_clients_converge_and_nothing_is_lost(actions in prop::collection::vec(action(), 1..60)) {
        simulate(&["keep-local", "remote-wins", "last-write-wins"], true, &actions);
    }

    #[test]
    fn also_without_a_cursor_as_long_as_one_syncs_at_a_time(actions in prop::collection::vec(action(), 1..60)) {
        let one_at_a_time = |action: &Action| match action {
            Action::Sync { clients, faults, killed_after } => {
                Action::Sync { clients: clients[..1].to_vec(), faults: faults.clone(), killed_after: *killed_after }
            }
            other => other.clone(),
        };
        let actions: Vec<Action> = actions.iter().map(one_at_a_time).collect();
        simulate(&["keep-local", "remote-wins", "keep-local"], false, &actions);
    }
}

#[test]
fn a_push_that_forgets_what_it_sent_is_found_out() {
    use proptest::{strategy::ValueTree, test_runner::TestRunner};
    let mut runner = TestRunner::deterministic();
    let strategy = prop::collection::vec(action(), 30..60);
    let found = (0..60).any(|_| {
        let actions = strategy.new_tree(&mut runner).unwrap().current();
        let run = || {
            let mut world = World::new(&["keep-local", "remote-wins", "last-write-wins"], true);
            world.forgets = true;
            actions.iter().for_each(|action| world.act(action));
            world.run_until_idle();
            world.check();
        };
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).is_err()
    });
    assert!(found, "the simulation doesn't notice");
}
