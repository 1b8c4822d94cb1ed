//! SQL functions of the program.

use std::sync::{Arc, Mutex};

use futures_util::FutureExt;
use tidelock::{Database, Error, ErrorCode, Migration, OpenOptions, Result, SqlFunction, Value, params};

use super::{Scratch, block_on, code, memory};

fn twice() -> SqlFunction {
    SqlFunction::scalar("twice", |values| match values {
        [Value::Text(text)] if text == "bad" => Err(Error::invalid("that is bad")),
        [Value::Text(text)] => Ok(text.repeat(2)),
        _ => panic!("twice takes a text"),
    })
    .deterministic()
}

fn with_functions(options: OpenOptions) -> OpenOptions {
    let joined = SqlFunction::aggregate(
        "joined",
        Vec::<String>::new,
        |texts, values| {
            let text: &str = values[0].as_text().ok_or_else(|| Error::invalid("not a text"))?;
            texts.push(text.to_owned());
            Ok(())
        },
        |texts| Ok(texts.join(",")),
    );
    let backwards = SqlFunction::collation("backwards", |one, other| match (one, other) {
        ("bad", _) | (_, "bad") => panic!("bad"),
        _ => other.cmp(one),
    });
    options.function(twice()).function(joined).function(backwards)
}

#[test]
fn functions_are_there_from_the_first_statement_on_and_for_snapshots() {
    let folder = Scratch::new();
    block_on(async {
        let script = "CREATE TABLE t(a TEXT COLLATE backwards, b AS (twice(a)) STORED);
            CREATE INDEX i ON t(twice(a));
            INSERT INTO t(a) VALUES ('x'), ('y'), ('z')";
        let options = with_functions(folder.options().migrations([Migration::new("1", "t", script)]));
        let db = tidelock::open(options.clone()).await?;
        assert_eq!(db.query_as::<String>("SELECT b FROM t ORDER BY a", ()).await?, ["zz", "yy", "xx"]);
        let groups = "SELECT joined(a) FROM t GROUP BY a = 'x' ORDER BY 1";
        assert_eq!(db.query_as::<String>(groups, ()).await?, ["x", "y,z"]);
        assert_eq!(db.get_as::<String>("SELECT joined(a) FROM t WHERE 0", ()).await?.unwrap(), "");
        let snapshot = db.snapshots().create(None).await?;
        assert!(db.snapshots().verify(&snapshot.id).await?.ok);
        db.exec("DELETE FROM t").await?;
        db.snapshots().restore(&snapshot.id, false).await?;
        assert_eq!(db.get_as::<i64>("SELECT count(*) FROM t", ()).await?, Some(3));
        db.close().await?;
        assert_eq!(tidelock::recover(options, None).await?.lost_batches, 0);
        Ok(())
    });
}

#[test]
fn an_error_and_a_panic_fail_the_statement_only() {
    block_on(async {
        let db = tidelock::open(with_functions(memory())).await?;
        db.exec("CREATE TABLE t(a)").await?;
        for (sql, function, cause) in [
            ("INSERT INTO t VALUES (1), (twice('bad'))", "twice", "that is bad"),
            ("INSERT INTO t VALUES (twice(1))", "twice", "It panicked: twice takes a text"),
            ("INSERT INTO t SELECT joined(1)", "joined", "not a text"),
            ("SELECT joined() OVER ()", "joined", ""),
            ("SELECT 'bad' < 'x' COLLATE backwards", "backwards", "It panicked: bad"),
        ] {
            let error = db.query(sql, ()).await.unwrap_err();
            assert!(error.is(ErrorCode::SqliteError), "{error}");
            if !cause.is_empty() {
                assert_eq!(error.details["function"], function.into());
                assert_eq!(error.cause.as_deref(), Some(cause));
            }
        }
        assert_eq!(db.get_as::<i64>("SELECT count(*) FROM t", ()).await?, Some(0));
        assert_eq!(db.get_as::<String>("SELECT twice(?)", params!["ok"]).await?.unwrap(), "okok");
        Ok(())
    });
}

#[test]
fn a_function_cannot_wait_for_its_own_database() {
    block_on(async {
        let held: Arc<Mutex<Option<Database>>> = Arc::default();
        let inner = held.clone();
        let rows = SqlFunction::scalar("rows", move |_| {
            let db = inner.lock().unwrap().clone().ok_or_else(|| Error::invalid("not open yet"))?;
            // Without the check this call would never be answered.
            let answer = db.get_as::<i64>("SELECT 1", ()).now_or_never();
            answer.unwrap_or_else(|| Err(Error::invalid("it waits")))
        });
        let db = tidelock::open(memory().function(rows)).await?;
        let other = tidelock::open(memory()).await?;
        for (called, expected) in [(&db, "An SQL function can't use the database that calls it"), (&other, "it waits")]
        {
            held.lock().unwrap().replace(called.clone());
            // Otherwise the other database might answer at once.
            let refused = other.transaction(async |_| Ok::<_, Error>(db.query("SELECT rows()", ()).await.unwrap_err()));
            assert_eq!(refused.await?.cause.as_deref(), Some(expected));
        }
        held.lock().unwrap().take();
        Ok(())
    });
}

#[test]
fn a_name_that_sqlite_refuses_is_an_argument_and_direct_only_keeps_it_out_of_the_schema() {
    block_on(async {
        let nameless = SqlFunction::scalar("", |_| Ok(1));
        assert_eq!(code(tidelock::open(memory().function(nameless)).await), Some(ErrorCode::InvalidArgument));
        let one = SqlFunction::scalar("one", |_| Ok(1)).direct_only();
        let db = tidelock::open(memory().function(one)).await?;
        assert_eq!(db.get_as::<i64>("SELECT one()", ()).await?, Some(1));
        let in_schema: Result<()> = db.exec("CREATE VIEW v AS SELECT one() AS n; SELECT * FROM v").await;
        assert_eq!(code(in_schema), Some(ErrorCode::SqliteError));
        Ok(())
    });
}
