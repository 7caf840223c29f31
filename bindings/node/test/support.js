'use strict';
// What the tests have in common. They run in scripts/in-test-network, whose names and addresses they use. Limits on time are
// wide: they tell a moment from the half minute of a connect or lookup that hangs.

const assert = require('node:assert');
const dgram = require('node:dgram');
const fs = require('node:fs');
const net = require('node:net');

const V4 = '203.0.113.1';
const V6 = '2001:db8:1::1';
const AT_ONCE = 10_000;
let names = 0;

// A name that DNS keeps silent about, not asked for before.
const silentName = () => `n${process.pid}x${++names}.example`;

// A server that never answers, where resolv.conf says that one is.
function silentDns() {
  return new Promise((resolve) => {
    const server = dgram.createSocket('udp4');
    server.bind(53, '127.0.0.53', () => resolve(server));
  });
}

// Listens at one port of an address; what connects is kept until the server is closed.
function listening(host, onConnection = () => {}) {
  return new Promise((resolve) => {
    const server = net.createServer(onConnection).listen(0, host, () => resolve({ server, port: server.address().port }));
  });
}

async function closedPort() {
  const { server, port } = await listening('127.0.0.1');
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function takes(least, most, body) {
  const start = performance.now();
  const answer = await body();
  const taken = performance.now() - start;
  assert.ok(taken >= least && taken < most, `took ${taken} ms`);
  return answer;
}

const descriptors = () => fs.readdirSync('/proc/self/fd').length;

// That no more are open, or will be in a moment.
async function assertDescriptors(most) {
  for (let turn = 0; descriptors() > most && turn < 1000; turn++) await new Promise((resolve) => setTimeout(resolve, 10));
  assert.ok(descriptors() <= most, `${descriptors()} descriptors are open, ${most} were`);
}

module.exports = { V4, V6, AT_ONCE, silentName, silentDns, listening, closedPort, takes, descriptors, assertDescriptors };
