//! Whether the project has tidelock's helpers, and their state.
//!
//! A project without them answers 404, which browsers print to the console. So this is requested once, and then once a
//! day, or when all rows are read again. Helpers that are missing for a day count as removed. No other request shows it
//! without an error: for a missing function PostgREST has 404, and for a missing column 400, whatever the method; a
//! gateway answers `OPTIONS` whatever exists; and the root, which describes all functions, answers 401 to the clients of
//! Supabase.

use super::{driver::Sync, host::SyncHost};
use crate::{
    collections::Set,
    error::{Error, ErrorCode, Result},
    ports::{HttpResponse, Method},
    sqlite::Connection,
    sync::{
        apply::staged::ApplyTarget,
        jobs::outcome::PushTarget,
        outbox::capture,
        postgrest::{
            remote::{Refusal, Remote},
            request::Requester,
            response::{NOT_POSTGREST, remote_code},
        },
        pull::{
            helpers::{self, Helpers},
            page::PullSource,
            tombstones,
        },
        schema::plan::Plan,
        state::{progress, properties},
        values::{encode::decode_key, outgoing::filter_text},
    },
    time::Timestamp,
    value::Value,
};

/// Milliseconds before a project without helpers is asked again, and after which helpers that are missing are forgotten.
const ASK_AGAIN_MS: i64 = 86_400_000;

/// The value of the property `helpers` of a project that has them; else it is the time of the question.
const PRESENT: &str = "present";

/// The property with the time at which known helpers were first missing; empty when they are there.
const MISSING: &str = "helpers_missing";

/// Number of tombstones that are stored or applied without yielding to the event loop.
const PIECE: usize = 2000;

impl Sync {
    /// Returns the helpers' state, with all tombstones from transaction number `since` on, or `None` if the project has
    /// no helpers. `again` asks again even if that was the answer lately.
    pub(super) async fn request_helpers(
        &self,
        host: &dyn SyncHost,
        remote: &Remote<'_>,
        since: Option<u64>,
        again: bool,
    ) -> Result<Option<Helpers>> {
        let (known, missing) = {
            let _guard = host.lock_connection().await?;
            let connection = host.connection()?;
            (properties::value(&connection, "helpers")?, properties::value(&connection, MISSING)?)
        };
        let present = known.as_deref() == Some(PRESENT);
        let asked = known.as_deref().and_then(Timestamp::parse);
        let recently = |asked: Timestamp| (0..ASK_AGAIN_MS).contains(&self.platform.clock.now().since(asked));
        if !again && asked.is_some_and(recently) {
            return Ok(None);
        }
        let found = match all_pages(remote, since).await {
            Ok(found) => found,
            // PostgREST's answer about a function has a code; this one is a gateway's, or about another root, and says nothing
            // about the project.
            Err(Refusal::Mismatch(error)) if !present && matches!(remote_code(&error), "" | "PGRST125") => {
                return Ok(None);
            }
            // All of these mean that this user can't call the function.
            Err(Refusal::Mismatch(_) | Refusal::Rejected(_) | Refusal::UnknownColumn(_)) => None,
            // A gateway may block this request alone. If more is wrong, the requests of the tables fail with the
            // reason.
            Err(Refusal::Failed(error))
                if !present && (error.is(ErrorCode::SyncServer) || error.is(ErrorCode::SyncUnauthorized)) =>
            {
                return Ok(None);
            }
            Err(refusal) => return Err(refusal.into_error()),
        };
        let missing = missing.as_deref().and_then(Timestamp::parse);
        let now = self.platform.clock.now();
        match (present, &found, missing) {
            (false, ..) => {
                self.remember_property(host, "helpers", found.as_ref().map_or(&now.to_string(), |_| PRESENT)).await?
            }
            // After a schema change PostgREST doesn't know its functions for a while.
            (true, None, None) => self.remember_property(host, MISSING, &now.to_string()).await?,
            (true, None, Some(since)) if now.since(since) >= ASK_AGAIN_MS => {
                self.remember_property(host, "helpers", &now.to_string()).await?;
            }
            (true, Some(_), Some(_)) => self.remember_property(host, MISSING, "").await?,
            _ => {}
        }
        Ok(found)
    }

    /// Quarantines new rows that may have been inserted by a request whose answer was lost, and that were deleted
    /// remotely since, by the tombstones. Sent again, they would reappear.
    pub(super) async fn quarantine_deleted_inserts(
        &self,
        host: &dyn SyncHost,
        remote: &Remote<'_>,
        targets: &mut [PushTarget],
    ) -> Result<()> {
        let progress = {
            let _guard = host.lock_connection().await?;
            let connection = host.connection()?;
            let sql = "SELECT 1 FROM tidelock_outbox WHERE state = 'pending' AND sent_op = 'insert' LIMIT 1";
            if connection.value(sql, &[])?.is_none() {
                return Ok(());
            }
            let progress = targets.iter().map(|target| progress::progress(&connection, target.plan.name()));
            progress.collect::<Result<Vec<_>>>()?
        };
        let Some(since) = helpers::since(&progress) else { return Ok(()) };
        // Without an answer, the rows are sent as without tombstones.
        let Ok(Some(helpers)) = all_pages(remote, Some(since)).await else { return Ok(()) };
        let _guard = host.lock_connection().await?;
        let connection = host.connection()?;
        connection.atomically(|connection| {
            capture::without_capture(connection, |connection| {
                for (target, progress) in targets.iter_mut().zip(&progress) {
                    let sent = sent_inserts(connection, &target.plan)?;
                    if sent.is_empty() {
                        continue;
                    }
                    let Some(keys) = helpers.deleted_keys_of(&target.plan, progress, ..) else { continue };
                    let Ok(keys) = target.plan.read_keys(keys.as_bytes()) else { continue };
                    for key in (0..keys.len()).map(|at| keys.row(at)).filter(|key| sent.contains(&text(key))) {
                        target.quarantine_deleted(connection, key)?;
                    }
                }
                Ok(())
            })
        })?;
        host.committed(&[]);
        Ok(())
    }

