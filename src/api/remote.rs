//! The option `remote`: where a database syncs, and which tables.

use std::{any::type_name, fmt, future::Future};

use super::{
    platform,
    remote_functions::{RemoteFunctions, TableFunctions, TokenFunction, boxed},
    thread::ThreadSafe,
};
use crate::{
    error::{Error, Result},
    ports::Ports,
    sync::{
        config::{
            checked::Config,
            options::{self, ConflictPolicy, Names, SyncDirection},
        },
        report::{Cells, Conflict},
        values::types::WireKind as RemoteType,
    },
};

/// How one table is synced: see [`RemoteOptions::tables`]. A name alone is a table with the defaults.
///
/// ```
/// use tidelock::{ConflictPolicy, RemoteType, TableSync};
///
/// let orders = TableSync::new("orders")
///     .cursor("updated_at")
///     .deleted("compare")
///     .filter("status", "eq.open")
///     .column_type("total", RemoteType::Numeric)
///     .conflict(ConflictPolicy::RemoteWins);
/// # let _ = orders;
/// ```
#[derive(Clone)]
#[must_use]
pub struct TableSync {
    core: options::TableSync,
    functions: TableFunctions,
}

impl TableSync {
    /// Begins with the defaults: the table has the same name at the remote, is pulled and pushed, and has no cursor.
    pub fn new(table: impl Into<String>) -> Self {
        Self { core: options::TableSync::new(table.into()), functions: TableFunctions::default() }
    }

    /// Sets the table's name at the remote. Default: the local name.
    pub fn remote_table(mut self, table: impl Into<String>) -> Self {
        self.core.remote_table = Some(table.into());
        self
    }

    /// Sets the columns of the primary key. Default: the primary key of the local table.
    pub fn primary_key<C: Into<String>>(mut self, columns: impl IntoIterator<Item = C>) -> Self {
        self.core.primary_key = Some(Names::Many(columns.into_iter().map(Into::into).collect()));
        self
    }

    /// Sets the synced columns. Default: those that both sides have.
    pub fn columns<C: Into<String>>(mut self, columns: impl IntoIterator<Item = C>) -> Self {
        self.core.columns = Some(columns.into_iter().map(Into::into).collect());
        self
    }

    /// Sets the remote type of a column. Default: by the declared type of the local column, for which
    /// [`RemoteType::Any`](crate::RemoteType::Any) stands elsewhere: here it is `invalid_argument`.
    pub fn column_type(mut self, column: impl Into<String>, kind: RemoteType) -> Self {
        self.core.types.insert(column.into(), kind.name().to_owned());
        self
    }

    /// Syncs only rows for which a PostgREST filter holds: `.filter("status", "eq.open")`. Of several, all must hold.
    /// When a filter has changed, a pull removes the rows that no longer belong, and brings the new ones. Rows with
    /// unpushed changes stay until they are pushed.
    pub fn filter(mut self, column: impl Into<String>, filter: impl Into<String>) -> Self {
        self.core.filter.insert(column.into(), filter.into());
        self
    }

    /// Sets a function that returns the filters, in the place of [`filter`](Self::filter). It is called before each
    /// pull, on the engine's thread: see [`RemoteOptions::access_token`]. If it fails, the pull of that table fails with
    /// `invalid_argument`, and the table keeps its rows.
    ///
    /// ```
    /// use std::sync::{Arc, Mutex};
    ///
    /// use tidelock::{Error, TableSync};
    ///
    /// let city = Arc::new(Mutex::new("Oslo".to_owned()));
    /// let shown = city.clone();
    /// let orders = TableSync::new("orders").filter_function(move || {
    ///     let filter = format!("eq.{}", shown.lock().unwrap());
    ///     async move { Ok::<_, Error>([("city", filter)]) }
    /// });
    /// # let _ = orders;
    /// ```
    pub fn filter_function<F, Fut, I, C, V, E>(mut self, filters: F) -> Self
    where
        F: Fn() -> Fut + ThreadSafe + 'static,
        Fut: Future<Output = Result<I, E>> + 'static,
        I: IntoIterator<Item = (C, V)>,
        C: Into<String>,
        V: Into<String>,
        E: fmt::Display + 'static,
    {
        let filters = move |()| {
            let filters = filters();
            async move {
                let filters = filters.await?;
                Ok::<_, E>(filters.into_iter().map(|(column, filter)| (column.into(), filter.into())).collect())
            }
        };
        self.core.has_filter_function = true;
        self.functions.filter = Some(boxed(filters, E::to_string));
        self
    }

