// The sections of CHANGELOG.md: `## [Unreleased]`, and `## [X.Y.Z] - YYYY-MM-DD` of each release.

const UNRELEASED = '## [Unreleased]\n'

/** Returns the date and the notes of a version; undefined when it has no section. */
export function sectionOf(changelog, version) {
  const heading = new RegExp(`^## \\[${version.replaceAll('.', '\\.')}\\] - (\\d{4}-\\d\\d-\\d\\d)\\n`, 'm').exec(
    changelog,
  )
  if (heading === null) return undefined
  return { date: heading[1], notes: bodyFrom(changelog, heading.index + heading[0].length) }
}

/** Returns the changelog with the unreleased notes under the version, and an empty section for the next one. */
export function withRelease(changelog, version, date) {
  if (sectionOf(changelog, version) !== undefined) throw new Error(`CHANGELOG.md already has a section for ${version}`)
  const at = changelog.indexOf(UNRELEASED)
  if (at < 0) throw new Error(`CHANGELOG.md has no section "${UNRELEASED.trim()}"`)
  const from = at + UNRELEASED.length
  if (bodyFrom(changelog, from) === '')
    throw new Error('The section "Unreleased" of CHANGELOG.md is empty: name the changes of this release')
  return `${changelog.slice(0, from)}\n## [${version}] - ${date}\n${changelog.slice(from)}`
}

/** Returns the text from an index to the next section. */
function bodyFrom(changelog, from) {
  return changelog.slice(from).split(/^## /m)[0].trim()
}
