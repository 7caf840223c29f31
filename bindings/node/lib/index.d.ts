import { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';

/**
 * What earlier connects have learnt of this system's networks (RFC 8305, section 4): a family that goes unanswered costs one delay and
 * not one a connect. It is in memory only, and forgets after ten minutes.
 */
export class History {
  /** Forgets everything. */
  flush(): void;
  /** What it holds now: how many destinations and networks it knows, and in how many networks a family does not answer. */
  report(): { destinations: number; networks: number; unansweredV6: number; unansweredV4: number };
}

/** An IP address and a port: a net.SocketAddress is one. */
export interface Endpoint {
  readonly address: string;
  readonly port?: number;
}

/** What one connect is to do. Times are in milliseconds. */
export interface ConnectOptions {
  /** A name or an address; localhost unless given. */
  host?: string;
  port: number | string;
  /** 4 or 6: only that family; 0: both. */
  family?: 0 | 4 | 6;
  /** Limit over all of it, the lookup too; none unless given. 0 is over at once. */
  timeout?: number;
  localAddress?: string;
  localPort?: number;
  /** What attempts of each family are bound to. Not together with localAddress and localPort. */
  localV4?: Endpoint;
  localV6?: Endpoint;
  /**
   * Attempted instead of what a lookup finds, each with `port` unless it has one of its own; what dns.lookup() gives with `all` will do.
   * Sorted and raced as an answer is; without a race, in the order given.
   */
  addresses?: Endpoint[];
  /** How long an IPv4 answer waits for the IPv6 answer (RFC 8305, section 3): 50. */
  resolutionDelay?: number;
  /** The time between two attempts (RFC 8305, section 5), held within 10 to 2000: 250. */
  connectionAttemptDelay?: number;
  /** How many addresses of the first family come before the families alternate (RFC 8305, section 4): 1. */
  firstAddressFamilyCount?: number;
  /** The greatest number of attempts in flight; 0: no cap. */
  maxAttempts?: number;
  /** false: one address after the other, without a race. */
  autoSelectFamily?: boolean;
  /** true: each delay between attempts is twice the one before it, up to 2000. */
  growingDelay?: boolean;
  /** true: without a race, each address gets an equal share of what is left of `timeout`, 2000 at least. */
  shareTimeout?: boolean;
  /** true: a family that this system has no network in is not asked for. */
  onlyConnectedFamilies?: boolean;
  /** true: the host is looked up by libc, on a thread of happysock's, also where happysock could do it without one. */
  lookupByLibc?: boolean;
  /**
   * On a network without IPv4, reaches IPv4 addresses through its translator (NAT64): 'discover' asks the network for its prefix; or
   * prefixes with commas between, such as '64:ff9b::/96'.
   */
  nat64?: string;
  /** What earlier connects have learnt, and where this one adds what it learns. */
  history?: History;
  /**
   * Asked, where to be connected is not all that counts, what it makes of a connection: that, such as a TLSSocket after its handshake, or
   * nothing for the socket itself. Each connected attempt is asked while the race goes on; the first whose promise is fulfilled wins, and
   * connect() gives what was made; the others' signals are aborted and their sockets destroyed. Rejected: this attempt has failed.
   */
  confirm?: (socket: Socket, options: { signal: AbortSignal }) => Promise<Socket | void>;
  allowHalfOpen?: boolean;
  noDelay?: boolean;
  keepAlive?: boolean;
  keepAliveInitialDelay?: number;
  /** Ends the connect at once; the promise is rejected with its reason. */
  signal?: AbortSignal;
}

export interface Attempt {
  address: string;
  family: 'IPv4' | 'IPv6';
  port: number;
  /** In a few English words: "connected", "failed", "timed out", "abandoned". */
  outcome: string;
  code?: string;
  syscall?: string;
  /** Since the race began. */
  startedMs: number;
  endedMs: number;
}

/** What connect() is rejected with: as node:net and node:dns have it, and the attempts. */
export interface ConnectError extends NodeJS.ErrnoException {
  hostname?: string;
  address?: string;
  port?: number;
  attempts: Attempt[];
  /** Who has answered the lookup: 'hosts', 'dns', 'resolve' (systemd-resolved) or 'libc'. */
  source?: string;
}

/** A connected socket. Nothing blocks the loop, and none of libuv's threads is used. */
export function connect(options: ConnectOptions): Promise<Socket>;

/** For `new http.Agent()`: agent.createConnection = happysock.createConnection. The limit of the connect is `connectTimeout`. */
export function createConnection(
  options: ConnectOptions & { connectTimeout?: number },
  callback: (error: Error | null, socket?: Socket) => void,
): void;

/** The same for `new https.Agent()`. */
export function createSecureConnection(
  options: ConnectOptions & { connectTimeout?: number; servername?: string },
  callback: (error: Error | null, socket?: TLSSocket) => void,
): void;

export const version: string;
