//! The suite that every store passes, over the native ones. (IndexedDB: `tests/web/indexeddb.rs`.)

use std::rc::Rc;

use tidelock::{
    ports::sim::Sim,
    store::{
        MemoryStore,
        conformance::{CASES, Handles},
        faulty::{Faults, FaultyStore},
        sealed::SealedStore,
    },
};

use super::bench::{key, vault};

#[test]
fn memory_conforms() {
    for (name, case) in CASES {
        println!("{name}");
        let store = MemoryStore::new();
        Sim::new(1).run(case(Handles { a: Rc::new(store.clone()), b: Rc::new(store) }));
    }
}

#[test]
fn an_encrypted_store_conforms() {
    for (name, case) in CASES {
        println!("{name}");
        let mut sim = Sim::new(1);
        let vault = vault(&sim.platform(), key(1));
        sim.run(async move {
            // The key of a database is made with it: two handles to one that isn't there yet would each make their own.
            let store = SealedStore::open(Rc::new(MemoryStore::new()), &vault).await.unwrap();
            case(Handles { a: Rc::new(store.clone()), b: Rc::new(store) }).await;
        });
    }
}

#[test]
fn the_simulated_store_conforms_while_it_is_only_slow() {
    for (name, case) in CASES {
        println!("{name}");
        let mut sim = Sim::new(1);
        let store = FaultyStore::new(&sim.platform());
        store.set(Faults { delay_ms: 20, ..Faults::default() });
        sim.run(case(Handles { a: Rc::new(store.clone()), b: Rc::new(store) }));
    }
}
