//! The memory that a child begins with: a page or two of its own, instead of a little of each of its parent's.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

/// More than the life of an idle subserver takes. Of what is not taken, the kernel makes no page.
const SIZE: usize = 8192 - 16;

static NURSERY: Room = Room::new();

/// The allocator of a program that forks, and else the system's: `#[global_allocator]` in its `main.rs`.
///
/// The holes in a parent's heap are all over it, and a page in which a child takes or leaves one is no longer shared. So the
/// first few KiB that a child asks for are taken, one after the other, from pages that nobody has touched, and neither they
/// nor what it has from its parent is given back. Beyond them it is the system's allocator again. Without this all is the
/// same, and a subserver costs some 15 KiB more.
#[derive(Debug, Clone, Copy)]
pub struct ForkArena;

/// In a child just forked: from now on what it asks for comes from here.
pub(super) fn open() {
    NURSERY.open();
}

/// On pages of its own, and what is written first, the length left, is beside what is taken first.
#[repr(C, align(4096))]
struct Room {
    bytes: UnsafeCell<[u8; SIZE]>,
    /// `bytes[..left]` is not taken.
    left: AtomicUsize,
    /// A child's child goes on with what is left.
    opened: AtomicBool,
}

// SAFETY: whoever takes a part of `bytes` is the only one who has it.
unsafe impl Sync for Room {}

impl Room {
    const fn new() -> Self {
        Self { bytes: UnsafeCell::new([0; SIZE]), left: AtomicUsize::new(0), opened: AtomicBool::new(false) }
    }

    fn open(&self) {
        if !self.opened.swap(true, Relaxed) {
            self.left.store(SIZE, Relaxed);
        }
    }

    /// A part that nobody has or had, so that it is all zeros; from the end. None, when there is no room for it.
    fn take(&self, layout: Layout) -> Option<*mut u8> {
        let left = self.left.fetch_update(Relaxed, Relaxed, |left| fit(layout, left)).ok()?;
        let from = fit(layout, left)?;
        // SAFETY: `from` is less than SIZE.
        Some(unsafe { self.bytes.get().cast::<u8>().add(from) })
    }

    /// Whether a part is not the system's to have: it is from here, or would fit into what is left. Then this child, which
    /// would have got it from here, has it from its parent, and what the parent still has is not worth a page.
    fn keeps(&self, part: *mut u8, layout: Layout) -> bool {
        self.has(part) || fit(layout, self.left.load(Relaxed)).is_some()
    }

    fn has(&self, part: *mut u8) -> bool {
        part.addr().wrapping_sub(self.bytes.get().addr()) < SIZE
    }
}

/// Where it begins, if there is room for it.
fn fit(layout: Layout, left: usize) -> Option<usize> {
    let from = left.checked_sub(layout.size())? / layout.align() * layout.align();
    (layout.align() <= align_of::<Room>()).then_some(from)
}

// SAFETY: `Room` gives each part away once, aligned, and takes none back; whatever it does not keep is the system's.
unsafe impl GlobalAlloc for ForkArena {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller promises.
        NURSERY.take(layout).unwrap_or_else(|| unsafe { System.alloc(layout) })
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller promises.
        NURSERY.take(layout).unwrap_or_else(|| unsafe { System.alloc_zeroed(layout) })
    }

    unsafe fn dealloc(&self, part: *mut u8, layout: Layout) {
        if !NURSERY.keeps(part, layout) {
            // SAFETY: as the caller promises; and it is the system's.
            unsafe { System.dealloc(part, layout) }
        }
    }

    unsafe fn realloc(&self, part: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the alignment is one already, and that the size is right is the caller's promise.
        let other = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        if !NURSERY.keeps(part, layout) && !NURSERY.keeps(part, other) {
            // SAFETY: as the caller promises; and it is the system's, and too long for us before and after.
            return unsafe { System.realloc(part, layout, size) };
        }
        // SAFETY: as the caller promises.
        let moved = unsafe { self.alloc(other) };
        if !moved.is_null() {
            // SAFETY: both are at least as long, and a new part is none that anybody has.
            unsafe { moved.copy_from_nonoverlapping(part, layout.size().min(size)) }
            // SAFETY: as the caller promises, who has the new part for it.
            unsafe { self.dealloc(part, layout) }
        }
        moved
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_is_given_away_once_aligned_and_zero() {
        static ROOM: Room = Room::new();
        let layout = |size, align| Layout::from_size_align(size, align).expect("a layout");
        assert_eq!(ROOM.take(layout(1, 1)), None, "not opened yet");
        ROOM.open();
        let mut before = ROOM.bytes.get().addr() + SIZE;
        for (size, align) in (1..).map(|turn| (turn * 7 % 61 + 1, 1 << (turn % 7))) {
            // A child's child.
            ROOM.open();
            let Some(part) = ROOM.take(layout(size, align)) else { break };
            let from = part.addr();
            assert!(from.is_multiple_of(align) && from + size <= before && ROOM.has(part));
            // SAFETY: it was just taken, and each part of a `static` is initialised.
            let part = unsafe { std::slice::from_raw_parts_mut(part, size) };
            assert!(part.iter().all(|byte| *byte == 0));
            part.fill(1);
            before = from;
        }
        assert_eq!(ROOM.take(layout(SIZE, 1)), None, "there is not so much left");
        assert_eq!(ROOM.take(layout(1, 8192)), None, "it is not aligned so much");
        let room = before - ROOM.bytes.get().addr();
        assert!(room < 128, "{room} bytes were left for nobody");
        assert!(!ROOM.has(&raw mut before as *mut u8));
    }
}
