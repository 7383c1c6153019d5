import { test } from 'tap';
import { closeGuestBundler } from '../kit/guest-bundle.js';
import { GuestKernel } from '../kit/guest-kernel.js';

interface Result {
  readonly call_id: string;
  readonly result: { readonly call_id: string; readonly content: string; readonly is_error: boolean };
}

function request(kernel: GuestKernel, tool_name: unknown, call_id: unknown = 'c1'): string[] {
  const before = kernel.published.length + 1;
  kernel.publish(
    null,
    'tool.v1.request.execute',
    { type: 'tool_execute_request', call_id, tool_name, arguments: { a: [1] } },
    's1',
  );
  kernel.run();
  return kernel.published
    .slice(before)
    .filter(({ from }) => from === 'router')
    .map(({ topic }) => topic);
}

test('a tool name, forwarded to its topic with everything it came with', async (t) => {
  const kernel = await GuestKernel.boot(['router']);
  for (const name of ['read_file', 'a', 'MCP:server-tool_2', 'x'.repeat(128)]) {
    t.same(request(kernel, name), [`tool.v1.execute.${name}`]);
    t.match(kernel.published.at(-1)!.view, {
      type: 'tool_execute_request',
      call_id: 'c1',
      tool_name: name,
      arguments: { a: [1] },
    });
  }
});

test('a name that is no tool name, an error result and no other topic', async (t) => {
  const kernel = await GuestKernel.boot(['router']);
  const names = [
    '',
    'result',
    'a.b',
    '..',
    '*',
    'a*',
    'a b',
    'ä',
    'a\n',
    '\u202e',
    'x'.repeat(129),
    'x'.repeat(100_000),
    'read_file.result',
  ];
  for (const name of names) {
    t.same(request(kernel, name), ['tool.v1.execute.result'], JSON.stringify(name).slice(0, 30));
    const { call_id, result } = kernel.published.at(-1)!.view as Result;
    t.equal(call_id, 'c1');
    t.match(result, { call_id: 'c1', is_error: true, content: /^invalid_argument: .* is not a tool name$/ });
    t.ok(result.content.length < 200, 'a long name is not repeated whole');
  }
});

test('a request without a call id, dropped with a reason, since no answer could be told from another', async (t) => {
  const kernel = await GuestKernel.boot(['router']);
  for (const id of ['', 7, null, 'x'.repeat(300)]) t.same(request(kernel, 'read_file', id), []);
  t.match(kernel.capsule('router').logs.at(-1), /payload\.call_id/);
});

test('a result, sent on under the id of its call, whatever it says inside', async (t) => {
  const kernel = await GuestKernel.boot(['router']);
  const send = (payload: unknown): Result | undefined => {
    const before = kernel.views('tool.v1.execute.result').length;
    kernel.publish('fs', 'tool.v1.execute.read_file.result', payload, 's1');
    kernel.run();
    const views = kernel.views<Result>('tool.v1.execute.result');
    return views.length > before ? views.at(-1) : undefined;
  };
  const result = { call_id: 'c1', content: 'text', is_error: false };
  t.match(send({ type: 'tool_execute_result', call_id: 'c1', result }), { call_id: 'c1', result });
  const other = send({ type: 'tool_execute_result', call_id: 'c1', result: { ...result, call_id: 'c2' } });
  t.match(other, { call_id: 'c1', result: { call_id: 'c1' } }, 'an inner id cannot answer another call');
  t.equal(send({ type: 'tool_execute_result', call_id: 'c1' }), undefined);
  t.equal(send('text'), undefined);
});

test('results, read once, the router does not answer itself', async (t) => {
  const kernel = await GuestKernel.boot(['router']);
  kernel.publish(
    null,
    'tool.v1.execute.result',
    { type: 'tool_execute_result', call_id: 'c', result: { call_id: 'c', content: '' } },
    's1',
  );
  kernel.run();
  t.equal(kernel.published.length, 1);
});

test('end', async () => closeGuestBundler());
