// The header of a result, as `src/sqlite/codec/rows.rs` writes it: indexes of its words, then places in bytes. Addresses are in bytes.

export const rowsAt = 0
export const columnsAt = 1
export const shapeAt = 2
export const tagsAt = 3
export const slotsAt = 4
export const textAt = 5
export const textBytesAt = 6
export const wideAt = 7
export const wideBytesAt = 8
export const blobAt = 9
export const blobBytesAt = 10
export const flagsAt = 11
export const statementAt = 12
export const changesAt = 56
export const rowidAt = 64
export const headerBytes = 72

/** The word indexes that {@link copyResult} needs, and the bytes of a header. */
export const layout = {
  rowsAt,
  shapeAt,
  columnsAt,
  tagsAt,
  slotsAt,
  textAt,
  textBytesAt,
  wideAt,
  wideBytesAt,
  blobAt,
  blobBytesAt,
  headerBytes,
} as const
