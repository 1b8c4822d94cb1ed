//! A lock as a file, for databases in folders. It records its owner's process and thread ids and start time, which show
//! whether the owner is still alive. Some owners can't be looked up: those of other machines and containers, and where start
//! times aren't known. So each owner changes a digit in its file again and again, and one whose digit stays the same for
//! long counts as dead. How long is measured here, since the clocks of two machines differ.
//!
//! Lock files are numbered, and the highest number counts. To acquire, a process reads that file; if it is empty
//! (released) or its owner is dead, the process creates the next number with its own identity: one process wins. Then it
//! looks again: if its number is no longer the highest, or the file before it has another owner than it had, it was too
//! slow and another process holds the lock. (On a disk without hard links, a file is empty while it is being created.)
//! An owner whose file was replaced loses the lock. One whose folder was moved releases it when it is put back.
//! Only the owner of a higher number removes lower ones, and the highest is never removed, so no number is used twice.

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    rc::Rc,
};

use futures_channel::oneshot;
use futures_util::FutureExt;

use crate::{
    error::{Error, ErrorCode, Result},
    ports::{
        Acquire, Broadcast, Clock, Files, HeldLock, LocalFuture, LockFiles, Locks, Platform, Process, Processes,
        write_with_reserve,
    },
};

/// The pause between two checks of a taken lock, in milliseconds.
const POLL_MS: u64 = 50;
/// The pause between two changes of the owner's digit, and how long it stays the same when the owner is dead, in
/// milliseconds.
const BEAT_MS: u64 = 2_000;
const DEAD_MS: f64 = 10_000.0;
/// How many times the owner of a released lock looks for its folder, if that was moved: for ten minutes.
const LOOKS_AFTER_RELEASE: u32 = 300;

/// The lock of the one database in a folder. Web Locks end with their tab; of a lock file the next process checks the
/// owner.
#[derive(Clone)]
pub struct FileLocks {
    files: Rc<dyn LockFiles>,
    processes: Rc<dyn Processes>,
    platform: Platform,
}

/// The content of a lock file.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Owner {
    id: String,
    process: Process,
    since: String,
    /// The digit that changes as long as the owner lives.
    beat: String,
}

impl Owner {
    /// Returns the content of a lock file. It ends with the digit.
    fn to_text(&self) -> String {
        let Owner { id, process: Process { pid, thread, host, began }, since, beat } = self;
        format!("tidelock\nid {id}\npid {pid}\nthread {thread}\nbegan {began}\nhost {host}\nsince {since}\nbeat {beat}")
    }

    /// Parses a lock file; `None` when it was released, or is empty after a power cut.
    fn parse(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        let field =
            |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).map(str::to_owned);
        let (pid, thread) = (field("pid")?.parse().ok()?, field("thread")?.parse().ok()?);
        let process = Process { pid, thread, host: field("host")?, began: field("began")? };
        Some(Self { id: field("id")?, process, since: field("since")?, beat: field("beat").unwrap_or_default() })
    }
}

fn file_name(number: u64) -> String {
    format!("lock.{number}")
}

fn number_of(name: &str) -> Option<u64> {
    name.strip_prefix("lock.")?.parse().ok()
}

/// The highest lock file's number, and its owner.
type Newest = (u64, Option<Owner>);

impl FileLocks {
    /// Creates the lock of the folder of these files.
    pub fn new(files: Rc<dyn LockFiles>, processes: Rc<dyn Processes>, platform: Platform) -> Self {
        Self { files, processes, platform }
    }

    fn newest(files: &dyn LockFiles) -> Result<Option<Newest>> {
        let Some(number) = files.list()?.iter().filter_map(|name| number_of(name)).max() else { return Ok(None) };
        Ok(Some((number, owner_of(files, &file_name(number))?)))
    }

