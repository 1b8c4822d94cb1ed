// Copies of snapshots outside of the browser's storage, and the way back from them.
import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { createServer } from 'node:http'
import { after, before } from 'node:test'
import { freshName, suite, test } from './harness.mjs'

const context = suite()

/** A bucket as S3 has them: an object is put by a signed URL, whole or not at all, and read back. */
const bucket = {
  secret: 'only the signer and the bucket know it',
  objects: new Map(),
  requests: [],
  /** Answers with these statuses first. */
  failures: [],
  sign(name) {
    const signature = createHmac('sha256', this.secret).update(`PUT /${name}`).digest('hex')
    return `${this.url}/${encodeURIComponent(name)}?X-Signature=${signature}`
  },
  async start() {
    this.server = createServer(async (request, response) => {
      const cors = {
        'access-control-allow-origin': '*',
        'access-control-allow-methods': 'PUT, GET',
        'access-control-allow-headers': '*',
      }
      const answer = (status, body = '') => response.writeHead(status, cors).end(body)
      if (request.method === 'OPTIONS') return answer(204)
      const { pathname, searchParams } = new URL(request.url, this.url)
      const name = decodeURIComponent(pathname.slice(1))
      const chunks = []
      for await (const chunk of request) chunks.push(chunk)
      const body = Buffer.concat(chunks)
      this.requests.push({ method: request.method, name, type: request.headers['content-type'] })
      if (request.method === 'GET') return this.objects.has(name) ? answer(200, this.objects.get(name)) : answer(404)
      if (this.failures.length > 0) return answer(this.failures.shift(), '<Error><Code>SlowDown</Code></Error>')
      if (this.sign(name) !== `${this.url}/${encodeURIComponent(name)}?X-Signature=${searchParams.get('X-Signature')}`)
        return answer(403, '<Error><Code>SignatureDoesNotMatch</Code></Error>')
      if (Number(request.headers['content-length']) !== body.length) return answer(400)
      this.objects.set(name, body)
      return answer(200)
    })
    await new Promise((resolve) => this.server.listen(0, '127.0.0.1', resolve))
    this.url = `http://127.0.0.1:${this.server.address().port}`
  },
}
before(() => bucket.start())
after(() => bucket.server.close())

async function bucketPage() {
  const page = await context.page()
  await page.exposeFunction('sign', (name) => bucket.sign(name))
  return page
}

test('snapshots are copied to a folder, as many as are kept, and come back from there', async () => {
  const page = await context.page()
  const result = await page.evaluate(async (name) => {
    const root = await navigator.storage.getDirectory()
    const folder = await root.getDirectoryHandle(name, { create: true })
    await folder.getFileHandle('notes.txt', { create: true })
    const target = () => tidelock.directoryTarget(folder, { keep: 2 })
    const db = await window.open({ name, snapshots: { targets: [target()] } })
    const events = []
    db.addEventListener('snapshot', ({ detail }) => events.push([detail.state, detail.target, detail.snapshot?.name]))
    await db.exec('CREATE TABLE t (n)')
    const made = []
    for (let n = 1; n <= 3; n++) {
      await db.run('INSERT INTO t VALUES (?)', [n])
      made.push((await db.snapshots.create()).id)
    }
    const names = []
    for await (const each of folder.keys()) names.push(each)
    const status = await db.snapshots.status()
    const health = await db.health()
    await db.run('DELETE FROM t')
    await db.close()
    // Another database, which never had these rows.
    const other = await window.open({ name: `${name}-other` })
    const newest = names
      .filter((each) => each.startsWith('backup-'))
      .sort()
      .at(-1)
    const { id } = await other.snapshots.import(await (await folder.getFileHandle(newest)).getFile())
    await other.snapshots.restore(id)
    const rows = await other.query('SELECT n FROM t ORDER BY n')
    await other.close()
    return { names: names.sort(), made, status, health, rows, events, newest }
  }, freshName())
  assert.equal(result.names.length, 3)
  assert.equal(result.names.at(-1), 'notes.txt', 'what is no backup stays')
  for (const [at, name] of result.names.slice(0, 2).entries()) {
    assert.match(name, /^backup-\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d+Z-.+\.sqlite\.gz$/)
    assert.ok(name.includes(result.made[at + 1]), 'the newest two')
  }
  assert.deepEqual(result.rows, [{ n: 1 }, { n: 2 }, { n: 3 }])
  assert.equal(result.status.targets.length, 1)
  const [target] = result.status.targets
  assert.deepEqual([target.kind, target.lastError, target.consecutiveFailures], ['directory', null, 0])
  assert.ok(target.lastSuccess >= target.lastAttempt)
  assert.ok(!result.health.alerts.some(({ code }) => code === 'snapshot_failing'))
  assert.equal(result.events.filter(([state]) => state === 'copied').length, 3)
  assert.match(result.events.find(([state]) => state === 'copied')[2], /^backup-\d{4}-\d\d-\d\dT\d\d:\d\d/)
})

