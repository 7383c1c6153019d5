import { withHandles } from './handle-scope.js';
import { type EntryName, type HeldEntry, openRoot } from './held-dir.js';

const OWNER_ALL = 0o700;

/**
 * Removes all that is in a directory which a hostile program has filled: however deep (no path is longer than one name),
 * however many entries, whatever it locked. What lies in a directory's directory is moved up and comes later.
 */
export async function emptyDirectory(hostPath: string): Promise<void> {
  const root = await openRoot(hostPath, 'command');
  let moved = 0;
  const fresh = () => {
    moved += 1;
    return `.astrid-${moved}-${process.hrtime.bigint()}`;
  };
  try {
    while (await removeOnce(root, fresh)) {}
  } finally {
    root.close();
  }
}

/** False when there was nothing left. */
async function removeOnce(root: HeldEntry, fresh: () => string): Promise<boolean> {
  let some = false;
  for await (const row of root.names()) {
    some = true;
    if (!row.isDirectory) await root.removeFile(row.name);
    else await withHandles(async (scope) => dissolve(scope.own(await root.lookup(row.name)), root, row.name, fresh));
  }
  return some;
}

async function dissolve(
  directory: HeldEntry | null,
  root: HeldEntry,
  name: EntryName,
  fresh: () => string,
): Promise<void> {
  if (directory === null) return;
  await directory.setMode(OWNER_ALL);
  let some = false;
  for await (const row of directory.names()) {
    some = true;
    if (!row.isDirectory) {
      await directory.removeFile(row.name);
      continue;
    }
    await withHandles(async (scope) => {
      // Its own `..` changes when it moves: that takes the right to write to it.
      await scope.own(await directory.lookup(row.name))?.setMode(OWNER_ALL);
      await directory.moveTo(row.name, root, fresh());
    });
  }
  // Only one that was seen empty is: entries that appear while it is read may be missed. The next round has it again.
  if (!some) await root.removeDir(name);
}
