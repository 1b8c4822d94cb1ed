// node scripts/split/mark.mjs BUILD FILE.wasm...: writes into each file which build it is of (the custom section `build`): a page that was
// loaded before a deployment must not take a part that came with it.

import { appendFileSync } from 'node:fs'

const [build, ...paths] = process.argv.slice(2)
const content = [5, ...Buffer.from('build'), ...Buffer.from(build)]
if (content.length > 127) throw new Error('a build is named by at most 121 characters')
for (const path of paths) appendFileSync(path, Buffer.from([0, content.length, ...content]))
