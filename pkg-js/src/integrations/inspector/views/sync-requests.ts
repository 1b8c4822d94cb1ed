// The requests to the remote while the inspector is open, the newest first.
import type { RequestEvent } from '../../../index.js'
import type { Context } from '../context.js'
import { type Child, empty, h } from '../dom.js'
import { count, millis, size, timeOfDay } from '../format.js'
import { textGrid } from '../grid.js'

/** The most requests that are shown. */
const shownRequests = 100

export function requestList({ recorder: { requests } }: Context): HTMLElement {
  if (requests.length === 0) return empty('None since the inspector was opened.')
  return h(
    'div',
    { class: 'stack' },
    textGrid(
      'Requests',
      ['time', 'method', 'status', 'path', 'rows', 'sent', 'received', 'took', 'error'],
      requests.slice(-shownRequests).reverse().map(rowOf),
    ),
    requests.length > shownRequests && h('p', { class: 'soft' }, `The last ${shownRequests} are shown.`),
  )
}

function rowOf({ at, method, url, status, rows, sentBytes, receivedBytes, ms, error }: RequestEvent): Child[] {
  const isFlaw = error !== null || (status !== null && status >= 400)
  return [
    timeOfDay(at),
    method,
    h('span', { class: isFlaw ? 'badge failed' : 'badge' }, status ?? 'none'),
    h('code', { title: url }, pathOf(url)),
    rows === null ? '' : count(rows),
    sentBytes === 0 ? '' : size(sentBytes),
    size(receivedBytes),
    millis(ms),
    error === null ? '' : h('span', { class: 'flaw wrap' }, error),
  ]
}

function pathOf(url: string): string {
  return URL.canParse(url) ? new URL(url).pathname : url
}