    /// Takes the lock from a dead owner, or if it is free: `newest` is what was found.
    fn take(&self, newest: Option<Newest>) -> Result<Option<FileLock>> {
        let (files, me) = (&self.files, self.processes.me());
        let (highest, before) = newest.unwrap_or_default();
        let number = highest.checked_add(1).ok_or_else(|| {
            Error::new(ErrorCode::DatabaseCorrupt, "The database's folder has a lock file with an impossible number")
                .hint("No process has it: remove this file")
                .detail("file", file_name(highest))
        })?;
        let mut random = [0; 8];
        self.platform.entropy.fill(&mut random);
        let id = format!("{}-{:016x}", me.pid, u64::from_le_bytes(random));
        let (since, beat) = (self.platform.clock.now().to_string(), "9".to_owned());
        let text = Owner { id: id.clone(), process: me, since, beat }.to_text();
        if !write_with_reserve(&**files, || files.create(&file_name(number), text.as_bytes()))? {
            return Ok(None);
        }
        let mine = Rc::new(OwnFile { files: files.clone(), number, id, released: Cell::default() });
        let names = files.list()?;
        let numbers = names.iter().filter_map(|name| number_of(name));
        let is_late = numbers.clone().any(|other| other > number) || owner_of(&**files, &file_name(highest))? != before;
        if is_late {
            let _ = files.remove(&file_name(number));
            return Ok(None);
        }
        for lower in numbers.filter(|other| *other < number) {
            let _ = files.remove(&file_name(lower));
        }
        let (sender, ended) = oneshot::channel();
        let beating = keep_beating(mine.clone(), self.platform.clock.clone(), text.len() as u64 - 1);
        self.platform.spawner.spawn(Box::pin(beating.map(|replaced| {
            let _ = sender.send(replaced);
        })));
        Ok(Some(FileLock { own: mine, ended: Rc::new(RefCell::new(ended)) }))
    }
}

/// Changes the digit at `at` of the owner's file until the lock ends. Returns whether another owner replaced it.
async fn keep_beating(own: Rc<OwnFile>, clock: Rc<dyn Clock>, at: u64) -> bool {
    let mut looks = 0;
    for digit in (b'0'..=b'9').cycle() {
        clock.sleep(BEAT_MS).await;
        let released = own.released.get();
        looks += u32::from(released);
        match own.look() {
            // Where this fails, the owner may count as dead one day, and is fenced out then.
            Ok(OwnFileState::There) if !released => drop(own.files.write(&own.name(), at, &[digit])),
            Ok(OwnFileState::There) => {
                own.empty();
                return false;
            }
            Ok(OwnFileState::Replaced) => return !released,
            Ok(OwnFileState::Missing) | Err(_) if looks >= LOOKS_AFTER_RELEASE => return false,
            Ok(OwnFileState::Missing) | Err(_) => {}
        }
    }
    false
}

fn owner_of(files: &dyn LockFiles, name: &str) -> Result<Option<Owner>> {
    Ok(files.read(name, 0, 4096)?.and_then(|text| Owner::parse(&text)))
}

/// Removes the lock files of a folder after its database was deleted; called by the lock's owner.
pub fn remove_locks(files: &dyn Files) -> Result<()> {
    files.list()?.iter().filter(|name| number_of(name).is_some()).try_for_each(|name| files.remove(name))
}

/// Returns whether the process is alive; `None` where it can't be looked up.
fn is_alive(process: &Process, me: &Process, processes: &dyn Processes) -> Option<bool> {
    if process.host != me.host {
        return None;
    }
    match processes.began(process.thread) {
        None => Some(false),
        Some(began) if began.is_empty() || process.began.is_empty() => None,
        Some(began) => Some(began == process.began),
    }
}

/// The lock file of this owner.
struct OwnFile {
    files: Rc<dyn LockFiles>,
    number: u64,
    id: String,
    released: Cell<bool>,
}

enum OwnFileState {
    There,
    /// Another owner has the lock, or released it.
    Replaced,
    /// The folder has no lock file: it was removed or moved.
    Missing,
}

impl OwnFile {
    fn name(&self) -> String {
        file_name(self.number)
    }

    fn look(&self) -> Result<OwnFileState> {
        Ok(match FileLocks::newest(&*self.files)? {
            Some((number, Some(owner))) if number == self.number && owner.id == self.id => OwnFileState::There,
            Some(_) => OwnFileState::Replaced,
            None => OwnFileState::Missing,
        })
    }

    /// Makes the file that of no owner.
    fn empty(&self) {
        let _ = self.files.truncate(&self.name(), 0);
    }
}

struct FileLock {
    own: Rc<OwnFile>,
    /// Receives what [`keep_beating`] returns. One task at a time waits for it.
    ended: Rc<RefCell<oneshot::Receiver<bool>>>,
}

impl HeldLock for FileLock {
    fn ended(&self) -> LocalFuture<'static, bool> {
        let ended = self.ended.clone();
        let replaced = poll_fn(move |context| ended.borrow_mut().poll_unpin(context));
        Box::pin(replaced.map(|replaced| replaced.unwrap_or(false)))
    }

    fn release(self: Box<Self>) -> LocalFuture<'static, ()> {
        drop(self);
        Box::pin(std::future::ready(()))
    }
}

