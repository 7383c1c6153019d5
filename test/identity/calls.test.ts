import { test } from 'tap';
import { asFault } from '../../abi/errno.js';
import { LIMITS } from '../../abi/limits.js';
import type { SyscallHandler } from '../../supervisor/syscalls/handler.js';
import { type IdentityService, makeIdentityHandlers } from '../../supervisor/syscalls/identity.js';

const UUID = '6f2b8e0a-7c1d-4e5f-8a9b-0c1d2e3f4a5b';
const seen: unknown[] = [];
const service: IdentityService = {
  resolve: (owner, account) => {
    seen.push([owner, account]);
    return account.platform === 'chat' ? { userId: UUID, displayName: null } : null;
  },
  link: async (_, account, userId, method) => ({ ...account, astrid_user_id: userId, linked_at: 'now', method }),
  unlink: async () => false,
  createUser: async () => UUID,
  listLinks: () => [],
  describe: () => 'Ann',
};
const handlers = makeIdentityHandlers(service) as unknown as Record<string, SyscallHandler<unknown>>;

/** The answer as the dispatcher gives it: bytes, or the Fault that ends the call. */
async function answer(name: string, request: unknown, phase = 'normal'): Promise<string> {
  const handler = handlers[`astrid_identity_${name}`]!;
  const bytes = Buffer.isBuffer(request) ? request : Buffer.from(JSON.stringify(request) ?? '');
  try {
    const context = { phase, actor: { principal: 'default' } } as never;
    return (await handler.run(handler.decode([bytes]), context)).toString();
  } catch (error) {
    const fault = asFault(error);
    return handler.explain?.(fault)?.toString() ?? `T ${fault.code} ${fault.message}`;
  }
}

const account = { platform: ' Chat ', platform_user_id: 'u' };

test('each call answers with exactly the fields of the reference', async (t) => {
  t.equal(await answer('resolve', { ...account, more: 1 }), `{"found":true,"user_id":"${UUID}"}`);
  t.same(seen.pop(), ['default', { platform: 'chat', platform_user_id: 'u' }]);
  t.equal(await answer('resolve', { ...account, platform: 'mail' }), '{"found":false}');
  const link = { platform: 'chat', platform_user_id: 'u', astrid_user_id: UUID, linked_at: 'now', method: 'm' };
  const request = { ...account, astrid_user_id: UUID.toUpperCase(), method: 'm' };
  t.same(JSON.parse(await answer('link', request)), { ok: true, link });
  t.equal(await answer('unlink', account), '{"ok":true,"removed":false}');
  t.equal(await answer('create_user', {}), `{"ok":true,"user_id":"${UUID}"}`);
  t.equal(await answer('create_user', { display_name: null }), `{"ok":true,"user_id":"${UUID}"}`);
  t.equal(await answer('list_links', { astrid_user_id: UUID }), '{"ok":true,"links":[]}');
});

test('a request that is no JSON object of the right fields ends the call', async (t) => {
  for (const request of ['', 'x', [], null, 7, {}, { platform: 'chat' }, { ...account, platform: 1 }]) {
    t.match(await answer('resolve', request), /^T invalid_argument request/, JSON.stringify(request));
  }
  t.match(await answer('resolve', Buffer.from([0xff])), /^T /);
  t.match(await answer('create_user', { display_name: 7 }), /^T /);
  t.match(await answer('link', { ...account, astrid_user_id: UUID }), /^T .*method/);
});

test('a value that cannot be, told in the answer with its field and a code', async (t) => {
  const huge = 'x'.repeat(LIMITS.identityFieldBytesMax + 1);
  const cases: [string, object, string, string][] = [
    ['resolve', { ...account, platform: ' ' }, 'platform', 'invalid_argument'],
    ['resolve', { ...account, platform: 'a/b' }, 'platform', 'invalid_argument'],
    ['resolve', { ...account, platform_user_id: '' }, 'platform_user_id', 'invalid_argument'],
    ['resolve', { ...account, platform_user_id: 'a/b' }, 'platform_user_id', 'invalid_argument'],
    ['resolve', { ...account, platform_user_id: 'a\0' }, 'platform_user_id', 'invalid_argument'],
    ['resolve', { ...account, platform_user_id: 'a\x1b[2K' }, 'platform_user_id', 'invalid_argument'],
    ['unlink', { ...account, platform_user_id: huge }, 'platform_user_id', 'too_large'],
    ['link', { ...account, astrid_user_id: 'x', method: '' }, 'astrid_user_id', 'invalid_argument'],
    ['link', { ...account, astrid_user_id: UUID, method: huge }, 'method', 'invalid_argument'],
    ['list_links', { astrid_user_id: '' }, 'astrid_user_id', 'invalid_argument'],
    ['create_user', { display_name: 'a/b' }, 'display_name', 'invalid_argument'],
    ['create_user', { display_name: ' ' }, 'display_name', 'invalid_argument'],
    ['create_user', { display_name: 'x'.repeat(257) }, 'display_name', 'invalid_argument'],
  ];
  for (const [call, request, field, code] of cases) {
    const reply = JSON.parse(await answer(call, request)) as Record<string, unknown>;
    t.match(reply, { [call === 'resolve' ? 'found' : 'ok']: false, code, error: new RegExp(`^${field}\\b`) }, call);
  }
});

test('during install and upgrade there are no identities', async (t) => {
  t.match(await answer('resolve', account, 'install'), /^T invalid_argument request/);
  t.match(await answer('create_user', {}, 'upgrade'), /^T /);
});

test('a level covers itself and what is below it, and nothing else does', (t) => {
  const needs = { resolve: 'resolve', link: 'link', unlink: 'link', list_links: 'link', create_user: 'admin' };
  const levels = ['resolve', 'link', 'admin'];
  for (const [call, level] of Object.entries(needs)) {
    const covers = (identity: unknown) =>
      handlers[`astrid_identity_${call}`]!.covers?.({}, { manifest: { capabilities: { identity } } } as never);
    for (const granted of levels) t.equal(covers([granted]), levels.indexOf(granted) >= levels.indexOf(level), call);
    for (const none of [[], true, undefined, ['*'], ['Admin'], 'admin']) t.equal(covers(none), false);
  }
  t.end();
});
