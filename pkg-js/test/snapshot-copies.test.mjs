// Copies of snapshots to targets that never answer.
import assert from 'node:assert/strict'
import { mock, test } from 'node:test'
import { SnapshotCopies, SnapshotTarget } from '../src/files/snapshot-copies.js'

class SilentTarget extends SnapshotTarget {
  kind = 'upload'
  signals = []

  write(_file, _bytes, signal) {
    this.signals.push(signal)
    return new Promise(() => {})
  }
}

const settled = () => new Promise((resolve) => setImmediate(resolve))

test('a target that never answers fails each attempt after a time by the size, and later snapshots are copied', async () => {
  mock.timers.enable({ apis: ['setTimeout'] })
  try {
    const events = []
    const source = {
      compress: false,
      retries: 0,
      backoffMs: 1000,
      encryption: () => undefined,
      export: async () => new Blob([new Uint8Array(32_768)]),
      report: (event) => events.push(event),
    }
    const target = new SilentTarget(undefined)
    const copies = new SnapshotCopies(target, source)
    const snapshot = (id) => ({ id, label: null, time: '2026-01-01T00:00:00.000Z', reason: 'manual', generation: 1 })
    const first = copies.copy(snapshot('1'))
    copies.copy(snapshot('2'))
    await settled()
    mock.timers.tick(61_000)
    await settled()
    assert.deepEqual(events, [])
    mock.timers.tick(1_000)
    await first
    assert.equal(target.signals[0].aborted, true)
    assert.equal(copies.status().lastError.code, 'sync_network')
    assert.match(copies.status().lastError.message, /longer than 62 s/)
    assert.deepEqual(
      events.map(({ state }) => state),
      ['not_copied'],
    )
    await settled()
    assert.equal(target.signals.length, 2)
    copies.close()
    assert.equal(target.signals[1].aborted, true)
  } finally {
    mock.timers.reset()
  }
})
