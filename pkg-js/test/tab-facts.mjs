// What tabs say of themselves, for tests of who may join whom.
export const one = { version: '1', checksum: 'a' }
export const two = { version: '2', checksum: 'b' }

/** The facts of a tab that knows these migrations; without any of one that doesn't know of any. */
export const facts = (migrations, more) => ({
  integers: 'auto',
  migrate: true,
  outOfOrder: 'error',
  ...(migrations && { migrations }),
  ...more,
})
