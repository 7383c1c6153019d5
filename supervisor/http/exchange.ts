import type { Readable } from 'node:stream';
import { Fault } from '../../abi/errno.js';
import { LIMITS } from '../../abi/limits.js';
import type { Connections, Lease } from './connections.js';
import { isStaleConnection, networkFault } from './failures.js';
import type { LocalGrants } from './local-grants.js';
import { redirectOf } from './redirect.js';
import type { HttpRequest } from './request.js';

export interface HttpResponse {
  readonly request: HttpRequest;
  readonly status: number;
  /** Lower-case names, values of visible ASCII, of duplicates the last. */
  readonly headers: ReadonlyMap<string, string>;
  readonly body: Readable;
  readonly lease: Lease;
}

export interface ExchangeParts {
  readonly connections: Connections;
  readonly grants: LocalGrants;
  /** Asked before each redirect: false hands the redirect to the guest as it is. Throws the Fault of a layer that refuses. */
  readonly mayFollow: (from: HttpRequest, to: HttpRequest) => boolean | Promise<boolean>;
  /** Told of each connection in use; throws when the exchange has been ended meanwhile. */
  readonly onLease: (lease: Lease) => void;
}

/** Headers that a request has unless the guest said otherwise. */
const DEFAULTS = [
  ['accept', '*/*'],
  ['user-agent', 'astrid'],
] as const;
const VISIBLE = /^[\t\x20-\x7e]*$/;
const REPEATABLE: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS']);

/** Sends a request and follows where it is led, up to the response whose headers are there and whose body is not read yet. */
export async function exchange(first: HttpRequest, parts: ExchangeParts): Promise<HttpResponse> {
  let request = first;
  for (let hops = 0; hops <= LIMITS.httpRedirectsMax; hops++) {
    const response = await send(request, first, parts);
    const next = await followed(response, parts);
    if (next === null) return response;
    response.lease.drop(new Fault('cancelled', 'redirected'));
    request = next;
  }
  throw new Fault('io_error', `redirected more than ${LIMITS.httpRedirectsMax} times`, { field: 'url' });
}

async function followed(response: HttpResponse, { mayFollow }: ExchangeParts): Promise<HttpRequest | null> {
  try {
    const next = redirectOf(response.request, response.status, response.headers.get('location'));
    return next !== null && (await mayFollow(response.request, next)) ? next : null;
  } catch (error) {
    response.lease.drop(networkFault(error));
    throw error;
  }
}

/**
 * A grant opens a local place to a capsule that asks for it by its name, not to whichever server redirects there: so only hops
 * to the place that was asked for first have it.
 */
async function send(request: HttpRequest, first: HttpRequest, parts: ExchangeParts): Promise<HttpResponse> {
  const { target } = request;
  const asked = target.hostname === first.target.hostname && target.port === first.target.port;
  const local = asked && parts.grants.covers(target);
  const lease = parts.connections.take(target, local);
  try {
    return await sendOver(lease, request, parts);
  } catch (error) {
    lease.drop(networkFault(error));
    if (!lease.reused || !REPEATABLE.has(request.method) || !isStaleConnection(error)) throw networkFault(error);
  }
  const again = parts.connections.take(target, local, true);
  try {
    return await sendOver(again, request, parts);
  } catch (error) {
    again.drop(networkFault(error));
    throw networkFault(error);
  }
}

async function sendOver(lease: Lease, request: HttpRequest, parts: ExchangeParts): Promise<HttpResponse> {
  parts.onLease(lease);
  const { method, target, body } = request;
  const headers: Record<string, string> = Object.fromEntries([...DEFAULTS, ...request.headers]);
  const {
    statusCode,
    headers: raw,
    body: stream,
  } = await lease.client.request({
    method,
    path: target.path,
    headers,
    body,
    responseHeaders: 'raw',
  });
  // Heard by whoever reads the body; until then an error is only kept.
  stream.on('error', () => undefined);
  return { request, status: statusCode, headers: readHeaders(raw as unknown as string[]), body: stream, lease };
}

/** From the flat list of names and values as they came. */
function readHeaders(raw: readonly string[]): ReadonlyMap<string, string> {
  const headers = new Map<string, string>();
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const value = raw[i + 1]!;
    if (VISIBLE.test(value)) headers.set(raw[i]!.toLowerCase(), value);
  }
  return headers;
}
