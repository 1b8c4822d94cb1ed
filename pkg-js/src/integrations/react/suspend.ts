import { failure } from '../shared/errors.js'
import { type ExternalStore, whenTrue } from '../shared/external-store.js'
import type { LiveResult } from '../shared/live-results.js'

/**
 * How long a query that has a result stays without a subscriber, in milliseconds: React renders the component again when the promise of a
 * suspended render resolves, later while siblings are loading, and subscribes when all are rendered.
 */
const heldMs = 5_000

/** The same after an error, so that an error boundary which renders again soon runs the query again. */
const heldAfterErrorMs = 1_000

/** Suspends the render until the value of a store fulfils a condition. Throws `unsupported_environment` on a server. */
export function suspendUntil<T>(store: ExternalStore<T>, condition: (value: T) => boolean, hook: string): never {
  requireBrowser(hook)
  throw whenTrue(store, condition)
}

/** Suspends the render until a query has a result, and keeps that result until the component has mounted. Throws as {@link suspendUntil}. */
export function suspendUntilLoaded<T>(results: ExternalStore<LiveResult<T>>, hook: string): never {
  requireBrowser(hook)
  const release = results.subscribe(() => {})
  throw whenTrue(results, ({ loading }) => !loading).then(({ error }) => {
    setTimeout(release, error ? heldAfterErrorMs : heldMs)
  })
}

/** On a server no effect runs, so that nothing would ever end the suspension. */
function requireBrowser(hook: string): void {
  if (typeof window !== 'undefined') return
  throw failure(
    'unsupported_environment',
    `${hook} waits for the browser, and this is a server`,
    'React renders it in the browser; useLiveQuery renders on a server, too',
  )
}