test('snapshots on time are copied, too', async () => {
  const page = await context.page()
  const names = await page.evaluate(async (name) => {
    const folder = await (await navigator.storage.getDirectory()).getDirectoryHandle(name, { create: true })
    const db = await window.open({ name, snapshots: { intervalMs: 50, targets: [tidelock.directoryTarget(folder)] } })
    await db.exec('CREATE TABLE t (n)')
    const names = await window.until(async () => {
      const names = []
      for await (const each of folder.keys()) names.push(each)
      return names.some((each) => each.endsWith('.gz')) && names
    })
    await db.close()
    return names
  }, freshName())
  assert.ok(names.some((name) => name.startsWith('backup-')))
})

test('snapshots are uploaded to signed URLs, tried again when that fails, and come back from there', async () => {
  const page = await bucketPage()
  bucket.failures = [503, 500]
  const result = await page.evaluate(async (name) => {
    const files = []
    const url = async (file) => {
      files.push(file)
      return window.sign(`${name}/${file.name}`)
    }
    const db = await window.open({
      name,
      snapshots: { compress: false, backoffMs: 50, retries: 3, targets: [tidelock.uploadTarget({ url })] },
    })
    const events = []
    db.addEventListener('snapshot', ({ detail }) => events.push(detail.state))
    await db.exec('CREATE TABLE t (n); INSERT INTO t VALUES (42)')
    const made = await db.snapshots.create({ label: 'kept' })
    const failing = { status: (await db.snapshots.status()).targets[0], health: await db.health() }
    await window.until(() => events.includes('copied'))
    const mended = { status: (await db.snapshots.status()).targets[0], health: await db.health() }
    await db.close()
    const uploaded = await (await fetch((await window.sign(`${name}/${files[0].name}`)).split('?')[0])).blob()
    const other = await window.open({ name: `${name}-other` })
    const { id } = await other.snapshots.import(uploaded)
    await other.snapshots.restore(id)
    const rows = await other.query('SELECT n FROM t')
    await other.close()
    return { made, files, failing, mended, rows, size: uploaded.size }
  }, freshName())
  const { made, files, failing, mended } = result
  assert.equal(files.length, 3, 'each try asks for a URL')
  assert.equal(files[0].name, `backup-${made.createdAt}-${made.id}.sqlite`)
  assert.deepEqual([files[0].id, files[0].label, files[0].size], [made.id, 'kept', result.size])
  assert.equal(failing.status.consecutiveFailures, 1)
  assert.equal(failing.status.lastError.code, 'sync_rejected')
  assert.equal(failing.status.lastError.details.status, 503)
  assert.ok(!failing.status.lastError.message.includes('X-Signature'))
  assert.equal(failing.health.status, 'degraded')
  assert.ok(failing.health.alerts.some(({ code, severity }) => code === 'snapshot_failing' && severity === 'warning'))
  assert.deepEqual([mended.status.lastError, mended.status.consecutiveFailures], [null, 0])
  assert.equal(mended.health.status, 'ok')
  assert.deepEqual(result.rows, [{ n: 42 }])
})

