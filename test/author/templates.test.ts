import { test } from 'tap';
import { TEMPLATES } from '../../cli/author/new-capsule.js';
import { Workshop } from './author-kit.js';

for (const template of TEMPLATES) {
  test(`the template ${template}, fresh, builds, agrees with its manifest and passes its own tests`, async (t) => {
    const shop = new Workshop(t);
    await shop.make(`my-${template}`, template);
    const checked = await shop.run('capsule', 'check', `my-${template}`, '--strict');
    t.match(checked, { exitCode: 0, out: 'nothing to say: manifest and code agree\n', err: '' });
    const tested = await shop.run('capsule', 'test', `my-${template}`);
    t.equal(tested.exitCode, 0, tested.out + tested.err);
    t.match(tested.out, /\n[1-9]\d* passed, 0 failed\n$/);
  });
}
