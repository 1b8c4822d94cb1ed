// A simulated remote that mostly answers like PostgREST, and sometimes with malformed answers. The same seed gives the same answers.
import { mutatedBytes, mutatedText, Random } from './random.mjs'

/** More requests than this mean an endless loop. */
const mostRequests = 400

const statuses = [
  200, 201, 204, 206, 300, 301, 304, 307, 400, 401, 403, 404, 406, 408, 409, 412, 416, 422, 429, 500, 502, 503, 599,
]
const headers = {
  'content-range': ['0-4/5', '*/*', '*/0', '0-0/99999999999999999999', 'x', '-'],
  'retry-after': ['0', '-1', '1', 'Wed, 21 Oct 2015 07:28:00 GMT', 'x'],
  date: ['x', 'Wed, 21 Oct 9999 07:28:00 GMT', 'Thu, 01 Jan 1970 00:00:00 GMT'],
  location: ['http://elsewhere.example/rest/v1/notes', '/', 'x:y', ''],
  'content-type': ['text/html', 'application/octet-stream', 'application/json; charset=utf-16', ''],
  'preference-applied': ['count=none', 'x'],
  'content-length': ['0', '99999999999'],
  'x-long': ['x'.repeat(1_000_000)],
  'www-authenticate': ['Bearer the-key-of-this-project', 'Basic realm="\u00ff"'],
}
/** Headers whose values are numbers or dates, which may be of any length. */
const longHeaders = ['content-range', 'retry-after', 'date', 'location', 'preference-applied']
const values = [
  'null',
  'true',
  '1',
  '-0',
  '1e400',
  '9223372036854775808',
  '0.1',
  '"text"',
  '"2024-01-01T00:00:00+00:00"',
  '"\\\\x00ff"',
  '"\\ud800"',
  '{}',
  '[[]]',
  '"\\u0000"',
  '9'.repeat(100_000),
  `1e-${'9'.repeat(100)}`,
  `${'['.repeat(100_000)}${']'.repeat(100_000)}`,
  `${'{"a":'.repeat(100_000)}1${'}'.repeat(100_000)}`,
]
const errors = [
  'PGRST100',
  'PGRST106',
  'PGRST116',
  'PGRST125',
  'PGRST202',
  'PGRST205',
  'PGRST301',
  '23505',
  '23503',
  '23514',
  '42501',
  '42P01',
  '42703',
  '57014',
  'XX000',
  '',
]

/** Returns `fetch`, and how often it was called. `retried` false: without answers that clients retry, for clients that can't turn retries off. */
export function answering(seed, retried = true) {
  const random = new Random(seed)
  // The percentage of malformed answers: none, some, nearly all.
  const odd = random.pick([0, 5, 20, 60, 95])
  const rows = random.pick([0, 1, 12, 30])
  const counted = { requests: 0 }
  const fetch = async (url, init = {}) => {
    if (++counted.requests > mostRequests) throw new Error('too many requests')
    if (retried && random.below(400) < odd) return failing(random, init.signal)
    const plain = plainAnswer(random, new URL(url), init, rows)
    return random.below(100) < odd ? oddAnswer(random, plain, retried) : response(plain)
  }
  return { fetch, counted, mostRequests }
}

/** A failed request, one without an answer, or an answer whose body is cut off. */
function failing(random, signal) {
  const kind = random.below(4)
  if (kind === 0) throw new TypeError('fetch failed')
  if (kind === 1) return new Promise((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason)))
  const start = new TextEncoder().encode('[{"id":1,')
  const body = new ReadableStream({
    pull(controller) {
      if (kind === 2) controller.error(new TypeError('terminated'))
      else controller.enqueue(start)
    },
  })
  return new Response(body, { status: 200, headers: { 'content-type': 'application/json' } })
}

