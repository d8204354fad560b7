//! The VFS between SQLite and its own one. The only unsafe code of the fault tests.
//!
//! It follows <https://sqlite.org/c3ref/vfs.html> and <https://sqlite.org/c3ref/io_methods.html>. A file of
//! ours is a [`Handle`], and behind it, in the same memory, the file of the VFS below: `szOsFile` has room
//! for both. Every method is forwarded, those of versions 2 and 3 as well (shared memory, without which
//! there is no write-ahead log, and memory maps); what a [`Disk`] is to know goes through it first.

#![allow(
    unsafe_code,
    reason = "a VFS is a table of C functions; rusqlite has no safe way to write one"
)]

use std::ffi::{CStr, OsStr, c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Once, PoisonError, Weak};

use rusqlite::ffi;

use super::disk::{Directory, Disk, Op};

/// The disks there are.
static DISKS: Mutex<Vec<Weak<Disk>>> = Mutex::new(Vec::new());

/// Has a disk watch its directory from now on.
pub(super) fn register(disk: &Arc<Disk>) {
    static ONCE: Once = Once::new();
    ONCE.call_once(install);
    let mut disks = DISKS.lock().unwrap_or_else(PoisonError::into_inner);
    disks.retain(|disk| disk.strong_count() > 0);
    disks.push(Arc::downgrade(disk));
}

/// The disk that a path lies on, and the path's last part.
fn owner(path: &Path) -> Option<(Arc<Disk>, String)> {
    let (dir, file) = (path.parent()?, path.file_name()?.to_str()?);
    let disks = DISKS.lock().unwrap_or_else(PoisonError::into_inner);
    let disk = disks
        .iter()
        .filter_map(Weak::upgrade)
        .find(|disk| disk.dir() == dir)?;
    Some((disk, file.to_owned()))
}

fn install() {
    // SAFETY: SQLite initialises itself; a null name asks for the default, which is there on every Unix.
    let below = unsafe { ffi::sqlite3_vfs_find(std::ptr::null()) };
    assert!(!below.is_null(), "SQLite has a VFS");
    // SAFETY: a registered VFS lives for as long as the process and is not changed but for `pNext`.
    let real = unsafe { &*below };
    let vfs = ffi::sqlite3_vfs {
        // Version 3 is for replacing system calls, which nobody here does.
        iVersion: real.iVersion.min(2),
        szOsFile: real.szOsFile + c_int::try_from(size_of::<Handle>()).expect("it is small"),
        pNext: null_mut(),
        zName: c"hookway-faults".as_ptr(),
        pAppData: below.cast(),
        xOpen: Some(open),
        xDelete: Some(delete),
        xAccess: Some(access),
        xFullPathname: Some(full_pathname),
        xDlOpen: None,
        xDlError: None,
        xDlSym: None,
        xDlClose: None,
        xRandomness: Some(randomness),
        xSleep: Some(sleep),
        xGetLastError: Some(get_last_error),
        xCurrentTime: Some(current_time),
        xCurrentTimeInt64: Some(current_time_int64),
        xSetSystemCall: None,
        xGetSystemCall: None,
        xNextSystemCall: None,
        ..*real
    };
    let vfs = Box::leak(Box::new(vfs));
    // SAFETY: the table is complete for its version, and leaked: it lives as long as the process.
    let done = unsafe { ffi::sqlite3_vfs_register(vfs, 1) };
    assert_eq!(done, ffi::SQLITE_OK, "the VFS is registered");
}

/// An open file of ours; the one of the VFS below follows in memory.
#[repr(C)]
struct Handle {
    base: ffi::sqlite3_file,
    /// Null where nobody watches the file.
    watched: *mut Watched,
}

/// Who watches a file, and under which name.
struct Watched {
    disk: Arc<Disk>,
    file: String,
    /// The next sync is the first of a log or journal: SQLite's VFS syncs their directory with it.
    directory: AtomicBool,
}

/// The file of the VFS below.
///
/// # Safety
/// `file` was given by SQLite for a VFS with our `szOsFile`.
unsafe fn below(file: *mut ffi::sqlite3_file) -> *mut ffi::sqlite3_file {
    // SAFETY: the memory is as long as both, and a handle's size keeps what follows it aligned for pointers.
    unsafe { file.cast::<Handle>().add(1).cast() }
}

