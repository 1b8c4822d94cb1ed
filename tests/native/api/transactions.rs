//! Transactions: their end by commit, by an error, by a dropped future.

use std::{
    future::Future,
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use futures_util::future::{join, pending};
use tidelock::{Error, ErrorCode, TransactionMode, params};

use super::{block_on, code, in_memory};

async fn bodies(db: &tidelock::Database) -> tidelock::Result<Vec<String>> {
    db.query_as("SELECT body FROM notes ORDER BY rowid", ()).await
}

#[test]
fn a_transaction_commits_or_leaves_nothing() {
    block_on(async {
        let db = in_memory("CREATE TABLE notes(body)").await?;
        let returned = db.transaction(async |tx| {
            tx.run("INSERT INTO notes VALUES (?)", params!["kept"]).await?;
            assert_eq!(tx.get_as::<i64>("SELECT count(*) FROM notes", ()).await?, Some(1));
            Ok::<_, Error>(7)
        });
        assert_eq!(returned.await?, 7);

        // The program's own error.
        #[derive(Debug)]
        enum Failure {
            Own,
            Database,
        }
        impl From<Error> for Failure {
            fn from(_: Error) -> Self {
                Self::Database
            }
        }
        let failed = db.transaction(async |tx| {
            tx.run("INSERT INTO notes VALUES ('undone')", ()).await?;
            Err::<(), _>(Failure::Own)
        });
        assert!(matches!(failed.await, Err(Failure::Own)));
        let failed = db.transaction(async |tx| {
            tx.exec("INSERT INTO notes VALUES ('undone'); INSERT INTO missing VALUES (1)").await?;
            Ok::<_, Failure>(())
        });
        assert!(matches!(failed.await, Err(Failure::Database)));
        assert_eq!(bodies(&db).await?, ["kept"]);
        Ok(())
    });
}

#[test]
fn a_future_dropped_in_the_middle_of_a_transaction_rolls_it_back() {
    block_on(async {
        let db = in_memory("CREATE TABLE notes(body)").await?;
        {
            let transaction = db.transaction(async |tx| {
                tx.run("INSERT INTO notes VALUES ('undone')", ()).await?;
                tx.transaction(async |inner| {
                    inner.run("INSERT INTO notes VALUES ('undone, too')", ()).await?;
                    pending::<Result<(), Error>>().await
                })
                .await
            });
            let mut transaction = pin!(transaction);
            let deadline = std::time::Instant::now() + Duration::from_millis(200);
            while std::time::Instant::now() < deadline {
                let polled = transaction.as_mut().poll(&mut Context::from_waker(Waker::noop()));
                assert!(matches!(polled, Poll::Pending));
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        assert_eq!(bodies(&db).await?, Vec::<String>::new());

        // Dropped at every point: it has committed as a whole, or not at all.
        for polls in 0..40 {
            let transaction = db.transaction(async |tx| {
                tx.run("INSERT INTO notes VALUES ('one')", ()).await?;
                tx.run("INSERT INTO notes VALUES ('two')", ()).await?;
                Ok::<_, Error>(())
            });
            let mut transaction = Box::pin(transaction);
            for _ in 0..polls {
                if transaction.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
                    break;
                }
                std::thread::sleep(Duration::from_micros(50));
            }
            drop(transaction);
            assert_eq!(bodies(&db).await?.len() % 2, 0, "after {polls} polls");
        }
        Ok(())
    });
}

#[test]
fn a_dropped_call_leaves_the_queue() {
    block_on(async {
        let db = in_memory("CREATE TABLE notes(body)").await?;
        let tx = db.begin(TransactionMode::Immediate).await?;
        {
            let mut waiting = pin!(db.run("INSERT INTO notes VALUES ('never')", ()));
            assert!(waiting.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        }
        tx.commit().await?;
        assert_eq!(bodies(&db).await?, Vec::<String>::new());
        Ok(())
    });
}

#[test]
fn savepoints_end_on_their_own_and_hold_their_transaction_meanwhile() {
    block_on(async {
        let db = in_memory("CREATE TABLE notes(body)").await?;
        db.transaction(async |tx| {
            let undone = tx.transaction(async |inner| {
                inner.run("INSERT INTO notes VALUES ('undone')", ()).await?;
                inner.run("INSERT INTO missing VALUES (1)", ()).await
            });
            // The call on the outer transaction waits for the end of the inner one.
            let (undone, outer) = join(undone, tx.run("INSERT INTO notes VALUES ('outer')", ())).await;
            assert_eq!(code(undone), Some(ErrorCode::SqliteError));
            outer?;
            tx.transaction(async |inner| inner.run("INSERT INTO notes VALUES ('inner')", ()).await).await?;
            Ok::<_, Error>(())
        })
        .await?;
        assert_eq!(bodies(&db).await?, ["outer", "inner"]);
        Ok(())
    });
}

#[test]
fn a_transaction_is_used_inside_of_its_function_only() {
    block_on(async {
        let db = in_memory("CREATE TABLE notes(body)").await?;
        let kept = db.transaction(async |tx| Ok::<_, Error>(tx)).await?;
        assert_eq!(code(kept.query("SELECT 1", ()).await), Some(ErrorCode::TransactionClosed));
        let kept = db.begin(TransactionMode::Deferred).await?;
        let tx = (*kept).clone();
        kept.rollback();
        assert_eq!(code(tx.run("DELETE FROM notes", ()).await), Some(ErrorCode::TransactionClosed));

        // A call on the database would wait for the transaction that waits for it.
        db.transaction(async |tx| {
            for refused in [code(db.query("SELECT 1", ()).await), code(db.close().await)] {
                assert_eq!(refused, Some(ErrorCode::InvalidArgument));
            }
            assert_eq!(code(db.begin(TransactionMode::Deferred).await), Some(ErrorCode::InvalidArgument));
            tx.query("SELECT 1", ()).await
        })
        .await?;

        // So does a call on the outer transaction in the function of a nested one, at any depth and around another database's.
        let other = in_memory("").await?;
        let manual = db.begin(TransactionMode::Deferred).await?;
        manual
            .transaction(async |tx| {
                tx.transaction(async |inner| {
                    other
                        .transaction(async |_| {
                            assert_eq!(code(tx.run("DELETE FROM notes", ()).await), Some(ErrorCode::InvalidArgument));
                            assert_eq!(code(manual.exec("").await), Some(ErrorCode::InvalidArgument));
                            let nested = manual.transaction(async |_| Ok::<_, Error>(())).await;
                            assert_eq!(code(nested), Some(ErrorCode::InvalidArgument));
                            assert_eq!(code(db.query("SELECT 1", ()).await), Some(ErrorCode::InvalidArgument));
                            inner.run("INSERT INTO notes VALUES ('nested')", ()).await
                        })
                        .await
                })
                .await?;
                tx.run("DELETE FROM notes", ()).await
            })
            .await?;
        manual.commit().await?;

        // Outside of it, the call waits for its turn.
        let transaction = db.transaction(async |tx| tx.run("INSERT INTO notes VALUES ('first')", ()).await);
        let (written, read) = join(transaction, bodies(&db)).await;
        written?;
        assert_eq!(read?, ["first"]);
        Ok(())
    });
}

#[test]
fn a_transaction_that_exceeds_its_time_leaves_nothing() {
    block_on(async {
        let db = in_memory("CREATE TABLE notes(body)").await?;
        let limited = db.with_timeout_ms(30);
        let late = limited.transaction(async |tx| {
            tx.run("INSERT INTO notes VALUES ('late')", ()).await?;
            std::thread::sleep(std::time::Duration::from_millis(60));
            tx.run("INSERT INTO notes VALUES ('later')", ()).await
        });
        assert_eq!(code(late.await), Some(ErrorCode::Timeout));
        let long = db.with_timeout_ms(60_000);
        long.transaction(async |tx| tx.run("INSERT INTO notes VALUES ('in time')", ()).await).await?;
        // Its owner ends a manual one.
        let manual = limited.begin(TransactionMode::Deferred).await?;
        manual.run("INSERT INTO notes VALUES ('manual')", ()).await?;
        std::thread::sleep(std::time::Duration::from_millis(60));
        manual.commit().await?;
        assert_eq!(bodies(&db).await?, ["in time", "manual"]);
        Ok(())
    });
}

#[test]
fn a_manual_transaction_commits_rolls_back_and_ends_with_the_database() {
    block_on(async {
        let db = in_memory("CREATE TABLE notes(body)").await?;
        let tx = db.begin(TransactionMode::Immediate).await?;
        tx.run("INSERT INTO notes VALUES ('kept')", ()).await?;
        tx.commit().await?;
        let tx = db.begin(TransactionMode::Deferred).await?;
        tx.run("INSERT INTO notes VALUES ('undone')", ()).await?;
        drop(tx);
        assert_eq!(bodies(&db).await?, ["kept"]);

        let tx = db.begin(TransactionMode::Deferred).await?;
        tx.run("INSERT INTO notes VALUES ('undone')", ()).await?;
        let waiting = code(db.with_timeout_ms(20).query("SELECT 1", ()).await);
        assert_eq!(waiting, Some(ErrorCode::Timeout));
        db.close().await?;
        assert_eq!(code(tx.commit().await), Some(ErrorCode::TransactionClosed));
        Ok(())
    });
}

#[test]
fn a_refused_commit_rolls_back() {
    block_on(async {
        let db = in_memory(
            "CREATE TABLE parents(id INTEGER PRIMARY KEY);
            CREATE TABLE children(parent REFERENCES parents DEFERRABLE INITIALLY DEFERRED)",
        )
        .await?;
        let orphan = db.transaction(async |tx| tx.run("INSERT INTO children VALUES (1)", ()).await);
        assert_eq!(code(orphan.await), Some(ErrorCode::SqliteConstraint));
        let tx = db.begin(TransactionMode::Deferred).await?;
        tx.run("INSERT INTO children VALUES (1)", ()).await?;
        assert_eq!(code(tx.commit().await), Some(ErrorCode::SqliteConstraint));
        assert_eq!(db.get_as::<i64>("SELECT count(*) FROM children", ()).await?, Some(0));
        Ok(())
    });
}
