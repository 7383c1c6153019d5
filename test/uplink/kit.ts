import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Test } from 'tap';
import { SessionToken } from '../../supervisor/session-token.js';
import { UplinkListener } from '../../supervisor/uplink/listener.js';
import { type StreamCaller, UplinkStreams } from '../../supervisor/uplink/streams.js';
import { UplinkClient } from '../kit/uplink-client.js';

export interface BenchCaller extends StreamCaller {
  /** Ends the invocation, and with it whatever it waits for. */
  abort(): void;
}

export function makeCaller(sourceId: string, capsule = sourceId): BenchCaller {
  const controller = new AbortController();
  return {
    capsule,
    sourceId,
    actor: { principal: 'default', attribution: 'verified', session: null },
    cancel: controller.signal,
    setWaiting: () => undefined,
    abort: () => controller.abort(),
  };
}

/** The socket and the streams behind it as the kernel has them, without a kernel. */
export async function openBench(t: Test) {
  const directory = mkdtempSync(join(tmpdir(), 'astrid-'));
  const socketPath = join(directory, 'uplink.sock');
  const token = new SessionToken();
  const rejected: string[] = [];
  const announced: string[] = [];
  const logged: string[] = [];
  const clients: UplinkClient[] = [];
  const listener = new UplinkListener({ socketPath, version: '9.9.9', token, onRejected: (why) => rejected.push(why) });
  const streams = new UplinkStreams({
    listener,
    announce: (sourceId, topic, payload) => announced.push(`${sourceId} ${topic} ${JSON.stringify(payload)}`),
    log: (_, message) => logged.push(message),
  });
  t.teardown(async () => {
    for (const client of clients) client.close();
    await listener.close();
    rmSync(directory, { recursive: true, force: true });
  });
  await streams.bind();
  const connect = async () => {
    const client = await UplinkClient.open(socketPath);
    clients.push(client);
    return client;
  };
  /** A client that has shaken hands, and the handle under which `caller` holds it. */
  const join_ = async (caller: StreamCaller) => {
    const client = await connect();
    client.hello(token.text);
    const handle = await streams.accept(caller);
    await client.next();
    return { client, handle };
  };
  return { socketPath, token, rejected, announced, logged, listener, streams, connect, join: join_ };
}

/** Reads until there is something else than `pending`. */
export async function readOn(streams: UplinkStreams, handle: number, caller: StreamCaller): Promise<Buffer> {
  while (true) {
    const reply = await streams.read(handle, caller);
    if (reply[0] !== 2) return reply;
  }
}
