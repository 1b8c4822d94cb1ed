import { invalid, TidelockError } from '../base/errors.js'
import { lineOf, readScript, type ScriptText } from '../base/script-text.js'
import { compareVersions, versionNumbers } from '../base/versions.js'
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
const stem = /^(\d+(?:\.\d+)*)(?:[_-](.*\S.*))?$/

/** Flyway: `V1__name`, and `U1__name` for the way back. */
const flyway = /^([VU])(\d+(?:[._]\d+)*)__(.*\S.*)$/

/** dbmate: `-- migrate:up`, with options behind it. */
const dbmate = /^--[ \t]*migrate:(up|down)\b(.*)$/gm

/** What is meant to be one of dbmate's markers, whether it is or not. */
const likeDbmate = /^[ \t]*--[ \t]*migrate:[a-z].*$/gim

/** node-pg-migrate: `-- Up Migration`. */
const pgMigrate = /^[ \t]*--[- \t]*(up|down)[ \t]+migration\b(.*)$/gim

const naming = "Name it like '0001_name.sql', or leave it out of the files given to migrationsFrom"
const flywayNaming =
  "Of Flyway's files V1__name.sql and U1__name.sql are understood: give it a version, or leave it out of the files given to migrationsFrom"
const folderNaming = "In a folder named like '20250709035454_name' the files are migration.sql and down.sql"
const numbering = 'Versions are compared by their runs of digits, as numbers: give one of them a new number'
const dbmateMarkers =
  "A file has '-- migrate:up' once and below it '-- migrate:down' at most once, each where its line begins"
const pgMarkers = "A file has '-- Up Migration' once, and below it '-- Down Migration' at most once"
const rawText = "With import.meta.glob pass { query: '?raw', import: 'default', eager: true }"

/**
 * Migrations out of files, as a bundler's glob gives them: text by path. Understands, by file name, `0001_name.sql`,
 * `0001_name.up.sql` with `.down.sql`, `20250709035454_name/migration.sql` (Prisma, with an optional `down.sql`; drizzle-kit),
 * drizzle-kit's `0000_name.sql`, `V1__name.sql` with `U1__name.sql` (Flyway), and the markers `-- migrate:up` and
 * `-- migrate:down` (dbmate), `-- Up Migration` and `-- Down Migration` (node-pg-migrate). Files that don't end in `.sql` are left
 * out. A byte order mark is taken off; `--> statement-breakpoint` ends a statement, be there a semicolon or not.
 *
 * Throws `migration_invalid` (`details.file`, `details.line`) for a `.sql` file that it can't place, one that is empty, two of the
 * same version, markers that make no sense, a quote, a comment or a trigger that never ends, and damaged text (NUL, U+FFFD); without
 * a line for one that is no text. `invalid_argument` for what are no files by path.
 *
 * @example
 * ```ts
 * const files = import.meta.glob('./migrations/**\/*.sql', { query: '?raw', import: 'default', eager: true })
 * const db = await open({ name: 'shop', migrations: migrationsFrom(files) })
 * ```
 */
export function migrationsFrom(files: Readonly<Record<string, unknown>>): Migration[] {
  // A list and a Map have no paths for properties: they would seem to be no files at all.
  if (typeof files !== 'object' || files === null || Symbol.iterator in files)
    throw invalid('migrationsFrom needs an object of texts by path', { hint: rawText })
  const versions = new Map<string, { up?: Part; down?: Part }>()
  for (const [file, text] of Object.entries(files)) {
    if (!/\.sql$/i.test(file)) continue
    const part = understand(file, textOf(file, text))
    const key = versionNumbers(part.version).join('.')
    const known = versions.get(key) ?? {}
    versions.set(key, known)
    for (const direction of ['up', 'down'] as const) {
      if (part[direction] === undefined) continue
      const other = known[direction]
      if (other !== undefined) throw refused(file, `it has the same version as ${other.file}`, numbering)
      known[direction] = part
    }
  }
  return [...versions.values()].map(join).sort((a, b) => compareVersions(a.version, b.version))
}

/** What a bundler gave, as far as it is a text; without the byte order mark. */
function textOf(file: string, given: unknown): string {
  const refuse = (why: string) =>
    new TidelockError('migration_invalid', `The migration file ${file} can't be used: ${why}`, {
      details: { file },
      hint: rawText,
    })
  if (typeof given !== 'string') throw refuse('its text is not a string')
  const text = given.replace(/^\ufeff/, '')
  if (text.trim() === '') throw refused(file, 'it is empty', 'Put a comment into it, or leave the file out')
  if (/^\s*(data:\S*|\S+\.sql(\?\S*)?)\s*$/i.test(text)) throw refuse('in place of its text there is an address')
  return text
}

