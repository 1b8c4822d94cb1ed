//! The contents of a database file: whole in memory, or read when they are needed.

use super::{Image, paged::PagedBytes};

/// The contents of a database file.
pub enum FileContents {
    /// All of it is in memory.
    Whole(Image),
    /// Only a part of it is.
    Paged(Box<dyn PagedBytes>),
}

impl Default for FileContents {
    fn default() -> Self {
        Self::Whole(Image::default())
    }
}

impl From<Image> for FileContents {
    fn from(image: Image) -> Self {
        Self::Whole(image)
    }
}

impl FileContents {
    /// Returns the page size in bytes; 0 when the database is empty.
    pub fn page_size(&self) -> u32 {
        match self {
            Self::Whole(image) => image.page_size,
            Self::Paged(paged) => paged.page_size(),
        }
    }

    /// Returns the file's length in bytes.
    pub fn bytes(&self) -> u64 {
        match self {
            Self::Whole(image) => image.len(),
            Self::Paged(paged) => paged.size(),
        }
    }
}
