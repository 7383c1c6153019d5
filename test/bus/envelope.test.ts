import { test } from 'tap';
import { encodeEnvelope, measureInEnvelope, messageJson } from '../../bus/envelope.js';
import type { BusMessage } from '../../bus/message.js';
import { normalisePayload } from '../../bus/payload.js';
import { fc } from '../kit/property.js';

const MESSAGE: BusMessage = {
  topic: 'user.v1.prompt',
  payload: { type: 'user_input', text: 'hi "you"', session_id: 'default' },
  payloadBytes: 60,
  heapBytes: 400,
  sourceId: '6f1c2f1e-9b1a-4b58-a1f3-0d2c7d3e4f50',
  timestamp: '2026-01-01T00:00:00.000Z',
  seq: 7,
  actor: { principal: 'default', attribution: 'verified', session: 'secret-session' },
};

test('envelope, with messages, is the exact JSON of the reference', async (t) => {
  const one =
    '{"topic":"user.v1.prompt","payload":{"type":"user_input","text":"hi \\"you\\"","session_id":"default"},' +
    '"signature":null,"source_id":"6f1c2f1e-9b1a-4b58-a1f3-0d2c7d3e4f50","timestamp":"2026-01-01T00:00:00.000Z",' +
    '"seq":7,"principal":"default"}';
  const envelope = { messages: [MESSAGE, { ...MESSAGE }], dropped: 1, lagged: 42 };
  t.equal(encodeEnvelope(envelope).toString(), `{"messages":[${one},${one}],"dropped":1,"lagged":42}`);
});

test('envelope, empty, is the exact JSON of the reference', async (t) => {
  t.equal(encodeEnvelope({ messages: [], dropped: 0, lagged: 0 }).toString(), '{"messages":[],"dropped":0,"lagged":0}');
});

test('envelope, a message without principal, leaves the member out', async (t) => {
  const message = { ...MESSAGE, actor: { ...MESSAGE.actor, principal: '' } };
  t.notOk('principal' in JSON.parse(messageJson(message).toString()));
});

test('envelope, what the guest sees, holds neither session nor attribution', async (t) => {
  t.notMatch(messageJson(MESSAGE).toString(), /secret-session|verified/);
});

test('envelope, one message for many subscribers, is serialised once', async (t) => {
  t.equal(messageJson(MESSAGE), messageJson(MESSAGE));
});

test('envelope, any guest payload, is never larger than its measure', async (t) => {
  const growing = fc.oneof(
    fc.jsonValue(),
    fc.array(fc.constantFrom('1e20', '1e-6', '""', '{}'), { maxLength: 200 }).map((parts) => JSON.parse(`[${parts}]`)),
    fc.record({
      type: fc.constant('llm_request'),
      request_id: fc.constant(MESSAGE.sourceId),
      model: fc.constant(''),
      system: fc.constant(''),
      tools: fc.array(fc.constant({ name: '', input_schema: 0 }), { maxLength: 50 }),
      messages: fc.array(fc.constant({ role: 'tool', content: { call_id: '', content: '' } }), { maxLength: 50 }),
    }),
  );
  const topics = fc.constantFrom('t', '"\\'.repeat(128));
  fc.assert(
    fc.property(growing, topics, (value, topic) => {
      // The shortest text a guest can have written for it.
      const text = JSON.stringify(value).replaceAll('100000000000000000000', '1e20').replaceAll('0.000001', '1e-6');
      const message = { ...MESSAGE, topic, payload: normalisePayload(value), payloadBytes: Buffer.byteLength(text) };
      return messageJson(message).length + 1 <= measureInEnvelope(message);
    }),
    { numRuns: 500 },
  );
  const digits = Array.from({ length: 5000 }, () => 1e20);
  const large = { ...MESSAGE, payload: normalisePayload(digits), payloadBytes: 25_000 };
  t.equal(measureInEnvelope(large), messageJson(large).length + 1, 'a large one is measured exactly');
});
