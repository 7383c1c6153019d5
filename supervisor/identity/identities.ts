import { randomUUID } from 'node:crypto';
import { Fault } from '../../abi/errno.js';
import { LIMITS } from '../../abi/limits.js';
import { derivePrincipal } from './principal-name.js';
import {
  type AccountRecord,
  countKey,
  type LinkRecord,
  linkKey,
  principalKey,
  readCount,
  readLink,
  readUser,
  type UserRecord,
  userKey,
} from './records.js';

/** The durable map behind it: reads see what is on disk, or inside `write` also what that write did so far. */
export interface IdentityTable {
  get(key: string): unknown;
  put(key: string, value: unknown): void;
  remove(key: string): void;
}

export interface IdentitiesOptions {
  readonly table: IdentityTable;
  /** Runs synchronous work in one transaction and resolves when it is on disk. */
  readonly write: <T>(work: () => T) => Promise<T>;
  /** Whether a principal of this name has been here before, in whatever way. */
  readonly isPrincipalTaken: (name: string) => boolean;
  readonly now?: () => number;
}

/**
 * People, and the accounts on platforms by which they are known. Each principal has an address book of its own: what a capsule makes
 * or finds while it acts for one is not there for another. Nothing is kept in memory, so nothing is visible before it is on disk.
 *
 * An account belongs to one person; giving it to another takes an unlink first, so that a link cannot be taken over unnoticed. People
 * are never removed: their principal, and what it owns, must not pass to somebody else of the same name.
 */
export class Identities {
  readonly #options: IdentitiesOptions;

  constructor(options: IdentitiesOptions) {
    this.#options = options;
  }

  resolve(owner: string, account: AccountRecord): { userId: string; displayName: string | null } | null {
    const user = this.#userBehind(owner, account);
    return user === null ? null : { userId: user.user_id, displayName: user.display_name };
  }

  /** The principal a linked account speaks for, or null. */
  principalOf(owner: string, platform: string, platformUserId: string): string | null {
    return this.#userBehind(owner, { platform, platform_user_id: platformUserId })?.principal ?? null;
  }

  /** Linking to the same person again changes nothing. Throws Fault not_found, already_exists, quota_exceeded. */
  link(owner: string, account: AccountRecord, userId: string, method: string): Promise<LinkRecord> {
    const { table, write } = this.#options;
    const key = linkKey(owner, account);
    return write(() => {
      const user = this.#user(owner, userId);
      const known = readLink(table.get(key));
      if (known !== null && known.astrid_user_id === userId) return known;
      if (known !== null) {
        throw new Fault('already_exists', 'the account is linked to another person; unlink it first', {
          field: 'platform_user_id',
        });
      }
      const most = LIMITS.identityLinksPerUserMax;
      if (user.accounts.length >= most) throw new Fault('quota_exceeded', `at most ${most} links per person`);
      const link: LinkRecord = { ...account, astrid_user_id: userId, linked_at: this.#timestamp(), method };
      table.put(key, link);
      table.put(userKey(owner, userId), { ...user, accounts: [...user.accounts, account] });
      return link;
    });
  }

  /** False when there was no such link. */
  unlink(owner: string, account: AccountRecord): Promise<boolean> {
    const { table, write } = this.#options;
    const key = linkKey(owner, account);
    return write(() => {
      const known = readLink(table.get(key));
      if (known === null) return false;
      const user = this.#user(owner, known.astrid_user_id);
      const accounts = user.accounts.filter((other) => linkKey(owner, other) !== key);
      table.remove(key);
      table.put(userKey(owner, user.user_id), { ...user, accounts });
      return true;
    });
  }

  /** Returns the person's UUID. Throws Fault quota_exceeded. */
  createUser(owner: string, displayName: string | null): Promise<string> {
    const { table, write, isPrincipalTaken } = this.#options;
    return write(() => {
      const users = readCount(table.get(countKey(owner)));
      const most = LIMITS.identityUsersPerPrincipalMax;
      if (users >= most) throw new Fault('quota_exceeded', `at most ${most} people per principal`);
      const isTaken = (name: string) => table.get(principalKey(name)) !== undefined || isPrincipalTaken(name);
      const user: UserRecord = {
        user_id: randomUUID(),
        principal: derivePrincipal(displayName, isTaken),
        display_name: displayName,
        created_at: this.#timestamp(),
        accounts: [],
      };
      table.put(countKey(owner), { users: users + 1 });
      table.put(principalKey(user.principal), { owner, user_id: user.user_id });
      table.put(userKey(owner, user.user_id), user);
      return user.user_id;
    });
  }

  /** In the order of linking. Throws Fault not_found. */
  listLinks(owner: string, userId: string): LinkRecord[] {
    const { accounts } = this.#user(owner, userId);
    const links = accounts.map((account) => readLink(this.#options.table.get(linkKey(owner, account))));
    return links.filter((link) => link !== null);
  }

  describe(owner: string, userId: string): string {
    const user = readUser(this.#options.table.get(userKey(owner, userId)));
    if (user === null) return `nobody known (${userId})`;
    return `${user.display_name ?? 'a person without a name'} (principal ${user.principal}, ${userId})`;
  }

  #userBehind(owner: string, account: AccountRecord): UserRecord | null {
    const link = readLink(this.#options.table.get(linkKey(owner, account)));
    return link === null ? null : this.#user(owner, link.astrid_user_id);
  }

  #user(owner: string, userId: string): UserRecord {
    const user = readUser(this.#options.table.get(userKey(owner, userId)));
    if (user === null) throw new Fault('not_found', 'astrid_user_id: no such person', { field: 'astrid_user_id' });
    return user;
  }

  #timestamp(): string {
    return new Date((this.#options.now ?? Date.now)()).toISOString();
  }
}
