//! The conformance suite, over the native stores. (IndexedDB: `tests/web/indexeddb.rs`.)

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
            // A database's key is created with it: two handles to a missing one would each create their own.
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
