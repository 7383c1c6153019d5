import { createHash } from 'node:crypto';
import { z } from 'zod';
import { Fault } from '../../abi/errno.js';

/*
 * What the table `identities` holds. Owners and principals are plain words, so `:` parts the keys without doubt.
 *
 *   user:OWNER:UUID             a person, with the accounts that are linked to them
 *   link:OWNER:SHA-256          one account, by the hash of `platform/user id`
 *   principal:NAME              who has that principal
 *   count:OWNER                 how many people this owner made
 */

const account = z.object({ platform: z.string(), platform_user_id: z.string() });
const user = z.object({
  user_id: z.string(),
  principal: z.string().regex(/^[a-z0-9_-]{1,64}$/),
  display_name: z.string().nullable(),
  created_at: z.string(),
  accounts: z.array(account),
});
const link = account.extend({ astrid_user_id: z.string(), linked_at: z.string(), method: z.string() });
const count = z.object({ users: z.int().min(0) });

export type AccountRecord = z.infer<typeof account>;
export type UserRecord = z.infer<typeof user>;
export type LinkRecord = z.infer<typeof link>;

export const userKey = (owner: string, id: string) => `user:${owner}:${id}`;
export const principalKey = (name: string) => `principal:${name}`;
export const countKey = (owner: string) => `count:${owner}`;
export function linkKey(owner: string, { platform, platform_user_id }: AccountRecord): string {
  const hash = createHash('sha256').update(`${platform}/${platform_user_id}`).digest('hex');
  return `link:${owner}:${hash}`;
}

export const readUser = (record: unknown) => read(user, record);
export const readLink = (record: unknown) => read(link, record);
export const readCount = (record: unknown) => read(count, record)?.users ?? 0;

/** Null for what is not there; a record that is not one of ours must not pass for nobody. */
function read<T>(shape: z.ZodType<T>, record: unknown): T | null {
  if (record === undefined) return null;
  const parsed = shape.safeParse(record);
  if (!parsed.success) throw new Fault('io_error', 'an identity record cannot be read', { cause: parsed.error });
  return parsed.data;
}
