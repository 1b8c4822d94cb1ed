// The TabInfo of tabs, for tests of their compatibility.
export const one = { version: '1', checksum: 'a' }
export const two = { version: '2', checksum: 'b' }

/** Returns the TabInfo of a tab with these migrations, or without the option. */
export const info = (migrations, more) => ({
  integers: 'auto',
  migrate: true,
  outOfOrder: 'error',
  ...(migrations && { migrations }),
  ...more,
})
