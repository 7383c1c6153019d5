import { randomBytes } from 'node:crypto';
import { readKeyFile, refuseFile, writeOnce } from '../private-files/key-file.js';
import { MASTER_KEY_BYTES } from './secret-codec.js';

const FIELD = 'keys/secrets.key';

/** The home's key for secrets, made at first use. @throws Fault `bad_home` for a file that others can read or that is no key */
export async function loadSecretKey(path: string): Promise<Buffer> {
  const known = await readKeyFile(path, FIELD, MASTER_KEY_BYTES);
  if (known !== null) return known;
  // Two that start at once agree on the first: whoever wrote it, what is there is read.
  await writeOnce(path, randomBytes(MASTER_KEY_BYTES));
  const made = await readKeyFile(path, FIELD, MASTER_KEY_BYTES);
  return made ?? refuseFile(FIELD, 'to stay where it was written');
}
