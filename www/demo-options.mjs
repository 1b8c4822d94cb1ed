// The options of the demo. Run by itself, it only checks them: build.sh does so before it builds.
import path from 'node:path'
import { parseArgs } from 'node:util'

const { TIDELOCK_ALL, TIDELOCK_DEMO_THREAD } = process.env
/** The threads that `--check` runs SQLite on: both, but for the suite's one. */
export const checkedThreads = TIDELOCK_DEMO_THREAD && !TIDELOCK_ALL ? [TIDELOCK_DEMO_THREAD] : ['current', 'worker']

/** Parses the options of the demo. Ends the program with 2 where one is wrong. */
export function demoOptions() {
  try {
    const { values } = parseArgs({
      options: {
        check: { type: 'boolean', default: false },
        shots: { type: 'string' },
        port: { type: 'string', default: '0' },
      },
    })
    const port = Number(values.port)
    if (!/^\d+$/.test(values.port) || port > 65535)
      throw new Error(`--port wants a number up to 65535, not '${values.port}'`)
    if (values.shots !== undefined && !values.check) throw new Error('--shots needs --check')
    return { ...values, shots: values.shots && path.resolve(values.shots), port }
  } catch (error) {
    console.error(`demo: ${error.message}\ndemo: [--port N] | --check [--shots FOLDER]`)
    process.exit(2)
  }
}

if (import.meta.filename === process.argv[1]) demoOptions()
