import { closeSync, openSync } from 'node:fs';
import { test } from 'tap';
import { Command } from '../../supervisor/host-process/command.js';

test('a script that is killed before it read its first word, the command ends and nothing is thrown', async (t) => {
  const nothing = openSync('/dev/null', 'r');
  t.teardown(() => closeSync(nothing));
  // It lasts and never reads its channel: what is written there is lost when it is killed, and the channel is reset.
  const command = new Command({
    commandLine: ['/bin/sleep', '600'],
    lowerFd: nothing,
    belowFd: nothing,
    layer: {
      markStart: async () => undefined,
      bytes: async () => 0,
      freeBytes: async () => Number.MAX_SAFE_INTEGER,
      fits: () => true,
      adopt: async () => [],
      remove: async () => undefined,
    },
    stdout: () => undefined,
    stderr: () => undefined,
  });
  // `go` is on its way once what waits for it had a turn.
  await new Promise((resolve) => setImmediate(resolve));
  command.kill();
  t.match(await command.ended, { exitCode: -1, skipped: [], problem: null });
});
