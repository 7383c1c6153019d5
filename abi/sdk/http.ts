import { call, decodeJson, decodeText, encodeJson, encodeText } from './call.js';

/**
 * HTTP, made by the kernel. `net` of the manifest names the hosts (`capability_missing` otherwise): a host, a domain for all
 * below it, or `*`. Only public addresses are reached, checked after name resolution, on the connected socket and at each
 * redirect; an operator's grant opens one host and port of the local network (`policy_denied` otherwise). A response with an
 * error status is a response, not an exception. Served since version 0.2.
 *
 * Errors besides those of the gate: `invalid_argument` with the field (`url`, `method`, `headers`, `body`), `too_large`,
 * `timed_out`, `io_error` (the network: no such host, refused, closed, a certificate that is not valid), `cancelled`.
 */
export interface HttpInit {
  /** GET when left out. */
  readonly method?: 'GET' | 'POST' | 'PUT' | 'DELETE' | 'PATCH' | 'HEAD' | 'OPTIONS';
  /**
   * At most 100, 64 KiB together, visible ASCII. Refused is what the kernel writes itself: host, content-length,
   * transfer-encoding, connection, keep-alive, upgrade, expect, te, trailer, proxy-*.
   */
  readonly headers?: Readonly<Record<string, string>>;
  /** At most 10 MiB, less what the rest of the request takes. */
  readonly body?: string;
}

export interface HttpResponse {
  readonly status: number;
  /** Lower-case names; of a name that came twice the last value; values outside visible ASCII are left out. */
  readonly headers: Readonly<Record<string, string>>;
  /** Decompressed (gzip, deflate, br). */
  readonly body: string;
}

export interface HttpStream {
  readonly handle: string;
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
}

/**
 * The whole response. At most 30 s (`timed_out`), and a body of 10 MiB after decompression (`too_large`) that is UTF-8
 * (`not_supported`: read it as a stream). At most 10 redirects are followed, by the rules of fetch; to another origin only
 * headers without credentials go along. A redirect to a host that a person would have to be asked about comes back as it is,
 * with its status and `location`: ask for that URL yourself.
 */
export function request(url: string, init: HttpInit = {}): HttpResponse {
  return decodeJson<HttpResponse>(call('astrid_http_request', encodeJson({ url, ...init })));
}

/**
 * Sends and returns once the headers are there: 30 s to connect, 120 s to the headers, no limit in total. At most 4 streams are
 * open at once (`quota_exceeded`). The body is asked for unencoded; set `accept-encoding` yourself for anything else.
 */
export function openStream(url: string, init: HttpInit = {}): HttpStream {
  return decodeJson<HttpStream>(call('astrid_http_stream_start', encodeJson({ url, ...init })));
}

/**
 * The next bytes as they came from the network, at most 256 KiB; empty at the end, and when the capsule is being stopped. At most
 * 120 s per chunk (`timed_out`, and the stream is closed). `bad_handle` for a stream that was closed.
 */
export function readStream(stream: HttpStream): Uint8Array {
  return call('astrid_http_stream_read', encodeText(stream.handle));
}

/** The end of the body does not close by itself. Closing twice is fine. */
export function closeStream(stream: HttpStream): void {
  call('astrid_http_stream_close', encodeText(stream.handle));
}

/** The whole body, chunk by chunk; the stream is closed however the loop ends. */
export function* chunks(stream: HttpStream): Generator<Uint8Array, void, void> {
  try {
    for (let chunk = readStream(stream); chunk.length > 0; chunk = readStream(stream)) yield chunk;
  } finally {
    closeStream(stream);
  }
}

/** The body of a small JSON response. Throws SyntaxError when it is none. */
export function json<T = unknown>(response: HttpResponse): T {
  return JSON.parse(response.body) as T;
}

/** A chunk as text. A character split between two chunks becomes U+FFFD: collect lines as bytes where that matters. */
export function chunkText(chunk: Uint8Array): string {
  return decodeText(chunk);
}
