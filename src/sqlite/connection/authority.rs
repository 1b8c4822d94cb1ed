//! The one authorizer of a connection: decides what each statement may do, and records what it reads and writes.
//!
//! It is installed once and never replaced, because replacing it would recompile every cached statement. Which actions it
//! refuses depends on a mode that is set before each call of SQLite.

use std::{
    cell::{Cell, RefCell},
    ffi::{CStr, c_char, c_int, c_void},
    marker::PhantomData,
    rc::Rc,
};

use rusqlite::ffi;

use crate::{
    error::{Error, Result},
    sqlite::{functions::user_functions, tracking::query_reads::QueryReads},
};

/// On whose behalf a statement is prepared: decides what the authorizer refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Authority {
    /// tidelock itself: nothing is refused.
    Engine,
    /// A user's statement: BEGIN, COMMIT, ATTACH, some pragmas... are refused.
    User,
    /// A statement of a user's script that has its own BEGIN and COMMIT: as for a user, but these are allowed.
    Script,
    /// A statement of a migration: as for a user, but setting `foreign_keys` is allowed. It has no effect in the open
    /// transaction, and tools that generate migrations write it.
    Migration,
    /// A statement of an external SQL text, in a database of its own: ATTACH is refused, and so are the functions that an external
    /// file's schema may not call, and pragmas that also hold for other databases.
    File,
}

/// The effects of a statement, as SQLite reported them when it compiled it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StatementEffects {
    /// The tables and views that it reads, also through triggers and foreign keys; names as in the schema.
    /// Includes `sqlite_schema`, which every change of the schema changes.
    pub reads: Vec<Rc<str>>,
    /// The tables and views that it changes, also through triggers and foreign key actions. Excludes the schema table and
    /// SQLite's own `sqlite_stat` tables.
    pub writes: Vec<Rc<str>>,
    /// Whether it changes the database's schema: CREATE, DROP, ALTER, REINDEX. Not with IF [NOT] EXISTS and nothing to do.
    pub schema: bool,
    /// Whether it changes the schema of temporary objects, which are not part of the file.
    pub temp_schema: bool,
    /// Whether it begins or ends a transaction or a savepoint.
    pub transaction: bool,
    /// Whether it is a PRAGMA.
    pub pragma: bool,
    /// Whether it is itself an INSERT, UPDATE, DELETE or REPLACE: only these count the rows they changed.
    pub changes_rows: bool,
}

impl StatementEffects {
    /// Resets all fields; keeps the lists' memory.
    fn clear(&mut self) {
        let (mut reads, mut writes) = (std::mem::take(&mut self.reads), std::mem::take(&mut self.writes));
        reads.clear();
        writes.clear();
        *self = Self { reads, writes, ..Self::default() };
    }
}

/// Why a user's statement is refused.
struct Denial {
    message: &'static str,
    hint: &'static str,
}

static TRANSACTION: Denial = Denial {
    message: "BEGIN, COMMIT, ROLLBACK, SAVEPOINT and RELEASE can't be run as a statement",
    hint: "Use db.transaction(), or db.exec() with a script that has its own BEGIN and COMMIT",
};
static ATTACH: Denial = Denial {
    message: "ATTACH, DETACH and VACUUM can't be run here",
    hint: "Open one database per file; VACUUM runs alone in db.exec('VACUUM'); db.export() makes a copy",
};
static FOREIGN_KEYS: Denial = Denial {
    message: "PRAGMA foreign_keys has no effect while a transaction is open",
    hint: "Set it before the transaction begins, with db.run(): db.exec() has one of its own, unless the script begins and ends it",
};
static PRAGMA: Denial = Denial {
    message: "This pragma can't be set: tidelock's storage relies on it",
    hint: "Reading it is allowed; the settings are described under durability",
};

static ENCODING: Denial = Denial {
    message: "A database can't have another encoding than UTF-8",
    hint: "Leave the pragma out; files in UTF-16 are converted when they are imported",
};

static HIDING: Denial = Denial {
    message: "A temporary table or view can't have the name of a table that tidelock writes",
    hint: "Give it another name: it would take the rows of the other one",
};

static DIRECT_ONLY: Denial = Denial {
    message: "A file can't call decrypt(), nor functions with directOnly",
    hint: "Drop the call, with the program that created the file",
};

static HEAP_LIMIT: Denial = Denial {
    message: "A file can't limit the memory of SQLite",
    hint: "Remove the pragma from the SQL text: it holds for all open databases",
};

/// Pragmas of SQLite as a whole, not of one connection. The limits can only be lowered.
const HEAP_LIMITS: [&[u8]; 2] = [b"hard_heap_limit", b"soft_heap_limit"];

