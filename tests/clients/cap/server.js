// Keeps the test server on the loopback, on a port that the system gives, and says which one it is.
const cds = require('@sap/cds')

cds.once('bootstrap', app => {
  const listen = app.listen
  app.listen = () => listen.call(app, 0, '127.0.0.1')
})
cds.once('listening', ({ server }) => console.log(`listening on port ${server.address().port}`))

module.exports = cds.server
