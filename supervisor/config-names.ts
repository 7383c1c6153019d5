import type { CapsuleStore } from './capsule/store.js';
import type { Config } from './config.js';

/** A list of the configuration and the names in it of which nothing is installed. */
export interface UnknownNames {
  readonly key: string;
  readonly names: readonly string[];
}

/**
 * Names of capsules in the configuration that nothing is installed under, list by list. No error: a capsule may be named before it
 * comes. But a misspelled one switches nothing off, and nobody would notice.
 */
export async function findUnknownNames(
  config: Config,
  store: Pick<CapsuleStore, 'listInstalled'>,
  principal: string,
): Promise<UnknownNames[]> {
  const lists = [
    { key: 'policy.deny_capsules', names: config.policy.denyCapsules },
    { key: 'tiers.accept_weaker', names: config.tiers.acceptWeaker },
    { key: 'process.network', names: config.process.network },
    { key: 'capsules.disabled', names: config.capsules.disabled },
  ].filter(({ names }) => names.length > 0);
  // Mostly there is none, and then the store is not read again.
  if (lists.length === 0) return [];
  const { capsules, problems } = await store.listInstalled(principal);
  const known = new Set([...capsules, ...problems].map(({ name }) => name));
  return lists
    .map(({ key, names }) => ({ key, names: names.filter((name) => !known.has(name)) }))
    .filter(({ names }) => names.length > 0);
}
