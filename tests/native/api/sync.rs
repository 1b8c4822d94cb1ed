//! The option `remote` and the sync of a program, with remotes that misbehave. `tests/crate/sync.test.mjs` has a real
//! one.

use std::{
    convert::Infallible,
    future::{pending, ready},
    io::{Read, Write},
    net::TcpListener,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::Duration,
};

use futures_channel::oneshot;
use tidelock::{
    Cells, ConflictPolicy, Database, Detail, Error, ErrorCode, Event, Migration, Mode, PullMode, PullOptions,
    RemoteOptions, Result, SyncDirection, SyncPhase, TableSync, Value,
};

use super::{block_on, code, memory};

const NOTES: &str = "CREATE TABLE notes(id INTEGER PRIMARY KEY, body TEXT)";

const SECRET: &str = "refresh-token-of-the-user";

fn panics() -> Result<Option<String>> {
    panic!("{SECRET}")
}

type Served = (&'static str, &'static str, Vec<u8>);

/// Answers each request, given by its first line and headers, with a status, headers and a body → the server's URL.
fn serve(answer: impl Fn(&str) -> Served + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/rest/v1", listener.local_addr().unwrap());
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let (mut received, mut piece) = (Vec::new(), [0; 4096]);
            let complete = |received: &[u8]| {
                let text = String::from_utf8_lossy(received).into_owned();
                let (head, body) = text.split_once("\r\n\r\n")?;
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
                (body.len() >= length.unwrap_or(0)).then_some(text)
            };
            let request = loop {
                let read = stream.read(&mut piece).unwrap_or(0);
                received.extend_from_slice(&piece[..read]);
                if let Some(request) = complete(&received).or_else(|| (read == 0).then(String::new)) {
                    break request;
                }
            };
            let (status, headers, body) = answer(&request);
            let length = if headers.contains("content-length") {
                String::new()
            } else {
                format!("content-length: {}\r\n", body.len())
            };
            let _ = write!(stream, "HTTP/1.1 {status}\r\nconnection: close\r\n{length}{headers}\r\n");
            let _ = stream.write_all(&body);
        }
    });
    url
}

