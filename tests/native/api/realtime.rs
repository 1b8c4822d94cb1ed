//! Supabase Realtime, natively: changes of others are pulled at once.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        mpsc::{Sender, channel},
    },
    thread,
    time::Duration,
};

use tidelock::{Event, Events, Migration, RemoteOptions, SyncPhase};
use tungstenite::{Message, WebSocket, accept};

use super::{block_on, memory};

const TIMEOUT: Duration = Duration::from_secs(20);
const CHANGE: &str = r#"{"ref":null,"event":"postgres_changes","payload":{"data":{"table":"notes","type":"INSERT","record":{},"schema":"public"},"ids":[1]},"topic":"realtime:tidelock"}"#;

/// What a connection of Realtime reports to the test.
enum Seen {
    Joined(Box<WebSocket<TcpStream>>, String),
    Ended,
}

/// Serves rows, and a channel that reports nothing by itself → the server's URL.
fn serve(rows: Arc<Mutex<String>>, seen: Sender<Seen>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/rest/v1", listener.local_addr().unwrap());
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut head = [0; 4096];
            let count = stream.peek(&mut head).unwrap_or(0);
            let head = String::from_utf8_lossy(&head[..count]).into_owned();
            if head.starts_with("GET /realtime/v1/websocket?") {
                join(accept(stream).unwrap(), &seen);
                continue;
            }
            let (status, body) = match head.starts_with("GET /rest/v1/notes") {
                true if head.contains("id=gt.") || head.contains("(id.gt.") => ("200 OK", "[]".to_owned()),
                true => ("200 OK", rows.lock().unwrap().clone()),
                false => ("404 Not Found", r#"{"code":"PGRST202","message":"no such function"}"#.to_owned()),
            };
            let _ = stream.read(&mut [0; 4096]);
            let length = body.len();
            let _ = write!(stream, "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}");
        }
    });
    url
}

fn join(mut socket: WebSocket<TcpStream>, seen: &Sender<Seen>) {
    let joining = socket.read().unwrap().to_string();
    for answer in [
        r#"{"ref":"1","event":"phx_reply","payload":{"status":"ok","response":{}},"topic":"realtime:tidelock"}"#,
        r#"{"ref":null,"event":"system","payload":{"message":"","status":"ok"},"topic":"realtime:tidelock"}"#,
    ] {
        socket.send(Message::from(answer)).unwrap();
    }
    seen.send(Seen::Joined(Box::new(socket), joining)).unwrap();
}

/// Waits for the end of a pull.
async fn pulled(events: &mut Events) {
    let mut pulls = false;
    while let Some(event) = events.next().await {
        match event {
            Event::Sync(event) if event.phase == SyncPhase::Pulling => pulls = true,
            Event::Sync(event) if event.phase == SyncPhase::Idle && pulls => return,
            _ => {}
        }
    }
}

#[test]
fn a_change_of_another_client_is_pulled_at_once() {
    block_on(async {
        let rows = Arc::new(Mutex::new(r#"[{"id":1,"body":"tea"}]"#.to_owned()));
        let (sender, seen) = channel();
        let url = serve(rows.clone(), sender.clone());
        let remote = RemoteOptions::new(url, "sb_publishable_example").tables(["notes"]).retries(0).realtime(true);
        let history = [Migration::new("1", "notes", "CREATE TABLE notes(id INTEGER PRIMARY KEY, body TEXT)")];
        let db = tidelock::open(memory().migrations(history).remote(remote)).await?;
        let mut live = db.live_as::<String>("SELECT body FROM notes ORDER BY id", ());
        assert!(live.next().await.unwrap()?.is_empty());
        // The interval alone would find nothing for an hour.
        let mut events = db.events().await?;
        db.sync().start(3_600_000).await?;
        pulled(&mut events).await;
        assert_eq!(live.next().await.unwrap()?, ["tea"]);
        // What was changed before the channel was joined.
        pulled(&mut events).await;

        let Ok(Seen::Joined(mut socket, joining)) = seen.recv_timeout(TIMEOUT) else { panic!("no client joined") };
        assert!(joining.contains("phx_join") && joining.contains(r#""table":"notes""#), "{joining}");
        *rows.lock().unwrap() = r#"[{"id":1,"body":"tea"},{"id":2,"body":"cup"}]"#.to_owned();
        socket.send(Message::from(CHANGE)).unwrap();
        assert_eq!(live.next().await.unwrap()?, ["tea", "cup"]);

        // A database that is closed hangs up.
        thread::spawn(move || {
            while socket.read().is_ok() {}
            sender.send(Seen::Ended)
        });
        db.close().await?;
        assert!(matches!(seen.recv_timeout(TIMEOUT), Ok(Seen::Ended)));
        Ok(())
    });
}
