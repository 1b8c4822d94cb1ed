// A reporter of Node's test runner: how many tests passed, which failed, and how long each file took, as JSON at the end.
import path from 'node:path'

export default async function* report(events) {
  let passed = 0
  const failed = []
  const files = new Map()
  /** The names of the suites around the present test, by nesting. */
  const names = []
  for await (const { type, data } of events) {
    if (type === 'test:start') names[data.nesting] = data.name
    if (type !== 'test:pass' && type !== 'test:fail') continue
    const name = data.file ? path.relative(process.cwd(), data.file) : ''
    const suite = data.details.type === 'suite'
    if (data.nesting === 0) files.set(name, (files.get(name) ?? 0) + data.details.duration_ms / 1000)
    // A suite fails with its tests; by itself only in its hooks.
    if (type === 'test:pass') passed += suite ? 0 : 1
    else if (data.details.error?.failureType !== 'subtestsFailed')
      failed.push(`${name} › ${[...names.slice(0, data.nesting), data.name].join(' › ')}`)
  }
  yield JSON.stringify({ passed, failed, files: [...files].map(([name, seconds]) => ({ name, seconds })) })
}