    /// Sets a column that grows with each change, for example `updated_at`: a pull reads the rows after its last
    /// position, and a push never sends the column. The server must set it at each insert and update, by a trigger.
    /// Without a cursor each pull reads the whole table, and a push reads a row and compares it before it writes.
    pub fn cursor(mut self, column: impl Into<String>) -> Self {
        self.core.cursor = Some(column.into());
        self
    }

    /// Sets how far a pull goes back before its cursor, in milliseconds, to find rows that were committed late.
    /// Default: 60,000.
    pub fn overlap_ms(mut self, ms: u64) -> Self {
        self.core.overlap_ms = ms;
        self
    }

    /// Sets a column that marks rows as deleted: a push sets it instead of deleting the row. Or `"compare"`, which finds
    /// deleted rows by comparing keys.
    pub fn deleted(mut self, column: impl Into<String>) -> Self {
        self.core.deleted = Some(column.into());
        self
    }

    /// Sets how a row is merged that changed on both sides. Where both sides changed different columns, all policies
    /// merge them. Default: [`ConflictPolicy::KeepLocal`](crate::ConflictPolicy::KeepLocal);
    /// [`ConflictPolicy::RemoteWins`](crate::ConflictPolicy::RemoteWins) with [`Mode::Cloud`](crate::Mode::Cloud).
    pub fn conflict(mut self, policy: ConflictPolicy) -> Self {
        self.core.conflict = Some(policy);
        self
    }

    /// Sets a function that merges a row that changed on both sides: it returns the row as it is to be, or `None` to
    /// delete it. Columns that it leaves out keep the remote's value. It runs on the engine's thread, see
    /// [`RemoteOptions::access_token`]. The result is applied only if the row hasn't changed meanwhile; otherwise the
    /// function is called again.
    ///
    /// ```
    /// use tidelock::{Error, TableSync, Value};
    ///
    /// let notes = TableSync::new("notes").conflict_function(|conflict| async {
    ///     let (Some(local), Some(mut row)) = (conflict.local, conflict.remote) else { return Ok(None) };
    ///     if let (Some(Value::Text(here)), Some(Value::Text(there))) = (local.get("body"), row.get("body")) {
    ///         let both = format!("{there}\n{here}");
    ///         row.set("body", both);
    ///     }
    ///     Ok::<_, Error>(Some(row))
    /// });
    /// # let _ = notes;
    /// ```
    pub fn conflict_function<F, Fut, E>(mut self, merge: F) -> Self
    where
        F: Fn(Conflict) -> Fut + ThreadSafe + 'static,
        Fut: Future<Output = Result<Option<Cells>, E>> + 'static,
        E: fmt::Display + 'static,
    {
        self.core.conflict = Some(ConflictPolicy::Function);
        self.functions.conflict = Some(boxed(merge, E::to_string));
        self
    }

    /// Sets whether the table is pulled, pushed or both. Default:
    /// [`SyncDirection::Both`](crate::SyncDirection::Both).
    pub fn direction(mut self, direction: SyncDirection) -> Self {
        self.core.direction = direction;
        self
    }
}

impl From<&str> for TableSync {
    fn from(table: &str) -> Self {
        Self::new(table)
    }
}

impl From<String> for TableSync {
    fn from(table: String) -> Self {
        Self::new(table)
    }
}

impl fmt::Debug for TableSync {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TableSync").field("table", &self.core.table).finish_non_exhaustive()
    }
}

/// The Supabase project or PostgREST with which a database syncs: see [`OpenOptions::remote`](crate::OpenOptions::remote).
///
/// ```
/// use tidelock::{OpenOptions, RemoteOptions, Storage, TableSync};
///
/// let remote = RemoteOptions::new("https://example.supabase.co", "sb_publishable_example")
///     .tables([TableSync::new("orders").cursor("updated_at"), "countries".into()]);
/// let options = OpenOptions::new("shop").storage(Storage::File).remote(remote);
/// # let _ = options;
/// ```
#[derive(Clone)]
#[must_use]
pub struct RemoteOptions {
    core: options::RemoteOptions,
    tables: Vec<TableSync>,
    access_token: Option<TokenFunction>,
    per_user: bool,
    root_certificates: Option<Vec<u8>>,
}

