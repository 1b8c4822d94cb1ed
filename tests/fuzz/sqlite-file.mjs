// Writes SQLite files with arbitrary contents: the schema on the first page may have any texts and root pages.

/** Builds a file: `schema` is a list of `{ type, name, table, root, sql }` with any values, `pages` the pages after the first. */
export function sqliteFile({ pageSize = 4096, schema, pages = [], header = {} }) {
  const first = Buffer.alloc(pageSize)
  first.write('SQLite format 3\0', 0, 'latin1')
  first.writeUInt16BE(pageSize === 65536 ? 1 : pageSize, 16)
  first.set([header.write ?? 1, header.read ?? 1, 0, 64, 32, 32], 18)
  first.writeUInt32BE(1, 24)
  first.writeUInt32BE(1 + pages.length, 28)
  first.writeUInt32BE(1, 40)
  first.writeUInt32BE(4, 44)
  first.writeUInt32BE(header.encoding ?? 1, 56)
  first.writeUInt32BE(1, 92)
  first.writeUInt32BE(3046000, 96)
  leaf(first, 100, schema.map(schemaRecord))
  return Buffer.concat([first, ...pages.map((page) => page.subarray(0, pageSize))])
}

/** Builds a leaf page of a table with these records. */
export function leafPage(pageSize, records) {
  const page = Buffer.alloc(pageSize)
  leaf(page, 0, records)
  return page
}

/** Fills a page with records of the rowids 1, 2, ...; records that don't fit are left out. */
function leaf(page, at, records) {
  let end = page.length
  let count = 0
  for (const record of records) {
    const cell = Buffer.concat([varint(record.length), varint(count + 1), record])
    // The longest payload that has no overflow pages.
    if (record.length > page.length - 35 || end - cell.length < at + 8 + 2 * (count + 1)) continue
    end -= cell.length
    cell.copy(page, end)
    page.writeUInt16BE(end, at + 8 + 2 * count++)
  }
  page[at] = 13
  page.writeUInt16BE(count, at + 3)
  page.writeUInt16BE(end % 65536, at + 5)
}

function schemaRecord({ type = 'table', name, table = name, root, sql }) {
  return record([type, name, table, root, sql])
}

/** Encodes values as SQLite's record format: texts, bytes, numbers below 2^31, null. */
export function record(values) {
  const bodies = values.map((value) => {
    if (value === null || value === undefined) return [0, Buffer.alloc(0)]
    if (typeof value === 'number') {
      const number = Buffer.alloc(4)
      number.writeInt32BE(value | 0)
      return [4, number]
    }
    const bytes = Buffer.from(value)
    return [2 * bytes.length + (typeof value === 'string' ? 13 : 12), bytes]
  })
  const types = Buffer.concat(bodies.map(([type]) => varint(type)))
  const header = varint(types.length + 1 + Number(types.length > 126))
  return Buffer.concat([header, types, ...bodies.map(([, body]) => body)])
}

function varint(value) {
  const bytes = [value & 0x7f]
  for (let rest = Math.floor(value / 128); rest > 0; rest = Math.floor(rest / 128)) bytes.unshift((rest & 0x7f) | 0x80)
  return Buffer.from(bytes)
}
