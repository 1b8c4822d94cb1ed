//! Lists the keys of tables whose deletions are found by comparison, and reads rows by their keys.

use super::{
    page::Count,
    page_size::AdaptivePageSize,
    pulled_table::{PassedPlaces, PulledTable},
    reader::{Pull, Read},
};
use crate::{
    error::Result,
    ports::HttpResponse,
    sync::{
        postgrest::{
            keyed,
            query::{Range, Selection},
            remote::Refusal,
            request::{Request, Requester},
            response::counted_rows,
        },
        state::spans::Span,
    },
    value::Value,
};

impl Pull<'_> {
    /// Reads only the keys of all tables. `expected` is the known number of rows of each: a table for which the remote
    /// counts the same number is skipped.
    pub async fn read_keys(&self, expected: &[Option<u64>]) -> Result<()> {
        let read = self.list_all_keys(expected).await;
        self.pages.end();
        read.map_err(Refusal::into_error)
    }

    /// Returns whether all keys of a table were listed.
    pub fn listed(&self, table: usize) -> bool {
        self.tables.get(table).is_some_and(|table| table.listed.get())
    }

    async fn list_all_keys(&self, expected: &[Option<u64>]) -> Result<(), Refusal> {
        for (table, expected) in self.tables.iter().zip(expected) {
            self.present.replace(table.name());
            if expected.is_some() && self.count(table).await? == *expected {
                continue;
            }
            match self.list_keys(table).await {
                Ok(()) => table.listed.set(true),
                Err(refusal) => self.skip_table(table, refusal)?,
            }
        }
        Ok(())
    }

    /// Reads the rows of these keys of a table.
    pub async fn read_by_keys(&self, table: usize, keys: &[Vec<Value>]) -> Result<()> {
        let table = &self.tables[table];
        let read = async {
            for part in keyed::readable((0..keys.len()).collect(), |at| &keys[at]) {
                let keys: Vec<&[Value]> = part.iter().map(|at| &keys[*at][..]).collect();
                let make = |requester: &Requester| keyed::read(requester, &table.source.borrow().plan.selection, &keys);
                let parse = |response: &HttpResponse| table.source.borrow().plan.read(&response.body);
                let name = table.name();
                let (rows, answer) = self.remote.read(&name, &mut self.remote.tries(), &make, &parse).await?;
                self.pages.put(self.make(table, Read { rows, count: None, answer }));
            }
            Ok(())
        };
        let read = match read.await {
            Err(refusal) => self.skip_table(table, refusal),
            read => read,
        };
        self.pages.end();
        read.map_err(Refusal::into_error)
    }

    /// Returns how many rows the remote has, or `None` if it can't count them.
    pub(super) async fn count(&self, table: &PulledTable) -> Result<Option<u64>, Refusal> {
        let name = table.name();
        let make = |requester: &Requester| {
            let source = table.source.borrow();
            let (key, range) = (source.plan.selection.key.clone(), Range::Keys(Span::default()));
            let selection = Selection { columns: key, ..source.plan.selection.clone() };
            Request { selection: &selection, range: &range, limit: 1, count: Count::Exact.prefer() }.head(requester)
        };
        match self.remote.send(&name, &mut self.remote.tries(), &make).await {
            Ok(answer) => Ok(counted_rows(&answer.response)),
            // The remote may be able to list the keys although counting fails.
            Err(Refusal::TooMuch(_) | Refusal::Trouble(_) | Refusal::Rejected(_)) => Ok(None),
            Err(refusal) => Err(refusal),
        }
    }

    async fn list_keys(&self, table: &PulledTable) -> Result<(), Refusal> {
        table.page_size.replace(AdaptivePageSize::new(self.options.page_size));
        let (mut tries, mut visited, mut span) = (self.remote.tries(), PassedPlaces::of(table), Span::default());
        loop {
            let range = Range::Keys(span);
            let key = Some(table.source.borrow().plan.selection.key.clone());
            let parse = |response: &HttpResponse| table.source.borrow().plan.read_keys(&response.body);
            let read = self.request_page(table, &mut tries, key.as_deref(), &range, &mut Count::No, &parse).await?;
            let Some(last) = read.rows.last.clone() else { return Ok(()) };
            visited.visit(None, &last.key)?;
            span = Span { after: Some(last.key), upto: None };
            self.pages.put(self.make(table, read));
        }
    }
}
