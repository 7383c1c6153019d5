import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import { buildForDev } from '../../cli/author/dev-build.js';
import { linkScript } from '../../cli/author/look.js';
import { loadInProbe } from '../../cli/author/probe.js';
import type { Project } from '../../cli/author/project.js';
import { closeBundler } from '../../cli/build/bundle.js';
import { readCapsuleSource } from '../../cli/build/capsule-source.js';
import { PACKAGE_ROOT } from '../kit/package-root.js';
import { TOOLCHAIN_DIR } from '../kit/toolchain.js';
import { answerOf, Workshop } from './author-kit.js';

const main = (size: number, reply: string) => `
import { defineCapsule } from 'astrid/sdk';
import { final } from 'astrid/sdk/interceptor';
const large = '${'x'.repeat(size)}';
const kept = new Array(1000).fill(0).map((_, index) => index);
defineCapsule({ interceptors: { go: () => final(\`${reply} \${large.length} \${kept.length} \${kept[999]}\`) } });
`;

function projectIn(dir: string): Project {
  const sdkDir = join(PACKAGE_ROOT, 'abi/sdk');
  return { dir, shown: dir, packageRoot: PACKAGE_ROOT, sdkDir, outDir: dir, toolchainDir: TOOLCHAIN_DIR };
}

test('a script of any size is loaded in the module that all share', async (t) => {
  t.teardown(closeBundler);
  const shop = new Workshop(t);
  const dir = await shop.make('shared', 'tool');
  const project = projectIn(dir);
  const isShared = async () => {
    const { linked, segment, sourceMap } = await linkScript(project, await readCapsuleSource(dir));
    return loadInProbe(linked, segment, sourceMap).isShared;
  };
  t.ok(await isShared(), 'the template');
  for (const size of [10, 20_000, 50_000, 65_000, 70_000, 3_000_000]) {
    writeFileSync(join(dir, 'main.ts'), main(size, 'x'));
    t.ok(await isShared(), `${size} characters`);
  }
});

test('what dev builds holds its own script whole: small after large, large after small, and larger than any room', async (t) => {
  t.teardown(closeBundler);
  const shop = new Workshop(t);
  const dir = await shop.make('probed');
  const project = projectIn(dir);
  const sizes = [10, 70_000, 11, 3_000_000, 12, 900_000, 13];
  for (const [turn, size] of sizes.entries()) {
    writeFileSync(join(dir, 'main.ts'), main(size, `turn ${turn}`));
    const { wasm } = await buildForDev(project);
    t.equal(await answerOf(wasm), `0:"turn ${turn} ${size} 1000 999"`);
  }
});
