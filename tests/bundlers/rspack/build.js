// What the command line of Rspack does. Fails for warnings, too, except about the size of the wasm.
import { rspack } from '@rspack/core'
import config from './rspack.config.js'

const compiler = rspack({ ...config, performance: false })
compiler.run((error, stats) => {
  if (error) throw error
  const { errors, warnings } = stats.toJson({ all: false, errors: true, warnings: true })
  if (errors.length + warnings.length > 0) throw new Error(JSON.stringify([errors, warnings], undefined, 2))
  compiler.close(() => {})
})
