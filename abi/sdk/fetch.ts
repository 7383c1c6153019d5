import type { AbortSignal } from './abort.js';
import { BodyStream, bytesSource, httpSource } from './body-stream.js';
import { Headers } from './headers.js';
import { type HttpInit, openStream } from './http.js';
import { isSystemError } from './system-error.js';
import { parseUrl, showUrl } from './url-parse.js';
import { URLSearchParams } from './url-search-params.js';
import { decodeUtf8, decodeUtf8Strict, encodeUtf8 } from './utf8.js';

/**
 * `fetch` over the kernel's HTTP (`astrid/sdk/http`), as a global; the manifest's `net` names the hosts. What the kernel
 * refuses or cannot reach rejects with a TypeError whose `cause` is the SystemError. Limits are those of `http.openStream`:
 * 30 s to connect, 120 s until the headers, 120 s per chunk, 4 responses whose bodies are not read to their end or cancelled.
 *
 * Not there, and refused with words: bodies that are not text or UTF-8 bytes, `redirect` other than `follow` (the kernel
 * follows and checks each hop), `blob()`, `formData()`, `tee()`. Browser matters (`mode`, `credentials`, `cache`,
 * `referrer`, `keepalive`) mean nothing here and are ignored.
 */
type BodyInit = string | URLSearchParams | Uint8Array | ArrayBuffer | null | undefined;

interface Init {
  readonly method?: string;
  readonly headers?: ConstructorParameters<typeof Headers>[0];
  readonly body?: BodyInit;
  readonly signal?: AbortSignal | null;
  readonly redirect?: string;
}

const METHODS = ['GET', 'POST', 'PUT', 'DELETE', 'PATCH', 'HEAD', 'OPTIONS'] as const;
const BODILESS: readonly number[] = [101, 204, 205, 304];

function readBody(body: BodyInit): { readonly bytes: Uint8Array; readonly type: string | null } | null {
  if (body === null || body === undefined) return null;
  if (typeof body === 'string') return { bytes: encodeUtf8(body), type: 'text/plain;charset=UTF-8' };
  if (body instanceof URLSearchParams) {
    return { bytes: encodeUtf8(body.toString()), type: 'application/x-www-form-urlencoded;charset=UTF-8' };
  }
  if (body instanceof ArrayBuffer) return { bytes: new Uint8Array(body), type: null };
  if (ArrayBuffer.isView(body))
    return { bytes: new Uint8Array(body.buffer, body.byteOffset, body.byteLength), type: null };
  throw new TypeError('a body must be text, URLSearchParams or bytes; streams, forms and blobs are not supported');
}

/** What `Request` and `Response` share. */
class Body {
  readonly headers: Headers;
  readonly #body: BodyStream | null;

  constructor(body: BodyStream | null, headers: Headers) {
    this.#body = body;
    this.headers = headers;
  }

  get body(): BodyStream | null {
    return this.#body;
  }

  get bodyUsed(): boolean {
    return this.#body?.disturbed === true;
  }

  async bytes(): Promise<Uint8Array> {
    if (this.bodyUsed) throw new TypeError('the body was read already');
    return this.#body?.collect() ?? new Uint8Array();
  }

  async arrayBuffer(): Promise<ArrayBuffer> {
    const bytes = await this.bytes();
    return bytes.slice().buffer as ArrayBuffer;
  }

  async text(): Promise<string> {
    return decodeUtf8(await this.bytes()).replace(/^\ufeff/, '');
  }

  // biome-ignore lint/suspicious/noExplicitAny: what the web's own types say, which real code relies on
  async json(): Promise<any> {
    return JSON.parse(await this.text());
  }

  async blob(): Promise<never> {
    throw new TypeError('blob() is not supported: use bytes() or arrayBuffer()');
  }

  async formData(): Promise<never> {
    throw new TypeError('formData() is not supported: read the text and parse it');
  }
}

export class Request extends Body {
  readonly url: string;
  readonly method: (typeof METHODS)[number];
  readonly signal: AbortSignal | null;
  /** The body as bytes, which may be read once more by `fetch`. */
  readonly #content: Uint8Array | null;