/// A remote with the two rows of `notes`, or none behind them.
fn two_notes(request: &str) -> Served {
    let first = request.lines().next().unwrap_or_default();
    let rows = match first {
        first if first.starts_with("POST /rest/v1/notes") => {
            return ("201 Created", "", br#"[{"id":3,"body":"pot"}]"#.to_vec());
        }
        first if first.contains("id=gt.") || first.contains("(id.gt.") => "[]",
        first if first.starts_with("GET /rest/v1/notes") => r#"[{"id":1,"body":"tea"},{"id":2,"body":"cup"}]"#,
        _ => return ("404 Not Found", "", br#"{"code":"PGRST202","message":"no such function"}"#.to_vec()),
    };
    ("200 OK", "content-type: application/json\r\n", rows.as_bytes().to_vec())
}

fn remote(url: impl Into<String>) -> RemoteOptions {
    RemoteOptions::new(url, "sb_publishable_example").tables(["notes"]).retries(0)
}

async fn open(remote: RemoteOptions) -> Result<Database> {
    let db = tidelock::open(memory().remote(remote)).await?;
    db.exec(NOTES).await?;
    Ok(db)
}

async fn pull(db: &Database) -> Result<tidelock::PullReport> {
    db.sync().pull(PullOptions::default()).await
}

#[test]
fn a_pull_brings_rows_and_reports_its_progress() {
    block_on(async {
        let db = open(remote(serve(two_notes))).await?;
        let mut events = db.events().await?;
        let seen = Arc::new(Mutex::new(Vec::new()));
        let listener = seen.clone();
        let sync = db.sync().on_progress(move |step| {
            listener.lock().unwrap().push((step.table.clone(), step.rows));
            panic!("in the program's own function");
        });
        let report = sync.pull(PullOptions { full: true, ..PullOptions::default() }).await?;
        assert_eq!((report.mode, report.tables[0].inserted), (PullMode::Merge, 2));
        assert_eq!(seen.lock().unwrap().last(), Some(&("notes".to_owned(), 2)));
        assert_eq!(db.query_as::<String>("SELECT body FROM notes ORDER BY id", ()).await?, ["tea", "cup"]);
        let mut phases = Vec::new();
        while phases.last() != Some(&SyncPhase::Idle) {
            if let Some(Event::Sync(event)) = events.next().await {
                phases.push(event.phase);
            }
        }
        assert_eq!(phases, [SyncPhase::Pulling, SyncPhase::Idle]);
        db.sync().ready().await?;
        let status = db.sync().status().await?;
        assert_eq!((status[0].table.as_str(), status[0].rows, status[0].pending), ("notes", 2, 0));
        assert!(db.sync().conflicts(None).await?.is_empty() && db.sync().rejected().await?.is_empty());

        db.run("INSERT INTO notes VALUES (3, 'pot')", ()).await?;
        let waiting = db.sync().pending().await?;
        assert_eq!((waiting.len(), waiting[0].key.get("id")), (1, Some(&Value::Integer(3))));
        assert_eq!(code(db.sync().retry(99).await), Some(ErrorCode::InvalidArgument));
        assert_eq!(db.sync().run().await?.push.tables[0].inserted, 1);
        assert!(db.sync().pending().await?.is_empty());
        db.close().await
    });
}

#[test]
fn wrong_options_are_refused_before_anything_is_opened() {
    block_on(async {
        let new = |key: &str| RemoteOptions::new("https://example.supabase.co", key);
        let table = TableSync::new;
        let wrong = [
            new("k"),
            new("").tables(["notes"]),
            new("a b").tables(["notes"]),
            RemoteOptions::new("example.supabase.co", "k").tables(["notes"]),
            new("k").tables(["notes", "Notes"]),
            new("k").tables([table("notes").filter("status", "open")]),
            new("k").tables([table("notes").conflict(ConflictPolicy::LastWriteWins)]),
            new("k").tables([table("notes").conflict(ConflictPolicy::Function)]),
            new("k").tables([table("notes").column_type("body", tidelock::RemoteType::Any)]),
            new("k").tables([table("notes").columns(Vec::<String>::new())]),
            new("k").tables(["notes"]).page_size(0),
            new("k").tables(["notes"]).timeout_ms(0),
            new("k").tables(["notes"]).max_response_bytes(0),
            new("k").tables(["notes"]).max_delete_ratio(1.5),
            new("k").tables(["notes"]).header("a b", "c"),
            new("k").tables(["notes"]).root_certificates("no PEM"),
        ];
        for remote in wrong {
            let shown = format!("{remote:?}");
            let refused = tidelock::open(memory().remote(remote)).await;
            assert_eq!(code(refused), Some(ErrorCode::InvalidArgument), "{shown}");
        }
        assert_eq!(code(tidelock::open(memory().mode(Mode::Cloud)).await), Some(ErrorCode::InvalidArgument));
        let shown = format!("{:?}", new("sb_secret_key").tables(["notes"]).header("x", "hidden"));
        assert!(!shown.contains("sb_secret_key") && !shown.contains("hidden"), "{shown}");
        // A program may have a secret key, as in Node.
        tidelock::open(memory().remote(new("sb_secret_key").tables(["notes"]))).await?.close().await
    });
}

#[test]
fn without_a_remote_there_is_nothing_to_sync() {
    block_on(async {
        let db = tidelock::open(memory()).await?;
        let sync = db.sync();
        for result in
            [sync.push().await.map(drop), sync.run().await.map(drop), sync.start(None).await, sync.ready().await]
        {
            assert_eq!(code(result), Some(ErrorCode::InvalidArgument));
        }
        assert!(sync.status().await?.is_empty() && sync.pending().await?.is_empty());
        sync.stop().await?;
        db.close().await?;
        assert_eq!(code(sync.pending().await), Some(ErrorCode::Closed));
        Ok(())
    });
}

/// What a remote does, and the code and the beginning of the message that a pull fails with, as in TypeScript.
#[test]
fn hostile_remotes_are_typed_errors() {
    let spaces = vec![b' '; 300_000];
    let cases: [(Served, ErrorCode, &str); 6] = [
        (
            ("302 Found", "location: http://127.0.0.1:1/sign-in?apikey=sb_publishable_example\r\n", Vec::new()),
            ErrorCode::SyncProtocol,
            "The remote redirects to http://127.0.0.1:1/sign-in",
        ),
        (
            ("200 OK", "", b"<html>Sign in</html>".to_vec()),
            ErrorCode::SyncProtocol,
            "The remote's answer for table notes is not JSON",
        ),
        (("403 Forbidden", "", b"<html>".to_vec()), ErrorCode::SyncServer, ""),
        (
            ("200 OK", "", spaces),
            ErrorCode::SyncProtocol,
            "The remote's answer for table notes is larger than remote.maxResponseBytes (100000 bytes)",
        ),
        (
            ("200 OK", "content-length: 100\r\n", b"[{\"id\":1,".to_vec()),
            ErrorCode::SyncNetwork,
            "The remote could not be reached while syncing notes",
        ),
        (
            ("200 OK", "", b"[{\"id\":1,".to_vec()),
            ErrorCode::SyncNetwork,
            "The remote's answer for table notes ended early",
        ),
    ];
    for (served, expected, message) in cases {
        block_on(async {
            let url = serve(move |request| match request.starts_with("GET /rest/v1/notes") {
                true => served.clone(),
                false => two_notes(request),
            });
            let db = open(remote(url).max_response_bytes(100_000)).await?;
            let error = pull(&db).await.unwrap_err();
            assert_eq!(error.code, expected, "{error}");
            assert!(error.message.starts_with(message), "{error}");
            assert!(!format!("{error:?}").contains("sb_publishable"), "{error:?}");
            assert_eq!(db.sync().status().await?[0].last_error.as_ref().map(|error| error.code), Some(expected));
            db.close().await
        });
    }
}

#[test]
fn a_silent_remote_is_a_timeout_and_a_dropped_call_is_cancelled() {
    block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let db = open(remote(&url).timeout_ms(200)).await?;
        assert_eq!(code(pull(&db).await), Some(ErrorCode::SyncNetwork));
        let db = open(remote(&url)).await?;
        assert_eq!(code(db.with_timeout_ms(50).sync().push().await), None, "there is nothing to push");
        let limited = db.with_timeout_ms(50).sync().pull(PullOptions::default()).await;
        assert_eq!(code(limited), Some(ErrorCode::Timeout));
        // The engine waits for the remote, and its other calls don't.
        let sync = db.sync();
        let mut waiting = Box::pin(sync.pull(PullOptions::default()));
        assert!(futures_util::FutureExt::now_or_never(&mut waiting).is_none());
        assert_eq!(db.get_as::<i64>("SELECT count(*) FROM notes", ()).await?, Some(0));
        drop(waiting);
        db.close().await?;
        assert_eq!(code(sync.ready().await), Some(ErrorCode::Closed));
        Ok(())
    });
}

