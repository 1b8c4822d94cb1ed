/** The prefix of a database's name in IndexedDB. */
export const prefix = 'tidelock/'
