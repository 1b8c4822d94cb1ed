// A process that rotates the key of the database in a folder again and again, for encryption.test.mjs.
import { open } from '../../pkg-js/dist/index.js'
import '../scenarios/run/quick-secrets.mjs'

const db = await open({
  name: 'shop',
  storage: 'file',
  path: process.argv[2],
  encryption: { passphrase: 'words' },
  onWarning() {},
})
process.send('rotating')
for (;;) {
  await db.rotateKey()
  process.send('rotated')
}
