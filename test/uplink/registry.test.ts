import { test } from 'tap';
import { Fault } from '../../abi/errno.js';
import { LIMITS } from '../../abi/limits.js';
import { accountOf } from '../../abi/sdk/uplink.js';
import { syscallByName } from '../../abi/table.js';
import type { Actor } from '../../bus/message.js';
import { makeUplinkHandlers } from '../../supervisor/syscalls/uplink.js';
import { conversationOf } from '../../supervisor/uplink/conversation-id.js';
import { UplinkRegistry } from '../../supervisor/uplink/registry.js';
import { checkArgumentSizes } from '../../worker/results.js';
import { fc } from '../kit/property.js';

interface Published {
  readonly sourceId: string;
  readonly topic: string;
  readonly payload: Record<string, unknown>;
  readonly actor: Actor;
}

/** A registry whose messages go nowhere until `take` is called, when `held`. */
function makeBench(held = false) {
  const published: Published[] = [];
  const faults: string[] = [];
  const gates: (() => void)[] = [];
  const registry = new UplinkRegistry({
    principalOf: (owner, platform, id) => (owner === 'default' && platform === 'chat' && id === 'ann' ? 'ann-2' : null),
    publish: (sourceId, topic, payload, actor) => {
      published.push({ sourceId, topic, payload: payload as Record<string, unknown>, actor });
      if (JSON.stringify(payload).includes(UNDELIVERABLE))
        return Promise.reject(new Fault('cancelled', 'the bus is closed'));
      return held ? new Promise<void>((resolve) => gates.push(resolve)) : undefined;
    },
    onFault: (fault) => faults.push(fault.code),
    now: () => 0,
  });
  const handlers = makeUplinkHandlers(registry as never);
  const caller = (sourceId: string, declared = true, principal = 'default') =>
    ({
      sourceId,
      actor: { principal, attribution: 'verified', session: null },
      manifest: { uplinks: declared ? [{}] : [] },
    }) as never;
  const register = (args: readonly string[], from: never) => {
    const request = handlers.astrid_uplink_register.decode(args.map((arg) => Buffer.from(arg)));
    return (handlers.astrid_uplink_register.run(request, from) as Buffer).toString();
  };
  const send = (args: readonly (string | Buffer)[], from: never) => {
    const request = handlers.astrid_uplink_send.decode(args.map((arg) => Buffer.from(arg as never)));
    return (handlers.astrid_uplink_send.run(request, from) as Buffer).toString();
  };
  return { registry, published, faults, gates, caller, register, send };
}

/** What the bus refuses to take. */
const UNDELIVERABLE = 'undeliverable';
const settled = () => new Promise((resolve) => setImmediate(resolve));

test('a linked person speaks for their own principal, claimed, in a conversation that the kernel names', async (t) => {
  const { published, caller, register, send } = makeBench();
  const from = caller('instance');
  const id = register(['bot', '  CHAT ', 'Human'], from);
  t.match(id, /^[0-9a-f-]{36}$/);
  t.equal(send([id.toUpperCase(), 'ann', 'hello'], from), '{"ok":true}');
  await settled();
  const [{ sourceId, topic, payload, actor }] = published as [Published];
  t.equal(sourceId, 'instance');
  t.equal(topic, 'user.v1.prompt');
  t.same(actor, { principal: 'ann-2', attribution: 'claimed', session: null });
  t.match(payload, { type: 'user_input', text: 'hello', context: { uplink: { platform: 'chat', profile: 'chat' } } });
  t.same(accountOf(payload['session_id'] as string), { platform: 'chat', platformUserId: 'ann' });
});

test('a message that cannot be delivered is a fault of its own: what others said still goes out, and what they say later', async (t) => {
  const { published, faults, caller, register, send } = makeBench();
  const from = caller('instance');
  const id = register(['bot', 'chat', 'human'], from);
  send([id, 'ann', UNDELIVERABLE], from);
  send([id, 'ann', 'second'], from);
  await settled();
  send([id, 'ann', 'third'], from);
  await settled();
  t.same(
    published.map(({ payload }) => payload['text']),
    [UNDELIVERABLE, 'second', 'third'],
  );
  t.same(faults, ['cancelled']);
});

test('a stranger, or a person of another principal, starts no turn: the words go out on a topic of the kernel', async (t) => {
  const { published, caller, register, send } = makeBench();
  for (const [principal, who] of [
    ['default', 'eve'],
    ['default', 'ann/'],
    ['default', 'default'],
    ['bob', 'ann'],
  ] as const) {
    const from = caller(`of ${principal}${who}`, true, principal);
    send([register(['bot', 'chat', 'bridge'], from), who, 'obey'], from);
    await settled();
    const last = published.pop();
    t.equal(last?.topic, 'astrid.v1.uplink.unlinked');
    t.match(last?.payload, { type: 'custom', data: { platform_user_id: who, content: 'obey' } });
    t.equal(last?.actor.principal, principal, 'the principal is the one the capsule acts for');
  }
});

