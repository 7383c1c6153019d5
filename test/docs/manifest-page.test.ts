import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import { parseManifest } from '../../supervisor/capsule/manifest-loader.js';
import { PACKAGE_ROOT } from '../kit/package-root.js';
import { KEY_DEFAULTS, KEY_MEANINGS, SECTION_MEANINGS } from './manifest-meanings.js';
import { listKeys, renderManifestPage } from './manifest-page.js';

test('docs/manifest.md, the committed page, is what the schema says today', async (t) => {
  const committed = readFileSync(join(PACKAGE_ROOT, 'docs/manifest.md'), 'utf8');
  t.equal(committed, renderManifestPage(), 'else: npm run docs');
});

test('docs/manifest.md, every section and key of the schema, has a meaning, and none is told that is not there', async (t) => {
  const sections = listKeys();
  t.same(Object.keys(SECTION_MEANINGS).sort(), sections.map(({ section }) => section).sort());
  const paths = sections.flatMap(({ keys }) => keys.map(({ path }) => path));
  t.same(Object.keys(KEY_MEANINGS).sort(), paths.sort());
  t.same(
    Object.keys(KEY_DEFAULTS).filter((path) => !paths.includes(path)),
    [],
  );
  t.ok(sections.every(({ keys }) => keys.every(({ expected }) => expected !== '')));
});

test('docs/manifest.md, the defaults it tells, are those of the loader', async (t) => {
  const { restart, limits, interceptors, cron } = parseManifest(
    '[package]\nname = "a"\nversion = "1.0.0"\n[[interceptor]]\nevent = "a.v1"\naction = "b"\n[[cron]]\nname = "c"\nschedule = "@daily"\naction = "b"\n',
  );
  t.equal(restart, KEY_DEFAULTS['package.restart']);
  t.equal(String(limits.memoryPages), KEY_DEFAULTS['limits.memory_pages']);
  t.equal(String(limits.wallMs), KEY_DEFAULTS['limits.wall_ms']);
  t.equal(String(interceptors[0]?.priority), KEY_DEFAULTS['interceptor.priority']);
  t.equal(interceptors[0]?.fail, KEY_DEFAULTS['interceptor.fail']);
  t.equal(cron[0]?.missed, KEY_DEFAULTS['cron.missed']);
});
