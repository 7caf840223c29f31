'use strict';
// connect() and the agents' functions, on names that are half dead, silent or unknown.

const assert = require('node:assert');
const { execFile, execFileSync } = require('node:child_process');
const crypto = require('node:crypto');
const http = require('node:http');
const net = require('node:net');
const path = require('node:path');
const { test } = require('node:test');
const { Worker } = require('node:worker_threads');
const happysock = require('..');
const { V4, V6, AT_ONCE, silentName, silentDns, listening, closedPort, takes, descriptors, assertDescriptors } = require('./support');

const refusal = async (promise) => promise.then(() => assert.fail('it is not refused'), (error) => error);

test('a half dead name becomes a net.Socket after a quarter of a second', async () => {
  const { server, port } = await listening(V4, (peer) => peer.end('hello'));
  const socket = await takes(200, 10_000, () => happysock.connect({ host: 'half.test', port, timeout: 10_000, noDelay: true }));
  assert.ok(socket instanceof net.Socket);
  assert.deepStrictEqual([socket.remoteAddress, socket.remotePort, socket.connecting], [V4, port, false]);
  socket.setEncoding('utf8');
  let text = '';
  for await (const part of socket) text += part;
  assert.strictEqual(text, 'hello');
  server.close();
});

test('families, local addresses and addresses in brackets', async () => {
  for (const [host, family] of [[V4, 4], [V6, 6]]) {
    const { server, port } = await listening(host);
    for (const options of [{ host: 'live.test', family }, { host: 'live.test', localAddress: host }, { host: `[${host}]` }]) {
      const socket = await happysock.connect({ port: String(port), ...options });
      assert.strictEqual(socket.remoteAddress, host);
      if (options.localAddress) assert.strictEqual(socket.localAddress, host);
      socket.destroy();
    }
    server.close();
  }
});

test('known addresses are attempted instead of a lookup', async () => {
  const { server, port } = await listening(V4);
  // The delay is long: what comes first is refused, and so the next one has its turn at once.
  const socket = await happysock.connect({ host: 'no.such.host.test', port, connectionAttemptDelay: 2000,
    addresses: [{ address: V6, family: 6 }, new net.SocketAddress({ address: V4, port })] });
  assert.deepStrictEqual([socket.remoteAddress, socket.remotePort], [V4, port]);
  socket.destroy();
  server.close();
  const refused = await refusal(happysock.connect({ port: 80, autoSelectFamily: false,
    addresses: [{ address: '127.0.0.1', port: 1 }, { address: '::1', port: 2 }] }));
  assert.deepStrictEqual(refused.attempts.map(({ address, port: to }) => [address, to]), [['127.0.0.1', 1], ['::1', 2]]);
});

test('each family has a local address', async () => {
  const options = { host: 'dual.test', localV4: { address: '127.0.0.9' }, localV6: new net.SocketAddress({ address: V6, family: 'ipv6' }) };
  for (const [host, family, own] of [['127.0.0.1', 4, '127.0.0.9'], ['::1', 6, V6]]) {
    const { server, port } = await listening(host);
    const socket = await happysock.connect({ ...options, family, port });
    assert.strictEqual(socket.localAddress, own);
    socket.destroy();
    server.close();
  }
});

test('errors are those of node:net and node:dns, with the attempts', async () => {
  const port = await closedPort();
  const refused = await refusal(happysock.connect({ host: 'dual.test', port }));
  assert.deepStrictEqual([refused.code, refused.errno, refused.syscall, refused.port], ['ECONNREFUSED', -111, 'connect', port]);
  assert.deepStrictEqual(refused.attempts.map(({ address, outcome, code }) => [address, outcome, code]).sort(),
    [['127.0.0.1', 'failed', 'ECONNREFUSED'], ['::1', 'failed', 'ECONNREFUSED']]);

  const unknown = await refusal(happysock.connect({ host: 'no.such.host.test', port }));
  assert.ok(['ENOTFOUND', 'EAI_AGAIN'].includes(unknown.code), unknown.code);
  assert.deepStrictEqual([unknown.syscall, unknown.hostname, unknown.attempts], ['getaddrinfo', 'no.such.host.test', []]);

  const limited = await takes(2990, 30_000, () =>
    refusal(happysock.connect({ host: 'silent.test', port: 80, timeout: 3000, connectionAttemptDelay: 20 })));
  assert.deepStrictEqual([limited.code, limited.attempts.length], ['ETIMEDOUT', 2]);
});

