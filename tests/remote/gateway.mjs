// Supabase's edge, played in plain Node: the /rest/v1 prefix, the API key, CORS, gzip, and troubles on demand.
// Everything else passes through untouched to PostgREST.
import { once } from 'node:events'
import http from 'node:http'
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import { Faults } from './faults.mjs'
import { Realtime } from './realtime.mjs'

const compress = promisify(gzip)

/** What Supabase lets a page's code read. `Retry-After` isn't among them. */
const EXPOSED =
  'Content-Encoding, Content-Location, Content-Range, Content-Type, Date, Location, Server, Transfer-Encoding, Range-Unit'

/** The requests that arrived, preflights apart. */
class Stats {
  /** @type {{ method: string, path: string, table: string, status: number, ms: number, bytes: number, fault: boolean, headers: object }[]} */
  requests = []
  preflights = 0

  get count() {
    return this.requests.length
  }

  /** How many requests named this table, by this method if one is given. */
  of(table, method) {
    return this.requests.filter((request) => request.table === table && (!method || request.method === method)).length
  }

  reset() {
    this.requests = []
    this.preflights = 0
  }
}

/**
 * Listens on a free loopback port → `{ url, faults, stats, realtime, close() }`.
 * `keys` maps an API key to `{ secret: boolean, token?: string }`; `token` replaces a missing Authorization.
 * `latencyMs`: how long every request waits, preflights too. `maxAge`: for how many seconds a preflight is good.
 */
export async function startGateway({ socketPath, keys, prefix = '/rest/v1', port = 0, latencyMs = 0, maxAge = 3600 }) {
  const faults = new Faults()
  const stats = new Stats()
  const realtime = new Realtime(keys)
  const agent = new http.Agent({ keepAlive: true })

  const server = http.createServer((request, response) => {
    const started = performance.now()
    const cors = corsHeaders(request, maxAge)
    if (request.method === 'OPTIONS') {
      stats.preflights++
      const allow = () => response.writeHead(200, cors).end()
      if (latencyMs > 0) setTimeout(allow, latencyMs)
      else allow()
      return
    }
    const inner = request.url.startsWith(prefix) ? request.url.slice(prefix.length) || '/' : undefined
    const path = inner?.startsWith('/') ? inner : inner === undefined ? undefined : `/${inner}`
    const entry = {
      method: request.method,
      path: path ?? request.url,
      table: decodeURIComponent((path ?? '').slice(1).split(/[?/]/)[0]),
      status: 0,
      ms: 0,
      bytes: 0,
      fault: false,
      headers: request.headers,
    }
    stats.requests.push(entry)
    answer(request, response, path, entry, cors)
      .catch(() => response.destroy())
      .finally(() => (entry.ms = performance.now() - started))
  })

  async function answer(request, response, path, entry, cors) {
    const url = new URL(request.url, 'http://gateway')
    const fault = faults.take(entry)
    entry.fault = fault !== undefined
    const delayMs = latencyMs + (fault?.delayMs ?? 0)
    if (delayMs > 0) await pause(delayMs)
    if (fault?.drop) return void request.socket.destroy()
    if (fault?.status) {
      const text =
        typeof fault.body === 'string' ? fault.body : JSON.stringify(fault.body ?? { message: `fault ${fault.status}` })
      request.resume()
      return reply(
        request,
        response,
        entry,
        fault.status,
        { ...cors, 'content-type': 'application/json', ...fault.headers },
        Buffer.from(text),
        {},
      )
    }
    const own = (status, body) => {
      request.resume()
      return reply(
        request,
        response,
        entry,
        status,
        { ...cors, 'content-type': 'application/json' },
        Buffer.from(JSON.stringify(body)),
        {},
      )
    }
    if (path === undefined) return own(404, { message: 'no Route matched with those values' })
    const key = keys.get(request.headers.apikey ?? url.searchParams.get('apikey'))
    if (request.headers.apikey === undefined && !url.searchParams.has('apikey')) {
      return own(401, {
        message: 'No API key found in request',
        hint: 'No `apikey` request header or url param was found.',
      })
    }
    if (!key) {
      return own(401, {
        message: 'Invalid API key',
        hint: 'Double check your Supabase `anon` or `service_role` API key.',
      })
    }
    if (entry.table === '' && !key.secret) {
      return own(401, {
        message: 'Access to schema is forbidden',
        hint: 'Accessing the schema via the Data API is only allowed using a secret API key.',
      })
    }
    const upstream = await forward(request, path, key, { agent, socketPath })
    const body = await readAll(upstream)
    if (fault?.lostReply) return void request.socket.destroy()
    const headers = { ...upstream.headers, ...cors }
    delete headers['content-length']
    delete headers['transfer-encoding']
    delete headers.connection
    return reply(request, response, entry, upstream.statusCode, headers, body, fault ?? {})
  }

  server.on('upgrade', (request, socket) => realtime.upgrade(request, socket))
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    faults,
    stats,
    realtime,
    async close() {
      agent.destroy()
      realtime.kill()
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

function corsHeaders(request, maxAge) {
  return {
    'access-control-allow-origin': '*',
    'access-control-allow-methods': 'GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS',
    'access-control-allow-headers':
      request.headers['access-control-request-headers'] ?? 'authorization, apikey, content-type',
    'access-control-expose-headers': EXPOSED,
    'access-control-max-age': String(maxAge),
  }
}

/** Sends the request on to PostgREST → its response. */
async function forward(request, path, key, { agent, socketPath }) {
  const headers = { ...request.headers, host: 'localhost' }
  delete headers.apikey
  delete headers.origin // CORS is ours
  delete headers['accept-encoding']
  delete headers.connection
  if (key.token && headers.authorization === undefined) headers.authorization = `Bearer ${key.token}`
  const target = path.includes('apikey=') ? path.replace(/([?&])apikey=[^&]*&?/, '$1').replace(/[?&]$/, '') : path
  const upstream = http.request({ socketPath, agent, method: request.method, path: target, headers })
  request.pipe(upstream)
  const [response] = await once(upstream, 'response')
  return response
}

async function readAll(stream) {
  const parts = []
  for await (const part of stream) parts.push(part)
  return Buffer.concat(parts)
}

async function reply(request, response, entry, status, headers, body, { cut, truncate, bytesPerSecond }) {
  entry.status = status
  const bare = request.method === 'HEAD' || status === 204 || status === 304
  let bytes = body
  if (truncate !== undefined) bytes = bytes.subarray(0, Math.floor(bytes.length * truncate))
  const gzipped = !bare && bytes.length > 1000 && /\bgzip\b/.test(request.headers['accept-encoding'] ?? '')
  if (gzipped) {
    bytes = await compress(bytes)
    headers['content-encoding'] = 'gzip'
    headers.vary = 'Accept-Encoding'
  }
  if (!bare) headers['content-length'] = bytes.length
  response.writeHead(status, headers)
  if (bare) return void response.end()
  if (cut !== undefined) bytes = bytes.subarray(0, Math.floor(bytes.length * cut))
  entry.bytes = bytes.length
  if (bytesPerSecond) {
    const step = Math.max(1, Math.floor(bytesPerSecond / 20))
    for (let at = 0; at < bytes.length && !response.destroyed; at += step) {
      response.write(bytes.subarray(at, at + step))
      await pause(50)
    }
  } else {
    await new Promise((resolve) => (bytes.length === 0 ? resolve() : response.write(bytes, resolve)))
  }
  // Once what was written is on its way, the connection breaks with less than the announced length.
  if (cut !== undefined) return void setTimeout(() => request.socket.destroy(), 20)
  response.end()
}

function pause(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
