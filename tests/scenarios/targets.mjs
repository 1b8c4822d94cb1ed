// Copies of snapshots outside of the database's storage, and importing them.
import assert from 'node:assert/strict'

/**
 * A folder in memory for `directoryTarget`; `files` maps names to blobs, `folders` has the names of folders that aren't empty. As in a
 * browser, a file is empty until it is closed. `full`: there is no space for more.
 */
function folder() {
  const files = new Map()
  const folders = new Set()
  const handle = (name) => ({
    kind: 'file',
    name,
    getFile: async () => files.get(name),
    async createWritable() {
      const parts = []
      return new WritableStream({
        write: (part) => {
          if (made.full) throw new DOMException('The disk is full', 'QuotaExceededError')
          parts.push(part)
        },
        close: () => void files.set(name, new Blob(parts)),
      })
    },
  })
  const made = {
    kind: 'directory',
    full: false,
    files,
    folders,
    async getFileHandle(name) {
      if (!files.has(name)) files.set(name, new Blob())
      return handle(name)
    },
    async *entries() {
      for (const name of folders) yield [name, { kind: 'directory' }]
      for (const name of [...files.keys()]) yield [name, handle(name)]
    },
    async removeEntry(name) {
      if (folders.has(name)) throw new DOMException('The folder is not empty', 'InvalidModificationError')
      files.delete(name)
    },
  }
  return made
}

/** Collects the events of a database's copies from now on. */
function eventsOf(db) {
  const events = []
  db.addEventListener('snapshot', ({ detail }) => detail.state !== 'created' && events.push(detail))
  return events
}

/** Returns the rows of `t` in a file, read by another database. */
async function rowsIn(file, { open }, encrypt) {
  const other = await open()
  const { id } = await other.snapshots.import(file, { encrypt })
  await other.snapshots.restore(id)
  return other.query('SELECT n FROM t ORDER BY n')
}