test('a target that never works is given up, and told; the snapshot itself is there', async () => {
  const page = await bucketPage()
  const result = await page.evaluate(async (name) => {
    let asked = 0
    const url = () => {
      asked++
      throw new Error('no way to sign')
    }
    const db = await window.open({
      name,
      snapshots: { backoffMs: 10, retries: 2, targets: [tidelock.uploadTarget({ url })] },
    })
    const events = []
    db.addEventListener('snapshot', ({ detail }) => detail.state !== 'created' && events.push(detail))
    const made = await db.snapshots.create()
    await window.until(() => events.length > 0)
    const listed = (await db.snapshots.list()).map(({ id }) => id)
    await db.close()
    return { asked, events, made, listed }
  }, freshName())
  assert.equal(result.asked, 3)
  assert.equal(result.events.length, 1)
  assert.deepEqual([result.events[0].state, result.events[0].target], ['not_copied', 'upload'])
  assert.match(result.events[0].error.message, /no way to sign/)
  assert.deepEqual(result.listed, [result.made.id])
})

test('the copies of an encrypted database are encrypted, after a rekey by the new passphrase', async () => {
  const page = await context.page()
  const result = await page.evaluate(async (name) => {
    const folder = await (await navigator.storage.getDirectory()).getDirectoryHandle(name, { create: true })
    const db = await window.open({
      name,
      encryption: { passphrase: 'first words' },
      snapshots: { targets: [tidelock.directoryTarget(folder)] },
    })
    await db.exec("CREATE TABLE t (n); INSERT INTO t VALUES ('a secret in the open')")
    await db.snapshots.create()
    await db.rekey({ passphrase: 'other words' })
    await db.run('INSERT INTO t VALUES (2)')
    await db.snapshots.create()
    await db.close()
    const names = []
    for await (const each of folder.keys()) names.push(each)
    names.sort()
    const plain = await window.open({ name: `${name}-plain` })
    const open = async (at, passphrase) => {
      const file = await (await folder.getFileHandle(names[at])).getFile()
      return window.failure(plain.snapshots.import(file, { encrypt: { passphrase } }))
    }
    const tries = [await open(0, 'other words'), await open(0, 'first words'), await open(1, 'other words')]
    await plain.snapshots.restore(tries[2].resolved.id)
    const count = await plain.get('SELECT count(*) AS n FROM t')
    await plain.close()
    const key = await crypto.subtle.generateKey({ name: 'AES-KW', length: 256 }, false, ['wrapKey', 'unwrapKey'])
    const refused = await window.failure(
      window.open({ name, encryption: { key }, snapshots: { targets: [tidelock.directoryTarget(folder)] } }),
    )
    return { names, tries: tries.map(({ code, resolved }) => code ?? (resolved && 'read')), count, refused }
  }, freshName())
  assert.ok(result.names.length === 2 && result.names.every((name) => name.endsWith('.sqlite.gz.enc')))
  assert.deepEqual(result.tries, ['decryption_failed', 'read', 'read'])
  assert.deepEqual(result.count, { n: 2 })
  assert.equal(result.refused.code, 'invalid_argument')
})

test('what is no target is refused', async () => {
  const page = await context.page()
  const codes = await page.evaluate(async () => {
    const folder = await navigator.storage.getDirectory()
    const works = [
      () => tidelock.directoryTarget(),
      () => tidelock.directoryTarget('/tmp'),
      () => tidelock.directoryTarget(folder, { keep: 0 }),
      () => tidelock.directoryTarget(folder, { encrypt: {} }),
      () => tidelock.uploadTarget({}),
      () => tidelock.uploadTarget({ url: 'https://bucket.example' }),
      () => tidelock.uploadTarget({ url: () => '', retries: 1 }),
    ]
    const codes = []
    for (const work of works) codes.push((await window.failure(async () => work())).code)
    return codes
  })
  assert.deepEqual(codes, Array(7).fill('invalid_argument'))
})
