// What the npm package and the crate are made of: the bundled JavaScript and the linked crates, for the notices and the SBOM.
import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'

export const root = path.join(import.meta.dirname, '..')

/**
 * Returns the npm packages that the sources import, and those that they need: esbuild bundles them into dist. Those of the integrations
 * stay imports, but for the inspector.
 */
export function bundledPackages() {
  const folder = path.join(root, 'pkg-js/src')
  const files = readdirSync(folder, { recursive: true }).filter(
    (file) => file.endsWith('.ts') && (!file.startsWith('integrations') || file.startsWith('integrations/inspector')),
  )
  const imports = files.flatMap((file) => [
    ...readFileSync(path.join(folder, file), 'utf8').matchAll(/^(?:import|export|\}).* from '(?!\.|node:)([^']+)'/gm),
  ])
  const names = new Set(imports.map(([, name]) => name))
  for (const name of names) for (const needed of Object.keys(manifestOf(name).dependencies ?? {})) names.add(needed)
  return Array.from(names, (name) => {
    const { version, license, author } = manifestOf(name)
    return { name, version, license, authors: [author?.name ?? author], folder: folderOf(name) }
  })
}

const folderOf = (name) => path.join(root, 'node_modules', name)
const manifestOf = (name) => JSON.parse(readFileSync(path.join(folderOf(name), 'package.json'), 'utf8'))

/** Returns the crates that are linked into a program of this target, by default the wasm, without build dependencies and our own. */
export function linkedCrates(target = 'wasm32-unknown-unknown', features = []) {
  const words = ['metadata', '--format-version', '1', '--locked', '--quiet', '--filter-platform', target]
  const settings = { cwd: root, encoding: 'utf8', maxBuffer: 2 ** 28 }
  const { packages, resolve, workspace_members } = JSON.parse(
    execFileSync('cargo', [...words, '--features', features.join()], settings),
  )
  const byId = new Map(packages.map((each) => [each.id, each]))
  const nodes = new Map(resolve.nodes.map((each) => [each.id, each]))
  const linked = new Set([packages.find(({ name }) => name === 'tidelock').id])
  for (const id of linked) {
    const normal = nodes.get(id).deps.filter(({ dep_kinds }) => dep_kinds.some(({ kind }) => kind === null))
    const isMacro = ({ pkg }) => byId.get(pkg).targets.some(({ kind }) => kind.includes('proc-macro'))
    for (const each of normal) if (!isMacro(each)) linked.add(each.pkg)
  }
  return [...linked]
    .filter((id) => !workspace_members.includes(id))
    .map((id) => byId.get(id))
    .map(({ name, version, license, authors, manifest_path }) => ({
      name,
      version,
      license,
      authors,
      folder: path.dirname(manifest_path),
    }))
}
