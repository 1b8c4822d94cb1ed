//! The frames of one segment of the journal.
//!
//! A frame is a header of 36 bytes and a body. The header holds: magic, kind, whether the frame ends a transaction, the
//! body's length, how much of the segment was synced when the frame was written, the checksum of the previous frame,
//! its own checksum. That one also covers the segment's number and the frame's offset, so that bytes of another place
//! or an earlier attempt are never taken for a frame.

use xxhash_rust::xxh3::xxh3_64;

use crate::{
    error::{Error, Result},
    memory::room_for_pieces,
    ports::Files,
    store::failure::beyond_recovery,
};

const MAGIC: u32 = u32::from_le_bytes(*b"tdlk");
/// The length of the magic, with which each frame begins.
pub const MAGIC_BYTES: usize = 4;
/// The length of a frame without its body: a segment that is shorter has never had one.
pub const HEADER: usize = 36;
/// How many bytes are read at a time.
const WINDOW: usize = 1024 * 1024;
/// The limit of a body: a larger length is invalid. (The largest body is a part of a batch: its pages and their
/// numbers.)
const MOST_BYTES: u64 = 1 << 30;
/// How many times a segment's size may be read for frames that turn out to be none: each magic may claim a long body.
const MOST_WASTED: u64 = 4;

/// The kind of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum FrameKind {
    /// The first two frames of a segment: the whole state except the log, twice.
    Start,
    /// A record of the log, its key first.
    Log,
    /// The head.
    Head,
    /// A manifest and its generation.
    PutManifest,
    /// The generation of a deleted manifest.
    DeleteManifest,
    /// The id of a chunk, and where it is stored.
    PutChunk,
    /// The id of a deleted chunk.
    DeleteChunk,
    /// The end of the segment: the next one continues.
    Seal,
    /// The log up to an lsn is deleted, except these records.
    CutLog,
}

const KINDS: [FrameKind; 9] = [
    FrameKind::Start,
    FrameKind::Log,
    FrameKind::Head,
    FrameKind::PutManifest,
    FrameKind::DeleteManifest,
    FrameKind::PutChunk,
    FrameKind::DeleteChunk,
    FrameKind::Seal,
    FrameKind::CutLog,
];

/// One decoded frame.
pub struct Frame<'a> {
    pub kind: FrameKind,
    /// Whether it ends the transaction.
    pub last: bool,
    pub body: &'a [u8],
    /// The position after it.
    pub end: Place,
}

/// Returns the file name of a segment.
pub fn segment_name(number: u64) -> String {
    format!("journal.{number}")
}

/// Returns the segment's number from its file name.
pub fn segment_number(name: &str) -> Option<u64> {
    name.strip_prefix("journal.")?.parse().ok()
}

/// A position in a segment, between two frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub segment: u64,
    pub at: u64,
    /// The checksum of the previous frame; 0 at the beginning.
    pub chain: u64,
}

impl Place {
    /// Returns the beginning of a segment.
    pub fn start(segment: u64) -> Self {
        Self { segment, at: 0, chain: 0 }
    }

    /// Appends a frame at this position to `out`; returns the position after it. `synced` bytes of the segment are
    /// synced to disk.
    pub fn put(self, out: &mut Vec<u8>, kind: FrameKind, last: bool, synced: u64, body: &[u8]) -> Self {
        let (header, end) = self.header(kind, last, synced, body);
        out.extend_from_slice(&header);
        out.extend_from_slice(body);
        end
    }

    /// Returns the header of a frame at this position, which its body follows, and the position after it.
    pub fn header(self, kind: FrameKind, last: bool, synced: u64, body: &[u8]) -> ([u8; HEADER], Self) {
        let mut header = [0; HEADER];
        header[..4].copy_from_slice(&MAGIC.to_le_bytes());
        header[4] = kind as u8;
        header[5] = last.into();
        header[8..12].copy_from_slice(&(body.len() as u32).to_le_bytes());
        header[12..20].copy_from_slice(&synced.to_le_bytes());
        header[20..28].copy_from_slice(&self.chain.to_le_bytes());
        let chain = checksum(self.segment, self.at, &header, body);
        header[28..].copy_from_slice(&chain.to_le_bytes());
        (header, Self { at: self.at + (HEADER + body.len()) as u64, chain, ..self })
    }
}

fn checksum(segment: u64, at: u64, header: &[u8], body: &[u8]) -> u64 {
    let mut layout = Vec::with_capacity(64);
    layout.extend_from_slice(&segment.to_le_bytes());
    layout.extend_from_slice(&at.to_le_bytes());
    layout.extend_from_slice(&header[..28]);
    layout.extend_from_slice(&xxh3_64(body).to_le_bytes());
    xxh3_64(&layout)
}

/// The intact frames after a break.
#[derive(Clone, Copy, Default)]
struct Behind {
    /// How much was synced, by them.
    synced: u64,
    /// Where the last one ends; 0 if there are none.
    end: u64,
}

