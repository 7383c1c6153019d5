import { call, decodeJson, decodeText, encodeJson, encodeText } from './call.js';

/**
 * HTTP, made by the kernel. `net` of the manifest names the hosts (`capability_missing` otherwise); private and local
 * addresses are refused after name resolution. A response with an error status is a response, not an exception.
 * Not served by version 0.1: a capsule that uses this does not load there.
 */
export interface HttpInit {
  /** GET when left out. */
  readonly method?: 'GET' | 'POST' | 'PUT' | 'DELETE' | 'PATCH' | 'HEAD' | 'OPTIONS';
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

export interface HttpResponse {
  readonly status: number;
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

export interface HttpStream {
  readonly handle: string;
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
}

/** At most 30 s (`timed_out`) and a UTF-8 body of 10 MiB (`too_large`). */
export function request(url: string, init: HttpInit = {}): HttpResponse {
  return decodeJson<HttpResponse>(call('astrid_http_request', encodeJson({ url, ...init })));
}

/** Sends and returns once the headers are there: 30 s to connect, no limit after. At most 4 open streams. */
export function openStream(url: string, init: HttpInit = {}): HttpStream {
  return decodeJson<HttpStream>(call('astrid_http_stream_start', encodeJson({ url, ...init })));
}

/** The next chunk as it came from the network; empty at the end. At most 120 s per chunk. */
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
