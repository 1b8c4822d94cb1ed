import { createDatabaseInstance } from '../instance/instance.js'
import type { Message } from '../rpc/channel.js'
import { Server } from '../rpc/server.js'
import { PrivateFiles } from './private-files.js'

// The worker of one database: dist/worker.js.

const scope = self as unknown as {
  postMessage(message: Message, transfer: readonly Transferable[]): void
  onmessage: ((event: MessageEvent<Message>) => void) | null
}
const server = new Server(
  (message, transfer) => scope.postMessage(message, transfer),
  createDatabaseInstance,
  (database) => new PrivateFiles(database),
)
scope.onmessage = (event) => server.channel.receive(event.data)

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