/// Pragmas that a user may read but not set. SQLite drops all temporary triggers, such as those of capture, when `temp_store` changes.
pub const FIXED_PRAGMAS: [&str; 9] = [
    "journal_mode",
    "locking_mode",
    "synchronous",
    "cache_spill",
    "page_size",
    "max_page_count",
    "temp_store",
    "temp_store_directory",
    "writable_schema",
];

/// SQLite's names of the encoding that every database has.
const UTF8: [&[u8]; 2] = [b"UTF-8", b"UTF8"];

/// Tables that SQLite writes itself.
const OWN_TABLES: [&[u8]; 4] = [b"sqlite_master", b"sqlite_temp_master", b"sqlite_stat1", b"sqlite_stat4"];

/// The limit of interned table names.
const NAMES_KEPT: usize = 64;

/// The authorizer's state. Its address must not change while it is installed.
pub(in crate::sqlite) struct Watcher {
    db: Cell<*mut ffi::sqlite3>,
    mode: Cell<Authority>,
    /// Whether a user's VACUUM is running, which attaches a temporary database.
    vacuum: Cell<bool>,
    /// Whether SQLite called the authorizer since the last [`begin`](Self::begin).
    asked: Cell<bool>,
    effects: RefCell<StatementEffects>,
    /// The interned table names: the statements of a script repeat the same few.
    names: RefCell<Vec<Rc<str>>>,
    /// Whether the statement is an ANALYZE, or a PRAGMA that runs one: it writes no user rows.
    analyze: Cell<bool>,
    /// Whether columns and functions are recorded, too.
    is_reading: Cell<bool>,
    reading: RefCell<QueryReads>,
    /// Whether a PRAGMA may have replaced SQLite's LIKE.
    changed_like: Cell<bool>,
    refusal: Cell<Option<&'static Denial>>,
    /// The table of the user's that triggers of tidelock write.
    log: RefCell<Option<Box<str>>>,
}

impl Watcher {
    pub fn install(db: *mut ffi::sqlite3) -> Result<Box<Self>> {
        let watcher = Box::new(Self {
            db: Cell::new(db),
            mode: Cell::new(Authority::Engine),
            vacuum: Cell::new(false),
            asked: Cell::new(false),
            effects: RefCell::default(),
            names: RefCell::default(),
            analyze: Cell::new(false),
            is_reading: Cell::new(false),
            reading: RefCell::default(),
            changed_like: Cell::new(false),
            refusal: Cell::new(None),
            log: RefCell::default(),
        });
        let context = std::ptr::from_ref::<Self>(&watcher).cast_mut().cast::<c_void>();
        // SAFETY: the box lives as long as the connection, which holds it and closes SQLite before dropping it; the
        // callback only takes shared references to it.
        let code = unsafe { ffi::sqlite3_set_authorizer(db, Some(authorize), context) };
        if code == ffi::SQLITE_OK { Ok(watcher) } else { Err(crate::sqlite::failure::last(db, code)) }
    }

    /// Sets the mode; to be called before SQLite compiles or runs a statement.
    pub fn begin(&self, mode: Authority) {
        self.mode.set(mode);
        self.refusal.set(None);
        if self.asked.get() {
            self.forget();
        }
    }

    fn forget(&self) {
        self.asked.set(false);
        self.analyze.set(false);
        self.effects.borrow_mut().clear();
    }

    /// Returns whether SQLite compiled a statement since [`begin`](Self::begin), or since the effects were taken.
    pub fn asked(&self) -> bool {
        self.asked.get()
    }

    /// Returns the effects recorded since they were last taken.
    pub fn take_effects(&self) -> Rc<StatementEffects> {
        let mut effects = Rc::default();
        self.take_effects_into(&mut effects);
        effects
    }

    /// Writes the effects to `place`; reuses its memory when it has no other owner.
    pub fn take_effects_into(&self, place: &mut Rc<StatementEffects>) {
        let analyze = self.analyze.get();
        match Rc::get_mut(place) {
            Some(effects) => std::mem::swap(effects, &mut self.effects.borrow_mut()),
            None => *place = Rc::new(self.effects.take()),
        }
        self.forget();
        if let Some(effects) = Rc::get_mut(place) {
            effects.changes_rows &= !(effects.schema || effects.temp_schema || analyze);
        }
    }

    /// Records the columns and functions of the statement that is compiled next, until [`end_reading`](Self::end_reading).
    pub fn begin_reading(&self) {
        self.is_reading.set(true);
    }

    /// Returns what was recorded.
    pub fn end_reading(&self) -> QueryReads {
        self.is_reading.set(false);
        self.forget();
        self.reading.take()
    }