/// Who watches a file.
///
/// # Safety
/// `file` was opened by [`open`] and not closed yet.
unsafe fn watched<'f>(file: *mut ffi::sqlite3_file) -> Option<&'f Watched> {
    // SAFETY: `open` set the pointer to null or to a box that `close` frees.
    unsafe { (*file.cast::<Handle>()).watched.as_ref() }
}

/// Calls a method of the file below, where it has it.
macro_rules! forward {
    ($file:ident, $method:ident ( $($argument:expr),* )) => {{
        // SAFETY: SQLite gives a file that `open` opened, so the one below is open too, and the arguments
        // are as the same method below wants them.
        unsafe {
            let real = below($file);
            match (*real).pMethods.as_ref().and_then(|methods| methods.$method) {
                Some(method) => method(real, $($argument),*),
                None => ffi::SQLITE_IOERR,
            }
        }
    }};
}

/// Calls a method of the VFS below.
macro_rules! ask {
    ($vfs:ident, $method:ident ( $($argument:expr),* )) => {{
        // SAFETY: SQLite gives the VFS that `install` made; `pAppData` is the one below, which has this
        // method in every version, and the arguments are as it wants them.
        unsafe {
            let real = (*$vfs).pAppData.cast::<ffi::sqlite3_vfs>();
            (*real).$method.expect("every VFS has it")(real, $($argument),*)
        }
    }};
}

/// Lets the disk fail a call.
macro_rules! begin {
    ($file:ident, $op:expr) => {
        // SAFETY: SQLite calls methods of open files only.
        if let Some(watched) = unsafe { watched($file) }
            && let Err(code) = watched.disk.begin($op, &watched.file)
        {
            return code;
        }
    };
}

static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    iVersion: 3,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: Some(fetch),
    xUnfetch: Some(unfetch),
};

/// A path as SQLite gives it.
///
/// # Safety
/// `name` is null or a C string that lives as long as the call.
unsafe fn path(name: *const c_char) -> Option<PathBuf> {
    // SAFETY: as the caller says.
    let name = unsafe { (!name.is_null()).then(|| CStr::from_ptr(name)) }?;
    Some(PathBuf::from(OsStr::from_bytes(name.to_bytes())))
}

unsafe extern "C" fn open(
    vfs: *mut ffi::sqlite3_vfs,
    name: ffi::sqlite3_filename,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out: *mut c_int,
) -> c_int {
    let handle = file.cast::<Handle>();
    // SAFETY: SQLite gives memory of our `szOsFile`; whatever was in it needs no drop.
    unsafe {
        (*handle).base.pMethods = std::ptr::null();
        (*handle).watched = null_mut();
    }
    // SAFETY: SQLite gives null or a C string.
    let path = unsafe { path(name) };
    let kept = ffi::SQLITE_OPEN_MAIN_DB | ffi::SQLITE_OPEN_MAIN_JOURNAL | ffi::SQLITE_OPEN_WAL;
    let owned = path
        .filter(|_| flags & kept != 0)
        .and_then(|path| Some((owner(&path)?, path.exists())));
    if let Some(((disk, name), _)) = &owned
        && let Err(code) = disk.begin(Op::Open, name)
    {
        return code;
    }
    // SAFETY: there is room for the file below behind ours.
    let real = unsafe { below(file) };
    let done = ask!(vfs, xOpen(name, real, flags, out));
    if done != ffi::SQLITE_OK {
        return done;
    }
    // SAFETY: as above; from here on SQLite calls our methods, and `close` in the end.
    unsafe {
        (*handle).base.pMethods = &raw const METHODS;
        if let Some(((disk, file), existed)) = owned {
            disk.opened(&file, existed);
            let directory = AtomicBool::new(flags & ffi::SQLITE_OPEN_MAIN_DB == 0);
            let watched = Watched {
                disk,
                file,
                directory,
            };
            (*handle).watched = Box::into_raw(Box::new(watched));
        }
    }
    done
}

/// What a fault says for a write that finds a quota used up: SQLite is told that it failed, and the system's
/// own number says why.
pub const QUOTA: c_int = ffi::SQLITE_IOERR_WRITE | 1 << 24;
/// `EDQUOT` and `EIO`, by their numbers on Linux.
const DISK_QUOTA: c_int = 122;
const IO: c_int = 5;

unsafe extern "C" {
    #[link_name = "__errno_location"]
    fn errno() -> *mut c_int;
}

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    let done = forward!(file, xClose());
    // SAFETY: `open` made the box, nobody else frees it, and SQLite uses the file no more.
    unsafe {
        let handle = file.cast::<Handle>();
        let watched = std::mem::replace(&mut (*handle).watched, null_mut());
        if !watched.is_null() {
            drop(Box::from_raw(watched));
        }
    }
    done
}

