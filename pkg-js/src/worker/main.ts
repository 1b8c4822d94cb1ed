import { createDatabaseInstance } from '../instance/instance.js'
import { fileWaitMs } from '../options/file-wait.js'
import type { Message } from '../rpc/channel.js'
import { Server } from '../rpc/server.js'
import { PrivateFiles } from './private-files.js'
import { StorageServer } from './storage-server.js'

// The worker of one database: dist/worker.js. It runs the whole engine, or only the store over files for an engine in the page.

const scope = self as unknown as {
  postMessage(message: Message, transfer: readonly Transferable[]): void
  onmessage: ((event: MessageEvent<Message>) => void) | null
}
const post = (message: Message, transfer: readonly Transferable[]) => scope.postMessage(message, transfer)
const server = new Server(post, createDatabaseInstance, (checked, moving) =>
  moving || checked.storage === 'opfs'
    ? new PrivateFiles(checked.name, { waitMs: fileWaitMs(checked), moving })
    : undefined,
)
let files: StorageServer | undefined
scope.onmessage = ({ data }) => {
  // The first message of the page chooses one of the two.
  if ('method' in data && data.method === 'serve') files = new StorageServer(post)
  ;(files ?? server).channel.receive(data)
}

const { locks } = navigator
if (locks === undefined) server.channel.notify('hello', [undefined])
else {
  const name = `tidelock-worker/${crypto.randomUUID()}`
  // Held as long as this worker lives: the page notices its death by acquiring this lock.
  locks.request(name, () => {
    server.channel.notify('hello', [name])
    return new Promise(() => {})
  })
}
