import { StrictMode } from 'react'
import { createRoot } from 'react-dom/client'
import { DatabaseProvider } from 'tidelock/react'
import { options } from './database'
import { Status } from './Status'
import { Todos } from './Todos'

createRoot(document.body).render(
  <StrictMode>
    <DatabaseProvider options={options}>
      <h1>To-do</h1>
      <Todos />
      <Status />
    </DatabaseProvider>
  </StrictMode>,
)

if (import.meta.env.PROD) navigator.serviceWorker.register('/service-worker.js')
