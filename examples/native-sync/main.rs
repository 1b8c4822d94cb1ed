//! Notes that sync with a Supabase project, or any PostgREST: `cargo run --features sync --example native-sync -- tea`
//! adds a note, and sends it. SUPABASE_URL and SUPABASE_PUBLISHABLE_KEY name the project, which needs this table:
//!
//! ```sql
//! create table notes (id text primary key, body text not null, updated_at timestamptz not null default now());
//! ```

use std::{convert::Infallible, env, process::ExitCode};

use futures_executor::block_on;
use tidelock::{
    Database, Error, ErrorCode, Migration, OpenOptions, PullOptions, RemoteOptions, Storage, TableSync, params,
};

fn setting(name: &str) -> Result<String, Error> {
    env::var(name).map_err(|_| Error::invalid(format!("{name} is not set")).hint("It is in the project's settings"))
}

async fn open_notes() -> Result<Database, Error> {
    let notes = TableSync::new("notes").cursor("updated_at").deleted("compare");
    let mut remote =
        RemoteOptions::new(setting("SUPABASE_URL")?, setting("SUPABASE_PUBLISHABLE_KEY")?).tables([notes]).retries(1);
    if let Ok(token) = env::var("NOTES_TOKEN") {
        // A program with a session returns the token of the session here, and renews it when it expires.
        remote = remote.access_token(move || std::future::ready(Ok::<_, Infallible>(Some(token.clone()))));
    }
    if let Ok(file) = env::var("NOTES_CERTIFICATES") {
        remote = remote.root_certificates(std::fs::read(file).map_err(|error| Error::invalid(error.to_string()))?);
    }
    let table = "CREATE TABLE notes(id TEXT PRIMARY KEY NOT NULL, body TEXT NOT NULL, updated_at TIMESTAMPTZ)";
    let options = OpenOptions::new("notes")
        .storage(Storage::File)
        .path(env::var_os("NOTES_FOLDER").unwrap_or_else(|| "notes.tidelock".into()))
        .migrations([Migration::new("1", "notes", table)])
        .remote(remote);
    tidelock::open(options).await
}

async fn run(bodies: Vec<String>) -> Result<(), Error> {
    let db = open_notes().await?;
    match db.sync().pull(PullOptions::default()).await {
        Ok(report) => println!("{} new, {} changed", report.tables[0].inserted, report.tables[0].updated),
        Err(error) if error.code == ErrorCode::SyncNetwork => println!("offline: {}", error.message),
        Err(error) => return Err(error),
    }
    for body in bodies {
        db.run("INSERT INTO notes(id, body) VALUES (lower(hex(randomblob(16))), ?)", params![body]).await?;
    }
    for body in db.query_as::<String>("SELECT body FROM notes ORDER BY body", ()).await? {
        println!("- {body}");
    }
    match db.sync().push().await {
        Ok(report) => println!("{} sent", report.tables[0].inserted),
        // They are sent the next time.
        Err(error) => println!("{} wait: {}", db.sync().pending().await?.len(), error.message),
    }
    db.close().await
}

fn main() -> ExitCode {
    match block_on(run(env::args().skip(1).collect())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
