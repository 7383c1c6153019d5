import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { join } from 'node:path';
import type { ElicitRow } from '../../abi/control.js';
import { LIMITS } from '../../abi/limits.js';
import type { ControlClient } from '../../cli/client.js';
import { UplinkClient } from '../kit/uplink-client.js';
import { REFUSED_KEY, SILENT_KEY, VISITOR_SAYS } from './case.js';

export interface WebServer {
  readonly port: number;
  close(): Promise<void>;
}

type Page = (request: IncomingMessage, response: ServerResponse) => void;

const PAGES: Readonly<Record<string, Page>> = {
  '/': (_, response) => response.end('pong'),
  '/hops/0': (_, response) => response.end('pong'),
  '/redirect': (_, response) => response.writeHead(302, { location: '/' }).end(),
  '/away': (_, response) => response.writeHead(302, { location: 'http://127.0.0.1:9/' }).end(),
  '/binary': (_, response) => response.end(Buffer.from([0xff, 0xfe])),
  // Headers, and never a body: whoever reads it waits until somebody ends that.
  '/silent': (_, response) => response.flushHeaders(),
  '/echo': (request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () =>
      response.end(`${request.method} ${request.headers['x-said']} ${Buffer.concat(chunks).toString('utf8')}`),
    );
  },
};

/** The web as far as guests may see it: one server on loopback. */
export async function startWebServer(): Promise<WebServer> {
  const sockets = new Set<Socket>();
  // Larger than what a guest may send in a URL or in headers.
  const server = createServer({ maxHeaderSize: 2 * LIMITS.httpHeaderBytesMax }, (request, response) => {
    const path = (request.url ?? '').replace(/\?.*$/, '');
    const bytes = /^\/bytes\/(\d+)$/.exec(path)?.[1];
    const controls = /^\/controls\/(\d+)$/.exec(path)?.[1];
    const hops = /^\/hops\/([1-9]\d*)$/.exec(path)?.[1];
    const page = PAGES[path];
    if (bytes !== undefined) response.end(Buffer.alloc(Number(bytes), 'a'));
    // Six bytes each as JSON.
    else if (controls !== undefined) response.end(Buffer.alloc(Number(controls), 1));
    else if (hops !== undefined) response.writeHead(302, { location: `/hops/${Number(hops) - 1}` }).end();
    else if (page !== undefined) page(request, response);
    else response.writeHead(404).end('no');
  });
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.once('close', () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Somebody who answers every question of an install hook, but for those about one key. */
export async function answerQuestions(client: ControlClient): Promise<{ close(): void }> {
  const stream = await client.stream('elicit.follow', {});
  const answer = async () => {
    for await (const row of stream) {
      const { id, state, kind, key, options } = row as ElicitRow;
      if (state !== 'open' || key === SILENT_KEY) continue;
      const value = kind === 'select' ? (options[0] ?? '') : 'Ada';
      const say =
        key === REFUSED_KEY ? { cancel: true as const } : kind === 'array' ? { values: ['one', 'two'] } : { value };
      // An answer that is refused shows in the case that waits for it.
      await client.request('elicit.answer', { id, ...say }).catch(() => undefined);
    }
  };
  answer().catch(() => undefined);
  return { close: () => stream.cancel() };
}

/** Clients at the uplink socket, each with the token and one message right behind it. */
export async function sendVisitors(home: string, count: number): Promise<{ close(): void }> {
  const visitors: UplinkClient[] = [];
  const token = count === 0 ? '' : readFileSync(join(home, 'run/system.token'), 'utf8');
  for (let at = 0; at < count; at++) {
    const visitor = await UplinkClient.open(join(home, 'run/uplink.sock'));
    visitors.push(visitor);
    visitor.socket.cork();
    visitor.hello(token);
    visitor.send(VISITOR_SAYS);
    visitor.socket.uncork();
  }
  return {
    close: () => {
      for (const visitor of visitors) visitor.close();
    },
  };
}
