//! The realtime subscription: connects a socket, joins the channel, and reconnects whenever the connection is lost.

use std::{
    cell::{Cell, RefCell},
    convert::Infallible,
    pin::pin,
    rc::Rc,
};

use futures_util::future::{Either, select};

use crate::{
    engine::connection::signal::Signal,
    error::{Error, ErrorCode},
    ports::{LocalFuture, Platform, Ports, SocketEvent, Sockets},
    sync::{
        config::{checked::Config, credentials::Secrets},
        postgrest::queue::Queue,
        schedule::{
            realtime::{JOIN, RealtimeChannel, RealtimeMessage, heartbeat},
            rounds::{backoff_ms, return_ms},
        },
    },
};

/// Timeout of the connection, and then of joining the channel, in milliseconds.
const TIMEOUT_MS: u64 = 10_000;
/// Interval of heartbeats, in milliseconds. A heartbeat must be answered before the next one.
const HEARTBEAT_MS: u64 = 25_000;

/// A message of a listener.
pub(in crate::engine) enum RealtimeEvent {
    /// These tables changed remotely. An empty list: any may have changed.
    Stale(Vec<String>),
    /// Realtime is unavailable, for this reason.
    Unavailable(Error),
}

/// Listens until it is dropped.
pub(in crate::engine) struct Listener(Rc<Control>);

/// The inputs of a listener.
#[derive(Default)]
struct Control {
    token: RefCell<Option<String>>,
    token_changed: Signal,
    online: Signal,
    over: Signal,
}

impl Listener {
    /// Starts to connect in the background, and reconnects whenever the connection is lost.
    pub fn begin(config: &Config, ports: &Ports, report: Box<dyn Fn(RealtimeEvent)>) -> Self {
        let control = Rc::new(Control::default());
        let subscription = Subscription {
            platform: ports.platform.clone(),
            sockets: ports.sockets.clone(),
            channel: RealtimeChannel::new(config),
            secrets: Secrets::new(&config.options),
            control: control.clone(),
            failures: Cell::default(),
            report,
        };
        ports.platform.spawner.spawn(Box::pin(async move {
            select(pin!(subscription.control.over.notified()), pin!(subscription.keep())).await;
        }));
        Self(control)
    }

    /// Replaces the signed-in user's token.
    pub fn token(&self, token: Option<String>) {
        if self.0.token.replace(token.clone()) != token {
            self.0.token_changed.notify();
        }
    }

    /// Notes that the network has returned.
    pub fn online(&self) {
        self.0.online.notify();
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.0.over.notify();
    }
}

/// The events of a socket, in order. Its callback only queues them, since handling one may drop the socket.
type Incoming = Queue<SocketEvent>;

/// Why a session ended. `None`: the connection was lost.
type Ended = Option<Error>;

/// The next event of a session.
enum Next {
    RealtimeMessage(RealtimeMessage),
    Token(Option<String>),
    HeartbeatDue,
}

struct Subscription {
    platform: Platform,
    sockets: Rc<dyn Sockets>,
    channel: RealtimeChannel,
    secrets: Secrets,
    control: Rc<Control>,
    /// Number of consecutive sessions that ended before the server subscribed to the tables or answered a heartbeat.
    failures: Cell<u32>,
    report: Box<dyn Fn(RealtimeEvent)>,
}

impl Subscription {
    async fn keep(&self) {
        loop {
            let Err(ended) = self.session().await;
            if let Some(error) = ended {
                // An environment without sockets never gets them.
                let never = error.is(ErrorCode::UnsupportedEnvironment);
                let mut secrets = self.secrets.clone();
                self.control.token.borrow().iter().for_each(|token| secrets.add(token));
                (self.report)(RealtimeEvent::Unavailable(secrets.mask_error(error)));
                if never {
                    return;
                }
            }
            self.failures.set(self.failures.get() + 1);
            self.control.online.clear_notification();
            let (clock, chance) = (&self.platform.clock, self.platform.entropy.chance());
            let back_online = async {
                self.control.online.notified().await;
                clock.sleep(return_ms(chance)).await;
            };
            select(clock.sleep(backoff_ms(self.failures.get(), chance)), pin!(back_online)).await;
        }
    }

