import { test } from 'tap';
import { interceptorView, normalisePayload, PAYLOAD_TYPES, readVariant } from '../../bus/payload.js';
import { fc } from '../kit/property.js';

const ID = '6f1c2f1e-9b1a-4b58-a1f3-0d2c7d3e4f50';
const field = { key: 'k', prompt: 'p', field_type: 'Text' };
const call = { id: '1', name: 'read_file', arguments: { path: 'a' } };

/** One payload of each type in its normal form: normalising changes nothing. */
const NORMAL: { type: string; [field: string]: unknown }[] = [
  { type: 'raw_json', method: 'GetStatus', params: { a: 1 } },
  { type: 'custom', data: [1, { a: null }] },
  { type: 'custom', data: null },
  { type: 'user_input', text: 'hi', session_id: 's', context: { action: 'cancel_turn' } },
  { type: 'agent_response', text: 'hi', is_final: true, session_id: 'default' },
  { type: 'approval_required', request_id: 'r', action: 'a', resource: 'x', reason: 'y', risk_level: 'low' },
  { type: 'approval_response', request_id: 'r', decision: 'approve', reason: 'fine' },
  { type: 'approval_response', request_id: 'r', decision: 'deny' },
  { type: 'onboarding_required', capsule_id: 'c', fields: [field, { ...field, field_type: { Enum: ['a'] } }] },
  {
    type: 'llm_request',
    request_id: ID,
    model: 'm',
    messages: [
      { role: 'system', content: 'text' },
      { role: 'assistant', content: [call] },
      { role: 'tool', content: { call_id: '1', content: 'x', is_error: false } },
      { role: 'user', content: [{ type: 'text', text: 'x' }] },
      { role: 'user', content: [{ type: 'image', data: 'AA==', media_type: 'image/png' }] },
      { role: 'user', content: [] },
    ],
    tools: [{ name: 't', description: null, input_schema: { type: 'object' } }],
    system: '',
  },
  { type: 'llm_stream_event', request_id: ID, event: 'Done' },
  { type: 'llm_stream_event', request_id: ID, event: { TextDelta: 'x' } },
  { type: 'llm_stream_event', request_id: ID, event: { ToolCallStart: { id: '1', name: 'n' } } },
  { type: 'llm_stream_event', request_id: ID, event: { ToolCallDelta: { id: '1', args_delta: '{' } } },
  { type: 'llm_stream_event', request_id: ID, event: { ToolCallEnd: { id: '1' } } },
  { type: 'llm_stream_event', request_id: ID, event: { ReasoningDelta: 'x' } },
  { type: 'llm_stream_event', request_id: ID, event: { Usage: { input_tokens: 1, output_tokens: 2 } } },
  { type: 'llm_stream_event', request_id: ID, event: { Error: 'x' } },
  {
    type: 'llm_response',
    request_id: ID,
    response: {
      message: { role: 'assistant', content: 'x' },
      has_tool_calls: false,
      stop_reason: 'EndTurn',
      usage: { input_tokens: 1, output_tokens: 2 },
    },
  },
  { type: 'tool_execute_request', call_id: 'c', tool_name: 't', arguments: null },
  { type: 'tool_execute_result', call_id: 'c', result: { call_id: 'c', content: 'x', is_error: true } },
  { type: 'tool_cancel_request', call_ids: ['a', 'b'] },
  {
    type: 'selection_required',
    request_id: 'r',
    title: 't',
    options: [
      { id: '1', label: 'l' },
      { id: '2', label: 'l', description: 'd' },
    ],
    callback_topic: 'registry.v1.selection.callback',
  },
  { type: 'elicit_request', request_id: ID, capsule_id: 'c', field },
  { type: 'elicit_response', request_id: ID, value: 'v' },
  { type: 'elicit_response', request_id: ID, values: ['v'] },
  { type: 'connect' },
  { type: 'disconnect', reason: 'stream_closed' },
  { type: 'disconnect' },
];

test('payload, each variant in its normal form, stays as it is', async (t) => {
  for (const payload of NORMAL) t.strictSame(normalisePayload(payload), payload, JSON.stringify(payload).slice(0, 60));
  const seen = new Set(NORMAL.map((payload) => payload.type));
  t.strictSame([...seen].sort(), [...PAYLOAD_TYPES].sort(), 'every type is in this test');
});

