//! Notes in a page, stored in its browser: Leptos and tidelock, without npm. One tab at a time has the notes; another one
//! says so, and can take them over. Built with SUPABASE_URL and SUPABASE_KEY of a project, it syncs with its table:
//!
//! ```sql
//! create table notes (id text primary key, body text not null, done boolean not null, created_at timestamptz not null);
//! ```

use leptos::{ev::SubmitEvent, mount::mount_to_body, prelude::*, task::spawn_local};
use tidelock::{
    Database, Error, ErrorCode, LockOptions, OnBusy, OpenOptions, Params, RemoteOptions, TableSync, migrations, params,
};

#[derive(Clone, PartialEq, Eq, Hash, serde::Deserialize)]
struct Note {
    id: String,
    body: String,
    done: bool,
}

/// What the page shows. A `Database` is `Send` and cheap to clone: signals and contexts can hold it.
#[derive(Clone, Copy)]
struct State {
    database: RwSignal<Option<Database>>,
    notes: RwSignal<Vec<Note>>,
    message: RwSignal<String>,
}

async fn open_notes(on_busy: OnBusy) -> Result<Database, Error> {
    let lock = LockOptions { on_busy, ..LockOptions::default() };
    let options = OpenOptions::new("notes").migrations(migrations!("migrations")?).lock(lock);
    let (Some(url), Some(key)) = (option_env!("SUPABASE_URL"), option_env!("SUPABASE_KEY")) else {
        return tidelock::open(options).await;
    };
    let remote = RemoteOptions::new(url, key).tables([TableSync::new("notes").deleted("compare")]);
    let db = tidelock::open(options.remote(remote)).await?;
    // Notes are sent and fetched whenever there is a network, from now on.
    db.sync().start(None).await?;
    Ok(db)
}

impl State {
    /// Opens the database and shows the notes until it is closed, here or by another tab.
    async fn run(self, on_busy: OnBusy) {
        self.message.set("Opening the notes".to_owned());
        let db = match open_notes(on_busy).await {
            Ok(db) => db,
            Err(error) if error.code == ErrorCode::DatabaseInUse => {
                return self.message.set(error.message.clone());
            }
            Err(error) => return self.message.set(error.to_string()),
        };
        self.message.set(String::new());
        let mut live = db.live_as::<Note>("SELECT id, body, done FROM notes ORDER BY created_at, id", ());
        self.database.set(Some(db));
        while let Some(notes) = live.next().await {
            match notes {
                Ok(notes) => self.notes.set(notes),
                Err(error) => self.message.set(error.to_string()),
            }
        }
        self.database.set(None);
        self.message.set("The notes are in another tab now".to_owned());
    }

    fn write(self, sql: &'static str, params: Params) {
        let Some(db) = self.database.get_untracked() else { return };
        spawn_local(async move {
            if let Err(error) = db.run(sql, params).await {
                self.message.set(error.to_string());
            }
        });
    }
}

#[component]
fn App() -> impl IntoView {
    let state = State {
        database: RwSignal::new(None),
        notes: RwSignal::new(Vec::new()),
        message: RwSignal::new(String::new()),
    };
    let body = RwSignal::new(String::new());
    spawn_local(state.run(OnBusy::Fail));
    let add = move |event: SubmitEvent| {
        event.prevent_default();
        state.write("INSERT INTO notes (body) VALUES (?)", params![body.get_untracked()]);
        body.set(String::new());
    };
    let is_open = move || state.database.with(Option::is_some);
    view! {
        <h1>"Notes"</h1>
        <p role="status">{state.message}</p>
        <Show when=is_open fallback=move || view! {
            <button on:click=move |_| spawn_local(state.run(OnBusy::Takeover))>"Use the notes here"</button>
        }>
            <form on:submit=add>
                <input aria-label="A new note" required bind:value=body />
                <button>"Add"</button>
            </form>
            <ul>
                <For each=move || state.notes.get() key=Note::clone let:note>
                    <li class:done=note.done>
                        <label>
                            <input type="checkbox" prop:checked=note.done on:change={
                                let id = note.id.clone();
                                move |_| state.write("UPDATE notes SET done = NOT done WHERE id = ?", params![&id])
                            } />
                            {note.body}
                        </label>
                        " "
                        <button title="Remove" on:click=move |_| {
                            state.write("DELETE FROM notes WHERE id = ?", params![&note.id]);
                        }>"×"</button>
                    </li>
                </For>
            </ul>
        </Show>
    }
}

fn main() {
    console_error_panic_hook::set_once();
    mount_to_body(App);
}