export default {
  'snapshots are copied to a folder, which keeps a number of them, and imported from there': async (t) => {
    const directory = folder()
    directory.files.set('notes.txt', new Blob())
    const db = await t.open({ snapshots: { targets: [t.tidelock.directoryTarget(directory, { keep: 2 })] } })
    const events = eventsOf(db)
    await db.exec('CREATE TABLE t (n)')
    const made = []
    for (let n = 1; n <= 3; n++) {
      await db.run('INSERT INTO t VALUES (?)', [n])
      made.push(await db.snapshots.create())
    }
    const names = [...directory.files.keys()].sort()
    assert.equal(names.length, 3)
    assert.equal(names.pop(), 'notes.txt', 'what is no backup stays')
    for (const [at, name] of names.entries()) {
      const { createdAt, id } = made[at + 1]
      assert.equal(name, `backup-${createdAt.replaceAll(':', '-')}-${id}.sqlite.gz`)
    }
    assert.deepEqual(
      events.map(({ state, target, snapshot }) => [state, target, snapshot.name]),
      made.map(({ createdAt, id }) => ['copied', 'directory', `backup-${createdAt}-${id}.sqlite.gz`]),
    )
    const [status, ...more] = (await db.snapshots.status()).targets
    assert.deepEqual([status.kind, status.lastError, status.consecutiveFailures, more], ['directory', null, 0, []])
    assert.ok(status.lastSuccess >= status.lastAttempt)
    assert.ok(!(await db.health()).alerts.some(({ code }) => code === 'snapshot_failing'))
    assert.deepEqual(await rowsIn(directory.files.get(names[1]), t), [{ n: 1 }, { n: 2 }, { n: 3 }])
  },

  'what else is in a folder, under names of backups, costs no copy': async (t) => {
    const directory = folder()
    const others = ['backup-0000-x.sqlite', 'backup-9999-12-31T00-00-00.000Z-1.sqlite']
    directory.folders.add(others[0])
    directory.files.set(others[1], new Blob())
    const db = await t.open({ snapshots: { targets: [t.tidelock.directoryTarget(directory, { keep: 1 })] } })
    const events = eventsOf(db)
    await db.exec('CREATE TABLE t (n)')
    for (let n = 1; n <= 2; n++) {
      await db.run('INSERT INTO t VALUES (?)', [n])
      await db.snapshots.create()
    }
    await t.until(() => events.length === 2)
    assert.deepEqual(
      events.map(({ state }) => state),
      ['copied', 'copied'],
    )
    const names = [...directory.files.keys()].filter((name) => name !== others[1])
    assert.deepEqual(names, [events[1].snapshot.name.replaceAll(':', '-')], 'the newest copy, and only that')
    assert.deepEqual(await rowsIn(directory.files.get(names[0]), t), [{ n: 1 }, { n: 2 }])
  },

  'a copy that fails, or whose page dies, leaves no file that counts as one': async (t) => {
    const directory = folder()
    const targets = [t.tidelock.directoryTarget(directory, { keep: 2 })]
    const db = await t.open({ snapshots: { retries: 0, targets } })
    const events = eventsOf(db)
    const copied = async () => {
      const before = events.length
      await db.snapshots.create()
      await t.until(() => events.length > before)
      return [...directory.files.keys()].sort()
    }
    const [first] = await copied()
    directory.full = true
    assert.deepEqual(await copied(), [first])
    assert.deepEqual([events[1].state, events[1].error.code], ['not_copied', 'storage_quota_exceeded'])
    directory.full = false
    directory.files.set(`${first.slice(0, -'1.sqlite.gz'.length)}2.sqlite.gz`, new Blob())
    const names = await copied()
    assert.deepEqual([names.length, names[0]], [2, first])
    assert.ok(names.every((name) => directory.files.get(name).size > 0))
  },

  'scheduled snapshots are copied, too': async ({ open, until, tidelock }) => {
    const directory = folder()
    const db = await open({ snapshots: { intervalMs: 20, targets: [tidelock.directoryTarget(directory)] } })
    await db.exec('CREATE TABLE t (n)')
    await until(() => directory.files.size > 0)
  },

  'snapshots are uploaded to signed URLs, with retries, and imported from there': async (t) => {
    const files = []
    const puts = []
    const statuses = [503, 500]
    let stored
    let goOn
    const looked = new Promise((resolve) => {
      goOn = resolve
    })
    const target = t.tidelock.uploadTarget({
      url: async (file) => {
        files.push(file)
        return `https://bucket.example/${file.name}?X-Signature=${files.length}`
      },
      headers: { 'x-amz-acl': 'private' },
      fetch: async (url, { method, body, headers }) => {
        puts.push({ url, method, headers })
        // The second attempt waits until the test has seen the failure of the first one.
        if (puts.length === 2) await looked
        const status = statuses.shift() ?? 200
        if (status === 200) stored = body
        return new Response(status === 200 ? '' : '<Error><Code>SlowDown</Code></Error>', { status })
      },
    })
    const db = await t.open({ snapshots: { compress: false, backoffMs: 10, retries: 3, targets: [target] } })
    const events = eventsOf(db)
    await db.exec('CREATE TABLE t (n); INSERT INTO t VALUES (42)')
    const made = await db.snapshots.create({ label: 'kept' })
    const [failing] = (await db.snapshots.status()).targets
    assert.equal(failing.consecutiveFailures, 1)
    assert.deepEqual([failing.lastError.code, failing.lastError.details.status], ['sync_rejected', 503])
    assert.ok(Math.abs(Date.parse(failing.lastError.details.time) - Date.now()) < 60_000)
    assert.doesNotMatch(JSON.stringify(failing.lastError), /X-Signature/)
    const { status, alerts } = await db.health()
    assert.equal(status, 'degraded')
    assert.ok(alerts.some(({ code, severity }) => code === 'snapshot_failing' && severity === 'warning'))

    goOn()
    await t.until(() => events.length > 0)
    assert.equal(events[0].state, 'copied')
    const [{ lastError, consecutiveFailures }] = (await db.snapshots.status()).targets
    assert.deepEqual([lastError, consecutiveFailures], [null, 0])
    assert.equal((await db.health()).status, 'ok')
    const name = `backup-${made.createdAt}-${made.id}.sqlite`
    assert.deepEqual(
      puts,
      [1, 2, 3].map((at) => ({
        url: `https://bucket.example/${name}?X-Signature=${at}`,
        method: 'PUT',
        headers: { 'x-amz-acl': 'private' },
      })),
      'each try asks for a URL',
    )
    const [file] = files
    assert.deepEqual([file.name, file.id, file.label, file.size], [name, made.id, 'kept', stored.size])
    assert.deepEqual(await rowsIn(stored, t), [{ n: 42 }])
  },

  'the copy to a failing target ends after its retries with an event; the snapshot itself stays': async ({
    open,
    until,
    tidelock,
  }) => {
    let asked = 0
    const url = () => {
      asked++
      throw new Error('no way to sign')
    }
    const db = await open({ snapshots: { backoffMs: 10, retries: 2, targets: [tidelock.uploadTarget({ url })] } })
    const events = eventsOf(db)
    const made = await db.snapshots.create()
    await until(() => events.length > 0)
    assert.equal(asked, 3)
    assert.deepEqual([events[0].state, events[0].target], ['not_copied', 'upload'])
    assert.match(events[0].error.message, /no way to sign/)
    assert.deepEqual(await db.snapshots.list(), [made])
  },

  'the copies of an encrypted database are encrypted, after a rekey with the new passphrase': async (t) => {
    const directory = folder()
    const targets = [t.tidelock.directoryTarget(directory)]
    const [first, second] = [{ passphrase: 'first words' }, { passphrase: 'other words' }]
    const db = await t.open({ encryption: first, snapshots: { targets } })
    await db.exec('CREATE TABLE t (n); INSERT INTO t VALUES (1)')
    await db.snapshots.create()
    await db.rekey(second)
    await db.run('INSERT INTO t VALUES (2)')
    await db.snapshots.create()
    const names = [...directory.files.keys()].sort()
    assert.ok(names.length === 2 && names.every((name) => name.endsWith('.sqlite.gz.enc')))
    const [older, newer] = names.map((name) => directory.files.get(name))
    assert.equal((await t.failure(rowsIn(older, t, second))).code, 'decryption_failed')
    assert.deepEqual(await rowsIn(older, t, first), [{ n: 1 }])
    assert.deepEqual(await rowsIn(newer, t, second), [{ n: 1 }, { n: 2 }])
    const key = await crypto.subtle.generateKey({ name: 'AES-KW', length: 256 }, false, ['wrapKey', 'unwrapKey'])
    assert.equal((await t.failure(t.open({ encryption: { key }, snapshots: { targets } }))).code, 'invalid_argument')
  },

  'other values than targets are refused': async ({ failure, tidelock }) => {
    const { directoryTarget, uploadTarget } = tidelock
    for (const work of [
      () => directoryTarget(),
      () => directoryTarget('/tmp'),
      () => directoryTarget(folder(), { keep: 0 }),
      () => directoryTarget(folder(), { encrypt: {} }),
      () => uploadTarget({}),
      () => uploadTarget({ url: 'https://bucket.example' }),
      () => uploadTarget({ url: () => '', retries: 1 }),
    ])
      assert.equal((await failure(work)).code, 'invalid_argument')
  },
}
