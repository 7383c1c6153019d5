import { join } from 'node:path';
import { type Test, test } from 'tap';
import { LIMITS } from '../../abi/limits.js';
import { Identities } from '../../supervisor/identity/identities.js';
import { derivePrincipal } from '../../supervisor/identity/principal-name.js';
import { openStore } from '../../supervisor/storage/store.js';
import { fc } from '../kit/property.js';

const NOBODY = '00000000-0000-4000-8000-000000000000';
const account = (id: string, platform = 'chat') => ({ platform, platform_user_id: id });

async function openBench(t: Test, taken: readonly string[] = []) {
  const dir = join(t.testdir(), 'state');
  let store = openStore(dir);
  t.teardown(() => store.close());
  const make = () =>
    new Identities({
      table: store.records('identities'),
      write: (work) => store.write(work),
      isPrincipalTaken: (name) => taken.includes(name),
    });
  const again = async () => {
    await store.close();
    store = openStore(dir);
    return make();
  };
  return { identities: make(), again };
}

test('a person, their accounts and their principal outlive the supervisor', async (t) => {
  const { identities, again } = await openBench(t);
  const ann = await identities.createUser('default', 'Ann');
  const link = await identities.link('default', account('1'), ann, 'code');
  t.match(link, { platform: 'chat', platform_user_id: '1', astrid_user_id: ann, method: 'code' });
  t.match(link.linked_at, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  const later = await again();
  t.same(later.resolve('default', account('1')), { userId: ann, displayName: 'Ann' });
  t.equal(later.principalOf('default', 'chat', '1'), 'ann');
  t.same(later.listLinks('default', ann), [link]);
  t.equal(await later.unlink('default', account('1')), true);
  t.equal(await later.unlink('default', account('1')), false);
  t.same(later.listLinks('default', ann), []);
  t.equal(later.principalOf('default', 'chat', '1'), null);
});

test('an address book is its principal’s own: another one finds, links, lists and unlinks nothing in it', async (t) => {
  const { identities } = await openBench(t);
  const ann = await identities.createUser('default', 'Ann');
  await identities.link('default', account('1'), ann, 'code');
  t.equal(identities.resolve('bob', account('1')), null);
  await t.rejects(identities.link('bob', account('2'), ann, 'code'), { code: 'not_found' });
  t.throws(() => identities.listLinks('bob', ann), { code: 'not_found' });
  t.equal(await identities.unlink('bob', account('1')), false);
  t.match(identities.describe('bob', ann), /nobody known/);
  t.ok(identities.resolve('default', account('1')));
});

test('an account that is linked, is not taken over by another person, also when both try at once', async (t) => {
  const { identities } = await openBench(t);
  const [ann, eve] = [await identities.createUser('default', 'Ann'), await identities.createUser('default', 'Eve')];
  const tries = await Promise.allSettled([
    identities.link('default', account('1'), ann, 'code'),
    identities.link('default', account('1'), eve, 'code'),
  ]);
  t.same(
    tries.map(({ status }) => status),
    ['fulfilled', 'rejected'],
  );
  await t.rejects(identities.link('default', account('1'), eve, 'code'), { code: 'already_exists' });
  t.equal(identities.resolve('default', account('1'))?.userId, ann);
  const first = await identities.link('default', account('1'), ann, 'other');
  t.equal(first.method, 'code', 'linking again to the same person changes nothing');
  await t.rejects(identities.link('default', account('2'), NOBODY, 'code'), { code: 'not_found' });
});

test('two accounts whose parts run together alike are two accounts', async (t) => {
  const { identities } = await openBench(t);
  const ann = await identities.createUser('default', 'Ann');
  await identities.link('default', account('bc', 'a'), ann, '');
  t.equal(identities.resolve('default', account('c', 'ab')), null);
  t.equal(identities.resolve('default', account('c', 'a:b')), null);
});

test('no person is ever given a principal that somebody has, whatever the display name', async (t) => {
  const { identities } = await openBench(t, ['carol', 'carol-2']);
  const principals: (string | null)[] = [];
  for (const name of ['default', 'Default', ' DÉFAULT', 'Ann', 'ann', 'ÁNN', '../ann', 'carol', null, '☃', 'system']) {
    const id = await identities.createUser('default', name);
    await identities.link('default', account(id), id, '');
    principals.push(identities.principalOf('default', 'chat', id));
  }
  t.same(principals, [
    'default-2',
    'default-3',
    'default-4',
    'ann',
    'ann-2',
    'ann-3',
    'ann-4',
    'carol-3',
    'user',
    'user-2',
    'system-2',
  ]);
});

test('a derived principal, for any name and any number of taken ones, is a plain word that is free', (t) => {
  fc.assert(
    fc.property(fc.option(fc.string({ unit: 'binary', maxLength: 200 })), fc.nat(12), (name, takenCount) => {
      const taken = new Set<string>();
      for (let count = 0; count <= takenCount; count++) {
        const principal = derivePrincipal(name, (candidate) => taken.has(candidate));
        if (!/^[a-z0-9_-]{1,64}$/.test(principal) || taken.has(principal) || principal === 'default') return false;
        taken.add(principal);
      }
      return true;
    }),
    { numRuns: 300 },
  );
  t.end();
});

test('links per person are bounded, and an unlink makes room', async (t) => {
  const { identities } = await openBench(t);
  const ann = await identities.createUser('default', 'Ann');
  const most = LIMITS.identityLinksPerUserMax;
  await Promise.all(Array.from({ length: most }, (_, n) => identities.link('default', account(`${n}`), ann, '')));
  await t.rejects(identities.link('default', account('more'), ann, ''), { code: 'quota_exceeded' });
  await identities.unlink('default', account('0'));
  await identities.link('default', account('more'), ann, '');
  t.equal(identities.listLinks('default', ann).length, most);
});

test('people per principal are bounded, each principal for itself', async (t) => {
  const { identities } = await openBench(t);
  const most = LIMITS.identityUsersPerPrincipalMax;
  await Promise.all(Array.from({ length: most }, (_, n) => identities.createUser('default', `p${n}`)));
  await t.rejects(identities.createUser('default', 'one more'), { code: 'quota_exceeded' });
  t.ok(await identities.createUser('bob', 'one more'));
});

test('a name that was given very often, asked for once more, takes few questions', (t) => {
  const taken = new Set(['bob', ...Array.from({ length: 20_000 }, (_, at) => `bob-${at + 2}`)]);
  let asked = 0;
  const principal = derivePrincipal('Bob', (name) => {
    asked += 1;
    return taken.has(name);
  });
  t.match(principal, /^bob-[0-9a-f]+$/);
  t.notOk(taken.has(principal));
  t.ok(asked <= 110, `${asked} names were looked up`);
  t.end();
});