unsafe extern "C" fn read(file: *mut ffi::sqlite3_file, to: *mut c_void, length: c_int, at: i64) -> c_int {
    // SAFETY: SQLite calls methods of open files only.
    if let Some(watched) = unsafe { watched(file) }
        && let Err(code) = watched.disk.begin(Op::Read, &watched.file)
    {
        if code == ffi::SQLITE_IOERR_SHORT_READ {
            // SAFETY: SQLite gives so much room, and wants what is missing filled with zeros.
            unsafe { std::ptr::write_bytes(to.cast::<u8>(), 0, usize::try_from(length).unwrap_or(0)) };
        }
        return code;
    }
    forward!(file, xRead(to, length, at))
}

unsafe extern "C" fn write(
    file: *mut ffi::sqlite3_file,
    from: *const c_void,
    length: c_int,
    at: i64,
) -> c_int {
    // SAFETY: SQLite calls methods of open files only.
    let Some(watched) = (unsafe { watched(file) }) else {
        return forward!(file, xWrite(from, length, at));
    };
    let fails = watched.disk.begin(Op::Write, &watched.file);
    let written = if fails.is_err() { length / 2 } else { length };
    let done = forward!(file, xWrite(from, written, at));
    if done == ffi::SQLITE_OK {
        let length = usize::try_from(written).unwrap_or(0);
        // SAFETY: SQLite gives at least so many bytes.
        let bytes = unsafe { std::slice::from_raw_parts(from.cast::<u8>(), length) };
        watched.disk.wrote(&watched.file, at.unsigned_abs(), bytes);
    }
    let Err(code) = fails else {
        return done;
    };
    // SAFETY: the system gives each thread a place of its own.
    unsafe { *errno() = if code == QUOTA { DISK_QUOTA } else { IO } };
    if code == QUOTA {
        ffi::SQLITE_IOERR_WRITE
    } else {
        code
    }
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, length: i64) -> c_int {
    begin!(file, Op::Truncate);
    let done = forward!(file, xTruncate(length));
    // SAFETY: SQLite calls methods of open files only.
    if let Some(watched) = unsafe { watched(file) }
        && done == ffi::SQLITE_OK
    {
        watched.disk.truncated(&watched.file, length.unsigned_abs());
    }
    done
}

/// A watched file's sync asks no real disk: what it is worth is what the disk of the test says.
unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, flags: c_int) -> c_int {
    // SAFETY: SQLite calls methods of open files only.
    match unsafe { watched(file) } {
        None => forward!(file, xSync(flags)),
        Some(watched) => {
            let directory = if watched.directory.load(Ordering::Relaxed) {
                Directory::Synced
            } else {
                Directory::Left
            };
            match watched.disk.sync(&watched.file, directory) {
                Ok(()) => {
                    watched.directory.store(false, Ordering::Relaxed);
                    ffi::SQLITE_OK
                }
                Err(code) => code,
            }
        }
    }
}

unsafe extern "C" fn file_size(file: *mut ffi::sqlite3_file, size: *mut i64) -> c_int {
    forward!(file, xFileSize(size))
}

unsafe extern "C" fn lock(file: *mut ffi::sqlite3_file, level: c_int) -> c_int {
    forward!(file, xLock(level))
}

unsafe extern "C" fn unlock(file: *mut ffi::sqlite3_file, level: c_int) -> c_int {
    forward!(file, xUnlock(level))
}

unsafe extern "C" fn check_reserved_lock(file: *mut ffi::sqlite3_file, is: *mut c_int) -> c_int {
    forward!(file, xCheckReservedLock(is))
}

unsafe extern "C" fn file_control(file: *mut ffi::sqlite3_file, op: c_int, argument: *mut c_void) -> c_int {
    // SAFETY: SQLite calls methods of open files only.
    if let Some(watched) = unsafe { watched(file) }
        && op == ffi::SQLITE_FCNTL_PRAGMA
        && watched.disk.is_weak()
    {
        // SAFETY: for this one the argument is an array of C strings: room for an answer, the pragma's name,
        // and its value or null. The value is the parser's own copy, which it reads after this; the new one
        // (1 is NORMAL) is no longer than any that means something.
        unsafe {
            let texts = argument.cast::<*mut c_char>();
            let (name, value) = (*texts.add(1), *texts.add(2));
            if CStr::from_ptr(name)
                .to_bytes()
                .eq_ignore_ascii_case(b"synchronous")
                && !value.is_null()
                && !CStr::from_ptr(value).is_empty()
            {
                *value = c_char::try_from(b'1').expect("it is ASCII");
                *value.add(1) = 0;
            }
        }
    }
    forward!(file, xFileControl(op, argument))
}

