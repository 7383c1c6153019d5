import { assert, boot, test } from 'astrid/testing';

test('a note that was added is listed, also after a restart', async () => {
  const kernel = await boot();
  const added = await kernel.callTool('add_note', { text: 'milk' });
  assert.equal(added.content, 'kept, 1 in all');
  await kernel.restart();
  const listed = await kernel.callTool('list_notes');
  assert.deepEqual(JSON.parse(listed.content), ['milk']);
});

test('one note too many is refused with a reason that the model can read', async () => {
  const kernel = await boot({ config: { notes_max: '1' } });
  await kernel.callTool('add_note', { text: 'milk' });
  const refused = await kernel.callTool('add_note', { text: 'bread' });
  assert.equal(refused.isError, true);
  assert.match(refused.content, /1 notes already/);
  assert.deepEqual(await kernel.kv.getJson('notes'), ['milk']);
});

test('both tools describe themselves to models', async () => {
  const kernel = await boot();
  const names = (await kernel.describeTools()).map((tool) => tool.name);
  assert.deepEqual(names, ['add_note', 'list_notes']);
});
