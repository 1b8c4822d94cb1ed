// The package itself, which the command line uses as any program does. The bundle of the command line imports the package's own bundle.
export * from '../index.js'