  constructor(input: string | { toString(): string } | Request, init: Init = {}) {
    const from = input instanceof Request ? input : undefined;
    const record = parseUrl(from?.url ?? String(input), null);
    if (record === null)
      throw new TypeError(`Invalid URL: ${String(input).slice(0, 200)}; fetch needs an absolute one`);
    const method = (init.method ?? from?.method ?? 'GET').toUpperCase() as Request['method'];
    if (!METHODS.includes(method)) throw new TypeError(`method ${method} is none of ${METHODS.join(', ')}`);
    if (init.redirect !== undefined && init.redirect !== 'follow') {
      throw new TypeError(`redirect: "${init.redirect}" is not supported, only "follow"`);
    }
    const body = init.body === undefined && from !== undefined ? takeContent(from) : readBody(init.body);
    if (body !== null && (method === 'GET' || method === 'HEAD')) throw new TypeError(`${method} cannot have a body`);
    const headers = new Headers(init.headers ?? from?.headers);
    if (body?.type && !headers.has('content-type')) headers.set('content-type', body.type);
    super(body === null ? null : new BodyStream(bytesSource(body.bytes)), headers);
    this.url = showUrl(record);
    this.method = method;
    this.signal = init.signal === undefined ? (from?.signal ?? null) : init.signal;
    this.#content = body?.bytes ?? null;
  }

  clone(): Request {
    return new Request(this);
  }

  /** What goes to the kernel, which takes bodies as text. */
  static __encode(request: Request): HttpInit {
    const { method, headers } = request;
    const init = { method, headers: Object.fromEntries(headers) };
    const content = request.#content;
    if (content === null) return init;
    const body = decodeUtf8Strict(content);
    if (body === undefined) throw new TypeError('the body is not UTF-8; send binary data as base64 text');
    return { ...init, body };
  }

  static __content(request: Request): Uint8Array | null {
    return request.#content;
  }
}

function takeContent(request: Request): { readonly bytes: Uint8Array; readonly type: null } | null {
  if (request.bodyUsed) throw new TypeError('the body of the request was read already');
  const bytes = Request.__content(request);
  return bytes === null ? null : { bytes, type: null };
}

interface ResponseInit {
  readonly status?: number;
  readonly statusText?: string;
  readonly headers?: ConstructorParameters<typeof Headers>[0];
}

export class Response extends Body {
  readonly status: number;
  readonly statusText: string;
  /** The address asked for; the kernel does not tell where redirects led. */
  readonly url: string = '';
  readonly redirected = false;
  readonly type = 'default';

  constructor(body?: BodyInit | BodyStream, init: ResponseInit = {}) {
    const content = body instanceof BodyStream ? null : readBody(body);
    const headers = new Headers(init.headers);
    if (content?.type && !headers.has('content-type')) headers.set('content-type', content.type);
    const made = content === null ? null : new BodyStream(bytesSource(content.bytes));
    super(body instanceof BodyStream ? body : made, headers);
    this.status = init.status ?? 200;
    this.statusText = init.statusText ?? '';
  }

  static json(data: unknown, init: ResponseInit = {}): Response {
    const headers = new Headers(init.headers);
    if (!headers.has('content-type')) headers.set('content-type', 'application/json');
    return new Response(JSON.stringify(data), { ...init, headers });
  }

  get ok(): boolean {
    return this.status >= 200 && this.status <= 299;
  }

  clone(): never {
    throw new TypeError('clone() of a response is not supported: read the bytes once and keep them');
  }
}

/** Resolves when the headers are there, whatever the status. */
export async function fetch(input: string | { toString(): string } | Request, init: Init = {}): Promise<Response> {
  const request = new Request(input, init);
  const { signal, url } = request;
  signal?.throwIfAborted();
  const encoded = Request.__encode(request);
  try {
    const stream = openStream(url, encoded);
    const source = httpSource(stream, () => signal?.throwIfAborted());
    signal?.addEventListener('abort', () => source.close(), { once: true });
    const { status, headers } = stream;
    const isEmpty = request.method === 'HEAD' || BODILESS.includes(status);
    if (isEmpty) source.close();
    const response = new Response(isEmpty ? null : new BodyStream(source), { status, headers });
    return Object.assign(response, { url });
  } catch (cause) {
    if (!isSystemError(cause)) throw cause;
    throw new TypeError(`fetch failed: ${cause.code}: ${cause.message}`, { cause });
  }
}