/// An intact frame, whose body is in the window.
struct FoundFrame {
    kind: FrameKind,
    last: bool,
    body_at: u64,
    length: usize,
    end: Place,
    /// How much was synced before it.
    synced: u64,
}

/// The header of a frame.
struct FrameHeader([u8; HEADER]);

impl FrameHeader {
    fn u32_at(&self, at: usize) -> u32 {
        u32::from_le_bytes([self.0[at], self.0[at + 1], self.0[at + 2], self.0[at + 3]])
    }

    fn u64_at(&self, at: usize) -> u64 {
        u64::from(self.u32_at(at)) | u64::from(self.u32_at(at + 4)) << 32
    }

    fn has_magic(&self) -> bool {
        self.u32_at(0) == MAGIC
    }

    /// The length of the body.
    fn length(&self) -> u64 {
        self.u32_at(8).into()
    }

    /// How much of the segment was synced before.
    fn synced(&self) -> u64 {
        self.u64_at(12)
    }

    /// The checksum of the previous frame.
    fn chain(&self) -> u64 {
        self.u64_at(20)
    }

    fn checksum(&self) -> u64 {
        self.u64_at(28)
    }
}

/// Reads the frames of a segment in order.
pub struct Frames<'a> {
    files: &'a dyn Files,
    name: String,
    place: Place,
    window: Vec<u8>,
    window_at: u64,
    /// Bytes that were read for frames that turned out to be none.
    wasted: u64,
    /// What all intact frames after the first break say.
    behind: Option<Behind>,
    /// Whether reading continued behind a damaged place.
    skipped: bool,
    /// Whether bytes behind a break were ignored.
    dropped: bool,
    /// How much was synced, by the frames that were read.
    stated: u64,
}

impl<'a> Frames<'a> {
    /// Creates a reader that starts at `place`.
    pub fn from(files: &'a dyn Files, place: Place) -> Self {
        Self {
            files,
            name: segment_name(place.segment),
            place,
            window: Vec::new(),
            window_at: 0,
            wasted: 0,
            behind: None,
            skipped: false,
            dropped: false,
            stated: 0,
        }
    }

    /// Returns whether these may be the first bytes of a segment that was never completely written.
    pub fn may_begin_with(bytes: &[u8]) -> bool {
        bytes.iter().zip(MAGIC.to_le_bytes()).all(|(found, byte)| *found == byte || *found == 0)
    }

    /// Returns whether reading continued behind a damaged place.
    pub fn skipped(&self) -> bool {
        self.skipped
    }

    /// Returns how many bytes were synced, by the frames that were read.
    pub fn stated(&self) -> u64 {
        self.stated
    }

    /// Returns whether reading ended at a break, and not at the end of what was written or with the beginning of a frame.
    pub fn dropped(&self) -> bool {
        self.dropped
    }