unsafe extern "C" fn sector_size(file: *mut ffi::sqlite3_file) -> c_int {
    forward!(file, xSectorSize())
}

unsafe extern "C" fn device_characteristics(file: *mut ffi::sqlite3_file) -> c_int {
    forward!(file, xDeviceCharacteristics())
}

unsafe extern "C" fn shm_map(
    file: *mut ffi::sqlite3_file,
    page: c_int,
    size: c_int,
    extend: c_int,
    to: *mut *mut c_void,
) -> c_int {
    begin!(file, Op::Shm);
    forward!(file, xShmMap(page, size, extend, to))
}

unsafe extern "C" fn shm_lock(file: *mut ffi::sqlite3_file, offset: c_int, n: c_int, flags: c_int) -> c_int {
    // What is let go of is let go of: no SQLite looks at the answer, and no system refuses it.
    if flags & ffi::SQLITE_SHM_LOCK != 0 {
        begin!(file, Op::Shm);
    }
    forward!(file, xShmLock(offset, n, flags))
}

unsafe extern "C" fn shm_barrier(file: *mut ffi::sqlite3_file) {
    // SAFETY: SQLite calls methods of open files only, and this one of files that mapped shared memory.
    unsafe {
        let real = below(file);
        if let Some(barrier) = (*real).pMethods.as_ref().and_then(|methods| methods.xShmBarrier) {
            barrier(real);
        }
    }
}

unsafe extern "C" fn shm_unmap(file: *mut ffi::sqlite3_file, delete: c_int) -> c_int {
    forward!(file, xShmUnmap(delete))
}

unsafe extern "C" fn fetch(
    file: *mut ffi::sqlite3_file,
    at: i64,
    length: c_int,
    to: *mut *mut c_void,
) -> c_int {
    forward!(file, xFetch(at, length, to))
}

unsafe extern "C" fn unfetch(file: *mut ffi::sqlite3_file, at: i64, from: *mut c_void) -> c_int {
    forward!(file, xUnfetch(at, from))
}

unsafe extern "C" fn delete(vfs: *mut ffi::sqlite3_vfs, name: *const c_char, sync_dir: c_int) -> c_int {
    // SAFETY: SQLite gives a C string.
    let owned = unsafe { path(name) }.and_then(|path| owner(&path));
    if let Some((disk, file)) = &owned
        && let Err(code) = disk.begin(Op::Delete, file)
    {
        return code;
    }
    let done = ask!(vfs, xDelete(name, sync_dir));
    if let Some((disk, file)) = owned
        && done == ffi::SQLITE_OK
    {
        let directory = if sync_dir == 0 {
            Directory::Left
        } else {
            Directory::Synced
        };
        disk.removed(&file, directory);
    }
    done
}

unsafe extern "C" fn access(
    vfs: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    flags: c_int,
    is: *mut c_int,
) -> c_int {
    ask!(vfs, xAccess(name, flags, is))
}

unsafe extern "C" fn full_pathname(
    vfs: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    room: c_int,
    to: *mut c_char,
) -> c_int {
    ask!(vfs, xFullPathname(name, room, to))
}

unsafe extern "C" fn randomness(vfs: *mut ffi::sqlite3_vfs, length: c_int, to: *mut c_char) -> c_int {
    ask!(vfs, xRandomness(length, to))
}

unsafe extern "C" fn sleep(vfs: *mut ffi::sqlite3_vfs, microseconds: c_int) -> c_int {
    ask!(vfs, xSleep(microseconds))
}

unsafe extern "C" fn current_time(vfs: *mut ffi::sqlite3_vfs, to: *mut f64) -> c_int {
    ask!(vfs, xCurrentTime(to))
}

unsafe extern "C" fn current_time_int64(vfs: *mut ffi::sqlite3_vfs, to: *mut i64) -> c_int {
    ask!(vfs, xCurrentTimeInt64(to))
}

unsafe extern "C" fn get_last_error(vfs: *mut ffi::sqlite3_vfs, length: c_int, to: *mut c_char) -> c_int {
    ask!(vfs, xGetLastError(length, to))
}
