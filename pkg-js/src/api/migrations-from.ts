import { reading } from '../base/check.js'
import { invalid, TidelockError } from '../base/errors.js'
import { lineOf, readScript, type ScriptText } from '../base/script-text.js'
import { compareVersions, versionKey } from '../base/versions.js'
import type { Migration } from './migrations.js'

/** The part of a migration that one file has: `up`, `down` or both. */
interface FilePart {
  readonly file: string
  readonly version: string
  readonly name: string
  readonly up?: string
  readonly down?: string
  readonly transaction?: boolean
}

/** Names such as `0001_name`, `20250709035454_name`, `1.2-name`. */
const stem = /^(\d+(?:\.\d+)*)(?:[_-](.*\S.*))?$/

/** Flyway: `V1__name` for up, `U1__name` for down. */
const flyway = /^([VU])(\d+(?:[._]\d+)*)__(.*\S.*)$/

/** dbmate: `-- migrate:up`, then options. */
const dbmate = /^--[ \t]*migrate:(up|down)\b(.*)$/gm

/** Comments that look like markers of dbmate: a misspelled one is an error, not a comment. */
const likeDbmate = /^[ \t]*--[ \t]*migrate:[a-z].*$/gim

/** node-pg-migrate: `-- Up Migration`. */
const pgMigrate = /^[ \t]*--[- \t]*(up|down)[ \t]+migration\b(.*)$/gim

const naming = "Name it like '0001_name.sql', or leave it out of the files given to migrationsFrom"
const flywayNaming =
  "Flyway's files are V1__name.sql and U1__name.sql: give this one a version, or leave it out of the files given to migrationsFrom"
const folderNaming = "In a folder named like '20250709035454_name' the files are migration.sql and down.sql"
const numbering = 'Versions are compared by their runs of digits, as numbers: give one of them a new number'
const dbmateMarkers = "Write '-- migrate:up' once, then '-- migrate:down' at most once, each at the start of its line"
const pgMarkers = "Write '-- Up Migration' once, then '-- Down Migration' at most once"
const rawText = "With import.meta.glob pass { query: '?raw', import: 'default', eager: true }"

/**
 * Makes migrations from files, passed as texts by path, such as the result of a bundler's glob. Supports, by file name, `0001_name.sql`,
 * `0001_name.up.sql` with `.down.sql`, `20250709035454_name/migration.sql` (Prisma, with an optional `down.sql`; drizzle-kit),
 * drizzle-kit's `0000_name.sql`, `V1__name.sql` with `U1__name.sql` (Flyway), and the markers `-- migrate:up` and
 * `-- migrate:down` (dbmate), `-- Up Migration` and `-- Down Migration` (node-pg-migrate). Files that don't end in `.sql` are ignored.
 * A byte order mark is removed; `--> statement-breakpoint` ends a statement, with or without a semicolon.
 *
 * Throws `migration_invalid` (`details.file`, `details.line`) for a `.sql` file with an unknown kind of name, an empty file, two files of
 * the same version, misplaced or unknown markers, a quote, a comment or a trigger that never ends, and damaged text (NUL, U+FFFD); without
 * `details.line` for a value that isn't text. Throws `invalid_argument` for an argument that isn't an object of texts by path.
 *
 * @example
 * ```ts
 * const files = import.meta.glob('./migrations/**\/*.sql', { query: '?raw', import: 'default', eager: true })
 * const db = await open({ name: 'shop', migrations: migrationsFrom(files) })
 * ```
 */
export function migrationsFrom(files: Readonly<Record<string, unknown>>): Migration[] {
  return reading('The files of migrationsFrom', () => migrationsOf(files))
}

