import { assert, boot, type TestKernel, test } from 'astrid/testing';

/** Plays a model that answers each request with these events. */
function playModel(kernel: TestKernel, events: readonly unknown[]): void {
  const request_topic = 'llm.v1.request.generate.fake';
  kernel.answerHook('llm.v1.request.describe', () => ({
    providers: [{ id: 'fake', request_topic, stream_topic: 'llm.v1.stream.fake' }],
  }));
  kernel.answer(request_topic, ({ payload }) => {
    const { request_id } = payload as { request_id: string };
    return events.map((event) => ({
      topic: 'llm.v1.stream.fake',
      payload: { type: 'llm_stream_event', request_id, event },
    }));
  });
}

const prompt = { type: 'user_input', text: 'hello', session_id: 's1' };
const textOf = (payload: unknown) => (payload as { text: string }).text;

test('a prompt is answered with what the model said', async () => {
  const kernel = await boot();
  playModel(kernel, [{ TextDelta: 'Good ' }, { TextDelta: 'day.' }, 'Done']);
  kernel.publish('user.v1.prompt', prompt);
  const { payload } = await kernel.nextMessage('agent.v1.response');
  assert.equal(textOf(payload), 'Good day.');
  await kernel.settled();
  assert.deepEqual(await kernel.kv.list('turn.'), [], 'nothing is left of the turn');
});

test('a model that fails is said to have failed', async () => {
  const kernel = await boot();
  playModel(kernel, [{ Error: 'out of credit' }]);
  kernel.publish('user.v1.prompt', prompt);
  assert.match(textOf((await kernel.nextMessage('agent.v1.response')).payload), /out of credit/);
});

test('without a model the person is told so', async () => {
  const kernel = await boot();
  kernel.publish('user.v1.prompt', prompt);
  assert.match(textOf((await kernel.nextMessage('agent.v1.response')).payload), /no model/);
});
