//! Where C's pointers become Rust's references: all of the crate's `unsafe` is here.
//!
//! What makes it sound is the contract at the top of `ferrocket.h`: a handle is NULL or came from this library and was
//! not freed, texts end with NUL, arrays are as long as they are said to be, and what is freed is in nobody else's
//! hands. What can be checked is checked: NULL, another kind of handle, most handles that were freed already, freeing a
//! part of something, bytes that are no text, lengths that no array can have.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_char, c_void};
use std::ops::Deref;
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use ferrocket_bindings::guard;

use crate::error::{Result, fr_error_t, fr_status_t};

/// What a handle points to. The tag comes first, so that it can be read before anything else is known.
#[repr(C)]
pub(crate) struct Tagged<T> {
    tag: AtomicU64,
    value: T,
}

/// A type that C has handles of.
pub(crate) trait Kind: Sized {
    /// What it is called in errors.
    const NAME: &'static str;
    /// Tells it from the others: FNV-1a of the name.
    const TAG: u64 = {
        let (bytes, mut hash, mut at) = (Self::NAME.as_bytes(), 0xcbf2_9ce4_8422_2325_u64, 0);
        while at < bytes.len() {
            hash = (hash ^ bytes[at] as u64).wrapping_mul(0x0100_0000_01b3);
            at += 1;
        }
        hash
    };
    /// The same, of an object that C owns and may free; the others are parts of something.
    const OWNED: u64 = !Self::TAG;
}

/// Types that C has handles of.
macro_rules! kinds {
    ($($kind:ty: $name:literal),+ $(,)?) => {
        $(impl $crate::handle::Kind for $kind {
            const NAME: &'static str = $name;
        })+
    };
}
pub(crate) use kinds;

impl<T: Kind> Tagged<T> {
    pub(crate) fn new(value: T) -> Self {
        Self { tag: AtomicU64::new(T::TAG), value }
    }

    pub(crate) fn into_inner(self) -> T {
        self.value
    }

    /// For C to look at while the owner of this lives.
    pub(crate) fn borrowed(&self) -> *const T {
        ptr::from_ref(self).cast()
    }
}

impl<T> Deref for Tagged<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

/// The object of a handle.
pub(crate) fn get<'a, T: Kind>(handle: *const T) -> Result<&'a T> {
    let handle = handle.cast::<Tagged<T>>();
    if handle.is_null() {
        return Err(fr_error_t::config(format!("{} is needed, NULL was given", T::NAME)));
    }
    // SAFETY: a handle that is not NULL points to a `Tagged` of some kind, which begins with an aligned tag.
    let tag = || unsafe { &(*handle).tag }.load(Ordering::Relaxed);
    if !handle.is_aligned() || ![T::TAG, T::OWNED].contains(&tag()) {
        return Err(fr_error_t::config(format!(
            "{} is needed, another or a freed handle was given",
            T::NAME
        )));
    }
    // SAFETY: the tag says that it is a `Tagged<T>`; it lives as long as C may use it, and only shared references are
    // made.
    Ok(unsafe { &(*handle).value })
}

/// The object of a handle that may be left out.
pub(crate) fn get_if<'a, T: Kind>(handle: *const T) -> Result<Option<&'a T>> {
    if handle.is_null() { Ok(None) } else { get(handle).map(Some) }
}

/// What `read` makes of the object of a handle, `other` where there is none.
pub(crate) fn read<T: Kind, R>(handle: *const T, other: R, read: impl FnOnce(&T) -> R) -> R {
    guard(|| Ok(get(handle).ok().map(read))).ok().flatten().unwrap_or(other)
}

/// A handle for C, which is to free it.
pub(crate) fn give<T: Kind>(value: T) -> *mut T {
    Box::into_raw(Box::new(Tagged { tag: AtomicU64::new(T::OWNED), value })).cast()
}

/// Takes the object of a handle back; `None` for NULL, for what is no such handle (any more), and for parts of
/// something.
pub(crate) fn take<T: Kind>(handle: *mut T) -> Option<T> {
    let tagged = handle.cast::<Tagged<T>>();
    get(handle).ok()?;
    // SAFETY: as in `get`. Of several threads that free the same handle one gets further.
    let tag = unsafe { &(*tagged).tag };
    tag.compare_exchange(T::OWNED, 0, Ordering::AcqRel, Ordering::Relaxed).ok()?;
    // SAFETY: `give` made it of a box, nobody took it before, and who frees a handle has no more use of it.
    Some(unsafe { Box::from_raw(tagged) }.value)
}

/// The body of every `fr_..._free`.
pub(crate) fn free<T: Kind>(handle: *mut T) {
    free_after(handle, drop);
}

/// The same with something to do before the object goes.
pub(crate) fn free_after<T: Kind>(handle: *mut T, end: impl FnOnce(T)) {
    // A panic was logged; there is nobody to tell.
    let _ = guard(|| {
        take(handle).map(end);
        Ok(())
    });
}

/// Where C wants a result. Made before the work, so that no result is lost for want of a place.
pub(crate) struct Out<T>(*mut T);

impl<T: Copy> Out<T> {
    /// The place, set to `empty` until there is something.
    pub(crate) fn new(place: *mut T, empty: T) -> Result<Self> {
        if place.is_null() || !place.is_aligned() {
            return Err(fr_error_t::config("a place for the result is needed, NULL was given"));
        }
        let out = Self(place);
        out.put(empty);
        Ok(out)
    }