#[test]
fn the_token_is_asked_for_and_its_errors_are_typed() {
    block_on(async {
        let heads = Arc::new(Mutex::new(Vec::new()));
        let seen = heads.clone();
        let url = serve(move |request| {
            seen.lock().unwrap().push(request.to_owned());
            match request.contains("authorization: Bearer second") {
                true => two_notes(request),
                false => ("401 Unauthorized", "", br#"{"code":"PGRST301","message":"JWT expired"}"#.to_vec()),
            }
        });
        let asked = Arc::new(AtomicU32::new(0));
        let count = asked.clone();
        // Another thread has the answer, as with a client on a runtime of its own.
        let token = move || {
            let (sender, receiver) = oneshot::channel();
            let number = count.fetch_add(1, Ordering::SeqCst);
            thread::spawn(move || {
                thread::sleep(Duration::from_millis(20));
                sender.send(if number == 0 { "first" } else { "second" }.to_owned())
            });
            async move { receiver.await.map(Some) }
        };
        let db = open(remote(&url).access_token(token)).await?;
        assert_eq!(pull(&db).await?.tables[0].inserted, 2);
        assert_eq!(asked.load(Ordering::SeqCst), 2, "once, and again when it was refused");
        assert!(heads.lock().unwrap()[0].contains("authorization: Bearer first"));

        let failing = remote(&url).access_token(move || ready(Err::<Option<String>, _>(Error::invalid(SECRET))));
        let panicking = remote(&url).access_token(|| async { panics() });
        let empty = remote(&url).access_token(|| ready(Ok::<_, Infallible>(Some(String::new()))));
        let unfit = remote(&url).access_token(|| ready(Ok::<_, Infallible>(Some("a\nb".to_owned()))));
        let never = remote(&url).timeout_ms(100).access_token(pending::<Result<Option<String>>>);
        heads.lock().unwrap().clear();
        for (remote, expected) in [
            (failing, ErrorCode::SyncUnauthorized),
            (panicking, ErrorCode::SyncUnauthorized),
            (empty, ErrorCode::InvalidArgument),
            (unfit, ErrorCode::InvalidArgument),
            (never, ErrorCode::SyncUnauthorized),
        ] {
            let db = open(remote).await?;
            let error = pull(&db).await.unwrap_err();
            assert_eq!(error.code, expected, "{error}");
            assert!(!format!("{error:?}").contains(SECRET), "{error:?}");
            db.close().await?;
        }
        assert!(heads.lock().unwrap().is_empty(), "nothing was sent");
        let none = open(remote(&url).access_token(|| ready(Ok::<_, Infallible>(None)))).await?;
        assert_eq!(code(pull(&none).await), Some(ErrorCode::SyncUnauthorized));
        assert!(!heads.lock().unwrap()[0].contains("authorization"));
        Ok(())
    });
}

#[test]
fn functions_of_a_table_are_called_and_their_errors_name_it() {
    block_on(async {
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = requests.clone();
        let url = serve(move |request| {
            seen.lock().unwrap().push(request.lines().next().unwrap_or_default().to_owned());
            two_notes(request)
        });
        let table = TableSync::new("notes").filter_function(|| ready(Ok::<_, Error>([("body", "neq.pot")])));
        let merge = |conflict: tidelock::Conflict| async move {
            let mut row = conflict.remote.unwrap_or_default();
            row.set("body", format!("{:?} and {:?}", conflict.local.unwrap().get("body"), row.get("body")));
            Ok::<_, Error>(Some(row))
        };
        let table = table.direction(SyncDirection::Both).conflict_function(merge);
        let db = open(remote(&url).tables([table])).await?;
        db.run("INSERT INTO notes VALUES (1, 'milk')", ()).await?;
        let report = pull(&db).await?;
        assert_eq!(report.tables[0].conflicts, 1);
        assert!(requests.lock().unwrap().iter().any(|line| line.contains("body=neq.pot")));
        let merged = "Some(Text(\"milk\")) and Some(Text(\"tea\"))";
        let body = db.get_as::<String>("SELECT body FROM notes WHERE id = 1", ()).await?;
        assert_eq!(body.as_deref(), Some(merged));
        let logged = db.sync().conflicts(1).await?;
        assert_eq!(logged[0].result.as_ref().and_then(|row| row.get("body")), Some(&Value::from(merged)));

        let none: Option<Cells> = None;
        for table in [
            TableSync::new("notes").filter_function(|| ready(Err::<[(&str, &str); 0], _>("no city"))),
            TableSync::new("notes").conflict_function(move |_| {
                let none = none.clone();
                async move { if none.is_none() { Err("no city") } else { Ok(none) } }
            }),
        ] {
            let db = open(remote(&url).tables([table])).await?;
            db.run("INSERT INTO notes VALUES (1, 'milk')", ()).await?;
            let error = pull(&db).await.unwrap_err();
            assert_eq!((error.code, error.cause.as_deref()), (ErrorCode::InvalidArgument, Some("no city")), "{error}");
            assert_eq!(error.details.get("table"), Some(&Detail::from("notes")));
        }
        Ok(())
    });
}

#[test]
fn the_cloud_mode_syncs_by_itself() {
    block_on(async {
        let posts = Arc::new(AtomicU32::new(0));
        let count = posts.clone();
        let url = serve(move |request| {
            count.fetch_add(u32::from(request.starts_with("POST /rest/v1/notes")), Ordering::SeqCst);
            two_notes(request)
        });
        let notes = [Migration::new("1", "notes", NOTES)];
        let db = tidelock::open(memory().migrations(notes).mode(Mode::Cloud).remote(remote(&url))).await?;
        db.sync().ready().await?;
        assert_eq!(db.get_as::<i64>("SELECT count(*) FROM notes", ()).await?, Some(2));
        let mut events = db.events().await?;
        db.run("INSERT INTO notes VALUES (3, 'pot')", ()).await?;
        while posts.load(Ordering::SeqCst) == 0 {
            events.next().await.expect("the database is open");
        }
        db.sync().stop().await?;
        db.close().await
    });
}
