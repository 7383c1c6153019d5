import { lookup } from 'node:dns/promises';
import { connect as connectSocket, isIP, isIPv6, type LookupFunction, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { Fault } from '../../abi/errno.js';
import { LIMITS } from '../../abi/limits.js';
import { bareHost } from '../host-names.js';
import { judgeAddress, normalAddress } from './address.js';
import type { HttpTarget } from './target.js';

/** Every address a name has. Rejects, or is empty, when it has none. */
export type Resolver = (hostname: string) => Promise<readonly string[]>;

export interface ConnectOptions {
  readonly target: HttpTarget;
  /** The operator granted this host and port: local addresses are open, too. */
  readonly local: boolean;
  readonly resolve: Resolver;
  readonly waitMs: number;
  /** Ends what is under way. */
  readonly signal: AbortSignal;
}

/** The system's own answer, `/etc/hosts` included. */
export const resolveBySystem: Resolver = async (hostname) =>
  (await lookup(hostname, { all: true, verbatim: true })).map(({ address }) => address);

/**
 * A socket to a target, of which every candidate address was checked before and the one it is connected to after, and which has
 * carried no byte until then. TLS is verified whatever the environment says.
 */
export async function openConnection(options: ConnectOptions): Promise<Socket> {
  const stop = makeStop(options);
  try {
    const addresses = await stop.race(checkedAddresses(options));
    const plain = await stop.hold(openPlain(options.target, addresses));
    verifyPeer(plain, addresses, options.local);
    return options.target.secure ? await stop.hold(secure(plain, options.target)) : plain;
  } catch (error) {
    stop.destroyAll();
    throw error;
  } finally {
    stop.end();
  }
}

/** Literals as they stand, names by every answer: one address that is not allowed refuses them all. */
async function checkedAddresses({ target, local, resolve }: ConnectOptions): Promise<readonly string[]> {
  const host = bareHost(target.hostname);
  const addresses = isIP(host) === 0 ? await resolve(host) : [host];
  if (addresses.length === 0) throw new Fault('io_error', 'the host name has no address', { field: 'url' });
  if (addresses.length > LIMITS.httpAddressesMax || !addresses.every((address) => isAllowed(address, local))) {
    throw notPublic();
  }
  return addresses;
}

/** What can be said of a host without a resolver. @throws Fault `policy_denied` */
export function requireOpen({ hostname }: Pick<HttpTarget, 'hostname'>, local: boolean): void {
  const host = bareHost(hostname);
  const isThisMachine = host === 'localhost' || host.endsWith('.localhost');
  if (isIP(host) === 0 ? isThisMachine && !local : !isAllowed(host, local)) throw notPublic();
}

export function isAllowed(address: string, local: boolean): boolean {
  const kind = judgeAddress(address);
  return kind === 'public' || (local && kind === 'local');
}

function notPublic(): Fault {
  const how = "local addresses need the operator's grant of this host and port in [net] of config.toml";
  return new Fault('policy_denied', `the host leads to an address that is not public; ${how}`, { field: 'url' });
}

/**
 * The last look, at the socket itself: connected to one of the checked addresses, and not to this machine by way of an address
 * that the rest of the world reaches it by.
 */
export function verifyPeer(
  { remoteAddress, localAddress }: Pick<Socket, 'remoteAddress' | 'localAddress'>,
  addresses: readonly string[],
  local: boolean,
): void {
  const remote = normalAddress(remoteAddress ?? '');
  const isChecked = remote !== null && addresses.some((address) => normalAddress(address) === remote);
  const isSelf = remote === normalAddress(localAddress ?? '');
  if (!isChecked || !isAllowed(remote, local) || (isSelf && !local)) throw notPublic();
}

function openPlain({ hostname, port }: HttpTarget, addresses: readonly string[]): Socket {
  const found = addresses.map((address) => ({ address, family: isIPv6(address) ? 6 : 4 }));
  // Answers from the list that was checked: asking a resolver again is what rebinding waits for.
  const pinned: LookupFunction = (_hostname, { all }, answer) => {
    if (all === true) answer(null, found);
    else answer(null, found[0]!.address, found[0]!.family);
  };
  return connectSocket({ host: bareHost(hostname), port, lookup: pinned, autoSelectFamily: true, noDelay: true });
}

function secure(socket: Socket, { hostname }: HttpTarget): Socket {
  const host = bareHost(hostname);
  return connectTls({
    socket,
    host,
    servername: isIP(host) === 0 ? host : '',
    ALPNProtocols: ['http/1.1'],
    rejectUnauthorized: true,
    minVersion: 'TLSv1.2',
  });
}

/** The connection's clock and its end from outside, over everything that was opened so far. */
function makeStop({ signal, waitMs }: ConnectOptions) {
  const opened: Socket[] = [];
  let reject: (why: Fault) => void = () => undefined;
  const stopped = new Promise<never>((_resolve, no) => {
    reject = no;
  });
  stopped.catch(() => undefined);
  const timer = setTimeout(() => reject(new Fault('timed_out', `not connected after ${waitMs} ms`)), waitMs);
  const onAbort = () => reject(new Fault('cancelled', 'the request was ended'));
  if (signal.aborted) onAbort();
  signal.addEventListener('abort', onAbort, { once: true });
  const race = <T>(work: Promise<T>): Promise<T> => Promise.race([work, stopped]);
  return {
    race,
    hold: (socket: Socket): Promise<Socket> => {
      opened.push(socket);
      return race(whenOpen(socket));
    },
    destroyAll: () => {
      for (const socket of opened) socket.destroy();
    },
    end: () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
    },
  };
}

function whenOpen(socket: Socket): Promise<Socket> {
  const event = 'encrypted' in socket ? 'secureConnect' : 'connect';
  return new Promise((resolve, reject) => {
    // Stays for good: an error between two owners of a socket must not be one that nobody hears.
    socket.on('error', reject);
    socket.once('close', () => reject(new Fault('io_error', 'the connection was closed by the other side')));
    socket.once(event, () => resolve(socket));
  });
}
