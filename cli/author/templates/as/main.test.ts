import { assert, boot, test } from 'astrid/testing';

test('words are counted, however they are spaced', async () => {
  const kernel = await boot();
  const { content } = await kernel.callTool('count_words', { text: '  one two\n three ' });
  assert.equal(content, '3');
});

test('arguments that do not fit the schema are refused', async () => {
  const kernel = await boot();
  for (const wrong of [{ txt: 'x' }, { text: 3 }]) {
    const { content, isError } = await kernel.callTool('count_words', wrong);
    assert.equal(isError, true);
    assert.match(content, /^invalid_argument: text: /);
  }
});

test('the tool describes itself to models', async () => {
  const kernel = await boot();
  assert.deepEqual(
    (await kernel.describeTools()).map(({ name }) => name),
    ['count_words'],
  );
});
