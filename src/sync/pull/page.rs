//! The source of a pull, and the pages that it forwards to be applied.

use crate::sync::{
    postgrest::permits::Permit,
    schema::plan::{Plan, Rows},
    state::progress::TableProgress,
};

/// One page to apply.
#[derive(Debug)]
pub struct Page {
    /// The table's index in the pull.
    pub table: usize,
    /// The rows.
    pub rows: Rows,
    /// Whether the rows' keys are part of a complete list of the remote's keys.
    pub lists_keys: bool,
    /// The progress to store, if it changed.
    pub progress: Option<TableProgress>,
    /// Whether this is the table's last page.
    pub complete: bool,
    /// The new plan, if the remote turned out to lack columns.
    pub plan: Option<Plan>,
    /// The columns that the remote lacks, if this page determines them.
    pub missing: Option<Vec<String>>,
    /// Whether the table continues an interrupted pull.
    pub resumed: bool,
    /// Bytes of the body.
    pub bytes: u64,
    /// Number of rows of the whole pass, if the remote counted them.
    pub total: Option<u64>,
    /// The permit of the page's request, held until the page is applied. This limits the pages in memory.
    pub permit: Option<Permit>,
}

/// One table of a pull.
#[derive(Clone, Debug)]
pub struct PullSource {
    /// The columns and rows to read.
    pub plan: Plan,
    /// The progress so far.
    pub progress: TableProgress,
    /// Columns that the remote lacks.
    pub missing: Vec<String>,
}

/// How a pull reads.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reading {
    /// Read all rows, also those that were read before.
    pub full: bool,
    /// Ask for the number of rows. The remote has to count them.
    pub count: bool,
    /// Compare keys at the end (not in a replace, which compares rows).
    pub compare: bool,
    /// Continue with the other tables if one can't be read (not in a replace, which is all or nothing).
    pub alone: bool,
    /// Rows per request.
    pub page_size: u32,
}

/// How the remote counts the rows of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Count {
    /// Not at all.
    #[default]
    No,
    /// An estimate by PostgreSQL's statistics.
    Planned,
    /// An exact count.
    Exact,
}

impl Count {
    /// Returns the value of the `Prefer` header.
    pub fn prefer(self) -> &'static str {
        match self {
            Self::No => "",
            Self::Planned => "count=planned",
            Self::Exact => "count=exact",
        }
    }

    /// Returns the cheaper way to count, for when this one took too long.
    pub fn cheaper(self) -> Self {
        if self == Self::Exact { Self::Planned } else { Self::No }
    }
}

/// The page size: halved when a page takes too long, doubled after enough pages that arrive in time.
#[derive(Debug)]
pub struct AdaptivePageSize {
    maximum: u32,
    size: u32,
    successes: u32,
    /// Successes before the size grows.
    required: u32,
}

impl AdaptivePageSize {
    /// Starts with the maximum number of rows.
    pub fn new(maximum: u32) -> Self {
        Self { maximum, size: maximum, successes: 0, required: 8 }
    }

    /// Returns the number of rows to request.
    pub fn size(&self) -> u32 {
        self.size
    }

    /// Halves the size after `limit` rows were too many. A larger `limit` than the present size was requested before
    /// the size was halved, and changes nothing.
    pub fn shrink(&mut self, limit: u32) {
        if limit <= self.size {
            self.size = (limit / 2).max(1);
            self.successes = 0;
            self.required = self.required.saturating_mul(2);
        }
    }

    /// Counts a page of `limit` rows that arrived. The size grows after a number of successes that doubles with each
    /// failure.
    pub fn succeed(&mut self, limit: u32) {
        if self.size < self.maximum && limit == self.size {
            self.successes += 1;
            if self.successes >= self.required {
                (self.size, self.successes) = (self.size.saturating_mul(2).min(self.maximum), 0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_shrink_once_for_all_concurrent_failures_and_grow_again() {
        let mut pace = AdaptivePageSize::new(1000);
        (0..6).for_each(|_| pace.shrink(1000));
        assert_eq!(pace.size(), 500);
        (0..15).for_each(|_| pace.succeed(500));
        assert_eq!(pace.size(), 500);
        pace.succeed(500);
        assert_eq!(pace.size(), 1000);
        pace.succeed(1000);
        pace.shrink(1000);
        (0..31).for_each(|_| pace.succeed(500));
        assert_eq!(pace.size(), 500, "what failed twice is tried later");
        (0..20).for_each(|_| pace.shrink(1));
        assert_eq!(pace.size(), 1);
    }
}
