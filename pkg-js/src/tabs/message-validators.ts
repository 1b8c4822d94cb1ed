import { op } from '../engine/core.js'
import type { CoreOptions } from '../engine/core-options.js'
import type { Work } from '../engine/work.js'
import type { ClientSession } from '../rpc/client-session.js'
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
  text,
  type Validator,
  whole,
} from './validators.js'

// Validators of all messages of other tabs. Any script of the same origin can send anything.

const operation = oneOf(...Object.values(op))
const limit = maybe(object({ timeoutMs: number, since: number }))
const writeId = maybe(object({ id: whole, acknowledged: whole, again: flag }))
const areas = list((value) => {
  if (!object({ bytes: whole, names: text })(value)) return false
  const { buffer, bytes } = value as { buffer: unknown; bytes: number }
  return buffer instanceof ArrayBuffer && bytes <= buffer.byteLength
})
const window = object({ limit: maybe(whole), offset: maybe(whole) })
/** The validators of {@link Work}, by its kind. */
const works: Readonly<Record<Work[0], readonly Validator[]>> = {
  statement: [operation, text, areas],
  batch: [list(object({ sql: text, params: areas }))],
  script: [text],
  explain: [text],
  live: [
    object({ id: whole, reads: whole, rows: whole, sql: text, mode: oneOf('object', 'array'), window: maybe(window) }),
    areas,
  ],
}
const work: Validator = (value) => Array.isArray(value) && has(works, value[0], value.slice(1), [])

/** The methods of an engine that a follower may call, with the validators of their arguments. */
const toEngine: Readonly<Record<keyof ClientSession['handlers'], readonly Validator[]>> = {
  run: [work, whole, limit, writeId],
  acquire: [limit],
  release: [whole],
  begin: [whole, flag],
  commit: [whole, whole, writeId],
  rollback: [whole, whole],
  stored: [whole],
  watch: [text, maybe(areas)],
  unwatch: [whole],
  core: [text],
  subscribe: [text],
  actor: [maybe(text)],
  applied: [whole],
}

const otherEvent: Validator = (value) => text(value) && value !== 'syncCall'
/** A follower repeats the call when it leads, and its engine checks no arguments. */
const syncCall = object({ intervalMs: either(oneOf(null), number), order: number })

/** The methods of a follower that an engine may call. */
const toFollower: Readonly<Record<string, readonly Validator[]>> = {
  event: [
    either(object({ type: otherEvent, detail: object({}) }), object({ type: oneOf('syncCall'), detail: syncCall })),
  ],
}

/** A serialized error with its causes, at most 16 deep. */
function thrown(value: unknown, depth = 0): boolean {
  if (depth > 16 || !object({})(value)) return false
  const { cause } = value as { cause?: unknown }
  const ours = object({ ours: object({ code: text, message: text, hint: maybe(text), details: maybe(object({})) }) })
  const other = object({ name: text, message: text, stack: maybe(text) })
  return either(ours, other, object({ text }))(value) && (cause === undefined || thrown(cause, depth + 1))
}

/** A cancellation: only a follower's calls can be cancelled. */
const cancellation = object({ cancel: whole })
/** An answer, or a call of a function among the arguments: only a leader sends them, because its engine awaits nothing of a follower. */
const answer = either(
  (value) => object({ answer: whole })(value) && 'value' in (value as object),
  object({ answer: whole, thrown: (error) => thrown(error) }),
  object({ answer: whole, cancelled: oneOf(true) }),
  object({ called: whole, which: whole, args: list(anything) }),
)

/** A message of a {@link import('../rpc/channel.js').Channel}: a call of one of these methods, or another one that is valid. */
const message =
  (methods: Readonly<Record<string, readonly Validator[]>>, other: Validator): Validator =>
  (value) => {
    if (!object({ method: text })(value)) return other(value)
    const { method, args, functions = [] } = value as { method: string; args: unknown[]; functions?: number[] }
    const isCall = object({
      id: whole,
      args: list(anything),
      functions: maybe(list(whole)),
      cancellable: oneOf(undefined, true),
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

const info = object({
  integers: oneOf(...(['auto', 'bigint', 'number'] satisfies CoreOptions['integers'][])),
  migrations: maybe(list(object({ version: text, checksum: maybe(text) }))),
  migrate: flag,
  outOfOrder: oneOf(...(['error', 'apply'] satisfies CoreOptions['outOfOrder'][])),
})

/** A message to all tabs. */
export const broadcast = either(object({ hello: text, nonce: text, info }), object({ term: text }))

/** A message from the leader to one tab. */
export const leaderMessage = either(
  object({ term: text, say: oneOf('welcome', 'pong', 'soon', 'leaving') }),
  object({ term: text, challenge: text, nonce: text, proof: bytes }),
  object({ term: text, refused: (error) => thrown(error) }),
  object({ term: text, message: message(toFollower, answer) }),
)

/** A message from one tab to the leader. */
export const tabMessage = either(
  object({ term: text, say: oneOf('ping', 'bye', 'handOver') }),
  object({ term: text, proof: bytes }),
  object({ term: text, message: message(toEngine, cancellation) }),
)
