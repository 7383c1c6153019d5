import { Fault } from '../../abi/errno.js';
import { LIMITS } from '../../abi/limits.js';
import { type CallContext, decodeJson, encodeJson, type SyscallHandler } from './handler.js';

export interface Account {
  readonly platform: string;
  readonly platform_user_id: string;
}

/** A link as guests read it. */
export interface IdentityLink extends Account {
  readonly astrid_user_id: string;
  /** RFC 3339. */
  readonly linked_at: string;
  readonly method: string;
}

/**
 * People and their accounts (ABI reference 2.7). `owner` is the principal of the call: each has an address book of its own and sees
 * no other's. Changes resolve when they are on disk.
 */
export interface IdentityService {
  resolve(owner: string, account: Account): { userId: string; displayName: string | null } | null;
  link(owner: string, account: Account, userId: string, method: string): Promise<IdentityLink>;
  unlink(owner: string, account: Account): Promise<boolean>;
  createUser(owner: string, displayName: string | null): Promise<string>;
  listLinks(owner: string, userId: string): IdentityLink[];
  /** For the person who is asked: who that is. */
  describe(owner: string, userId: string): string;
}

const LEVELS = ['resolve', 'link', 'admin'] as const;
type Level = (typeof LEVELS)[number];

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const DISPLAY_NAME_CHARS_MAX = 256;
/** The field that marks what ends the call: the request as such. Everything else is told in the answer's `error`. */
const REQUEST = 'request';

const pathOf = ({ platform, platform_user_id }: Account) => `${platform}/${platform_user_id}`;

export function makeIdentityHandlers(identity: IdentityService) {
  const resolve = makeHandler<Account>(
    'resolve',
    { found: false },
    {
      decode: decodeAccount,
      resource: (account) => `identity:${pathOf(account)}`,
      run: (account, { actor }) => {
        const user = identity.resolve(actor.principal, account);
        if (user === null) return { found: false };
        return { found: true, user_id: user.userId, display_name: user.displayName ?? undefined };
      },
    },
  );
  const link = makeHandler<Account & { readonly userId: string; readonly method: string }>(
    'link',
    { ok: false },
    {
      decode: (value) => ({ ...decodeAccount(value), userId: decodeUserId(value), method: decodeMethod(value) }),
      resource: (request) => `identity:${pathOf(request)}`,
      preview: async (request, { actor }) => [
        `link the account ${request.platform_user_id} on ${request.platform} to ${identity.describe(actor.principal, request.userId)}`,
        'whoever writes from that account then speaks for this person',
      ],
      run: async ({ userId, method, platform, platform_user_id }, { actor }) => ({
        ok: true,
        link: await identity.link(actor.principal, { platform, platform_user_id }, userId, method),
      }),
    },
  );
  const unlink = makeHandler<Account>(
    'link',
    { ok: false },
    {
      decode: decodeAccount,
      resource: (account) => `identity:${pathOf(account)}`,
      preview: async (account) => [`unlink the account ${account.platform_user_id} on ${account.platform}`],
      run: async (account, { actor }) => ({ ok: true, removed: await identity.unlink(actor.principal, account) }),
    },
  );
  const createUser = makeHandler<{ readonly displayName: string | null }>(
    'admin',
    { ok: false },
    {
      decode: (value) => ({ displayName: decodeDisplayName(value) }),
      resource: ({ displayName }) => `identity:${displayName ?? ''}`,
      preview: async ({ displayName }) => [`make a new person${displayName === null ? '' : ` named ${displayName}`}`],
      run: async ({ displayName }, { actor }) => ({
        ok: true,
        user_id: await identity.createUser(actor.principal, displayName),
      }),
    },
  );
  const listLinks = makeHandler<{ readonly userId: string }>(
    'link',
    { ok: false },
    {
      decode: (value) => ({ userId: decodeUserId(value) }),
      resource: ({ userId }) => `identity:${userId}`,
      run: ({ userId }, { actor }) => ({ ok: true, links: identity.listLinks(actor.principal, userId) }),
    },
  );
  return {
    astrid_identity_resolve: resolve,
    astrid_identity_link: link,
    astrid_identity_unlink: unlink,
    astrid_identity_create_user: createUser,
    astrid_identity_list_links: listLinks,
  };
}