impl RemoteOptions {
    /// Begins with the defaults. `url` is the URL of the Supabase project, or of a PostgREST root; `key` is the
    /// publishable (or anon) key, or a secret one in a program that only its owner runs.
    pub fn new(url: impl Into<String>, key: impl Into<String>) -> Self {
        let core =
            options::RemoteOptions { secrets_allowed: true, ..options::RemoteOptions::new(url.into(), key.into()) };
        Self { core, tables: Vec::new(), access_token: None, per_user: false, root_certificates: None }
    }

    /// Sets the tables to sync, by name or with options. There must be at least one.
    pub fn tables<T: Into<TableSync>>(mut self, tables: impl IntoIterator<Item = T>) -> Self {
        self.tables = tables.into_iter().map(Into::into).collect();
        self
    }

    /// Sets a function that returns the token of the signed-in user; `None`: no user is signed in. It is called for
    /// each call of sync, and again when the remote refuses the token. If it fails, sync fails with
    /// `sync_unauthorized`; its error is not shown, because it may hold credentials.
    ///
    /// It runs on the engine's thread, where no runtime is entered, and must not block it. To use a client that needs
    /// tokio, spawn the work on a `tokio::runtime::Handle` and await its result.
    ///
    /// ```
    /// use std::{convert::Infallible, sync::{Arc, Mutex}};
    ///
    /// use tidelock::RemoteOptions;
    ///
    /// let session: Arc<Mutex<Option<String>>> = Arc::default(); // Signing in sets it.
    /// let remote = RemoteOptions::new("https://example.supabase.co", "sb_publishable_example")
    ///     .tables(["orders"])
    ///     .access_token(move || {
    ///         let token = session.lock().unwrap().clone();
    ///         async move { Ok::<_, Infallible>(token) }
    ///     });
    /// # let _ = remote;
    /// ```
    pub fn access_token<F, Fut, E>(mut self, token: F) -> Self
    where
        F: Fn() -> Fut + ThreadSafe + 'static,
        Fut: Future<Output = Result<Option<String>, E>> + 'static,
        E: 'static,
    {
        // The error may contain the credentials that the function was to renew.
        self.access_token = Some(boxed(move |()| token(), |_: &E| type_name::<E>().to_owned()));
        self.core.has_access_token = true;
        self
    }

    /// Sets the id of the user to whom the data belongs. Default: the `sub` of the token. The database belongs to the
    /// user of its first sync; with another one sync fails with `sync_user_mismatch`, before any request.
    pub fn user_id(mut self, id: impl Into<String>) -> Self {
        self.core.user_id = Some(id.into());
        self
    }

    /// Sets whether each user has a database: its name is the option `name`, a slash, and the id of the signed-in user,
    /// which is [`user_id`](Self::user_id), or else the `sub` of the token. `open` then fails with `sync_unauthorized` while
    /// no user is signed in. [`recover`](crate::recover) and [`delete_database`](crate::delete_database) take the full name,
    /// which [`Database::name`](crate::Database::name) returns. Default: `false`.
    ///
    /// ```
    /// # futures_executor::block_on(async {
    /// use tidelock::{OpenOptions, RemoteOptions, Storage};
    ///
    /// let remote = RemoteOptions::new("https://example.supabase.co", "sb_publishable_example")
    ///     .tables(["orders"])
    ///     .user_id("5f3e")
    ///     .per_user(true);
    /// let db = tidelock::open(OpenOptions::new("shop").storage(Storage::Memory).remote(remote)).await?;
    /// assert_eq!(db.name(), "shop/5f3e");
    /// # Ok::<_, tidelock::Error>(()) }).unwrap();
    /// ```
    pub fn per_user(mut self, per_user: bool) -> Self {
        self.per_user = per_user;
        self
    }

