import { type CoreOptions, op } from '../engine/core.js'
import type { Work } from '../engine/work.js'
import type { Desk } from '../rpc/client-session.js'
import { coreCalls } from './core-calls.js'
import {
  anything,
  bytes,
  either,
  flag,
  has,
  list,
  maybe,
  number,
  object,
  oneOf,
  type Shape,
  text,
  whole,
} from './shape.js'

// What messages of other tabs must look like, in one place. Whoever shares the origin can send anything.

const operation = oneOf(...Object.values(op))
const limit = maybe(object({ timeoutMs: number, since: number }))
const unit = maybe(object({ id: whole, acknowledged: whole, again: flag }))
const areas = list((value) => {
  if (!object({ bytes: whole, names: text })(value)) return false
  const { buffer, bytes } = value as { buffer: unknown; bytes: number }
  return buffer instanceof ArrayBuffer && bytes <= buffer.byteLength
})
/** What an engine runs, by its kind. */
const works: Readonly<Record<Work[0], readonly Shape[]>> = {
  statement: [operation, text, areas],
  batch: [list(object({ sql: text, params: areas }))],
  script: [text],
  explain: [text],
}
const work: Shape = (value) => Array.isArray(value) && has(works, value[0], value.slice(1), [])

/** What a follower may ask of an engine, with the forms of the arguments. */
const toEngine: Readonly<Record<keyof Desk['handlers'], readonly Shape[]>> = {
  run: [work, whole, limit, unit],
  turn: [limit],
  leave: [whole],
  begin: [whole, flag],
  commit: [whole, whole, unit],
  rollback: [whole, whole],
  stored: [whole],
  watch: [text],
  unwatch: [whole],
  core: [text],
  heard: [text],
  actor: [maybe(text)],
  applied: [whole],
}

/** What an engine tells a follower. */
const toFollower: Readonly<Record<string, readonly Shape[]>> = {
  event: [object({ type: text, detail: object({}) })],
}

/** A thrown error with its causes, which end. */
function thrown(value: unknown, depth = 0): boolean {
  if (depth > 16 || !object({})(value)) return false
  const { cause } = value as { cause?: unknown }
  const ours = object({ ours: object({ code: text, message: text, hint: maybe(text), details: maybe(object({})) }) })
  const other = object({ name: text, message: text, stack: maybe(text) })
  return either(ours, other, object({ text }))(value) && (cause === undefined || thrown(cause, depth + 1))
}

/** A message of a {@link import('../rpc/channel.js').Channel}, calling one of these methods, or answering. */
const message =
  (methods: Readonly<Record<string, readonly Shape[]>>): Shape =>
  (value) => {
    if (!object({ method: text })(value))
      return either(
        (answer) => object({ answer: whole })(answer) && 'value' in (answer as object),
        object({ answer: whole, thrown: (error) => thrown(error) }),
        object({ answer: whole, givenUp: oneOf(true) }),
        object({ called: whole, which: whole, args: list(anything) }),
        object({ giveUp: whole }),
      )(value)
    const { method, args, functions = [] } = value as { method: string; args: unknown[]; functions?: number[] }
    const isCall = object({
      id: whole,
      args: list(anything),
      functions: maybe(list(whole)),
      stoppable: oneOf(undefined, true),
    })
    if (!isCall(value)) return false
    return method === 'core' && 'core' in methods
      ? has(
          coreCalls,
          args[0],
          args.slice(1),
          functions.map((at) => at - 1),
        )
      : has(methods, method, args, functions)
  }

const facts = object({
  integers: oneOf(...(['auto', 'bigint', 'number'] satisfies CoreOptions['integers'][])),
  migrations: maybe(list(object({ version: text, checksum: maybe(text) }))),
  migrate: flag,
  outOfOrder: oneOf(...(['error', 'apply'] satisfies CoreOptions['outOfOrder'][])),
})

/** What is said to all tabs. */
export const call = either(object({ hello: text, nonce: text, facts }), object({ term: text }))

/** What a leader says to one tab. */
export const fromLeader = either(
  object({ term: text, say: oneOf('welcome', 'pong', 'soon', 'leaving') }),
  object({ term: text, challenge: text, nonce: text, proof: bytes }),
  object({ term: text, refused: (error) => thrown(error) }),
  object({ term: text, message: message(toFollower) }),
)

/** What a tab says to its leader. */
export const fromTab = either(
  object({ term: text, say: oneOf('ping', 'bye', 'handOver') }),
  object({ term: text, proof: bytes }),
  object({ term: text, message: message(toEngine) }),
)
