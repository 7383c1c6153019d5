import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import { SYSCALLS } from '../../abi/table.js';
import { PACKAGE_ROOT } from '../kit/package-root.js';

const SDK = join(PACKAGE_ROOT, 'abi/sdk');
const modules = readdirSync(SDK).map((name) => ({ name, text: readFileSync(join(SDK, name), 'utf8') }));

test('TypeScript SDK, each call is made in one module, whose comments name every code that the call may answer', (t) => {
  for (const { name, errors } of SYSCALLS) {
    const callers = modules.filter(({ text }) => text.includes(`call('${name}'`));
    t.equal(callers.length, 1, `${name} is made in one module`);
    for (const caller of callers) {
      const comments = (caller.text.match(/\/\*\*.*?\*\//gs) ?? []).join('\n');
      t.same(
        errors.filter((code) => !comments.includes(`\`${code}\``)),
        [],
        `${name} in ${caller.name}`,
      );
    }
  }
  t.end();
});
