import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'tap';
import { LIMITS } from '../../abi/limits.js';
import { callerOf, changesOf, makeBench } from '../host-process/kit.js';
import { jailMissing } from '../kit/worker-bench.js';

const skip = await jailMissing();
/** A name that is no UTF-8: `a` and a byte that begins nothing. */
const BAD_NAME = "$(printf 'a\\377')";

test('names that are no UTF-8, left by a command, are removed with its layer', { skip }, async (t) => {
  const bench = await makeBench(t);
  const { exitCode } = await bench.sh(
    `n="${BAD_NAME}"; echo x > "$n"; mkdir "$n-d"; echo x > "$n-d/$n"; mkdir d; mkdir "d/$n"; echo y > "d/$n/z"; echo good > good`,
  );
  t.equal(exitCode, 0);
  t.same(await changesOf(bench), { d: 'directory', good: 'added' }, 'what has no name in UTF-8 is left out');
  t.notMatch(bench.logs.join('\n'), /fault/);
  // The kit fails the test when a layer is left behind.
});

test('files with names that are no UTF-8 count against the quota while a command writes them', { skip }, async (t) => {
  const bench = await makeBench(t);
  const place = await bench.files.openCommandPlace(callerOf().actor);
  const { dir } = place.layer;
  execFileSync('sh', [
    '-c',
    `cd "$0/upper"; head -c 3000000 /dev/zero > "${BAD_NAME}"; mkdir "${BAD_NAME}-d"; head -c 3000000 /dev/zero > "${BAD_NAME}-d/x"`,
    dir,
  ]);
  const bytes = await place.layer.bytes();
  await place.layer.remove();
  t.ok(bytes > 6_000_000, `${bytes} bytes are counted`);
});

test('a file of no size that holds disk, written by a command, holds none once it is kept', { skip }, async (t) => {
  const bench = await makeBench(t);
  const { exitCode, stderr } = await bench.sh(': > reserve; fallocate -n -l 50000000 reserve');
  t.equal(exitCode, 0, stderr);
  const upper = join(bench.home, 'var/overlay/s-1/upper');
  const blocks = Number(execFileSync('stat', ['-c', '%b', join(upper, 'reserve')], { encoding: 'utf8' }));
  t.ok(blocks * 512 < 1_000_000, `${blocks * 512} bytes of disk for a file of 0`);
});

test('a tree that takes long to look at, made by a command, is looked at once at a time', { skip }, async (t) => {
  const bench = await makeBench(t);
  let looks = 0;
  let finishFirst: (bytes: number) => void = () => {};
  const openPlace: typeof bench.files.openCommandPlace = async (actor) => {
    const place = await bench.files.openCommandPlace(actor);
    const bytes = () =>
      ++looks === 1 ? new Promise<number>((resolve) => (finishFirst = resolve)) : Promise.resolve(0);
    return { ...place, layer: { ...place.layer, bytes } };
  };
  const slow = await makeBench(t, {}, { openPlace });
  await slow.run('sleep', String((2.5 * LIMITS.processDiskSampleMs) / 1000));
  finishFirst(0);
  t.equal(looks, 2, 'the first, which is not done, and the last');
});

test('more entries than a session may change, made by a command, end it', { skip }, async (t) => {
  const bench = await makeBench(t);
  const place = await bench.files.openCommandPlace(callerOf().actor);
  const many =
    'const fs=require("fs");for(let i=0;i<100500;i++){if(i%1000===0)fs.mkdirSync("d"+i/1000);fs.writeFileSync("d"+Math.floor(i/1000)+"/"+i,"")}';
  execFileSync(process.execPath, ['-e', many], { cwd: join(place.layer.dir, 'upper') });
  t.equal(await place.layer.bytes(), Number.POSITIVE_INFINITY);
  await place.layer.remove();
});