    pub(crate) fn put(&self, value: T) {
        // SAFETY: C gave an aligned place for a `T` that is its own during the call.
        unsafe { self.0.write(value) }
    }
}

/// A place for a handle, NULL until there is one.
fn place<T>(place: *mut *mut T) -> Result<Out<*mut T>> {
    Out::new(place, ptr::null_mut())
}

/// Runs the body of an entry: its error goes to `error`, if C wants to know, and its kind is the answer. A panic is
/// an error like others.
pub(crate) fn call(error: *mut *mut fr_error_t, body: impl FnOnce() -> Result<()>) -> fr_status_t {
    let place = place(error).ok();
    let failure = match guard(|| Ok(body())) {
        Ok(Ok(())) => return fr_status_t::FR_OK,
        Ok(Err(failure)) => failure,
        Err(panic) => panic.into(),
    };
    let status = failure.status();
    if let Some(place) = place {
        place.put(give(failure));
    }
    status
}

/// The same, of an entry that gives C an object.
pub(crate) fn make<T: Kind>(
    result: *mut *mut T,
    error: *mut *mut fr_error_t,
    body: impl FnOnce() -> Result<T>,
) -> fr_status_t {
    call(error, || {
        let place = place(result)?;
        place.put(give(body()?));
        Ok(())
    })
}

/// The same, of an entry that gives C up to `max` objects into its array, and their number into `count`.
pub(crate) fn make_up_to<T: Kind>(
    max: usize,
    array: *mut *mut T,
    count: *mut usize,
    error: *mut *mut fr_error_t,
    body: impl FnOnce() -> Result<Vec<T>>,
) -> fr_status_t {
    call(error, || {
        let count = Out::new(count, 0)?;
        if max == 0 {
            return Err(fr_error_t::config("an array with room for one handle or more is needed, max is 0"));
        }
        check_array(array, max, "the array to be filled")?;
        let made = body()?;
        assert!(made.len() <= max, "{} for an array of {max}", made.len());
        count.put(made.len());
        for (at, value) in made.into_iter().enumerate() {
            // SAFETY: C gave an array, checked above, with room for so many handles.
            unsafe { array.add(at).write(give(value)) };
        }
        Ok(())
    })
}

/// A text of C.
pub(crate) fn text<'a>(text: *const c_char, what: &str) -> Result<&'a str> {
    if text.is_null() {
        return Err(fr_error_t::config(format!("{what} is needed, NULL was given")));
    }
    // SAFETY: a text that is not NULL ends with NUL and stays as it is during the call.
    let text = unsafe { CStr::from_ptr(text) };
    text.to_str().map_err(|error| fr_error_t::config(format!("{what} is not UTF-8: {error}")))
}

/// An array of C.
pub(crate) fn slice<'a, T>(start: *const T, len: usize, what: &str) -> Result<&'a [T]> {
    if len == 0 {
        return Ok(&[]);
    }
    check_array(start, len, what)?;
    // SAFETY: the array is as long as C says and stays as it is during the call; no longer than memory, see above.
    Ok(unsafe { std::slice::from_raw_parts(start, len) })
}

/// Checks that there can be an array of so many elements.
fn check_array<T>(start: *const T, len: usize, what: &str) -> Result<()> {
    if start.is_null() || !start.is_aligned() {
        return Err(fr_error_t::config(format!("{what} is NULL, though it is to have {len} elements")));
    }
    if len > isize::MAX as usize / size_of::<T>().max(1) {
        return Err(fr_error_t::config(format!("{what} cannot have {len} elements")));
    }
    Ok(())
}

/// The objects of an array of handles.
pub(crate) fn all<'a, T: Kind>(start: *const *const T, len: usize, what: &str) -> Result<Vec<&'a T>> {
    slice(start, len, what)?.iter().map(|handle| get(*handle)).collect()
}

/// C's own word for a callback. What it points to is for the program to keep safe between threads, as `ferrocket.h`
/// says.
#[derive(Clone, Copy)]
pub(crate) struct User(pub(crate) *mut c_void);

// SAFETY: never looked into here, only handed back.
unsafe impl Send for User {}
// SAFETY: the same.
unsafe impl Sync for User {}

impl User {
    /// For closures, which would else capture the pointer alone.
    pub(crate) fn get(self) -> *mut c_void {
        self.0
    }
}

/// Texts of an object in C's form, made when first asked for and kept as long as the object.
#[derive(Default)]
pub(crate) struct Texts(Mutex<BTreeMap<String, CString>>);

impl Texts {
    /// The text called `name`, NULL where there is none. A NUL within, which C could not see beyond, shows as U+FFFD.
    pub(crate) fn get(&self, name: &str, text: Option<&str>) -> *const c_char {
        let Some(text) = text else { return ptr::null() };
        let mut kept = lock(&self.0);
        if let Some(text) = kept.get(name) {
            return text.as_ptr();
        }
        // The bytes stay where they are when the table grows.
        kept.entry(name.to_owned()).or_insert(c_text(text)).as_ptr()
    }
}

/// A text in C's form.
pub(crate) fn c_text(text: &str) -> CString {
    CString::new(text).or_else(|_| CString::new(text.replace('\0', "\u{FFFD}"))).unwrap_or_default()
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
