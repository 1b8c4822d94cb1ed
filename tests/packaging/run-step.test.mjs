// How scripts/test.mjs runs a step, and ends one that takes too long.
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, test } from 'node:test'
import { runStep } from '../../scripts/run-step.mjs'

const folder = mkdtempSync(path.join(tmpdir(), 'tidelock-step-'))
after(() => rmSync(folder, { recursive: true }))
const log = path.join(folder, 'step.log')
const minute = 60_000

test('a step has its exit code, its environment, and both of its outputs in the log', async () => {
  const command = ['bash', '-c', 'echo "$GREETING"; echo error >&2; exit 3']
  assert.deepEqual(await runStep(command, { log, env: { GREETING: 'hello' }, longestMs: minute }), {
    code: 3,
    late: false,
  })
  assert.deepEqual(readFileSync(log, 'utf8').trim().split('\n').toSorted(), ['error', 'hello'])
})

test('a command that is missing fails the step', async () => {
  const { code } = await runStep(['tidelock-has-no-such-command'], { log, longestMs: minute })
  assert.equal(code, null)
  assert.match(readFileSync(log, 'utf8'), /ENOENT/)
})

test('a step that takes too long is ended with what it started, and its log ends with the reason', async () => {
  // The inner process stands for the test binary that cargo runs.
  const command = ['bash', '-c', 'bash -c \'echo "pid $$"; exec sleep 60\'; true']
  const { code, late } = await runStep(command, { log, longestMs: 500 })
  assert.deepEqual([code, late], [null, true])
  const text = readFileSync(log, 'utf8')
  assert.match(text, /\nended by the limit of [\d.]+ minutes\n$/)
  const [, pid] = text.match(/^pid (\d+)/)
  // A killed process stays a zombie until its new parent collects it.
  const lives = () => {
    try {
      return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
    } catch {
      return false
    }
  }
  const deadline = Date.now() + 10_000
  while (lives() && Date.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 10))
  assert.equal(lives(), false, `process ${pid} still runs`)
})
