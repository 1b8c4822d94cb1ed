// The configuration of VitePress. scripts/docs/build.mjs copies it beside the pages, and writes site.json.
import { readFileSync } from 'node:fs'
import { renderMermaidSVG } from 'beautiful-mermaid'
import { defineConfig } from 'vitepress'

const { base, sidebar, rust } = JSON.parse(readFileSync(new URL('./site.json', import.meta.url), 'utf8'))

/** The anchors of headings, as GitHub makes them: links work in both places. */
const slugify = (heading) =>
  heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, '')
    .replaceAll(' ', '-')

/** Draws a diagram in the colours of the page. `prefix` makes its ids unique: the arrowheads of a hidden drawing aren't drawn elsewhere. */
function draw(content, prefix) {
  const drawn = renderMermaidSVG(content, {
    bg: 'var(--vp-c-bg)',
    fg: 'var(--vp-c-text-1)',
    line: 'var(--vp-c-text-2)',
    accent: 'var(--vp-c-brand-1)',
    muted: 'var(--vp-c-text-2)',
    surface: 'var(--vp-c-bg-soft)',
    border: 'var(--vp-c-text-3)',
    font: 'inherit',
    transparent: true,
    layerSpacing: 32,
    padding: 8,
  })
  return drawn.replace(/@import [^;]*;/g, '').replace(/(\bid="|url\(#)/g, `$1${prefix}-`)
}

/** Draws blocks of Mermaid at build time: those from left to right also from top to bottom, for narrow windows. */
function drawDiagrams(md) {
  const { fence } = md.renderer.rules
  md.renderer.rules.fence = (tokens, index, ...rest) => {
    const { info, content } = tokens[index]
    if (info.trim() !== 'mermaid') return fence(tokens, index, ...rest)
    const wide = /^flowchart LR/
    const tall = wide.test(content) && draw(content.replace(wide, 'flowchart TD'), `tall-${index}`)
    const drawn = draw(content, `wide-${index}`)
    const drawings = tall ? `<div class="wide">${drawn}</div><div class="narrow">${tall}</div>` : drawn
    // Vue would take the style sheet of the drawing for one of the page.
    return `<figure class="diagram" v-html="${md.utils.escapeHtml(JSON.stringify(drawings))}"></figure>\n`
  }
}

export default defineConfig({
  base,
  lang: 'en',
  title: 'tidelock',
  description: 'A local database for browser apps: SQLite in the page, durable commits, sync with Supabase',
  lastUpdated: false,
  metaChunk: true,
  ignoreDeadLinks: false,
  // A part of the home page.
  srcExclude: ['hero.md'],
  head: [
    ['link', { rel: 'icon', href: `data:image/svg+xml,${encodeURIComponent(icon())}` }],
    ['link', { rel: 'alternate', type: 'text/plain', title: 'llms.txt', href: `${base}llms.txt` }],
  ],
  markdown: { anchor: { slugify }, toc: { slugify }, config: drawDiagrams },
  vite: { logLevel: 'warn', build: { chunkSizeWarningLimit: 2000, reportCompressedSize: false } },
  themeConfig: {
    search: {
      provider: 'local',
      // Words of a guide are in many pages of the reference, too.
      options: {
        miniSearch: { searchOptions: { boostDocument: (page) => (/\/(api|internals)\//.test(page) ? 0.2 : 1) } },
      },
    },
    outline: { level: [2, 3] },
    sidebar,
    nav: [
      { text: 'Start', link: '/quickstart' },
      { text: 'Guides', link: '/offline' },
      { text: 'API', link: '/api/' },
      ...(rust ? [{ text: 'Rust', link: '/rust/tidelock/index.html', target: '_self' }] : []),
      { text: 'Playground', link: '/playground' },
    ],
    docFooter: { prev: 'Previous', next: 'Next' },
  },
})

function icon() {
  return '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="7" fill="#0e7490"/><path d="M5 19c4-6 7-6 11 0s7 6 11 0" fill="none" stroke="#fff" stroke-width="3.4" stroke-linecap="round"/></svg>'
}
