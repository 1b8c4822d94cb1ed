// What several adapters share.

/** One object from names and values, by a loop: several peers' own way to objects asks for the names again with every row. */
export function toObject(columns, row) {
  const object = {}
  for (let i = 0; i < columns.length; i++) object[columns[i]] = row[i]
  return object
}