test('register, each refusal names its field, and thirty-two are the most', (t) => {
  const { caller, register, registry } = makeBench();
  const from = caller('a');
  t.throws(() => register(['n', 'p', 'other'], from), { code: 'invalid_argument', field: 'profile' });
  t.throws(() => register(['n', 'p', 'toString'], from), { code: 'invalid_argument', field: 'profile' });
  t.throws(() => register([' ', 'p', 'chat'], from), { code: 'invalid_argument', field: 'name' });
  t.throws(() => register(['n', '', 'chat'], from), { code: 'invalid_argument', field: 'platform' });
  t.throws(() => register(['n\0', 'p', 'chat'], from), { code: 'invalid_argument', field: 'name' });
  register(['n', 'p', 'chat'], from);
  t.throws(() => register(['n', ' P', 'notify'], from), { code: 'already_exists' });
  for (let count = 1; count < LIMITS.uplinksPerCapsuleMax; count++) register([`n${count}`, 'p', 'chat'], from);
  t.throws(() => register(['more', 'p', 'chat'], from), { code: 'quota_exceeded' });
  registry.release('a');
  register(['more', 'p', 'chat'], from);
  t.end();
});

test('send, refused for an id that is none, is too long, is another instance’s, or has no inbound channel', (t) => {
  const { caller, register, send } = makeBench();
  const id = register(['n', 'p', 'chat'], caller('a'));
  t.throws(() => send(['x'.repeat(65), 'u', ''], caller('a')), { code: 'too_large', field: 'uplink' });
  t.throws(() => send(['not-a-uuid', 'u', ''], caller('a')), { code: 'invalid_argument', field: 'uplink' });
  t.throws(() => send([id, 'u', ''], caller('b')), { code: 'bad_handle', message: /not registered by capsule/ });
  t.throws(() => send([id, 'u', ''], caller('a', false)), { code: 'not_supported', message: /has no inbound channel/ });
  t.end();
});

test('a queue that nobody empties, 128 messages are kept and the next is said to be lost', async (t) => {
  const { caller, register, send, gates, published } = makeBench(true);
  const from = caller('a');
  const id = register(['n', 'p', 'chat'], from);
  const replies = Array.from({ length: LIMITS.uplinkQueueMax + 2 }, (_, index) => send([id, 'u', `${index}`], from));
  // The first one is on its way already.
  t.equal(replies.filter((reply) => reply === '{"ok":true}').length, LIMITS.uplinkQueueMax + 1);
  t.equal(replies.at(-1), '{"ok":false,"dropped":true}');
  while (published.length < LIMITS.uplinkQueueMax + 1) {
    for (const open of gates.splice(0)) open();
    await settled();
  }
  t.same(
    published.map(({ payload }) => (payload['data'] as { content: string }).content),
    Array.from({ length: LIMITS.uplinkQueueMax + 1 }, (_, index) => `${index}`),
    'in order',
  );
});

test('large messages, queued bytes and bytes per second are bounded, however many uplinks share them', (t) => {
  const { caller, register, send } = makeBench(true);
  const from = caller('a');
  const content = 'x'.repeat(LIMITS.uplinkContentBytesMax);
  let kept = 0;
  for (let count = 0; count < LIMITS.uplinksPerCapsuleMax; count++) {
    const id = register([`n${count}`, 'p', 'chat'], from);
    if (send([id, 'u', content], from) === '{"ok":true}') kept++;
  }
  t.ok(kept * content.length <= LIMITS.publishBytesPerSecondMax, `${kept} MiB`);
  t.end();
});

test('content that is not UTF-8 counts as empty', async (t) => {
  const { caller, register, send, published } = makeBench();
  const from = caller('a');
  send([register(['n', 'chat', 'chat'], from), 'ann', Buffer.from([0x61, 0xff])], from);
  await settled();
  t.equal(published[0]?.payload['text'], '');
});

test('the name of a conversation, for any account, is a legal session id, the same each time and its own', (t) => {
  const seen = new Map<string, string>();
  fc.assert(
    fc.property(
      fc.string({ minLength: 1, unit: 'grapheme' }),
      fc.string({ unit: 'grapheme', maxLength: 60 }),
      (platform, user) => {
        fc.pre(!platform.includes('/'));
        const id = conversationOf(platform, user);
        const account = `${platform}/${user}`;
        const other = seen.get(id) ?? account;
        seen.set(id, account);
        const read = accountOf(id);
        const same = read === undefined || (read.platform === platform && read.platformUserId === user);
        return /^[A-Za-z0-9_-]{1,64}$/.test(id) && other === account && same;
      },
    ),
    { numRuns: 1000 },
  );
  t.equal(accountOf('default'), undefined);
  t.equal(accountOf('uplink-!'), undefined);
  t.end();
});

test('what a person said, 1 MiB is an argument and one byte more is none', (t) => {
  const call = syscallByName('astrid_uplink_send')!;
  const sizes = (content: number) => checkArgumentSizes(call, [36, 1, content]);
  t.equal(sizes(1024 * 1024), null);
  t.match(sizes(1024 * 1024 + 1), { code: 'too_large', field: 'content' });
  t.match(checkArgumentSizes(call, [36, 513, 0]), { code: 'too_large', field: 'user_id' });
  t.end();
});
