//! The heap of a guest: an allocator that is cheap for what one run allocates.
//!
//! A run of a plugin makes some hundred small things and frees them all; the allocator of the C library
//! spends a quarter of the run on that. Here, blocks up to [`LARGEST`] come out of one arena of fixed
//! size: of each size there is a list of free blocks, and what no list has is cut from the rest of the
//! arena. Blocks are never joined or split. What is larger, or finds the arena used up, comes from the
//! C library's allocator as before, so the arena is all that can be lost to fragments.
//!
//! A block belongs to the arena if its address lies in it, and its size follows from the layout with
//! which it was asked for: no block has a header. A guest has one thread, so there is no lock.

#![allow(
    unsafe_code,
    reason = "an allocator hands out memory, which is what unsafe code is for"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;
use std::mem::MaybeUninit;
use std::ptr;

/// The arena: one page of linear memory, more than the run for an event of some KiB allocates.
const ARENA: usize = 64 * 1_024;
/// Blocks are multiples of this and lie at multiples of it.
const GRAIN: usize = 16;
/// Up to here every multiple of [`GRAIN`] is a size of its own.
const FINE: usize = 1_024;
/// Beyond [`FINE`] sizes are multiples of this.
const COARSE: usize = 1_024;
/// Larger blocks are rare, and few of them would use the arena up.
const LARGEST: usize = 8 * 1_024;
/// How many sizes there are, and one that is never used: sizes count from 1.
const SIZES: usize = FINE / GRAIN + (LARGEST - FINE) / COARSE + 1;

/// A free block: it holds where the next one of its size is.
struct Free {
    next: *mut Free,
}

/// See the text at the top. `export!` makes it the allocator of a component.
pub struct Heap(UnsafeCell<State>);

/// Zero from end to end, so that it adds nothing to a component but a number.
#[repr(C, align(16))]
struct State {
    arena: MaybeUninit<[u8; ARENA]>,
    /// How much of the arena was cut off.
    cut: usize,
    /// The free blocks of each size.
    free: [*mut Free; SIZES],
}

// SAFETY: a guest without shared memory has one thread. With it, this is no allocator and does not compile.
#[cfg(all(target_family = "wasm", not(target_feature = "atomics")))]
unsafe impl Sync for Heap {}

impl Heap {
    /// A heap with nothing in it.
    #[expect(
        clippy::new_without_default,
        reason = "it is for a static, where only `new` works"
    )]
    pub const fn new() -> Self {
        Self(UnsafeCell::new(State {
            arena: MaybeUninit::uninit(),
            cut: 0,
            free: [ptr::null_mut(); SIZES],
        }))
    }

    /// Whether the block is one of the arena's.
    fn owns(&self, block: *mut u8) -> bool {
        // The arena is what the state begins with.
        block.addr().wrapping_sub(self.0.get().addr()) < ARENA
    }
}

/// The place of a size among the sizes, and how large its blocks are; none for what the arena has not.
const fn size(layout: Layout) -> Option<(usize, usize)> {
    let bytes = layout.size();
    if layout.align() > GRAIN || bytes > LARGEST {
        return None;
    }
    Some(if bytes <= FINE {
        let place = bytes.div_ceil(GRAIN);
        (place, place * GRAIN)
    } else {
        let more = (bytes - FINE).div_ceil(COARSE);
        (FINE / GRAIN + more, FINE + more * COARSE)
    })
}

