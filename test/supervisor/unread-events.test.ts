import { Duplex } from 'node:stream';
import { test } from 'tap';
import { LIMITS } from '../../abi/limits.js';
import { FrameConnection } from '../../bus/connection.js';
import { encodeFrame } from '../../bus/frame.js';
import { FrameReader } from '../../bus/frame-reader.js';
import type { ControlHandlers, EventSink } from '../../supervisor/control/handlers.js';
import { ControlSession } from '../../supervisor/control/session.js';

/** A peer that reads nothing until it is told to. */
class Peer extends Duplex {
  readonly #received: Buffer[] = [];
  #release: (() => void) | null = null;
  #reads = false;

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.#received.push(chunk);
    if (this.#reads) done();
    else this.#release = done;
  }

  /** Everything that was sent to it, in order. */
  async takeAll(): Promise<{ t: string; stream?: number; error?: { code: string } }[]> {
    this.#reads = true;
    const drained = this.writableLength === 0 ? null : new Promise((resolve) => this.once('drain', resolve));
    this.#release?.();
    await drained;
    const reader = new FrameReader(LIMITS.controlFrameBytesMax);
    return this.#received.splice(0).flatMap((chunk) => [...reader.push(chunk)]) as { t: string; stream?: number }[];
  }
}

/** A session with one stream of logs, over a peer that does not read. */
async function follow(early: readonly unknown[] = []) {
  const peer = new Peer();
  const connection = new FrameConnection(peer, { frameBytesMax: LIMITS.controlFrameBytesMax });
  let sink: EventSink | null = null;
  let isReleased = false;
  const logs = (_params: unknown, _client: unknown, opened: EventSink) => {
    sink = opened;
    for (const row of early) opened.send(row);
    opened.onCancel(() => {
      isReleased = true;
    });
  };
  const session = new ControlSession(connection, { logs } as unknown as ControlHandlers, 'test');
  session.receive({ t: 'req', id: 1, method: 'logs', params: { follow: true } });
  // The answer to the request, and with it what was held until then, goes out once the handler has returned.
  await new Promise((resolve) => setImmediate(resolve));
  return { peer, connection, send: (row: unknown) => sink?.send(row), isReleased: () => isReleased };
}

type Follower = Awaited<ReturnType<typeof follow>>;

const PART = Buffer.alloc(LIMITS.controlUnsentBytesMax / 4);
/** Bytes of a frame around this many of data, when they are many. */
const frameBytes = (data: Buffer) => encodeFrame({ t: 'event', stream: 1, data }).length;

/** Sends until exactly this many bytes wait. */
function fillTo({ connection, send }: Follower, bytes: number): void {
  for (let part = 0; part < 3; part++) send(PART);
  const left = bytes - connection.unsentBytes;
  send(PART.subarray(0, left - (frameBytes(PART) - PART.length)));
}

const ENDED = { t: 'end', stream: 1, error: { code: 'rate_limited' } };

test('a follower that does not read, the bytes that wait for it: one more event below the limit, the end of its stream at it', async (t) => {
  for (const [below, more] of [
    [1, 2],
    [0, 1],
  ] as const) {
    const follower = await follow();
    const { peer, connection, send, isReleased } = follower;
    fillTo(follower, LIMITS.controlUnsentBytesMax - below);
    t.equal(connection.unsentBytes, LIMITS.controlUnsentBytesMax - below);
    t.equal(isReleased(), false, `${below} below`);
    for (let event = 0; event < more; event++) send('x');
    t.ok(isReleased(), 'and whoever feeds it lets it go');
    send('after the end');
    const frames = await peer.takeAll();
    t.equal(frames.filter(({ t: kind }) => kind === 'event').length, 4 + below);
    t.match(frames.at(-1), ENDED);
    t.equal(frames.filter(({ t: kind }) => kind === 'end').length, 1, 'said once');
    connection.destroy();
  }
});

test('a follower that does not read, the number of events that wait for it, ends its stream likewise', async (t) => {
  const { peer, connection, send, isReleased } = await follow();
  send(PART.subarray(0, 1024 * 1024));
  for (let event = 1; event < LIMITS.controlUnsentEventsMax; event++) send(event);
  t.equal(isReleased(), false);
  send('one more');
  t.ok(isReleased());
  t.match((await peer.takeAll()).at(-1), ENDED);
  connection.destroy();
});

test('a follower that reads gets on after any number of bytes; what was held for it before the answer ends once, too', async (t) => {
  const follower = await follow();
  for (let round = 0; round < 2; round++) {
    fillTo(follower, LIMITS.controlUnsentBytesMax);
    await follower.peer.takeAll();
  }
  t.equal(follower.isReleased(), false);
  follower.connection.destroy();
  const late = await follow([PART, PART, PART, PART, PART, PART]);
  t.ok(late.isReleased());
  const frames = await late.peer.takeAll();
  t.same(
    frames.map(({ t: kind }) => kind),
    ['res', 'event', 'event', 'event', 'event', 'end'],
  );
  late.connection.destroy();
});
