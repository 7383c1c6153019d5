import { test } from 'tap';
import { fuzzArchive } from '../fuzz/archive.js';

test('archives, a short fuzz of reader and writer, finds nothing', async (t) => {
  t.equal((await fuzzArchive(1500)).length, 5);
});
