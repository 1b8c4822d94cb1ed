// Supabase Realtime, played in plain Node as far as tests need it: Phoenix's protocol (version 1, JSON) over WebSockets, one channel at a
// time on each, which gets the changes in the tables that it asked for. What changed, a test says.
import { createHash } from 'node:crypto'

const PATH = '/realtime/v1/websocket'
const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'

export class Realtime {
  /** Why joins are refused; undefined: they aren't. */
  refuse
  /** While true, sockets aren't accepted. */
  down = false
  /** What was asked for by each join: `{ topic, changes, token }`. */
  joins = []
  /** The tokens that came later. */
  tokens = []
  heartbeats = 0
  #keys
  #clients = new Set()

  /** `keys`: those of the gateway. */
  constructor(keys) {
    this.#keys = keys
  }

  /** The channels that are open. */
  get channels() {
    return [...this.#clients].filter((client) => client.channel !== undefined).length
  }

  reset() {
    this.refuse = undefined
    this.down = false
    this.joins = []
    this.tokens = []
    this.heartbeats = 0
  }

  /** Sends it to all channels that asked for this table. */
  changed(table, { schema = 'public', type = 'UPDATE', record = {} } = {}) {
    const data = {
      schema,
      table,
      type,
      record,
      old_record: {},
      columns: [],
      errors: null,
      commit_timestamp: new Date(),
    }
    for (const client of this.#clients) {
      const ids = (client.channel?.changes ?? [])
        .map((change, id) => ({ ...change, id }))
        .filter((change) => change.schema === schema && (change.table === undefined || change.table === table))
        .map((change) => change.id)
      if (ids.length > 0) client.send(client.channel.topic, 'postgres_changes', { ids, data })
    }
  }

  /** Breaks all connections, without a word. */
  kill() {
    for (const client of this.#clients) client.socket.destroy()
  }

  /** Takes a connection over: the listener of a server's `upgrade` event. */
  upgrade(request, socket) {
    const url = new URL(request.url, 'http://gateway')
    const refuse = (status) => socket.end(`HTTP/1.1 ${status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`)
    if (url.pathname !== PATH || this.down) return refuse('404 Not Found')
    if (!this.#keys.has(url.searchParams.get('apikey'))) return refuse('401 Unauthorized')
    const accept = createHash('sha1').update(`${request.headers['sec-websocket-key']}${GUID}`).digest('base64')
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-accept: ${accept}\r\n\r\n`,
    )
    const client = {
      socket,
      channel: undefined,
      send: (topic, event, payload, ref = null) => socket.write(frame(JSON.stringify({ topic, event, payload, ref }))),
    }
    this.#clients.add(client)
    socket.on('close', () => this.#clients.delete(client))
    socket.on('error', () => socket.destroy())
    let left = Buffer.alloc(0)
    socket.on('data', (bytes) => {
      left = Buffer.concat([left, bytes])
      for (let read = unframe(left); read !== undefined; read = unframe(left)) {
        left = left.subarray(read.length)
        if (read.opcode === 1) this.#said(client, JSON.parse(read.text))
        else if (read.opcode === 8) socket.end(frame('', 8))
      }
    })
  }

  #said(client, { topic, event, payload, ref }) {
    const reply = (status, response = {}) => client.send(topic, 'phx_reply', { status, response }, ref)
    if (topic === 'phoenix' && event === 'heartbeat') {
      this.heartbeats++
      reply('ok')
    } else if (event === 'phx_join') {
      const changes = payload.config.postgres_changes
      this.joins.push({ topic, changes, token: payload.access_token })
      if (this.refuse !== undefined) return void reply('error', { reason: this.refuse })
      client.channel = { topic, changes }
      reply('ok', { postgres_changes: changes.map((change, id) => ({ ...change, id })) })
      client.send(topic, 'system', {
        channel: topic.replace('realtime:', ''),
        extension: 'postgres_changes',
        message: 'Subscribed to PostgreSQL',
        status: 'ok',
      })
    } else if (event === 'access_token') {
      this.tokens.push(payload.access_token)
    }
  }
}

/** One text (opcode 1) or closing (8) frame, as servers send it. */
function frame(text, opcode = 1) {
  const payload = Buffer.from(text)
  const { length } = payload
  const head = length < 126 ? Buffer.alloc(2) : length < 65536 ? Buffer.alloc(4) : Buffer.alloc(10)
  head[0] = 0x80 | opcode
  if (length < 126) head[1] = length
  else if (length < 65536) {
    head[1] = 126
    head.writeUInt16BE(length, 2)
  } else {
    head[1] = 127
    head.writeBigUInt64BE(BigInt(length), 2)
  }
  return Buffer.concat([head, payload])
}

/** The first frame of what a browser sent, which is masked; undefined when it isn't complete. */
function unframe(bytes) {
  if (bytes.length < 2) return undefined
  let at = 2
  let size = bytes[1] & 0x7f
  if (size === 126) {
    if (bytes.length < 4) return undefined
    size = bytes.readUInt16BE(2)
    at = 4
  } else if (size === 127) {
    if (bytes.length < 10) return undefined
    size = Number(bytes.readBigUInt64BE(2))
    at = 10
  }
  const length = at + 4 + size
  if (bytes.length < length) return undefined
  const mask = bytes.subarray(at, at + 4)
  const payload = Buffer.from(bytes.subarray(at + 4, length))
  for (let index = 0; index < size; index++) payload[index] ^= mask[index % 4]
  return { opcode: bytes[0] & 0x0f, text: payload.toString(), length }
}
