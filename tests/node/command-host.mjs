// The process in which runCommand (command-line.mjs) runs command lines one after another: each message is one, and is answered.
import { runCommandLine } from '../../pkg-js/dist/cli/commands.js'

process.on('message', async ({ args, cwd, env }) => {
  process.chdir(cwd)
  for (const name of Object.keys(process.env)) if (!(name in env)) delete process.env[name]
  Object.assign(process.env, env)
  const printed = { out: '', err: '' }
  const code = await runCommandLine(args, {
    out: { write: (text) => (printed.out += text) },
    err: { write: (text) => (printed.err += text), isTTY: false, columns: 80 },
    env: process.env,
    signal: new AbortController().signal,
  })
  process.send({ code, ...printed })
})
process.once('disconnect', () => process.exit())
