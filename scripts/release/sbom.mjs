// The bill of materials of a release, in CycloneDX: what the npm package and the crate contain, not what builds them. `npm sbom` lists the
// development tools instead, because what is bundled is no dependency of the package.

/** Returns a bill: the JSON of a component and its parts (`partOf`). It has no time and no serial number, so that a second build gives the same bytes. */
export function billOf(component, parts) {
  const components = parts.toSorted((one, other) => (one.purl < other.purl ? -1 : 1))
  return `${JSON.stringify({ bomFormat: 'CycloneDX', specVersion: '1.6', version: 1, metadata: { component }, components }, null, 2)}\n`
}

/** Returns a component of the kind `npm` or `cargo`. `hash` is `{ alg, content }` of its archive, `cpe` its name in databases of vulnerabilities. */
export function partOf(kind, { name, version, license }, { hash, cpe } = {}) {
  const purl = `pkg:${kind}/${name.replace('@', '%40')}@${version}`
  return {
    type: 'library',
    'bom-ref': purl,
    name,
    version,
    licenses: [{ expression: license.replaceAll('/', ' OR ') }],
    purl,
    ...(hash && { hashes: [hash] }),
    ...(cpe && { cpe }),
  }
}

/** Returns the checksum of a crate's archive, from the text of Cargo.lock. */
export function hashOfCrate(lock, { name, version }) {
  const found = new RegExp(
    `^name = "${name}"\\nversion = "${version.replaceAll('.', '\\.')}"\\n(?:.+\\n)*?checksum = "(\\w+)"`,
    'm',
  ).exec(lock)
  return found === null ? undefined : { alg: 'SHA-256', content: found[1] }
}

/** Returns the checksum of an npm package's archive, from the parsed package-lock.json. */
export function hashOfPackage(lock, { name }) {
  const [, alg, content] = /^sha(\d+)-(.+)$/.exec(lock.packages[`node_modules/${name}`]?.integrity ?? '') ?? []
  return alg && { alg: `SHA-${alg}`, content: Buffer.from(content, 'base64').toString('hex') }
}
