import { assert, boot, test } from 'astrid/testing';

test('the provider offers itself when somebody looks for models', async () => {
  const kernel = await boot();
  const [answer] = await kernel.triggerHook('llm.v1.request.describe');
  const { providers } = answer as { providers: { request_topic: string }[] };
  assert.equal(providers[0]?.request_topic, 'llm.v1.request.generate.{{name}}');
});

test('a request is answered with a stream that ends', async () => {
  const kernel = await boot();
  kernel.publish('llm.v1.request.generate.{{name}}', {
    type: 'llm_request',
    request_id: 'r1',
    model: '',
    messages: [{ role: 'user', content: 'hello' }],
    tools: [],
    system: '',
  });
  await kernel.settled();
  const stream = kernel.messages.filter(({ topic }) => topic === 'llm.v1.stream.{{name}}');
  const events = stream.map(({ payload }) => (payload as { event: unknown }).event);
  assert.deepEqual(events[0], { TextDelta: 'You said: hello' });
  assert.equal(events.at(-1), 'Done');
});
