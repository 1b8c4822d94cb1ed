//! What users do about changes by hand: send a refused one again, give one up, queue rows that were there before.

use super::{Host, Sync, push::local_table, reading::Sink};
use crate::{
    error::{Error, Result},
    ports::LocalFuture,
    sqlite::Connection,
    sync::{
        apply::{Keys, Writer},
        capture, compare,
        config::{Direction, TableSync},
        job::{Job, Outcome, Remote, Work},
        plan::{Plan, Rows},
        pull::Pull,
        push::{Event, Instruction, Push},
        report::TableReport,
        retry,
        schema::Table,
        staged::{self, Target},
        state,
        steps::{Page, Reading, Source},
        unapplied, unsent,
    },
};

impl Sync {
    /// Lets a refused change wait to be pushed again. One that already waits is left alone. Fails with `invalid_argument` for
    /// an unknown id, and with `sqlite_constraint` when the change of a restored image doesn't fit the present rows.
    pub async fn retry(&self, host: &dyn Host, id: i64) -> Result<()> {
        let _flight = self.flight.acquire().await?;
        if unapplied::is_one(id) {
            return self.try_row(host, id, true).await;
        }
        {
            let _turn = host.turn().await?;
            let connection = host.connection()?;
            host.admit_write()?;
            let change = retry::find(&connection, id)?;
            let config = self.known(&change.table)?;
            let plan = self.push_plan(&connection, config, local_table(&connection, config)?)?;
            connection.atomically(|connection| retry::retry(connection, &plan, &change))?;
            host.committed(&[&plan.table.name]);
        }
        self.durable(host).await
    }

    /// Gives up a change: the row becomes the remote's again, or goes when the remote has none. (Of a table that was dropped, the
    /// change is all there is.) Fails with `invalid_argument`
    /// for an unknown id, with `sync_*` when the remote can't be read, and with `sqlite_constraint` when its row doesn't fit.
    /// Nothing has changed then.
    pub async fn discard(&self, host: &dyn Host, id: i64) -> Result<()> {
        let _flight = self.flight.acquire().await?;
        if unapplied::is_one(id) {
            return self.try_row(host, id, false).await;
        }
        let token = if self.config.options.has_access_token { host.access_token().await? } else { None };
        let found = {
            let _turn = host.turn().await?;
            let connection = host.connection()?;
            state::register(&connection, &self.config.options.tables)?;
            self.check_owner(&connection, token.as_deref())?;
            let change = retry::find(&connection, id)?;
            if Table::read(&connection, &change.table)?.is_none() {
                host.admit_write()?;
                retry::forget(&connection, &change)?;
                host.committed(&[]);
                None
            } else {
                let config = self.known(&change.table)?;
                let plan = self.push_plan(&connection, config, local_table(&connection, config)?)?;
                let writer = Writer::new(&connection, &plan)?;
                Some((change, plan, writer))
            }
        };
        // Of a table that is no more there is no row to take.
        let Some((change, plan, writer)) = found else { return self.durable(host).await };
        // What is only ever written can't be read: the row becomes what it was.
        let remote = if plan.options.direction == Direction::Push {
            None
        } else {
            Some(self.read_row(host, &plan, change.key.clone(), token).await?)
        };
        {
            let _turn = host.turn().await?;
            let connection = host.connection()?;
            host.admit_write()?;
            connection.atomically(|connection| {
                capture::silently(connection, |connection| {
                    retry::discard(connection, &writer, &change, remote.as_ref())
                })
            })?;
            host.committed(&[&plan.table.name]);
        }
        self.durable(host).await
    }

    /// Queues the rows of a table that the remote doesn't have: those that were there before the table was synced. Returns how
    /// many. Fails with `invalid_argument` for a table that isn't pushed, and with `sync_*` when the remote can't be read.
    pub async fn enqueue(&self, host: &dyn Host, table: &str) -> Result<u64> {
        let _flight = self.flight.acquire().await?;
        let config = self.known(table)?;
        if config.direction == Direction::Pull {
            return Err(Error::invalid(format!("Table {table} is never pushed: its direction is 'pull'"))
                .hint("Give it direction: 'both'")
                .detail("table", table));
        }
        host.admit_write()?;
        let token = if self.config.options.has_access_token { host.access_token().await? } else { None };
        let (plan, writer) = {
            let _turn = host.turn().await?;
            let connection = host.connection()?;
            state::register(&connection, &self.config.options.tables)?;
            self.check_owner(&connection, token.as_deref())?;
            compare::begin(&connection)?;
            let plan = self.push_plan(&connection, config, local_table(&connection, config)?)?;
            let writer = Writer::new(&connection, &plan)?;
            (plan, writer)
        };
        if config.direction != Direction::Push {
            self.list_keys(host, &plan, &writer, token).await?;
        }
        let queued = {
            let _turn = host.turn().await?;
            let connection = host.connection()?;
            host.admit_write()?;
            let queued = connection.atomically(|connection| unsent::enqueue(connection, &plan))?;
            compare::begin(&connection)?;
            host.committed(&[]);
            queued
        };
        self.durable(host).await?;
        Ok(queued)
    }

