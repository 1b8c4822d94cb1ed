//! Jobs on one value, on the page's own thread: the face of the native worker. Calls reach it through a channel, so that
//! handles and futures are `Send` here, too, as frameworks like them.

use std::{future::Future, rc::Rc};

use futures_channel::{
    mpsc::{UnboundedSender, unbounded},
    oneshot,
};
use futures_util::{
    StreamExt,
    future::{AbortHandle, Abortable},
};

use crate::{
    browser,
    engine::connection::mutex::closed,
    error::Result,
    ports::{LocalFuture, Platform},
};

/// A job: gets the worker's value.
type WorkerJob<S> = Box<dyn FnOnce(Rc<S>) -> LocalFuture<'static, ()> + Send>;

/// Runs jobs on a value. Dropping it and its posters ends that; the jobs under way go on.
pub struct Worker<S>(Poster<S>);

/// Posts jobs to a worker.
pub struct Poster<S>(UnboundedSender<WorkerJob<S>>);

impl<S> Clone for Poster<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<S: 'static> Worker<S> {
    /// Creates the value, and runs jobs on it from then on.
    pub fn start(_name: &str, make: impl FnOnce(Platform) -> S) -> Result<Self> {
        let platform = browser::page_platform();
        let spawner = platform.spawner.clone();
        let value = Rc::new(make(platform));
        let (sender, mut jobs) = unbounded::<WorkerJob<S>>();
        let tasks = spawner.clone();
        spawner.spawn(Box::pin(async move {
            while let Some(job) = jobs.next().await {
                tasks.spawn(job(value.clone()));
            }
        }));
        Ok(Self(Poster(sender)))
    }

    /// Runs a job and resolves with its result. Dropping the future cancels the job where it waits.
    pub fn call<R, F, Fut>(&self, job: F) -> impl Future<Output = Result<R>> + Send + use<S, R, F, Fut>
    where
        R: Send + 'static,
        F: FnOnce(Rc<S>) -> Fut + Send + 'static,
        Fut: Future<Output = Result<R>> + 'static,
    {
        let (reply, result) = oneshot::channel();
        let (abort, registration) = AbortHandle::new_pair();
        self.post(Box::new(move |value| {
            let working = Abortable::new(async move { job(value).await }, registration);
            Box::pin(async move {
                if let Ok(result) = working.await {
                    let _ = reply.send(result);
                }
            })
        }));
        let pending = Pending(abort);
        async move {
            let result = result.await;
            drop(pending);
            // Only a page that ends drops a job.
            result.unwrap_or_else(|_| Err(closed()))
        }
    }

    /// Returns whether a panic has ended the worker: here it ends the whole program.
    pub fn has_ended(&self) -> bool {
        false
    }

    /// Runs a job without waiting for it.
    pub fn post(&self, job: WorkerJob<S>) {
        self.0.post(job);
    }

    /// Returns what posts jobs, also after the worker was dropped.
    pub fn poster(&self) -> Poster<S> {
        self.0.clone()
    }
}

/// Runs a job that needs no open database.
pub async fn alone<T, F, Fut>(job: F) -> Result<T>
where
    T: Send + 'static,
    F: FnOnce(Platform) -> Fut + Send + 'static,
    Fut: Future<Output = Result<T>> + 'static,
{
    let worker = Worker::start("alone", |platform| platform)?;
    worker.call(|platform: Rc<Platform>| job((*platform).clone())).await
}

impl<S> Poster<S> {
    /// Runs a job without waiting for it.
    pub fn post(&self, job: WorkerJob<S>) {
        let _ = self.0.unbounded_send(job);
    }
}

/// A job that may still wait: cancelled when this is dropped.
struct Pending(AbortHandle);

impl Drop for Pending {
    fn drop(&mut self) {
        self.0.abort();
    }
}
