//! Runs the machine that reads: requests side by side, and pages applied one after the other meanwhile.

use std::collections::VecDeque;

use futures_util::future::select_all;

use super::{Host, Sync};
use crate::{
    error::Result,
    ports::LocalFuture,
    sync::{
        pull::Pull,
        steps::{Event, Instruction, Page},
    },
};

/// So long pages are applied one right after the other, before everything else on this thread has its turn.
const BUSY_MS: f64 = 16.0;

/// Where pages go.
pub(super) trait Sink {
    /// Takes in a page.
    fn take(&mut self, page: Box<Page>) -> LocalFuture<'_, Result<()>>;
}

/// What came to its end.
enum Done<'a> {
    Event(Event),
    Applied(Box<dyn Sink + 'a>),
}

impl Sync {
    /// Runs the machine until everything was read and applied.
    pub(super) async fn read<'a>(
        &'a self,
        host: &'a dyn Host,
        pull: &mut Pull,
        sink: Box<dyn Sink + 'a>,
    ) -> Result<()> {
        let clock = &*self.platform.clock;
        let mut idle = Some(sink);
        let mut pages = VecDeque::new();
        let mut finished = false;
        let mut under_way: Vec<LocalFuture<'a, Result<Done<'a>>>> = Vec::new();
        let mut event = Event::Start;
        // When something came from outside: until then the page's own work had its turn.
        let mut rested = clock.monotonic_ms();
        loop {
            let instructions = pull.handle(event)?;
            self.reading.replace(pull.table().to_owned());
            for instruction in instructions {
                match instruction {
                    Instruction::Apply(page) => pages.push_back(page),
                    Instruction::Finish => finished = true,
                    other => under_way.push(self.perform(host, other)),
                }
            }
            if let Some(page) = idle.is_some().then(|| pages.pop_front()).flatten()
                && let Some(mut sink) = idle.take()
            {
                let long = clock.monotonic_ms() - rested > BUSY_MS;
                under_way.push(Box::pin(async move {
                    if long {
                        clock.sleep(0).await;
                    }
                    sink.take(page).await?;
                    Ok(Done::Applied(sink))
                }));
            }
            if under_way.is_empty() || finished && idle.is_some() {
                return Ok(());
            }
            let (done, _, rest) = select_all(under_way).await;
            under_way = rest;
            event = match done? {
                Done::Event(event) => {
                    rested = clock.monotonic_ms();
                    event
                }
                Done::Applied(sink) => {
                    idle = Some(sink);
                    Event::Applied
                }
            };
        }
    }

    fn perform<'a>(&'a self, host: &'a dyn Host, instruction: Instruction) -> LocalFuture<'a, Result<Done<'a>>> {
        let clock = &*self.platform.clock;
        match instruction {
            Instruction::Send(lane, request) => {
                let sent = clock.monotonic_ms();
                let answer = self.http.send(request);
                Box::pin(async move {
                    let answer = answer.await;
                    let elapsed_ms = (clock.monotonic_ms() - sent).max(0.0) as u64;
                    let (now, chance) = (clock.now(), self.chance());
                    Ok(Done::Event(Event::Answer { lane, answer, now, elapsed_ms, chance }))
                })
            }
            Instruction::Wait(lane, ms) => Box::pin(async move {
                clock.sleep(ms).await;
                Ok(Done::Event(Event::Waited(lane)))
            }),
            _ => Box::pin(async move { Ok(Done::Event(Event::Token(self.fresh_token(host).await?))) }),
        }
    }
}