function join({ up, down }: { up?: Part; down?: Part }): Migration {
  if (up === undefined) {
    const { file } = down as Part
    const missing = file
      .replace(/\.down(\.sql)$/i, '.up$1')
      .replace(/(^|[\\/])down(\.sql)$/i, '$1migration$2')
      .replace(/(^|[\\/])U([^\\/]*)$/, '$1V$2')
    throw refused(file, 'there is a way back, but none forth', `The way forth would be ${missing}`)
  }
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
  const inFolder = stem.exec(path.pop() ?? '')

  const flywayName = flyway.exec(base)
  if (flywayName !== null) {
    const [, kind, version, name] = flywayName as unknown as [string, string, string, string]
    const identity = { file, version: version.replaceAll('_', '.'), name }
    return oneWay(identity, kind === 'V' ? 'up' : 'down', text)
  }
  const isFolders = /^(migration|up|down)$/.test(base)
  if (inFolder !== null && isFolders) {
    const identity = { file, version: inFolder[1] as string, name: inFolder[2] ?? (inFolder[1] as string) }
    return base === 'down' ? oneWay(identity, base, text) : { ...identity, ...byMarkers(file, text) }
  }

  const direction = /\.(up|down)$/.exec(base)?.[1] as 'up' | 'down' | undefined
  const match = stem.exec(direction === undefined ? base : base.slice(0, -direction.length - 1))
  if (match === null) {
    if (isFolders) throw refused(file, "its folder's name begins with no version", folderNaming)
    if (/^R__/.test(base)) throw refused(file, "Flyway's repeatable migrations have no version", flywayNaming)
    if (/^[VUB]\d*_/.test(base))
      throw refused(file, 'its name is not a version, two underscores and a name', flywayNaming)
    if (inFolder !== null) throw refused(file, "it is in a migration's folder, but none of its files", folderNaming)
    const why = /^\d/.test(base) ? 'behind the version comes no _ with a name' : 'its name begins with no version'
    throw refused(file, why, naming)
  }
  const identity = { file, version: match[1] as string, name: match[2] ?? (match[1] as string) }
  return direction === undefined ? { ...identity, ...byMarkers(file, text) } : oneWay(identity, direction, text)
}

/** What goes one way by the file's name. */
function oneWay(identity: { file: string; version: string; name: string }, way: 'up' | 'down', text: string): Part {
  const { file, version, name } = identity
  const other = marksOf(file, text).marks.find((mark) => wayOf(mark) !== way)
  if (other !== undefined) {
    throw refused(
      file,
      `it goes ${wayOf(other)} here, and by its name only ${way}`,
      `Put both ways into ${version}_${name}.sql, or each into a file of its own`,
      lineOf(text, other.index),
    )
  }
  return { ...identity, [way]: scriptOf(file, text).sql }
}

/** The two halves of a file with the markers of dbmate or node-pg-migrate, else the whole as `up`. */
function byMarkers(file: string, text: string): { up: string; down?: string; transaction?: boolean } {
  const { marks, hint } = marksOf(file, text)
  const [first, second] = marks
  if (first === undefined) return { up: scriptOf(file, text).sql }
  const bad = (index: number, why: string) => refused(file, why, hint, lineOf(text, index))
  if (wayOf(first) !== 'up') throw bad(first.index, 'the marker of the way forth must come first')
  const extra = marks.find((mark, index) => index > 1 || (index === 1 && wayOf(mark) === 'up'))
  if (extra !== undefined) throw bad(extra.index, 'a marker is there twice')
  const before = scriptOf(file, text, 0, first.index).first
  if (before !== undefined) throw bad(before, 'there is SQL before the first marker')
  // From the start of the file on, so that the lines in errors are those of the file.
  const up = scriptOf(file, text, 0, second?.index)
  const down = second === undefined ? undefined : scriptOf(file, text, second.index)
  const plain = marks.every((mark) => !/\btransaction:false\b/.test(mark[2] as string))
  return {
    up: up.sql,
    ...(down?.first === undefined ? {} : { down: down.sql }),
    ...(plain ? {} : { transaction: false }),
  }
}

/** The markers of a file, and how they are meant to be. Refuses those of tools that aren't understood. */
function marksOf(file: string, text: string): { marks: RegExpExecArray[]; hint: string } {
  const goose = /^--[ \t]*\+(goose|migrate)\b/im.exec(text)
  if (goose !== null) {
    const why = 'the markers of goose and sql-migrate are not understood'
    throw refused(file, why, dbmateMarkers, lineOf(text, goose.index))
  }
  const marks = [...text.matchAll(dbmate)]
  const places = marks.map((mark) => mark.index)
  for (const { 0: marker, index } of text.matchAll(likeDbmate)) {
    if (places.includes(index)) continue
    throw refused(file, `the marker '${marker.trim()}' is not understood`, dbmateMarkers, lineOf(text, index))
  }
  return marks.length > 0 ? { marks, hint: dbmateMarkers } : { marks: [...text.matchAll(pgMigrate)], hint: pgMarkers }
}

function wayOf(mark: RegExpExecArray): 'up' | 'down' {
  return /^up$/i.test(mark[1] as string) ? 'up' : 'down'
}

/** A part of a file, refused where it can't be a script. */
function scriptOf(file: string, text: string, from = 0, to = text.length): ScriptText {
  const script = readScript(text.slice(from, to))
  if (script.flaw === undefined) return script
  const { why, hint, index } = script.flaw
  throw refused(file, why, hint, lineOf(text, from + index))
}

function refused(file: string, why: string, hint: string, line = 1): TidelockError {
  const where = line > 1 ? ` (line ${line})` : ''
  return new TidelockError('migration_invalid', `The migration file ${file} can't be used${where}: ${why}`, {
    details: { file, line },
    hint,
  })
}
