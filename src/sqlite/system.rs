//! Clock, randomness and sleep for SQLite.
//!
//! Natively its default file system provides them. In wasm that would be an in-memory file system, 12 KB of unused code:
//! there SQLite starts without one, and [`super::vfs`] is the only one.

pub use here::{ONLY_VFS, System};

#[cfg(target_arch = "wasm32")]
mod here {
    use std::ffi::c_int;

    use rusqlite::ffi;
    pub use sqlite_wasm_rs::WasmOsCallback as System;
    // SQLite's mathematical functions, for the linker.
    use tidelock_math as _;

    /// Whether [`super::vfs`] is the only file system: it is then SQLite's default, which provides randomness and time.
    pub const ONLY_VFS: bool = true;

    /// SQLite's start-up hook, by the name that .cargo/config.toml gives it.
    // SAFETY: only this crate uses the name; SQLite calls it without arguments, and it touches nothing.
    #[unsafe(no_mangle)]
    pub extern "C" fn tidelock_os_init() -> c_int {
        ffi::SQLITE_OK
    }

    /// SQLite's shutdown hook.
    // SAFETY: as above.
    #[unsafe(no_mangle)]
    pub extern "C" fn tidelock_os_end() -> c_int {
        ffi::SQLITE_OK
    }
}

#[cfg(not(target_arch = "wasm32"))]
mod here {
    use std::{ffi::c_int, time::Duration};

    use rsqlite_vfs::{OsCallback, VfsError, VfsErrorCode, VfsResult};
    use rusqlite::ffi;

    /// Natively SQLite has its own default file system, too.
    pub const ONLY_VFS: bool = false;

    /// The services of SQLite's default file system.
    pub struct System;

    impl System {
        fn default_vfs() -> Option<*mut ffi::sqlite3_vfs> {
            // SAFETY: null asks for the default file system, which is registered for the life of the process.
            let vfs = unsafe { ffi::sqlite3_vfs_find(std::ptr::null()) };
            (!vfs.is_null()).then_some(vfs)
        }
    }

    impl OsCallback for System {
        fn sleep(&self, duration: Duration) {
            if let Some(vfs) = Self::default_vfs() {
                // SAFETY: the pointer comes from SQLite's list of file systems and the arguments are those of xSleep.
                unsafe {
                    if let Some(sleep) = (*vfs).xSleep {
                        sleep(vfs, c_int::try_from(duration.as_micros()).unwrap_or(c_int::MAX));
                    }
                }
            }
        }

        fn random(&self, buffer: &mut [u8]) -> usize {
            let Some(vfs) = Self::default_vfs() else { return 0 };
            // SAFETY: the pointer comes from SQLite's list of file systems; xRandomness fills at most the given length.
            let count = unsafe {
                (*vfs).xRandomness.map_or(0, |fill| fill(vfs, buffer.len() as c_int, buffer.as_mut_ptr().cast()))
            };
            usize::try_from(count).unwrap_or(0)
        }

        fn epoch_timestamp_in_ms(&self) -> VfsResult<i64> {
            /// Milliseconds from the start of the Julian calendar to 1970.
            const JULIAN_TO_UNIX: i64 = 210_866_760_000_000;
            let mut julian = 0;
            if let Some(vfs) = Self::default_vfs() {
                // SAFETY: the pointer comes from SQLite's list of file systems; a version of 2 or more has this callback.
                let code = unsafe {
                    match (*vfs).xCurrentTimeInt64 {
                        Some(now) if (*vfs).iVersion >= 2 => now(vfs, &mut julian),
                        _ => ffi::SQLITE_ERROR,
                    }
                };
                if code == ffi::SQLITE_OK {
                    return Ok(julian - JULIAN_TO_UNIX);
                }
            }
            Err(VfsError::new(VfsErrorCode::Error, "there is no clock".into()))
        }
    }
}
