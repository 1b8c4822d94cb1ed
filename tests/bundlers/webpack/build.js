// What the command line of webpack does. Fails for warnings, too, except about the size of the wasm.
import webpack from 'webpack'
import config from './webpack.config.js'

const compiler = webpack({ ...config, performance: { hints: false } })
compiler.run((error, stats) => {
  if (error) throw error
  const { errors, warnings } = stats.toJson({ all: false, errors: true, warnings: true })
  if (errors.length + warnings.length > 0) throw new Error(JSON.stringify([errors, warnings], undefined, 2))
  compiler.close(() => {})
})
