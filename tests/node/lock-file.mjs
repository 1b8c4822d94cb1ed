import { readlinkSync } from 'node:fs'
import { hostname } from 'node:os'

/** Where this process's ids are valid. */
const here = `${hostname()} ${readlinkSync('/proc/self/ns/pid')}`

/** Returns the content of a folder's lock file. */
export const lockFile = (pid, host = here) =>
  `tidelock\nid ${pid}-ab\npid ${pid}\nthread ${pid}\nbegan x\nhost ${host}\nsince then\nbeat 0`