/** The well-formed answer of a remote whose tables have that many rows. */
function plainAnswer(random, url, init, rows) {
  const name = url.pathname.split('/').at(-1)
  const method = init.method ?? 'GET'
  const error = (status, code) => ({
    status,
    headers: {},
    body: JSON.stringify({ code, message: 'No', details: null, hint: null }),
  })
  if (name === 'tidelock_state')
    return random.oneIn(2) ? error(404, 'PGRST202') : { status: 200, headers: {}, body: stateOf(random) }
  if (name === 'tidelock_schema')
    return random.oneIn(3) ? error(404, 'PGRST202') : { status: 200, headers: {}, body: schemaText }
  if (/^rpc|tidelock_push/.test(name)) return error(404, 'PGRST202')
  if (name === '' || name === 'v1') return { status: 200, headers: {}, body: openApi }
  if (method === 'POST' || method === 'PATCH')
    return { status: method === 'POST' ? 201 : 200, headers: {}, body: echoed(random, init.body) }
  if (method === 'DELETE') return { status: 200, headers: {}, body: '[]' }
  const columns = (url.searchParams.get('select') ?? '*')
    .split(',')
    .map((column) => column.split(':').at(-1).replace(/::.*$/, ''))
  const asked = columns.includes('*') ? ['id', 'text', 'n', 'updated_at'] : columns
  const after = Number(/id[,.]?(?:=?gt)\.(\d+)/.exec(decodeURIComponent(url.search))?.[1] ?? 0)
  const limit = Number(url.searchParams.get('limit') ?? 1000)
  const ids = Array.from({ length: rows }, (_, n) => n + 1).filter((id) => id > after)
  const page = ids
    .slice(0, limit)
    .map((id) => `{${asked.map((column) => `${JSON.stringify(column)}:${columnText(random, column, id)}`).join()}}`)
  return {
    status: 200,
    headers: { 'content-range': `0-${Math.max(page.length - 1, 0)}/${random.pick(['*', rows])}` },
    body: `[${page.join()}]`,
  }
}

function columnText(random, column, id) {
  if (random.oneIn(200)) return random.pick(values)
  if (column === 'id') return String(id)
  if (column === 'n') return String(id * 10)
  if (column === 'updated_at') return `"2024-01-01T00:00:${String(id % 60).padStart(2, '0')}+00:00"`
  return `"text ${id}"`
}

const echoed = (random, body) => {
  if (random.oneIn(3) || typeof body !== 'string') return '[]'
  return body.startsWith('[') ? body : `[${body}]`
}

const stateOf = (random) =>
  JSON.stringify({
    now: '2024-01-01T00:00:00+00:00',
    xmin: '700',
    tables: [],
    columns: {},
    deleted: [],
    since: random.pick([null, 7]),
  })

const column = (name, type, format) =>
  `"${name}":{"type":"${type}","format":"${format}","description":"Note:\\nThis is a Primary Key.<pk/>"}`
const openApi = `{"swagger":"2.0","definitions":{"notes":{"required":["id"],"properties":{${column('id', 'integer', 'bigint')},${column('text', 'string', 'text')}}}},"paths":{"/notes":{"get":{},"post":{}}}}`
const schemaText =
  '[{"name":"notes","columns":[{"name":"id","type":"int8","notnull":true,"default":null},{"name":"text","type":"text"}],"primaryKey":["id"],"foreignKeys":[],"indexes":[]}]'

/** Changes the status, the headers or the body of an answer. */
function oddAnswer(random, { status, headers: given, body }, retried) {
  const known = retried ? statuses : statuses.filter((one) => one < 500 && one !== 408 && one !== 429)
  const kind = random.below(10)
  const changed = { status, headers: { ...given }, body }
  if (kind < 3) changed.status = random.pick(known)
  if (kind === 3) changed.body = JSON.stringify({ code: random.pick(errors), message: 'No', details: 'x', hint: null })
  if (kind === 3) changed.status = random.pick(known.filter((one) => one >= 400))
  if (kind >= 2 && kind < 5) {
    const name = random.pick(Object.keys(headers))
    changed.headers[name] = random.pick(headers[name])
    if (random.oneIn(20)) for (let n = 0; n < 5000; n++) changed.headers[`x-${n}`] = 'x'
    if (random.oneIn(10)) changed.headers[random.pick(longHeaders)] = '9'.repeat(100_000)
  }
  if (kind >= 4 && kind < 7) changed.body = mutatedText(random, body, [...values, '[', ']', '{', '}', ',', '"id"'])
  if (kind === 7) changed.body = mutatedBytes(random, new TextEncoder().encode(body))
  if (kind === 8)
    changed.body = random.pick([
      '',
      'null',
      '{}',
      '[]',
      '[null]',
      '[1]',
      '[[]]',
      '<html>',
      '[{}]',
      '"x"',
      '{"id":1}',
      '[{"id":{}}]',
    ])
  if (kind === 9) changed.body = random.pick(['[', '{"a":', '"']).repeat(random.pick([1, 200, 100_000, 1_000_000]))
  return response(changed)
}

function response({ status, headers: given, body }) {
  const isEmpty = [204, 304].includes(status)
  return new Response(isEmpty ? null : body, {
    status,
    headers: { 'content-type': 'application/json', date: new Date(1.7e12).toUTCString(), ...given },
  })
}
