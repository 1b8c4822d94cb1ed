//! A thread that runs jobs on one value, and the futures of the engine. The engine is single-threaded; callers may be on
//! any thread, with any executor or none.
//!
//! All that wakes a task comes as a message or from a timer, so that the thread waits in one place. A waker that another
//! thread calls sends such a message.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    pin::Pin,
    rc::Rc,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
        mpsc::{self, Receiver, RecvTimeoutError, Sender},
    },
    task::{Context, Poll, Wake, Waker},
    thread::{self, JoinHandle, ThreadId},
};

use futures_channel::oneshot;
use futures_executor::{LocalPool, LocalSpawner};
use futures_util::{
    future::{AbortHandle, FutureExt, abortable},
    task::LocalSpawnExt,
};

use super::{NativeClock, platform};
use crate::{
    error::{Error, ErrorCode, Result},
    panics,
    ports::{LocalFuture, Platform, Spawner},
};

/// A job: gets the value of the worker's thread.
type WorkerJob<S> = Box<dyn FnOnce(Rc<S>) -> LocalFuture<'static, ()> + Send>;

enum WorkerMessage<S> {
    Run(u64, WorkerJob<S>),
    Post(WorkerJob<S>),
    Cancel(u64),
    /// A task was woken by another thread.
    Wake,
    End,
}

/// A thread with a value of its own. Dropping it ends the jobs that were given to it, drops the value, and waits for that.
pub struct Worker<S> {
    sender: Sender<WorkerMessage<S>>,
    thread: Option<JoinHandle<()>>,
    next_job: AtomicU64,
    /// The message of the panic that ended the thread.
    panic: Arc<Mutex<Option<String>>>,
}

impl<S: 'static> Worker<S> {
    /// Starts a thread whose value `make` creates there. Fails with `out_of_memory` when the system has no thread.
    pub fn start(name: &str, make: impl FnOnce(Platform) -> S + Send + 'static) -> Result<Self> {
        let (sender, receiver) = mpsc::channel();
        let panic = Arc::new(Mutex::new(None));
        let (seen, wakes) = (panic.clone(), sender.clone());
        let run = move || {
            if let Err(payload) = catch_unwind(AssertUnwindSafe(|| serve(&receiver, wakes, make))) {
                let text = panics::message(payload.as_ref()).to_owned();
                seen.lock().unwrap_or_else(|broken| broken.into_inner()).replace(text);
            }
        };
        // The names of threads have no NUL, and on Linux 15 bytes are shown.
        let thread = thread::Builder::new().name(format!("tidelock {}", name.replace('\0', " "))).spawn(run);
        let thread = thread.map_err(|error| {
            Error::new(ErrorCode::OutOfMemory, "The system can't start the thread of the database")
                .hint("End other threads or processes")
                .cause(error)
        })?;
        Ok(Self { sender, thread: Some(thread), next_job: AtomicU64::new(1), panic })
    }

    /// Runs a job and resolves with its result. Dropping the future cancels the job where it waits.
    ///
    /// Fails as the job does, with `internal` when a panic ends the thread meanwhile, and with `closed` after that.
    pub fn call<R, F, Fut>(&self, job: F) -> impl Future<Output = Result<R>> + Send + use<S, R, F, Fut>
    where
        R: Send + 'static,
        F: FnOnce(Rc<S>) -> Fut + Send + 'static,
        Fut: Future<Output = Result<R>> + 'static,
    {
        let (reply, receiver) = oneshot::channel();
        let id = self.next_job.fetch_add(1, Ordering::Relaxed);
        let job: WorkerJob<S> = Box::new(move |value| {
            Box::pin(async move {
                match AssertUnwindSafe(async { job(value).await }).catch_unwind().await {
                    Ok(result) => drop(reply.send(result)),
                    Err(payload) => {
                        let _ = reply.send(Err(panicked().detail("panic", panics::message(payload.as_ref()))));
                        // The state of the engine is unknown from here on.
                        resume_unwind(payload);
                    }
                }
            })
        });
        let sent = self.sender.send(WorkerMessage::Run(id, job)).is_ok();
        let mut pending = Pending { id, sender: sent.then(|| self.sender.clone()) };
        let panic = self.panic.clone();
        async move {
            let result = receiver.await;
            pending.finish();
            result.unwrap_or_else(|_| Err(if sent { panicked() } else { ended(&panic) }))
        }
    }

    /// Returns whether a panic has ended the thread.
    pub fn has_ended(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Runs a job without waiting for it.
    pub fn post(&self, job: WorkerJob<S>) {
        self.poster().post(job);
    }

    /// Returns what posts jobs, as long as the worker is there.
    pub fn poster(&self) -> Poster<S> {
        Poster(self.sender.clone())
    }
}

/// Runs a job on a thread of its own, one that needs no open database.
pub async fn alone<T, F, Fut>(job: F) -> Result<T>
where
    T: Send + 'static,
    F: FnOnce(Platform) -> Fut + Send + 'static,
    Fut: Future<Output = Result<T>> + 'static,
{
    let worker = Worker::start("alone", |platform| platform)?;
    worker.call(|platform: Rc<Platform>| job((*platform).clone())).await
}

/// Posts jobs to a worker, without keeping it.
#[derive(Clone)]
pub struct Poster<S>(Sender<WorkerMessage<S>>);

impl<S> Poster<S> {
    /// Runs a job without waiting for it. A thread that has ended has nothing left to do.
    pub fn post(&self, job: WorkerJob<S>) {
        let _ = self.0.send(WorkerMessage::Post(job));
    }
}

