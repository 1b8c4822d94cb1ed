import { op } from '../engine/core.js'
import type { Message } from './channel.js'

/** One message, or several that were sent together. */
export type Messages = Message | readonly Message[]

/**
 * Returns a function that posts messages, those of one task for which `joins` returns `true` together: each message costs both threads 20 µs. The
 * first of a task goes at once. `joins` is asked once for each message, with the one before it in the same task; posting one that joins must not
 * throw.
 */
export function inBatches(
  post: (messages: Messages, transfer: readonly Transferable[]) => void,
  joins: (message: Message, before: Message | undefined) => boolean,
): (message: Message, transfer: readonly Transferable[]) => void {
  let batch: Message[] = []
  let transfers: Transferable[] = []
  let before: Message | undefined
  const send = () => {
    const [messages, transfer] = [batch, transfers]
    batch = []
    transfers = []
    const [first] = messages
    if (first !== undefined) post(messages.length === 1 ? first : messages, transfer)
  }
  return (message, transfer) => {
    if (joins(message, before) && before !== undefined) {
      batch.push(message)
      transfers.push(...transfer)
    } else {
      send()
      post(message, transfer)
    }
    if (before === undefined)
      queueMicrotask(() => {
        send()
        before = undefined
      })
    before = message
  }
}

/**
 * Returns whether a call runs the same statement as the one before it: such calls take the same way, so that they settle in their order though the
 * worker gets them in one task, and their commits share a flush.
 */
export function isSameWrite(message: Message, before: Message | undefined): boolean {
  const sql = writeOf(message)
  return sql !== undefined && before !== undefined && sql === writeOf(before)
}

function writeOf(message: Message): unknown {
  if (!('method' in message) || message.method !== 'run' || message.cancellable) return undefined
  const [work, permitId] = message.args as [readonly unknown[], number]
  return permitId === 0 && work[0] === 'statement' && work[1] === op.run ? work[2] : undefined
}

/** The ids of the requests that came in batches and aren't answered yet: their answers go together, too. */
export class BatchedRequests {
  readonly #ids = new Set<number>()

  /** Passes the messages of a batch on, one by one. */
  receive(messages: Messages, receive: (message: Message) => void): void {
    if (!Array.isArray(messages)) {
      receive(messages as Message)
      return
    }
    for (const message of messages) if ('id' in message) this.#ids.add(message.id)
    messages.forEach(receive)
  }

  /** Returns whether a message is the answer to such a request, which is answered by it. */
  answers(message: Message): boolean {
    return 'answer' in message && this.#ids.delete(message.answer)
  }
}
