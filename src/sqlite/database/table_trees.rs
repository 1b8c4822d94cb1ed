//! The B-trees of tables in a file some of whose pages can't be read: which rowids the unreadable pages had.
//! <https://sqlite.org/fileformat2.html> describes the pages.

use std::cell::RefCell;

use crate::{collections::Bits, error::Result, sqlite::PageFile};

const INTERIOR: u8 = 5;
const LEAF: u8 = 13;
/// The types of an entry of the pointer map: a root, and another page of a B-tree.
const NOT_A_ROOT: u8 = 5;
/// Deeper trees don't exist.
const MOST_LEVELS: u32 = 40;

/// A range of rowids, both ends included.
pub(super) type Rowids = (i64, i64);

/// Reads and writes a file page by page.
pub(super) struct Trees<'f> {
    file: &'f PageFile,
    page_size: usize,
    /// The number of pages.
    pages: u32,
    /// The bytes of a page that SQLite uses.
    usable: usize,
    /// Each page of a B-tree but the roots, behind its parent, from the pointer map; in order.
    children: Vec<(u32, u32)>,
    /// Whether a page of the pointer map can't be read, so that some children are unknown.
    lacks_children: bool,
    /// The pages that [`walk`](Self::walk), [`below`](Self::below) and [`repaired`](Self::repaired) have met. A damaged tree may lead
    /// to a page a million times.
    walked: RefCell<Bits>,
    measured: RefCell<Bits>,
    repaired: RefCell<Bits>,
}

impl<'f> Trees<'f> {
    /// Reads the file's header and its pointer map. Fails if the header can't be read.
    pub fn new(file: &'f PageFile) -> Result<Self> {
        let page_size = file.page_size().max(512) as usize;
        let mut trees = Self {
            file,
            page_size,
            pages: file.pages().page_count(),
            usable: page_size,
            children: Vec::new(),
            lacks_children: false,
            walked: RefCell::default(),
            measured: RefCell::default(),
            repaired: RefCell::default(),
        };
        let header = trees.page(1)?;
        trees.usable = page_size - usize::from(header[20]).min(page_size - 480);
        if number(&header, 52) != 0 {
            trees.read_children();
        }
        Ok(trees)
    }

    fn page(&self, page: u32) -> Result<Vec<u8>> {
        let mut bytes = vec![0; self.page_size];
        self.file.pages().read(&mut bytes, (u64::from(page) - 1) * self.page_size as u64)?;
        Ok(bytes)
    }

    /// Returns whether a page of the file is met for the first time, and notes it.
    fn is_new(&self, met: &RefCell<Bits>, page: u32) -> bool {
        let mut met = met.borrow_mut();
        let is_new = (1..=self.pages).contains(&page) && !met.contains(page);
        if is_new {
            met.insert(page);
        }
        is_new
    }

    fn read_children(&mut self) {
        let pages = self.pages;
        let entries = self.usable / 5;
        let mut map = 2;
        while map <= pages {
            match self.page(map) {
                Ok(bytes) => {
                    for (entry, page) in bytes[..entries * 5].chunks_exact(5).zip(map + 1..=pages) {
                        if entry[0] == NOT_A_ROOT {
                            self.children.push((number(entry, 1), page));
                        }
                    }
                }
                Err(_) => self.lacks_children = true,
            }
            map += entries as u32 + 1;
        }
        self.children.sort_unstable();
    }

    /// Returns the ranges of rowids that unreadable pages of a table had, in order. An unreadable page that has only references
    /// to others is written again first, from the pointer map. A page belongs to the first tree that leads to it.
    pub fn missing(&self, root: u32) -> Vec<Rowids> {
        let mut missing = Vec::new();
        self.walk(root, (i64::MIN, i64::MAX), MOST_LEVELS, &mut missing);
        missing.sort_unstable();
        let mut merged: Vec<Rowids> = Vec::new();
        for (from, to) in missing {
            match merged.last_mut() {
                Some(last) if last.1.saturating_add(1) >= from => last.1 = last.1.max(to),
                _ => merged.push((from, to)),
            }
        }
        merged
    }

