import { Agent, type Dispatcher, request } from 'undici';
import { asFault, Fault } from '../../abi/errno.js';
import { LIMITS } from '../../abi/limits.js';
import { lookupPublic, requirePublicHost } from './address-guard.js';
import { type CapsulePackage, openPackage } from './package.js';
import { isLoopbackName } from './source.js';

const REDIRECTS = new Set([301, 302, 303, 307, 308]);

export interface UrlOptions {
  /** Plain http to this machine is accepted, also where a redirect leads there. */
  readonly insecureLocal: boolean;
}

/**
 * Fetches a `.capsule` or a tarball. The person chose the first address; where a server sends us on is the server's
 * choice, so a redirect must be https and lead to a public address (from plain http on this machine: to this machine).
 * No proxy, no cookies, no credentials. @throws Fault `io_error`, `timed_out`, `too_large`, `policy_denied`
 */
export async function fetchFromUrl(url: URL, options: UrlOptions): Promise<CapsulePackage> {
  return openPackage(await download(url, options));
}

export async function download(first: URL, options: UrlOptions): Promise<Buffer> {
  const deadline = AbortSignal.timeout(LIMITS.fetchWaitMs);
  let url = first;
  for (let hop = 0; hop <= LIMITS.fetchRedirectsMax; hop++) {
    const chosen = hop === 0 || url.protocol === 'http:';
    const step = await fetchStep(url, chosen, deadline);
    if (Buffer.isBuffer(step)) return step;
    url = checkRedirect(url, step, options);
  }
  throw new Fault('io_error', `more than ${LIMITS.fetchRedirectsMax} redirects`, { field: 'source' });
}

/** The body, or where the server sends us. */
async function fetchStep(url: URL, chosen: boolean, signal: AbortSignal): Promise<Buffer | string> {
  const agent = new Agent({
    connect: chosen ? {} : { lookup: lookupPublic },
    headersTimeout: LIMITS.fetchIdleMs,
    bodyTimeout: LIMITS.fetchIdleMs,
    maxHeaderSize: 64 * 1024,
  });
  try {
    const response = await request(url, { dispatcher: agent, signal, headers: { accept: 'application/gzip, */*' } });
    return await readResponse(url, response);
  } catch (thrown) {
    throw describeFailure(url, thrown);
  } finally {
    await agent.destroy();
  }
}

async function readResponse(
  url: URL,
  { statusCode, headers, body }: Dispatcher.ResponseData,
): Promise<Buffer | string> {
  const { location } = headers;
  if (REDIRECTS.has(statusCode) && typeof location === 'string') return location;
  if (statusCode !== 200) {
    const code = statusCode === 404 ? 'not_found' : 'io_error';
    throw new Fault(code, `${url.host} answered ${statusCode}`, { field: 'source' });
  }
  const pieces: Buffer[] = [];
  let bytes = 0;
  for await (const piece of body as AsyncIterable<Buffer>) {
    bytes += piece.length;
    if (bytes > LIMITS.archiveBytesMax) {
      throw new Fault('too_large', `the download has more than ${LIMITS.archiveBytesMax} bytes`, { field: 'source' });
    }
    pieces.push(piece);
  }
  return Buffer.concat(pieces, bytes);
}

function checkRedirect(from: URL, location: string, options: UrlOptions): URL {
  if (!URL.canParse(location, from.href)) throw new Fault('io_error', 'a redirect to no address', { field: 'source' });
  const to = new URL(location, from);
  if (to.username !== '' || to.password !== '') {
    throw new Fault('policy_denied', 'a redirect with a user name or password', { field: 'source' });
  }
  const stays = from.protocol === 'http:' && to.protocol === 'http:' && isLoopbackName(to.hostname);
  if (to.protocol !== 'https:' && !(options.insecureLocal && stays)) {
    throw new Fault('policy_denied', `a redirect leads from ${from.protocol} to ${to.protocol}`, { field: 'source' });
  }
  if (!stays) requirePublicHost(to.hostname);
  return to;
}

function describeFailure(url: URL, thrown: unknown): Fault {
  if (thrown instanceof Fault) return thrown;
  const error = thrown instanceof Error ? thrown : null;
  if (error?.cause instanceof Fault) return error.cause;
  const name = error?.name ?? '';
  if (/Timeout|Abort/.test(name)) return new Fault('timed_out', `${url.host} took too long`, { field: 'source' });
  return new Fault('io_error', `${url.host} cannot be fetched: ${asFault(thrown).message}`, {
    field: 'source',
    cause: thrown,
  });
}
