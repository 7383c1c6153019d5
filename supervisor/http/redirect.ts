import type { HttpRequest } from './request.js';
import { parseTarget } from './target.js';

const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);
/** Headers that say something about a body; a request that lost its body loses them. */
const OF_BODY: ReadonlySet<string> = new Set([
  'content-type',
  'content-encoding',
  'content-language',
  'content-location',
]);
/**
 * What may go on to another origin. A list of what may not (authorization, cookie, …) would miss every service that calls its
 * key `x-api-key`.
 */
const FOR_ANYONE: ReadonlySet<string> = new Set([
  ...OF_BODY,
  'accept',
  'accept-encoding',
  'accept-language',
  'cache-control',
  'user-agent',
  'range',
  'if-modified-since',
  'if-none-match',
]);

/**
 * The request that a redirect asks for, by the rules of fetch; null when the response is none. Throws Fault `invalid_argument`
 * for a place that a guest could not have asked for either.
 */
export function redirectOf(request: HttpRequest, status: number, location: string | undefined): HttpRequest | null {
  if (!REDIRECTS.has(status) || location === undefined) return null;
  const target = parseTarget(location, request.target);
  const { method } = request;
  const becomesGet = status === 303 ? method !== 'HEAD' : status < 303 && method === 'POST';
  const elsewhere = target.origin !== request.target.origin;
  const headers = [...request.headers].filter(
    ([name]) => !(becomesGet && OF_BODY.has(name)) && !(elsewhere && !FOR_ANYONE.has(name)),
  );
  return {
    target,
    method: becomesGet ? 'GET' : method,
    headers: new Map(headers),
    body: becomesGet ? null : request.body,
  };
}