    /// Writes the tree of the schema again without what can't be read, so that SQLite reads the rest of it. Returns whether
    /// something was left out; `None` if nothing is left.
    pub fn repair_schema(&self) -> Option<bool> {
        let mut lacks = false;
        self.repaired(1, MOST_LEVELS, &mut lacks).map(|_| lacks)
    }

    /// Writes the pages from `page` on again without what can't be read. Returns the page to refer to instead of `page`: itself, or the
    /// only child that is left; `None` if nothing is left.
    fn repaired(&self, page: u32, levels: u32, lacks: &mut bool) -> Option<u32> {
        let levels = levels.checked_sub(1)?;
        let found = self.is_new(&self.repaired, page).then(|| self.page(page).ok());
        let read = found.and_then(|found| {
            found.or_else(|| {
                let rebuilt = self.rebuilt(page, levels, &mut Vec::new())?;
                *lacks |= rebuilt.lacks;
                Some(rebuilt.bytes)
            })
        });
        let Some(mut bytes) = read.filter(|bytes| matches!(kind(page, bytes), LEAF | INTERIOR)) else {
            *lacks = true;
            return None;
        };
        if kind(page, &bytes) == LEAF {
            let whole: Vec<usize> =
                (0..cells(page, &bytes)).filter_map(|index| self.whole_cell(page, &bytes, index)).collect();
            if whole.len() < cells(page, &bytes) {
                *lacks = true;
                set_cells(page, &mut bytes, &whole);
                self.write(page, &bytes)?;
            }
            return (page == 1 || !whole.is_empty()).then_some(page);
        }
        let before = children(page, &bytes);
        let left: Vec<(u32, i64)> = before
            .iter()
            .filter_map(|(child, last)| Some((self.repaired(*child, levels, lacks)?, last.unwrap_or(i64::MAX))))
            .collect();
        match left.as_slice() {
            [] => None,
            [(only, _)] if page != 1 => Some(*only),
            _ if left.iter().map(|(child, _)| child).eq(before.iter().map(|(child, _)| child)) => Some(page),
            _ => {
                let start = bytes[..header(page)].to_vec();
                self.write(page, &self.interior(page, &start, &left)?)?;
                Some(page)
            }
        }
    }

    /// Returns where a cell of a leaf is, if all pages of its row can be read.
    fn whole_cell(&self, page: u32, bytes: &[u8], index: usize) -> Option<usize> {
        let at = cell(page, bytes, index)?;
        let (length, size) = varint(bytes, at)?;
        let (_, rowid_size) = varint(bytes, at + size)?;
        // How much of a long row is on the leaf: <https://sqlite.org/fileformat2.html#b_tree_pages>.
        let (most, least) = (self.usable - 35, (self.usable - 12) * 32 / 255 - 23);
        let length = usize::try_from(length).ok()?;
        if length <= most {
            return Some(at);
        }
        let rest = least + (length - least) % (self.usable - 4);
        let local = if rest <= most { rest } else { least };
        let mut next = number(bytes, at + size + rowid_size + local);
        for _ in 0..(length - local).div_ceil(self.usable - 4) {
            // Each page belongs to one row only: a damaged chain may have no end.
            let is_new = self.is_new(&self.repaired, next);
            next = number(&is_new.then(|| self.page(next).ok()).flatten()?, 0);
        }
        Some(at)
    }

    fn write(&self, page: u32, bytes: &[u8]) -> Option<()> {
        self.file.pages().write(bytes, (u64::from(page) - 1) * self.page_size as u64).ok()
    }

    /// Returns a page with references to children, each with the last rowid below it. The bytes before its header are `start`.
    fn interior(&self, page: u32, start: &[u8], children: &[(u32, i64)]) -> Option<Vec<u8>> {
        let (last, before) = children.split_last()?;
        let mut bytes = vec![0; self.page_size];
        bytes[..start.len()].copy_from_slice(start);
        let header = header(page);
        let (mut pointer, mut content) = (header + 12, self.usable);
        for (child, last) in before {
            let mut cell = child.to_be_bytes().to_vec();
            write_varint(&mut cell, *last as u64);
            content = content.checked_sub(cell.len()).filter(|content| *content >= pointer + 2)?;
            bytes[content..][..cell.len()].copy_from_slice(&cell);
            bytes[pointer..][..2].copy_from_slice(&(content as u16).to_be_bytes());
            pointer += 2;
        }
        bytes[header] = INTERIOR;
        bytes[header + 3..][..2].copy_from_slice(&(before.len() as u16).to_be_bytes());
        bytes[header + 5..][..2].copy_from_slice(&(content as u16).to_be_bytes());
        bytes[header + 8..][..4].copy_from_slice(&last.0.to_be_bytes());
        Some(bytes)
    }