    /// A row of the remote that didn't fit: it is tried again with the others of its table, or forgotten until it comes again.
    async fn try_row(&self, host: &dyn Host, id: i64, again: bool) -> Result<()> {
        {
            let _turn = host.turn().await?;
            let connection = host.connection()?;
            host.admit_write()?;
            let (table, key) = unapplied::find(&connection, id)?.ok_or_else(retry::unknown)?;
            if again {
                let config = self.known(&table)?;
                let plan = self.push_plan(&connection, config, local_table(&connection, config)?)?;
                let writer = Writer::new(&connection, &plan)?;
                staged::resolve(&connection, &mut [Target { plan, writer, report: TableReport::default() }])?;
            } else {
                unapplied::forget(&connection, &table, &key)?;
            }
            host.committed(&[&table]);
        }
        self.durable(host).await
    }

    fn known(&self, table: &str) -> Result<&TableSync> {
        let unknown = || {
            Error::invalid(format!("Table {table} is not in remote.tables")).hint("Add it there").detail("table", table)
        };
        self.config.table(table).ok_or_else(unknown)
    }

    async fn durable(&self, host: &dyn Host) -> Result<()> {
        match host.stored() {
            Some(stored) => stored.await,
            None => Ok(()),
        }
    }

    /// Reads the remote's row of a key.
    async fn read_row(
        &self,
        host: &dyn Host,
        plan: &Plan,
        key: Vec<crate::Value>,
        token: Option<String>,
    ) -> Result<Remote> {
        let mut push = Push::new(&self.config, self.root.borrow().clone(), vec![plan.clone()], token);
        let look = Job {
            id: 0,
            table: 0,
            work: Work::Look,
            key,
            row: Vec::new(),
            columns: Vec::new(),
            base: None,
            cursor: None,
        };
        let mut waiting = push.begin(vec![look]);
        loop {
            let mut event = None;
            for instruction in std::mem::take(&mut waiting) {
                match instruction {
                    Instruction::Send(id, request) => {
                        let answer = self.http.send(request).await;
                        let (now, chance) = (self.platform.clock.now(), self.chance());
                        event = Some(Event::Answer { id, answer, now, chance });
                    }
                    Instruction::Wait(id, ms) => {
                        self.platform.clock.sleep(ms).await;
                        event = Some(Event::Waited(id));
                    }
                    Instruction::RefreshToken => event = Some(Event::Token(self.fresh_token(host).await?)),
                    Instruction::Settle(outcomes) => match outcomes.into_iter().next() {
                        Some((_, Outcome::Met(remote))) => return Ok(remote),
                        Some((_, Outcome::Held(error) | Outcome::Refused { error, .. })) => return Err(error),
                        _ => {}
                    },
                }
            }
            let Some(event) = event else { return Err(Error::internal("Reading a row came to no end")) };
            waiting = push.handle(event)?;
        }
    }

    /// Notes all keys that the remote has in `temp.tidelock_seen`.
    async fn list_keys(&self, host: &dyn Host, plan: &Plan, writer: &Writer, token: Option<String>) -> Result<()> {
        let source = Source { plan: plan.clone(), progress: state::Progress::default(), missing: Vec::new() };
        let reading = Reading { keys_only: true, ..Reading::default() };
        let mut pull = Pull::new(&self.config, self.root.borrow().clone(), vec![source], reading, token);
        self.read(host, &mut pull, Box::new(Noting { host, writer })).await
    }
}

/// Notes the keys of all pages.
struct Noting<'a> {
    host: &'a dyn Host,
    writer: &'a Writer,
}

impl Sink for Noting<'_> {
    fn take(&mut self, page: Box<Page>) -> LocalFuture<'_, Result<()>> {
        Box::pin(async move {
            let _turn = self.host.turn().await?;
            note(&*self.host.connection()?, self.writer, &page.rows)
        })
    }
}

fn note(connection: &Connection, writer: &Writer, rows: &Rows) -> Result<()> {
    connection.atomically(|connection| writer.note_keys(connection, rows, Keys::Seen))
}
