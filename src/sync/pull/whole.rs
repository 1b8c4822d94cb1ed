//! A table that is read whole: by spans of its key, side by side.

use super::{
    super::{
        lanes::{Ask, Count},
        plan::{Rows, Unreadable},
        spans::{self, Guess, Key, Span},
        state::Position,
        steps::Page,
        types::Kind,
        window,
    },
    Pull,
};
use crate::error::Error;

impl Pull {
    /// The newest row that there is: where the next pull will begin.
    pub(super) fn newest(&mut self, at: usize, place: Option<Position>, total: Option<u64>) -> Option<Box<Page>> {
        let key = place.as_ref().map(|place| place.key.clone());
        let source = &mut self.sources[self.at];
        source.progress.position = place.filter(|place| place.cursor.is_some());
        window::begin(&mut source.progress, &source.plan, self.server_time, None);
        let Some(key) = key else {
            let mut page = self.page(Rows::default(), b"");
            self.complete(at, &mut page);
            return Some(page);
        };
        self.lanes.end(at);
        // Where nothing is changed, the newest row has the greatest key, too.
        match total.map_or(Guess::No, |rows| self.guess(rows, &key)) {
            Guess::Ends(ends) => self.divide(ends),
            Guess::Greater => _ = self.lanes.add(Ask::Last(total.unwrap_or_default()), Count::No),
            Guess::No => self.begin_spans(total),
        }
        None
    }

    /// The greatest key of so many rows; `None`: it has to go without.
    pub(super) fn last_found(&mut self, at: usize, rows: u64, key: Option<Key>) {
        self.lanes.end(at);
        if let Some(key) = key {
            // What will be behind it is newer than the newest row that was known before.
            self.sources[self.at].progress.spans = Some(vec![Span { after: None, upto: Some(key.clone()) }]);
            if let Guess::Ends(ends) = self.guess(rows, &key) {
                return self.divide(ends);
            }
        }
        self.begin_spans(Some(rows));
    }

    /// Begins the first span, and asks where it ends.
    fn begin_spans(&mut self, rows: Option<u64>) {
        self.span_lanes = vec![self.lanes.add(Ask::Span, Count::No)];
        if let Some(rows) = rows {
            self.ask_ends(None, rows, u64::from(self.pace.size()));
        }
    }

    /// Where spans end, as far as the newest or the greatest key tells.
    fn guess(&self, rows: u64, key: &Key) -> Guess {
        let ends = spans::ends(rows, u64::from(self.pace.size()));
        let plan = &self.sources[self.at].plan;
        match (plan.key.as_slice(), key.as_slice()) {
            ([at], [key]) if plan.columns[*at].kind == Kind::Int8 && !ends.is_empty() => spans::guess(&ends, rows, key),
            _ => Guess::No,
        }
    }

    pub(super) fn span_page(
        &mut self,
        at: usize,
        rows: Rows,
        body: &[u8],
        counted: Option<u64>,
    ) -> Result<Box<Page>, Unreadable> {
        let last = rows.last.clone();
        let count = rows.len() as u64;
        let mut page = self.page(rows, body);
        let source = &mut self.sources[self.at];
        window::begin(&mut source.progress, &source.plan, self.server_time, last.as_ref());
        let index = self.span_lanes.iter().position(|lane| *lane == at).unwrap_or_default();
        let spans = source.progress.spans.get_or_insert_default();
        let Some(span) = spans.get(index).cloned() else {
            return Err(Unreadable::Failed(Error::internal("A page of no span")));
        };
        let last = last.map(|last| last.key);
        self.moves(&last, &span.after)?;
        let spans = self.sources[self.at].progress.spans.get_or_insert_default();
        if last.is_none() || last == span.upto {
            spans.remove(index);
            self.span_lanes.remove(index);
            if spans.is_empty() {
                self.lanes.give_up(|ask| matches!(ask, Ask::End(..)));
                if self.has_cursor() {
                    self.rows = window::behind(self.sources[self.at].progress.position.clone());
                    let stamped = self.sources[self.at].plan.ceiling.is_some();
                    // Since the pull that was cut, rows may have come that no span has and no cursor tells.
                    let nulls = self.resumed && !stamped;
                    let ask = if nulls { Ask::Nulls(None) } else { Ask::Rows(self.rows.clone()) };
                    self.lanes.next(at, ask, Count::No);
                } else {
                    self.complete(at, &mut page);
                    return Ok(page);
                }
            } else {
                self.lanes.end(at);
            }
        } else {
            spans[index].after.clone_from(&last);
            self.room = self.room.saturating_sub(count);
            if self.ends_asked > 0 && self.room == 0 {
                // It stands where it will end: what is beyond is the next span's, and would be read twice.
                self.lanes.end(at);
            } else {
                self.lanes.next(at, Ask::Span, Count::No);
            }
            if let Some(total) = counted {
                // Fewer rows than there are and were asked for: the server's cap.
                self.ask_ends(last, total.saturating_sub(count), count);
            }
        }
        page.progress = Some(self.sources[self.at].progress.clone());
        Ok(page)
    }

    /// Asks for the ends of spans: `rows` rows behind `after`, in pages of `size`.
    fn ask_ends(&mut self, after: Option<Key>, rows: u64, size: u64) {
        let ends = spans::ends(rows, size);
        (self.ends, self.ends_asked) = (vec![None; ends.len()], ends.len());
        self.room = ends.first().copied().unwrap_or_default();
        for (index, end) in ends.into_iter().enumerate() {
            self.lanes.add(Ask::End(index, after.clone(), end - 1), Count::No);
        }
    }

    /// With the last end, the one span that was begun becomes several.
    pub(super) fn end_found(&mut self, index: usize, key: Option<Key>) {
        self.ends[index] = key;
        self.ends_asked -= 1;
        if self.ends_asked > 0 {
            return;
        }
        let ends = std::mem::take(&mut self.ends).into_iter().flatten().collect();
        self.divide(ends);
    }

    /// Makes the one span several, which end at these keys.
    fn divide(&mut self, mut ends: Vec<Key>) {
        ends.dedup();
        let Some([whole]) = self.sources[self.at].progress.spans.as_deref() else { return };
        let whole = whole.clone();
        ends.retain(|end| whole.upto.as_ref() != Some(end));
        let mut spans = vec![whole.clone()];
        for end in ends {
            if let Some(span) = spans.last_mut() {
                span.upto = Some(end.clone());
            }
            spans.push(Span { after: Some(end), upto: whole.upto.clone() });
        }
        let waits = self.span_lanes.first().is_none_or(|lane| self.lanes.get(*lane).is_none());
        if waits {
            self.span_lanes.clear();
            if spans[0].upto.is_some() && spans[0].after == spans[0].upto {
                spans.remove(0);
            }
        }
        let lanes = (self.span_lanes.len()..spans.len()).map(|_| self.lanes.add(Ask::Span, Count::No));
        self.span_lanes.extend(lanes);
        self.sources[self.at].progress.spans = Some(spans);
    }
}
