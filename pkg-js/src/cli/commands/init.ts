import { existsSync, readdirSync } from 'node:fs'
import path from 'node:path'
import { type Command, usageError } from '../command.js'
import type { Output } from '../output.js'
import { makeFolder, writeNew } from '../write.js'
import { type FrameworkName, frameworkIn, frameworkNames, frameworks, projectIn } from './init-frameworks.js'
import { databaseModule, envTemplate, firstMigration } from './init-templates.js'

/** What `init` wrote. */
interface Initialized {
  readonly framework: FrameworkName
  readonly written: readonly string[]
  /** The files that were there already, which stay as they are. */
  readonly kept: readonly string[]
  readonly next: readonly string[]
}

export const init: Command = {
  name: 'init',
  about: 'Writes the first files of an app: a migration, an env template, and the module that opens the database.',
  options: {
    dir: { value: 'DIR', about: "the folder of the migrations; 'migrations' by default" },
    framework: { value: 'NAME', about: `one of ${frameworkNames.join(', ')}; found in package.json by default` },
    name: { value: 'NAME', about: "the database's name; that of the project by default" },
  },
  examples: ['npx tidelock init', 'npx tidelock init --framework next'],

  async run(given): Promise<Initialized> {
    const project = projectIn('.')
    const asked = given.value('framework') ?? project.framework
    const name = frameworkNames.find((known) => known === asked)
    if (name === undefined)
      throw usageError(`There is no framework '${asked}' here`, `Known are: ${frameworkNames.join(', ')}`)
    const framework = frameworkIn(project, name)
    const migrations = given.value('dir') ?? 'migrations'
    const extension = project.typescript ? 'ts' : 'js'
    const isNamedModule = name === 'node' && !project.isModule
    const module = path.join(framework.folder(project), `db.${isNamedModule ? 'm' : ''}${extension}`)
    const migration = path.join(migrations, firstMigration.file)
    const isThere = existsSync(migrations)
    makeFolder(migrations)
    // A folder that was there has its first migration already.
    const there = isThere ? readdirSync(migrations).filter((file) => file.endsWith('.sql')) : undefined
    const opened = {
      framework,
      module,
      migrations,
      files: there ?? [firstMigration.file],
      database: given.value('name') ?? project.name,
      typescript: project.typescript,
    }
    const files: readonly (readonly [string, string])[] = [
      ...(there === undefined ? [[migration, firstMigration.sql] as const] : []),
      ['.env.example', envTemplate(framework)],
      [module, databaseModule(opened)],
    ]
    const written: string[] = []
    const kept: string[] = there === undefined ? [] : [migrations]
    for (const [file, text] of files) {
      makeFolder(path.dirname(file))
      const list = writeNew(file, new TextEncoder().encode(text)) ? written : kept
      list.push(file)
    }
    return { framework: name, written, kept, next: framework.next(module, migrations) }
  },

  print({ framework, written, kept, next }: Initialized, output: Output) {
    output.line(`For ${frameworks[framework].title}:`)
    for (const file of written) output.line(`  wrote ${file}`)
    for (const file of kept) output.line(`  kept  ${file}, which was there already`)
    output.line()
    output.line('Next:')
    for (const [index, step] of next.entries()) output.line(`  ${index + 1}. ${step}`)
  },
}
