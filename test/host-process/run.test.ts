import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import { jailMissing } from '../kit/worker-bench.js';
import { changesOf, commitAll, makeBench } from './kit.js';

const skip = await jailMissing();

test('a command, run to its end, gives its output and exit code and sees the workspace', { skip }, async (t) => {
  const bench = await makeBench(t, { a: 'hello' });
  t.same(await bench.run('cat', 'a'), { stdout: 'hello', stderr: '', exitCode: 0 });
  t.same(await bench.run('pwd'), { stdout: `${bench.workspace}\n`, stderr: '', exitCode: 0 });
  t.same(await bench.sh('echo out; echo err >&2; exit 3'), { stdout: 'out\n', stderr: 'err\n', exitCode: 3 });
  t.equal((await bench.sh('kill -9 $$')).exitCode, -1, 'ended by a signal');
  t.equal(await bench.fate('no-such-program'), 'not_found');
  t.same(bench.logs, []);
});

test('what a command writes is in the overlay and not in the workspace, and a commit brings it there', {
  skip,
}, async (t) => {
  const bench = await makeBench(t, { a: '1', b: '2', 'd/c': '3', 'e/f': '4' });
  const { exitCode, stderr } = await bench.sh(
    'echo new > n; echo more >> a; rm b; rm -r d; mkdir g; echo x > g/h; chmod +x g/h; mv e/f e/z',
  );
  t.equal(exitCode, 0, stderr);
  const changes = {
    a: 'modified',
    b: 'deleted',
    d: 'deleted',
    'd/c': 'deleted',
    'e/f': 'deleted',
    'e/z': 'added',
    g: 'directory',
    'g/h': 'added',
    n: 'added',
  };
  t.same(await changesOf(bench), changes);
  t.same(readdirSync(bench.workspace).sort(), ['a', 'b', 'd', 'e']);
  t.equal(readFileSync(join(bench.workspace, 'a'), 'utf8'), '1');
  t.same((await bench.sh('cat a n g/h e/z; ls')).stdout, '1more\nnew\nx\n4a\ne\ng\nn\n', 'the next command sees it');
  t.same(await commitAll(bench), { committed: Object.keys(changes).sort(), conflicts: [] });
  t.same(readdirSync(bench.workspace).sort(), ['a', 'e', 'g', 'n']);
  t.same(await changesOf(bench), {});
});
