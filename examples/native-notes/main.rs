//! Notes in a folder: `cargo run --example native-notes -- add "buy tea"`. The folder is one that a program in Node opens,
//! too.

use std::{env, process::ExitCode};

use futures_executor::block_on;
use tidelock::{Database, Encryption, Error, LockOptions, OnBusy, OpenOptions, Storage, migrations, params};

#[derive(serde::Deserialize)]
struct Note {
    id: i64,
    body: String,
    done: bool,
}

async fn open_notes() -> Result<Database, Error> {
    let mut options = OpenOptions::new("notes")
        .storage(Storage::File)
        .path(env::var_os("NOTES_FOLDER").unwrap_or_else(|| "notes.tidelock".into()))
        .lock(LockOptions { on_busy: OnBusy::Wait, timeout_ms: 2000 })
        .migrations(migrations!("examples/native-notes/migrations")?);
    if let Ok(passphrase) = env::var("NOTES_PASSPHRASE") {
        options = options.encryption(Encryption::passphrase(passphrase));
    }
    tidelock::open(options).await
}

async fn run(words: &[&str]) -> Result<(), Error> {
    let db = open_notes().await?;
    match words {
        ["add", bodies @ ..] if !bodies.is_empty() => {
            db.transaction(async |tx| {
                for body in bodies {
                    let sql = "INSERT INTO notes(body, made_at) VALUES (?, datetime())";
                    tx.run(sql, params![*body]).await?;
                }
                Ok::<_, Error>(())
            })
            .await?;
        }
        ["done", id] => {
            let result = db.run("UPDATE notes SET done = 1 WHERE id = ?", params![*id]).await?;
            println!("{} changed", result.changes);
        }
        ["backup", file] => {
            std::fs::write(file, db.export().await?).map_err(|error| Error::invalid(error.to_string()))?
        }
        [] => {}
        _ => return Err(Error::invalid("Unknown command").hint("add TEXT..., done ID, backup FILE, or nothing")),
    }
    for Note { id, body, done } in db.query_as("SELECT id, body, done FROM notes ORDER BY id", ()).await? {
        println!("{id} {} {body}", if done { "x" } else { "-" });
    }
    db.close().await
}

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    match block_on(run(&words.iter().map(String::as_str).collect::<Vec<_>>())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
