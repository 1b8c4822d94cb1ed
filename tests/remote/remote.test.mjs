// Trouble on demand, schema changes, and the end of the remote: what the other tests take for granted about it.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { after, before, beforeEach, test } from 'node:test'
import { until } from '../scenarios/run/context.mjs'
import { startRemote } from './index.mjs'

let remote

before(async () => {
  remote = await startRemote({ seed: 'shop' })
})
after(() => remote?.stop())
beforeEach(() => {
  remote.faults.clear()
  remote.stats.reset()
})

/** Asks the API as the anonymous user, with the given headers on top. */
function api(path, { headers, ...init } = {}) {
  return fetch(`${remote.url}/rest/v1${path}`, { ...init, headers: { apikey: remote.anonKey, ...headers } })
}

test('a status comes so many times as asked, with its headers', async () => {
  const fault = remote.faults.add({ status: 429, headers: { 'retry-after': '1' }, times: 2, skip: 1, table: 'orders' })
  const statuses = []
  for (let i = 0; i < 4; i++) statuses.push((await api('/orders?limit=1')).status)
  assert.deepEqual(statuses, [200, 429, 429, 200])
  assert.equal(fault.met, 2)
  assert.equal(remote.stats.of('orders', 'GET'), 4)
  assert.deepEqual(
    remote.stats.requests.map((request) => request.status),
    statuses,
  )
})

test('connections drop and bodies break, with and without gzip', async () => {
  remote.faults.add({ drop: true })
  await assert.rejects(api('/orders'), TypeError)
  for (const encoding of ['gzip', 'identity']) {
    remote.faults.add({ cut: 0.5 })
    const response = await api('/orders', { headers: { 'accept-encoding': encoding } })
    assert.equal(response.status, 200)
    await assert.rejects(response.text(), TypeError)
    remote.faults.add({ truncate: 0.5 })
    const shorter = await (await api('/orders', { headers: { 'accept-encoding': encoding } })).text()
    assert.throws(() => JSON.parse(shorter), SyntaxError)
  }
})

test('answers come late, slowly, or not at all though the request took effect', async () => {
  remote.faults.add({ delayMs: 200 })
  let started = performance.now()
  await (await api('/customers?limit=1')).text()
  assert.ok(performance.now() - started >= 190)
  remote.faults.add({ bytesPerSecond: 20_000 })
  started = performance.now()
  await (await api('/customers?limit=30', { headers: { 'accept-encoding': 'identity' } })).text()
  assert.ok(performance.now() - started >= 200)
  remote.faults.add({ lostReply: true })
  const lost = { method: 'PATCH', body: '{"stock":123456}', headers: { 'content-type': 'application/json' } }
  await assert.rejects(api('/products?sku=eq.FR-01000', lost), TypeError)
  assert.equal((await remote.sql("select stock from products where sku = 'FR-01000'"))[0].stock, '123456')
})

test('a new table is known, also when PostgREST is loading the schema by itself after an error of class 08', async () => {
  await remote.sql(`create function unreachable() returns int language plpgsql as
    $$ begin raise exception 'no' using errcode = '08001'; end $$`)
  // It begins 100 ms later, and takes some 50 ms: each table is made at another point of it.
  for (const ms of [100, 115, 130, 145, 160]) {
    assert.equal((await api('/rpc/unreachable')).status, 503)
    await new Promise((resolve) => setTimeout(resolve, ms))
    await remote.sql(`create table known_${ms} (id int primary key)`)
    // For a write, unlike for a read, PostgREST needs the table in its schema cache.
    const headers = { 'content-type': 'application/json' }
    const { status } = await api(`/known_${ms}`, { method: 'POST', headers, body: '{"id": 1}' })
    assert.equal(status, 201, `${ms} ms`)
  }
})

test('a changed schema is there when sql() resolves', async () => {
  await remote.sql('create table fresh (id int primary key)')
  const body = { method: 'POST', body: '{"id":1}', headers: { 'content-type': 'application/json' } }
  assert.equal((await api('/fresh', body)).status, 201)
  await remote.sql('drop table fresh')
  assert.equal((await api('/fresh')).status, 404)
})

test('nothing is left behind, however the process ends', async () => {
  const module = JSON.stringify(new URL('./index.mjs', import.meta.url).href)
  const program = `
    const { startRemote } = await import(${module})
    const { readdirSync, readFileSync } = await import('node:fs')
    const remote = await startRemote()
    const [{ data }] = await remote.sql("select current_setting('data_directory') as data")
    console.log(data)
    setInterval(() => {}, 1000)
    process.on('message', () => { throw new Error('uncaught') })`
  for (const end of ['SIGINT', 'SIGTERM', 'SIGKILL', 'uncaught']) {
    const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
      stdio: ['ignore', 'pipe', 'ignore', 'ipc'],
    })
    const folder = await new Promise((resolve) =>
      child.stdout.once('data', (data) =>
        resolve(
          String(data)
            .trim()
            .replace(/\/data$/, ''),
        ),
      ),
    )
    assert.ok(existsSync(folder))
    assert.ok(processesIn(folder).length >= 2, 'the check sees the processes while they live')
    if (end === 'uncaught') child.send('now')
    else child.kill(end)
    await until(() => processesIn(folder).length === 0 && !existsSync(folder))
  }
})

/** The pids of the processes whose command line or environment names the folder. */
function processesIn(folder) {
  return readdirSync('/proc').filter((pid) => {
    if (!/^\d+$/.test(pid) || Number(pid) === process.pid) return false
    try {
      return [`/proc/${pid}/cmdline`, `/proc/${pid}/environ`].some((file) =>
        readFileSync(file, 'latin1').includes(folder),
      )
    } catch {
      return false // ended meanwhile, or not ours to read
    }
  })
}
