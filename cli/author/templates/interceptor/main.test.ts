import { assert, boot, test } from 'astrid/testing';

/** What comes through to the next interceptor when a tool is called. */
async function callsThatPass(names: readonly string[]): Promise<unknown[]> {
  const kernel = await boot({ config: { blocked: 'delete_file,move_file' } });
  const passed: unknown[] = [];
  kernel.answerHook('tool.v1.request.execute', (payload) => {
    passed.push((payload as { tool_name: string }).tool_name);
  });
  for (const tool_name of names) {
    kernel.publish('tool.v1.request.execute', {
      type: 'tool_execute_request',
      call_id: tool_name,
      tool_name,
      arguments: {},
    });
  }
  await kernel.settled();
  return passed;
}

test('a tool that is not blocked passes', async () => {
  assert.deepEqual(await callsThatPass(['read_file']), ['read_file']);
});

test('a blocked tool does not', async () => {
  assert.deepEqual(await callsThatPass(['delete_file', 'move_file', 'read_file']), ['read_file']);
});
