import { Readable } from 'node:stream';
import { test } from 'tap';
import { LIMITS } from '../../abi/limits.js';
import type { HttpResponse } from '../../supervisor/http/exchange.js';
import { ResponseStream } from '../../supervisor/http/response-stream.js';

test('a piece of a body that is larger than a read may answer comes in several, and nothing is lost', async (t) => {
  const most = LIMITS.httpChunkBytesMax;
  const whole = Buffer.from(Array.from({ length: 2 * most + 3 }, (_, n) => n % 251));
  let given = 0;
  const response = { body: Readable.from([whole, Buffer.from('end')]), lease: { giveBack: () => void given++ } };
  const stream = new ResponseStream(response as unknown as HttpResponse);
  const pieces: Buffer[] = [];
  for (let piece = await stream.next(); piece.length > 0; piece = await stream.next()) pieces.push(piece);
  t.same(
    pieces.map(({ length }) => length),
    [most, most, 3, 3],
  );
  t.ok(Buffer.concat(pieces).equals(Buffer.concat([whole, Buffer.from('end')])));
  t.equal((await stream.next()).length, 0, 'after the end there is nothing');
  t.equal(given, 1, 'the connection is given back once');
});
