//! Requests side by side: what each asks for, and when it may be sent.

use super::{
    query::{Range, Selection},
    request::{Request, Requester},
    spans::{AT_ONCE, Key, Span},
};
use crate::ports::HttpRequest;

/// What a lane asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// What columns does the remote have? Asked when it refused one.
    Columns,
    /// The row with the newest cursor.
    Newest,
    /// The greatest key of so many rows.
    Last(u64),
    /// The next page of the lane's span.
    Span,
    /// The key that ends the span of this index.
    End(usize, Option<Key>, u64),
    /// The rows whose cursor is NULL, behind a key.
    Nulls(Option<Key>),
    /// The rows by the cursor.
    Rows(Range),
    /// The keys alone, behind a key.
    Keys(Option<Key>),
    /// Nothing any more: the answer doesn't matter.
    Nothing,
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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// To be sent; those that wait longest first.
    Ready(u64),
    Flying,
    /// It will be sent again after a while.
    Resting,
    /// Its token was refused, and another is on its way.
    Refused,
}

/// One request after the other.
#[derive(Debug)]
pub struct Lane {
    /// What it asks for.
    pub ask: Ask,
    /// How the rows are to be counted with that.
    pub count: Count,
    /// How often it was asked in vain.
    pub attempt: u32,
    /// Whether a refused token was renewed for it.
    pub refreshed: bool,
    /// How many rows it asked for at most.
    pub limit: u32,
    /// The number of the token that it was sent with.
    pub token: u32,
    state: State,
}

/// All lanes, by their numbers.
#[derive(Debug, Default)]
pub struct Lanes {
    lanes: Vec<Option<Lane>>,
    tickets: u64,
}

impl Lanes {
    /// A new lane; its number.
    pub fn add(&mut self, ask: Ask, count: Count) -> usize {
        let state = self.ready();
        let lane = Lane { ask, count, attempt: 0, refreshed: false, limit: 0, token: 0, state };
        let free = self.lanes.iter().position(Option::is_none).unwrap_or(self.lanes.len());
        if free == self.lanes.len() {
            self.lanes.push(None);
        }
        self.lanes[free] = Some(lane);
        free
    }

    /// A lane.
    pub fn get(&mut self, lane: usize) -> Option<&mut Lane> {
        self.lanes.get_mut(lane)?.as_mut()
    }

    /// Asks for something else, after a good answer.
    pub fn next(&mut self, lane: usize, ask: Ask, count: Count) {
        let state = self.ready();
        if let Some(lane) = self.get(lane) {
            *lane = Lane { ask, count, attempt: 0, refreshed: false, state, ..*lane };
        }
    }

    /// Asks for the same once more.
    pub fn again(&mut self, lane: usize) {
        let state = self.ready();
        if let Some(lane) = self.get(lane) {
            lane.state = state;
        }
    }

    /// Waits before it is sent again.
    pub fn rest(&mut self, lane: usize) {
        if let Some(lane) = self.get(lane) {
            lane.state = State::Resting;
        }
    }

    /// Waits for a token; whether it is the first one.
    pub fn refuse(&mut self, lane: usize) -> bool {
        let first = !self.lanes.iter().flatten().any(|lane| lane.state == State::Refused);
        if let Some(lane) = self.get(lane) {
            (lane.state, lane.refreshed) = (State::Refused, true);
        }
        first
    }

    /// The token is there: all that waited for it are sent again.
    pub fn admit(&mut self) {
        for at in 0..self.lanes.len() {
            if self.lanes[at].as_ref().is_some_and(|lane| lane.state == State::Refused) {
                self.again(at);
            }
        }
    }

    /// Ends a lane.
    pub fn end(&mut self, lane: usize) {
        self.lanes[lane] = None;
    }

