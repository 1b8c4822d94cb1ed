//! The source of a pull, and the pages that it forwards to be applied.

use crate::sync::{
    postgrest::permits::RequestPermit,
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
    /// By how many milliseconds the server's clock is ahead, if a `Date` header shows it.
    pub skew_ms: Option<i64>,
    /// Number of rows of the whole pass, if the remote counted them.
    pub total: Option<u64>,
    /// The permit of the page's request, held until the page is applied. This limits the pages in memory.
    pub permit: Option<RequestPermit>,
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
pub struct PullReadOptions {
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
