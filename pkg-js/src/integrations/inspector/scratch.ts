// Opens earlier states of the database in memory, to read and compare them.
import type { Database, HistoryPoint, OpenOptions } from '../../index.js'
import { size } from './format.js'
import { open, TidelockError } from './tidelock.js'

/** The largest database that is opened in memory beside the open one. */
export const largestScratch = 256 * 2 ** 20
/** How many states are kept open. */
const kept = 2

/** The earlier states of a database that are open in memory. */
export interface ScratchDatabases {
  /** Returns the state of a point, which stays open until others replace it. Rejects with `database_too_large`, and as `snapshots.export`. */
  at(point: HistoryPoint): Promise<Database>
  close(): void
}

export function scratchDatabases(db: Database, wasm: OpenOptions['wasm']): ScratchDatabases {
  const opened = new Map<number, Promise<Database>>()

  async function read({ at, lsn, bytes }: HistoryPoint): Promise<Database> {
    if (bytes > largestScratch)
      throw new TidelockError(
        'database_too_large',
        `The state of ${at} has ${size(bytes)}, too much to show beside the database`,
        {
          hint: `The history shows states of up to ${size(largestScratch)}; snapshots.export({ at }) gives larger ones as files`,
          details: { bytes, maxBytes: largestScratch },
        },
      )
    const file = await db.snapshots.export({ at, lsn })
    return open({
      name: `inspector-${crypto.randomUUID()}`,
      storage: 'memory',
      snapshots: false,
      seed: file,
      maxBytes: largestScratch,
      onWarning: () => {},
      ...(wasm === undefined ? {} : { wasm }),
    })
  }
  const dispose = (lsn: number) => {
    const old = opened.get(lsn)
    opened.delete(lsn)
    old?.then((scratch) => scratch.close()).catch(() => {})
  }
  return {
    at(point) {
      const known = opened.get(point.lsn)
      if (known !== undefined) {
        // The last used one is replaced last.
        opened.delete(point.lsn)
        opened.set(point.lsn, known)
        return known
      }
      const opening = read(point)
      opened.set(point.lsn, opening)
      opening.catch(() => opened.delete(point.lsn))
      for (const lsn of [...opened.keys()].slice(0, -kept)) dispose(lsn)
      return opening
    },
    close() {
      for (const lsn of [...opened.keys()]) dispose(lsn)
    },
  }
}