    /// Returns the next frame; `None` at the end of the intact part.
    ///
    /// Frames after a break are ignored: it comes from the last writes of a killed process, or from holes left by a
    /// power cut, or is damage, which looks the same ([`dropped`](Self::dropped)). Unless a later frame states that the
    /// broken place was synced: then it was damaged afterwards, and reading continues with the first intact frame behind
    /// it. Readers notice the missing data: the log is a chain, and a manifest lists its chunks.
    ///
    /// Fails with `database_corrupt` when the search for such frames reads too much.
    pub fn next(&mut self) -> Result<Option<Frame<'_>>> {
        let mut found = self.frame_at(self.place.at, Some(self.place.chain))?;
        match &found {
            Some(frame) => self.stated = self.stated.max(frame.synced),
            None => found = self.frame_after_break()?,
        }
        let Some(FoundFrame { kind, last, body_at, length, end, .. }) = found else { return Ok(None) };
        self.place = end;
        let body = self.bytes(body_at, length)?;
        Ok(body.map(|body| Frame { kind, last, body, end }))
    }

    /// Returns the first intact frame behind a break, if reading continues there.
    fn frame_after_break(&mut self) -> Result<Option<FoundFrame>> {
        let broken = self.place.at;
        let behind = match self.behind {
            Some(behind) => behind,
            None => self.frames_behind(broken)?,
        };
        if behind.synced <= broken {
            self.dropped = behind.end > broken || !self.is_short(broken)? && self.has_bytes(broken)?;
            return Ok(None);
        }
        let found = self.find_frame(broken + 1)?;
        self.skipped |= found.is_some();
        Ok(found)
    }

    /// Returns what the intact frames after a break say. They are searched once: each of a forged journal's frames may be a
    /// break.
    fn frames_behind(&mut self, broken: u64) -> Result<Behind> {
        let mut behind = Behind::default();
        while let Some(FoundFrame { end, synced, .. }) = self.find_frame(behind.end.max(broken + 1))? {
            behind = Behind { synced: behind.synced.max(synced), end: end.at };
        }
        self.behind = Some(behind);
        Ok(behind)
    }

    /// Returns the first intact frame from `at` on, wherever it begins.
    fn find_frame(&mut self, mut at: u64) -> Result<Option<FoundFrame>> {
        while let Some(found) = self.find_magic(at)? {
            let frame = self.frame_at(found, None)?;
            if frame.is_some() {
                return Ok(frame);
            }
            at = found + 1;
        }
        Ok(None)
    }

    /// Checks the frame at `at`.
    fn frame_at(&mut self, at: u64, chain: Option<u64>) -> Result<Option<FoundFrame>> {
        let Some(header) = self.header_at(at)? else { return Ok(None) };
        let (length, body_at) = (header.length(), at + HEADER as u64);
        let kind = KINDS.get(usize::from(header.0[4]));
        let (Some(kind), true) = (kind, header.has_magic() && length <= MOST_BYTES) else { return Ok(None) };
        if chain.is_some_and(|chain| chain != header.chain()) {
            return Ok(None);
        }
        // Most bodies are in the window: then the file needn't be asked for its size.
        if body_at + length > self.window_end() {
            if body_at + length > self.size()? {
                return Ok(None);
            }
            // For the window, and what is read from the body.
            room_for_pieces(2 * length, length.max(WINDOW as u64))?;
        }
        let (segment, length) = (self.place.segment, length as usize);
        let Some(body) = self.bytes(body_at, length)? else { return Ok(None) };
        if checksum(segment, at, &header.0, body) != header.checksum() {
            self.wasted += length as u64;
            return if self.wasted > self.size()? * MOST_WASTED { Err(self.is_hostile()) } else { Ok(None) };
        }
        let end = Place { segment, at: body_at + length as u64, chain: header.checksum() };
        Ok(Some(FoundFrame { kind: *kind, last: header.0[5] == 1, body_at, length, end, synced: header.synced() }))
    }

    fn size(&self) -> Result<u64> {
        Ok(self.files.size(&self.name)?.unwrap_or(0))
    }

    fn window_end(&self) -> u64 {
        self.window_at + self.window.len() as u64
    }

    fn header_at(&mut self, at: u64) -> Result<Option<FrameHeader>> {
        Ok(self.bytes(at, HEADER)?.and_then(|bytes| bytes.try_into().ok()).map(FrameHeader))
    }

    fn is_hostile(&self) -> Error {
        beyond_recovery("The database's journal is damaged in too many places").detail("file", self.name.clone())
    }

    /// Returns whether the file ends with the beginning of a frame, which a killed process leaves.
    fn is_short(&mut self, at: u64) -> Result<bool> {
        let (chain, rest) = (self.place.chain, self.size()?.saturating_sub(at));
        let Some(header) = self.header_at(at)? else {
            return Ok(self.bytes_up_to(at, 1)?.is_some_and(Self::may_begin_with));
        };
        Ok(header.has_magic() && header.chain() == chain && HEADER as u64 + header.length() > rest)
    }

    /// Returns whether there is anything but zeros from `at` on: a power cut leaves holes of zeros.
    fn has_bytes(&mut self, mut at: u64) -> Result<bool> {
        while let Some(bytes) = self.bytes_up_to(at, 1)? {
            if bytes.iter().any(|byte| *byte != 0) {
                return Ok(true);
            }
            at += bytes.len() as u64;
        }
        Ok(false)
    }

    fn find_magic(&mut self, from: u64) -> Result<Option<u64>> {
        let mut at = from;
        loop {
            let Some(bytes) = self.bytes_up_to(at, MAGIC_BYTES)? else { return Ok(None) };
            let found = bytes.windows(MAGIC_BYTES).position(|four| four == MAGIC.to_le_bytes());
            match found {
                Some(offset) => return Ok(Some(at + offset as u64)),
                None if bytes.len() < MAGIC_BYTES => return Ok(None),
                None => at += (bytes.len() - MAGIC_BYTES + 1) as u64,
            }
        }
    }

    /// Returns exactly `length` bytes, if the file has them.
    fn bytes(&mut self, at: u64, length: usize) -> Result<Option<&[u8]>> {
        if length == 0 {
            return Ok(Some(&[]));
        }
        Ok(self.bytes_up_to(at, length)?.filter(|bytes| bytes.len() >= length).map(|bytes| &bytes[..length]))
    }

    /// Returns at least one byte from `at` on, up to `length` or somewhat more; `None` at the end of the file.
    fn bytes_up_to(&mut self, at: u64, length: usize) -> Result<Option<&[u8]>> {
        if at < self.window_at || at + length as u64 > self.window_end() {
            let memory = std::mem::take(&mut self.window);
            self.window = self.files.read_into(&self.name, at, length.max(WINDOW), memory)?.unwrap_or_default();
            self.window_at = at;
        }
        let offset = (at - self.window_at) as usize;
        Ok(self.window.get(offset..).filter(|bytes| !bytes.is_empty()))
    }
}