function migrationsOf(files: Readonly<Record<string, unknown>>): Migration[] {
  // An array and a Map have no properties named by path: without this check they would count as no files.
  if (typeof files !== 'object' || files === null || Symbol.iterator in files)
    throw invalid('migrationsFrom needs an object of texts by path', { hint: rawText })
  const versions = new Map<string, { up?: FilePart; down?: FilePart }>()
  for (const [file, text] of Object.entries(files)) {
    if (!/\.sql$/i.test(file)) continue
    const part = partOf(file, textOf(file, text))
    const key = versionKey(part.version)
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

/** Returns the text of a file without the byte order mark. Throws for values that aren't the text of a script. */
function textOf(file: string, given: unknown): string {
  const refuse = (why: string) =>
    new TidelockError('migration_invalid', `The migration file ${file} can't be used: ${why}`, {
      details: { file },
      hint: rawText,
    })
  if (typeof given !== 'string') throw refuse('its text is not a string')
  const text = given.replace(/^\ufeff/, '')
  const trimmed = text.trim()
  if (trimmed === '') throw refused(file, 'it is empty', 'Put a comment into it, or leave the file out')
  // Tested one after the other: one pattern for both takes time with the square of the length.
  if (!/\s/.test(trimmed) && /^data:|.\.sql(?:\?|$)/i.test(trimmed)) throw refuse('it is a URL instead of the text')
  return text
}

function join({ up, down }: { up?: FilePart; down?: FilePart }): Migration {
  if (up === undefined) {
    const { file } = down as FilePart
    const missing = file
      .replace(/\.down(\.sql)$/i, '.up$1')
      .replace(/(^|[\\/])down(\.sql)$/i, '$1migration$2')
      .replace(/(^|[\\/])U([^\\/]*)$/, '$1V$2')
    throw refused(file, 'it is a down script without an up script', `Add ${missing}`)
  }
  return {
    version: up.version,
    name: up.name,
    up: up.up as string,
    ...(down === undefined ? {} : { down: down.down as string }),
    ...(up.transaction === false || down?.transaction === false ? { transaction: false } : {}),
  }
}

function partOf(file: string, text: string): FilePart {
  const path = file.replaceAll('\\', '/').split('/')
  const base = (path.pop() as string).replace(/\.sql$/i, '')
  const inFolder = stem.exec(path.pop() ?? '')

  const flywayName = flyway.exec(base)
  if (flywayName !== null) {
    const [, kind, version, name] = flywayName as unknown as [string, string, string, string]
    const identity = { file, version: version.replaceAll('_', '.'), name }
    return byName(identity, kind === 'V' ? 'up' : 'down', text)
  }
  const isFolders = /^(migration|up|down)$/.test(base)
  if (inFolder !== null && isFolders) {
    const identity = { file, version: inFolder[1] as string, name: inFolder[2] ?? (inFolder[1] as string) }
    return base === 'down' ? byName(identity, base, text) : { ...identity, ...byMarkers(file, text) }
  }

  const direction = /\.(up|down)$/.exec(base)?.[1] as 'up' | 'down' | undefined
  const match = stem.exec(direction === undefined ? base : base.slice(0, -direction.length - 1))
  if (match === null) {
    if (isFolders) throw refused(file, "its folder's name does not begin with a version", folderNaming)
    if (/^R__/.test(base)) throw refused(file, "Flyway's repeatable migrations have no version", flywayNaming)
    if (/^[VUB]\d*_/.test(base))
      throw refused(file, 'its name is not a version, two underscores and a name', flywayNaming)
    if (inFolder !== null) throw refused(file, "its name is not one of the files in a migration's folder", folderNaming)
    const why = /^\d/.test(base)
      ? 'its version is not followed by _ and a name'
      : 'its name does not begin with a version'
    throw refused(file, why, naming)
  }
  const identity = { file, version: match[1] as string, name: match[2] ?? (match[1] as string) }
  return direction === undefined ? { ...identity, ...byMarkers(file, text) } : byName(identity, direction, text)
}

/** Reads a file whose name says its direction. */
function byName(
  identity: { file: string; version: string; name: string },
  direction: 'up' | 'down',
  text: string,
): FilePart {
  const { file, version, name } = identity
  const other = marksOf(file, text).marks.find((mark) => directionOf(mark) !== direction)
  if (other !== undefined) {
    throw refused(
      file,
      `it has a marker for ${directionOf(other)}, but its name says ${direction}`,
      `Put both directions into ${version}_${name}.sql, or each into its own file`,
      lineOf(text, other.index),
    )
  }
  return { ...identity, [direction]: scriptOf(file, text).sql }
}

/** Splits a file at the markers of dbmate or node-pg-migrate; without markers the whole file is `up`. */
function byMarkers(file: string, text: string): { up: string; down?: string; transaction?: boolean } {
  const { marks, hint } = marksOf(file, text)
  const [first, second] = marks
  if (first === undefined) return { up: scriptOf(file, text).sql }
  const bad = (index: number, why: string) => refused(file, why, hint, lineOf(text, index))
  if (directionOf(first) !== 'up') throw bad(first.index, 'the marker for up must come first')
  const extra = marks.find((mark, index) => index > 1 || (index === 1 && directionOf(mark) === 'up'))
  if (extra !== undefined) throw bad(extra.index, 'a marker is repeated')
  const before = scriptOf(file, text, 0, first.index).first
  if (before !== undefined) throw bad(before, 'there is SQL before the first marker')
  // The text from the start of the file is kept, so that the lines in SQL errors are those of the file.
  const up = scriptOf(file, text, 0, second?.index)
  const down = second === undefined ? undefined : scriptOf(file, text, second.index)
  const plain = marks.every((mark) => !/\btransaction:false\b/.test(mark[2] as string))
  return {
    up: up.sql,
    ...(down?.first === undefined ? {} : { down: down.sql }),
    ...(plain ? {} : { transaction: false }),
  }
}

/** Returns the markers of a file and a hint at their form. Throws for markers of unsupported tools. */
function marksOf(file: string, text: string): { marks: RegExpExecArray[]; hint: string } {
  const goose = /^--[ \t]*\+(goose|migrate)\b/im.exec(text)
  if (goose !== null) {
    const why = 'the markers of goose and sql-migrate are not supported'
    throw refused(file, why, dbmateMarkers, lineOf(text, goose.index))
  }
  const marks = [...text.matchAll(dbmate)]
  const places = marks.map((mark) => mark.index)
  for (const { 0: marker, index } of text.matchAll(likeDbmate)) {
    if (places.includes(index)) continue
    throw refused(file, `unknown marker '${marker.trim()}'`, dbmateMarkers, lineOf(text, index))
  }
  return marks.length > 0 ? { marks, hint: dbmateMarkers } : { marks: [...text.matchAll(pgMigrate)], hint: pgMarkers }
}

function directionOf(mark: RegExpExecArray): 'up' | 'down' {
  return /^up$/i.test(mark[1] as string) ? 'up' : 'down'
}

/** Reads a part of a file as a script. Throws `migration_invalid` for a flaw in it. */
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
