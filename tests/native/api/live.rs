//! Live queries and events.

use std::{
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
    time::Duration,
};

use futures_util::{Stream, StreamExt};
use tidelock::{Error, ErrorCode, Event, LiveQuery, params};

use super::{block_on, in_memory};

/// Returns whether a live query has nothing new for a while.
fn is_quiet<T>(live: &mut LiveQuery<T>) -> bool {
    (0..20).all(|_| {
        std::thread::sleep(Duration::from_millis(1));
        Pin::new(&mut *live).poll_next(&mut Context::from_waker(Waker::noop())).is_pending()
    })
}

#[test]
fn a_live_query_runs_at_once_and_after_changes_that_concern_it() {
    block_on(async {
        let db = in_memory("CREATE TABLE notes(id INTEGER PRIMARY KEY, body); CREATE TABLE other(x)").await?;
        let mut live = db.live_as::<String>("SELECT body FROM notes WHERE id > ? ORDER BY id", params![0]);
        assert_eq!(live.next().await.unwrap()?, Vec::<String>::new());
        assert!(is_quiet(&mut live));
        db.run("INSERT INTO other VALUES (1)", ()).await?;
        assert!(is_quiet(&mut live), "it doesn't read that table");
        for body in ["one", "two", "three"] {
            db.run("INSERT INTO notes(body) VALUES (?)", params![body]).await?;
        }
        // A slow reader gets the latest rows.
        assert_eq!(live.next().await.unwrap()?, ["one", "two", "three"]);
        let undone = db.transaction(async |tx| {
            tx.run("DELETE FROM notes", ()).await?;
            Err::<(), Error>(Error::invalid("undone"))
        });
        assert!(undone.await.is_err());
        assert!(is_quiet(&mut live));
        live.refresh();
        assert_eq!(StreamExt::next(&mut live).await.unwrap()?.len(), 3);
        db.close().await?;
        assert!(live.next().await.is_none() && live.next().await.is_none());
        Ok(())
    });
}

#[test]
fn a_waiting_live_query_is_woken() {
    block_on(async {
        let db = in_memory("CREATE TABLE notes(body)").await?;
        let mut live = db.live("SELECT count(*) AS n FROM notes", ());
        assert_eq!(live.next().await.unwrap()?[0].get::<i64>("n")?, 0);
        let writer = db.clone();
        let thread = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(20));
            block_on(writer.run("INSERT INTO notes VALUES ('later')", ()));
        });
        assert_eq!(live.next().await.unwrap()?[0].get::<i64>("n")?, 1);
        thread.join().unwrap();
        let closer = db.clone();
        let thread = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(20));
            block_on(closer.close());
        });
        assert!(live.next().await.is_none());
        thread.join().unwrap();
        Ok(())
    });
}

#[test]
fn a_failed_run_is_an_item_and_what_cannot_be_watched_ends() {
    block_on(async {
        let db = in_memory("").await?;
        let mut live = db.live_as::<i64>("SELECT a FROM later", ());
        assert_eq!(live.next().await.unwrap().unwrap_err().code, ErrorCode::SqliteError);
        db.exec("CREATE TABLE later(a); INSERT INTO later VALUES (1)").await?;
        assert_eq!(live.next().await.unwrap()?, [1]);
        for (sql, params) in [("DELETE FROM later", params![]), ("SELECT ?", params![f64::NAN])] {
            let mut live = db.live(sql, params);
            assert_eq!(live.next().await.unwrap().unwrap_err().code, ErrorCode::InvalidArgument, "{sql}");
            assert!(live.next().await.is_none());
        }
        Ok(())
    });
}

#[test]
fn events_tell_of_changes_and_of_the_end() {
    block_on(async {
        let db = in_memory("CREATE TABLE notes(body)").await?;
        let mut events = db.events().await?;
        db.run("INSERT INTO notes VALUES (1)", ()).await?;
        db.snapshots().create(None).await?;
        db.close().await?;
        let mut seen = Vec::new();
        while let Some(event) = events.next().await {
            seen.push(event);
        }
        let [Event::Change(change), Event::Snapshot(_), Event::Close(_)] = seen.as_slice() else {
            panic!("{seen:?}");
        };
        assert_eq!(change.tables, ["notes"]);
        let mut events = pin!(events);
        assert!(matches!(events.as_mut().poll_next(&mut Context::from_waker(Waker::noop())), Poll::Ready(None)));
        Ok(())
    });
}