    fn walk(&self, page: u32, (from, to): Rowids, levels: u32, missing: &mut Vec<Rowids>) {
        if from > to {
            return;
        }
        if levels == 0 || !self.is_new(&self.walked, page) {
            return add_gap(missing, from, Some(to));
        }
        let bytes = match self.page(page) {
            Ok(bytes) => bytes,
            Err(_) => match self.rebuilt(page, levels, missing) {
                Some(RebuiltPage { bytes, rowids, lacks }) => {
                    if lacks {
                        add_gap(missing, from, rowids.0.checked_sub(1));
                        rowids.1.checked_add(1).inspect(|next| add_gap(missing, *next, Some(to)));
                    }
                    bytes
                }
                None => return add_gap(missing, from, Some(to)),
            },
        };
        match kind(page, &bytes) {
            LEAF => {}
            INTERIOR => {
                let mut next = from;
                for (child, last) in children(page, &bytes) {
                    let last = last.map_or(to, |last| last.min(to));
                    self.walk(child, (next, last), levels - 1, missing);
                    next = last.saturating_add(1).max(next);
                }
            }
            _ => add_gap(missing, from, Some(to)),
        }
    }

    /// Writes a page with references to the readable pages that name it as their parent; `None` if there are none. The
    /// rowids between theirs may be those of unreadable ones.
    fn rebuilt(&self, page: u32, levels: u32, missing: &mut Vec<Rowids>) -> Option<RebuiltPage> {
        let first = self.children.partition_point(|(parent, _)| *parent < page);
        let child_pages = self.children[first..].iter().take_while(|(parent, _)| *parent == page);
        let mut lacks = self.lacks_children;
        let mut found: Vec<(Rowids, u32)> = Vec::new();
        for (_, child) in child_pages {
            match self.below(*child, levels.checked_sub(1)?, missing) {
                Some((rowids, child_lacks)) => {
                    lacks |= child_lacks;
                    found.push((rowids, *child));
                }
                None => lacks = true,
            }
        }
        found.sort_unstable();
        let rowids = (found.first()?.0.0, found.last()?.0.1);
        let children: Vec<(u32, i64)> = found.iter().map(|((_, last), child)| (*child, *last)).collect();
        let bytes = self.interior(page, &[], &children)?;
        self.write(page, &bytes)?;
        for (one, next) in found.iter().zip(&found[1..]).filter(|_| lacks) {
            one.0.1.checked_add(1).inspect(|first| add_gap(missing, *first, next.0.0.checked_sub(1)));
        }
        Some(RebuiltPage { bytes, rowids, lacks })
    }

    /// Returns the first and the last rowid below a page, and whether others may be missing; `None` if it has none, or can't be
    /// read.
    fn below(&self, page: u32, levels: u32, missing: &mut Vec<Rowids>) -> Option<(Rowids, bool)> {
        if !self.is_new(&self.measured, page) {
            return None;
        }
        let Ok(bytes) = self.page(page) else {
            return self.rebuilt(page, levels, missing).map(|rebuilt| (rebuilt.rowids, rebuilt.lacks));
        };
        match kind(page, &bytes) {
            LEAF => {
                let last = cells(page, &bytes).checked_sub(1)?;
                Some(((rowid(page, &bytes, 0)?, rowid(page, &bytes, last)?), false))
            }
            INTERIOR => {
                let children = children(page, &bytes);
                let levels = levels.checked_sub(1)?;
                let found: Vec<(Rowids, bool)> =
                    children.iter().filter_map(|(child, _)| self.below(*child, levels, missing)).collect();
                let lacks = found.iter().any(|(_, lacks)| *lacks);
                Some(((found.first()?.0.0, found.last()?.0.1), lacks))
            }
            _ => None,
        }
    }
}

