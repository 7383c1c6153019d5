import { test } from 'tap';
import { Fault } from '../../abi/errno.js';
import { shortenFault } from '../../supervisor/lifecycle/hook-fault.js';
import { startSupervisor } from '../kit/real-supervisor.js';
import { runCli } from '../kit/run-cli.js';
import { faultOf, installOffer, makeOffer } from '../store/kit.js';

const said = (text: string) => shortenFault(new Fault('crashed', text), 'demo')?.message;

test('the fault of a hook, of many lines, is its first one with the first place in a file of the author', (t) => {
  const rest = '; all of it: astrid logs demo';
  t.equal(
    said('Error: boom\n    at install (main.ts:3:9)\n    at run (lib/x.ts:1:1)\n'),
    `Error: boom (main.ts:3)${rest}`,
  );
  t.equal(said('Error: boom\n    at main.ts:3:9'), `Error: boom (main.ts:3)${rest}`);
  t.equal(
    said('Error: boom\n    at f (native)\n    at g (capsule.js:1:77)\n    at a b/main.ts:3'),
    `Error: boom (b/main.ts:3)${rest}`,
  );
  t.equal(said('Error: boom\n    at g (capsule.js:1:77)'), `Error: boom${rest}`, 'nothing of the author is named');
  t.equal(said('first\nsecond'), `first${rest}`);
  t.equal(said('the hook returned 7'), undefined, 'one line stays as it is');
  t.equal(said('one line with its end\n'), undefined);
  const long = `    at ${'a'.repeat(60_000)}`;
  t.equal(
    said(`Error: boom\n${long}\n    at main.ts:3:9`),
    `Error: boom (main.ts:3)${rest}`,
    'no search in long lines',
  );
  t.end();
});

test('an install hook that fails with a stack, at the command line: one line of it, and all of it in the log', async (t) => {
  const supervisor = await startSupervisor();
  t.teardown(supervisor.end);
  const client = await supervisor.connect();
  t.teardown(() => client.close());
  const stack = 'Error: boom\\n    at install (main.ts:3:9)\\n    at dispatch (main.ts:9:1)';
  const length = stack.replaceAll('\\n', 'n').length;
  const offer = await makeOffer({
    name: 'demo',
    data: { 100: stack },
    exports: { astrid_install: `(call $error_set (call $block (i32.const 100) (i32.const ${length}))) (i32.const 1)` },
  });
  t.match(await faultOf(installOffer(client, offer)), {
    code: 'crashed',
    message: /^Error: boom \(main\.ts:3\); all of it: astrid logs demo$/,
  });
  const { exitCode, out } = await runCli(['logs', 'demo'], supervisor.home);
  t.equal(exitCode, 0, 'although it was never installed');
  t.match(out, /at dispatch \(main\.ts:9:1\)/);
});