test('bad arguments are refused before anything is done', async () => {
  for (const [code, options] of [
    ['ERR_INVALID_ARG_TYPE', null], ['ERR_INVALID_ARG_TYPE', { host: 80, port: 80 }],
    ['ERR_SOCKET_BAD_PORT', { port: 65536 }], ['ERR_SOCKET_BAD_PORT', { port: 80.5 }], ['ERR_SOCKET_BAD_PORT', {}],
    ['ERR_OUT_OF_RANGE', { port: 80, family: 5 }], ['ERR_OUT_OF_RANGE', { port: 80, timeout: -1 }],
    ['ERR_OUT_OF_RANGE', { port: 80, timeout: NaN }], ['ERR_INVALID_ARG_TYPE', { port: 80, timeout: '5' }],
    ['ERR_INVALID_ARG_TYPE', { port: 80, localAddress: 7 }], ['ERR_INVALID_ARG_VALUE', { port: 80, host: 'local\0host' }],
    ['ERR_INVALID_ARG_TYPE', { port: 80, nat64: true }], ['ERR_INVALID_ARG_VALUE', { port: 80, nat64: '64:ff9b::/95' }],
    ['ERR_INVALID_ARG_TYPE', { port: 80, addresses: V4 }], ['ERR_INVALID_ARG_VALUE', { port: 80, addresses: [] }],
    ['ERR_INVALID_ARG_TYPE', { port: 80, addresses: [V4] }], ['ERR_INVALID_IP_ADDRESS', { port: 80, addresses: [{ address: 'localhost' }] }],
    ['ERR_SOCKET_BAD_PORT', { port: 80, addresses: [{ address: V4, port: 65536 }] }],
    ['ERR_INVALID_IP_ADDRESS', { port: 80, addresses: [{ address: V4 }, { address: 'fe80::1%no-such' }] }],
    ['ERR_INVALID_IP_ADDRESS', { port: 80, localV4: { address: '::1' } }], ['ERR_INVALID_IP_ADDRESS', { port: 80, localV6: { address: V4 } }],
    ['ERR_INVALID_ARG_VALUE', { port: 80, localAddress: V4, localV4: { address: V4 } }],
    ['ERR_INVALID_ARG_TYPE', { port: 80, signal: {} }], ['ENOTFOUND', { port: 80, host: 'local host' }],
  ]) {
    assert.strictEqual((await refusal(happysock.connect(options))).code, code, JSON.stringify(options));
  }
});

test('without a race a silent address leaves the others their share', async () => {
  const { server, port } = await listening(V4);
  // Without its share of 3 s the silent address would have all of the time.
  const socket = await happysock.connect({ host: 'half.test', port, timeout: 6000, autoSelectFamily: false, shareTimeout: true,
    growingDelay: true, onlyConnectedFamilies: true });
  assert.strictEqual(socket.remoteAddress, V4);
  socket.destroy();
  server.close();
});

test('libc is asked where it is to be', async () => {
  const port = await closedPort();
  for (const [lookupByLibc, source] of [[false, 'hosts'], [true, 'libc']]) {
    assert.strictEqual((await refusal(happysock.connect({ host: 'dual.test', port, lookupByLibc }))).source, source);
  }
});

test('an AbortSignal ends it at once and leaves nothing', async () => {
  const dns = await silentDns();
  await refusal(happysock.connect({ host: silentName(), port: 80, timeout: 1 }));
  const before = descriptors();
  for (const host of ['silent.test', silentName(), silentName()]) {
    const controller = new AbortController();
    const connecting = refusal(happysock.connect({ host, port: 80, signal: controller.signal }));
    await new Promise((resolve) => setTimeout(resolve, 20));
    controller.abort();
    assert.strictEqual((await takes(0, AT_ONCE, () => connecting)).name, 'AbortError');
  }
  const aborted = await refusal(happysock.connect({ host: 'silent.test', port: 80, signal: AbortSignal.abort() }));
  assert.strictEqual(aborted.name, 'AbortError');
  const late = await refusal(happysock.connect({ host: 'silent.test', port: 80, signal: AbortSignal.timeout(50) }));
  assert.strictEqual(late.name, 'TimeoutError');
  await assertDescriptors(before);
  dns.close();
});