/// A page that was written again.
struct RebuiltPage {
    bytes: Vec<u8>,
    /// The first and the last rowid below it.
    rowids: Rowids,
    /// Whether unreadable pages belonged below it.
    lacks: bool,
}

/// Adds a range, to the one before if it continues that.
fn add_gap(missing: &mut Vec<Rowids>, from: i64, to: Option<i64>) {
    let Some(to) = to.filter(|to| from <= *to) else { return };
    match missing.last_mut() {
        Some(last) if last.1.checked_add(1) == Some(from) => last.1 = to,
        _ => missing.push((from, to)),
    }
}

/// Returns the rowid of a leaf's cell.
fn rowid(page: u32, bytes: &[u8], index: usize) -> Option<i64> {
    let at = cell(page, bytes, index)?;
    let (_, size) = varint(bytes, at)?;
    varint(bytes, at + size).map(|(rowid, _)| rowid as i64)
}

fn header(page: u32) -> usize {
    if page == 1 { 100 } else { 0 }
}

fn kind(page: u32, bytes: &[u8]) -> u8 {
    bytes[header(page)]
}

fn cells(page: u32, bytes: &[u8]) -> usize {
    usize::from(bytes[header(page) + 3]) << 8 | usize::from(bytes[header(page) + 4])
}

/// Leaves only these cells on a leaf.
fn set_cells(page: u32, bytes: &mut [u8], whole: &[usize]) {
    let header = header(page);
    bytes[header + 3..][..2].copy_from_slice(&(whole.len() as u16).to_be_bytes());
    for (index, at) in whole.iter().enumerate() {
        bytes[header + 8 + 2 * index..][..2].copy_from_slice(&(*at as u16).to_be_bytes());
    }
}

/// Returns where a cell is.
fn cell(page: u32, bytes: &[u8], index: usize) -> Option<usize> {
    let start = header(page) + if kind(page, bytes) == LEAF { 8 } else { 12 } + 2 * index;
    let pointer = bytes.get(start..start + 2)?;
    Some(usize::from(pointer[0]) << 8 | usize::from(pointer[1]))
}

/// Returns the children of an interior page, each with the last rowid that it may have.
fn children(page: u32, bytes: &[u8]) -> Vec<(u32, Option<i64>)> {
    let child = |index| {
        let at = cell(page, bytes, index)?;
        let (last, _) = varint(bytes, at + 4)?;
        Some((number(bytes, at), Some(last as i64)))
    };
    let mut children: Vec<_> = (0..cells(page, bytes)).filter_map(child).collect();
    children.push((number(bytes, header(page) + 8), None));
    children
}

/// Reads four bytes, the highest first; 0 beyond the end.
fn number(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_be_bytes)
}

/// Reads a number of 1 to 9 bytes, and returns how many.
fn varint(bytes: &[u8], at: usize) -> Option<(u64, usize)> {
    let mut value = 0;
    for index in 0..8 {
        let byte = *bytes.get(at + index)?;
        value = value << 7 | u64::from(byte & 0x7f);
        if byte < 0x80 {
            return Some((value, index + 1));
        }
    }
    Some((value << 8 | u64::from(*bytes.get(at + 8)?), 9))
}

fn write_varint(out: &mut Vec<u8>, value: u64) {
    if value >> 56 != 0 {
        out.extend((1..9).rev().map(|index| (value >> (7 * index + 1)) as u8 | 0x80));
        return out.push(value as u8);
    }
    let count = (64 - (value | 1).leading_zeros()).div_ceil(7);
    out.extend((1..count).rev().map(|index| (value >> (7 * index)) as u8 | 0x80));
    out.push(value as u8 & 0x7f);
}

#[cfg(test)]
mod tests {
    use super::{varint, write_varint};

    #[test]
    fn numbers_come_back() {
        for value in [0, 1, 127, 128, 16_383, 16_384, (1 << 56) - 1, 1 << 56, u64::MAX, -5_i64 as u64] {
            let mut bytes = Vec::new();
            write_varint(&mut bytes, value);
            assert_eq!(varint(&bytes, 0), Some((value, bytes.len())));
        }
    }
}
