// node scripts/notices.mjs > pkg-js/THIRD_PARTY_NOTICES.md
//
// Collects the licences of everything in the npm package: the crates compiled into the wasm and the C code in them, Rust's standard library,
// and the bundled JavaScript. Reads Cargo.lock and node_modules; fails for an unknown licence.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { bundledPackages, linkedCrates, root } from './shipped.mjs'

/** Third-party code inside a crate, which no package manager lists. Each entry is verified by words in one of its files. */
const within = [
  ['sqlite-wasm-rs', 'shim/musl/stdlib/strtod.c', 'strto', 'musl', 'Copyright © 2005-2020 Rich Felker, et al.'],
  ['sqlite-wasm-rs', 'shim/musl/stdlib/qsort.c', 'Valentin Ochs', 'musl, qsort', 'Copyright (C) 2011 by Valentin Ochs'],
  [
    'sqlite-wasm-rs',
    'shim/printf/printf.h',
    'Marco Paland',
    'printf',
    'Copyright (c) 2014-2019 Marco Paland, 2021-2024 Eyal Rozenberg',
  ],
]

const rust = [
  ["Rust's standard library", 'Copyright (c) The Rust Project Contributors'],
  ['compiler-builtins, part of it', 'Copyright (c) 2018 Jorge Aparicio'],
  ['dlmalloc, part of it', 'Copyright (c) 2014 Alex Crichton'],
  ['hashbrown, part of it', "Copyright (c) 2016 Amanieu d'Antras"],
]

/** The allowed licences, preferred ones first, with words of their texts. */
const texts = {
  MIT: 'Permission is hereby granted, free of charge',
  Zlib: "This software is provided 'as-is'",
  'BSL-1.0': 'Boost Software License',
  'Unicode-3.0': 'UNICODE LICENSE V3',
}

/** Returns the licences that apply: of each choice the first allowed one. */
function chosen({ name, license }) {
  return license.split(' AND ').map((part) => {
    const choices = part.replaceAll(/[()]/g, '').split(/ OR |\//)
    const found = Object.keys(texts).find((known) => choices.includes(known))
    if (found === undefined)
      throw new Error(`${name}: unknown licence ${license}: review it, and add it to scripts/notices.mjs`)
    return found
  })
}

/** Returns the package's own text of a licence; undefined when it has none. */
function textOf({ folder }, license) {
  const files = readdirSync(folder).filter((file) => /^licen[cs]e|^copying/i.test(file))
  return files
    .toSorted()
    .map((file) => readFileSync(path.join(folder, file), 'utf8'))
    .find((text) => text.includes(texts[license]))
}

/** Returns the copyright holders: from the text of the licence, else the authors. */
function copyrightOf({ name, authors }, text = '') {
  const [head, rest = ''] = text.split(texts.MIT)
  const lines = head.match(/^\s*copyright\b.*/gim) ?? rest.match(/^\s*copyright (?:\(c\)|©) \d{4}.*/gim)
  if (lines !== null) return lines.map((line) => line.trim().replace(/ or$/, '')).join('; ')
  const people = authors.filter(Boolean).map((author) => author.replace(/ *<.*>/, ''))
  return `Copyright (c) ${people.length > 0 ? people.join(', ') : `the authors of ${name}`}`
}

const all = [...bundledPackages(), ...linkedCrates()].toSorted((a, b) => (a.name < b.name ? -1 : 1))
const mit = []
const others = []
for (const each of all) {
  const title = `${each.name} ${each.version}`
  for (const license of chosen(each)) {
    const text = textOf(each, license)
    if (license === 'MIT') mit.push([title, copyrightOf(each, text)])
    else if (text === undefined) throw new Error(`${title}: no text of its licence ${license} in ${each.folder}`)
    else others.push([title, license, text.trim()])
  }
}
for (const [crate, file, words, name, copyright] of within) {
  const found = all.find((each) => each.name === crate)
  const place = found && path.join(found.folder, file)
  if (!place || !existsSync(place) || !readFileSync(place, 'utf8').includes(words))
    throw new Error(`${name} is no longer in ${crate}: adapt scripts/notices.mjs`)
  mit.push([`${name}, in ${crate}`, copyright])
}
mit.push(...rust)

const own = readFileSync(path.join(root, 'LICENSE-MIT'), 'utf8')
console.log(`# Third-party notices

What the package \`tidelock\` contains of others, and under which licence. SQLite (https://sqlite.org) is in the public domain.

## MIT

${mit.map(([name, copyright]) => `- ${name}: ${copyright}`).join('\n')}

${own.slice(own.indexOf(texts.MIT)).trim()}

Of the functions of mathematics in musl and libm: Copyright (C) 1993 by Sun Microsystems, Inc. All rights reserved.
Permission to use, copy, modify, and distribute this software is freely granted, provided that this notice is preserved.

${others.map(([name, license, text]) => `## ${license}: ${name}\n\n${text}`).join('\n\n')}`)
