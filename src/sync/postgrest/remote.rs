//! The one client of the remote: sends a request until it has a meaningful answer or a final error.
//!
//! [`super::response`] interprets an answer. This file acts on it: it retries after a delay, refreshes the token, tries
//! the other root, and limits concurrent requests. [`Refusal`] shows callers how they can react to a failure.

use std::cell::{Cell, RefCell};

use super::{
    permits::{Permits, RequestPermit},
    request::Requester,
    response::{CUT, Unreadable, Verdict, has_own_status, interpret, moved, remote_code},
    retry_delay::{backoff_ms, http_date},
};
use crate::{
    error::{Error, ErrorCode, Result},
    ports::{Http, HttpRequest, HttpResponse, LocalFuture, Platform},
    sync::config::{checked::Config, options::AT_ONCE},
    time::Timestamp,
};

/// The source of access tokens.
pub trait Tokens {
    /// Requests a fresh token. Returns `None` if no user is signed in.
    fn fresh(&self) -> LocalFuture<'_, Result<Option<String>>>;
}

/// Why a request failed.
#[derive(Clone, Debug, PartialEq)]
pub enum Refusal {
    /// PostgREST or PostgreSQL refused the request, with an error code.
    Rejected(Error),
    /// A column doesn't exist.
    UnknownColumn(Error),
    /// The table or function doesn't exist, or its answers can't be used.
    Mismatch(Error),
    /// A smaller request may succeed. The retry delay is already over.
    TooMuch(Error),
    /// The answer is larger than the limit: a smaller request may succeed.
    TooLarge(Error),
    /// All retries of this request failed; other requests may succeed.
    Trouble(Error),
    /// Other requests would fail too.
    Failed(Error),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl Refusal {
    /// Returns whether the failure concerns one table, so that others may succeed: PostgREST or PostgreSQL refused this
    /// table, or its rows don't fit. Gateways, the root and the network are the same for all tables.
    pub fn is_about_one_table(&self) -> bool {
        match self {
            Self::Rejected(_) | Self::UnknownColumn(_) | Self::TooLarge(_) => true,
            Self::Mismatch(error) if error.details.contains_key("status") => {
                !matches!(remote_code(error), "" | "PGRST106" | "PGRST125")
            }
            Self::Mismatch(error) => error.is(ErrorCode::SyncSchemaMismatch),
            Self::Trouble(error) => !error.is(ErrorCode::SyncUnauthorized) && !remote_code(error).is_empty(),
            Self::TooMuch(_) | Self::Failed(_) => false,
        }
    }

    /// Returns the error to fail with.
    pub fn into_error(self) -> Error {
        match self {
            Self::Rejected(error)
            | Self::UnknownColumn(error)
            | Self::Mismatch(error)
            | Self::TooMuch(error)
            | Self::TooLarge(error)
            | Self::Trouble(error)
            | Self::Failed(error) => error,
        }
    }
}

/// The retry budget of one operation. It outlives single requests, which may be made smaller meanwhile.
#[derive(Clone, Debug)]
pub struct Tries {
    used: u32,
    most: u32,
}

impl Tries {
    /// Returns whether a try has failed. The remote may have executed that request.
    pub fn any(&self) -> bool {
        self.used > 0
    }

    /// Limits the budget to `most` tries in total, the first one included.
    pub fn at_most(mut self, most: u32) -> Self {
        self.most = self.most.min(most.saturating_sub(1));
        self
    }
}

/// A successful answer.
#[derive(Debug)]
pub struct Answer {
    /// The response itself.
    pub response: HttpResponse,
    /// The latest time, on the server's clock, at which the server began to answer. `None` without a `Date` header.
    pub server_time: Option<Timestamp>,
    /// Counts as a concurrent request until it is dropped.
    pub permit: RequestPermit,
}

/// What is known of the remote from call to call.
#[derive(Debug, Default)]
pub struct Known {
    /// The root that answered.
    pub root: RefCell<Option<String>>,
    /// The remote asked for no requests before this time, in milliseconds on the monotonic clock.
    pub rest_until: Cell<f64>,
}

/// The client of one call.
pub struct Remote<'a> {
    http: &'a dyn Http,
    platform: &'a Platform,
    known: &'a Known,
    tokens: Box<dyn Tokens + 'a>,
    retries: u32,
    requester: RefCell<Requester>,
    /// Grows with each fresh token, and with each change of the root.
    token_number: Cell<u32>,
    root_number: Cell<u32>,
    permits: Permits,
    /// Single-flight: one request refreshes the token, the others wait for it.
    renewal: Permits,
    skew_ms: Cell<Option<i64>>,
}

impl<'a> Remote<'a> {
    /// Creates the client. `token` is the result of the access token function.
    pub fn new(
        config: &Config,
        http: &'a dyn Http,
        platform: &'a Platform,
        known: &'a Known,
        token: Option<String>,
        tokens: Box<dyn Tokens + 'a>,
    ) -> Self {
        Self {
            http,
            platform,
            tokens,
            retries: config.options.retries,
            requester: RefCell::new(Requester::new(config, known.root.borrow().clone(), token)),
            known,
            token_number: Cell::default(),
            root_number: Cell::default(),
            permits: Permits::new(AT_ONCE),
            renewal: Permits::new(1),
            skew_ms: Cell::default(),
        }
    }

