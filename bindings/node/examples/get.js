'use strict';
// Fetches a page and says how long it took to connect: node examples/get.js http://HOST[:PORT]/PATH

const http = require('node:http');
const https = require('node:https');
const happysock = require('..');

const agents = { 'http:': new http.Agent(), 'https:': new https.Agent() };
agents['http:'].createConnection = happysock.createConnection;
agents['https:'].createConnection = happysock.createSecureConnection;

const url = new URL(process.argv[2]);
const start = performance.now();
const request = (url.protocol === 'https:' ? https : http).get(url, { agent: agents[url.protocol], connectTimeout: 10_000 });
request.on('socket', () => console.error(`connected after ${Math.round(performance.now() - start)} ms`));
request.on('response', (response) => response.pipe(process.stdout));
request.on('error', (error) => {
  console.error(error.message);
  for (const attempt of error.attempts ?? []) console.error(`  ${attempt.address}: ${attempt.outcome} ${attempt.code ?? ''}`);
  process.exitCode = 1;
});
