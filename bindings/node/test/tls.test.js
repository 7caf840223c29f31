'use strict';
// Agents over a half dead name, and what is confirmed before it wins; with certificates that openssl(1) makes.

const assert = require('node:assert');
const { execFile, execFileSync } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const https = require('node:https');
const net = require('node:net');
const os = require('node:os');
const path = require('node:path');
const { test } = require('node:test');
const tls = require('node:tls');
const happysock = require('..');
const { V4, takes, descriptors, assertDescriptors } = require('./support');

function certify(context, host) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'happysock-'));
  context.after(() => fs.rmSync(folder, { recursive: true }));
  const [keyFile, certFile] = [path.join(folder, 'key'), path.join(folder, 'cert')];
  execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', keyFile,
    '-out', certFile, '-subj', `/CN=${host}`, '-addext', `subjectAltName=DNS:${host}`], { stdio: 'ignore' });
  return { key: fs.readFileSync(keyFile), cert: fs.readFileSync(certFile), certFile };
}

test('an https.Agent connects through it and checks the name', async (context) => {
  const { key, cert } = certify(context, 'half.test');
  const server = https.createServer({ key, cert }, (request, response) => response.end(request.socket.servername));
  await new Promise((resolve) => { server.listen(0, V4, resolve); });
  const agent = new https.Agent({ ca: cert });
  agent.createConnection = happysock.createSecureConnection;
  const get = (host) => new Promise((resolve, reject) => {
    https.get({ host, port: server.address().port, agent }, async (response) => {
      let text = '';
      for await (const part of response.setEncoding('utf8')) text += part;
      resolve(text);
    }).on('error', reject);
  });
  assert.strictEqual(await takes(200, 10_000, () => get('half.test')), 'half.test');
  await assert.rejects(get(V4), { code: 'ERR_TLS_CERT_ALTNAME_INVALID' });
  agent.destroy();
  server.close();
});

// Two servers at one port: of ::1, which takes connections and never answers, and of 127.0.0.1.
async function silentlyFirst(server) {
  await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  const { port } = server.address();
  const silent = net.createServer(() => {});
  await new Promise((resolve) => { silent.listen(port, '::1', resolve); });
  return { port, close: () => { silent.close(); server.close(); } };
}

test('the handshake of TLS that is done first wins', async (context) => {
  const { key, cert, certFile } = certify(context, 'dual.test');
  const { port, close } = await silentlyFirst(tls.createServer({ key, cert }, (peer) => peer.end('hello')));
  const example = path.join(__dirname, '..', 'examples', 'tls.js');
  const output = await new Promise((resolve, reject) => {
    execFile(process.execPath, [example, 'dual.test', port], { timeout: 60_000, env: { ...process.env, NODE_EXTRA_CA_CERTS: certFile } },
      (error, stdout) => { if (error) reject(error); else resolve(stdout); });
  });
  assert.strictEqual(output, 'hello');
  close();
});

test('the others are cancelled and nothing is left', async () => {
  const { port, close } = await silentlyFirst(net.createServer((peer) => peer.end('hello')));
  const before = descriptors();
  let begun;
  let aborted;
  const silent = new Promise((resolve) => { begun = resolve; });
  const cancelled = new Promise((resolve) => { aborted = resolve; });
  const socket = await happysock.connect({ host: 'dual.test', port,
    confirm: async (candidate, { signal }) => {
      // Whichever is attempted first, the other one is held too.
      if (candidate.remoteFamily === 'IPv4') return silent;
      signal.addEventListener('abort', () => aborted(candidate));
      begun();
      await new Promise(() => {});
    } });
  assert.strictEqual(socket.remoteAddress, '127.0.0.1');
  const other = await cancelled;
  assert.strictEqual(other.destroyed || await once(other, 'close').then(() => true), true);
  let text = '';
  for await (const part of socket.setEncoding('utf8')) text += part;
  assert.strictEqual(text, 'hello');
  close();
  await assertDescriptors(before);
});

test('when none is confirmed the error says why; a limit and an abort end it', async () => {
  const { port, close } = await silentlyFirst(net.createServer(() => {}));
  const before = descriptors();
  const unwanted = new Error('unwanted');
  const connect = (options) => happysock.connect({ host: 'dual.test', port, ...options }).then(() => assert.fail('it is taken'), (error) => error);
  const error = await connect({ confirm: () => { throw unwanted; } });
  assert.deepStrictEqual([error.code, error.syscall, error.cause], ['ECONNABORTED', 'confirm', unwanted]);
  assert.deepStrictEqual(error.attempts.map(({ outcome }) => outcome), ['failed', 'failed']);
  const forever = () => new Promise(() => {});
  assert.strictEqual((await connect({ confirm: forever, timeout: 100 })).code, 'ETIMEDOUT');
  const controller = new AbortController();
  assert.strictEqual((await connect({ signal: controller.signal, confirm: () => { controller.abort(); return forever(); } })).name, 'AbortError');
  assert.strictEqual((await connect({ confirm: true })).code, 'ERR_INVALID_ARG_TYPE');
  close();
  await assertDescriptors(before);
});
