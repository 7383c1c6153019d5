import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { Client } from 'undici';
import { HTTP_CALLS, quoteData } from '../http/guest-text.js';
import { logAt, makeGuest } from '../kit/guests.js';
import { openSession, waitForNthLog } from '../kit/log-watch.js';
import { startSupervisor } from '../kit/real-supervisor.js';
import { type Figure, figureOf } from './figures.js';

const REQUESTS = 2_000;
const WARM = 500;
const BODY = 'x'.repeat(1024);
const SAMPLES_AT = 65_536;

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

/** The guest times each call by the WASI clock and writes the list to a file of the workspace. */
function timedRequests(bytes: number): string {
  const tick = (local: string) =>
    `(drop (call $clock_time_get (i32.const 1) (i64.const 0) (i32.const 8))) (local.set ${local} (i64.load (i32.const 8)))`;
  return `(loop $more
      ${tick('$a')} (drop (call $astrid_http_request (call $block (i32.const 1024) (i32.const ${bytes})))) ${tick('$b')}
      (i32.store (i32.add (i32.const ${SAMPLES_AT}) (i32.mul (local.get $i) (i32.const 4)))
        (i32.wrap_i64 (i64.sub (local.get $b) (local.get $a))))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $more (i32.lt_u (local.get $i) (i32.const ${REQUESTS}))))
    (drop (call $astrid_write_file (call $block (i32.const 64) (i32.const 8))
      (call $block (i32.const ${SAMPLES_AT}) (i32.const ${REQUESTS * 4}))))
    ${logAt(32, 5)} (i32.const 0)`;
}

/** One request of a capsule, end to end: gate, an audit entry acknowledged before it, address checks, the copy to the guest. */
async function measureCapsule(port: number): Promise<Figure> {
  const request = JSON.stringify({ url: `http://localhost:${port}/` });
  const guest = await makeGuest({
    name: 'timed',
    pages: '4',
    imports:
      '(import "wasi_snapshot_preview1" "clock_time_get" (func $clock_time_get (param i32 i64 i32) (result i32)))',
    calls: { astrid_http_request: HTTP_CALLS.astrid_http_request, astrid_write_file: { params: 2, result: true } },
    data: { 64: 'http.bin', 1024: quoteData(request) },
    manifest: `\n[capabilities]\nnet = ["localhost"]\nfs_write = ["cwd://"]\n\n[[interceptor]]\nevent = "user.v1.prompt"\naction = "go"\n`,
    body: timedRequests(request.length),
  });
  const supervisor = await startSupervisor({
    builtins: { timed: guest },
    config: `[net]\nlocal = ["localhost:${port}"]\n`,
  });
  try {
    const client = await supervisor.connect();
    const { id, say } = await openSession(client, supervisor.workspace, { mode: 'yolo' });
    await say('go');
    await waitForNthLog(client, 'timed', /heard/, 1);
    client.close();
    const bytes = readFileSync(join(supervisor.home, 'var/overlay', id, 'upper/http.bin'));
    const samples = Array.from({ length: REQUESTS }, (_, at) => bytes.readUInt32LE(at * 4) / 1000);
    return figureOf('GET 1 KiB on loopback, http_request', 'µs', samples.slice(WARM), 'gate and audit included');
  } finally {
    await supervisor.end();
  }
}

export async function measureHttp(): Promise<Figure[]> {
  const { port, close } = await serveLoopback();
  try {
    return [await measureUndici(`http://localhost:${port}`), await measureCapsule(port)];
  } finally {
    close();
  }
}
