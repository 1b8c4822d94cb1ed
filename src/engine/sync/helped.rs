//! Pulling from a project with tidelock's helpers, and noticing that it has them.

use futures_util::future::{Either, select};

use super::{Host, Sync, pull::Run, remote_schema::says_postgrest};
use crate::{
    error::{ErrorCode, Result},
    ports::{HttpRequest, LocalFuture, Method},
    sqlite::Connection,
    sync::{
        helpers::{self, Helpers},
        pull::Pull,
        report::{PullOptions, PullProgress},
        request::Requester,
        response::{Verdict, backoff_ms, judge},
        state,
    },
    time::Timestamp,
};

/// A project that had no helpers is asked again at the first pull of an opening, when it wasn't within these milliseconds.
const ASK_AGAIN_MS: i64 = 600_000;

/// What is known of the helpers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Known {
    /// Nothing.
    #[default]
    Nothing,
    /// There are none.
    Absent,
    /// There are some.
    Present,
}

impl Sync {
    /// Reads everything, with the helpers' help where there are any.
    pub(super) async fn read_helped(
        &self,
        host: &dyn Host,
        options: &PullOptions,
        mut token: Option<String>,
        progress: Option<&dyn Fn(PullProgress)>,
    ) -> Result<(Pull, Run)> {
        let ((mut pull, mut run), known) = {
            let _turn = host.turn().await?;
            let connection = host.connection()?;
            let begun = self.begin(&connection, options, token.clone(), progress.is_some(), None)?;
            (begun, self.helpers_known(&connection, options.full)?)
        };
        if run.is_empty() {
            return Ok((pull, run));
        }
        let found = match known {
            Known::Absent => None,
            Known::Present => self.ask(host, &mut token, helpers::since(pull.sources())).await?,
            // The pull begins as if there were none, and once more if there are: who has none doesn't wait for that.
            Known::Nothing => {
                let (found, read) = {
                    let reading: LocalFuture<'_, Result<()>> =
                        Box::pin(self.read_all(host, &mut pull, &mut run, progress));
                    match select(reading, self.glimpse(token.clone())).await {
                        Either::Left((read, _)) => (None, read),
                        Either::Right((None, reading)) => (None, reading.await),
                        Either::Right((found, _)) => (found, Ok(())),
                    }
                };
                if found.is_none() {
                    if self.helpers.get() == Known::Absent {
                        self.remember(host, Known::Absent).await?;
                    }
                    return read.map(|()| (pull, run));
                }
                found
            }
        };
        if known == Known::Present && found.is_none() {
            self.remember(host, Known::Absent).await?;
        }
        if let Some(found) = found {
            if known != Known::Present {
                self.remember(host, Known::Present).await?;
            }
            let _turn = host.turn().await?;
            let (anew, again) = self.begin(&*host.connection()?, options, token, progress.is_some(), Some(&found))?;
            // What was applied already counts, but not twice.
            (pull, run) = (anew, again.after(run));
        }
        self.read_all(host, &mut pull, &mut run, progress).await?;
        Ok((pull, run))
    }

    fn helpers_known(&self, connection: &Connection, anew: bool) -> Result<Known> {
        let known = match self.helpers.get() {
            Known::Nothing => match state::fact(connection, "helpers")?.as_deref() {
                Some("present") => Known::Present,
                Some(asked) => match Timestamp::parse(asked) {
                    Some(asked) if (0..ASK_AGAIN_MS).contains(&self.platform.clock.now().since(asked)) => Known::Absent,
                    _ => Known::Nothing,
                },
                None => Known::Nothing,
            },
            known => known,
        };
        Ok(if anew && known == Known::Absent { Known::Nothing } else { known })
    }

    async fn remember(&self, host: &dyn Host, known: Known) -> Result<()> {
        self.helpers.set(known);
        let _turn = host.turn().await?;
        let now = self.platform.clock.now().to_string();
        let fact = if known == Known::Present { "present" } else { &now };
        state::save_fact(&*host.connection()?, "helpers", fact)?;
        host.committed(&[]);
        Ok(())
    }

    /// One question, whatever it meets; an answer that doesn't settle it is left to the next pull.
    fn glimpse(&self, token: Option<String>) -> LocalFuture<'_, Option<Helpers>> {
        Box::pin(async move {
            let requester = Requester::new(&self.config, self.root.borrow().clone(), token);
            let response = self.http.send(state_request(&requester, None, None)).await.ok()?;
            // What PostgREST itself says, and not that there is no PostgREST at this root; or something that won't change soon.
            let absent = match response.status {
                404 => self.config.other_root.is_none() || says_postgrest(&response),
                400 | 403 | 405 | 406 => true,
                _ => false,
            };
            if absent {
                self.helpers.set(Known::Absent);
            }
            Helpers::read(&response.body).filter(|_| response.status == 200)
        })
    }

    /// The helpers' state with all tombstones from `since` on; `None`: there are no helpers any more.
    async fn ask(&self, host: &dyn Host, token: &mut Option<String>, since: Option<u64>) -> Result<Option<Helpers>> {
        let clock = &*self.platform.clock;
        let mut requester = Requester::new(&self.config, self.root.borrow().clone(), token.clone());
        let mut attempt = 0;
        let mut found: Option<Helpers> = None;
        loop {
            let after = found.as_ref().and_then(|found| found.gone.last()).map(|gone| gone.id.as_str());
            let answer = self.http.send(state_request(&requester, since, after)).await;
            match judge("tidelock_state", &answer, clock.now()) {
                Verdict::Body => {
                    requester.accepted();
                    let Some(page) = answer.ok().and_then(|response| Helpers::read(&response.body)) else {
                        return Ok(None);
                    };
                    let complete = page.gone.len() < helpers::PAGE;
                    // The first ceiling counts: it was there before anything was read.
                    match &mut found {
                        Some(found) => found.gone.extend(page.gone),
                        None => found = Some(page),
                    }
                    if complete {
                        return Ok(found);
                    }
                    attempt = 0;
                }
                Verdict::Unauthorized(error) => {
                    if !requester.may_refresh() {
                        return Err(error);
                    }
                    *token = self.fresh_token(host).await?;
                    requester.renewed(token.clone());
                }
                Verdict::Retry { error, .. } if attempt >= requester.retries() => {
                    return Err(error.detail("attempts", attempt + 1));
                }
                Verdict::Retry { after_ms, .. } => {
                    clock.sleep(after_ms.unwrap_or_else(|| backoff_ms(attempt, self.chance()))).await;
                    attempt += 1;
                }
                Verdict::UnknownPath(_) if requester.try_other_root() => {}
                Verdict::UnknownPath(_) => return Ok(None),
                // The function was there and isn't, in whatever words.
                Verdict::Fail(error) if error.is(ErrorCode::SyncSchemaMismatch) => return Ok(None),
                Verdict::UnknownColumn(error) | Verdict::Fail(error) => return Err(error),
            }
        }
    }
}

fn state_request(requester: &Requester, since: Option<u64>, after: Option<&str>) -> HttpRequest {
    requester.request(Method::Get, helpers::url(requester.root(), since, after), "", None)
}