    /// Returns whether a PRAGMA may have replaced SQLite's LIKE.
    pub fn changed_like(&self) -> bool {
        self.changed_like.get()
    }

    fn note_reading(&self, action: c_int, first: Name<'_>, second: Name<'_>) {
        let text = |name: Name<'_>| String::from_utf8_lossy(name.get().unwrap_or_default()).into_owned();
        let mut reading = self.reading.borrow_mut();
        match action {
            ffi::SQLITE_READ => reading.note_column(&text(first), &text(second)),
            ffi::SQLITE_FUNCTION => reading.functions.push(text(second)),
            _ => {}
        }
    }

    /// Announces that a lone VACUUM of a user's script is about to run, or has run.
    pub fn allow_vacuum(&self, allow: bool) {
        self.vacuum.set(allow);
    }

    /// Returns the error for SQLITE_AUTH: the reason of the refusal.
    pub fn take_refusal(&self) -> Option<Error> {
        let refusal = self.refusal.take()?;
        Some(Error::invalid(refusal.message).hint(refusal.hint))
    }

    /// From now on, no temporary table or view of a user may have this name.
    pub fn keep_visible(&self, table: &str) {
        self.log.replace(Some(table.into()));
    }

    /// Returns whether it is the name of a table that tidelock writes.
    fn is_written(&self, name: &[u8]) -> bool {
        name.get(..9).is_some_and(|start| start.eq_ignore_ascii_case(b"tidelock_"))
            || self.log.borrow().as_ref().is_some_and(|log| log.as_bytes().eq_ignore_ascii_case(name))
    }

