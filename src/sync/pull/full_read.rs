//! Reads all rows of a table, by concurrent spans of its key.

use futures_util::future::{Either, select, select_all};

use super::{
    page::Count,
    pulled_table::{PassedPlaces, PulledTable},
    reader::{Pull, needed_columns},
    window,
};
use crate::{
    ports::{HttpResponse, LocalFuture},
    sync::{
        postgrest::{query::Range, remote::Refusal, response::counted_rows},
        state::{
            progress::ReadPosition,
            spans::{self, RemoteKey, Span},
        },
    },
};

/// Number of rows that the first span may still read while its end isn't known. `None`: no limit.
#[derive(Default)]
struct RowBudget(std::cell::Cell<Option<u64>>);

/// Why reading of a span stopped.
#[derive(PartialEq)]
enum SpanEnd {
    /// The span was read to its end.
    Ended,
    /// The budget is used up: the following rows belong to other spans, whose ends aren't known yet.
    BudgetUsed,
}

impl PulledTable {
    /// Sets the spans that remain to be read.
    fn set_spans(&self, spans: Vec<Span>) {
        let numbers = spans.iter().map(|_| self.new_number()).collect();
        self.spans.replace(numbers);
        self.source.borrow_mut().progress.spans = Some(spans);
    }

    fn new_number(&self) -> u32 {
        self.last_span.set(self.last_span.get() + 1);
        self.last_span.get()
    }

    fn span(&self, number: u32) -> Option<(usize, Span)> {
        let at = self.spans.borrow().iter().position(|known| *known == number)?;
        Some((at, self.source.borrow().progress.spans.as_ref()?.get(at)?.clone()))
    }

    /// Divides the only span at these keys. The first part keeps its number and progress.
    fn divide(&self, mut ends: Vec<RemoteKey>) {
        ends.dedup();
        let mut source = self.source.borrow_mut();
        let Some([only]) = source.progress.spans.as_deref() else { return };
        let mut spans = vec![only.clone()];
        for end in ends {
            if let Some(span) = spans.last_mut() {
                span.upto = Some(end.clone());
            }
            spans.push(Span { after: Some(end), upto: only.upto.clone() });
        }
        self.spans.borrow_mut().extend((1..spans.len()).map(|_| self.new_number()));
        source.progress.spans = Some(spans);
    }

    /// Returns the range with which the next pull by the cursor begins.
    fn behind(&self) -> Range {
        window::behind(self.source.borrow().progress.position.clone())
    }
}

