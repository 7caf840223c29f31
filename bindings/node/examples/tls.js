'use strict';
// A connection counts when its handshake of TLS is done: node examples/tls.js HOST PORT
// Handshakes with several addresses go on at the same time, the first to finish wins, and the others are cancelled. The certificates
// that are trusted: NODE_EXTRA_CA_CERTS.

const { once } = require('node:events');
const tls = require('node:tls');
const happysock = require('..');

const [, , host, port] = process.argv;

async function handshake(socket) {
  const secure = tls.connect({ socket, servername: host });
  await once(secure, 'secureConnect');
  return secure;
}

happysock.connect({ host, port, confirm: handshake, timeout: 30_000 }).then(
  (secure) => secure.pipe(process.stdout),
  (error) => {
    console.error(error.message, error.cause?.message ?? '');
    process.exitCode = 1;
  });
