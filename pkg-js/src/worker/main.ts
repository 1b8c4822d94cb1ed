import { createDatabaseInstance } from '../instance/instance.js'
import { fileWaitMs } from '../options/file-wait.js'
import { BatchedRequests, inBatches, type Messages } from '../rpc/batches.js'
import type { Message } from '../rpc/channel.js'
import { Server } from '../rpc/server.js'
import { PrivateFiles } from './private-files.js'
import { StorageServer } from './storage-server.js'

// The worker of one database: dist/worker.js. It runs the whole engine, or only the store over files for an engine in the page.

const scope = self as unknown as {
  postMessage(messages: Messages, transfer: readonly Transferable[]): void
  onmessage: ((event: MessageEvent<Messages>) => void) | null
}
const batched = new BatchedRequests()
const post = inBatches(
  (messages, transfer) => scope.postMessage(messages, transfer),
  (message) => batched.answers(message),
)
const server = new Server(post, createDatabaseInstance, (checked, moving) =>
  moving || checked.storage === 'opfs'
    ? new PrivateFiles(checked.name, { waitMs: fileWaitMs(checked), moving })
    : undefined,
)
let files: StorageServer | undefined
const receive = (message: Message) => {
  // The first message of the page chooses one of the two.
  if ('method' in message && message.method === 'serve') files = new StorageServer(post)
  ;(files ?? server).channel.receive(message)
}
scope.onmessage = ({ data }) => batched.receive(data, receive)

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