    /// Ends these lanes; what they still wait for doesn't matter any more.
    pub fn give_up(&mut self, which: impl Fn(&Ask) -> bool) {
        for slot in &mut self.lanes {
            let Some(lane) = slot.as_mut().filter(|lane| which(&lane.ask)) else { continue };
            match lane.state {
                State::Flying | State::Resting => lane.ask = Ask::Nothing,
                State::Ready(_) | State::Refused => *slot = None,
            }
        }
    }

    /// The next lane to send, if one may be sent while so many pages are held. Its state is that of one under way.
    pub fn take(&mut self, held: usize) -> Option<usize> {
        let busy = |lane: &&Lane| lane.state == State::Flying && lane.ask != Ask::Nothing;
        if self.lanes.iter().flatten().filter(busy).count() + held >= AT_ONCE {
            return None;
        }
        let waiting = |(at, lane): (usize, &Option<Lane>)| match lane.as_ref()?.state {
            State::Ready(ticket) => Some((ticket, at)),
            _ => None,
        };
        let (_, at) = self.lanes.iter().enumerate().filter_map(waiting).min()?;
        self.get(at)?.state = State::Flying;
        Some(at)
    }

    /// Whether nothing is asked for any more.
    pub fn is_empty(&self) -> bool {
        self.lanes.iter().flatten().all(|lane| lane.ask == Ask::Nothing)
    }

    fn ready(&mut self) -> State {
        self.tickets += 1;
        State::Ready(self.tickets)
    }
}

impl Lane {
    /// The request; `span`: what is left of the lane's span.
    pub fn request(&mut self, requester: &Requester, selection: &Selection, span: Span, page_size: u32) -> HttpRequest {
        let (columns, range, limit) = match &self.ask {
            Ask::Columns => (Some(Vec::new()), Range::Keys(Span::default()), 1),
            Ask::Newest => (Some(place_columns(selection)), Range::Newest, 1),
            Ask::Last(_) => (Some(selection.key.clone()), Range::Last, 1),
            Ask::End(_, after, rows) => (Some(selection.key.clone()), Range::Beyond(after.clone(), *rows), 1),
            Ask::Nulls(after) => (None, Range::Nulls(after.clone()), page_size),
            Ask::Rows(range) => (None, range.clone(), page_size),
            Ask::Keys(after) => {
                let span = Span { after: after.clone(), upto: None };
                (Some(selection.key.clone()), Range::Keys(span), page_size)
            }
            Ask::Span | Ask::Nothing => (None, Range::Keys(span), page_size),
        };
        self.limit = limit;
        let count = self.count.prefer();
        match columns {
            Some(columns) => {
                let selection = Selection { columns, ..selection.clone() };
                Request { selection: &selection, range: &range, limit, count }.build(requester)
            }
            None => Request { selection, range: &range, limit, count }.build(requester),
        }
    }
}

/// Cursor and key.
pub fn place_columns(selection: &Selection) -> Vec<String> {
    selection.cursor.iter().filter(|cursor| !selection.key.contains(cursor)).chain(&selection.key).cloned().collect()
}

/// How many rows to ask for: half as many when that took too long, and more again when it goes well for a while.
#[derive(Debug)]
pub struct Pace {
    most: u32,
    size: u32,
    good: u32,
    patience: u32,
}

impl Pace {
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
        let mut pace = Pace::new(1000);
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

    #[test]
    fn six_requests_and_pages_at_once_and_who_waits_longest_is_next() {
        let mut lanes = Lanes::default();
        (0..8).for_each(|_| _ = lanes.add(Ask::Span, Count::No));
        assert_eq!((0..8).map_while(|_| lanes.take(0)).collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5]);
        lanes.next(0, Ask::Span, Count::No);
        assert_eq!(lanes.take(1), None, "its page is still in memory");
        assert_eq!(lanes.take(0), Some(6));
        lanes.give_up(|ask| *ask == Ask::Span);
        assert!(lanes.is_empty());
        assert_eq!(lanes.add(Ask::Newest, Count::No), 0, "the number of one that wasn't under way");
        assert_eq!(lanes.add(Ask::Newest, Count::No), 7, "answers may still come to the others");
    }
}
