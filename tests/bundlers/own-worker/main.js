// The database of this page is in a module worker of the app.
const worker = new Worker(new URL('./worker.js', import.meta.url), { type: 'module' })
worker.onmessage = ({ data }) => {
  window.outcome = data
}
worker.postMessage(location.search)
