import { invalid, TidelockError } from './errors.js'
import type { Migration } from './migrations.js'

/** One file, understood: what it does for which version. */
interface Part {
  readonly file: string
  readonly version: string
  readonly name: string
  readonly up?: string
  readonly down?: string
  readonly transaction?: boolean
}

/** `0001_name`, `20250709035454_name`, `1.2-name`. */
const stem = /^(\d+(?:\.\d+)*)(?:[_-](.+))?$/

/** Flyway: `V1__name`, and `U1__name` for the way back. */
const flyway = /^([VU])(\d+(?:[._]\d+)*)__(.+)$/

/** dbmate: `-- migrate:up`, with options behind it. */
const dbmate = /^\ufeff?--[ \t]*migrate:(up|down)\b(.*)$/gm

/** node-pg-migrate: `-- Up Migration`. */
const pgMigrate = /^\ufeff?[ \t]*--[- \t]*(up|down)[ \t]+migration\b(.*)$/gim

/**
 * Migrations out of files, as a bundler's glob gives them: text by path. Understands, by file name, `0001_name.sql`,
 * `0001_name.up.sql` with `.down.sql`, `20250709035454_name/migration.sql` (Prisma, with an optional `down.sql`; drizzle-kit),
 * drizzle-kit's `0000_name.sql`, `V1__name.sql` with `U1__name.sql` (Flyway), and the markers `-- migrate:up` and
 * `-- migrate:down` (dbmate), `-- Up Migration` and `-- Down Migration` (node-pg-migrate). Files that don't end in `.sql` are left
 * out.
 *
 * Throws `migration_invalid` (`details.file`, `details.line`) for a `.sql` file that it can't place, one that is empty, a quote or a
 * comment that is never closed, markers that make no sense, and for two of the same version.
 *
 * @example
 * ```ts
 * const files = import.meta.glob('./migrations/**\/*.sql', { query: '?raw', import: 'default', eager: true })
 * const db = await open({ name: 'shop', migrations: migrationsFrom(files) })
 * ```
 */
export function migrationsFrom(files: Readonly<Record<string, unknown>>): Migration[] {
  if (typeof files !== 'object' || files === null) throw invalid('migrationsFrom needs an object of texts by path')
  const versions = new Map<string, { up?: Part; down?: Part }>()
  for (const [file, text] of Object.entries(files)) {
    if (!/\.sql$/i.test(file)) continue
    if (typeof text !== 'string') {
      throw invalid(`The text of ${file} is not a string`, {
        details: { file },
        hint: "With import.meta.glob pass { query: '?raw', import: 'default', eager: true }",
      })
    }
    checkText(file, text)
    const part = understand(file, text)
    const key = comparable(part.version)
    const known = versions.get(key) ?? {}
    versions.set(key, known)
    for (const direction of ['up', 'down'] as const) {
      if (part[direction] === undefined) continue
      const other = known[direction]
      if (other !== undefined) throw unplaced(file, `it has the same version as ${other.file}`)
      known[direction] = part
    }
  }
  return [...versions.values()].map(join).sort((a, b) => compareVersions(a.version, b.version))
}

function join({ up, down }: { up?: Part; down?: Part }): Migration {
  if (up === undefined) throw unplaced((down as Part).file, 'there is a way back, but none forth')
  return {
    version: up.version,
    name: up.name,
    up: up.up as string,
    ...(down === undefined ? {} : { down: down.down as string }),
    ...(up.transaction === false || down?.transaction === false ? { transaction: false } : {}),
  }
}

function understand(file: string, text: string): Part {
  const path = file.replaceAll('\\', '/').split('/')
  const base = (path.pop() as string).replace(/\.sql$/i, '')
  const folder = path.pop() ?? ''

  const flywayName = flyway.exec(base)
  if (flywayName !== null) {
    const [, kind, version, name] = flywayName as unknown as [string, string, string, string]
    const identity = { file, version: version.replaceAll('_', '.'), name }
    return kind === 'V' ? { ...identity, up: text } : { ...identity, down: text }
  }
  if (/^R__/.test(base)) throw unplaced(file, "Flyway's repeatable migrations have no version")

  const inFolder = stem.exec(folder)
  if (inFolder !== null && /^(migration|up|down)$/.test(base)) {
    const identity = { file, version: inFolder[1] as string, name: inFolder[2] ?? (inFolder[1] as string) }
    return base === 'down' ? { ...identity, down: text } : { ...identity, ...byMarkers(file, text) }
  }

  const direction = /\.(up|down)$/.exec(base)?.[1]
  const match = stem.exec(direction === undefined ? base : base.slice(0, -direction.length - 1))
  if (match === null) throw unplaced(file, 'its name begins with no version')
  const identity = { file, version: match[1] as string, name: match[2] ?? (match[1] as string) }
  if (direction === 'up') return { ...identity, up: text }
  if (direction === 'down') return { ...identity, down: text }
  return { ...identity, ...byMarkers(file, text) }
}