interface IdentityCall<Request> {
  decode(value: object): Request;
  resource(request: Request): string;
  preview?(request: Request, context: CallContext): Promise<string[]>;
  run(request: Request, context: CallContext): object | Promise<object>;
}

/** JSON in, JSON out, the level asked of the manifest, and failures inside the answer. */
function makeHandler<Request>(
  needs: Level,
  failed: { readonly found: false } | { readonly ok: false },
  call: IdentityCall<Request>,
): SyscallHandler<Request> {
  return {
    ...call,
    decode: ([bytes]) => {
      const value = decodeJson(bytes, REQUEST);
      if (typeof value !== 'object' || value === null || Array.isArray(value)) throw badRequest('expected an object');
      return call.decode(value);
    },
    covers: (_, { manifest }) => holdsLevel(manifest.capabilities.identity, needs),
    run: async (request, context) => {
      if (context.phase !== 'normal') throw badRequest('identities are not there during install and upgrade');
      return encodeJson(await call.run(request, context));
    },
    explain: ({ code, message, field }) => (field === REQUEST ? null : encodeJson({ ...failed, error: message, code })),
  };
}

/** A higher level implies the lower ones. */
function holdsLevel(granted: unknown, needs: Level): boolean {
  if (!Array.isArray(granted)) return false;
  return LEVELS.slice(LEVELS.indexOf(needs)).some((level) => granted.includes(level));
}

function badRequest(why: string): Fault {
  return new Fault('invalid_argument', `request: ${why}`, { field: REQUEST });
}

function takeText(value: object, field: string): string {
  const entry: unknown = Reflect.get(value, field);
  if (typeof entry !== 'string') throw badRequest(`${field} is missing or not text`);
  return entry;
}

function decodeAccount(value: object): Account {
  const platform = takeText(value, 'platform').trim().toLowerCase();
  const userId = takeText(value, 'platform_user_id');
  return { platform: checkPart(platform, 'platform'), platform_user_id: checkPart(userId, 'platform_user_id') };
}

/** No `/` and no control character: the two parts are written next to each other, and people read them. */
function checkPart(text: string, field: string): string {
  if (Buffer.byteLength(text) > LIMITS.identityFieldBytesMax) {
    throw new Fault('too_large', `${field}: expected at most ${LIMITS.identityFieldBytesMax} bytes`, { field });
  }
  if (text.trim() === '') throw new Fault('invalid_argument', `${field} is blank`, { field });
  if (/[/\p{Cc}]/u.test(text)) {
    throw new Fault('invalid_argument', `${field}: expected a text without / and without control characters`, {
      field,
    });
  }
  return text;
}

function decodeUserId(value: object): string {
  const id = takeText(value, 'astrid_user_id').toLowerCase();
  if (!UUID.test(id)) {
    throw new Fault('invalid_argument', 'astrid_user_id: expected a UUID', { field: 'astrid_user_id' });
  }
  return id;
}

function decodeMethod(value: object): string {
  const method = takeText(value, 'method');
  if (Buffer.byteLength(method) > LIMITS.identityFieldBytesMax || /\p{Cc}/u.test(method)) {
    const most = LIMITS.identityFieldBytesMax;
    throw new Fault('invalid_argument', `method: expected at most ${most} bytes without control characters`, {
      field: 'method',
    });
  }
  return method;
}

function decodeDisplayName(value: object): string | null {
  const entry: unknown = Reflect.get(value, 'display_name');
  if (entry === undefined || entry === null) return null;
  const name = takeText(value, 'display_name').trim();
  if (name.length > DISPLAY_NAME_CHARS_MAX || name === '' || /[/\p{Cc}]/u.test(name)) {
    const what = `1 to ${DISPLAY_NAME_CHARS_MAX} characters without / and without control characters`;
    throw new Fault('invalid_argument', `display_name: expected ${what}`, { field: 'display_name' });
  }
  return name;
}
