import type { OpenOptions } from '../options/options.js'
import { workerFailed } from '../rpc/worker-session.js'

/** The part of Trusted Types that is used here; the types of TypeScript don't have it. */
interface TrustedTypes {
  createPolicy(name: string, rules: { createScriptURL(url: string): string }): { createScriptURL(url: string): string }
}

/** Starts the worker of a database. Throws `wasm_load_failed`. */
export function startWorker(worker: OpenOptions['worker']): Worker {
  try {
    if (typeof worker === 'function') {
      const made: Worker | undefined = worker()
      if (typeof made?.postMessage === 'function') return made
      throw new TypeError('The function worker returned no Worker')
    }
    return new Worker(trusted(sameOrigin(worker ?? workerUrl())), { type: 'module' })
  } catch (cause) {
    throw workerFailed(cause instanceof Error ? cause.message : undefined, cause)
  }
}

/**
 * Returns the URL of the package's worker, in a form that bundlers recognise as a file to copy. Within `new Worker(…)`, they would rewrite the
 * whole expression, and the URL would have no chance to become a trusted or a same-origin one.
 */
function workerUrl(): URL {
  // Vite's dependency optimizer moves this module to node_modules/.vite/deps and leaves the worker behind.
  const here = import.meta.url
  if (here.includes('/.vite/deps/')) return new URL('../../tidelock/dist/worker.js', here)
  return new URL('./worker.js', import.meta.url)
}

/** Returns the URL of a script of this origin that imports the given one, because browsers start no worker from another origin. */
function sameOrigin(url: URL): string {
  if (!/^https?:$/.test(url.protocol) || url.origin === location.origin) return url.href
  // Never revoked: browsers differ in when they read it, and it is 100 bytes.
  return URL.createObjectURL(new Blob([`import ${JSON.stringify(url.href)}`], { type: 'text/javascript' }))
}

let policy: ReturnType<TrustedTypes['createPolicy']> | undefined

/**
 * Returns the URL as a `TrustedScriptURL`, which a page whose Content-Security-Policy says `require-trusted-types-for 'script'` asks of each
 * worker. Where the page doesn't allow the policy `tidelock`, and where there are no Trusted Types, returns the text.
 */
function trusted(url: string): string {
  const { trustedTypes } = globalThis as { trustedTypes?: TrustedTypes }
  try {
    policy ??= trustedTypes?.createPolicy('tidelock', { createScriptURL: (text) => text })
  } catch {
    return url
  }
  return policy?.createScriptURL(url) ?? url
}
