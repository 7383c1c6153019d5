import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import { buildForDev } from '../../cli/author/dev-build.js';
import { closeBundler } from '../../cli/build/bundle.js';
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

test('what dev builds holds its own script whole: small after large, large after small, and larger than any room', async (t) => {
  t.teardown(closeBundler);
  const shop = new Workshop(t);
  const dir = await shop.make('probed');
  const sdkDir = join(PACKAGE_ROOT, 'abi/sdk');
  const project = { dir, shown: dir, packageRoot: PACKAGE_ROOT, sdkDir, outDir: dir, toolchainDir: TOOLCHAIN_DIR };
  const sizes = [10, 70_000, 11, 3_000_000, 12, 900_000, 13];
  for (const [turn, size] of sizes.entries()) {
    writeFileSync(join(dir, 'main.ts'), main(size, `turn ${turn}`));
    const { wasm } = await buildForDev(project);
    t.equal(await answerOf(wasm), `0:"turn ${turn} ${size} 1000 999"`);
  }
});