    /// Stores the tombstones of these tables in pieces, and yields to the event loop between them. An interrupted pull
    /// has stored some of them, and the next one gets all of them again.
    pub(super) async fn store_tombstones(
        &self,
        host: &dyn SyncHost,
        sources: &[PullSource],
        helpers: &Helpers,
        full: bool,
    ) -> Result<()> {
        for start in (0..helpers.tombstones.len()).step_by(PIECE) {
            if start > 0 {
                self.platform.clock.sleep(0).await;
            }
            let piece = start..helpers.tombstones.len().min(start + PIECE);
            let _guard = host.lock_connection().await?;
            host.admit_write()?;
            tombstones::store(&*host.connection()?, sources, helpers, piece, full)?;
            host.committed(&[]);
        }
        Ok(())
    }

    /// Applies the stored tombstones of the tables that were read to their end, children first, in pieces like those of
    /// [`store_tombstones`](Self::store_tombstones).
    pub(super) async fn apply_tombstones(&self, host: &dyn SyncHost, targets: &mut [ApplyTarget]) -> Result<()> {
        {
            let _guard = host.lock_connection().await?;
            if !tombstones::any(&*host.connection()?)? {
                return Ok(());
            }
        }
        for target in targets.iter_mut().rev().filter(|target| target.read) {
            let mut applied = Some(0);
            while let Some(after) = applied {
                if after > 0 {
                    self.platform.clock.sleep(0).await;
                }
                let _guard = host.lock_connection().await?;
                host.admit_write()?;
                applied = tombstones::apply(&*host.connection()?, target, after, PIECE)?;
                if applied.is_some() {
                    let mut changed = target.writer.unpushed.take_restored();
                    changed.push(target.plan.table.name.clone());
                    host.committed(&changed.iter().map(String::as_str).collect::<Vec<_>>());
                }
            }
        }
        Ok(())
    }

    async fn remember_property(&self, host: &dyn SyncHost, name: &str, value: &str) -> Result<()> {
        let _guard = host.lock_connection().await?;
        properties::set_value(&*host.connection()?, name, value)?;
        host.committed(&[]);
        Ok(())
    }
}

/// Returns the keys of new rows that were sent without an answer, each as the text of its values.
fn sent_inserts(connection: &Connection, plan: &Plan) -> Result<Set<String>> {
    let sql = "SELECT key FROM tidelock_outbox WHERE tbl = ?1 AND state = 'pending' AND sent_op = 'insert'";
    let rows = connection.rows(sql, &[Value::from(plan.name())])?;
    Ok(rows.iter().map(|row| text(&decode_key(row[0].as_text().unwrap_or_default()))).collect())
}

fn text(key: &[Value]) -> String {
    key.iter().map(filter_text).collect::<Vec<_>>().join("\0")
}

/// Reads all pages. Together they are limited like one answer: they are held in memory, and a remote could go on for ever.
async fn all_pages(remote: &Remote<'_>, since: Option<u64>) -> Result<Option<Helpers>, Refusal> {
    let mut found: Option<Helpers> = None;
    let (limit, mut bytes) = (remote.max_bytes(), 0);
    loop {
        let after = found.as_ref().and_then(|found| found.tombstones.last()).map(|tombstone| tombstone.id.clone());
        let make = |requester: &Requester| {
            let url = helpers::url(requester.root(), since, after.as_deref());
            requester.request(Method::Get, url, "", None)
        };
        let parse = |response: &HttpResponse| Helpers::read(&response.body);
        let (page, answer) = remote.read("tidelock_state", &mut remote.tries(), &make, &parse).await?;
        bytes += answer.response.body.len() as u64;
        if bytes > limit {
            let text = format!("The remote's deletion log is larger than remote.maxResponseBytes ({limit} bytes)");
            let error = Error::new(ErrorCode::SyncProtocol, text).detail("limit", limit);
            return Err(error.hint("Raise remote.maxResponseBytes, or delete old tombstones in the remote").into());
        }
        let Some(page) = page else { return Ok(None) };
        let complete = page.tombstones.len() < helpers::PAGE;
        let number = |id: Option<&str>| id.and_then(|id| id.parse::<u64>().ok());
        if !complete
            && number(page.tombstones.last().map(|tombstone| tombstone.id.as_str())) <= number(after.as_deref())
        {
            let text = "The remote's sync helpers returned the same tombstones again";
            return Err(Error::new(ErrorCode::SyncProtocol, text).hint(NOT_POSTGREST).into());
        }
        // The ceiling of the first page counts, since it was decided before anything was read.
        match &mut found {
            Some(found) => found.tombstones.extend(page.tombstones),
            None => found = Some(page),
        }
        if complete {
            return Ok(found);
        }
    }
}