test('a hundred lookups that hang hold up neither the loop nor the four threads of libuv', async () => {
  const dns = await silentDns();
  const controller = new AbortController();
  const hanging = Array.from({ length: 100 }, () =>
    refusal(happysock.connect({ host: silentName(), port: 80, signal: controller.signal })));
  const { server, port } = await listening(V4);
  await takes(0, AT_ONCE, async () => {
    // What runs on libuv's threads, twice over.
    await Promise.all(Array.from({ length: 8 }, () => new Promise((resolve) => { crypto.randomBytes(16, resolve); })));
    (await happysock.connect({ host: 'live.test', family: 4, port })).destroy();
  });
  controller.abort();
  assert.ok((await Promise.all(hanging)).every(({ name }) => name === 'AbortError'));
  server.close();
  dns.close();
});

test('many at once', async () => {
  const { server, port } = await listening(V4);
  const sockets = await takes(200, 10_000, () => Promise.all(Array.from({ length: 50 }, () => happysock.connect({ host: 'half.test', port }))));
  for (const socket of sockets) socket.destroy();
  server.close();
});

test('an http.Agent connects through it', async () => {
  const { server, port } = await listening(V4, (peer) => {
    peer.once('data', () => peer.end('HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello'));
  });
  const agent = new http.Agent();
  agent.createConnection = happysock.createConnection;
  const get = (host, more) => new Promise((resolve, reject) => {
    http.get({ host, port, agent, ...more }, async (response) => {
      let text = '';
      for await (const part of response.setEncoding('utf8')) text += part;
      resolve(text);
    }).on('error', reject);
  });
  assert.strictEqual(await takes(200, 10_000, () => get('half.test')), 'hello');
  assert.strictEqual((await refusal(get('silent.test', { connectTimeout: 100 }))).code, 'ETIMEDOUT');
  assert.strictEqual((await refusal(get('local host'))).code, 'ENOTFOUND');
  server.close();
});

test('with a history a dead family costs one delay', async () => {
  const { server, port } = await listening(V4);
  const history = new happysock.History();
  // The winner takes less than the delay: otherwise the other one does not pass for unanswered.
  (await takes(1990, 30_000, () =>
    happysock.connect({ host: 'half.test', port, history, connectionAttemptDelay: 2000 }))).destroy();
  const { networks, unansweredV6, unansweredV4 } = history.report();
  assert.deepStrictEqual([networks >= 1, unansweredV6, unansweredV4], [true, 1, 0]);
  // Nobody listens there, so that what was attempted first is told.
  const refused = await refusal(happysock.connect({ host: 'half.test', port: await closedPort(), history, timeout: 3000 }));
  assert.strictEqual(refused.attempts[0].address, V4);
  history.flush();
  assert.deepStrictEqual(history.report(), { destinations: 0, networks: 0, unansweredV6: 0, unansweredV4: 0 });
  assert.strictEqual((await refusal(happysock.connect({ port, history: {} }))).code, 'ERR_INVALID_ARG_TYPE');
  server.close();
});

test('the example', async () => {
  const { server, port } = await listening(V4, (peer) => {
    peer.once('data', () => peer.end('HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello'));
  });
  const example = path.join(__dirname, '..', 'examples', 'get.js');
  const output = await new Promise((resolve, reject) => {
    execFile(process.execPath, [example, `http://half.test:${port}/`], { timeout: 30_000 },
      (error, stdout) => { if (error) reject(error); else resolve(stdout); });
  });
  assert.strictEqual(output, 'hello');
  server.close();
});

test('a process that waits for nothing but a connect goes on waiting, one that exits does not', () => {
  const library = JSON.stringify(path.join(__dirname, '..'));
  const run = (program) => execFileSync(process.execPath, ['-e', program], { timeout: 30_000 }).toString();
  assert.strictEqual(run(`require(${library}).connect({ host: 'silent.test', port: 80, timeout: 200 }).catch((e) => console.log(e.code))`),
    'ETIMEDOUT\n');
  assert.strictEqual(run(`require(${library}).connect({ host: 'silent.test', port: 80 }); setTimeout(process.exit, 50)`), '');
});

test('a worker that is ended in the middle of a connect takes it along', async () => {
  const library = JSON.stringify(path.join(__dirname, '..'));
  const { server, port } = await listening(V4);
  const before = descriptors();
  const begun = "require('node:worker_threads').parentPort.postMessage('begun')";
  for (const program of [
    `require(${library}).connect({ host: 'silent.test', port: 80 }); ${begun}`,
    `require(${library}).connect({ host: '${V4}', port: ${port}, confirm: () => { ${begun}; return new Promise(() => {}); } })`,
  ]) {
    for (let turn = 0; turn < 3; turn++) {
      const worker = new Worker(program, { eval: true });
      await new Promise((resolve) => worker.once('message', resolve));
      await worker.terminate();
    }
  }
  await assertDescriptors(before);
  server.close();
});