/** The two halves of a file with the markers of dbmate or node-pg-migrate, else the whole as `up`. */
function byMarkers(file: string, text: string): { up?: string; down?: string; transaction?: boolean } {
  const goose = /^--[ \t]*\+(goose|migrate)\b/im.exec(text)
  if (goose !== null)
    throw unplaced(file, 'the markers of goose and sql-migrate are not understood', line(text, goose.index))
  const marks = [...text.matchAll(dbmate)]
  if (marks.length === 0) marks.push(...text.matchAll(pgMigrate))
  const [first, second] = marks
  if (first === undefined) return { up: text }
  const bad = (mark: RegExpExecArray, why: string) => unplaced(file, why, line(text, mark.index))
  const isUp = (mark: RegExpExecArray) => /^up$/i.test(mark[1] as string)
  if (!isUp(first)) throw bad(first, 'the marker of the way forth must come first')
  const extra = marks.find((mark, index) => index > 1 || (index === 1 && isUp(mark)))
  if (extra !== undefined) throw bad(extra, 'a marker is there twice')
  if (!isBlank(text.slice(0, first.index))) throw unplaced(file, 'there is SQL before the first marker', 1)
  // From the start of the file on, so that the lines in errors are those of the file.
  const up = text.slice(0, second?.index)
  const down = second === undefined ? '' : text.slice(second.index)
  const plain = marks.every((mark) => !/\btransaction:false\b/.test(mark[2] as string))
  return { up, ...(isBlank(down) ? {} : { down }), ...(plain ? {} : { transaction: false }) }
}

/** Refuses what can't be a script, before it is taken for one. */
function checkText(file: string, text: string): void {
  if (text.trim() === '') throw unplaced(file, 'it is empty', 1)
  // What is closed, then what is not: quotes, brackets, comments; and a NUL, behind which SQLite reads nothing.
  const pieces = /--.*|\/\*[\s\S]*?\*\/|'[^']*'|"[^"]*"|`[^`]*`|\[[^\]]*\]|(\/\*|['"`[\0])/g
  for (const piece of text.matchAll(pieces)) {
    const open = piece[1]
    if (open === undefined) continue
    const what = open === '\0' ? 'it holds a NUL character' : `what ${open} opens is never closed`
    throw unplaced(file, what, line(text, piece.index))
  }
}

/** The line of a place in a text, from 1. */
function line(text: string, index: number): number {
  return text.slice(0, index).split(/\r\n|\n|\r/).length
}

/** Whether there is nothing but space and comments. */
function isBlank(sql: string): boolean {
  return sql.replace(/--.*$|\/\*[\s\S]*?\*\//gm, '').trim() === ''
}

/** The version by its numbers: the same for equal ones. */
function comparable(version: string): string {
  return numbers(version).join('.')
}

function numbers(version: string): string[] {
  return (version.match(/\d+/g) ?? []).map((digits) => digits.replace(/^0+(?=\d)/, ''))
}

/** Compares run of digits by run of digits, as numbers of any length. */
function compareVersions(a: string, b: string): number {
  const left = numbers(a)
  const right = numbers(b)
  for (let at = 0; at < Math.min(left.length, right.length); at++) {
    const x = left[at] as string
    const y = right[at] as string
    if (x.length !== y.length) return x.length - y.length
    if (x !== y) return x < y ? -1 : 1
  }
  return left.length - right.length
}

function unplaced(file: string, why: string, line = 1): TidelockError {
  const where = line > 1 ? ` (line ${line})` : ''
  return new TidelockError('migration_invalid', `The migration file ${file} can't be used${where}: ${why}`, {
    details: { file, line },
    hint: "Name it like '0001_name.sql', or leave it out of the files given to migrationsFrom",
  })
}
