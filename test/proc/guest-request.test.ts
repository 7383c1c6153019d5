import { test } from 'tap';
import { encodeRequest, RequestPayload } from '../../supervisor/proc/guest-request.js';

test('a request, every byte in every place, is the list of numbers that guests read', (t) => {
  const bytes = Buffer.from(Array.from({ length: 1024 }, (_, index) => (index * 7) % 256));
  for (const payload of [bytes, Buffer.alloc(0), Buffer.from([0]), Buffer.from([255]), bytes.subarray(3, 7)]) {
    const request = encodeRequest('a "name"', payload).toString();
    t.equal(request, `{"name":"a \\"name\\"","arguments":[${payload.join(',')}]}`);
  }
  t.end();
});

test('a payload for several guests, each gets a request of its own name', (t) => {
  const payload = new RequestPayload(Buffer.from('hi'));
  t.equal(String(payload.request('one')), '{"name":"one","arguments":[104,105]}');
  t.equal(String(payload.request('two')), '{"name":"two","arguments":[104,105]}');
  t.end();
});