impl<S> Drop for Worker<S> {
    fn drop(&mut self) {
        let _ = self.sender.send(WorkerMessage::End);
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != thread::current().id()
        {
            // A panic was caught.
            let _ = thread.join();
        }
    }
}

/// A job that may still wait: cancelled when this is dropped.
struct Pending<S> {
    id: u64,
    sender: Option<Sender<WorkerMessage<S>>>,
}

impl<S> Pending<S> {
    fn finish(&mut self) {
        self.sender = None;
    }
}

impl<S> Drop for Pending<S> {
    fn drop(&mut self) {
        if let Some(sender) = self.sender.take() {
            let _ = sender.send(WorkerMessage::Cancel(self.id));
        }
    }
}

/// Returns the error of the calls that a panic ends.
fn panicked() -> Error {
    Error::internal("The thread of the database panicked")
}

/// Returns the error of later calls.
fn ended(panic: &Mutex<Option<String>>) -> Error {
    let text = panic.lock().unwrap_or_else(|broken| broken.into_inner()).clone();
    Error::new(ErrorCode::Closed, "The database was closed by an error")
        .hint("Open it again with open()")
        .cause(text.unwrap_or_default())
}

struct PoolSpawner<S> {
    pool: LocalSpawner,
    wakes: Sender<WorkerMessage<S>>,
}

impl<S: 'static> Spawner for PoolSpawner<S> {
    fn spawn(&self, future: LocalFuture<'static, ()>) {
        // A pool that is being dropped refuses new tasks.
        let _ = self.pool.spawn_local(WorkerTask { future, wakes: self.wakes.clone(), wakers: None });
    }
}

/// A future of the worker's thread, which any thread may wake.
struct WorkerTask<S> {
    future: LocalFuture<'static, ()>,
    wakes: Sender<WorkerMessage<S>>,
    /// The pool's waker, and the one around it.
    wakers: Option<(Waker, Waker)>,
}

impl<S: 'static> Future for WorkerTask<S> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let Self { future, wakes, wakers } = &mut *self;
        let (_, waker) = match wakers {
            Some(known) if known.0.will_wake(context.waker()) => known,
            stale => {
                let task = context.waker().clone();
                let waker = TaskWaker { task: task.clone(), thread: thread::current().id(), wakes: wakes.clone() };
                stale.insert((task, Waker::from(Arc::new(waker))))
            }
        };
        future.as_mut().poll(&mut Context::from_waker(waker))
    }
}

/// Wakes a task, and the worker's thread, which may wait for a message.
struct TaskWaker<S> {
    task: Waker,
    thread: ThreadId,
    wakes: Sender<WorkerMessage<S>>,
}

impl<S: 'static> Wake for TaskWaker<S> {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.task.wake_by_ref();
        // The worker's own thread looks for woken tasks before it waits.
        if thread::current().id() != self.thread {
            let _ = self.wakes.send(WorkerMessage::Wake);
        }
    }
}

/// Runs messages, tasks and timers until the worker is dropped and its jobs have ended.
fn serve<S: 'static>(
    receiver: &Receiver<WorkerMessage<S>>,
    wakes: Sender<WorkerMessage<S>>,
    make: impl FnOnce(Platform) -> S,
) {
    let clock = NativeClock::new();
    let mut pool = LocalPool::new();
    let spawner: Rc<dyn Spawner> = Rc::new(PoolSpawner { pool: pool.spawner(), wakes });
    let value = Rc::new(make(platform(&clock, spawner.clone())));
    let jobs: Rc<RefCell<HashMap<u64, AbortHandle>>> = Rc::default();
    let posted: Rc<Cell<usize>> = Rc::default();
    let ending = Cell::new(false);
    let handle = |message: WorkerMessage<S>| match message {
        WorkerMessage::Run(id, job) => {
            let (working, abort) = abortable(job(value.clone()));
            let running = RunningJob { id, jobs: jobs.clone() };
            jobs.borrow_mut().insert(id, abort);
            spawner.spawn(Box::pin(async move {
                let _running = running;
                let _ = working.await;
            }));
        }
        WorkerMessage::Post(job) => {
            posted.set(posted.get() + 1);
            let (working, posted) = (job(value.clone()), posted.clone());
            spawner.spawn(Box::pin(async move {
                working.await;
                posted.set(posted.get() - 1);
            }));
        }
        WorkerMessage::Cancel(id) => {
            let abort = jobs.borrow().get(&id).cloned();
            if let Some(abort) = abort {
                abort.abort();
            }
        }
        WorkerMessage::Wake => {}
        WorkerMessage::End => ending.set(true),
    };
    loop {
        pool.run_until_stalled();
        if clock.fire() {
            continue;
        }
        if ending.get() && posted.get() == 0 && jobs.borrow().is_empty() {
            return;
        }
        let received = match clock.until_next() {
            Some(wait) => receiver.recv_timeout(wait),
            None => receiver.recv().map_err(RecvTimeoutError::from),
        };
        match received {
            Ok(message) => {
                handle(message);
                receiver.try_iter().for_each(&handle);
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// Removes a job from the list when it ends, in whatever way.
struct RunningJob {
    id: u64,
    jobs: Rc<RefCell<HashMap<u64, AbortHandle>>>,
}

impl Drop for RunningJob {
    fn drop(&mut self) {
        self.jobs.borrow_mut().remove(&self.id);
    }
}
