import path from 'node:path'
import type { Framework } from './init-frameworks.js'

/** The first migration. */
export const firstMigration = {
  file: '0001_notes.sql',
  sql: `-- The first table. To change it later, add a migration: npx tidelock migrate new "add a column"
CREATE TABLE notes (
  id TEXT PRIMARY KEY NOT NULL DEFAULT (lower(hex(randomblob(16)))),
  body TEXT NOT NULL,
  updated_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
);
`,
} as const

/** Returns the template of the environment: without values, so that it may be in the repository. */
export function envTemplate({ envPrefix }: Framework): string {
  return `# Copy this file to .env, and keep .env out of the repository.
# The Supabase project, or the root of a PostgREST, and its publishable key: every visitor may see both.
${envPrefix}SUPABASE_URL=
${envPrefix}SUPABASE_PUBLISHABLE_KEY=
# Only for npx tidelock, never for a page: this key reads and changes all data.
# SUPABASE_SECRET_KEY=
`
}

/** A failed opening isn't kept. */
const again = `.catch((error) => {
    opened = undefined // the next call tries again
    throw error
  })`

/** What the module that opens the database depends on. */
interface OpeningModule {
  readonly framework: Framework
  /** The path of the module. */
  readonly module: string
  /** The folder of the migrations, and the files in it. */
  readonly migrations: string
  readonly files: readonly string[]
  readonly database: string
  readonly typescript: boolean
}

/** Returns the module that opens the database. */
export function databaseModule(opened: OpeningModule): string {
  const { framework, database, typescript } = opened
  const type = (text: string) => (typescript ? text : '')
  const { imports = '', constants, migrations, isAsync = false, end = '' } = loading(opened)
  const inNode = framework.loading === 'files'
  const options = [
    `name: ${quoted(database)}`,
    inNode ? "storage: 'file'" : "tabs: 'shared'",
    ...(framework.envObject === 'import.meta.env' ? ['dev: import.meta.env.DEV'] : []),
    `migrations: ${migrations}`,
  ]
  const opening = `open({
${options.map((option) => `    ${option},\n`).join('')}${remote(framework)}  })`
  const begin = isAsync
    ? `  opened ??= openDatabase()${again}
  return opened
}

async function openDatabase()${type(': Promise<Database>')} {
  return ${opening}
}`
    : `  opened ??= ${opening}${again}
  return opened
}`
  return `${imports}import { ${type('type Database, ')}migrationsFrom, open } from 'tidelock'

${constants}
let opened${type(': Promise<Database> | undefined')}

/** Opens the database with the first call. Every call gets the same one${inNode ? '' : '; call it in the browser, not while a server renders'}. */
export function database()${type(': Promise<Database>')} {
${begin}
${end}`
}

/** The code that reads the migrations. */
interface Reading {
  readonly imports?: string
  /** What stands before the function that opens. */
  readonly constants: string
  /** The value of the option. */
  readonly migrations: string
  readonly isAsync?: boolean
  readonly end?: string
}

function loading({ framework, module, migrations, files, typescript }: OpeningModule): Reading {
  const folder = relative(module, migrations)
  switch (framework.loading) {
    case 'glob':
      return {
        constants: `const files = import.meta.glob(${quoted(`${folder}/*.sql`)}, { query: '?raw', import: 'default', eager: true })
`,
        migrations: 'migrationsFrom(files)',
        end: `
// While you develop: an edited migration, or another option, needs a new page.
import.meta.hot?.accept(() => location.reload())
`,
      }
    case 'urls':
      return {
        constants: `// Each migration by its name. webpack, Rspack, Parcel and Next.js copy files that are named like this; else serve them there.
const urls${typescript ? ': Record<string, URL>' : ''} = {
${files.map((file) => `  ${quoted(file)}: new URL(${quoted(`${folder}/${file}`)}, import.meta.url),\n`).join('')}}

async function readMigrations() {
  const texts = Object.entries(urls).map(async ([name, url]) => {
    const response = await fetch(url)
    if (!response.ok) throw new Error(\`\${url} was answered with status \${response.status}\`)
    return [name, await response.text()]${typescript ? ' as const' : ''}
  })
  return migrationsFrom(Object.fromEntries(await Promise.all(texts)))
}
`,
        migrations: 'await readMigrations()',
        isAsync: true,
      }
    case 'files':
      return {
        imports: "import { readdirSync, readFileSync } from 'node:fs'\n",
        constants: `const folder = new URL(${quoted(`${folder}/`)}, import.meta.url)
const files = readdirSync(folder).filter((file) => file.endsWith('.sql'))
`,
        migrations:
          "migrationsFrom(\n      Object.fromEntries(files.map((file) => [file, readFileSync(new URL(file, folder), 'utf8')])),\n    )",
      }
  }
}

/** Returns a comment that shows how to sync with a remote; nothing where a page has no environment. */
function remote({ envObject, envPrefix }: Framework): string {
  if (envObject === '') return ''
  const variable = (name: string) => `${envObject}.${envPrefix}SUPABASE_${name}`
  return `    // remote: { url: ${variable('URL')}, key: ${variable('PUBLISHABLE_KEY')}, tables: ['notes'] },
`
}

/** Returns the path of a folder as the module names it. */
function relative(module: string, folder: string): string {
  const found = path.relative(path.dirname(module), folder).replaceAll('\\', '/')
  return found.startsWith('.') ? found : `./${found}`
}

/** Returns a text as a literal in single quotes. */
function quoted(text: string): string {
  return `'${JSON.stringify(text).slice(1, -1).replaceAll('\\"', '"').replaceAll("'", "\\'")}'`
}
