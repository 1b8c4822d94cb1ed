// Checks the links of a built site: each leads to a file of the site, and to a heading that the page has.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'

/** Returns how many pages and links a built site has. Throws an error that lists the links that lead nowhere. */
export function checkSite(site, base) {
  const files = readdirSync(site, { recursive: true }).filter(
    (file) => file.endsWith('.html') && !file.startsWith(`rust${path.sep}`),
  )
  const texts = new Map(files.map((file) => [file.replaceAll('\\', '/'), readFileSync(path.join(site, file), 'utf8')]))
  const ids = new Map()
  const idsOf = (file) => {
    if (!ids.has(file)) ids.set(file, new Set(Array.from(texts.get(file).matchAll(/ id="([^"]+)"/g), ([, id]) => id)))
    return ids.get(file)
  }
  const broken = []
  let links = 0
  for (const [file, text] of texts)
    for (const [, address] of text.matchAll(/<a\b[^>]*? href="([^"]+)"/g)) {
      if (/^\w+:|^\/\//.test(address)) continue
      links++
      const { pathname, hash } = new URL(address.replaceAll('&amp;', '&'), `http://site${base}${file}`)
      const inside = pathname.startsWith(base) ? decodeURIComponent(pathname.slice(base.length)) : '..'
      const target = inside === '' || inside.endsWith('/') ? `${inside}index.html` : inside
      const anchor = decodeURIComponent(hash.slice(1))
      if (!existsSync(path.join(site, target))) broken.push(`${file} has a link to ${address}, which is not there`)
      // The playground's examples are no headings.
      else if (anchor !== '' && target !== 'playground.html' && texts.has(target) && !idsOf(target).has(anchor))
        broken.push(`${file} has a link to ${address}, a heading that is not there`)
    }
  if (broken.length > 0) throw new Error(`${broken.length} links lead nowhere:\n${broken.join('\n')}`)
  return { pages: texts.size, links }
}
