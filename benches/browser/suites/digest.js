// What an engine answered, in a few characters that are the same for every engine that answers the same.

/** 16 hex digits of rows (objects with their columns in order). Numbers count to 10 digits: engines sum floats in different orders. */
export async function digest(rows) {
  const text = JSON.stringify(rows, (_, value) => {
    if (typeof value === 'bigint') return Number(value)
    // A little beside the value, since a decimal that ends right after 10 digits could be rounded either way.
    if (typeof value === 'number' && !Number.isInteger(value)) return Number((value * (1 + 1.7e-12)).toPrecision(10))
    return value
  })
  const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text)))
  return Array.from(hash.subarray(0, 8), (byte) => byte.toString(16).padStart(2, '0')).join('')
}
