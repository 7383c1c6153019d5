import { Fault } from '../../abi/errno.js';
import { LIMITS } from '../../abi/limits.js';
import { isWhole, trimDot } from '../host-names.js';

/** A URL after all that can be said about it without asking a resolver. Everything later reads this and not the text. */
export interface HttpTarget {
  readonly href: string;
  readonly secure: boolean;
  /** Lower case, IDNA, no trailing dot, IPv6 in brackets. */
  readonly hostname: string;
  readonly port: number;
  /** Scheme, host and port: two targets with one origin are one place. */
  readonly origin: string;
  /** Path and query, for the request line. */
  readonly path: string;
  /** For people and the log: a query may hold secrets, so it is only said that there is one. */
  readonly display: string;
}

const PORTS: Readonly<Record<string, number>> = { 'http:': 80, 'https:': 443 };

const refuse = (why: string, cause?: unknown) => new Fault('invalid_argument', why, { field: 'url', cause });

/** Throws Fault `invalid_argument` or `too_large` with field `url`. The text itself is never in the message. */
export function parseTarget(text: string, base?: HttpTarget): HttpTarget {
  if (text.length > LIMITS.httpUrlCharsMax) {
    throw new Fault('too_large', `url is longer than ${LIMITS.httpUrlCharsMax} characters`, { field: 'url' });
  }
  const url = parseUrl(text, base);
  const port = PORTS[url.protocol];
  if (port === undefined) throw refuse('url: expected the scheme http or https');
  if (url.username !== '' || url.password !== '') {
    throw refuse('url: expected no user name or password; send an authorization header instead');
  }
  const hostname = trimDot(url.hostname);
  if (!isWhole(hostname)) throw refuse('url: expected a host name');
  url.hostname = hostname;
  url.hash = '';
  // Percent-encoding makes a URL longer; what is sent is what counts.
  if (url.href.length > 3 * LIMITS.httpUrlCharsMax) throw refuse('url is too long once it is encoded');
  return {
    href: url.href,
    secure: url.protocol === 'https:',
    hostname,
    port: url.port === '' ? port : Number(url.port),
    origin: url.origin,
    path: `${url.pathname}${url.search}`,
    display: `${url.origin}${url.pathname}${url.search === '' ? '' : '?…'}`,
  };
}

function parseUrl(text: string, base: HttpTarget | undefined): URL {
  try {
    return new URL(text, base?.href);
  } catch (cause) {
    throw refuse('url is not a URL', cause);
  }
}

/** The same place, or the same host from http to https on the standard ports: whoever may ask the one may ask the other. */
export function staysAt(from: HttpTarget, to: HttpTarget): boolean {
  if (from.origin === to.origin) return true;
  return from.hostname === to.hostname && !from.secure && to.secure && from.port === 80 && to.port === 443;
}
