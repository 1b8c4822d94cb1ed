// The command line with any arguments, files and environment, run in this process; and the configuration of an app.
import assert from 'node:assert/strict'
import { cpSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { configFromEnv, open } from '../../../pkg-js/dist/index.js'
import { listing } from '../../node/listing.mjs'
import { answering } from '../answers.mjs'
import { anyValue, mutatedBytes, mutatedText } from '../random.mjs'
import { attempt, mine, quiet } from '../rules.mjs'
import { scripts, words } from '../schemas.mjs'

const { runCommandLine } = await import('../../../pkg-js/dist/cli/commands.js')
const commands = [
  'init',
  'pull',
  'push',
  'schema pull',
  'types',
  'migrate new',
  'migrate status',
  'migrate run',
  'migrate revert',
  'migrate lint',
  'migrate generate',
  'inspect',
  'verify',
  'snapshot create',
  'snapshot list',
  'snapshot restore',
  'doctor',
  '',
  'snapshot',
  'help',
]
const lines = [
  ...[
    'inspect app.sqlite',
    'verify app.sqlite',
    'types app.sqlite',
    'types schema.sql',
    'inspect odd.sqlite',
    'verify odd.sqlite',
  ],
  ...[
    'inspect shop.tidelock',
    'verify shop.tidelock',
    'types shop.tidelock',
    'push app.sqlite --tables notes',
    'push shop.tidelock',
    'init',
    'init --dir empty',
  ],
  ...[
    'pull --tables notes --pk notes=id --out new.sqlite',
    'pull --all',
    'pull --tables notes --out app.sqlite --schema schema.sql',
  ],
  ...[
    'schema pull --stdout',
    'schema pull --dir migrations',
    'doctor --tables notes',
    'migrate lint --dir migrations',
    'migrate new x',
  ],
  ...[
    'migrate status --db app.sqlite --dir migrations',
    'migrate run --db shop.tidelock --dir migrations',
    'migrate run --db app.sqlite',
  ],
  ...[
    'migrate revert --db app.sqlite --dir migrations',
    'migrate generate x --schema schema.sql',
    'snapshot list --db shop.tidelock',
  ],
  ...[
    'snapshot create --db shop.tidelock --label x',
    'snapshot restore --db shop.tidelock 1',
    'snapshot restore --db shop.tidelock --at 2030-01-01',
  ],
]
const names = [
  'app.sqlite',
  'shop.tidelock',
  'empty',
  'migrations',
  'schema.sql',
  '.env',
  'key',
  'missing',
  'new.sqlite',
  'odd.sqlite',
  '/dev/zero',
  'link',
]
const values = [
  ...names,
  'notes',
  'notes,others',
  'notes=id',
  'notes=',
  '=',
  '1',
  '-1',
  '1e9',
  '0001',
  '2020-01-01',
  'a.b=c',
  '',
  ' ',
  '\u001b[2J',
  'x'.repeat(300),
  '__proto__',
  '\ud800',
  'http://remote.example',
  'x:y',
  '--',
]
const options = [
  '--json',
  '--framework',
  '--help',
  '-h',
  '--version',
  '--url',
  '--key-file',
  '--env',
  '--remote-schema',
  '--tables',
  '--all',
  '--out',
  '--replace',
  '--schema',
  '--pk',
  '--cursor',
  '--db',
  '--migrations',
  '--dir',
  '--to',
  '--steps',
  '--dry-run',
  '--label',
  '--at',
  '--stdout',
  '--name',
  '--rename',
  '--force',
  '--full',
  '--allow-empty',
  '--bigint',
  '--filter',
  '--deleted',
  '--x',
  '-j',
  '--no-json',
]
const env = [
  'SUPABASE_URL',
  'SUPABASE_SECRET_KEY',
  'SUPABASE_PUBLISHABLE_KEY',
  'TIDELOCK_ACCESS_TOKEN',
  'TIDELOCK_DATABASE',
  'TIDELOCK_SNAPSHOT_INTERVAL_MS',
  'VITE_SUPABASE_URL',
]
const envValues = [
  'http://remote.example',
  'the-secret-key-of-this-project',
  'sb_secret_x',
  'a.b.c',
  'shop',
  '0',
  '-1',
  'x',
  '',
  ' ',
  '\n',
  '\0'.repeat(2),
  'https://user:pass@remote.example/?a#b',
  '/dev/zero',
  '/dev/full',
  '/dev/tty',
  '..',
  'file:///etc/passwd',
  'link',
]
const envFile =
  "SUPABASE_URL=http://remote.example\nexport SUPABASE_SECRET_KEY='the-secret-key-of-this-project' # the key\n"

export async function setUp(base) {
  const [made, around] = [path.join(base, 'made'), path.join(base, 'around')]
  const where = path.join(around, 'work')
  for (const folder of ['empty', 'migrations']) mkdirSync(path.join(made, folder), { recursive: true })
  const db = await open({ name: 'shop', storage: 'file', path: path.join(made, 'shop.tidelock'), ...quiet })
  await db.exec(`${mine.sql} ${scripts[0]}`)
  await db.snapshots.create({ label: 'one' })
  const image = await db.export()
  await db.close()
  const files = {
    'app.sqlite': image,
    'schema.sql': scripts[1],
    '.env': envFile,
    key: 'the-secret-key-of-this-project\n',
    'migrations/0001_a.sql': scripts[1],
    'migrations/0002_b.up.sql': 'CREATE TABLE b (a);',
    'migrations/0002_b.down.sql': 'DROP TABLE b;',
  }
  for (const [file, contents] of Object.entries(files)) writeFileSync(path.join(made, file), contents)
  return { make: (random) => make(random, files), run: (input) => run(input, made, around, where) }
}

function make(random, made) {
  const some = (most, make) => (random.oneIn(3) ? [] : random.some(most, make))
  const pair = () => [random.pick(env), random.pick(envValues)]
  if (random.oneIn(10))
    return {
      config: Object.fromEntries(
        random.some(6, () => (random.oneIn(4) ? [random.pick(env), anyValue(random)] : pair())),
      ),
    }
  const words = random.oneIn(30)
    ? [mutatedText(random, random.pick(commands))]
    : random.pick(commands).split(' ').filter(Boolean)
  const option = () => {
    const name = random.pick(options)
    return random.oneIn(2) ? [name] : random.oneIn(3) ? [`${name}=${random.pick(values)}`] : [name, random.pick(values)]
  }
  const args = random.oneIn(3)
    ? [...words, ...some(2, () => random.pick(names)), ...some(5, option).flat()]
    : [...random.pick(lines).split(' '), ...(random.oneIn(3) ? option() : [])]
  const remote = random.oneIn(2)
    ? { SUPABASE_URL: 'http://remote.example', SUPABASE_SECRET_KEY: 'the-secret-key-of-this-project' }
    : {}
  const changed = some(2, () => {
    const file = random.pick(Object.keys(made))
    const contents = made[file]
    return [
      random.oneIn(3) ? 'odd.sqlite' : file,
      typeof contents === 'string' ? textOf(random, contents) : mutatedBytes(random, contents),
    ]
  })
  return {
    args: args.map((arg) => arg.replaceAll('\0', '')),
    env: { ...remote, ...Object.fromEntries(some(3, pair)) },
    files: Object.fromEntries(changed),
    seed: random.uint32(),
  }
}

const textOf = (random, text) => mutatedText(random, text, words)

async function run({ args, env, files, seed, config }, made, around, where) {
  if (config !== undefined) return configured(config)
  rmSync(around, { recursive: true, force: true })
  mkdirSync(path.join(around, 'outside'), { recursive: true })
  writeFileSync(path.join(around, 'outside', 'precious'), 'precious')
  cpSync(made, where, { recursive: true })
  for (const [file, contents] of Object.entries(files)) writeFileSync(path.join(where, file), contents)
  symlinkSync('../outside/precious', path.join(where, 'link'))
  const sentinels = listing(path.join(around, 'outside'))
  const { code, out, err } = await ran(args, env, where, answering(seed, false).fetch)
  assert.ok([0, 1, 2].includes(code), `It ended with ${code}`)
  assert.ok(!/\(internal\)|"code":"internal"/.test(err), `${out}${err}`)
  assert.ok(!/the-secret-key/.test(out + err), `It prints a key: ${out}${err}`)
  if (
    args.includes('--json') &&
    !args.some((arg) => /^(-h|--help|--version|help)$/.test(arg)) &&
    code === 0 &&
    out.startsWith('{')
  )
    JSON.parse(out)
  if (code !== 0 && args.includes('--json')) for (const line of err.trim().split('\n').filter(Boolean)) JSON.parse(line)
  if (code !== 0 && !args.includes('--json')) assert.ok(out + err !== '', 'It failed without a word')
  assert.deepEqual(listing(path.join(around, 'outside')), sentinels)
  return /error: .+ \((\w+)\)/.exec(err)?.[1] ?? /"code":"(\w+)"/.exec(err)?.[1] ?? `code ${code}`
}

/** Runs the command line in this process; returns `{ code, out, err }`. */
async function ran(args, env, where, fetch) {
  const before = { cwd: process.cwd(), fetch: globalThis.fetch }
  const said = { out: '', err: '' }
  const stream = (name) => ({
    write(text) {
      said[name] += text
    },
  })
  try {
    process.chdir(where)
    globalThis.fetch = fetch
    const { signal } = new AbortController()
    const code = await runCommandLine(args, { out: stream('out'), err: stream('err'), env, signal })
    return { code, ...said }
  } finally {
    globalThis.fetch = before.fetch
    process.chdir(before.cwd)
  }
}

/** Opens a database with a configuration that isn't refused. */
async function configured(variables) {
  const { value, error } = await attempt(() => configFromEnv(variables, () => {}))
  if (error !== undefined) return `config: ${error.code}`
  const { value: db } = await attempt(() =>
    open({ ...value, mode: 'local', remote: undefined, storage: 'memory', ...quiet }),
  )
  await db?.close()
  return 'config'
}
