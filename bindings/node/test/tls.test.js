'use strict';
// An https.Agent over a half dead name, with a certificate that openssl(1) makes.

const assert = require('node:assert');
const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const https = require('node:https');
const os = require('node:os');
const path = require('node:path');
const { test } = require('node:test');
const happysock = require('..');
const { V4, takes } = require('./support');

test('an https.Agent connects through it and checks the name', async (context) => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'happysock-'));
  context.after(() => fs.rmSync(folder, { recursive: true }));
  const [keyFile, certFile] = [path.join(folder, 'key'), path.join(folder, 'cert')];
  execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', keyFile,
    '-out', certFile, '-subj', '/CN=half.test', '-addext', 'subjectAltName=DNS:half.test'], { stdio: 'ignore' });
  const [key, cert] = [fs.readFileSync(keyFile), fs.readFileSync(certFile)];
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