    /// Runs one connection until it ends.
    async fn session(&self) -> Result<Infallible, Ended> {
        let incoming = Rc::new(Incoming::default());
        let arriving = incoming.clone();
        let socket = self.sockets.open(self.channel.url(), Box::new(move |news| arriving.put(news))).map_err(Some)?;
        self.in_time(async {
            while next_event(&incoming).await? != SocketEvent::Opened {}
            Ok(())
        })
        .await?;
        self.control.token_changed.clear_notification();
        socket.send(&self.channel.join(self.control.token.borrow().as_deref()));
        self.in_time(async {
            while self.message(&incoming).await? != RealtimeMessage::Joined {}
            Ok(())
        })
        .await?;
        // Changes may have been missed while there was no connection.
        self.report_all_stale();
        let mut number = JOIN;
        let mut unanswered = None;
        let mut heartbeat_due = self.platform.clock.sleep(HEARTBEAT_MS);
        loop {
            match self.next(&incoming, &mut heartbeat_due).await? {
                // The server joins the channel before it subscribes to the tables, so changes in between are missed.
                Next::RealtimeMessage(RealtimeMessage::Following) => {
                    self.failures.set(0);
                    self.report_all_stale();
                }
                Next::RealtimeMessage(RealtimeMessage::Answered(answered)) if unanswered == Some(answered) => {
                    self.failures.set(0);
                    unanswered = None;
                }
                Next::RealtimeMessage(RealtimeMessage::Changed(table)) => {
                    (self.report)(RealtimeEvent::Stale(vec![table]))
                }
                Next::RealtimeMessage(_) => {}
                Next::Token(token) => {
                    if let Some(text) = self.channel.access_token(token.as_deref(), number + 1) {
                        number += 1;
                        socket.send(&text);
                    }
                }
                // A dead connection may stay open for a long time.
                Next::HeartbeatDue if unanswered.is_some() => return Err(None),
                Next::HeartbeatDue => {
                    number += 1;
                    unanswered = Some(number);
                    socket.send(&heartbeat(number));
                    heartbeat_due = self.platform.clock.sleep(HEARTBEAT_MS);
                }
            }
        }
    }

    async fn next(&self, incoming: &Incoming, heartbeat_due: &mut LocalFuture<'static, ()>) -> Result<Next, Ended> {
        let token_changed = pin!(self.control.token_changed.notified());
        match select(pin!(self.message(incoming)), select(token_changed, heartbeat_due)).await {
            Either::Left((message, _)) => message.map(Next::RealtimeMessage),
            Either::Right((Either::Left(_), _)) => Ok(Next::Token(self.control.token.borrow().clone())),
            Either::Right((Either::Right(_), _)) => Ok(Next::HeartbeatDue),
        }
    }

    /// Returns the next message of the server that doesn't end the session.
    async fn message(&self, incoming: &Incoming) -> Result<RealtimeMessage, Ended> {
        loop {
            let SocketEvent::Said(text) = next_event(incoming).await? else { continue };
            match self.channel.parse(&text) {
                None => {}
                Some(RealtimeMessage::Closed) => return Err(None),
                Some(RealtimeMessage::Refused(why)) => {
                    let text = format!("The remote's realtime service refused the subscription: {why}");
                    let error = Error::new(ErrorCode::SyncRejected, text)
                        .hint("Add the tables to the publication supabase_realtime");
                    return Err(Some(error));
                }
                Some(message) => return Ok(message),
            }
        }
    }

    async fn in_time(&self, work: impl Future<Output = Result<(), Ended>>) -> Result<(), Ended> {
        match select(pin!(work), self.platform.clock.sleep(TIMEOUT_MS)).await {
            Either::Left((result, _)) => result,
            Either::Right(_) => Err(None),
        }
    }

    fn report_all_stale(&self) {
        (self.report)(RealtimeEvent::Stale(Vec::new()));
    }
}

/// Returns the next event of the socket. Fails when it is closed.
async fn next_event(incoming: &Incoming) -> Result<SocketEvent, Ended> {
    incoming.next().await.filter(|news| *news != SocketEvent::Closed).ok_or(None)
}