// SAFETY: blocks come from `System`, whose promises hold, or from the arena: there a block is cut once,
// from memory that no other block has, is at least as large as its layout says (`size`), is aligned to
// `GRAIN`, and is in a list exactly while nobody holds it. The lists and `cut` are only touched within one
// call, by the one thread there is.
unsafe impl GlobalAlloc for Heap {
    // Inlined where it is called it saved a hundredth of a run and made components a tenth larger.
    #[inline(never)]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let state = self.0.get();
        if let Some((place, bytes)) = size(layout) {
            // SAFETY: `place` is below `SIZES`, what is in a list is a free block, and `cut` is never
            // beyond the arena.
            unsafe {
                let list = &raw mut (*state).free[place];
                let first = *list;
                if !first.is_null() {
                    *list = (*first).next;
                    return first.cast();
                }
                let cut = (*state).cut;
                if ARENA - cut >= bytes {
                    (*state).cut = cut + bytes;
                    return state.cast::<u8>().add(cut);
                }
            }
        }
        // SAFETY: the caller's promises are the same.
        unsafe { System.alloc(layout) }
    }

    #[inline(never)]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        match size(layout) {
            Some((place, _)) if self.owns(block) => {
                // SAFETY: the block is ours, free from now on, large enough for a pointer and aligned.
                unsafe {
                    let list = &raw mut (*self.0.get()).free[place];
                    let block = block.cast::<Free>();
                    (*block).next = *list;
                    *list = block;
                }
            }
            // SAFETY: `System` gave it.
            _ => unsafe { System.dealloc(block, layout) },
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if size(layout).is_none() {
            // SAFETY: the caller's promises are the same. Fresh memory is zero already, which `System` knows.
            return unsafe { System.alloc_zeroed(layout) };
        }
        // SAFETY: the caller's promises are the same.
        let block = unsafe { self.alloc(layout) };
        if !block.is_null() {
            // SAFETY: the block is that large.
            unsafe { block.write_bytes(0, layout.size()) };
        }
        block
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        if !self.owns(block) {
            // SAFETY: `System` gave it. It stays there, whatever its size becomes.
            return unsafe { System.realloc(block, layout, new_size) };
        }
        // SAFETY: the caller promises that the new size, rounded up, does not overflow.
        let new = unsafe { Layout::from_size_align_unchecked(new_size, layout.align()) };
        let (old_size, new_bytes) = (size(layout), size(new));
        if let (Some((_, old)), Some((_, new))) = (old_size, new_bytes) {
            if old == new {
                return block;
            }
            let state = self.0.get();
            let offset = block.addr() - state.addr();
            // SAFETY: only a number is read and written.
            unsafe {
                // What was cut last grows and shrinks where it is.
                if offset + old == (*state).cut && ARENA - offset >= new {
                    (*state).cut = offset + new;
                    return block;
                }
            }
        }
        // SAFETY: the caller's promises are the same; both blocks are as large as what is copied.
        unsafe {
            let moved = self.alloc(new);
            if !moved.is_null() {
                ptr::copy_nonoverlapping(block, moved, layout.size().min(new_size));
                self.dealloc(block, layout);
            }
            moved
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A block that a test holds: where it is, how it was asked for, and what is in it.
    struct Held(*mut u8, Layout, u8);

    fn layout(bytes: usize) -> Layout {
        Layout::from_size_align(bytes, 8).expect("a layout")
    }

    fn check(held: &Held) {
        assert!(held.0.addr().is_multiple_of(held.1.align()));
        // SAFETY: the block is held and was filled.
        let bytes = unsafe { std::slice::from_raw_parts(held.0, held.1.size()) };
        assert!(
            bytes.iter().all(|byte| *byte == held.2),
            "{:?} was overwritten",
            held.1
        );
    }

    #[test]
    fn sizes_hold_what_is_asked_for_and_grow_with_it() {
        let mut last = (0, 0);
        for bytes in 1..=LARGEST {
            let (place, size) = size(layout(bytes)).expect("a size");
            assert!(size >= bytes && size % GRAIN == 0 && place < SIZES, "{bytes}");
            assert!(
                (place, size) == last || (place == last.0 + 1 && size > last.1),
                "{bytes}"
            );
            last = (place, size);
        }
        assert_eq!(last, (SIZES - 1, LARGEST));
        assert_eq!(size(layout(LARGEST + 1)), None);
        assert_eq!(size(Layout::from_size_align(8, 32).expect("a layout")), None);
    }

    #[test]
    fn blocks_never_overlap_whatever_is_done() {
        let heap = Box::new(Heap::new());
        let mut held: Vec<Held> = Vec::new();
        let (mut seed, mut inside, mut outside) = (7_u32, 0, 0);
        let mut random = |below: usize| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 8) as usize % below
        };
        for round in 0..20_000_u32 {
            let fill = round.to_le_bytes()[0];
            let most = [40, 300, 3_000, 20_000][random(4)];
            let bytes = 1 + random(most);
            if held.len() < 60 && random(3) > 0 {
                // SAFETY: as the contract of an allocator has it, here and below.
                let block = unsafe {
                    let block = if random(4) == 0 {
                        let block = heap.alloc_zeroed(layout(bytes));
                        check(&Held(block, layout(bytes), 0));
                        block
                    } else {
                        heap.alloc(layout(bytes))
                    };
                    block.write_bytes(fill, bytes);
                    block
                };
                *(if heap.owns(block) {
                    &mut inside
                } else {
                    &mut outside
                }) += 1;
                held.push(Held(block, layout(bytes), fill));
            } else if !held.is_empty() {
                let Held(block, old, before) = held.swap_remove(random(held.len()));
                check(&Held(block, old, before));
                // SAFETY: see above.
                unsafe {
                    if random(2) == 0 {
                        heap.dealloc(block, old);
                    } else {
                        let block = heap.realloc(block, old, bytes);
                        let kept = layout(bytes.min(old.size()));
                        check(&Held(block, kept, before));
                        block.write_bytes(fill, bytes);
                        held.push(Held(block, layout(bytes), fill));
                    }
                }
            }
            if round % 500 == 0 {
                held.iter().for_each(check);
            }
        }
        assert!(
            inside > 1_000 && outside > 1_000,
            "{inside} inside, {outside} outside"
        );
        for Held(block, layout, _) in held {
            // SAFETY: see above.
            unsafe { heap.dealloc(block, layout) };
        }
    }

    #[test]
    fn what_is_freed_is_given_again_and_the_last_block_grows_in_place() {
        let heap = Box::new(Heap::new());
        // SAFETY: as the contract of an allocator has it.
        unsafe {
            let first = heap.alloc(layout(100));
            let second = heap.alloc(layout(100));
            heap.dealloc(first, layout(100));
            assert_eq!(heap.alloc(layout(112)), first);
            assert_eq!(heap.realloc(second, layout(100), 112), second);
            assert_eq!(heap.realloc(second, layout(112), 5_000), second);
            assert_eq!(heap.realloc(second, layout(5_000), 10), second);
            let moved = heap.realloc(first, layout(112), 200);
            assert!(moved != first && heap.owns(moved));
            let large = heap.realloc(moved, layout(200), ARENA);
            assert!(!heap.owns(large));
            let small = heap.realloc(large, layout(ARENA), 8);
            assert!(!heap.owns(small));
            heap.dealloc(small, layout(8));
            heap.dealloc(second, layout(10));
        }
    }
}
