//! The messages of the front for Rust programs: of what the engine can't know.

use tidelock::{
    Encryption, Error, HealthThresholds, OpenOptions, Params, Statement, Storage, TransactionMode, named_params, params,
};

use super::Shown;

fn memory() -> OpenOptions {
    OpenOptions::new("memory").storage(Storage::Memory).snapshots(None)
}

#[test]
fn of_the_front() {
    let mut shown = Shown::of("api");
    let options = [
        ("open without storage", OpenOptions::new("a")),
        ("open in memory with a path", memory().path("folder")),
        ("open with a small max_bytes", memory().max_bytes(1)),
        ("open with a small cache_bytes", memory().cache_bytes(1)),
        ("open with an empty passphrase", memory().encryption(Encryption::passphrase(""))),
        ("open with a threshold of 0", memory().health(HealthThresholds { sync_lag_ms: 0.0, ..Default::default() })),
    ];
    let calls = async {
        for (done, options) in options {
            shown.fails(done, tidelock::open(options).await);
        }
        shown.fails("delete a database in memory", tidelock::delete_database(memory()).await);
        shown.fails("migrations from a file without a version", tidelock::migrations_from([("a.sql", "SELECT 1")]));

        let db = tidelock::open(memory()).await?;
        let many: Params = vec![1; 40_000].into();
        for (done, params) in [
            ("a parameter that is NaN", params![f64::NAN]),
            ("a named parameter that is infinite", named_params! { "a": f64::INFINITY }),
            ("a parameter without a name", named_params! { ":": 1 }),
            ("a parameter that is given twice", named_params! { ":a": 1, "@a": 1 }),
            ("too many parameters", many),
        ] {
            shown.fails(done, db.query("SELECT :a", params).await);
        }
        shown.fails("rows of different lengths", db.run_many("SELECT ?", [params![1], params![1, 2]]).await);
        shown.fails("a row with a NaN", db.run_many("SELECT ?", [[1.0], [f64::NAN]]).await);
        let named = [named_params! { "a": 1 }, named_params! { "b": 1 }];
        shown.fails("rows of different names", db.run_many("SELECT :a", named).await);
        shown.fails("a failed statement of a batch", db.batch([Statement::new("SELECT * FROM t", ())]).await);

        let row = db.get("SELECT 'text' AS a, 300 AS b", ()).await?.unwrap();
        shown.fails("a column that is missing", row.get::<i64>("c"));
        shown.fails("a column of another type", row.get::<i64>("a"));
        shown.fails("a number that is too large", row.get::<u8>("b"));
        shown.fails("a row of another length", row.to::<(i64,)>());
        shown.fails("a row as a single value", row.to::<i64>());

        db.transaction(async |tx| {
            shown.fails("a call on the database in a transaction", db.query("SELECT 1", ()).await);
            tx.transaction(async |_| {
                shown.fails("a call on the outer transaction in a nested one", tx.query("SELECT 1", ()).await);
                Ok::<_, Error>(())
            })
            .await
        })
        .await?;
        let tx = db.begin(TransactionMode::Deferred).await?;
        shown.fails("a call that waits too long", db.with_timeout_ms(5).query("SELECT 1", ()).await);
        let kept = (*tx).clone();
        tx.rollback();
        shown.fails("a transaction that has ended", kept.query("SELECT 1", ()).await);
        shown.fails("reset without force", db.migrations().reset(false).await);
        shown.fails("drop_all without force", db.migrations().drop_all(false).await);
        Ok::<_, Error>(())
    };
    futures_executor::block_on(calls).unwrap();
    shown.check();
}
