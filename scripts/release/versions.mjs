// Where the version stands. Cargo.toml is its source; the other places are manifests and lock files that must repeat it.

/** The patterns of the version, by file. A file of another name has none. */
const PATTERNS = [
  [
    /^Cargo\.toml$/,
    /(?<=^\[workspace\.package\]\n(?:[^[].*\n)*?version = "|^tidelock-\w+ = \{ version = ")\d+\.\d+\.\d+(?=")/gm,
  ],
  [/^pkg-js\/package\.json$/, /(?<=^ {2}"version": ")\d+\.\d+\.\d+(?=")/gm],
  [/(^|\/)Cargo\.lock$/, /(?<=^name = "tidelock(?:-\w+)?"\nversion = ")\d+\.\d+\.\d+(?=")/gm],
  [
    /(^|\/)package-lock\.json$/,
    /(?<=^ +"(?:node_modules\/tidelock|pkg-js)": \{\n(?: +"name": .*\n)? +"version": ")\d+\.\d+\.\d+(?=")/gm,
  ],
]

/** The files that must have the version; in others of the same kinds it may be missing. */
export const MANIFESTS = ['Cargo.toml', 'Cargo.lock', 'pkg-js/package.json', 'package-lock.json']

const patternOf = (file) => PATTERNS.find(([name]) => name.test(file))?.[1]

/** Returns the versions in the text of a file, in their order. */
export function versionsIn(file, text) {
  const pattern = patternOf(file)
  return pattern === undefined ? [] : (text.match(pattern) ?? [])
}

/** Returns the text of a file with another version. */
export function withVersion(file, text, version) {
  return text.replace(patternOf(file), version)
}

/** Returns what is wrong with the versions of the files, `{ [file]: text }`: one that differs from that of Cargo.toml, or is missing. */
export function problemsOfVersions(texts) {
  const version = sourceOf(texts)
  const missing = MANIFESTS.filter((file) => versionsIn(file, texts[file] ?? '').length === 0)
  const others = Object.entries(texts).flatMap(([file, text]) => {
    const found = new Set(versionsIn(file, text).filter((each) => each !== version))
    return Array.from(found, (each) => `${file} has version ${each}, and Cargo.toml ${version}`)
  })
  return [...missing.map((file) => `${file} has no version`), ...others]
}

/** Returns the version of Cargo.toml. */
export function sourceOf(texts) {
  return versionsIn('Cargo.toml', texts['Cargo.toml'])[0]
}
