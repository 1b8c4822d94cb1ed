// Records events of the database and samples of its health while the panel is open, so that views can show what happened before.
import type { Database, DatabaseEventMap, Health, RequestEvent } from '../../index.js'

/** An event, with when it came. */
export interface Recorded {
  readonly time: string
  readonly type: string
  readonly text: string
  /** How long the step took that ended with it, in milliseconds. */
  readonly ms?: number | undefined
}

/** One sample of the health. */
export interface Sample {
  /** Milliseconds since 1970. */
  readonly at: number
  readonly health: Health
}

export interface Recorder {
  readonly sync: readonly Recorded[]
  readonly requests: readonly RequestEvent[]
  readonly lifecycle: readonly Recorded[]
  readonly samples: readonly Sample[]
  /** Asks for the health now, and keeps it as a sample. */
  sample(): Promise<Health>
  stop(): void
}

/** The most events, requests and samples that are kept. */
const kept = 300
const sampleMs = 2000

export function createRecorder(db: Database): Recorder {
  const sync: Recorded[] = []
  const requests: RequestEvent[] = []
  const lifecycle: Recorded[] = []
  const samples: Sample[] = []
  let phaseSince = performance.now()
  const stopped = new AbortController()

  function listen<K extends keyof DatabaseEventMap>(type: K, record: (detail: DatabaseEventMap[K]['detail']) => void) {
    db.addEventListener(type, (event: DatabaseEventMap[K]) => record(event.detail), { signal: stopped.signal })
  }
  listen('sync', ({ phase, error }) => {
    const now = performance.now()
    const text = error === undefined ? phase : `${phase}: ${error.message}`
    add(sync, { type: phase, text, ms: sync.length > 0 ? now - phaseSince : undefined })
    phaseSince = now
  })
  listen('request', (request) => keep(requests, request))
  listen('role', ({ role }) => add(lifecycle, { type: 'role', text: role }))
  listen('lock', ({ state }) => add(lifecycle, { type: 'lock', text: state }))
  listen('close', ({ reason, message }) => add(lifecycle, { type: 'close', text: message ?? reason }))
  listen('warning', ({ code, message }) => add(lifecycle, { type: 'warning', text: `${code}: ${message}` }))

  async function sample(): Promise<Health> {
    const health = await db.health()
    keep(samples, { at: Date.now(), health })
    return health
  }
  const timer = setInterval(() => {
    if (!document.hidden && !db.closed) void sample()
  }, sampleMs)
  return {
    sync,
    requests,
    lifecycle,
    samples,
    sample,
    stop() {
      clearInterval(timer)
      stopped.abort()
    },
  }
}

function add(list: Recorded[], event: Omit<Recorded, 'time'>): void {
  keep(list, { ...event, time: new Date().toISOString() })
}

function keep<T>(list: T[], entry: T): void {
  list.push(entry)
  if (list.length > kept) list.shift()
}
