/** Keys longer than this are compared by their beginning: the work per unknown key stays bounded. */
const CHARS_COMPARED_MAX = 48;

/** The known key that differs least from `key`, when it differs by at most a third of its length (and two). */
export function findNearestKey(key: string, known: readonly string[]): string | null {
  let nearest: string | null = null;
  let smallest = Math.max(2, Math.floor(key.length / 3)) + 1;
  for (const candidate of known) {
    const distance = measureDistance(key, candidate);
    if (distance < smallest) {
      smallest = distance;
      nearest = candidate;
    }
  }
  return nearest;
}

/** Levenshtein distance, one row at a time. */
function measureDistance(a: string, b: string): number {
  const left = a.slice(0, CHARS_COMPARED_MAX).toLowerCase();
  const right = b.slice(0, CHARS_COMPARED_MAX).toLowerCase();
  let row = Array.from({ length: right.length + 1 }, (_, index) => index);
  for (let i = 1; i <= left.length; i++) {
    const next = [i];
    for (let j = 1; j <= right.length; j++) {
      const substitution = row[j - 1]! + (left[i - 1] === right[j - 1] ? 0 : 1);
      next.push(Math.min(substitution, row[j]! + 1, next[j - 1]! + 1));
    }
    row = next;
  }
  return row[right.length]!;
}