    /// Sets the schema at the remote. Default: `public`.
    pub fn schema(mut self, schema: impl Into<String>) -> Self {
        self.core.schema = schema.into();
        self
    }

    /// Sets how many rows are asked for at once. Default: 1000.
    pub fn page_size(mut self, rows: u32) -> Self {
        self.core.page_size = rows;
        self
    }

    /// Adds a header that is sent with each request. One of the same name replaces it.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.core.headers.insert(name.into(), value.into());
        self
    }

    /// Sets how often a failed request is sent again. Default: 5.
    pub fn retries(mut self, retries: u32) -> Self {
        self.core.retries = retries;
        self
    }

    /// Sets how long one request may take, in milliseconds, and how long a function of the program. Default: 30,000.
    pub fn timeout_ms(mut self, ms: u64) -> Self {
        self.core.timeout_ms = ms;
        self
    }

    /// Sets the largest response, in bytes after decompression; no more is read of a larger one. Rows are then asked
    /// for in smaller pages; a single row that is larger is `sync_protocol`. Default: 64 MiB.
    pub fn max_response_bytes(mut self, bytes: u64) -> Self {
        self.core.max_response_bytes = bytes;
        self
    }

    /// Sets the largest share of a table that a pull may delete because the remote didn't send these rows, from 0 to 1.
    /// Default: 0.5.
    pub fn max_delete_ratio(mut self, ratio: f64) -> Self {
        self.core.max_delete_ratio = ratio;
        self
    }

    /// Sets whether the remote reports changes while automatic sync runs (Supabase Realtime), so that they are pulled at
    /// once. Without a connection to it, the interval finds them. Natively it needs the feature `realtime`; without, `open`
    /// fails with `unsupported_environment`. Default: `false`.
    pub fn realtime(mut self, realtime: bool) -> Self {
        self.core.realtime = realtime;
        self
    }

    /// Sets the certificates that may have signed the remote's, in PEM form, in the place of the public authorities: for
    /// a server with a certificate of your own. `open` fails with `invalid_argument` if there is none in the text.
    ///
    /// ```no_run
    /// let authority = std::fs::read("authority.pem")?;
    /// let remote = tidelock::RemoteOptions::new("https://db.example", "key").root_certificates(authority);
    /// # let _ = remote;
    /// # Ok::<_, std::io::Error>(())
    /// ```
    pub fn root_certificates(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.root_certificates = Some(pem.into());
        self
    }

    /// Returns the options as the engine takes them. Fails with `invalid_argument`.
    pub(super) fn core(&self) -> Result<options::RemoteOptions> {
        for table in &self.tables {
            if table.core.conflict == Some(ConflictPolicy::Function) && table.functions.conflict.is_none() {
                let name = &table.core.table;
                return Err(Error::invalid(format!("remote.tables: {name} has the policy Function and no function"))
                    .hint("Pass the function to conflict_function, which sets the policy, too"));
            }
        }
        let tables = self.tables.iter().map(|table| table.core.clone()).collect();
        let core = options::RemoteOptions { tables, ..self.core.clone() };
        Config::new(core.clone())?;
        Ok(core)
    }

    pub(super) fn is_per_user(&self) -> bool {
        self.per_user
    }

    /// Returns the option `user_id`.
    pub(super) fn user(&self) -> Option<&str> {
        self.core.user_id.as_deref()
    }

    /// Sets the only user to whom the database may belong.
    pub(super) fn set_owner(&mut self, user: String) {
        self.core.owner = Some(user);
    }

    /// Returns what gives a database the client of the remote. Fails with `invalid_argument` and `unsupported_environment`.
    pub(super) fn client(&self) -> Result<impl FnOnce(Ports) -> Ports + Send + use<>> {
        platform::client(self.root_certificates.as_deref(), self.core.realtime)
    }

    /// Returns the functions that the engine calls.
    pub(super) fn functions(&self) -> RemoteFunctions {
        let of = |table: &TableSync| (table.core.table.clone(), table.functions.clone());
        RemoteFunctions { access_token: self.access_token.clone(), tables: self.tables.iter().map(of).collect() }
    }
}

impl fmt::Debug for RemoteOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteOptions")
            .field("url", &self.core.url)
            .field("tables", &self.tables)
            .finish_non_exhaustive()
    }
}
