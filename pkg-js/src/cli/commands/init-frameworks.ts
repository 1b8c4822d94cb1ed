import { existsSync } from 'node:fs'
import path from 'node:path'
import { readText } from '../read.js'

/** How the module of a framework reads the migrations: by Vite's glob, as URLs of assets, or from files. */
export type Loading = 'glob' | 'urls' | 'files'

/** A framework, as far as the first files of an app depend on it. */
export interface Framework {
  readonly title: string
  /** The packages by which package.json shows it. */
  readonly packages: readonly string[]
  readonly loading: Loading
  /** What names of variables must begin with so that the page gets them. */
  readonly envPrefix: string
  /** Where a page reads these variables. */
  readonly envObject: string
  /** Returns the folder of the module. */
  folder(project: Project): string
  /** Returns what to do after `init`. */
  next(module: string, migrations: string): readonly string[]
}

/** What the folder of an app shows of it. */
export interface Project {
  readonly name: string
  readonly framework: FrameworkName
  readonly typescript: boolean
  /** Whether Node takes its files for modules, by `"type": "module"`. */
  readonly isModule: boolean
  /** Whether it has another bundler, and not Vite. */
  readonly lacksVite: boolean
  /** Returns whether a file or folder exists. */
  has(file: string): boolean
}

const source = ({ has }: Project) => (has('src') ? 'src' : '.')
const library = (project: Project) => path.join(source(project), 'lib')

const steps =
  (use: string) =>
  (module: string, migrations: string): readonly string[] => [
    `Change the table in ${migrations}, or add another one: npx tidelock migrate new "add orders"`,
    `${use}: const db = await database() of ${module}`,
    'For a remote, copy .env.example to .env, fill it in, and run: npx tidelock doctor --env .env --tables notes',
  ]

const vite = { loading: 'glob', envPrefix: 'VITE_', envObject: 'import.meta.env', folder: source } as const

/** The frameworks, the more particular ones first: a project of Nuxt also has Vue, and most have Vite. */
export const frameworks = {
  next: {
    title: 'Next.js',
    packages: ['next'],
    loading: 'urls',
    envPrefix: 'NEXT_PUBLIC_',
    envObject: 'process.env',
    folder: library,
    next: steps('Open it in an effect of a client component, or with the hooks of tidelock/react'),
  },
  nuxt: {
    ...vite,
    title: 'Nuxt',
    packages: ['nuxt'],
    envPrefix: 'VITE_',
    folder: ({ has }) => (has('app') ? 'app/utils' : 'utils'),
    next: steps('Open it in onMounted, or with the composables of tidelock/vue'),
  },
  sveltekit: {
    ...vite,
    title: 'SvelteKit',
    packages: ['@sveltejs/kit'],
    folder: library,
    next: steps('Open it in onMount, or with the stores of tidelock/svelte'),
  },
  svelte: {
    ...vite,
    title: 'Svelte',
    packages: ['svelte'],
    folder: library,
    next: steps('Open it in onMount, or with the stores of tidelock/svelte'),
  },
  vue: {
    ...vite,
    title: 'Vue',
    packages: ['vue'],
    next: steps('Open it in onMounted, or with the composables of tidelock/vue'),
  },
  react: {
    ...vite,
    title: 'React',
    packages: ['react'],
    next: steps('Pass it to <DatabaseProvider database={database()}> of tidelock/react, or open it in an effect'),
  },
  vite: { ...vite, title: 'Vite', packages: ['vite'], next: steps('Open it where you need it') },
  plain: {
    title: 'a page',
    packages: [
      ...['webpack', 'parcel', '@parcel/core', '@rspack/core', '@rsbuild/core', 'rollup', 'esbuild'],
      // Programs that bring webpack along.
      ...['react-scripts', '@vue/cli-service'],
    ],
    loading: 'urls',
    envPrefix: '',
    envObject: '',
    folder: source,
    next: steps('Open it where you need it'),
  },
  node: {
    title: 'Node',
    packages: [],
    loading: 'files',
    envPrefix: '',
    envObject: 'process.env',
    folder: source,
    next: steps('Open it where you need it'),
  },
} as const satisfies Readonly<Record<string, Framework>>

/** The name of a framework, for `--framework`. */
export type FrameworkName = keyof typeof frameworks

export const frameworkNames = Object.keys(frameworks) as readonly FrameworkName[]

/** Returns how a framework is set up in a project. Only Vite has `import.meta.glob` and its variables. */
export function frameworkIn({ lacksVite }: Project, name: FrameworkName): Framework {
  const framework: Framework = frameworks[name]
  const { loading, envPrefix, envObject } = frameworks.plain
  return lacksVite && framework.loading === 'glob' ? { ...framework, loading, envPrefix, envObject } : framework
}

/** Returns what a folder shows of its app. A package.json that can't be read counts as empty. */
export function projectIn(folder: string): Project {
  const has = (file: string) => existsSync(path.join(folder, file))
  const manifest = has('package.json') ? manifestOf(readText(path.join(folder, 'package.json'))) : undefined
  const packages = { ...objectOf(manifest?.dependencies), ...objectOf(manifest?.devDependencies) }
  const shows = (name: FrameworkName) =>
    frameworks[name].packages.some((needed: string) => Object.hasOwn(packages, needed))
  const found = frameworkNames.find(shows)
  const { name } = manifest ?? {}
  const title = typeof name === 'string' && name !== '' ? name : path.basename(path.resolve(folder))
  return {
    // Without the scope of a package: a name of a database is the name of a folder in Node.
    name:
      title
        .replace(/^@[^/]*\//, '')
        .replace(/[^\w.-]+/g, '-')
        .slice(0, 100) || 'app',
    framework: found ?? (manifest === undefined || has('index.html') ? 'plain' : 'node'),
    typescript: has('tsconfig.json') || Object.hasOwn(packages, 'typescript'),
    isModule: manifest?.type === 'module',
    lacksVite: shows('plain') && !(['nuxt', 'sveltekit', 'vite'] as const).some(shows),
    has,
  }
}

function manifestOf(text: string): Readonly<Record<string, unknown>> {
  try {
    return objectOf(JSON.parse(text))
  } catch {
    return {}
  }
}

function objectOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
}
