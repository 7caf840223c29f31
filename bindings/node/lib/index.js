'use strict';
// Connects to hosts by name: see README.md and index.d.ts.

const dns = require('node:dns');
const fs = require('node:fs');
const net = require('node:net');
const tls = require('node:tls');
const { domainToASCII } = require('node:url');
const native = require('../build/Release/happysock.node');

// The codes that Node.js has for what getaddrinfo(3) answers (netdb.h of Linux).
const GAI_CODES = new Map([[-2, dns.NOTFOUND], [-3, 'EAI_AGAIN'], [-4, 'EAI_FAIL'], [-5, dns.NODATA], [-6, 'EAI_FAMILY'],
  [-8, 'EAI_SERVICE'], [-9, 'EAI_ADDRFAMILY'], [-10, 'EAI_MEMORY']]);
const EINVALID = -7005;
const ETIMEOUT = -7003;

// What connects have learnt, for those that come after them.
class History {
  #native = native.newHistory();

  flush() { native.flushHistory(this.#native); }

  report() { return native.reportHistory(this.#native); }

  static nativeOf(history) { return history.#native; }
}

function invalid(Type, code, message) {
  return Object.assign(new Type(message), { code });
}

function checkNumber(options, name, least, most = Infinity) {
  const value = options[name];
  if (value === undefined || value === null) return undefined;
  if (typeof value !== 'number') throw invalid(TypeError, 'ERR_INVALID_ARG_TYPE', `${name} must be a number`);
  if (!(value >= least && value <= most)) throw invalid(RangeError, 'ERR_OUT_OF_RANGE', `${name} is out of range: ${value}`);
  return Math.ceil(value);
}

// What has an address and a port, as net.SocketAddress does, for the addon.
function checkAddress(name, value, defaultPort) {
  const { address, port = defaultPort } = value ?? {};
  if (typeof address !== 'string') throw invalid(TypeError, 'ERR_INVALID_ARG_TYPE', `${name} must have an address, a string`);
  if (net.isIP(address) === 0) throw invalid(TypeError, 'ERR_INVALID_IP_ADDRESS', `${name}: no IP address: ${address}`);
  if (!Number.isInteger(port) || port < 0 || port > 65535) {
    throw invalid(RangeError, 'ERR_SOCKET_BAD_PORT', `${name}: the port should be >= 0 and < 65536. Received ${String(port)}.`);
  }
  return { address, port: String(port) };
}

function checkAddresses(options) {
  const { addresses, port } = options;
  if (addresses === undefined) return undefined;
  if (!Array.isArray(addresses)) throw invalid(TypeError, 'ERR_INVALID_ARG_TYPE', 'addresses must be an array');
  if (addresses.length === 0) throw invalid(TypeError, 'ERR_INVALID_ARG_VALUE', 'addresses must not be empty');
  return addresses.map((value) => checkAddress('addresses', value, Number(port)));
}

function checkLocal(options, name, family) {
  if (options[name] === undefined) return undefined;
  const local = checkAddress(name, options[name], 0);
  if (net.isIP(local.address) !== family) {
    throw invalid(TypeError, 'ERR_INVALID_IP_ADDRESS', `${name}: no address of IPv${family}: ${local.address}`);
  }
  return [local];
}

function checkOptions(options) {
  if (options === null || typeof options !== 'object') {
    throw invalid(TypeError, 'ERR_INVALID_ARG_TYPE', 'options must be an object');
  }
  let { host = 'localhost', port } = options;
  if (typeof host !== 'string') throw invalid(TypeError, 'ERR_INVALID_ARG_TYPE', 'host must be a string');
  // What URL leaves around an address of IPv6.
  if (host.startsWith('[') && host.endsWith(']')) host = host.slice(1, -1);
  // eslint-disable-next-line no-control-regex
  if (/[^\x00-\x7f]/.test(host)) host = domainToASCII(host) || host;
  if (typeof port === 'string' && port !== '') port = Number(port);
  if (!Number.isInteger(port) || port < 0 || port > 65535) {
    throw invalid(RangeError, 'ERR_SOCKET_BAD_PORT', `port should be >= 0 and < 65536. Received ${String(options.port)}.`);
  }
  const family = options.family ?? 0;
  if (![0, 4, 6].includes(family)) throw invalid(RangeError, 'ERR_OUT_OF_RANGE', 'family must be 0, 4 or 6');
  const { confirm, history } = options;
  if (confirm !== undefined && typeof confirm !== 'function') {
    throw invalid(TypeError, 'ERR_INVALID_ARG_TYPE', 'confirm must be a function');
  }
  if (history !== undefined && !(history instanceof History)) {
    throw invalid(TypeError, 'ERR_INVALID_ARG_TYPE', 'history must be a History');
  }
  const flags = (options.autoSelectFamily === false ? native.NO_FAST_FALLBACK : 0)
    | (options.growingDelay ? native.GROWING_DELAY : 0)
    | (options.shareTimeout ? native.SHARE_TIMEOUT : 0)
    | (options.onlyConnectedFamilies ? native.ONLY_CONNECTED_FAMILIES : 0)
    | (options.lookupByLibc ? native.LOOKUP_BY_LIBC : 0);
  const localPort = checkNumber(options, 'localPort', 0, 65535);
  return {
    host,
    port: String(port),
    native: {
      family,
      timeout: checkNumber(options, 'timeout', 0) ?? -1,
      localAddress: options.localAddress,
      localPort: localPort === undefined ? undefined : String(localPort),
      resolutionDelay: checkNumber(options, 'resolutionDelay', 0),
      connectionAttemptDelay: checkNumber(options, 'connectionAttemptDelay', 0),
      firstAddressFamilyCount: checkNumber(options, 'firstAddressFamilyCount', 1),
      maxAttempts: checkNumber(options, 'maxAttempts', 0),
      history: history === undefined ? undefined : History.nativeOf(history),
      addresses: checkAddresses(options),
      localV4: checkLocal(options, 'localV4', 4),
      localV6: checkLocal(options, 'localV6', 6),
      nat64: options.nat64,
      flags,
    },
  };
}

// The Error for a result: its words and properties are those of node:net and node:dns, with the attempts on it.
function errorOf(result, hostname) {
  const { attempts, source } = result;
  if (result.gaiError !== 0) {
    const code = GAI_CODES.get(result.gaiError) ?? result.code ?? 'EAI_FAIL';
    return Object.assign(new Error(`getaddrinfo ${code} ${hostname}`),
      { errno: result.gaiError, code, syscall: 'getaddrinfo', hostname, attempts, source });
  }
  if (result.status === EINVALID) return invalid(TypeError, 'ERR_INVALID_ARG_VALUE', result.message);
  const code = result.status === ETIMEOUT ? 'ETIMEDOUT' : result.code ?? 'ERR_HAPPYSOCK';
  const error = new Error(result.message);
  // As libuv numbers them: negative.
  const syscall = (result.syscall ?? 'connect').replace(/\(\d\)$/, '');
  Object.assign(error, { errno: -result.errno, code, syscall, attempts, source });
  if (result.address !== undefined) Object.assign(error, { address: result.address, port: result.port });
  return error;
}

// The sockets that are held while `confirm` looks at them, and what it made of the one that is wanted.
class Held {
  #candidates = new Map();
  #confirm;
  #answer;
  #winner;
  cause;

  constructor(confirm, answer) {
    this.#confirm = confirm;
    this.#answer = answer;
  }

  // The library holds the socket with this descriptor, of which `socket` is a duplicate.
  add(fd, socket) {
    const candidate = { socket, controller: new AbortController(), ignore: () => {} };
    this.#candidates.set(fd, candidate);
    // What goes wrong with it is for `confirm` to tell.
    socket.on('error', candidate.ignore);
    (async () => (await this.#confirm(socket, { signal: candidate.controller.signal })) ?? socket)().then(
      (made) => this.#settle(fd, candidate, made),
      (error) => {
        if (this.#candidates.get(fd) === candidate) this.cause = error;
        this.#settle(fd, candidate, undefined);
      });
  }

  #settle(fd, candidate, made) {
    const isHeld = this.#candidates.get(fd) === candidate;
    if (isHeld) this.#candidates.delete(fd);
    if (isHeld && this.#answer(fd, made !== undefined) && made !== undefined) {
      candidate.socket.off('error', candidate.ignore);
      this.#winner = made;
    } else {
      made?.destroy?.();
      candidate.socket.destroy();
    }
  }

  // It is taken back.
  remove(fd) {
    const candidate = this.#candidates.get(fd);
    this.#candidates.delete(fd);
    candidate?.controller.abort();
    candidate?.socket.destroy();
  }

  // Takes all back that are left, and gives what was made of the one that has won.
  end(won) {
    for (const fd of [...this.#candidates.keys()]) this.remove(fd);
    if (!won) this.#winner?.destroy?.();
    return this.#winner;
  }
}

// Calls done(error, socket) once, and answers with the function that ends the connect without a call.
function begin(options, done) {
  const { host, port, native: nativeOptions } = checkOptions(options);
  let ended = false;
  const socketOf = (fd) => {
    // `timeout` is the connect's; a socket's own, which is about idleness, is for the caller to set.
    const socket = new net.Socket({ fd, allowHalfOpen: options.allowHalfOpen === true, readable: true, writable: true });
    if (options.noDelay) socket.setNoDelay(true);
    if (options.keepAlive) socket.setKeepAlive(true, options.keepAliveInitialDelay);
    return socket;
  };
  const held = options.confirm && new Held(options.confirm, (fd, wanted) => native.confirm(connecting, fd, wanted));
  const told = held && ((fd, own) => { if (own < 0) held.remove(fd); else held.add(fd, socketOf(own)); });
  const connecting = native.start(host, port, nativeOptions, (result) => {
    if (ended) return;
    ended = true;
    const made = held?.end(result.fd >= 0);
    if (result.fd < 0) {
      const error = errorOf(result, host);
      if (error.syscall === 'confirm') error.cause = held.cause;
      done(error);
    } else if (held) {
      // What was made goes over a duplicate.
      fs.closeSync(result.fd);
      done(null, made);
    } else {
      done(null, socketOf(result.fd));
    }
  }, told);
  if (connecting.status !== undefined) throw errorOf(connecting, host);
  return () => {
    if (ended) return;
    ended = true;
    native.cancel(connecting);
    held?.end(false);
  };
}

function connect(options) {
  return new Promise((resolve, reject) => {
    const { signal } = options ?? {};
    if (signal !== undefined && !(signal instanceof AbortSignal)) {
      throw invalid(TypeError, 'ERR_INVALID_ARG_TYPE', 'signal must be an AbortSignal');
    }
    if (signal?.aborted) throw signal.reason;
    let cancel = null;
    const onAbort = () => {
      cancel();
      reject(signal.reason);
    };
    cancel = begin(options, (error, socket) => {
      signal?.removeEventListener('abort', onAbort);
      if (error) reject(error); else resolve(socket);
    });
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}

// What http.Agent calls; `timeout` there is about idle sockets, so that the connect's is connectTimeout.
function createConnection(options, callback) {
  let cancel = null;
  try {
    cancel = begin({ ...options, timeout: options.connectTimeout }, (error, socket) => {
      options.signal?.removeEventListener('abort', cancelled);
      callback(error, socket);
    });
  } catch (error) {
    process.nextTick(callback, error);
    return;
  }
  function cancelled() {
    cancel();
    callback(options.signal.reason);
  }
  options.signal?.addEventListener('abort', cancelled, { once: true });
}

// The same for https.Agent: TLS over what was connected.
function createSecureConnection(options, callback) {
  createConnection(options, (error, socket) => {
    if (error) {
      callback(error);
      return;
    }
    const servername = options.servername ?? (net.isIP(options.host) ? '' : options.host);
    // A handshake that fails is told by the socket, to whose request the agent has tied it by then.
    callback(null, tls.connect({ ...options, host: undefined, port: undefined, path: undefined, servername, socket }));
  });
}

module.exports = { History, connect, createConnection, createSecureConnection, version: native.version };
