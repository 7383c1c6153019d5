import { test } from 'tap';
import { Fault } from '../../abi/errno.js';
import type { InstalledCapsule } from '../../supervisor/capsule/store.js';
import { parseConfig } from '../../supervisor/config.js';
import { findUnknownNames } from '../../supervisor/config-names.js';

const store = {
  listInstalled: async () => ({
    capsules: [{ name: 'fs' } as InstalledCapsule],
    problems: [{ name: 'broken', fault: new Fault('bad_hash', 'damaged') }],
  }),
};

test('capsules that the configuration names and nobody installed, are told list by list', async (t) => {
  const config = parseConfig(
    '[policy]\ndeny_capsules = ["fs"]\n[tiers]\naccept_weaker = ["sf", "broken"]\n[capsules]\ndisabled = ["nope"]\n',
  );
  t.same(await findUnknownNames(config, store, 'default'), [
    { key: 'tiers.accept_weaker', names: ['sf'] },
    { key: 'capsules.disabled', names: ['nope'] },
  ]);
});

test('a configuration that names no capsule, is not held against the store', async (t) => {
  const closed = { listInstalled: () => Promise.reject(new Fault('internal', 'must not be read')) };
  t.same(await findUnknownNames(parseConfig(''), closed, 'default'), []);
});
