import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Client } from 'undici';
import { HTTP_CALLS, quoteData } from '../http/guest-text.js';
import { type Figure, figureOf } from './figures.js';
import { blockAt, dropCall, timeInGuest } from './guest-timing.js';

const REQUESTS = 2_000;
const WARM = 500;
const BODY = 'x'.repeat(1024);
const REQUEST_AT = 1024;

async function serveLoopback() {
  const server = createServer((_request, response) => response.end(BODY));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const close = () => {
    server.closeAllConnections();
    server.close();
  };
  return { port, close };
}

/** What the library takes by itself: one connection, one request after the other, in this process. */
async function measureUndici(origin: string): Promise<Figure> {
  const client = new Client(origin);
  const samples: number[] = [];
  for (let i = 0; i < REQUESTS; i++) {
    const start = performance.now();
    const { body } = await client.request({ method: 'GET', path: '/' });
    await body.text();
    samples.push((performance.now() - start) * 1000);
  }
  await client.close();
  return figureOf('GET 1 KiB on loopback, plain undici', 'µs', samples.slice(WARM), 'one kept connection');
}

/** One request of a capsule, end to end: gate, an audit entry acknowledged before it, address checks, the copy to the guest. */
async function measureCapsule(port: number): Promise<Figure> {
  const request = JSON.stringify({ url: `http://localhost:${port}/` });
  const [samples] = await timeInGuest({
    tier: 'process',
    rounds: 1,
    calls: { astrid_http_request: HTTP_CALLS.astrid_http_request },
    capabilities: 'net = ["localhost"]',
    config: `[net]\nlocal = ["localhost:${port}"]\n`,
    data: { [REQUEST_AT]: quoteData(request) },
    timed: [{ call: dropCall('astrid_http_request', blockAt(REQUEST_AT, request.length)), rounds: REQUESTS }],
  });
  return figureOf('GET 1 KiB on loopback, http_request', 'µs', samples!.slice(WARM), 'gate and audit included');
}

export async function measureHttp(): Promise<Figure[]> {
  const { port, close } = await serveLoopback();
  try {
    return [await measureUndici(`http://localhost:${port}`), await measureCapsule(port)];
  } finally {
    close();
  }
}
