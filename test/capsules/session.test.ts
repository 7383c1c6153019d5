import { test } from 'tap';
import { closeGuestBundler } from '../kit/guest-bundle.js';
import { GuestKernel } from '../kit/guest-kernel.js';

const user = (content: string) => ({ role: 'user', content });
const answer = (content: string) => ({ role: 'assistant', content });

async function boot() {
  const kernel = await GuestKernel.boot(['session']);
  const send = (topic: string, payload: unknown): void => {
    kernel.publish(null, topic, payload, 's1');
    kernel.run();
  };
  const read = (fields: Record<string, unknown>): unknown[] | undefined => {
    send('session.v1.request.get_messages', fields);
    return kernel
      .views<{ messages: unknown[] }>(`session.v1.response.get_messages.${String(fields['correlation_id'])}`)
      .at(-1)?.messages;
  };
  const stored = (id: string): string | undefined =>
    kernel.capsule('session').values.entries.get(`session.data.${id}`)?.toString();
  return { kernel, send, read, stored };
}

test('append and read, what was said, in order, by session', async (t) => {
  const { send, read, stored } = await boot();
  t.same(read({ session_id: 'a', correlation_id: '1' }), []);
  send('session.v1.append', { session_id: 'a', messages: [user('hi'), answer('hello')] });
  send('session.v1.append', { messages: [user('for the default session')] });
  t.same(read({ session_id: 'a', correlation_id: '2' }), [user('hi'), answer('hello')]);
  t.same(read({ correlation_id: '3' }), [user('for the default session')]);
  t.match(JSON.parse(stored('a')!), { schema_version: 1, parent_session_id: null });
});

test('append before read, one request, stored and in the answer; also from a client that sends raw JSON', async (t) => {
  const { read, stored } = await boot();
  t.same(read({ session_id: 'a', correlation_id: '1', append_before_read: [user('hi')] }), [user('hi')]);
  t.same(read({ type: 'raw_json', session_id: 'a', correlation_id: '2' }), [user('hi')]);
  t.equal(JSON.parse(stored('a')!).messages.length, 1);
});

test('messages of every form, kept as they came, unknown fields too', async (t) => {
  const { send, read } = await boot();
  const messages = [
    {
      role: 'user',
      content: [
        { type: 'text', text: 'look' },
        { type: 'image', data: 'AA==', media_type: 'image/png' },
      ],
    },
    { role: 'assistant', content: [{ id: 'c', name: 't', arguments: { deep: [null] }, signature: 'kept' }] },
    { role: 'tool', content: { call_id: 'c', content: 'r', is_error: true } },
    { role: 'assistant', content: [] },
    { role: 'system', content: 's', later: 1 },
  ];
  send('session.v1.append', { session_id: 'a', messages });
  t.same(read({ session_id: 'a', correlation_id: '1' }), messages);
});

test('a bad message among good ones, none of them is stored', async (t) => {
  const { kernel, send, stored } = await boot();
  for (const bad of [{ role: 'root', content: 'x' }, { role: 'user' }, 'text', null, { role: 'user', content: 7 }]) {
    send('session.v1.append', { session_id: 'a', messages: [user('good'), bad] });
    t.match(kernel.capsule('session').logs.at(-1), /message/);
  }
  t.equal(stored('a'), undefined);
});

test('ids that would reach other keys or topics, refused', async (t) => {
  const { kernel, send, read } = await boot();
  for (const id of ['', 'a.b', '../x', 'a\0b', 'x'.repeat(129), '*']) {
    send('session.v1.append', { session_id: id, messages: [user('x')] });
    t.match(kernel.capsule('session').logs.at(-1), /payload\.session_id: expected/);
    t.equal(read({ session_id: 'a', correlation_id: id }), undefined);
    t.match(kernel.capsule('session').logs.at(-1), /payload\.correlation_id: expected/);
  }
  t.same([...kernel.capsule('session').values.entries.keys()], []);
});

test('clear, a new empty session that knows its parent, and the old one kept', async (t) => {
  const { kernel, send, stored } = await boot();
  send('session.v1.append', { session_id: 'a', messages: [user('hi')] });
  send('session.v1.request.clear', { session_id: 'a', correlation_id: 'k' });
  const [reply] = kernel.views<Record<string, string>>('session.v1.response.clear.k');
  t.match(reply, { correlation_id: 'k', old_session_id: 'a', new_session_id: /^[0-9a-f-]{36}$/ });
  t.match(JSON.parse(stored(reply!['new_session_id']!)!), { parent_session_id: 'a', messages: [] });
  t.equal(JSON.parse(stored('a')!).messages.length, 1);
});

test('a history that is damaged, moved aside and not lost; one of a newer version, left alone', async (t) => {
  const { kernel, send, read, stored } = await boot();
  const { entries } = kernel.capsule('session').values;
  for (const damaged of ['{"schema_ver', '[]', '{"schema_version":1}', '{"schema_version":1,"messages":[7]}']) {
    entries.clear();
    entries.set('session.data.a', Buffer.from(damaged));
    t.same(read({ session_id: 'a', correlation_id: '1' }), []);
    t.equal(entries.get('session.damaged.a')!.toString(), damaged);
  }
  const newer = '{"schema_version":2,"messages":[],"more":true}';
  entries.set('session.data.b', Buffer.from(newer));
  send('session.v1.append', { session_id: 'b', messages: [user('x')] });
  t.equal(stored('b'), newer);
  t.match(kernel.capsule('session').logs.at(-1), /newer version/);
});

test('growth, the stored value stays below a megabyte and ends with what was appended last', async (t) => {
  const { send, stored } = await boot();
  for (const letter of ['x', 'é', '😀', '\u0001']) {
    for (let i = 0; i < 18; i++) {
      send('session.v1.append', { session_id: 'a', messages: [user(letter.repeat(20_000)), answer(`${letter} ${i}`)] });
    }
    t.ok(Buffer.byteLength(stored('a')!) < 1024 * 1024, JSON.stringify(letter));
    const { messages } = JSON.parse(stored('a')!);
    t.equal(messages[0].role, 'user');
    t.same(messages.at(-1), answer(`${letter} 17`));
  }
});

test('end', async () => closeGuestBundler());