    fn refusal_of(&self, action: c_int, first: Name<'_>, second: Name<'_>) -> Option<&'static Denial> {
        let mode = self.mode.get();
        if mode == Authority::Engine {
            return None;
        }
        match action {
            ffi::SQLITE_ATTACH | ffi::SQLITE_DETACH if mode == Authority::File => Some(&ATTACH),
            ffi::SQLITE_FUNCTION if mode == Authority::File => {
                second.get().is_some_and(user_functions::is_direct_only).then_some(&DIRECT_ONLY)
            }
            ffi::SQLITE_PRAGMA if mode == Authority::File => {
                let name = first.get().unwrap_or_default();
                HEAP_LIMITS.iter().any(|limit| name.eq_ignore_ascii_case(limit)).then_some(&HEAP_LIMIT)
            }
            _ if mode == Authority::File => None,
            ffi::SQLITE_TRANSACTION | ffi::SQLITE_SAVEPOINT => (mode != Authority::Script).then_some(&TRANSACTION),
            ffi::SQLITE_ATTACH => (!self.vacuum.get() || first.get() != Some(b"")).then_some(&ATTACH),
            ffi::SQLITE_DETACH => (!self.vacuum.get()).then_some(&ATTACH),
            ffi::SQLITE_CREATE_TEMP_TABLE | ffi::SQLITE_CREATE_TEMP_VIEW => {
                first.get().is_some_and(|name| self.is_written(name)).then_some(&HIDING)
            }
            ffi::SQLITE_PRAGMA if second.get().is_some() => {
                let name = first.get().unwrap_or_default();
                if FIXED_PRAGMAS.iter().any(|fixed| name.eq_ignore_ascii_case(fixed.as_bytes())) {
                    return Some(&PRAGMA);
                }
                let utf8 = |value: &[u8]| UTF8.iter().any(|one| value.eq_ignore_ascii_case(one));
                if name.eq_ignore_ascii_case(b"encoding") && !second.get().is_some_and(utf8) {
                    return Some(&ENCODING);
                }
                if mode == Authority::Migration {
                    return None;
                }
                // SAFETY: called only from inside a call on this open connection.
                let open = unsafe { ffi::sqlite3_get_autocommit(self.db.get()) } == 0;
                (open && name.eq_ignore_ascii_case(b"foreign_keys")).then_some(&FOREIGN_KEYS)
            }
            _ => None,
        }
    }

    fn note(&self, action: c_int, first: Name<'_>, second: Name<'_>, database: Name<'_>, nested: bool) {
        self.asked.set(true);
        if self.is_reading.get() {
            self.note_reading(action, first, second);
        }
        let mut effects = self.effects.borrow_mut();
        match action {
            ffi::SQLITE_READ => self.note_table(&mut effects.reads, first),
            ffi::SQLITE_INSERT | ffi::SQLITE_UPDATE | ffi::SQLITE_DELETE => {
                let own = first.get().is_some_and(|table| OWN_TABLES.contains(&table));
                // How SQLite adds a table or a view. CREATE TABLE IF NOT EXISTS of one that exists doesn't come to it.
                effects.schema |= action == ffi::SQLITE_UPDATE && first.get() == Some(b"sqlite_master");
                effects.temp_schema |= action == ffi::SQLITE_UPDATE && first.get() == Some(b"sqlite_temp_master");
                if !own {
                    self.note_table(&mut effects.writes, first);
                    effects.changes_rows |= !nested;
                }
            }
            ffi::SQLITE_CREATE_INDEX
            | ffi::SQLITE_CREATE_TRIGGER
            | ffi::SQLITE_CREATE_VTABLE
            | ffi::SQLITE_DROP_INDEX
            | ffi::SQLITE_DROP_TABLE
            | ffi::SQLITE_DROP_TRIGGER
            | ffi::SQLITE_DROP_VIEW
            | ffi::SQLITE_DROP_VTABLE
            | ffi::SQLITE_REINDEX
                if database.get() != Some(b"temp") =>
            {
                effects.schema = true;
            }
            // For ALTER TABLE the first name is the database.
            ffi::SQLITE_ALTER_TABLE if first.get() != Some(b"temp") => {
                effects.schema = true;
                self.note_table(&mut effects.writes, second);
            }
            ffi::SQLITE_CREATE_TEMP_INDEX
            | ffi::SQLITE_CREATE_TEMP_TRIGGER
            | ffi::SQLITE_DROP_TEMP_INDEX
            | ffi::SQLITE_DROP_TEMP_TABLE
            | ffi::SQLITE_DROP_TEMP_TRIGGER
            | ffi::SQLITE_DROP_TEMP_VIEW
            | ffi::SQLITE_CREATE_INDEX
            | ffi::SQLITE_CREATE_TRIGGER
            | ffi::SQLITE_CREATE_VTABLE
            | ffi::SQLITE_DROP_INDEX
            | ffi::SQLITE_DROP_TABLE
            | ffi::SQLITE_DROP_TRIGGER
            | ffi::SQLITE_DROP_VIEW
            | ffi::SQLITE_DROP_VTABLE
            | ffi::SQLITE_REINDEX
            | ffi::SQLITE_ALTER_TABLE => effects.temp_schema = true,
            ffi::SQLITE_TRANSACTION | ffi::SQLITE_SAVEPOINT => effects.transaction = true,
            ffi::SQLITE_PRAGMA => {
                effects.pragma = true;
                let replaces = first.get().is_some_and(|name| name.eq_ignore_ascii_case(b"case_sensitive_like"));
                self.changed_like.set(self.changed_like.get() || replaces);
            }
            ffi::SQLITE_ANALYZE => self.analyze.set(true),
            _ => {}
        }
    }

    /// Adds an interned name once: a statement names the same table for every column.
    fn note_table(&self, tables: &mut Vec<Rc<str>>, name: Name<'_>) {
        // SQLite still reports the schema table by its old name.
        let name: &[u8] = match name.get() {
            Some(b"sqlite_master") => b"sqlite_schema",
            Some(b"sqlite_temp_master") => b"sqlite_temp_schema",
            Some(name) => name,
            None => return,
        };
        if tables.iter().any(|known| known.as_bytes() == name) {
            return;
        }
        let mut names = self.names.borrow_mut();
        if let Some(known) = names.iter().find(|known| known.as_bytes() == name) {
            tables.push(known.clone());
        } else if let Ok(name) = std::str::from_utf8(name) {
            if names.len() == NAMES_KEPT {
                names.clear();
            }
            names.push(name.into());
            tables.extend(names.last().cloned());
        }
    }
}

/// A name that SQLite passed, or none. Read only where it matters: most calls need no name.
#[derive(Clone, Copy)]
struct Name<'a>(*const c_char, PhantomData<&'a CStr>);

impl<'a> Name<'a> {
    fn get(self) -> Option<&'a [u8]> {
        // SAFETY: only `authorize` creates it, from SQLite's pointers: null, or NUL-terminated and alive until it returns.
        (!self.0.is_null()).then(|| unsafe { CStr::from_ptr(self.0) }.to_bytes())
    }
}

unsafe extern "C" fn authorize(
    context: *mut c_void,
    action: c_int,
    first: *const c_char,
    second: *const c_char,
    database: *const c_char,
    trigger: *const c_char,
) -> c_int {
    // SAFETY: the context is the watcher's box, alive while it is installed.
    let watcher = unsafe { &*context.cast::<Watcher>() };
    let name = |pointer| Name(pointer, PhantomData);
    let (first, second) = (name(first), name(second));
    if let Some(refusal) = watcher.refusal_of(action, first, second) {
        watcher.refusal.set(Some(refusal));
        return ffi::SQLITE_DENY;
    }
    watcher.note(action, first, second, name(database), !trigger.is_null());
    ffi::SQLITE_OK
}