    /// Returns by how many milliseconds the server's clock is ahead, if a `Date` header shows it.
    pub fn skew_ms(&self) -> Option<i64> {
        self.skew_ms.get()
    }

    /// Returns the largest response, in bytes.
    pub fn max_bytes(&self) -> u64 {
        self.requester.borrow().max_bytes
    }

    /// Returns the retry budget of one operation, by `remote.retries`.
    pub fn tries(&self) -> Tries {
        Tries { used: 0, most: self.retries }
    }

    /// Sends a request, and retries it while that may help. `make` builds the request again for each try; `about` is
    /// the table that errors name.
    ///
    /// The future is boxed, like that of `read`, so that this code isn't inlined into each caller.
    pub fn send<'s>(
        &'s self,
        about: &'s str,
        tries: &'s mut Tries,
        make: &'s dyn Fn(&Requester) -> HttpRequest,
    ) -> LocalFuture<'s, Result<Answer, Refusal>> {
        Box::pin(self.send_until(about, tries, make))
    }

    async fn send_until(
        &self,
        about: &str,
        tries: &mut Tries,
        make: &dyn Fn(&Requester) -> HttpRequest,
    ) -> Result<Answer, Refusal> {
        let permit = self.permits.acquire().await;
        let clock = &*self.platform.clock;
        let mut renewed = false;
        loop {
            let rest = self.known.rest_until.get() - clock.monotonic_ms();
            if rest > 0.0 {
                clock.sleep(rest.ceil() as u64).await;
            }
            let (token, root, sent) = (self.token_number.get(), self.root_number.get(), clock.monotonic_ms());
            let request = make(&self.requester.borrow());
            let url = request.url.clone();
            let answer = self.http.send(request).await;
            let now = clock.now();
            let verdict = interpret(about, &answer, self.requester.borrow().secrets(), now);
            match verdict {
                Verdict::Body => {
                    let response = answer.unwrap_or_default();
                    self.accepted();
                    let elapsed_ms = (clock.monotonic_ms() - sent).max(0.0) as i64;
                    let date = response.header("date").and_then(http_date);
                    // The header has whole seconds, so half a second is missing on average.
                    self.skew_ms.set(date.map(|date| date.plus_ms(500).since(now)).or(self.skew_ms.get()));
                    let server_time = date.map(|date| date.plus_ms(-elapsed_ms));
                    return Ok(Answer { response, server_time, permit });
                }
                Verdict::Unauthorized(mut error) => {
                    let has_tokens = self.requester.borrow().has_access_token();
                    if !has_tokens && remote_code(&error) == "42501" {
                        // For a signed-in user, the same refusal has the status 403.
                        error.code = ErrorCode::SyncRejected;
                        return Err(Refusal::Rejected(error));
                    }
                    if renewed || !has_tokens {
                        let about_rows = has_own_status(remote_code(&error));
                        return Err(if about_rows { Refusal::Trouble(error) } else { Refusal::Failed(error) });
                    }
                    renewed = true;
                    self.renew(token).await?;
                }
                Verdict::Retry { after_ms, smaller, error } => {
                    if tries.used >= tries.most {
                        let error = error.detail("attempts", tries.used + 1);
                        let error = after_ms.into_iter().fold(error, |error, ms| error.detail("retryAfterMs", ms));
                        // Other statuses come from gateways and concern all requests; these may concern the sent rows
                        // alone, and so may one that SQL of the project chose, a connection that a statement lost (class
                        // 08), which is one of a foreign data wrapper: PostgREST's own have no SQLSTATE; and a
                        // statement that needs more memory or disk than there is (class 53).
                        let code = remote_code(&error);
                        let about_rows = has_own_status(code)
                            || code.starts_with("08")
                            || code.starts_with("53")
                            || answer.is_ok_and(|response| matches!(response.status, 413 | 500 | 501));
                        return Err(if about_rows { Refusal::Trouble(error) } else { Refusal::Failed(error) });
                    }
                    self.wait(tries, after_ms).await;
                    if smaller {
                        return Err(Refusal::TooMuch(error));
                    }
                }
                Verdict::UnknownPath(error) => {
                    if root == self.root_number.get() && !self.try_other_root() {
                        return Err(Refusal::Mismatch(error));
                    }
                }
                Verdict::Mismatch(error) => {
                    self.accepted();
                    return Err(Refusal::Mismatch(error));
                }
                Verdict::UnknownColumn(error) => return Err(Refusal::UnknownColumn(error)),
                Verdict::Rejected(error) => return Err(Refusal::Rejected(error)),
                Verdict::TooLarge(error) => return Err(Refusal::TooLarge(error)),
                Verdict::Moved(location) => {
                    let root = location.as_deref().and_then(|to| self.requester.borrow().moved_root(&url, to));
                    return Err(Refusal::Failed(moved(about, location.as_deref(), root.as_deref())));
                }
                Verdict::Fail(error) => return Err(Refusal::Failed(error)),
            }
        }
    }

    /// Sends a request and parses its answer. A truncated answer is requested again.
    pub async fn read<T>(
        &self,
        about: &str,
        tries: &mut Tries,
        make: &dyn Fn(&Requester) -> HttpRequest,
        parse: &dyn Fn(&HttpResponse) -> Result<T, Unreadable>,
    ) -> Result<(T, Answer), Refusal> {
        let mut read = None;
        let mut parse = |response: &HttpResponse| {
            read = Some(parse(response)?);
            Ok(())
        };
        let reading: LocalFuture<'_, _> = Box::pin(self.read_until(about, tries, make, &mut parse));
        let answer = reading.await?;
        let read = read.ok_or_else(|| Error::internal("A response was accepted without being parsed"))?;
        Ok((read, answer))
    }

    async fn read_until(
        &self,
        about: &str,
        tries: &mut Tries,
        make: &dyn Fn(&Requester) -> HttpRequest,
        parse: &mut dyn FnMut(&HttpResponse) -> Result<(), Unreadable>,
    ) -> Result<Answer, Refusal> {
        loop {
            let answer = self.send(about, tries, make).await?;
            match parse(&answer.response) {
                Ok(()) => return Ok(answer),
                Err(Unreadable::Failed(error)) => return Err(Refusal::Mismatch(error.detail("table", about))),
                Err(Unreadable::Cut) => {
                    if tries.used >= tries.most {
                        let text = format!("The remote's answer for table {about} ended early");
                        let error = Error::new(ErrorCode::SyncNetwork, text).hint(CUT).detail("table", about);
                        return Err(Refusal::Failed(error.detail("attempts", tries.used + 1)));
                    }
                    drop(answer);
                    self.wait(tries, None).await;
                }
            }
        }
    }

    /// Remembers the root, since PostgREST has answered under it.
    fn accepted(&self) {
        let mut requester = self.requester.borrow_mut();
        if requester.accepted() {
            *self.known.root.borrow_mut() = Some(requester.root().to_owned());
        }
    }

    async fn wait(&self, tries: &mut Tries, after_ms: Option<u64>) {
        let clock = &*self.platform.clock;
        let wait = after_ms.unwrap_or_else(|| backoff_ms(tries.used, self.platform.entropy.chance()));
        tries.used += 1;
        if after_ms.is_some() {
            // `Retry-After` applies to all requests of this client.
            self.known.rest_until.set(self.known.rest_until.get().max(clock.monotonic_ms() + wait as f64));
        }
        clock.sleep(wait).await;
    }

    /// Refreshes the token, unless the token with this number has been replaced already.
    async fn renew(&self, number: u32) -> Result<()> {
        let _permit = self.renewal.acquire().await;
        if self.token_number.get() == number {
            let token = self.tokens.fresh().await?;
            self.requester.borrow_mut().renewed(token);
            self.token_number.set(number + 1);
        }
        Ok(())
    }

    /// Switches to the other root. Returns whether there is one left to try; if not, the first root is the present one
    /// again.
    fn try_other_root(&self) -> bool {
        let other = self.requester.borrow_mut().try_other_root();
        self.root_number.set(self.root_number.get() + 1);
        other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_of_one_table_are_distinguished_from_those_of_all() {
        let error = |code, status: i64, remote_code: &str| {
            let error = Error::new(code, "no").detail("status", status);
            if remote_code.is_empty() { error } else { error.detail("remoteCode", remote_code) }
        };
        let mismatch = |status, code| Refusal::Mismatch(error(ErrorCode::SyncSchemaMismatch, status, code));
        let trouble = |code| Refusal::Trouble(error(ErrorCode::SyncServer, 500, code));
        for (refusal, expected) in [
            (Refusal::Rejected(error(ErrorCode::SyncRejected, 403, "42501")), true),
            (Refusal::UnknownColumn(error(ErrorCode::SyncSchemaMismatch, 400, "42703")), true),
            (mismatch(404, "42P01"), true),
            (mismatch(404, "PGRST205"), true),
            (mismatch(404, "PGRST125"), false),
            (mismatch(404, ""), false),
            (mismatch(406, "PGRST106"), false),
            (Refusal::Mismatch(Error::new(ErrorCode::SyncSchemaMismatch, "a value doesn't fit")), true),
            (Refusal::Mismatch(Error::new(ErrorCode::SyncProtocol, "not JSON")), false),
            (trouble("XX000"), true),
            (trouble("57014"), true),
            (trouble(""), false),
            (Refusal::Trouble(error(ErrorCode::SyncUnauthorized, 401, "PT401")), false),
            (Refusal::Failed(error(ErrorCode::SyncServer, 403, "")), false),
        ] {
            assert_eq!(refusal.is_about_one_table(), expected, "{refusal:?}");
        }
    }
}
