/**
 * The types of the web's names that a capsule may use without importing them. `astrid build` puts each one into the bundle
 * where it is used and leaves the others out; they can be imported from these modules, too.
 */
declare global {
  var fetch: typeof import('./fetch.js').fetch;
  var Request: typeof import('./fetch.js').Request;
  type Request = import('./fetch.js').Request;
  var Response: typeof import('./fetch.js').Response;
  type Response = import('./fetch.js').Response;
  var Headers: typeof import('./headers.js').Headers;
  type Headers = import('./headers.js').Headers;
  var URL: typeof import('./url.js').URL;
  type URL = import('./url.js').URL;
  var URLSearchParams: typeof import('./url-search-params.js').URLSearchParams;
  type URLSearchParams = import('./url-search-params.js').URLSearchParams;
  var AbortController: typeof import('./abort.js').AbortController;
  type AbortController = import('./abort.js').AbortController;
  var AbortSignal: typeof import('./abort.js').AbortSignal;
  type AbortSignal = import('./abort.js').AbortSignal;
  var crypto: typeof import('./crypto.js').crypto;
  var structuredClone: typeof import('./structured-clone.js').structuredClone;
  var setTimeout: typeof import('./timers.js').setTimeout;
  var setInterval: typeof import('./timers.js').setInterval;
  var clearTimeout: typeof import('./timers.js').clearTimeout;
  var clearInterval: typeof import('./timers.js').clearInterval;
  /** The engine's own. */
  var queueMicrotask: (job: () => void) => void;
  /** The engine's own: base64 of text with one character per byte. */
  var btoa: (text: string) => string;
  var atob: (text: string) => string;
  /** Milliseconds since the first call of this instance. */
  var performance: { now(): number; readonly timeOrigin: number };
}

export type WebNames = 'fetch' | 'URL' | 'crypto' | 'structuredClone' | 'setTimeout' | 'AbortController';
