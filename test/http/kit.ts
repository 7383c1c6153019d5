import { createServer, type IncomingMessage, type RequestListener } from 'node:http';
import type { AddressInfo, Server, Socket } from 'node:net';
import { createServer as createRawServer } from 'node:net';
import type { Test } from 'tap';
import { Fault } from '../../abi/errno.js';
import { decodeHttpRequest } from '../../supervisor/http/request.js';
import { type HttpCaller, type HttpOptions, HttpService } from '../../supervisor/http/service.js';

export interface LocalServer {
  readonly port: number;
  /** Connections accepted so far. */
  readonly hits: () => number;
  readonly open: () => number;
}

function watch(t: Test, server: Server): Promise<LocalServer> {
  const sockets = new Set<Socket>();
  let hits = 0;
  server.on('connection', (socket: Socket) => {
    hits += 1;
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.once('close', () => sockets.delete(socket));
  });
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
    return new Promise((resolve) => server.close(resolve));
  });
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => {
      resolve({ port: (server.address() as AddressInfo).port, hits: () => hits, open: () => sockets.size });
    });
  });
}

export function serve(t: Test, listener: RequestListener): Promise<LocalServer> {
  return watch(t, createServer({ keepAliveTimeout: 60_000 }, listener));
}

/** Bytes of the test's own, instead of HTTP that a library writes. */
export function serveRaw(t: Test, onSocket: (socket: Socket) => void): Promise<LocalServer> {
  return watch(
    t,
    createRawServer((socket) => {
      // A socket that nobody reads does not learn that the other end is gone.
      socket.resume();
      onSocket(socket);
    }),
  );
}

/** A service that ends with the test. Names resolve to loopback unless the test says otherwise. */
export function makeService(t: Test, options: Partial<HttpOptions> = {}): HttpService {
  const service = new HttpService({ local: [], resolve: async () => ['127.0.0.1'], ...options });
  t.teardown(() => service.close());
  return service;
}

export function granted(t: Test, { port }: LocalServer, options: Partial<HttpOptions> = {}): HttpService {
  return makeService(t, { local: [`127.0.0.1:${port}`, `localhost:${port}`], ...options });
}

export const ask = (url: string, more: object = {}) => decodeHttpRequest({ url, ...more });

export function caller(more: Partial<HttpCaller> = {}): HttpCaller {
  return { sourceId: 'one', cancel: new AbortController().signal, mayFollow: () => true, ...more };
}

export async function codeOf(work: Promise<unknown> | (() => unknown)): Promise<string> {
  try {
    await (typeof work === 'function' ? work() : work);
    return 'accepted';
  } catch (thrown) {
    return thrown instanceof Fault ? thrown.code : `not a fault: ${thrown}`;
  }
}

export async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('utf8');
}

/** Resolves when no connection is left. */
export async function allClosed(server: LocalServer): Promise<void> {
  while (server.open() > 0) await new Promise((resolve) => setImmediate(resolve));
}
