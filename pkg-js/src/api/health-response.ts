import { reading } from '../base/check.js'
import { invalid } from '../base/errors.js'
import type { Alert, Health, TidelockErrorJson } from '../base/generated-types.js'

/**
 * Returns the health of a database or a group as an HTTP response, for a service worker or a Node route at `/health`. The status is 200, or
 * 503 when the health is `failed`. The route may be public, so errors are reduced to code and time, alerts to the part before a quote, and
 * slow statements to their times. Rejects with `invalid_argument` for a value without `health`.
 *
 * @example
 * ```ts
 * self.addEventListener('fetch', (event) => {
 *   if (new URL(event.request.url).pathname === '/health') event.respondWith(healthResponse(db))
 * })
 * ```
 */
export async function healthResponse(db: { health(): Promise<Pick<Health, 'status'>> }): Promise<Response> {
  if (reading('The database', () => typeof db?.health) !== 'function')
    throw invalid('healthResponse needs a database or a group')
  const health = await db.health()
  return new Response(JSON.stringify(health, withoutSecrets), {
    status: health.status === 'failed' ? 503 : 200,
    headers: { 'content-type': 'application/json', 'cache-control': 'no-store' },
  })
}

/** Removes what a public route may not show. For JSON.stringify, which calls it with each property. */
function withoutSecrets(key: string, value: unknown): unknown {
  if (key === 'lastError' && value !== null) {
    const { code, details } = value as TidelockErrorJson
    return { code, time: details.time ?? null }
  }
  if (key === 'alerts' && Array.isArray(value)) return value.map(withoutQuote)
  if (key === 'slow' && Array.isArray(value)) return value.map(withoutText)
  return value
}

/** Removes the text and the plan of a statement, which may contain values. */
function withoutText({ sql: _, plan: __, ...times }: Health['queries']['slow'][number]): object {
  return times
}

/** Removes the quoted error message of an alert, which follows a colon. */
function withoutQuote({ code, severity, message }: Alert): Alert {
  return { code, severity, message: message.split(': ', 1)[0] as string }
}
