//! The one client of the remote: sends a request until it has an answer that means something, or a reason why there is none.
//!
//! What an answer means is [`super::response`]'s business; here it is acted upon: tries again after a wait, a fresh token, the
//! other root, and a bound for how many requests are under way. Whatever a caller can do about a refusal is in [`Refusal`].

use std::cell::{Cell, RefCell};

use super::{
    permits::{Permit, Permits},
    request::Requester,
    response::{CUT, Unreadable, Verdict, backoff_ms, http_date, judge, moved},
};
use crate::{
    error::{Detail, Error, ErrorCode, Result},
    ports::{Http, HttpRequest, HttpResponse, LocalFuture, Platform},
    sync::config::{checked::Config, options::AT_ONCE},
    time::Timestamp,
};

/// Where access tokens come from.
pub trait Tokens {
    /// A token, asked for anew; `None`: nobody is signed in.
    fn fresh(&self) -> LocalFuture<'_, Result<Option<String>>>;
}

/// Why a request brought nothing.
#[derive(Clone, Debug, PartialEq)]
pub enum Refusal {
    /// PostgREST or PostgreSQL refuses what was sent, and says by a code why.
    Rejected(Error),
    /// A column doesn't exist.
    UnknownColumn(Error),
    /// The table or function isn't there, or its answers can't be used.
    Mismatch(Error),
    /// Less at once may do; it was waited for already.
    TooMuch(Error),
    /// The answer is larger than the limit: a request for less may do.
    TooLarge(Error),
    /// The remote fails at this request however often it is asked, perhaps at no other.
    Trouble(Error),
    /// Nothing else will go better.
    Failed(Error),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl Refusal {
    /// Whether other tables may do better: PostgREST or PostgreSQL has said so of this one, or its rows don't fit. What stands before
    /// them, the root and the network are the same for all.
    pub fn is_about_one_table(&self) -> bool {
        let code = |error: &Error| match error.details.get("remoteCode") {
            Some(Detail::Text(code)) => Some(code.clone()),
            _ => None,
        };
        match self {
            Self::Rejected(_) | Self::UnknownColumn(_) | Self::TooLarge(_) => true,
            Self::Mismatch(error) if error.details.contains_key("status") => {
                code(error).is_some_and(|code| !matches!(&*code, "PGRST106" | "PGRST125"))
            }
            Self::Mismatch(error) => error.is(ErrorCode::SyncSchemaMismatch),
            Self::Trouble(error) => code(error).is_some(),
            Self::TooMuch(_) | Self::Failed(_) => false,
        }
    }

    /// What to fail with.
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

/// How often one thing may be asked for in vain, whatever becomes of the request meanwhile.
#[derive(Clone, Debug)]
pub struct Tries {
    used: u32,
    most: u32,
}

impl Tries {
    /// Whether it was asked for in vain before: that may have arrived all the same.
    pub fn any(&self) -> bool {
        self.used > 0
    }

    /// No more than `most` tries in all.
    pub fn at_most(mut self, most: u32) -> Self {
        self.most = self.most.min(most.saturating_sub(1));
        self
    }
}

/// A good answer.
#[derive(Debug)]
pub struct Answer {
    /// It.
    pub response: HttpResponse,
    /// When the server began to answer at the latest, by its own clock, if it shows that.
    pub server_time: Option<Timestamp>,
    /// Counts as a request under way as long as it lives.
    pub permit: Permit,
}

/// What outlives the client of one call.
#[derive(Debug, Default)]
pub struct Known {
    /// The root that answered.
    pub root: RefCell<Option<String>>,
    /// On the monotonic clock: the remote asked for rest until then.
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
    /// One asks for a fresh token, the others wait for it.
    renewal: Permits,
    skew_ms: Cell<Option<i64>>,
}

impl<'a> Remote<'a> {
    /// `token`: what the access token function gave.
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

    /// How far the server's clock is ahead, where it shows it.
    pub fn skew_ms(&self) -> Option<i64> {
        self.skew_ms.get()
    }

    /// The tries of one thing to ask for, as `remote.retries` says.
    pub fn tries(&self) -> Tries {
        Tries { used: 0, most: self.retries }
    }

    /// Sends a request, made anew for each try, and again as long as that may help. `about`: the table that errors name.
    ///
    /// Boxed, as what reads it: who sends one has not all of this code in its own.
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
        let permit = self.permits.take().await;
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
            let verdict = judge(about, &answer, self.requester.borrow().secrets(), now);
            match verdict {
                Verdict::Body => {
                    let response = answer.unwrap_or_default();
                    self.accepted();
                    let elapsed_ms = (clock.monotonic_ms() - sent).max(0.0) as i64;
                    let date = response.header("date").and_then(http_date);
                    // The header has whole seconds: half of one on average.
                    self.skew_ms.set(date.map(|date| date.plus_ms(500).since(now)).or(self.skew_ms.get()));
                    let server_time = date.map(|date| date.plus_ms(-elapsed_ms));
                    return Ok(Answer { response, server_time, permit });
                }
                Verdict::Unauthorized(mut error) => {
                    let has_tokens = self.requester.borrow().has_access_token();
                    if !has_tokens && error.details.get("remoteCode") == Some(&"42501".into()) {
                        // What a signed-in user would be told by 403.
                        error.code = ErrorCode::SyncRejected;
                        return Err(Refusal::Rejected(error));
                    }
                    if renewed || !has_tokens {
                        return Err(Refusal::Failed(error));
                    }
                    renewed = true;
                    self.renew(token).await?;
                }
                Verdict::Retry { after_ms, smaller, error } => {
                    if tries.used >= tries.most {
                        let error = error.detail("attempts", tries.used + 1);
                        let error = after_ms.into_iter().fold(error, |error, ms| error.detail("retryAfterMs", ms));
                        // What stands before the database is in trouble with everything; the rest may be about these rows.
                        let about = answer.is_ok_and(|response| matches!(response.status, 413 | 500 | 501));
                        return Err(if about { Refusal::Trouble(error) } else { Refusal::Failed(error) });
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

    /// Sends a request and reads its answer; one that was cut is asked for again.
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
        let read = read.ok_or_else(|| Error::internal("An answer was taken unread"))?;
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

    /// A request was answered by PostgREST: the root is right.
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
            // It is asked of this client, not of this request alone.
            self.known.rest_until.set(self.known.rest_until.get().max(clock.monotonic_ms() + wait as f64));
        }
        clock.sleep(wait).await;
    }

    /// Asks for a fresh token, unless that of this number isn't the newest any more.
    async fn renew(&self, number: u32) -> Result<()> {
        let _turn = self.renewal.take().await;
        if self.token_number.get() == number {
            let token = self.tokens.fresh().await?;
            self.requester.borrow_mut().renewed(token);
            self.token_number.set(number + 1);
        }
        Ok(())
    }

    /// Whether there is another root to try. When there is none, the first one is the present one again.
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
    fn what_only_one_table_is_refused_for() {
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
            (Refusal::Failed(error(ErrorCode::SyncServer, 403, "")), false),
        ] {
            assert_eq!(refusal.is_about_one_table(), expected, "{refusal:?}");
        }
    }
}
