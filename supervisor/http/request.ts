import { Fault } from '../../abi/errno.js';
import { LIMITS } from '../../abi/limits.js';
import { type HttpTarget, parseTarget } from './target.js';

const METHODS = ['GET', 'POST', 'PUT', 'DELETE', 'PATCH', 'HEAD', 'OPTIONS'] as const;
export type HttpMethod = (typeof METHODS)[number];

export interface HttpRequest {
  readonly target: HttpTarget;
  readonly method: HttpMethod;
  /** Lower-case names, each once. */
  readonly headers: ReadonlyMap<string, string>;
  readonly body: Buffer | null;
}

/**
 * What frames a message or concerns the one connection is the kernel's to write: a second word about it from a guest is how
 * requests are smuggled. Refused and not dropped, so that nobody believes it was sent.
 */
const KERNEL_HEADERS: ReadonlySet<string> = new Set([
  'host',
  'content-length',
  'transfer-encoding',
  'connection',
  'keep-alive',
  'upgrade',
  'http2-settings',
  'expect',
  'te',
  'trailer',
]);
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
/** Visible ASCII, blanks and tabs: no end of line, no NUL, nothing that two programs read in two ways. */
const VALUE = /^[\t\x20-\x7e]*$/;

const refuse = (field: string, why: string) => new Fault('invalid_argument', `${field} ${why}`, { field });

/** Request JSON of ABI reference 2.5. Unknown members are ignored. No message holds a header's value or the body. */
export function decodeHttpRequest(value: unknown): HttpRequest {
  const target = parseTarget(takeText(value, 'url'));
  return {
    target,
    method: decodeMethod(take(value, 'method')),
    headers: decodeHeaders(take(value, 'headers') ?? {}),
    body: decodeBody(take(value, 'body')),
  };
}

/** What is asked for, in one line: for the gate, the person, and the log. */
export function resourceOf({ method, target }: HttpRequest): string {
  return `${method} ${target.display}`;
}

/** What a person is shown. */
export function previewOf({ method, target, body }: HttpRequest): string[] {
  const path = target.display.slice(target.origin.length);
  const sent = body === null ? 'no body' : `a body of ${body.length} bytes`;
  return [`${method} request with ${sent}`, `to ${target.origin}`, `path ${path}`];
}

function take(value: unknown, field: string): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw refuse('request', 'is not a JSON object');
  }
  return Object.hasOwn(value, field) ? Reflect.get(value, field) : undefined;
}

function takeText(value: unknown, field: string): string {
  const text = take(value, field);
  if (typeof text !== 'string') throw refuse(field, 'is missing or not text');
  return text;
}

function decodeMethod(value: unknown): HttpMethod {
  if (value === undefined || value === null) return 'GET';
  const upper = typeof value === 'string' ? value.toUpperCase() : '';
  const method = METHODS.find((known) => known === upper);
  if (method === undefined) throw refuse('method', `is not one of ${METHODS.join(', ')}`);
  return method;
}

function decodeHeaders(value: unknown): ReadonlyMap<string, string> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw refuse('headers', 'is not an object of texts');
  }
  const headers = new Map<string, string>();
  let bytes = 0;
  for (const [name, text] of Object.entries(value)) {
    if (!TOKEN.test(name) || name.length > LIMITS.topicBytesMax)
      throw refuse('headers', 'has a name that is no header name');
    const lower = name.toLowerCase();
    if (typeof text !== 'string') throw refuse('headers', `${lower} is not text`);
    if (!VALUE.test(text)) throw refuse('headers', `${lower} has a character that is not visible ASCII`);
    if (KERNEL_HEADERS.has(lower) || lower.startsWith('proxy-')) {
      throw refuse('headers', `${lower} is written by the kernel and cannot be set`);
    }
    if (headers.has(lower)) throw refuse('headers', `${lower} is there twice`);
    headers.set(lower, text);
    bytes += name.length + text.length + 4;
  }
  if (headers.size > LIMITS.httpHeadersMax || bytes > LIMITS.httpHeaderBytesMax) {
    const most = `${LIMITS.httpHeadersMax} headers of ${LIMITS.httpHeaderBytesMax} bytes together`;
    throw new Fault('too_large', `headers: at most ${most}`, { field: 'headers' });
  }
  return headers;
}

function decodeBody(value: unknown): Buffer | null {
  if (value === undefined || value === null) return null;
  if (typeof value !== 'string') throw refuse('body', 'is not text or null');
  const body = Buffer.from(value);
  if (body.length <= LIMITS.httpBodyBytesMax) return body;
  throw new Fault('too_large', `body has ${body.length} bytes, at most ${LIMITS.httpBodyBytesMax}`, { field: 'body' });
}
