// Type-checked with the types of the DOM: what the package gives and takes fits them.
import { type Database, directoryTarget, open } from 'tidelock'

export async function fits(db: Database, folder: FileSystemDirectoryHandle, signal: AbortSignal): Promise<EventTarget> {
  const file = new Blob([await db.export()])
  const stored: BufferSource = await db.export()
  await db.import(stored, { signal })
  await db.import(file)
  const exported: File = await db.snapshots.export('an id')
  await db.import(exported)
  const handler = (event: CustomEvent<{ readonly reason: string }>) => event.preventDefault()
  db.addEventListener('close', handler, { once: true, signal })
  await open({
    name: 'x',
    seed: stored,
    snapshots: { targets: [directoryTarget(folder)] },
    worker: () => new Worker('worker.js'),
    remote: { url: '', key: '', tables: [], fetch },
  })
  return db
}