test('payload, unknown fields beside known ones, are dropped at every level', async (t) => {
  for (const payload of NORMAL) {
    if (payload.type === 'raw_json') continue;
    t.strictSame(normalisePayload({ ...payload, extra: 1 }), payload);
  }
  t.strictSame(
    normalisePayload({ type: 'tool_execute_result', call_id: 'c', result: { call_id: 'c', content: 'x', more: 1 } }),
    { type: 'tool_execute_result', call_id: 'c', result: { call_id: 'c', content: 'x', is_error: false } },
  );
});

test('payload, absent fields that have a default, get it', async (t) => {
  t.strictSame(normalisePayload({ type: 'user_input', text: 'x' }), {
    type: 'user_input',
    text: 'x',
    session_id: 'default',
  });
  t.strictSame(normalisePayload({ type: 'disconnect', reason: null }), { type: 'disconnect' });
});

test('payload, a UUID in another spelling, comes out hyphenated in lower case', async (t) => {
  for (const spelling of [ID.toUpperCase(), ID.replaceAll('-', '')]) {
    const payload = normalisePayload({ type: 'llm_stream_event', request_id: spelling, event: 'Done' });
    t.equal(payload['request_id'], ID);
  }
});

test('payload, a known type with one field missing or wrong, is wrapped whole as custom', async (t) => {
  for (const normal of NORMAL) {
    if (['raw_json', 'custom'].includes(normal.type)) continue;
    for (const name of Object.keys(normal)) {
      const value = { ...normal, [name]: Symbol.for('wrong') };
      if (name === 'context' || name === 'arguments') continue; // any JSON fits there
      t.strictSame(normalisePayload(value), { type: 'custom', data: value }, `${normal.type}.${name}`);
    }
  }
  const bad: object[] = [
    { type: 'user_input' },
    { type: 'user_input', text: null },
    { type: 'custom' },
    { type: 'llm_stream_event', request_id: 'not a uuid', event: 'Done' },
    { type: 'llm_stream_event', request_id: ID, event: 'TextDelta' },
    { type: 'llm_stream_event', request_id: ID, event: { TextDelta: 'a', Error: 'b' } },
    { type: 'llm_stream_event', request_id: ID, event: { toString: 'a' } },
    { type: 'agent_response', text: 'x', is_final: 'yes' },
  ];
  for (const value of bad) t.strictSame(normalisePayload(value), { type: 'custom', data: value });
});

test('payload, no type, an unknown type, or no object, is wrapped whole as custom', async (t) => {
  const values = [
    1,
    'text',
    null,
    true,
    [],
    [1],
    {},
    { a: 1 },
    { type: 1 },
    { type: 'unknown' },
    { type: 'nope', a: 1 },
  ];
  for (const value of [...values, { type: 'toString' }, { type: 'constructor' }]) {
    t.strictSame(normalisePayload(value), { type: 'custom', data: value });
    t.equal(readVariant(value), null);
  }
});

test('payload, any JSON value, normalises to an object with a known type, and once more changes nothing', async (t) => {
  const tagged = fc
    .tuple(fc.constantFrom(...PAYLOAD_TYPES), fc.dictionary(fc.string(), fc.jsonValue()))
    .map(([type, fields]) => ({ ...fields, type }));
  fc.assert(
    fc.property(fc.oneof(fc.jsonValue(), tagged), (value) => {
      const once = normalisePayload(value);
      return PAYLOAD_TYPES.includes(once.type) && JSON.stringify(normalisePayload(once)) === JSON.stringify(once);
    }),
    { numRuns: 1000 },
  );
  t.pass('every case');
});

test('interceptor view, custom and raw_json are unwrapped and all others are whole', async (t) => {
  t.strictSame(interceptorView({ type: 'custom', data: [1] }), [1]);
  t.strictSame(interceptorView({ type: 'custom', data: null }), null);
  t.strictSame(interceptorView({ type: 'raw_json', method: 'x', n: 1 }), { method: 'x', n: 1 });
  t.strictSame(interceptorView({ type: 'user_input', text: 'x' }), { type: 'user_input', text: 'x' });
  const event = { type: 'kernel_shutdown', metadata: {}, reason: 'r' };
  t.strictSame(interceptorView(event), event);
});