impl Pull<'_> {
    /// Reads all rows, and then the rows that changed meanwhile.
    pub(super) async fn read_all(&self, table: &PulledTable) -> Result<(), Refusal> {
        table.set_spans(vec![Span::default()]);
        if !table.has_cursor() {
            return self.read_counted(table).await;
        }
        let Some(total) = self.read_newest(table).await? else { return Ok(()) };
        let page_size = u64::from(table.page_size.borrow().size());
        let ends = total.map_or_else(Vec::new, |total| spans::ends(total, page_size));
        self.read_divided(table, None, ends).await?;
        let range = table.behind();
        self.read_changed(table, range, false, false).await
    }

    /// Reads the remaining spans of an interrupted pull, and then the rows that changed meanwhile.
    pub(super) async fn read_spans(&self, table: &PulledTable) -> Result<(), Refusal> {
        let spans = table.source.borrow().progress.spans.clone().unwrap_or_default();
        table.set_spans(spans);
        self.read_concurrently(table).await?;
        if !table.has_cursor() {
            return Ok(());
        }
        // Rows with a NULL cursor may have been inserted since the interrupted pull in parts that were already read.
        let nulls = table.source.borrow().plan.ceiling.is_none();
        let range = table.behind();
        self.read_changed(table, range, nulls, false).await
    }

    /// Reads the position of the newest row, where the next pull begins. Returns the number of rows, if the remote
    /// counted them, or `None` for an empty table.
    async fn read_newest(&self, table: &PulledTable) -> Result<Option<Option<u64>>, Refusal> {
        let (mut tries, mut count) = (self.remote.tries(), Count::Exact);
        let name = table.name();
        let columns = needed_columns(&table.source.borrow().plan);
        let parse = |response: &HttpResponse| table.source.borrow().plan.read_place(&response.body, &columns);
        let (place, answer) = loop {
            let make = self.request(table, Some(&columns), &Range::Newest, 1, count);
            match self.remote.read(&name, &mut tries, &make, &parse).await {
                // The request is for a single row, so counting takes too long.
                Err(Refusal::TooMuch(_)) => count = count.cheaper(),
                read => break read?,
            }
        };
        table.note_time(&answer);
        let total = counted_rows(&answer.response).filter(|_| count != Count::No);
        if count == Count::Exact {
            table.total.set(total);
        }
        drop(answer);
        let empty = place.is_none();
        if let Some(place) = place.filter(|place| place.cursor.is_some()) {
            table.moved(&place);
        }
        table.begin(None);
        if empty {
            let page = self.empty(table);
            self.complete(table, page);
            return Ok(None);
        }
        Ok(Some(total))
    }

    /// Reads a table without a cursor. The first page brings the number of rows, and shows how many the server returns
    /// at once.
    async fn read_counted(&self, table: &PulledTable) -> Result<(), Refusal> {
        let number = table.last_span.get();
        let (mut visited, mut count) = (PassedPlaces::of(table), Count::Exact);
        let (rows, total, stop) = self.read_span_page(table, number, &mut visited, &mut count).await?;
        if stop == Some(SpanEnd::Ended) {
            return Ok(());
        }
        let ends = match total {
            Some(total) if rows > 0 => spans::ends(total.saturating_sub(rows), rows),
            _ => Vec::new(),
        };
        let after = table.span(number).and_then(|(_, span)| span.after);
        self.read_divided(table, after, ends).await
    }

    /// Reads the only span, and divides it once the remote has returned the keys at the offsets `ends` behind `after`.
    async fn read_divided(&self, table: &PulledTable, after: Option<RemoteKey>, ends: Vec<u64>) -> Result<(), Refusal> {
        if ends.is_empty() {
            return self.read_concurrently(table).await;
        }
        let first = table.last_span.get();
        let budget = RowBudget(std::cell::Cell::new(ends.first().copied()));
        let reading = Box::pin(self.read_span(table, first, &budget));
        let asking = Box::pin(self.request_span_ends(table, after, ends));
        match select(asking, reading).await {
            Either::Left((ends, reading)) => {
                table.divide(ends?);
                budget.0.set(None);
                let others: Vec<u32> = table.spans.borrow().iter().copied().filter(|number| *number != first).collect();
                let reading: LocalFuture<'_, Result<(), Refusal>> = Box::pin(async move { reading.await.map(drop) });
                let others = others.into_iter().map(|number| self.read_to_the_end(table, number));
                try_all(std::iter::once(reading).chain(others).collect()).await
            }
            Either::Right((Ok(SpanEnd::BudgetUsed), asking)) => {
                table.divide(asking.await?);
                self.read_concurrently(table).await
            }
            Either::Right((stop, _)) => stop.map(drop),
        }
    }

    async fn read_concurrently(&self, table: &PulledTable) -> Result<(), Refusal> {
        let numbers = table.spans.borrow().clone();
        try_all(numbers.into_iter().map(|number| self.read_to_the_end(table, number)).collect()).await
    }

    fn read_to_the_end<'p>(&'p self, table: &'p PulledTable, number: u32) -> LocalFuture<'p, Result<(), Refusal>> {
        Box::pin(async move { self.read_span(table, number, &RowBudget::default()).await.map(drop) })
    }

    async fn read_span(&self, table: &PulledTable, number: u32, budget: &RowBudget) -> Result<SpanEnd, Refusal> {
        let mut visited = PassedPlaces::of(table);
        loop {
            if budget.0.get() == Some(0) {
                return Ok(SpanEnd::BudgetUsed);
            }
            let (rows, _, stop) = self.read_span_page(table, number, &mut visited, &mut Count::No).await?;
            if let Some(stop) = stop {
                return Ok(stop);
            }
            budget.0.set(budget.0.get().map(|budget| budget.saturating_sub(rows)));
        }
    }

    /// Reads the next page of a span. Returns its number of rows, the total if it was counted, and why the span
    /// stopped, if it did.
    async fn read_span_page(
        &self,
        table: &PulledTable,
        number: u32,
        visited: &mut PassedPlaces,
        count: &mut Count,
    ) -> Result<(u64, Option<u64>, Option<SpanEnd>), Refusal> {
        let Some((_, span)) = table.span(number) else { return Ok((0, None, Some(SpanEnd::Ended))) };
        if span.upto.is_some() && span.after == span.upto {
            // The span had already been read to the key at which it was divided later.
            self.end_span(table, number);
            return Ok((0, None, Some(SpanEnd::Ended)));
        }
        let read = self.page(table, &mut self.remote.tries(), &Range::Keys(span), count).await?;
        if *count == Count::Exact {
            table.total.set(read.count);
        }
        let (rows, total) = (read.rows.len() as u64, read.count);
        let all = *count == Count::Exact && total.is_some_and(|total| rows >= total);
        let place = read.rows.last.clone();
        let mut page = self.make(table, read);
        table.begin(place.as_ref());
        let last = place.map(|ReadPosition { key, .. }| key);
        if let Some(last) = &last {
            visited.visit(None, last)?;
        }
        // The span may have been divided during the request.
        let Some((at, span)) = table.span(number) else { return Ok((0, None, Some(SpanEnd::Ended))) };
        let ended = last.is_none() || last == span.upto || all;
        if ended {
            self.end_span(table, number);
        } else if let Some(spans) = &mut table.source.borrow_mut().progress.spans {
            spans[at].after = last;
        }
        if ended && table.spans.borrow().is_empty() && !table.has_cursor() {
            self.complete(table, page);
        } else {
            page.progress = Some(table.source.borrow().progress.clone());
            self.pages.put(page);
        }
        Ok((rows, total, ended.then_some(SpanEnd::Ended)))
    }

    fn end_span(&self, table: &PulledTable, number: u32) {
        let Some((at, _)) = table.span(number) else { return };
        table.spans.borrow_mut().remove(at);
        if let Some(spans) = &mut table.source.borrow_mut().progress.spans {
            spans.remove(at);
        }
    }

    /// Asks for the keys at the offsets `ends` behind `after`, without those that take the remote too long to find.
    async fn request_span_ends(
        &self,
        table: &PulledTable,
        after: Option<RemoteKey>,
        ends: Vec<u64>,
    ) -> Result<Vec<RemoteKey>, Refusal> {
        let found = std::cell::RefCell::new(vec![None; ends.len()]);
        let asking = ends.into_iter().enumerate().map(|(at, end)| -> LocalFuture<'_, Result<(), Refusal>> {
            let (after, found) = (after.clone(), &found);
            Box::pin(async move {
                found.borrow_mut()[at] = self.request_span_end(table, after, end - 1).await?;
                Ok(())
            })
        });
        try_all(asking.collect()).await?;
        Ok(found.into_inner().into_iter().flatten().collect())
    }

    async fn request_span_end(
        &self,
        table: &PulledTable,
        after: Option<RemoteKey>,
        rows: u64,
    ) -> Result<Option<RemoteKey>, Refusal> {
        let name = table.name();
        let columns = table.source.borrow().plan.selection.key.clone();
        let parse = |response: &HttpResponse| table.source.borrow().plan.read_place(&response.body, &columns);
        let range = Range::Beyond(after, rows);
        let make = self.request(table, Some(&columns), &range, 1, Count::No);
        match self.remote.read(&name, &mut self.remote.tries(), &make, &parse).await {
            Ok((place, _)) => Ok(place.map(|place| place.key)),
            Err(Refusal::TooMuch(_) | Refusal::Trouble(_)) => Ok(None),
            Err(refusal) => Err(refusal),
        }
    }
}

/// Runs futures concurrently. Fails with the first error, which drops the others.
async fn try_all(mut running: Vec<LocalFuture<'_, Result<(), Refusal>>>) -> Result<(), Refusal> {
    while !running.is_empty() {
        let (done, _, others) = select_all(running).await;
        done?;
        running = others;
    }
    Ok(())
}
