//! What a pull reads, and what it hands over to be applied.

use crate::sync::{
    postgrest::permits::Permit,
    schema::plan::{Plan, Rows},
    state::metadata::TableProgress,
};

/// One page to apply.
#[derive(Debug)]
pub struct Page {
    /// The table's index in the pull.
    pub table: usize,
    /// The rows.
    pub rows: Rows,
    /// Whether the rows' keys are part of a complete list of what the remote has.
    pub lists_keys: bool,
    /// What to store about the table, if it changed.
    pub progress: Option<TableProgress>,
    /// Whether the table's rows were all read with this page.
    pub complete: bool,
    /// What is read from now on, where the remote turned out to lack columns.
    pub plan: Option<Plan>,
    /// The columns that the remote lacks, where that is known with this page.
    pub missing: Option<Vec<String>>,
    /// Whether the table went on where an earlier pull was cut.
    pub resumed: bool,
    /// Bytes of the body.
    pub bytes: u64,
    /// Rows that the whole pass will bring, where the remote told.
    pub total: Option<u64>,
    /// Until the page is applied, it counts as a request under way: that is what bounds the pages in memory.
    pub permit: Option<Permit>,
}

/// One table of a pull.
#[derive(Clone, Debug)]
pub struct PullSource {
    /// What is read.
    pub plan: Plan,
    /// How far it was read.
    pub progress: TableProgress,
    /// Columns that the remote lacks.
    pub missing: Vec<String>,
}

/// How a pull reads.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reading {
    /// Everything, whatever was read before.
    pub full: bool,
    /// Ask how many rows there are: the remote has to count them.
    pub count: bool,
    /// Whether keys are compared at the end (not in a replace, which compares rows).
    pub compare: bool,
    /// A table that can't be read leaves the others alone (not in a replace, which is all or nothing).
    pub alone: bool,
    /// Rows asked for at once.
    pub page_size: u32,
}

/// How the remote counts the rows of a request, besides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Count {
    /// Not at all.
    #[default]
    No,
    /// By its statistics.
    Planned,
    /// One by one.
    Exact,
}

impl Count {
    /// As the `Prefer` header has it.
    pub fn prefer(self) -> &'static str {
        match self {
            Self::No => "",
            Self::Planned => "count=planned",
            Self::Exact => "count=exact",
        }
    }

    /// What to try when this took too long.
    pub fn cheaper(self) -> Self {
        if self == Self::Exact { Self::Planned } else { Self::No }
    }
}

/// How many rows to ask for: half as many when that took too long, and more again when it goes well for a while.
#[derive(Debug)]
pub struct PagePace {
    most: u32,
    size: u32,
    good: u32,
    patience: u32,
}

impl PagePace {
    /// Begins with the most.
    pub fn new(most: u32) -> Self {
        Self { most, size: most, good: 0, patience: 8 }
    }

    /// Rows to ask for.
    pub fn size(&self) -> u32 {
        self.size
    }

    /// So many rows were too many. One that was asked for before others were found too many says nothing new.
    pub fn too_many(&mut self, limit: u32) {
        if limit <= self.size {
            self.size = (limit / 2).max(1);
            self.good = 0;
            self.patience = self.patience.saturating_mul(2);
        }
    }

    /// So many rows came. After a while more are tried; the more often that failed, the later.
    pub fn came(&mut self, limit: u32) {
        if self.size < self.most && limit == self.size {
            self.good += 1;
            if self.good >= self.patience {
                (self.size, self.good) = (self.size.saturating_mul(2).min(self.most), 0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_shrink_once_for_all_that_were_under_way_and_grow_again() {
        let mut pace = PagePace::new(1000);
        (0..6).for_each(|_| pace.too_many(1000));
        assert_eq!(pace.size(), 500);
        (0..15).for_each(|_| pace.came(500));
        assert_eq!(pace.size(), 500);
        pace.came(500);
        assert_eq!(pace.size(), 1000);
        pace.came(1000);
        pace.too_many(1000);
        (0..31).for_each(|_| pace.came(500));
        assert_eq!(pace.size(), 500, "what failed twice is tried later");
        (0..20).for_each(|_| pace.too_many(1));
        assert_eq!(pace.size(), 1);
    }
}
