import { assert, boot, test } from 'astrid/testing';

test('a mail becomes a prompt in the session of its sender', async () => {
  const kernel = await boot();
  kernel.publish('mailbox.v1.received', { from: 'ada', text: 'hello' });
  const { payload } = await kernel.nextMessage('user.v1.prompt');
  assert.deepEqual(payload, { type: 'user_input', text: 'hello', session_id: 'ada' });
});

test('an answer goes back to whom it is for', async () => {
  const kernel = await boot();
  const response = { type: 'agent_response', text: 'good day', is_final: true, session_id: 'ada' };
  kernel.publish('agent.v1.response', response);
  const { payload } = await kernel.nextMessage('mailbox.v1.sent');
  assert.deepEqual(payload, { to: 'ada', text: 'good day' });
});

test('a mail that cannot be read is logged, and the next one is handled', async () => {
  const kernel = await boot();
  kernel.publish('mailbox.v1.received', { nonsense: true });
  kernel.publish('mailbox.v1.received', { from: 'ada', text: 'hello' });
  await kernel.nextMessage('user.v1.prompt');
  assert.match(kernel.logs.map(({ message }) => message).join('\n'), /received: SchemaError/);
});
