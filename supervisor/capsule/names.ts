import { Fault } from '../../abi/errno.js';
import { quotePrintable } from '../../abi/wasm/printable.js';

/** Names that become path components or topics. None can be empty, start with a dot, or hold a separator. */
const NAME_RULES = {
  capsule: { pattern: /^[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?$/, is: '1 to 64 of a-z, 0-9 and -, no - at either end' },
  principal: { pattern: /^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/, is: '1 to 64 letters, digits, _ or -, not first a - or _' },
  hash: { pattern: /^[0-9a-f]{64}$/, is: 'a BLAKE3 hash of 64 lowercase hex digits' },
} as const;

export const CAPSULE_NAME = NAME_RULES.capsule;

/** @returns the name, unchanged. @throws Fault `invalid_argument` */
export function requireName(kind: keyof typeof NAME_RULES, name: string): string {
  const rule = NAME_RULES[kind];
  if (rule.pattern.test(name)) return name;
  throw new Fault('invalid_argument', `${kind}: expected ${rule.is}, got ${quotePrintable(name)}`, { field: kind });
}

export function isCapsuleName(name: string): boolean {
  return NAME_RULES.capsule.pattern.test(name);
}
