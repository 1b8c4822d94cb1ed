//! A table that is read whole: by spans of its key, side by side.

use super::{
    super::{
        lanes::{Ask, Count},
        plan::{Rows, Unreadable},
        spans::{self, Key, Span},
        state::Position,
        steps::Page,
        window,
    },
    Pull,
};
use crate::error::Error;

impl Pull {
    /// The newest row that there is: where the next pull will begin.
    pub(super) fn newest(&mut self, at: usize, place: Option<Position>, total: Option<u64>) -> Option<Box<Page>> {
        let empty = place.is_none();
        let source = &mut self.sources[self.at];
        source.progress.position = place.filter(|place| place.cursor.is_some());
        window::begin(&mut source.progress, &source.plan, self.server_time, None);
        if empty {
            let mut page = self.page(Rows::default(), b"");
            self.complete(at, &mut page);
            return Some(page);
        }
        self.lanes.next(at, Ask::Span, Count::No);
        self.span_lanes = vec![at];
        if let Some(total) = total {
            self.ask_ends(None, total, u64::from(self.pace.size()));
        }
        None
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
                    let range = window::behind(self.sources[self.at].progress.position.clone());
                    self.lanes.next(at, Ask::Rows(range), Count::No);
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
        let mut ends: Vec<Key> = std::mem::take(&mut self.ends).into_iter().flatten().collect();
        ends.dedup();
        let Some([first]) = self.sources[self.at].progress.spans.as_deref_mut() else { return };
        let mut spans = vec![first.clone()];
        for end in ends {
            if let Some(span) = spans.last_mut() {
                span.upto = Some(end.clone());
            }
            spans.push(Span { after: Some(end), upto: None });
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
