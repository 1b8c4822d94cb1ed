//! The socket on which the remote tells of changes: connects, joins the channel, and reconnects whenever that is lost.

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
    ports::{LocalFuture, Platform, Ports, SocketNews, Sockets},
    sync::{
        config::{checked::Config, credentials::Secrets},
        postgrest::queue::Queue,
        schedule::{
            realtime::{JOIN, Message, RealtimeChannel, heartbeat},
            rounds::{backoff_ms, return_ms},
        },
    },
};

/// How long a connection, and then a channel, may take.
const TIMEOUT_MS: u64 = 10_000;
/// From one heartbeat to the next, by which the last one must have been answered.
const HEARTBEAT_MS: u64 = 25_000;

/// What a listener tells.
pub(in crate::engine) enum RealtimeNews {
    /// These tables changed remotely; none named: any may have.
    Stale(Vec<String>),
    /// Nothing is told at present, and why.
    Unavailable(Error),
}

/// Listens until it is dropped.
pub(in crate::engine) struct Listener(Rc<Control>);

/// What a listener is told from outside.
#[derive(Default)]
struct Control {
    token: RefCell<Option<String>>,
    token_changed: Signal,
    online: Signal,
    over: Signal,
}

impl Listener {
    /// Connects in the background, and whenever the connection is lost.
    pub fn begin(config: &Config, ports: &Ports, tell: Box<dyn Fn(RealtimeNews)>) -> Self {
        let control = Rc::new(Control::default());
        let subscription = Subscription {
            platform: ports.platform.clone(),
            sockets: ports.sockets.clone(),
            channel: RealtimeChannel::new(config),
            secrets: Secrets::new(&config.options),
            control: control.clone(),
            failures: Cell::default(),
            tell,
        };
        ports.platform.spawner.spawn(Box::pin(async move {
            select(pin!(subscription.control.over.rung()), pin!(subscription.keep())).await;
        }));
        Self(control)
    }

    /// Who is signed in now.
    pub fn token(&self, token: Option<String>) {
        if self.0.token.replace(token.clone()) != token {
            self.0.token_changed.ring();
        }
    }

    /// There is a network again.
    pub fn online(&self) {
        self.0.online.ring();
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.0.over.ring();
    }
}

/// What a socket says, in order. Its callback only writes it down: the socket may be dropped for it.
type Incoming = Queue<SocketNews>;

/// Why nobody listens any more; `None`: the connection broke.
type Ended = Option<Error>;

/// What happens next in a session.
enum Next {
    Message(Message),
    Token(Option<String>),
    HeartbeatDue,
}

struct Subscription {
    platform: Platform,
    sockets: Rc<dyn Sockets>,
    channel: RealtimeChannel,
    secrets: Secrets,
    control: Rc<Control>,
    /// Sessions in a row that ended before the server had followed the tables or answered a heartbeat.
    failures: Cell<u32>,
    tell: Box<dyn Fn(RealtimeNews)>,
}

impl Subscription {
    async fn keep(&self) {
        loop {
            let Err(ended) = self.session().await;
            if let Some(error) = ended {
                // Where there are no sockets, there never will be any.
                let never = error.is(ErrorCode::UnsupportedEnvironment);
                let mut secrets = self.secrets.clone();
                self.control.token.borrow().iter().for_each(|token| secrets.add(token));
                (self.tell)(RealtimeNews::Unavailable(secrets.mask_error(error)));
                if never {
                    return;
                }
            }
            self.failures.set(self.failures.get() + 1);
            self.control.online.hush();
            let (clock, chance) = (&self.platform.clock, self.platform.entropy.chance());
            let back_online = async {
                self.control.online.rung().await;
                clock.sleep(return_ms(chance)).await;
            };
            select(clock.sleep(backoff_ms(self.failures.get(), chance)), pin!(back_online)).await;
        }
    }

    /// One connection, until it ends.
    async fn session(&self) -> Result<Infallible, Ended> {
        let incoming = Rc::new(Incoming::default());
        let arriving = incoming.clone();
        let socket = self.sockets.open(self.channel.url(), Box::new(move |news| arriving.put(news))).map_err(Some)?;
        self.in_time(async {
            while heard(&incoming).await? != SocketNews::Opened {}
            Ok(())
        })
        .await?;
        self.control.token_changed.hush();
        socket.send(&self.channel.join(self.control.token.borrow().as_deref()));
        self.in_time(async {
            while self.message(&incoming).await? != Message::Joined {}
            Ok(())
        })
        .await?;
        // What happened while nobody listened.
        self.all_is_stale();
        let mut number = JOIN;
        let mut unanswered = None;
        let mut heartbeat_due = self.platform.clock.sleep(HEARTBEAT_MS);
        loop {
            match self.next(&incoming, &mut heartbeat_due).await? {
                // The channel is open before the server follows the tables.
                Next::Message(Message::Following) => {
                    self.failures.set(0);
                    self.all_is_stale();
                }
                Next::Message(Message::Answered(answered)) if unanswered == Some(answered) => {
                    self.failures.set(0);
                    unanswered = None;
                }
                Next::Message(Message::Changed(table)) => (self.tell)(RealtimeNews::Stale(vec![table])),
                Next::Message(_) => {}
                Next::Token(token) => {
                    if let Some(text) = self.channel.access_token(token.as_deref(), number + 1) {
                        number += 1;
                        socket.send(&text);
                    }
                }
                // A connection can be dead for a long time before it closes.
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
        let token_changed = pin!(self.control.token_changed.rung());
        match select(pin!(self.message(incoming)), select(token_changed, heartbeat_due)).await {
            Either::Left((message, _)) => message.map(Next::Message),
            Either::Right((Either::Left(_), _)) => Ok(Next::Token(self.control.token.borrow().clone())),
            Either::Right((Either::Right(_), _)) => Ok(Next::HeartbeatDue),
        }
    }

    /// The next message of the server that goes on with the session.
    async fn message(&self, incoming: &Incoming) -> Result<Message, Ended> {
        loop {
            let SocketNews::Said(text) = heard(incoming).await? else { continue };
            match self.channel.parse(&text) {
                None => {}
                Some(Message::Closed) => return Err(None),
                Some(Message::Refused(why)) => {
                    let text = format!("The remote's realtime service refused to tell of changes: {why}");
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

    fn all_is_stale(&self) {
        (self.tell)(RealtimeNews::Stale(Vec::new()));
    }
}

/// What the socket says next. Fails when it is closed.
async fn heard(incoming: &Incoming) -> Result<SocketNews, Ended> {
    incoming.next().await.filter(|news| *news != SocketNews::Closed).ok_or(None)
}
