//! A lock as a file, for databases in folders. It records its owner's process id and start time, which show whether the
//! owner is still alive.
//!
//! Lock files are numbered, and the highest number counts. To acquire, a process reads that file; if it is empty
//! (released) or its owner is dead, the process creates the next number, complete with its own identity: one process
//! wins. Then it lists the files again: if its number is no longer the highest, it was too
//! slow and another process holds the lock. Only the owner of a higher number removes lower ones, and the highest is
//! never removed, so no number is used twice.

use std::rc::Rc;

use crate::{
    error::{Error, ErrorCode, Result},
    ports::{Acquire, Broadcast, Files, HeldLock, LocalFuture, LockFiles, Locks, Platform, Process, Processes},
};

/// The pause between two checks of a taken lock, in milliseconds.
const POLL_MS: u64 = 50;

/// The lock of the one database in a folder. Web Locks end with their tab; of a lock file the next process checks the
/// owner.
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
}

impl Owner {
    fn to_text(&self) -> String {
        let Owner { id, process: Process { pid, host, began }, since } = self;
        format!("tidelock\nid {id}\npid {pid}\nbegan {began}\nhost {host}\nsince {since}\n")
    }

    /// Parses a lock file; `None` when it was released, or is empty after a power cut.
    fn parse(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        let field =
            |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).map(str::to_owned);
        let process = Process { pid: field("pid")?.parse().ok()?, host: field("host")?, began: field("began")? };
        Some(Self { id: field("id")?, process, since: field("since")? })
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
        let text = files.read(&file_name(number), 0, 4096)?;
        Ok(Some((number, text.and_then(|text| Owner::parse(&text)))))
    }

    /// Takes the lock if it is free.
    fn try_take(files: &Rc<dyn LockFiles>, processes: &dyn Processes, platform: &Platform) -> Result<Option<FileLock>> {
        let newest = Self::newest(&**files)?;
        let me = processes.me();
        if let Some((_, Some(owner))) = &newest
            && is_alive(&owner.process, &me, processes)
        {
            return Ok(None);
        }
        let highest = newest.map_or(0, |(number, _)| number);
        let number = highest.checked_add(1).ok_or_else(|| {
            Error::new(ErrorCode::DatabaseCorrupt, "The database's folder has a lock file with an impossible number")
                .hint("No process has it: remove this file")
                .detail("file", file_name(highest))
        })?;
        let mut random = [0; 8];
        platform.entropy.fill(&mut random);
        let id = format!("{}-{:016x}", me.pid, u64::from_le_bytes(random));
        let owner = Owner { id: id.clone(), process: me, since: platform.clock.now().to_string() };
        if !files.create(&file_name(number), owner.to_text().as_bytes())? {
            return Ok(None);
        }
        let mine = FileLock { files: files.clone(), name: file_name(number), id };
        let names = files.list()?;
        let numbers = names.iter().filter_map(|name| number_of(name));
        if numbers.clone().any(|other| other > number) {
            let _ = files.remove(&mine.name);
            return Ok(None);
        }
        for lower in numbers.filter(|other| *other < number) {
            let _ = files.remove(&file_name(lower));
        }
        Ok(Some(mine))
    }
}

/// Removes the lock files of a folder after its database was deleted; called by the lock's owner.
pub fn remove_locks(files: &dyn Files) -> Result<()> {
    files.list()?.iter().filter(|name| number_of(name).is_some()).try_for_each(|name| files.remove(name))
}

/// Returns whether the process is alive. Processes of other hosts can't be checked and count as alive.
fn is_alive(process: &Process, me: &Process, processes: &dyn Processes) -> bool {
    if process.host != me.host {
        return true;
    }
    match processes.began(process.pid) {
        None => false,
        Some(began) => began.is_empty() || process.began.is_empty() || began == process.began,
    }
}

struct FileLock {
    files: Rc<dyn LockFiles>,
    name: String,
    id: String,
}

impl HeldLock for FileLock {
    fn ended(&self) -> LocalFuture<'static, bool> {
        // A file lock can't be stolen while its process lives.
        Box::pin(std::future::pending())
    }

    fn release(self: Box<Self>) -> LocalFuture<'static, ()> {
        drop(self);
        Box::pin(std::future::ready(()))
    }
}

impl Drop for FileLock {
    fn drop(&mut self) {
        let text = self.files.read(&self.name, 0, 4096);
        if text.is_ok_and(|text| text.and_then(|text| Owner::parse(&text)).is_some_and(|owner| owner.id == self.id)) {
            let _ = self.files.truncate(&self.name, 0);
        }
    }
}

impl Locks for FileLocks {
    fn acquire(&self, _name: &str, how: Acquire) -> LocalFuture<'static, Result<Option<Box<dyn HeldLock>>>> {
        let (files, processes, platform) = (self.files.clone(), self.processes.clone(), self.platform.clone());
        Box::pin(async move {
            if how == Acquire::Steal {
                return Err(unsupported());
            }
            loop {
                let taken = Self::try_take(&files, &*processes, &platform)?;
                if taken.is_some() || how == Acquire::IfAvailable {
                    return Ok(taken.map(|lock| Box::new(lock) as Box<dyn HeldLock>));
                }
                platform.clock.sleep(POLL_MS).await;
            }
        })
    }

    fn holder(&self, _name: &str) -> LocalFuture<'static, Option<String>> {
        let owner = Self::newest(&*self.files).ok().flatten().and_then(|(_, owner)| owner);
        let alive = owner.filter(|owner| is_alive(&owner.process, &self.processes.me(), &*self.processes));
        Box::pin(std::future::ready(alive.map(|owner| owner.id)))
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
        let process = Process { pid: 7, host: "a host".into(), began: "boot 12".into() };
        let owner = Owner { id: "7-ab".into(), process, since: "2026-01-01T00:00:00.000Z".into() };
        assert_eq!(Owner::parse(owner.to_text().as_bytes()), Some(owner));
        for unowned in
            [&b""[..], b"\0\0\0\0", b"tidelock\n", b"\xff", b"tidelock\nid x\npid y\nbegan \nhost h\nsince s\n"]
        {
            assert_eq!(Owner::parse(unowned), None);
        }
    }

    #[test]
    fn only_a_process_of_this_host_can_be_known_to_be_dead() {
        struct Others(Option<&'static str>);
        impl Processes for Others {
            fn me(&self) -> Process {
                Process { pid: 1, host: "here".into(), began: "1".into() }
            }
            fn began(&self, _: u32) -> Option<String> {
                self.0.map(str::to_owned)
            }
        }
        let alive = |host: &str, began: &str, now: Option<&'static str>| {
            let others = Others(now);
            is_alive(&Process { pid: 7, host: host.into(), began: began.into() }, &others.me(), &others)
        };
        assert!(alive("here", "5", Some("5")));
        assert!(!alive("here", "5", None), "it ended");
        assert!(!alive("here", "5", Some("9")), "its number was given again");
        assert!(!alive("here", "5", Some("9")), "its number was reused");
        assert!(alive("here", "", Some("9")) && alive("here", "5", Some("")), "an unknown start time");
    }
}
