// Type-checked against the packed package with the strictest settings, as a user's program would be.
import { type Database, isTidelockError, open } from 'tidelock'

interface Visit {
  id: number
  page: string
}

export async function pages(): Promise<string[]> {
  const db: Database = await open({ name: 'packaging', durability: 'strict', lock: { onBusy: 'wait', timeoutMs: 500 } })
  try {
    const visits = await db.query<Visit>('SELECT id, page FROM visits WHERE id > ?', [0])
    await db.transaction(async (tx) => {
      await tx.run('DELETE FROM visits WHERE id = :id', { id: 1n })
    })
    return visits.map((visit) => visit.page)
  } catch (error) {
    if (isTidelockError(error, 'sqlite_error')) return [error.code]
    throw error
  } finally {
    await db.close()
  }
}

export const inWorker = (): Promise<Database> =>
  open({
    name: 'packaging',
    thread: 'worker',
    worker: () => new Worker(new URL('tidelock/worker.js', import.meta.url), { type: 'module' }),
  })

// @ts-expect-error: a database needs a name
open({})
// @ts-expect-error: no such durability
open({ name: 'packaging', durability: 'sometimes' })