impl Drop for FileLock {
    fn drop(&mut self) {
        if let Ok(OwnFileState::There) = self.own.look() {
            self.own.empty();
        }
        self.own.released.set(true);
    }
}

impl Locks for FileLocks {
    fn acquire(&self, _name: &str, how: Acquire) -> LocalFuture<'static, Result<Option<Box<dyn HeldLock>>>> {
        let locks = self.clone();
        Box::pin(async move {
            if how == Acquire::Steal {
                return Err(unsupported());
            }
            let clock = &locks.platform.clock;
            // What was found last, and since when it is the same.
            let mut known = None;
            loop {
                let (newest, now) = (Self::newest(&*locks.files)?, clock.monotonic_ms());
                let (since, beats) = match &known {
                    Some((before, since)) if *before == newest => (*since, false),
                    other => (now, other.is_some()),
                };
                let alive = match &newest {
                    Some((_, Some(owner))) => is_alive(&owner.process, &locks.processes.me(), &*locks.processes),
                    _ => Some(false),
                };
                known = Some((newest.clone(), since));
                if !alive.unwrap_or(now - since < DEAD_MS) {
                    let taken = locks.take(newest)?;
                    if taken.is_some() || how == Acquire::IfAvailable {
                        return Ok(taken.map(|lock| Box::new(lock) as Box<dyn HeldLock>));
                    }
                } else if how == Acquire::IfAvailable && (beats || alive.is_some()) {
                    return Ok(None);
                }
                clock.sleep(POLL_MS).await;
            }
        })
    }

    fn holder(&self, _name: &str) -> LocalFuture<'static, Option<String>> {
        let owner = Self::newest(&*self.files).ok().flatten().and_then(|(_, owner)| owner);
        let is_dead = |owner: &Owner| is_alive(&owner.process, &self.processes.me(), &*self.processes) == Some(false);
        Box::pin(std::future::ready(owner.filter(|owner| !is_dead(owner)).map(|owner| owner.id)))
    }

    fn is_awaited(&self, _name: &str) -> LocalFuture<'static, bool> {
        Box::pin(std::future::ready(false))
    }

    fn open_broadcast(&self, _name: &str, _heard: Box<dyn Fn(&str)>) -> Result<Box<dyn Broadcast>> {
        Err(unsupported())
    }
}

/// Returns the error of a takeover or steal of a file lock.
pub fn unsupported() -> Error {
    Error::new(ErrorCode::UnsupportedEnvironment, "A database in files can't be taken over or stolen")
        .hint("End the process that has it, or wait for it with lock: { onBusy: 'wait' }")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_file_says_whose_it_is() {
        let process = Process { pid: 7, thread: 8, host: "a host".into(), began: "boot 12".into() };
        let (since, beat) = ("2026-01-01T00:00:00.000Z".into(), "7".into());
        let owner = Owner { id: "7-ab".into(), process, since, beat };
        assert_eq!(Owner::parse(owner.to_text().as_bytes()), Some(owner));
        for unowned in [
            &b""[..],
            b"\0\0\0\0",
            b"tidelock\n",
            b"\xff",
            b"tidelock\nid x\npid y\nthread 1\nbegan \nhost h\nsince s\n",
        ] {
            assert_eq!(Owner::parse(unowned), None);
        }
    }

    #[test]
    fn only_a_process_of_this_host_can_be_known_to_be_dead() {
        struct Others(Option<&'static str>);
        impl Processes for Others {
            fn me(&self) -> Process {
                Process { pid: 1, thread: 1, host: "here".into(), began: "1".into() }
            }
            fn began(&self, _: u32) -> Option<String> {
                self.0.map(str::to_owned)
            }
        }
        let alive = |host: &str, began: &str, now: Option<&'static str>| {
            let others = Others(now);
            is_alive(&Process { pid: 7, thread: 7, host: host.into(), began: began.into() }, &others.me(), &others)
        };
        assert_eq!(alive("here", "5", Some("5")), Some(true));
        assert_eq!(alive("here", "5", None), Some(false), "it ended");
        assert_eq!(alive("here", "5", Some("9")), Some(false), "its number was given again");
        for unknown in [alive("here", "", Some("9")), alive("here", "5", Some("")), alive("there", "5", None)] {
            assert_eq!(unknown, None);
        }
    }
}
