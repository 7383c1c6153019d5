import semver from 'semver';

const RANGE_CHARS_MAX = 128;
/** One comparator of a Cargo requirement: an operator, then up to three numbers or wildcards. */
const COMPARATOR =
  /^(\^|~|=|>=|<=|>|<)?\s*(\d+|\*|x|X)(\.(\d+|\*|x|X)){0,2}(-[0-9A-Za-z.-]{1,64})?(\+[0-9A-Za-z.-]{1,64})?$/;

/** A full semantic version, written out: `1.2.0`, `1.2.0-rc.1`; not `1.2`, `v1.2.0` or `=1.2.0`. */
export function isFullVersion(text: string): boolean {
  return /^\d/.test(text) && text === text.trim() && semver.parse(text) !== null;
}

/**
 * A requirement of Capsule.toml as an npm range, or null when it is none. Manifests follow Cargo, where a bare
 * `1.2` means `^1.2` and a comma means "and"; npm reads the first as an exact version.
 */
export function toNpmRange(requirement: string): string | null {
  if (requirement.length > RANGE_CHARS_MAX) return null;
  const comparators: string[] = [];
  for (const part of requirement.split(',')) {
    const comparator = part.trim();
    const match = COMPARATOR.exec(comparator);
    if (match === null) return null;
    const bare = match[1] === undefined && !/[*xX]/.test(comparator);
    comparators.push(bare ? `^${comparator}` : comparator);
  }
  const range = comparators.join(' ');
  return semver.validRange(range) === null ? null : range;
}

export function satisfiesRange(version: string, npmRange: string): boolean {
  return semver.satisfies(version, npmRange);
}
